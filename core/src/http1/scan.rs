//! The search for a section's end, line by line as bytes come: linear however they are cut, and the authority on what is
//! malformed.
//!
//! ```text
//!   resume ──► next LF ──► line complete ──► limits ──► grammar ──► empty line? ──► Complete
//!     ▲                         none: limits of the unfinished line │ no
//!     └─────────────────────────────────────────────────────────────┘
//! ```
//!
//! What is refused, and as what, is a function of the bytes alone: a line is judged when its LF has come, a limit when the
//! byte that passes it has. So the same bytes are refused alike however they were cut into reads (law 9).

use super::framing::parse_decimal;
use super::limits::Limits;
use super::refusal::{FieldFault, LineFault, Refusal};

/// What kind of section is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Section {
    /// A request line, field lines, an empty line.
    #[default]
    Head,
    /// Field lines and an empty line.
    Trailers,
}

/// Where the search stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Scan {
    section: Section,
    /// Everything before was looked at.
    searched: usize,
    /// Where the unfinished line begins.
    line_start: usize,
    /// Where the first field line begins, once the request line is complete.
    fields_start: Option<usize>,
    /// Complete field lines so far.
    lines: u32,
    /// The request line names a minor version above 1.1's.
    newer_minor: bool,
}

/// What a search found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Found {
    /// The section ends before this offset.
    Complete(usize),
    /// More bytes are needed.
    Partial,
}

impl Scan {
    pub(crate) fn new(section: Section) -> Self {
        Self { section, fields_start: (section == Section::Trailers).then_some(0), ..Self::default() }
    }

    /// Whether nothing was searched yet, in a head.
    pub(crate) fn is_fresh(&self) -> bool {
        self.searched == 0 && self.section == Section::Head
    }

    /// Whether the request line named a minor version above 1.1's, to be read as 1.1.
    pub(crate) const fn newer_minor(&self) -> bool {
        self.newer_minor
    }

    /// Searches on in `bytes`, which begins where the section does and has only grown since the last call.
    pub(crate) fn resume(&mut self, bytes: &[u8], limits: &Limits) -> Result<Found, Refusal> {
        while let Some(found) = memchr::memchr(b'\n', &bytes[self.searched..]) {
            let line_feed = self.searched + found;
            let line = &bytes[self.line_start..=line_feed];
            let complete = match self.fields_start {
                None => self.request_line(line, line_feed + 1, limits)?,
                Some(start) => self.field_line(line, line_feed + 1 - start, limits)?,
            };
            self.searched = line_feed + 1;
            self.line_start = self.searched;
            if complete {
                return Ok(Found::Complete(self.searched));
            }
        }
        self.unfinished(bytes, limits)?;
        self.searched = bytes.len();
        Ok(Found::Partial)
    }

    /// Judges a complete line that should be the request line, or the one empty line before it (RFC 9112 §2.2).
    fn request_line(&mut self, line: &[u8], end: usize, limits: &Limits) -> Result<bool, Refusal> {
        if line == b"\r\n" {
            return if self.line_start == 0 { Ok(false) } else { Err(bad_line(LineFault::EmptyLines)) };
        }
        let text = line.strip_suffix(b"\r\n").unwrap_or(&line[..line.len() - 1]);
        self.request_bytes(text, limits)?;
        if text.len() + 2 != line.len() {
            return Err(bad_line(LineFault::BareLf));
        }
        self.newer_minor = request_line_grammar(text)?;
        self.fields_start = Some(end);
        Ok(false)
    }

    /// Judges a complete line that should be a field line, or the empty line that ends the section.
    fn field_line(&mut self, line: &[u8], section_len: usize, limits: &Limits) -> Result<bool, Refusal> {
        let number = self.lines + 1;
        let bad = |fault| Refusal::BadField { fault, line: number };
        self.field_bytes(&line[..line.len() - 1], section_len, limits)?;
        let Some(text) = line.strip_suffix(b"\r\n") else { return Err(bad(FieldFault::BareLf)) };
        if text.is_empty() {
            return Ok(true);
        }
        if number as usize > limits.max_fields {
            return Err(Refusal::TooManyFields { limit: limits.max_fields });
        }
        field_line_grammar(text).map_err(bad)?;
        self.lines = number;
        Ok(false)
    }

    /// Holds the line whose end has not come to what can be said of it already.
    fn unfinished(&self, bytes: &[u8], limits: &Limits) -> Result<(), Refusal> {
        let line = &bytes[self.line_start..];
        match self.fields_start {
            // A CR at the very end may belong to the line's end.
            None => self.request_bytes(line.strip_suffix(b"\r").unwrap_or(line), limits),
            Some(start) => self.field_bytes(line, bytes.len() - start, limits),
        }
    }

    /// Holds a request line, its end apart, to its limit and to visible bytes: said at once, so that a peer that speaks
    /// another protocol is told so without waiting for a line that does not come.
    fn request_bytes(&self, text: &[u8], limits: &Limits) -> Result<(), Refusal> {
        let limit = limits.max_request_line_bytes;
        // What was looked at before is not looked at again, but for a last CR that was thought to end the line.
        let from = self.searched.saturating_sub(self.line_start + 1).min(text.len());
        let judged = &text[from..text.len().min(limit + 1).max(from)];
        if let Some(at) = judged.iter().position(|byte| byte.is_ascii_control()) {
            return Err(bad_line(match judged[at] {
                0x16 if from + at == 0 => LineFault::Tls,
                b'\r' => LineFault::BareCr,
                _ => LineFault::ControlByte,
            }));
        }
        if text.len() <= limit {
            return Ok(());
        }
        Err(if memchr::memchr(b' ', &text[..=limit]).is_some() {
            Refusal::RequestLineTooLong { limit }
        } else {
            Refusal::MethodTooLong { limit }
        })
    }

    /// Holds a field line, of which `line` is there without its LF, and the section, of which `section_len` bytes are, to
    /// their limits: whichever was passed by the earlier byte.
    fn field_bytes(&self, line: &[u8], section_len: usize, limits: &Limits) -> Result<(), Refusal> {
        let (line_limit, section_limit) = (limits.field_line_bytes(), limits.max_header_bytes);
        let number = self.lines + 1;
        let text_len = line.strip_suffix(b"\r").unwrap_or(line).len();
        let over_section = section_len > section_limit;
        if text_len > line_limit {
            // A CR in the first place too many might have ended the line: the byte after it passed the limit.
            let passed_line = line_limit + 1 + usize::from(line[line_limit] == b'\r');
            let passed_section =
                (section_limit + 1).saturating_sub(self.line_start - self.fields_start.unwrap_or(0));
            if !over_section || passed_line <= passed_section {
                return Err(Refusal::FieldLineTooLong { limit: line_limit, line: number });
            }
        }
        if over_section {
            return Err(Refusal::HeaderTooLarge { limit: section_limit, line: number });
        }
        Ok(())
    }
}

const fn bad_line(fault: LineFault) -> Refusal {
    Refusal::BadRequestLine(fault)
}

/// `method SP request-target SP HTTP-version` (RFC 9112 §3). Says whether the minor version is above 1.1's.
fn request_line_grammar(text: &[u8]) -> Result<bool, Refusal> {
    let mut parts = text.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(bad_line(LineFault::Spaces));
    };
    if method.is_empty() || target.is_empty() {
        return Err(bad_line(LineFault::Spaces));
    }
    if !method.iter().all(|byte| is_token_byte(*byte)) {
        return Err(bad_line(LineFault::Method));
    }
    if !target.iter().all(|byte| is_target_byte(*byte)) {
        return Err(Refusal::BadTarget);
    }
    match version {
        [b'H', b'T', b'T', b'P', b'/', major @ b'0'..=b'9', b'.', minor @ b'0'..=b'9'] => {
            if *major != b'1' {
                Err(Refusal::UnsupportedVersion)
            } else {
                Ok(*minor > b'1')
            }
        }
        _ => Err(bad_line(LineFault::Version)),
    }
}

/// `field-name ":" OWS field-value OWS` (RFC 9112 §5).
fn field_line_grammar(text: &[u8]) -> Result<(), FieldFault> {
    if matches!(text[0], b' ' | b'\t') {
        return Err(FieldFault::Folded);
    }
    let Some(colon) = memchr::memchr(b':', text) else {
        return Err(if memchr::memchr(b'\r', text).is_some() {
            FieldFault::BareCr
        } else {
            FieldFault::NoColon
        });
    };
    let (name, value) = (&text[..colon], &text[colon + 1..]);
    if matches!(name.last(), Some(b' ' | b'\t')) {
        return Err(FieldFault::SpaceBeforeColon);
    }
    if name.is_empty() || !name.iter().all(|byte| is_token_byte(*byte)) {
        return Err(FieldFault::Name);
    }
    match value.iter().find(|byte| byte.is_ascii_control() && **byte != b'\t') {
        None => Ok(()),
        Some(b'\r') => Err(FieldFault::BareCr),
        Some(_) => Err(FieldFault::Value),
    }
}

/// A byte of a token (RFC 9110 §5.6.2).
#[inline]
pub(crate) const fn is_token_byte(byte: u8) -> bool {
    TOKEN_BYTES[byte as usize]
}

static TOKEN_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = is_tchar(byte as u8);
        byte += 1;
    }
    table
};

const fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// A byte a request target may hold. Wider than RFC 3986 by what browsers send unencoded (`|`, `^`, `{`, `}`, `[`, `]`,
/// `\`, `` ` ``), none of which frames anything; a fragment, quotes, angle brackets and all beyond ASCII stay out.
#[inline]
pub(crate) const fn is_target_byte(byte: u8) -> bool {
    TARGET_BYTES[byte as usize]
}

/// Where the query begins in a target whose bytes may all stand there; `None` where one may not.
#[inline]
pub(crate) fn query_start(target: &[u8]) -> Option<Option<u32>> {
    let path = target.iter().position(|byte| !is_path_byte(*byte)).unwrap_or(target.len());
    match &target[path..] {
        [] => Some(None),
        rest => {
            (rest[0] == b'?' && rest.iter().all(|byte| is_target_byte(*byte))).then_some(Some(path as u32))
        }
    }
}

#[inline]
pub(crate) const fn is_path_byte(byte: u8) -> bool {
    PATH_BYTES[byte as usize]
}

/// The bytes of a target before its query.
static PATH_BYTES: [bool; 256] = {
    let mut table = TARGET_BYTES;
    table[b'?' as usize] = false;
    table
};

static TARGET_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0x21;
    while byte <= 0x7e {
        table[byte] = !matches!(byte as u8, b'#' | b'"' | b'<' | b'>');
        byte += 1;
    }
    table
};

/// Whether `target`, of whose bytes each may stand in a target, has the form its method asks for (RFC 9112 §3.2).
#[inline]
pub(crate) fn is_target(method: &http::Method, target: &[u8]) -> bool {
    use super::framing::is_authority;
    if *method == http::Method::CONNECT {
        // The port is required, and 0 is none: there is no default to fall back to (RFC 9110 §9.3.6).
        let port = memchr::memrchr(b':', target).map(|colon| &target[colon + 1..]);
        return is_authority(target) && port.and_then(parse_decimal).is_some_and(|port| port > 0);
    }
    match target {
        b"*" => *method == http::Method::OPTIONS,
        [b'/', ..] => true,
        _ => {
            let Some(colon) = memchr::memchr(b':', target) else { return false };
            let (scheme, rest) = (&target[..colon], &target[colon + 1..]);
            let Some(rest) = rest.strip_prefix(b"//") else { return false };
            let end = memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len());
            is_scheme(scheme) && is_authority(&rest[..end])
        }
    }
}

/// `ALPHA *( ALPHA / DIGIT / "+" / "-" / "." )` (RFC 3986 §3.1).
fn is_scheme(scheme: &[u8]) -> bool {
    scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}
