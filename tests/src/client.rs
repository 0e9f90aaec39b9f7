//! A small strict client: bytes out as they are given, and answers in that are held to the letter of their framing.
//!
//! ```text
//!   send ──► server ──► head ──► body by length, by chunks or to the end ──► answer
//!                        ▲ interim ┘                                            └─ end: not a byte behind it
//! ```
//!
//! Everything that two readers could take differently fails the test: a bare CR or LF, two lengths, a length beside chunks, a
//! body on a status that has none, bytes behind the last answer, a reset where an end was due.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, SystemTime};

use crate::client::chunks::Chunks;

mod chunks;

/// Longer than anything takes on a machine that is busy with other things; what waits for this has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// One connection to a server.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    received: Vec<u8>,
}

/// What a request was, as far as its answer's framing depends on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Asked {
    /// An HTTP/1.1 request whose answer may have a body.
    Plain,
    /// `HEAD`: no body, whatever the fields say.
    Head,
    /// HTTP/1.0: no chunks, no interim answers.
    Http10,
}

/// How an answer's body ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Framing {
    /// There is none: the request or the status leaves no room for it.
    None,
    Length,
    Chunked,
    UntilClose,
}

/// An answer, complete.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) framing: Framing,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
    /// Statuses of the interim answers that came before.
    pub(crate) interim: Vec<u16>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).expect("the server accepts"))
    }

    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, received: Vec::new() }
    }

    // ---- out ----

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("the server takes what is sent to it");
    }

    /// Sends each byte in a segment of its own. A server that has heard enough may close meanwhile.
    pub(crate) fn send_bytewise(&mut self, bytes: impl AsRef<[u8]>) {
        for byte in bytes.as_ref() {
            if self.stream.write_all(&[*byte]).is_err() {
                return;
            }
        }
    }

    /// Sends as long as the server takes it, and says whether it took all.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Sends `GET target` and reads the answer.
    pub(crate) fn get(&mut self, target: &str) -> Answer {
        self.send(get(target));
        self.answer()
    }

    /// Sends no more; reads on.
    pub(crate) fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Closes with a reset, so that the server learns at once that nobody is there.
    pub(crate) fn reset(self) {
        rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO)).unwrap();
    }

    /// The same connection, to be written to from another thread.
    pub(crate) fn writer(&self) -> TcpStream {
        self.stream.try_clone().unwrap()
    }

    // ---- in ----

    /// The answer to a request that was [`Asked::Plain`].
    pub(crate) fn answer(&mut self) -> Answer {
        self.answer_to(Asked::Plain)
    }

    pub(crate) fn answer_to(&mut self, asked: Asked) -> Answer {
        let mut interim = Vec::new();
        loop {
            let (status, fields) = self.head();
            if status >= 200 {
                return self.finish(asked, status, fields, interim);
            }
            assert_ne!(asked, Asked::Http10, "an interim answer {status} to an HTTP/1.0 request");
            assert!(is_unframed(&fields), "an interim answer with a body: {fields:?}");
            interim.push(status);
        }
    }

    /// The next interim answer, which must come before the final one.
    pub(crate) fn interim(&mut self) -> u16 {
        let (status, fields) = self.head();
        assert!(status < 200, "a final answer {status} where an interim one was due: {fields:?}");
        status
    }

    /// A status line and its fields.
    pub(crate) fn head(&mut self) -> (u16, Vec<(String, String)>) {
        let end = self.find(b"\r\n\r\n", "a head");
        let head: Vec<u8> = self.received.drain(..end + 4).collect();
        let mut lines = lines_of(&head[..end + 2]);
        let status = status_of(&lines.remove(0));
        (status, lines.iter().map(|line| field_of(line)).collect())
    }

    /// Bytes of a body, as many as asked for.
    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        while self.received.len() < count {
            assert!(self.fill(), "the end, {} bytes before a body's", count - self.received.len());
        }
        self.received.drain(..count).collect()
    }

    /// Nothing comes for so long, and no end either.
    pub(crate) fn hears_nothing_for(&mut self, time: Duration) {
        assert!(self.received.is_empty(), "unasked: {:?}", text(&self.received));
        self.stream.set_read_timeout(Some(time)).unwrap();
        let result = self.stream.read(&mut [0]);
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        match result {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            other => panic!("silence was due, and not {other:?}"),
        }
    }

    /// The server closes, and has sent nothing more.
    pub(crate) fn end(mut self) {
        let rest = self.rest();
        assert!(rest.is_empty(), "behind the last answer: {:?}", text(&rest));
    }

    /// Everything up to the end, which must not be a reset.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.received)
    }

    /// How many bytes come before the end, be it a reset.
    pub(crate) fn rest_count(&mut self) -> u64 {
        let mut count = self.received.len() as u64;
        let mut buffer = vec![0; 256 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return count,
                Ok(more) => count += more as u64,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return count,
                Err(error) => panic!("the server did not close: {error}"),
            }
        }
    }

    // ---- private ----

    fn finish(
        &mut self,
        asked: Asked,
        status: u16,
        fields: Vec<(String, String)>,
        interim: Vec<u16>,
    ) -> Answer {
        date_is_one_and_right(&fields);
        let framing = framing_of(asked, status, &fields);
        let mut answer = Answer { status, fields, framing, body: Vec::new(), trailers: Vec::new(), interim };
        match framing {
            Framing::None => {}
            Framing::Length => {
                let length = answer.number("content-length");
                answer.body = self.take(length);
            }
            Framing::Chunked => {
                let mut chunks = Chunks::default();
                loop {
                    let used = chunks.take(&self.received);
                    self.received.drain(..used);
                    if chunks.is_complete() {
                        break;
                    }
                    assert!(self.fill(), "the end within a chunked body: {chunks:?}");
                }
                (answer.body, answer.trailers) = chunks.into_parts();
            }
            Framing::UntilClose => answer.body = self.rest(),
        }
        answer
    }

    fn find(&mut self, what: &[u8], name: &str) -> usize {
        let mut from = 0;
        loop {
            if let Some(at) = self.received[from..].windows(what.len()).position(|window| window == what) {
                return from + at;
            }
            from = self.received.len().saturating_sub(what.len() - 1);
            assert!(self.fill(), "the end instead of {name}, after {:?}", text(&self.received));
        }
    }

    /// Reads once; `false` at the end.
    fn fill(&mut self) -> bool {
        let start = self.received.len();
        self.received.resize(start + 64 * 1024, 0);
        let result = self.stream.read(&mut self.received[start..]);
        self.received.truncate(start + result.as_ref().copied().unwrap_or(0));
        match result {
            Ok(count) => count > 0,
            Err(error) => panic!("{error}, after {:?}", text(&self.received)),
        }
    }
}

impl Answer {
    /// The value of a field that occurs at most once.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        value(&self.fields, name)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body of text")
    }

    /// Whether it announces the connection's end.
    pub(crate) fn closes(&self) -> bool {
        self.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// Fields apart from `Date`, in one order.
    pub(crate) fn fields_but_date(&self) -> Vec<(String, String)> {
        let mut fields = self.fields.clone();
        fields.retain(|(name, _)| name != "date");
        fields.sort();
        fields
    }

    /// Holds it to its status and body, and gives it back for more.
    #[track_caller]
    pub(crate) fn is(self, status: u16, body: impl AsRef<[u8]>) -> Self {
        let (answer, body) = (self.has_status(status), body.as_ref());
        let differ = answer.body.iter().zip(body).position(|(got, due)| got != due);
        assert!(
            answer.body == body,
            "{} bytes of a body where {} were due, first other at {differ:?}: {:?}",
            answer.body.len(),
            body.len(),
            text(&answer.body)
        );
        answer
    }

    /// Holds it to its status, and gives it back for more.
    #[track_caller]
    pub(crate) fn has_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{:?} {:?}", self.fields, text(&self.body));
        self
    }

    fn number(&self, name: &str) -> usize {
        let value = self.field(name).unwrap();
        assert!(!value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()), "{name}: {value:?}");
        value.parse().unwrap()
    }
}

/// `GET target`, as a client sends it.
pub(crate) fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: demo\r\n\r\n")
}

/// `HEAD target`.
pub(crate) fn head(target: &str) -> String {
    format!("HEAD {target} HTTP/1.1\r\nHost: demo\r\n\r\n")
}

/// `POST target` with a body of this length, which is still to be sent.
pub(crate) fn post_head(target: &str, length: usize) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: demo\r\nContent-Length: {length}\r\n\r\n")
}

/// `POST target` with this body.
pub(crate) fn post(target: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let mut bytes = post_head(target, body.as_ref().len()).into_bytes();
    bytes.extend_from_slice(body.as_ref());
    bytes
}

/// `POST target` with a chunked body, which is still to be sent.
pub(crate) fn chunked_head(target: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: demo\r\nTransfer-Encoding: chunked\r\n\r\n")
}

/// `POST target` with a body in these chunks.
pub(crate) fn post_chunks(target: &str, chunks: &[&[u8]]) -> Vec<u8> {
    let mut bytes = chunked_head(target).into_bytes();
    for chunk in chunks {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

/// The value of a field that occurs at most once.
fn value<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut values = fields.iter().filter(|(known, _)| known == name);
    let value = values.next().map(|(_, value)| value.as_str());
    assert!(values.next().is_none(), "{name} more than once: {fields:?}");
    value
}

fn is_unframed(fields: &[(String, String)]) -> bool {
    value(fields, "content-length").is_none() && value(fields, "transfer-encoding").is_none()
}

fn framing_of(asked: Asked, status: u16, fields: &[(String, String)]) -> Framing {
    let coding = value(fields, "transfer-encoding");
    let length = value(fields, "content-length");
    if let Some(coding) = coding {
        assert_eq!(coding, "chunked");
        assert_eq!(length, None, "a length beside chunks: {fields:?}");
        assert_ne!(asked, Asked::Http10, "chunks for an HTTP/1.0 client");
    }
    match (asked, status) {
        (_, 204) => {
            assert!(is_unframed(fields), "204 with a body: {fields:?}");
            Framing::None
        }
        (Asked::Head, _) | (_, 304) => Framing::None,
        _ if coding.is_some() => Framing::Chunked,
        _ if length.is_some() => Framing::Length,
        _ => {
            assert_eq!(
                value(fields, "connection"),
                Some("close"),
                "a body to the end, unannounced: {fields:?}"
            );
            Framing::UntilClose
        }
    }
}

/// RFC 9110 §6.6.1: a server with a clock says the date, in the one form there is to send.
fn date_is_one_and_right(fields: &[(String, String)]) {
    let date = value(fields, "date").unwrap_or_else(|| panic!("no Date: {fields:?}"));
    let time = httpdate::parse_http_date(date).unwrap_or_else(|_| panic!("Date: {date}"));
    assert_eq!(httpdate::fmt_http_date(time), date, "the preferred form");
    let now = SystemTime::now();
    let apart = now.duration_since(time).or_else(|_| time.duration_since(now)).unwrap();
    assert!(apart < Duration::from_secs(60), "Date: {date}, {apart:?} apart from the clock");
}

/// Lines, each ended by CRLF, without these.
fn lines_of(section: &[u8]) -> Vec<String> {
    let section: String = section.iter().map(|byte| char::from(*byte)).collect();
    let lines: Vec<String> = section.split_terminator("\r\n").map(String::from).collect();
    assert!(section.ends_with("\r\n"), "{section:?}");
    assert!(!lines.iter().any(|line| line.contains(['\r', '\n', '\0'])), "bare line ends: {section:?}");
    lines
}

fn status_of(line: &str) -> u16 {
    let rest = line.strip_prefix("HTTP/1.1 ").unwrap_or_else(|| panic!("no status line: {line:?}"));
    let (status, reason) = rest.split_once(' ').unwrap_or_else(|| panic!("no reason's space: {line:?}"));
    assert!(status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit()), "{line:?}");
    assert!(reason.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()), "{line:?}");
    let status = status.parse().unwrap();
    assert!((100..600).contains(&status), "{line:?}");
    status
}

/// A field's name in lower case, and its value.
pub(super) fn field_of(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no colon: {line:?}"));
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    assert!(!name.is_empty() && name.bytes().all(is_token), "{line:?}");
    let value = value.strip_prefix(' ').unwrap_or_else(|| panic!("no space behind the colon: {line:?}"));
    assert_eq!(value, value.trim_matches([' ', '\t']), "{line:?}");
    (name.to_ascii_lowercase(), value.to_owned())
}

/// Bytes for people, cut where they are too many: those beyond ASCII become letters of their own.
pub(crate) fn text(bytes: &[u8]) -> String {
    bytes.iter().take(MOST_SHOWN).map(|byte| char::from(*byte)).collect()
}

const MOST_SHOWN: usize = 2_000;
