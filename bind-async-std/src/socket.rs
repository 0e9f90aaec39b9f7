//! Sockets that async-io's reactor watches: it is the reactor of smol and of async-std alike.
//!
//! A stream that is only read and written has to say "nothing there" before it is watched, which is a system call a request.
//! Here a read that came back short is enough.

use std::io::{self, ErrorKind, IoSlice};
use std::net::Shutdown;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use anabranch_core::drive::{Alarm, PollWire};
use anabranch_core::{CloseKind, Instant};
use anabranch_std::host::{Clock, PollAccept, receive, reset, send, send_last};
use anabranch_std::{Blocking, Connection, Listener};
use async_io::{Async, Timer};
use bytes::BytesMut;
use rustix::net::RecvFlags;
use socket2::Socket;

/// A connected socket, of whatever family.
#[derive(Debug)]
pub struct SocketWire {
    socket: Async<Socket>,
    input: Input,
}

/// What is known of the input that there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Input {
    /// Nothing: a read will tell.
    Untried,
    /// The last read took all there was: the reactor is asked before the next.
    Empty,
    /// The reactor said that it is to be waited for. Whoever comes back asks again, and reads whatever is said: an event that
    /// came in the round in which it was waited for is taken for one that may be stale, again and again.
    Awaited,
}

impl SocketWire {
    /// Watched by async-io's reactor from the first wait on. The socket does not block.
    ///
    /// # Errors
    /// When the reactor has no place for it.
    pub fn new(connection: Connection) -> io::Result<Self> {
        Ok(Self { socket: Async::new_nonblocking(connection.socket)?, input: Input::Untried })
    }

    /// Sends by `send`, and waits while nothing is taken.
    #[inline]
    fn poll_send(
        &self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
        send: impl Fn(&Socket, &[IoSlice<'_>]) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            match send(self.socket.get_ref(), slices) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    ready!(self.socket.poll_writable(context))?;
                }
                result => return Poll::Ready(result),
            }
        }
    }
}

impl PollWire for SocketWire {
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        into: &mut BytesMut,
        max: usize,
    ) -> Poll<io::Result<usize>> {
        loop {
            let is_ready = self.input == Input::Untried || self.socket.poll_readable(context)?.is_ready();
            if !is_ready && self.input == Input::Empty {
                self.input = Input::Awaited;
                return Poll::Pending;
            }
            match receive(self.socket.get_ref(), into, max, RecvFlags::DONTWAIT) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if !is_ready {
                        return Poll::Pending;
                    }
                    self.input = Input::Empty;
                }
                result => {
                    let is_short = result.as_ref().is_ok_and(|count| 0 < *count && *count < max);
                    self.input = if is_short { Input::Empty } else { Input::Untried };
                    return Poll::Ready(result);
                }
            }
        }
    }

    fn poll_write(&mut self, context: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.poll_send(context, slices, |socket, slices| send(socket, slices))
    }

    fn poll_write_last(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
        end: CloseKind,
    ) -> Poll<io::Result<usize>> {
        self.poll_send(context, slices, |socket, slices| send_last(socket, slices, end))
    }

    fn poll_shutdown_write(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.socket.get_ref().shutdown(Shutdown::Write))
    }

    fn reset(&mut self) -> io::Result<()> {
        reset(self.socket.get_ref())
    }

    fn ask_again(&mut self) {
        self.input = Input::Untried;
    }
}

/// A listener.
#[derive(Debug)]
pub struct Door(Async<Arc<Listener>>);

impl Door {
    /// Watched by async-io's reactor.
    ///
    /// # Errors
    /// When that has no place for it.
    pub fn new(listener: Arc<Listener>) -> io::Result<Self> {
        Ok(Self(Async::new_nonblocking(listener)?))
    }
}

impl PollAccept for Door {
    fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Connection>> {
        loop {
            match self.0.get_ref().accept(Blocking::No) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => ready!(self.0.poll_readable(context))?,
                result => return Poll::Ready(result),
            }
        }
    }
}

/// A connection's alarm: one of async-io's timers, armed when it is first set.
#[derive(Debug)]
pub struct TimerAlarm {
    clock: Clock,
    timer: Timer,
}

impl TimerAlarm {
    /// Not set. `clock` is the server's.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, timer: Timer::never() }
    }
}

impl Alarm for TimerAlarm {
    fn set(&mut self, at: Instant) {
        match self.clock.to_std(at) {
            Some(at) => self.timer.set_at(at),
            // A time beyond what the system's clock can show never comes.
            None => self.timer = Timer::never(),
        }
    }

    fn poll_ring(&mut self, context: &mut Context<'_>) -> Poll<()> {
        std::pin::Pin::new(&mut self.timer).poll(context).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{Future, poll_fn};
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// The reactor is another thread here, as it is wherever tasks run on threads of their own.
    #[test]
    fn read_that_waits_is_woken_once_for_what_comes() {
        const MESSAGES: usize = 2_000;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let socket = Socket::from(listener.accept().unwrap().0);
        socket.set_nonblocking(true).unwrap();
        let mut wire = SocketWire { socket: Async::new_nonblocking(socket).unwrap(), input: Input::Empty };

        let polls = AtomicUsize::new(0);
        for _ in 0..MESSAGES {
            let mut into = BytesMut::with_capacity(64);
            let mut read = pin!(poll_fn(|context| {
                polls.fetch_add(1, Ordering::Relaxed);
                wire.poll_read(context, &mut into, 64)
            }));
            let mut sent = false;
            let count = futures_lite::future::block_on(poll_fn(|context| {
                let polled = read.as_mut().poll(context);
                if polled.is_pending() && !std::mem::replace(&mut sent, true) {
                    peer.write_all(b"x").unwrap();
                }
                polled
            }));
            assert_eq!(count.unwrap(), 1);
        }
        // The one that waits, and the one that reads.
        let polls = polls.into_inner();
        assert!(polls <= 2 * MESSAGES + MESSAGES / 10, "{polls} polls for {MESSAGES} messages");
    }
}
