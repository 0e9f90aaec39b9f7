//! From bytes to a head: a sweep where nothing is unusual; else httparse, optimistically, behind our own strict checks; the
//! line scanner where that fails.
//!
//! ```text
//!   sweep ─┬─ plain ────────────────────────────────────────────────► head          (the common case: one pass)
//!          └─ else ▼
//!                 ┌─ complete, strict ────────────────────────────► head          
//!   httparse ─────┤
//!                 └─ partial, error, too lax ─► Scan::resume ─┬─ Partial ─────► wait; search on from there
//!                                                             ├─ Err(Refusal) ► refuse
//!                                                             └─ Complete ────► httparse again, on the whole section
//! ```

use core::hint::cold_path;
use core::mem::MaybeUninit;

use bytes::BytesMut;
use http::{Method, Version};

use super::framing::Framing;
use super::head::{FieldSpan, FieldTable, RequestHead, TextSpan, Trailers};
use super::limits::Limits;
use super::refusal::{FieldFault, LineFault, Refusal};
use super::scan::{Found, Scan, is_target, query_start};

/// Field lines that fit on the stack while parsing; a higher `max_fields` costs an allocation a head.
const STACK_FIELDS: usize = 128;

/// Reads a head from the front of `input` into `head`. `Ok(false)`: more bytes are needed, and nothing was read; `scan`
/// remembers how far it was searched.
pub(crate) fn request_head(
    input: &mut BytesMut,
    head: &mut RequestHead,
    scan: &mut Scan,
    limits: &Limits,
) -> Result<bool, Refusal> {
    if scan.is_fresh() {
        // Who asks again asks the same as a rule: clients that poll, load balancers that look whether a server is well.
        if head.comes_again(input, limits) {
            cut(input, head.len());
            return Ok(true);
        }
        head.forget();
        if let Some(end) = sweep(input, head, limits) {
            take(input, head, 0, end, limits);
            return Ok(true);
        }
        cold_path();
        match strict_request(input, head, limits) {
            Strict::Read { start, end } => {
                take(input, head, start, end, limits);
                return Ok(true);
            }
            Strict::Refused(refusal) => return Err(refusal),
            Strict::Unsure => {}
        }
    }
    let Found::Complete(end) = scan.resume(input, limits)? else { return Ok(false) };
    head.forget();
    if scan.newer_minor() {
        // Served as the highest minor version implemented (RFC 9110 §2.5), which is also all that httparse knows.
        if let Some(line_end) = memchr::memchr(b'\r', &input[2..end]) {
            input[2 + line_end - 1] = b'1';
        }
    }
    match strict_request(&input[..end], head, limits) {
        Strict::Read { start, end } => {
            take(input, head, start, end, limits);
            Ok(true)
        }
        Strict::Refused(refusal) => Err(refusal),
        // The scanner knows the grammar; whatever httparse would still not take is refused without a finer reason.
        Strict::Unsure => Err(Refusal::BadRequestLine(LineFault::Spaces)),
    }
}

/// Reads a trailer section, its empty line included, from the front of `input`.
pub(crate) fn trailers(
    input: &mut BytesMut,
    scan: &mut Scan,
    limits: &Limits,
) -> Result<Option<Trailers>, Refusal> {
    let Found::Complete(end) = scan.resume(input, limits)? else { return Ok(None) };
    if end == 2 {
        bytes::Buf::advance(input, 2);
        return Ok(Some(Trailers::default()));
    }
    let mut fields = FieldTable::new();
    let mut line = 0;
    let mut at = 0;
    while at < end - 2 {
        line += 1;
        let (span, next) = field_at(input, at).ok_or(Refusal::BadField { fault: FieldFault::Name, line })?;
        let name = &input[at..at + usize::from(span.name_len)];
        if is_forbidden_in_trailers(name) {
            return Err(Refusal::ForbiddenTrailer { line });
        }
        fields.push(span);
        at = next;
    }
    // A trailer section lives as long as its body's consumer likes: it gets bytes of its own.
    let bytes = bytes::Bytes::copy_from_slice(&input[..end]);
    bytes::Buf::advance(input, end);
    Ok(Some(Trailers { bytes, fields }))
}

/// Moves the bytes of a head that was read from the input to the head.
#[inline]
fn take(input: &mut BytesMut, head: &mut RequestHead, start: usize, end: usize, limits: &Limits) {
    head.keep_bytes(&input[start..end], limits);
    cut(input, end);
}

/// Takes `end` bytes off the front.
#[inline]
fn cut(input: &mut BytesMut, end: usize) {
    if end == input.len() {
        // The buffer stays whole, as it would not if its front were cut off.
        input.clear();
    } else {
        bytes::Buf::advance(input, end);
    }
}

#[cfg(feature = "sweep")]
use super::sweep::plain_head as sweep;

#[cfg(not(feature = "sweep"))]
const fn sweep(_: &[u8], _: &mut RequestHead, _: &Limits) -> Option<usize> {
    None
}

/// A head, and where it ends.
#[cfg(feature = "testing")]
type Ended = (RequestHead, usize);

/// What the sweep reads, if it reads anything, and what httparse and our checks then read.
#[cfg(feature = "testing")]
pub(crate) fn read_both_ways(bytes: &[u8], limits: &Limits) -> Option<(Ended, Option<Ended>)> {
    let (mut swept, mut parsed) = (RequestHead::vacant(), RequestHead::vacant());
    let swept_end = sweep(bytes, &mut swept, limits)?;
    swept.keep_bytes(&bytes[..swept_end], limits);
    let parsed = match strict_request(bytes, &mut parsed, limits) {
        Strict::Read { start, end } => {
            parsed.keep_bytes(&bytes[start..end], limits);
            Some((parsed, end))
        }
        Strict::Refused(_) | Strict::Unsure => None,
    };
    Some(((swept, swept_end), parsed))
}

/// What one optimistic pass came to.
enum Strict {
    /// Everything but the bytes was read into the head.
    Read { start: usize, end: usize },
    /// The head is well-formed, and what it says is refused.
    Refused(Refusal),
    /// The bytes are not a complete head that httparse and our checks agree on: the scanner says why.
    Unsure,
}

#[inline]
fn strict_request(bytes: &[u8], head: &mut RequestHead, limits: &Limits) -> Strict {
    let max = limits.max_fields;
    let read = if max <= STACK_FIELDS {
        strict_request_in(bytes, head, &mut [const { MaybeUninit::uninit() }; STACK_FIELDS][..max], limits)
    } else {
        strict_request_in(bytes, head, &mut vec![const { MaybeUninit::uninit() }; max], limits)
    };
    match read {
        Some(Ok((start, end))) => Strict::Read { start, end },
        Some(Err(refusal)) => Strict::Refused(refusal),
        None => Strict::Unsure,
    }
}

fn strict_request_in<'b>(
    bytes: &'b [u8],
    head: &mut RequestHead,
    slots: &mut [MaybeUninit<httparse::Header<'b>>],
    limits: &Limits,
) -> Option<Result<(usize, usize), Refusal>> {
    let mut request = httparse::Request::new(&mut []);
    let Ok(httparse::Status::Complete(end)) = request.parse_with_uninit_headers(bytes, slots) else {
        return None;
    };
    let (method, target, minor) = (request.method?, request.path?, request.version?);
    let origin = bytes.as_ptr() as usize;
    let offset = move |part: &[u8]| (part.as_ptr() as usize).wrapping_sub(origin);

    // One empty line may come before the request line (RFC 9112 §2.2): httparse skips any number, of any kind.
    let start = offset(method.as_bytes());
    if !(start == 0 || (start == 2 && bytes[0] == b'\r')) {
        return None;
    }
    let query = query_start(target.as_bytes())?;
    let target_at = offset(target.as_bytes());
    let line_end = target_at + target.len() + " HTTP/1.1".len();
    if line_end - start > limits.max_request_line_bytes || !bytes[line_end..].starts_with(b"\r\n") {
        return None;
    }
    let fields_start = line_end + 2;
    if end - fields_start > limits.max_header_bytes {
        return None;
    }

    let mut framing = Framing::knowing(&head.known_host);
    let mut refused = None;
    // httparse takes a lone LF for a line's end; we do not. It lets nothing stand between two lines, so that what comes
    // before each of them is the end of the one before.
    let follows_crlf = move |at: usize| bytes[..at].ends_with(b"\r\n");
    let mut lines_end_well = follows_crlf(end - 2);
    head.fields.clear();
    head.fields.reserve(request.headers.len());
    for header in request.headers.iter() {
        let (name, value) = (header.name.as_bytes(), header.value);
        let at = offset(name);
        lines_end_well &= follows_crlf(at);
        // An empty value may be given as standing anywhere.
        let value_at = if value.is_empty() { at + name.len() + 1 } else { offset(value) };
        let span = FieldSpan {
            name: (at - start) as u32,
            value: (value_at - start) as u32,
            name_len: name.len() as u16,
            value_len: value.len() as u16,
        };
        // Remembered, not returned: whether the rest is well-formed comes first, as it does for the scanner.
        if let Err(fault) = framing.field(name, value) {
            refused.get_or_insert(fault);
        }
        head.fields.push(span);
    }
    if !lines_end_well {
        return None;
    }
    let line_limit = limits.field_line_bytes();
    if end - fields_start > line_limit && has_line_over(line_limit, &head.fields, end - 2 - start) {
        return None;
    }
    if let Some(refusal) = refused {
        return Some(Err(refusal));
    }
    let Ok(method) = Method::from_bytes(method.as_bytes()) else {
        return Some(Err(Refusal::BadRequestLine(LineFault::Method)));
    };
    if !is_target(&method, target.as_bytes()) {
        return Some(Err(Refusal::BadTarget));
    }
    head.version = if minor == 0 { Version::HTTP_10 } else { Version::HTTP_11 };
    head.facts = match framing.decide(&method, head.version, limits.max_body_bytes) {
        Ok(facts) => facts,
        Err(refusal) => return Some(Err(refusal)),
    };
    if let Some(host) = framing.new_host {
        head.keep_host(host);
    }
    head.method = method;
    let target_start = (target_at - start) as u32;
    head.target = TextSpan { start: target_start, end: target_start + target.len() as u32 };
    head.query = query;
    Some(Ok((start, end)))
}

/// Whether one of the lines, the last of which ends before `end`, has more than `limit` bytes without its CRLF.
#[cold]
fn has_line_over(limit: usize, fields: &[FieldSpan], end: usize) -> bool {
    let ends = fields.iter().skip(1).map(|next| next.name as usize).chain([end]);
    fields.iter().zip(ends).any(|(field, end)| end - 2 - field.name as usize > limit)
}

fn skip_blanks(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t')) {
        at += 1;
    }
    at
}

/// The field line at `at`, which the scanner found well-formed, and where the next one begins.
fn field_at(bytes: &[u8], at: usize) -> Option<(FieldSpan, usize)> {
    let colon = at + memchr::memchr(b':', &bytes[at..])?;
    let line_end = at + memchr::memchr(b'\r', &bytes[at..])?;
    let value = skip_blanks(bytes, colon + 1).min(line_end);
    let mut value_end = line_end;
    while value_end > value && matches!(bytes[value_end - 1], b' ' | b'\t') {
        value_end -= 1;
    }
    let span = FieldSpan {
        name: u32::try_from(at).ok()?,
        value: u32::try_from(value).ok()?,
        name_len: u16::try_from(colon - at).ok()?,
        value_len: u16::try_from(value_end - value).ok()?,
    };
    Some((span, line_end + 2))
}

/// Fields that frame, route or control a message: in a trailer section they could only mislead whoever merges it
/// (RFC 9110 §6.5.1).
fn is_forbidden_in_trailers(name: &[u8]) -> bool {
    const FORBIDDEN: [&[u8]; 8] = [
        b"content-length",
        b"transfer-encoding",
        b"host",
        b"connection",
        b"trailer",
        b"te",
        b"upgrade",
        b"expect",
    ];
    FORBIDDEN.iter().any(|forbidden| name.eq_ignore_ascii_case(forbidden))
}

#[cfg(test)]
mod tests {
    use super::super::scan::Section;
    use super::*;

    #[test]
    fn every_trailer_is_read_however_long_the_one_before() {
        let mut input = BytesMut::from("x: a long value, far longer than what follows\r\ny: b\r\n\r\nrest");
        let mut scan = Scan::new(Section::Trailers);
        let trailers = trailers(&mut input, &mut scan, &Limits::default()).unwrap().unwrap();
        assert_eq!(trailers.field("y"), Some(&b"b"[..]));
        assert_eq!(input, "rest");
    }

    #[test]
    fn blanks_around_a_trailers_value_are_no_part_of_it() {
        let mut input = BytesMut::from("x: \t a b \t\r\ny: \r\nz:\r\n\r\n");
        let mut scan = Scan::new(Section::Trailers);
        let trailers = trailers(&mut input, &mut scan, &Limits::default()).unwrap().unwrap();
        let fields: Vec<_> = trailers.fields().collect();
        assert_eq!(fields, [("x", &b"a b"[..]), ("y", b""), ("z", b"")]);
    }

    /// All that comes of reading `bytes` into `head`.
    fn told(bytes: &str, head: &mut RequestHead, limits: &Limits) -> String {
        let mut input = BytesMut::from(bytes);
        match request_head(&mut input, head, &mut Scan::new(Section::Head), limits) {
            Ok(true) => {
                let (authority, query, facts) = (head.authority(), head.query(), head.facts);
                format!("{head:?}, {authority:?}, {query:?}, {facts:?}, and {input:?} is left")
            }
            nothing => format!("{nothing:?}"),
        }
    }

    #[test]
    fn what_was_read_into_a_head_before_changes_nothing() {
        const TEXTS: [&str; 12] = [
            "GET /a HTTP/1.1\r\nHost: one\r\nX: y\r\n\r\n",
            "GET /a HTTP/1.1\r\nHost: one\r\nX: y\r\n\r\nGET /a HTTP/1.1\r\nHost: one\r\n",
            "GET /a HTTP/1.1\r\nHost: one\r\nX: y\r\nPart: of a li",
            "GET /a HTTP/1.1\r\nHost: one\r\nX: y\r\n:\r\n\r\n",
            "GET /a HTTP/1.0\r\n\r\n",
            "GET /a HTTP/1.2\r\nHost: one\r\nX: y\r\n\r\n",
            "\r\nGET /a HTTP/1.1\r\nHost: one\r\nX: y\r\n\r\n",
            "GET /a?b HTTP/1.1\r\nHost: other\r\n\r\n",
            "POST /a HTTP/1.1\r\nHost: one\r\nContent-Length: 5\r\n\r\nhello",
            "BREW /a HTTP/1.1\r\nHost: one\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
            "GET",
            "",
        ];
        let narrow = Limits { max_fields: 1, max_body_bytes: 4, ..Limits::default() };
        let limits = [Limits::default(), narrow];
        let steps = || TEXTS.into_iter().flat_map(|text| limits.iter().map(move |limits| (text, limits)));
        for first in steps() {
            for second in steps() {
                for third in steps() {
                    let mut head = RequestHead::vacant();
                    for (text, limits) in [first, second, third] {
                        let fresh = told(text, &mut RequestHead::vacant(), limits);
                        assert_eq!(told(text, &mut head, limits), fresh, "{first:?}, {second:?}, {third:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn empty_line_before_a_head_counts_against_none_of_its_limits() {
        let bytes = b"\r\nGET /234567 HTTP/1.1\r\nHost: a\r\nx: yyyyyyy\r\n\r\n";
        let limits = Limits {
            max_request_line_bytes: 20,
            max_field_line_bytes: 10,
            max_header_bytes: 23,
            ..Limits::default()
        };
        let mut head = RequestHead::vacant();
        let read = strict_request(bytes, &mut head, &limits);
        assert!(matches!(read, Strict::Read { start: 2, end } if end == bytes.len()));
    }

    #[test]
    fn empty_value_stands_behind_its_colon() {
        let bytes = b"BREW / HTTP/1.1\r\nHost: a\r\nx-empty:\r\nx-blank: \r\n\r\n";
        let mut head = RequestHead::vacant();
        assert!(matches!(
            strict_request(bytes, &mut head, &Limits::default()),
            Strict::Read { start: 0, .. }
        ));
        for name in ["x-empty", "x-blank"] {
            let at = bytes.windows(name.len()).position(|text| text == name.as_bytes()).unwrap();
            let value = (at + name.len() + 1) as u32;
            assert!(head.fields.iter().any(|span| (span.value, span.value_len) == (value, 0)), "{name}");
        }
    }
}
