//! The limit: epoll loops that parse nothing, each with a listening socket of its own. A loop finds where a head ends, trusts
//! what it says of a length, and sends what it has ready: one recv, one send.

use std::io::{self, ErrorKind};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::thread;

use memchr::memmem;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, accept_with, recv, send};

use super::Place;
use crate::load::HELLO;

/// One connection; while it is idle, nothing but this.
struct Peer {
    socket: OwnedFd,
    rest: Option<Box<Rest>>,
}

/// What is left over of a turn.
#[derive(Default)]
struct Rest {
    /// A part of a head.
    input: Vec<u8>,
    /// Bytes of a body that are still to come, to be sent back.
    body_left: usize,
    output: Vec<u8>,
    closes: bool,
}

const LISTENER: u64 = u64::MAX;
const BUFFER_BYTES: usize = 64 * 1024;

pub(super) fn serve(place: &Place) -> io::Result<()> {
    let loops: Vec<_> = (0..place.threads)
        .map(|_| {
            let listener = place.listen()?;
            Ok(thread::spawn(move || turn_forever(&listener.into())))
        })
        .collect::<io::Result<_>>()?;
    for one in loops {
        one.join().map_err(|_| io::Error::other("a loop panicked"))??;
    }
    Ok(())
}

fn turn_forever(listener: &OwnedFd) -> io::Result<()> {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&poll, listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    // By descriptor: the lowest free one is always taken, so it stays small.
    let mut peers: Vec<Option<Peer>> = Vec::new();
    let (mut input, mut output) = (vec![0; BUFFER_BYTES], Vec::with_capacity(BUFFER_BYTES));
    loop {
        let mut events = [MaybeUninit::<epoll::Event>::uninit(); 256];
        let ready = match epoll::wait(&poll, &mut events[..], None) {
            Ok((ready, _)) => ready,
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        for event in ready {
            let (id, flags) = (event.data.u64(), event.flags);
            if id == LISTENER {
                // One a turn: the next one makes the listener ready again, and nobody is asked in vain.
                let Ok(socket) = accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) else {
                    continue;
                };
                let id = socket.as_raw_fd() as usize;
                let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
                epoll::add(&poll, &socket, EventData::new_u64(id as u64), flags)?;
                if peers.len() <= id {
                    peers.resize_with(id + 1, || None);
                }
                peers[id] = Some(Peer { socket, rest: None });
                continue;
            }
            let slot = &mut peers[id as usize];
            let Some(peer) = slot else { continue };
            if !flags.intersects(EventFlags::IN | EventFlags::RDHUP) && peer.rest.is_none() {
                continue;
            }
            if peer.turn(&mut input, &mut output).is_err() {
                *slot = None;
            }
        }
    }
}

impl Peer {
    fn turn(&mut self, input: &mut [u8], output: &mut Vec<u8>) -> io::Result<()> {
        output.clear();
        let mut rest = self.rest.take().map_or_else(Rest::default, |rest| *rest);
        loop {
            if !rest.output.is_empty() {
                let sent = self.send(&rest.output)?;
                rest.output.drain(..sent);
                if !rest.output.is_empty() {
                    self.rest = Some(Box::new(rest));
                    return Ok(());
                }
            }
            if rest.closes {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let count = match recv(&self.socket, &mut *input, RecvFlags::empty()) {
                Ok((0, _)) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok((count, _)) => count,
                Err(Errno::AGAIN) => break,
                Err(error) => return Err(error.into()),
            };
            if rest.input.is_empty() {
                rest.answer(&input[..count], output);
            } else {
                let mut joined = std::mem::take(&mut rest.input);
                joined.extend_from_slice(&input[..count]);
                rest.answer(&joined, output);
            }
            let sent = self.send(output)?;
            rest.output.extend_from_slice(&output[sent..]);
            output.clear();
            if count < input.len() && rest.output.is_empty() && !rest.closes {
                break;
            }
        }
        if !rest.input.is_empty() || rest.body_left > 0 {
            self.rest = Some(Box::new(rest));
        }
        Ok(())
    }

    fn send(&self, output: &[u8]) -> io::Result<usize> {
        if output.is_empty() {
            return Ok(0);
        }
        match send(&self.socket, output, SendFlags::NOSIGNAL) {
            Ok(count) => Ok(count),
            Err(Errno::AGAIN) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }
}

impl Rest {
    /// Answers what is complete.
    fn answer(&mut self, mut data: &[u8], output: &mut Vec<u8>) {
        while !data.is_empty() {
            if self.body_left > 0 {
                let (body, more) = data.split_at(data.len().min(self.body_left));
                output.extend_from_slice(body);
                self.body_left -= body.len();
                data = more;
                continue;
            }
            let Some(end) = memmem::find(data, b"\r\n\r\n") else {
                self.input.extend_from_slice(data);
                return;
            };
            let (head, more) = data.split_at(end + 4);
            data = more;
            if head[0] == b'P' {
                self.body_left = length(head);
                output.extend_from_slice(FIXED.as_bytes());
                output.extend_from_slice(self.body_left.to_string().as_bytes());
                output.extend_from_slice(b"\r\n\r\n");
            } else {
                self.closes = head.ends_with(b"close\r\n\r\n");
                output.extend_from_slice(ANSWER.as_bytes());
            }
        }
    }
}

/// The digits that the head of a POST ends with.
fn length(head: &[u8]) -> usize {
    let digits = head[..head.len() - 4].rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

const FIXED: &str = "HTTP/1.1 200 OK\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\nserver: raw\r\n\
                     content-type: text/plain\r\ncontent-length: ";

const ANSWER: &str = "HTTP/1.1 200 OK\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\nserver: raw\r\n\
                      content-type: text/plain\r\ncontent-length: 13\r\n\r\nHello, World!";

const _: () = assert!(HELLO.len() == 13);
