//! One sweep over a head that has nothing unusual: its spans and facts at once, or nothing at all.
//!
//! ```text
//!   "GET " ─► target ─► " HTTP/1.1\r\n" ─► ( name ":" OWS value "\r\n" )* ─► "\r\n"     read
//!      └────────┴──────────────┴────────────────────┴─────────────────────────► anything else: not for the sweep
//! ```
//!
//! Whatever is refused, incomplete, near a limit or just rare is left to [`parse`](super::parse), which decides it without
//! regard to the sweep. So the sweep refuses nothing, and what it reads is what the other path would have read of the same
//! bytes: a property says so, and a fuzz target.

use core::hint::cold_path;

use http::{Method, Version};

use super::framing::Framing;
use super::head::{FieldSpan, RequestHead, TextSpan};
use super::limits::Limits;
use super::scan::{is_path_byte, is_target_byte, is_token_byte};

/// Reads a plain head from the front of `bytes` into `head`, all but the bytes themselves, and says where it ends.
#[inline]
pub(crate) fn plain_head(bytes: &[u8], head: &mut RequestHead, limits: &Limits) -> Option<usize> {
    let (method, target_start) = method(bytes)?;
    // An origin-form: whatever the method, it means the same (RFC 9112 §3.2.1).
    if bytes.get(target_start) != Some(&b'/') {
        cold_path();
        return None;
    }
    let path_end = skip(bytes, target_start + 1, is_path_byte);
    let (target_end, query) = match bytes.get(path_end)? {
        b'?' => {
            cold_path();
            (skip(bytes, path_end + 1, is_target_byte), Some((path_end - target_start) as u32))
        }
        _ => (path_end, None),
    };
    let (version, fields_start) = version(bytes, target_end)?;
    if fields_start - 2 > limits.max_request_line_bytes {
        cold_path();
        return None;
    }
    let mut framing = Framing::knowing(&head.known_host);
    let end = fields(bytes, fields_start, &mut head.fields, &mut framing, limits)?;
    if end - fields_start > limits.max_header_bytes {
        cold_path();
        return None;
    }
    // None of the methods is CONNECT, and that alone is asked.
    let facts = framing.decide(&Method::GET, version, limits.max_body_bytes).ok()?;
    if let Some(host) = framing.new_host {
        cold_path();
        head.keep_host(host);
    }
    head.method = method.into();
    head.version = version;
    head.target = TextSpan { start: target_start as u32, end: target_end as u32 };
    head.query = query;
    head.facts = facts;
    Some(end)
}

/// A common method. Smaller than `http`'s, which has room for any other.
#[derive(Clone, Copy)]
enum Common {
    Get,
    Post,
    Head,
    Put,
    Delete,
    Patch,
    Options,
}

impl From<Common> for Method {
    #[inline]
    fn from(common: Common) -> Self {
        match common {
            Common::Get => Self::GET,
            Common::Post => Self::POST,
            Common::Head => Self::HEAD,
            Common::Put => Self::PUT,
            Common::Delete => Self::DELETE,
            Common::Patch => Self::PATCH,
            Common::Options => Self::OPTIONS,
        }
    }
}

/// The method, if it is a common one, and where the target begins.
#[inline]
fn method(bytes: &[u8]) -> Option<(Common, usize)> {
    const fn word(text: [u8; 8]) -> u64 {
        u64::from_le_bytes(text)
    }
    let Some(first) = bytes.first_chunk() else {
        cold_path();
        return None;
    };
    let start = word(*first);
    let begins = |text: [u8; 8], len: usize| start << (64 - 8 * len) == word(text) << (64 - 8 * len);
    Some(if begins(*b"GET     ", 4) {
        (Common::Get, 4)
    } else if begins(*b"POST    ", 5) {
        (Common::Post, 5)
    } else if begins(*b"HEAD    ", 5) {
        (Common::Head, 5)
    } else if begins(*b"PUT     ", 4) {
        (Common::Put, 4)
    } else if begins(*b"DELETE  ", 7) {
        (Common::Delete, 7)
    } else if begins(*b"PATCH   ", 6) {
        (Common::Patch, 6)
    } else if begins(*b"OPTIONS ", 8) {
        (Common::Options, 8)
    } else {
        cold_path();
        return None;
    })
}

/// The version after a target that ends at `at`, and where the field lines begin.
#[inline]
fn version(bytes: &[u8], at: usize) -> Option<(Version, usize)> {
    let text: &[u8; 11] = bytes.get(at..)?.first_chunk()?;
    let [name @ .., minor, b'\r', b'\n'] = text else {
        cold_path();
        return None;
    };
    if u64::from_le_bytes(*name) != u64::from_le_bytes(*b" HTTP/1.") {
        cold_path();
        return None;
    }
    match minor {
        b'1' => Some((Version::HTTP_11, at + 11)),
        b'0' => {
            cold_path();
            Some((Version::HTTP_10, at + 11))
        }
        _ => {
            cold_path();
            None
        }
    }
}

/// Reads the field lines that begin at `at`, and the empty line; says where that ends.
#[inline(never)]
fn fields<'b>(
    bytes: &'b [u8],
    mut at: usize,
    table: &mut Vec<FieldSpan>,
    framing: &mut Framing<'b, '_>,
    limits: &Limits,
) -> Option<usize> {
    let line_limit = limits.field_line_bytes();
    table.clear();
    loop {
        let colon = skip(bytes, at, is_token_byte);
        let line_end = match *bytes.get(colon)? {
            b':' if colon > at => value_end(bytes, colon + 1)?,
            // An empty line ends the section. Nothing else begins without a name.
            b'\r' if colon == at && bytes.get(at + 1) == Some(&b'\n') => return Some(at + 2),
            _ => {
                cold_path();
                return None;
            }
        };
        if line_end - at > line_limit || table.len() == limits.max_fields {
            cold_path();
            return None;
        }
        let value = trimmed(bytes, colon + 1, line_end);
        framing.field(&bytes[at..colon], &bytes[value.0..value.1]).ok()?;
        // No cut: a field line is at most `u16::MAX` bytes long, see `Limits::field_line_bytes`.
        table.push(FieldSpan {
            name: at as u32,
            value: value.0 as u32,
            name_len: (colon - at) as u16,
            value_len: (value.1 - value.0) as u16,
        });
        at = line_end + 2;
    }
}

/// What is left of `start..end` without white space around it; begins at `start` where nothing is. Nothing below a space
/// but a tab is in it.
#[inline]
fn trimmed(bytes: &[u8], start: usize, end: usize) -> (usize, usize) {
    match &bytes[start..end] {
        // As nearly all are written.
        [b' ', first, ..] if *first > b' ' && bytes[end - 1] > b' ' => (start + 1, end),
        value => {
            cold_path();
            let Some(first) = value.iter().position(|byte| *byte > b' ') else { return (start, start) };
            let last = value.iter().rposition(|byte| *byte > b' ').unwrap_or(first);
            (start + first, start + last + 1)
        }
    }
}

/// The first position from `at` on whose byte is not `so`; the length of `bytes` where all are.
#[inline]
fn skip(bytes: &[u8], mut at: usize, so: impl Fn(u8) -> bool) -> usize {
    // Eight at a time: the bounds are checked once for them.
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        for byte in chunk {
            if !so(*byte) {
                return at;
            }
            at += 1;
        }
    }
    while bytes.get(at).is_some_and(|byte| so(*byte)) {
        cold_path();
        at += 1;
    }
    at
}

/// Where a field value (RFC 9110 §5.5) that begins before `at` ends, and CRLF follows.
#[inline]
fn value_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk)
            && !has_control(chunk)
        {
            at += chunk.len();
        }
        while let Some(word) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
            let controls = controls(u64::from_le_bytes(*word));
            if controls != 0 {
                at += controls.trailing_zeros() as usize / 8;
                break;
            }
            at += word.len();
        }
        match bytes.get(at..)? {
            [b'\r', b'\n', ..] => return Some(at),
            [b'\t' | b' '..=0x7e | 0x80.., ..] => {
                cold_path();
                at += 1;
            }
            _ => {
                cold_path();
                return None;
            }
        }
    }
}

/// Whether a byte is a control. No early end: that lets the compiler look at all of them at once.
#[inline]
fn has_control(chunk: &[u8; 16]) -> bool {
    chunk.iter().fold(false, |found, byte| found | (*byte < b' ') | (*byte == 0x7f))
}

/// The high bit of every byte below 0x20, and of every 0x7f. Bits above the lowest may be set for other bytes too.
#[inline]
const fn controls(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGHS: u64 = ONES << 7;
    let below_space = word.wrapping_sub(ONES * 0x20) & !word;
    let deletes = word ^ (ONES * 0x7f);
    (below_space | (deletes.wrapping_sub(ONES) & !deletes)) & HIGHS
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::heads::agree;

    /// As clients send them. One that is not swept costs twice, and nothing else would tell.
    const USUAL: [&str; 8] = [
        "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET /plaintext HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n",
        "HEAD /a?b=c&d=%20 HTTP/1.1\r\nHost:a\r\nX-Empty:\r\nX-Blank: \t \r\nX-Tab: a\tb\r\nX-End: c  \r\n\r\n",
        "POST /upload HTTP/1.1\r\nhost: [::1]:80\r\ncontent-length: 11\r\nexpect: 100-continue\r\n\r\n",
        "PUT /x HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n",
        "DELETE /{id}|x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Latin: caf\u{e9}\r\n\r\n",
        "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    ];

    /// Well-formed, or nearly; none is for the sweep.
    const UNUSUAL: [&str; 12] = [
        "",
        "GET / HTTP/1.1\r\nHost: localhost\r\n",
        "\r\nGET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.2\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
    ];

    #[test]
    fn usual_heads_are_swept() {
        for head in USUAL {
            assert!(agree(head.as_bytes(), &Limits::default()), "{head:?}");
        }
    }

    #[test]
    fn unusual_heads_are_not_swept() {
        for head in UNUSUAL {
            assert!(!agree(head.as_bytes(), &Limits::default()), "{head:?}");
        }
    }

    #[test]
    fn every_byte_in_every_place_is_judged_as_by_the_other_path() {
        for head in USUAL {
            for at in 0..head.len() {
                for byte in 0..=u8::MAX {
                    let mut bytes = head.as_bytes().to_vec();
                    bytes[at] = byte;
                    agree(&bytes, &Limits::default());
                }
            }
        }
    }

    #[test]
    fn limits_hold_to_the_byte() {
        for head in USUAL {
            for size in 0..=head.len() {
                for limits in [
                    Limits { max_request_line_bytes: size, ..Limits::default() },
                    Limits { max_header_bytes: size, ..Limits::default() },
                    Limits { max_field_line_bytes: size, ..Limits::default() },
                    Limits { max_fields: size, ..Limits::default() },
                    Limits { max_body_bytes: size as u64, ..Limits::default() },
                ] {
                    agree(head.as_bytes(), &limits);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn mutated_heads_are_read_alike(
            head in prop::sample::select(&USUAL[..]),
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 0..6),
        ) {
            let mut bytes = head.as_bytes().to_vec();
            for (at, byte, edit) in edits {
                let at = at.index(bytes.len());
                match edit {
                    0 => bytes[at] = byte,
                    1 => bytes.insert(at, byte),
                    _ if bytes.len() > 1 => drop(bytes.remove(at)),
                    _ => {}
                }
            }
            agree(&bytes, &Limits::default());
        }
    }
}
