//! One connection of the load: sends what it has to, and looks at every answer.
//!
//! ```text
//!   idle ──ask──► owed n ──answer──► owed n-1 … ──► idle
//!                    └─ head ─► body (left) ─┘
//! ```

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use memchr::memmem;
use rustix::event::epoll;
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use super::source;
use super::spec::{Ask, FILL, HELLO, Spec};

pub(super) struct Client {
    socket: OwnedFd,
    /// Which of the spellings is this connection's.
    spelling: usize,
    /// How much of what is asked has gone out.
    sent: usize,
    /// Answers still to come.
    pub(super) owed: usize,
    /// When the request that is under way should have gone out.
    pub(super) meant: Option<Instant>,
    status: Status,
    body_left: usize,
    /// A head that has not wholly come.
    head: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Status {
    Ok,
    Refused,
    Wrong,
}

/// What all connections of a load share.
pub(super) struct Asked {
    pub(super) ask: Ask,
    spellings: Vec<Vec<u8>>,
    body: Vec<u8>,
    /// Lengths of the last head: the next answer is likely of the same shape.
    head_bytes: usize,
}

impl Asked {
    pub(super) fn new(ask: Ask) -> Self {
        let body = match ask {
            Ask::Echo { bytes } => vec![FILL; bytes],
            _ => HELLO.into(),
        };
        Self { ask, spellings: ask.spellings(), body, head_bytes: 0 }
    }
}

/// Where a connection stands after its socket was ready.
pub(super) enum Turn {
    Goes,
    Ended,
}

impl Client {
    /// A connection under way, registered as `id`.
    pub(super) fn connect(spec: &Spec, poll: &OwnedFd, id: usize) -> io::Result<Self> {
        let socket = net::socket_with(
            AddressFamily::INET,
            SocketType::STREAM,
            SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
            None,
        )?;
        net::sockopt::set_tcp_nodelay(&socket, true)?;
        if spec.ask.is_hostile() {
            // What the kernel takes on its way is none of the server's memory.
            net::sockopt::set_socket_recv_buffer_size(&socket, 4096)?;
        }
        if spec.ask != Ask::Close {
            // However many there were, none of them stays behind (TIME_WAIT) and takes a port from those that come next.
            net::sockopt::set_socket_linger(&socket, Some(Duration::ZERO))?;
        }
        if let Some(source) = spec.source {
            source::leave_port_open(&socket)?;
            net::bind(&socket, &SocketAddrV4::new(source, 0))?;
        }
        let SocketAddr::V4(address) = spec.address else { return Err(ErrorKind::Unsupported.into()) };
        match net::connect(&socket, &address) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let flags =
            epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
        epoll::add(poll, &socket, epoll::EventData::new_u64(id as u64), flags)?;
        Ok(Self::new(socket, id))
    }

    fn new(socket: OwnedFd, spelling: usize) -> Self {
        let (status, head) = (Status::Ok, Vec::new());
        Self { socket, spelling, sent: usize::MAX, owed: 0, meant: None, status, body_left: 0, head }
    }

    /// Asks, and remembers when it should have.
    pub(super) fn ask(&mut self, asked: &Asked, meant: Option<Instant>) -> io::Result<()> {
        (self.sent, self.owed, self.meant) = (0, asked.ask.answers(), meant);
        self.send(asked)
    }

    pub(super) fn send(&mut self, asked: &Asked) -> io::Result<()> {
        let bytes = &asked.spellings[self.spelling % asked.spellings.len()];
        while self.sent < bytes.len() {
            match net::send(&self.socket, &bytes[self.sent..], SendFlags::NOSIGNAL) {
                Ok(count) => self.sent += count,
                // Not yet connected, or the server does not read: a later event says when.
                Err(Errno::AGAIN | Errno::NOTCONN) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Reads what has come; `answered` hears of each answer.
    pub(super) fn receive(
        &mut self,
        asked: &mut Asked,
        buffer: &mut [u8],
        mut answered: impl FnMut(Status, Option<Instant>),
    ) -> io::Result<Turn> {
        loop {
            let count = match net::recv(&self.socket, &mut *buffer, RecvFlags::empty()) {
                Ok((0, _)) => return Ok(Turn::Ended),
                Ok((count, _)) => count,
                Err(Errno::AGAIN | Errno::NOTCONN) => return Ok(Turn::Goes),
                Err(error) => return Err(error.into()),
            };
            if self.head.is_empty() {
                self.take(asked, &buffer[..count], &mut answered)?;
            } else {
                let mut joined = std::mem::take(&mut self.head);
                joined.extend_from_slice(&buffer[..count]);
                self.take(asked, &joined, &mut answered)?;
            }
            // A short read says that there is no more, except where the end of the connection is waited for.
            if count < buffer.len() && asked.ask != Ask::Close {
                return Ok(Turn::Goes);
            }
        }
    }

    fn take(
        &mut self,
        asked: &mut Asked,
        mut data: &[u8],
        answered: &mut impl FnMut(Status, Option<Instant>),
    ) -> io::Result<()> {
        while !data.is_empty() {
            if self.body_left > 0 {
                let (body, rest) = data.split_at(data.len().min(self.body_left));
                let at = asked.body.len().saturating_sub(self.body_left);
                if self.status == Status::Ok && asked.body.get(at..at + body.len()) != Some(body) {
                    self.status = Status::Wrong;
                }
                self.body_left -= body.len();
                data = rest;
            } else {
                let Some(head_bytes) = head_end(data, asked.head_bytes) else {
                    self.head.extend_from_slice(data);
                    return Ok(());
                };
                let (head, rest) = data.split_at(head_bytes);
                self.body_left = content_length(head).ok_or(ErrorKind::InvalidData)?;
                self.status = match head.get(..13) {
                    Some(b"HTTP/1.1 200 ") if self.body_left == asked.body.len() => Status::Ok,
                    Some(b"HTTP/1.1 503 ") if asked.ask.may_be_refused() => Status::Refused,
                    _ => Status::Wrong,
                };
                asked.head_bytes = head_bytes;
                data = rest;
            }
            if self.body_left == 0 {
                self.owed = self.owed.checked_sub(1).ok_or(ErrorKind::InvalidData)?;
                answered(self.status, self.meant);
            }
        }
        Ok(())
    }
}

/// Where the head ends. A head as long as the last one is found without a search: the four bytes that end it do not stand
/// within one.
fn head_end(data: &[u8], likely: usize) -> Option<usize> {
    if likely >= 4 && data.get(likely - 4..likely) == Some(b"\r\n\r\n") {
        // Unless a shorter answer ends, with its body, just there: bodies hold no line ends.
        return Some(likely);
    }
    memmem::find(data, b"\r\n\r\n").map(|at| at + 4)
}

fn content_length(head: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length:";
    let mut rest = head;
    while let Some(end) = memchr::memchr(b'\n', rest) {
        let line = &rest[..end];
        if let Some((name, value)) = line.split_at_checked(NAME.len())
            && name.eq_ignore_ascii_case(NAME)
        {
            return str::from_utf8(value).ok()?.trim().parse().ok();
        }
        rest = &rest[end + 1..];
    }
    None
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn answer(status: &str, body: &str) -> String {
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    /// What a client that asked hears of these bytes, in two reads.
    fn hear(ask: Ask, first: &[u8], second: &[u8]) -> io::Result<Vec<Status>> {
        let (client, mut server) = UnixStream::pair()?;
        client.set_nonblocking(true)?;
        let (mut client, mut asked) = (Client::new(client.into(), 0), Asked::new(ask));
        client.ask(&asked, None)?;
        let mut heard = Vec::new();
        for part in [first, second] {
            server.write_all(part)?;
            client.receive(&mut asked, &mut [0; 4096], |status, _| heard.push(status))?;
        }
        Ok(heard)
    }

    #[test]
    fn answers_are_judged_alike_however_they_are_cut() {
        let answers =
            [("200 OK", HELLO), ("200 OK", "Hello, wrong!"), ("404 Not Found", ""), ("200 OK", HELLO)];
        let bytes: String = answers.iter().map(|(status, body)| answer(status, body)).collect();
        for cut in 0..bytes.len() {
            let (first, second) = bytes.as_bytes().split_at(cut);
            let heard = hear(Ask::Get { pipelined: 4 }, first, second).unwrap();
            assert_eq!(heard, [Status::Ok, Status::Wrong, Status::Wrong, Status::Ok], "cut at {cut}");
        }
    }

    #[test]
    fn refusal_is_an_answer_only_where_it_may_be() {
        let refused = answer("503 Service Unavailable", "later");
        assert_eq!(hear(Ask::Work, refused.as_bytes(), b"").unwrap(), [Status::Refused]);
        assert_eq!(hear(Ask::Deferred, refused.as_bytes(), b"").unwrap(), [Status::Wrong]);
    }

    #[test]
    fn answer_that_nobody_asked_for_is_an_error() {
        let two = answer("200 OK", HELLO).repeat(2);
        assert!(hear(Ask::Get { pipelined: 1 }, two.as_bytes(), b"").is_err());
    }
}
