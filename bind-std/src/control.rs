//! How a server reaches the threads that carry its connections: a phase to look at, and descriptors to sleep on.
//!
//! ```text
//!   Running ── drain ──► Draining ── abort ──► Aborting(reason)
//!      └──────────────── abort ────────────────────┘
//! ```
//!
//! The two descriptors are event counters that are written once and never read: from then on they are readable for
//! every thread that polls them, however many those are and however late they come.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU8, Ordering};

use anabranch_core::AbortReason;
use rustix::event::{EventfdFlags, eventfd};

/// What the connections of a server are to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stop {
    /// Go on.
    Running,
    /// Finish what has begun.
    Draining,
    /// End at once.
    Aborting(AbortReason),
}

/// One a server, shared by its threads.
#[derive(Debug)]
pub(crate) struct Control {
    state: AtomicU8,
    drain: OwnedFd,
    abort: OwnedFd,
}

const RUNNING: u8 = 0;
const DRAINING: u8 = 1;
const ABORTING_REQUESTED: u8 = 2;
const ABORTING_GRACE: u8 = 3;

impl Control {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { state: AtomicU8::new(RUNNING), drain: event()?, abort: event()? })
    }

    /// Tells every connection to finish. The state is set before the descriptor is raised, so whoever the descriptor
    /// wakes sees it.
    pub(crate) fn drain(&self) {
        let _ = self.state.compare_exchange(RUNNING, DRAINING, Ordering::SeqCst, Ordering::SeqCst);
        ring(&self.drain);
    }

    /// Tells every connection to end.
    pub(crate) fn abort(&self, reason: AbortReason) {
        let state = if reason == AbortReason::GraceExpired { ABORTING_GRACE } else { ABORTING_REQUESTED };
        self.state.store(state, Ordering::SeqCst);
        ring(&self.abort);
    }

    pub(crate) fn state(&self) -> Stop {
        match self.state.load(Ordering::Acquire) {
            RUNNING => Stop::Running,
            DRAINING => Stop::Draining,
            ABORTING_GRACE => Stop::Aborting(AbortReason::GraceExpired),
            _ => Stop::Aborting(AbortReason::Requested),
        }
    }

    /// Why connections are aborted, once they are.
    pub(crate) fn abort_reason(&self) -> Option<AbortReason> {
        match self.state() {
            Stop::Aborting(reason) => Some(reason),
            Stop::Running | Stop::Draining => None,
        }
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
