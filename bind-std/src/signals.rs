//! How a server reaches the threads of this binding: descriptors to sleep on.
//!
//! Those of drain and abort are event counters that are written once and never read: from then on they are readable for
//! every thread that polls them, however many those are and however late they come.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};

use crate::host::{Bell, Stop};

/// One a server, shared by its threads.
#[derive(Debug)]
pub(crate) struct Signals {
    acceptor: OwnedFd,
    drain: OwnedFd,
    abort: OwnedFd,
}

impl Signals {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { acceptor: event()?, drain: event()?, abort: event()? })
    }

    /// Wakes the acceptor: listeners may have to be started, paused or closed, or a worker has room.
    pub(crate) fn ring_acceptor(&self) {
        ring(&self.acceptor);
    }

    /// Readable while the acceptor is to look up; [`hush`] it before that.
    pub(crate) fn acceptor_fd(&self) -> BorrowedFd<'_> {
        self.acceptor.as_fd()
    }

    /// Readable from the drain on.
    pub(crate) fn drain_fd(&self) -> BorrowedFd<'_> {
        self.drain.as_fd()
    }

    /// Readable from the abort on.
    pub(crate) fn abort_fd(&self) -> BorrowedFd<'_> {
        self.abort.as_fd()
    }
}

impl Bell for Signals {
    fn ring(&self, stop: Stop) {
        self.ring_acceptor();
        match stop {
            Stop::Running => {}
            Stop::Draining => ring(&self.drain),
            Stop::Aborting(_) => ring(&self.abort),
        }
    }
}

/// An event counter that nobody blocks on.
pub(crate) fn event() -> io::Result<OwnedFd> {
    Ok(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)
}

/// Makes an event counter readable. It fails only when it is so already.
pub(crate) fn ring(event: &OwnedFd) {
    let _ = rustix::io::write(event, &1_u64.to_ne_bytes());
}

/// Takes back what [`ring`] did. It fails only when there is nothing to take.
pub(crate) fn hush(event: impl AsFd) {
    let _ = rustix::io::read(event, &mut [0_u8; 8]);
}
