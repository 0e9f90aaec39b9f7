//! The limit: one epoll loop that parses nothing. It finds where a head ends, trusts what it says of a length, and sends what
//! it has ready.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

use memchr::memmem;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::scenario::HELLO;

const LISTENER: Token = Token(usize::MAX);

struct Peer {
    stream: TcpStream,
    input: Vec<u8>,
    output: Vec<u8>,
}

pub fn serve(address: SocketAddr) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut listener = TcpListener::bind(address)?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut peers: Vec<Option<Peer>> = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    let free = peers.iter().position(Option::is_none).unwrap_or(peers.len());
                    let interest = Interest::READABLE | Interest::WRITABLE;
                    poll.registry().register(&mut stream, Token(free), interest)?;
                    let peer = Some(Peer { stream, input: Vec::new(), output: Vec::new() });
                    if free == peers.len() { peers.push(peer) } else { peers[free] = peer }
                }
                continue;
            }
            let slot = &mut peers[event.token().0];
            if slot.as_mut().is_some_and(|peer| peer.turn(&mut buffer).is_err()) {
                *slot = None;
            }
        }
    }
}

impl Peer {
    fn turn(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let mut closes = false;
        loop {
            let count = match self.stream.read(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            };
            self.input.extend_from_slice(&buffer[..count]);
            closes |= self.answer();
            if count < buffer.len() {
                break;
            }
        }
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(count) => drop(self.output.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        if closes { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    /// Answers what is complete; says whether the peer wants the connection closed.
    fn answer(&mut self) -> bool {
        const FIXED: &str = "HTTP/1.1 200 OK\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\nserver: raw\r\n\
                             content-type: text/plain\r\ncontent-length: ";
        let mut at = 0;
        let mut closes = false;
        while let Some(end) = memmem::find(&self.input[at..], b"\r\n\r\n").map(|end| at + end + 4) {
            let head = &self.input[at..end];
            let is_echo = head.starts_with(b"POST");
            let body_end = end + if is_echo { 1024 } else { 0 };
            if body_end > self.input.len() {
                break;
            }
            closes |= !is_echo && memmem::find(head, b"close").is_some();
            let body = if is_echo { &self.input[end..body_end] } else { HELLO.as_bytes() };
            let _ = write!(self.output, "{FIXED}{}\r\n\r\n", body.len());
            self.output.extend_from_slice(body);
            at = body_end;
        }
        self.input.drain(..at);
        closes
    }
}
