//! The load: one thread, many connections, every answer looked at.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use memchr::memmem;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::scenario::{Persistence, Scenario};

/// What a stretch of load came to.
#[derive(Default)]
pub struct Done {
    pub requests: u64,
    /// Answers that are not what was asked for, and connections that broke.
    pub errors: u64,
}

pub struct Load<'a> {
    scenario: &'a Scenario,
    address: SocketAddr,
    poll: Poll,
    events: Events,
    clients: Vec<Client>,
    buffer: Vec<u8>,
}

struct Client {
    stream: TcpStream,
    /// How much of the batch is sent.
    sent: usize,
    /// Answers of the batch still to come.
    owed: usize,
    input: Vec<u8>,
}

/// Long enough for any answer: a server that takes longer is stuck, which is an error.
const PATIENCE: Duration = Duration::from_secs(5);

impl<'a> Load<'a> {
    pub fn connect(address: SocketAddr, scenario: &'a Scenario) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut clients = Vec::new();
        for at in 0..scenario.connections {
            clients.push(Client::connect(address, &poll, Token(at), scenario)?);
        }
        let (events, buffer) = (Events::with_capacity(1024), vec![0; 64 * 1024]);
        Ok(Self { scenario, address, poll, events, clients, buffer })
    }

    /// Asks for so long.
    pub fn run(&mut self, window: Duration) -> io::Result<Done> {
        let mut done = Done::default();
        let end = Instant::now() + window;
        let mut last_answer = Instant::now();
        loop {
            let now = Instant::now();
            if now >= end {
                return Ok(done);
            }
            self.poll.poll(&mut self.events, Some(end - now))?;
            let before = done.requests;
            for event in &self.events {
                let at = event.token();
                let turn = self.clients[at.0].turn(self.scenario, &mut self.buffer, &mut done);
                if !matches!(turn, Ok(Turn::Goes)) {
                    done.errors += u64::from(turn.is_err());
                    self.clients[at.0] = Client::connect(self.address, &self.poll, at, self.scenario)?;
                }
            }
            if done.requests > before {
                last_answer = now;
            } else if now - last_answer > PATIENCE {
                done.errors += 1;
                return Ok(done);
            }
        }
    }
}

enum Turn {
    Goes,
    /// The server closed, as it was asked to.
    Closed,
}

impl Client {
    fn connect(address: SocketAddr, poll: &Poll, at: Token, scenario: &Scenario) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        let _ = stream.set_nodelay(true);
        poll.registry().register(&mut stream, at, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self { stream, sent: 0, owed: scenario.requests, input: Vec::new() })
    }

    fn turn(&mut self, scenario: &Scenario, buffer: &mut [u8], done: &mut Done) -> io::Result<Turn> {
        self.send(scenario)?;
        loop {
            let count = match self.stream.read(buffer) {
                Ok(0) if scenario.persistence == Persistence::Close && self.owed == 0 => {
                    return Ok(Turn::Closed);
                }
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                    return Ok(Turn::Goes);
                }
                Err(error) => return Err(error),
            };
            self.input.extend_from_slice(&buffer[..count]);
            self.take_answers(scenario, done)?;
            if self.owed == 0 && scenario.persistence == Persistence::KeepAlive {
                (self.sent, self.owed) = (0, scenario.requests);
                self.send(scenario)?;
            }
            if count < buffer.len() && scenario.persistence == Persistence::KeepAlive {
                return Ok(Turn::Goes);
            }
        }
    }

    fn send(&mut self, scenario: &Scenario) -> io::Result<()> {
        while self.sent < scenario.batch.len() {
            match self.stream.write(&scenario.batch[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes every answer that is complete. One that is not what was asked for is an error, and counts as an answer.
    fn take_answers(&mut self, scenario: &Scenario, done: &mut Done) -> io::Result<()> {
        let mut at = 0;
        while let Some(end) = memmem::find(&self.input[at..], b"\r\n\r\n").map(|end| at + end + 4) {
            let head = &self.input[at..end];
            let length = content_length(head).ok_or(ErrorKind::InvalidData)?;
            let Some(body) = self.input.get(end..end + length) else { break };
            done.errors += u64::from(!head.starts_with(b"HTTP/1.1 200 ") || body != scenario.body);
            done.requests += 1;
            self.owed = self.owed.checked_sub(1).ok_or(ErrorKind::InvalidData)?;
            at = end + length;
        }
        self.input.drain(..at);
        Ok(())
    }
}

fn content_length(head: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length:";
    head.split(|byte| *byte == b'\n')
        .find_map(|line| {
            line.split_at_checked(NAME.len()).filter(|(name, _)| name.eq_ignore_ascii_case(NAME))
        })
        .and_then(|(_, value)| str::from_utf8(value).ok()?.trim().parse().ok())
}
