//! A connected socket as a blocking thread uses it: one receive that may wait, everything else at once.
//!
//! ```text
//!   between turns   receive_blocking ── recv, at most the armed SO_RCVTIMEO ──► inbox ─┐ early
//!   within a turn   Wire::read  ── what came early, else recv(MSG_DONTWAIT) ◄──────────┘
//!                   Wire::write ── one send(MSG_DONTWAIT | MSG_NOSIGNAL)
//! ```
//!
//! The wait lies between two turns, not within one: a turn's `now` would be as old as the wait was long, and every
//! deadline set from it too early. Writes never block: a peer that sends without reading is met by reading while its
//! receive window is full (the wait is a poll(2) for both directions, with the flow's deadline), which a thread asleep
//! in send(2) could not do.

use std::hint::cold_path;
use std::io::{self, ErrorKind, IoSlice};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use anabranch_core::CloseKind;
use anabranch_core::drive::Wire;
use bytes::BytesMut;
use rustix::net::RecvFlags;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use socket2::Socket;

use crate::host::{receive, reset, send, send_last};

/// How long a thread sleeps in recv(2) before it looks whether the server is stopping: drain reaches every reader
/// within half a second, half of which is to spare for a busy machine.
pub(crate) const TICK: Duration = Duration::from_millis(250);

/// Deadlines nearer than this are left to poll(2), whose timeout is exact where the socket's is rounded to the kernel's
/// clock tick.
const SHORTEST: Duration = Duration::from_millis(16);

/// One a connection.
#[derive(Debug)]
pub(crate) struct Transport {
    socket: Socket,
    /// What SO_RCVTIMEO is set to; `None` while it is not set at all.
    armed: Option<Duration>,
    /// The armed timeout ended a wait that could have been longer.
    premature: bool,
    /// What a blocking receive gave and no turn has seen.
    early: Option<Result<usize, ErrorKind>>,
    #[cfg(test)]
    pub(crate) calls: Calls,
}

/// System calls made, for the tests that count them.
#[cfg(test)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Calls {
    pub(crate) receive: u64,
    pub(crate) send: u64,
    pub(crate) arm: u64,
    pub(crate) poll: u64,
}

/// How a blocking receive ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub(crate) enum Wait {
    /// The next turn's read has something, be it an end.
    Arrived,
    /// Nothing came for as long as the socket waits.
    Silent,
    /// A signal came first.
    Interrupted,
    /// This wait is not for the socket's timeout: poll.
    TooShort,
}

impl Transport {
    pub(crate) fn new(socket: Socket) -> Self {
        Self {
            socket,
            armed: None,
            premature: false,
            early: None,
            #[cfg(test)]
            calls: Calls::default(),
        }
    }

    /// Waits in one recv(2) for what the peer sends, `max` bytes of it, at most for `most` and a tick.
    pub(crate) fn receive_blocking(
        &mut self,
        inbox: &mut BytesMut,
        max: usize,
        most: Option<Duration>,
    ) -> Wait {
        let most = most.map_or(TICK, |most| most.min(TICK));
        if most < SHORTEST || !self.arm(most) {
            return Wait::TooShort;
        }
        inbox.clear();
        inbox.reserve(max);
        #[cfg(test)]
        {
            self.calls.receive += 1;
        }
        match receive(&self.socket, inbox, max, RecvFlags::empty()) {
            Ok(count) => {
                self.early = Some(Ok(count));
                Wait::Arrived
            }
            Err(error) => {
                cold_path();
                match error.kind() {
                    ErrorKind::Interrupted => Wait::Interrupted,
                    ErrorKind::WouldBlock => {
                        self.premature = self.armed.is_some_and(|armed| armed < steady(most));
                        Wait::Silent
                    }
                    kind => {
                        self.early = Some(Err(kind));
                        Wait::Arrived
                    }
                }
            }
        }
    }

    /// Sees to it that a receive ends within `most`, with as few system calls as can be: a timeout that is early enough
    /// stays, unless it proved too short.
    fn arm(&mut self, most: Duration) -> bool {
        match self.armed {
            Some(armed) if armed <= most && !self.premature => true,
            Some(armed) if armed <= most && armed >= steady(most) => true,
            _ => self.arm_anew(steady(most)),
        }
    }

    #[cold]
    fn arm_anew(&mut self, wanted: Duration) -> bool {
        #[cfg(test)]
        {
            self.calls.arm += 1;
        }
        self.premature = false;
        self.armed = set_socket_timeout(&self.socket, Timeout::Recv, Some(wanted)).is_ok().then_some(wanted);
        self.armed.is_some()
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// This transport with its inbox, for one turn.
    pub(crate) const fn lend<'a>(&'a mut self, inbox: &'a mut BytesMut) -> TurnWire<'a> {
        TurnWire { transport: self, inbox }
    }
}

/// A timeout of at most `most` that does not change with every small difference: a deadline that is renewed with each
/// message is a little nearer each time it is looked at, and would otherwise be armed anew each time.
fn steady(most: Duration) -> Duration {
    if most >= TICK {
        return TICK;
    }
    // At most TICK, so it fits.
    let millis = most.as_millis() as u64;
    Duration::from_millis(if millis == 0 { 1 } else { 1 << millis.ilog2() })
}

/// A [`Transport`] during a turn.
#[derive(Debug)]
pub(crate) struct TurnWire<'a> {
    transport: &'a mut Transport,
    inbox: &'a mut BytesMut,
}

impl Wire for TurnWire<'_> {
    fn read(&mut self, into: &mut BytesMut, max: usize) -> io::Result<usize> {
        match self.transport.early.take() {
            Some(early) => {
                debug_assert!(into.is_empty(), "a turn reads into an empty buffer");
                std::mem::swap(into, self.inbox);
                Ok(early?)
            }
            None => {
                cold_path();
                #[cfg(test)]
                {
                    self.transport.calls.receive += 1;
                }
                receive(&self.transport.socket, into, max, RecvFlags::DONTWAIT)
            }
        }
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        #[cfg(test)]
        {
            self.transport.calls.send += 1;
        }
        send(&self.transport.socket, slices)
    }

    fn write_last(&mut self, slices: &[IoSlice<'_>], end: CloseKind) -> io::Result<usize> {
        #[cfg(test)]
        {
            self.transport.calls.send += 1;
        }
        send_last(&self.transport.socket, slices, end)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.transport.socket.shutdown(Shutdown::Write)
    }

    fn reset(&mut self) -> io::Result<()> {
        reset(&self.transport.socket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn armed_timeout_is_never_longer_than_asked_and_is_kept_while_it_holds() {
        for millis in 1..=1000 {
            let most = Duration::from_millis(millis);
            assert!(steady(most) <= most.min(TICK));
            assert!(steady(most) * 2 > most.min(TICK));
        }
        assert_eq!(steady(Duration::from_micros(99_900)), steady(Duration::from_millis(98)));
    }
}
