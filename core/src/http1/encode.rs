//! Answer heads: status line, date, server, the application's fields, framing, connection (RFC 9112 §4, §6).
//!
//! A head that reaches the buffer cannot be split (names and values hold no line end) and cannot contradict its body (the
//! framing fields are written here and nowhere else).

use core::hint::cold_path;

use http::StatusCode;
use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, TRANSFER_ENCODING, UPGRADE,
};

use super::framing::parse_decimal;
use super::misuse::Misuse;
use crate::fields::Fields;
use crate::time::DATE_LINE_BYTES;
use crate::turn::Turn;

/// How long an answer's body is, as its sender knows it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AnswerLength {
    /// So many bytes.
    Known(u64),
    /// Until it ends: chunked in HTTP/1.1, until the connection closes in HTTP/1.0.
    Unknown,
}

/// What an answer's head says of the message's end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Framing {
    /// Nothing: the status or the method says that there is no body, or the connection's end ends it.
    Unsaid,
    ContentLength(u64),
    Chunked,
}

/// What an answer's head says of the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ConnectionOption {
    /// Nothing: HTTP/1.1 persists unless told otherwise.
    Unsaid,
    Close,
    KeepAlive,
    Upgrade,
}

/// What the application's fields say themselves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Said {
    pub(crate) date: bool,
    pub(crate) server: bool,
    pub(crate) close: bool,
    pub(crate) upgrade: bool,
    pub(crate) content_length: Option<u64>,
}

/// Looks the application's fields through for what is not the application's.
#[inline]
pub(crate) fn inspect(fields: &Fields) -> Result<Said, Misuse> {
    let mut said = Said::default();
    fields.iter().try_for_each(|(name, value)| {
        // `http` keeps names in lower case, and a name's length tells nearly all of them from these.
        match name.as_str() {
            "date" => said.date = true,
            "server" => said.server = true,
            "upgrade" => said.upgrade = true,
            "content-length" => {
                let length = parse_decimal(value.as_bytes()).ok_or(Misuse::ContradictingLength)?;
                if said.content_length.replace(length).is_some_and(|other| other != length) {
                    return Err(Misuse::ContradictingLength);
                }
            }
            // `close` is a wish that an application may well have; everything else is ours to say.
            "connection" if value.as_bytes().eq_ignore_ascii_case(b"close") => said.close = true,
            "connection" | "transfer-encoding" | "keep-alive" => return Err(Misuse::FramingField),
            _ => {}
        }
        Ok(())
    })?;
    Ok(said)
}

/// Whether a field is among those that [`inspect`] has something to say about, or that depend on the framing. A name's
/// length tells nearly all others.
#[inline]
pub(crate) fn says_something(fields: &Fields) -> bool {
    const LENGTHS: u32 = lengths(&[
        "date",
        "server",
        "trailer",
        "upgrade",
        "connection",
        "content-length",
        "transfer-encoding",
    ]);
    fields.any_line(|name, _| {
        // The one that nearly every answer has is none of them, and need not be spelt out to be told.
        *name != CONTENT_TYPE
            && 1_u32.checked_shl(name.as_str().len() as u32).is_some_and(|bit| bit & LENGTHS != 0)
    })
}

const fn lengths(names: &[&str]) -> u32 {
    let (mut set, mut at) = (0, 0);
    while at < names.len() {
        set |= 1 << names[at].len();
        at += 1;
    }
    set
}

/// Appends the head of an answer of which nothing is to be decided: its length frames it, the connection is not mentioned.
#[inline]
pub(crate) fn plain_head(
    out: &mut Vec<u8>,
    status: StatusCode,
    server: Option<&HeaderValue>,
    fields: &Fields,
    length: u64,
    turn: &mut Turn<'_>,
) {
    out.reserve(256);
    if status == StatusCode::OK {
        out.extend_from_slice(turn.dates.opening(turn.now, server, opening));
    } else {
        cold_path();
        status_line(out, status);
        opening_lines(out, turn.dates.line(turn.now), server);
    }
    match fields.first_line() {
        // The one that nearly every answer has.
        Some((name, value)) if *name == CONTENT_TYPE => {
            out.extend_from_slice(b"content-type: ");
            out.extend_from_slice(value.as_bytes());
            out.extend_from_slice(b"\r\n");
            for (name, value) in fields.more_lines() {
                line(out, name.as_str(), value);
            }
        }
        _ => fields.iter().for_each(|(name, value)| line(out, name.as_str(), value)),
    }
    content_length(out, length, b"\r\n\r\n");
}

/// What an answer of status 200 begins with.
fn opening(out: &mut Vec<u8>, date: Option<&[u8; DATE_LINE_BYTES]>, server: Option<&HeaderValue>) {
    status_line(out, StatusCode::OK);
    opening_lines(out, date, server);
}

fn opening_lines(out: &mut Vec<u8>, date: Option<&[u8; DATE_LINE_BYTES]>, server: Option<&HeaderValue>) {
    if let Some(date) = date {
        out.extend_from_slice(date);
    }
    if let Some(server) = server {
        line(out, "server", server);
    }
}

/// What goes into one head.
pub(crate) struct Head<'a> {
    pub(crate) status: StatusCode,
    pub(crate) fields: &'a Fields,
    pub(crate) said: Said,
    /// The `Date` line, its end included.
    pub(crate) date: Option<&'a [u8; DATE_LINE_BYTES]>,
    pub(crate) server: Option<&'a HeaderValue>,
    pub(crate) framing: Framing,
    pub(crate) option: ConnectionOption,
}

impl Head<'_> {
    /// Appends the head, its empty line included.
    #[inline]
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        // Room for what most heads take, asked for once.
        out.reserve(256);
        status_line(out, self.status);
        opening_lines(out, self.date.filter(|_| !self.said.date), self.server.filter(|_| !self.said.server));
        self.field_lines(out);
        // As a rule the connection lives on and nothing is said of it.
        let plain = self.option == ConnectionOption::Unsaid && !self.said.upgrade;
        match self.framing {
            Framing::ContentLength(length) if plain => return content_length(out, length, b"\r\n\r\n"),
            Framing::ContentLength(length) => content_length(out, length, b"\r\n"),
            Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
            Framing::Unsaid => {}
        }
        self.connection_line(out);
    }

    /// Appends the application's fields, but for what is said elsewhere, and for a promise that cannot be kept: only behind
    /// chunks is there a place for trailer fields (RFC 9110 §6.5).
    #[inline]
    fn field_lines(&self, out: &mut Vec<u8>) {
        self.fields.iter().for_each(|(name, value)| match name.as_str() {
            "content-length" | "connection" => {}
            "trailer" if self.framing != Framing::Chunked => {}
            name => line(out, name, value),
        });
    }

    /// Appends what is said of the connection, and the empty line.
    fn connection_line(&self, out: &mut Vec<u8>) {
        // An `Upgrade` field is for this connection alone, and is named here wherever it is sent (RFC 9110 §7.8).
        let option: &[u8] = match (self.option, self.said.upgrade) {
            (ConnectionOption::Unsaid, false) => b"\r\n",
            (ConnectionOption::Close, false) => b"connection: close\r\n\r\n",
            (ConnectionOption::Close, true) => b"connection: close, upgrade\r\n\r\n",
            (ConnectionOption::KeepAlive, false) => b"connection: keep-alive\r\n\r\n",
            (ConnectionOption::KeepAlive, true) => b"connection: keep-alive, upgrade\r\n\r\n",
            (ConnectionOption::Upgrade, _) | (ConnectionOption::Unsaid, true) => {
                b"connection: upgrade\r\n\r\n"
            }
        };
        out.extend_from_slice(option);
    }
}

/// Appends a length and `end`, as one piece of a fixed size: lengths of copies that are known when this is compiled cost
/// next to nothing.
#[inline]
fn content_length<const END: usize>(out: &mut Vec<u8>, length: u64, end: &[u8; END]) {
    const NAME: &[u8; 16] = b"content-length: ";
    const MOST_DIGITS: usize = 20;
    let mut text = [0; NAME.len() + MOST_DIGITS + 4];
    text[..NAME.len()].copy_from_slice(NAME);
    let digits = match u16::try_from(length) {
        Ok(length) if length < 10_000 => {
            let (digits, zeros) = four_digits(length);
            text[NAME.len()..NAME.len() + 4].copy_from_slice(&digits);
            4 - zeros
        }
        _ => {
            let digits = length.ilog10() as usize + 1;
            let mut rest = length;
            for digit in text[NAME.len()..NAME.len() + digits].iter_mut().rev() {
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
            digits
        }
    };
    text[NAME.len() + digits..NAME.len() + digits + END].copy_from_slice(end);
    let surplus = text.len() - (NAME.len() + digits + END);
    out.extend_from_slice(&text);
    out.truncate(out.len() - surplus);
}

/// The digits of a number below 10,000, by two at a time, as most lengths are. The zeros that it does not begin with come last:
/// so many.
#[inline]
fn four_digits(number: u16) -> ([u8; 4], usize) {
    const PAIRS: [[u8; 2]; 100] = pairs();
    let [[first, second], [third, fourth]] =
        [PAIRS[usize::from(number / 100)], PAIRS[usize::from(number % 100)]];
    let zeros = u32::from(number < 1000) + u32::from(number < 100) + u32::from(number < 10);
    let digits = u32::from_le_bytes([first, second, third, fourth]).rotate_right(8 * zeros);
    (digits.to_le_bytes(), zeros as usize)
}

const fn pairs() -> [[u8; 2]; 100] {
    let (mut pairs, mut number) = ([[0; 2]; 100], 0);
    while number < 100 {
        pairs[number as usize] = [b'0' + number / 10, b'0' + number % 10];
        number += 1;
    }
    pairs
}

/// Appends an interim answer (RFC 9110 §15.2).
pub(crate) fn interim(out: &mut Vec<u8>, status: StatusCode, fields: &Fields) {
    status_line(out, status);
    fields.iter().for_each(|(name, value)| line(out, name.as_str(), value));
    out.extend_from_slice(b"\r\n");
}

/// Appends a trailer section, its empty line included.
pub(crate) fn trailer_section(out: &mut Vec<u8>, trailers: Option<&Fields>) {
    if let Some(trailers) = trailers {
        for (name, value) in trailers.iter().filter(|(name, _)| may_trail(name)) {
            line(out, name.as_str(), value);
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// Fields that frame or route a message must not come after it (RFC 9110 §6.5.1): they are left out.
fn may_trail(name: &HeaderName) -> bool {
    use http::header::{HOST, TE, TRAILER};
    ![CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION, UPGRADE, HOST, TE, TRAILER].contains(name)
}

#[inline]
fn line(out: &mut Vec<u8>, name: &str, value: &HeaderValue) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Always HTTP/1.1, whatever the request's version: a server names the highest it conforms to (RFC 9110 §2.5).
#[inline]
fn status_line(out: &mut Vec<u8>, status: StatusCode) {
    if status == StatusCode::OK {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_written_as_it_is() {
        let around_powers = (0..20).flat_map(|power| {
            let power = 10_u64.pow(power);
            [power - 1, power, power + 1]
        });
        for length in (0..=10_100).chain(around_powers).chain([u64::MAX]) {
            let mut out = Vec::new();
            content_length(&mut out, length, b"\r\n");
            assert_eq!(String::from_utf8_lossy(&out), format!("content-length: {length}\r\n"));
        }
    }
}
