//! Answer heads: status line, date, server, the application's fields, framing, connection (RFC 9112 §4, §6).
//!
//! A head that reaches the buffer cannot be split (names and values hold no line end) and cannot contradict its body (the
//! framing fields are written here and nowhere else).

use http::StatusCode;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderName, HeaderValue, TRANSFER_ENCODING, UPGRADE};

use super::framing::parse_decimal;
use super::misuse::Misuse;
use crate::fields::Fields;
use crate::time::DATE_LINE_BYTES;

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
        if let Some(date) = self.date
            && !self.said.date
        {
            out.extend_from_slice(date);
        }
        if let Some(server) = self.server
            && !self.said.server
        {
            out.extend_from_slice(b"server: ");
            out.extend_from_slice(server.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        field_lines(out, self.fields);
        match self.framing {
            Framing::Unsaid => {}
            Framing::ContentLength(length) => {
                out.extend_from_slice(b"content-length: ");
                out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
                out.extend_from_slice(b"\r\n");
            }
            Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        }
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

/// Appends an interim answer (RFC 9110 §15.2).
pub(crate) fn interim(out: &mut Vec<u8>, status: StatusCode, fields: &Fields) {
    status_line(out, status);
    field_lines(out, fields);
    out.extend_from_slice(b"\r\n");
}

/// Appends a trailer section, its empty line included.
pub(crate) fn trailer_section(out: &mut Vec<u8>, trailers: Option<&Fields>) {
    if let Some(trailers) = trailers {
        for (name, value) in trailers.iter().filter(|(name, _)| may_trail(name)) {
            line(out, name.as_str().as_bytes(), value.as_bytes());
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
fn field_lines(out: &mut Vec<u8>, fields: &Fields) {
    fields.iter().for_each(|(name, value)| {
        if !matches!(name.as_str(), "content-length" | "connection") {
            line(out, name.as_str().as_bytes(), value.as_bytes());
        }
    });
}

#[inline]
fn line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
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
