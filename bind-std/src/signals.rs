//! How a server reaches the threads that carry its connections: descriptors to sleep on.
//!
//! They are event counters that are written once and never read: from then on they are readable for
//! every thread that polls them, however many those are and however late they come.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::eventfd::{event, ring};
use crate::host::{Bell, Stop};

/// One a server, shared by its threads.
#[derive(Debug)]
pub(crate) struct Signals {
    drain: OwnedFd,
    abort: OwnedFd,
}

impl Signals {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { drain: event()?, abort: event()? })
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
        match stop {
            Stop::Running => {}
            Stop::Draining => ring(&self.drain),
            Stop::Aborting(_) => ring(&self.abort),
        }
    }
}
