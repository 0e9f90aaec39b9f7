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
use std::time::Duration;

use chunks::Chunks;
use heads::{date_is_one_and_right, field_of, framing_of, is_unframed, lines_of, status_of, value};

pub(crate) use requests::{chunked_head, get, head, post, post_chunks, post_head};

mod chunks;
mod heads;
mod requests;
mod tests;

/// Longer than anything takes on a machine that is busy with other things; what waits for this has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

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
        let rest = self.received.split_off(count);
        std::mem::replace(&mut self.received, rest)
    }

    /// Reads so many bytes, whatever they are; `false` if the end comes first, be it a reset.
    pub(crate) fn skip(&mut self, count: usize) -> bool {
        let mut left = count - self.received.len().min(count);
        self.received.drain(..count - left);
        let mut buffer = vec![0; 256 * 1024];
        while left > 0 {
            let most = left.min(buffer.len());
            match read(&mut self.stream, &mut buffer[..most]) {
                Ok(0) => return false,
                Ok(more) => left -= more,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return false,
                Err(error) => panic!("{error}, {left} bytes before the last that was due"),
            }
        }
        true
    }

    /// Nothing comes for so long, and no end either.
    pub(crate) fn hears_nothing_for(&mut self, time: Duration) {
        assert!(self.received.is_empty(), "unasked: {:?}", text(&self.received));
        self.stream.set_read_timeout(Some(time)).unwrap();
        let result = read(&mut self.stream, &mut [0]);
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

    /// Everything up to the end, which must be a reset.
    pub(crate) fn rest_before_reset(&mut self) -> Vec<u8> {
        let mut buffer = vec![0; 256 * 1024];
        loop {
            match read(&mut self.stream, &mut buffer) {
                Ok(0) => panic!("an orderly end, after {:?}", text(&self.received)),
                Ok(more) => self.received.extend_from_slice(&buffer[..more]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                    return std::mem::take(&mut self.received);
                }
                Err(error) => panic!("the server did not close: {error}"),
            }
        }
    }

    /// How many bytes come before the end, be it a reset.
    pub(crate) fn rest_count(&mut self) -> u64 {
        let mut count = self.received.len() as u64;
        let mut buffer = vec![0; 256 * 1024];
        loop {
            match read(&mut self.stream, &mut buffer) {
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
        let result = read(&mut self.stream, &mut self.received[start..]);
        self.received.truncate(start + result.as_ref().copied().unwrap_or(0));
        match result {
            Ok(count) => count > 0,
            Err(error) => panic!("{error}, after {:?}", text(&self.received)),
        }
    }
}

/// Reads once, and again if the process was stopped and continued meanwhile.
fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> std::io::Result<usize> {
    loop {
        match stream.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
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

/// Bytes for people, cut where they are too many: those beyond ASCII become letters of their own.
pub(crate) fn text(bytes: &[u8]) -> String {
    bytes.iter().take(MOST_SHOWN).map(|byte| char::from(*byte)).collect()
}

const MOST_SHOWN: usize = 2_000;
