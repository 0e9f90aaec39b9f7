//! One poll(2) over everything that can wake a thread.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// What a thread sleeps on.
#[derive(Debug)]
pub(crate) struct Watch<'a> {
    /// The connection, and for what; with empty flags only its failure wakes.
    pub(crate) socket: Option<(BorrowedFd<'a>, PollFlags)>,
    /// The thread's own bell.
    pub(crate) bell: Option<BorrowedFd<'a>>,
    /// The server begins to drain.
    pub(crate) drain: Option<BorrowedFd<'a>>,
    /// The server aborts.
    pub(crate) abort: BorrowedFd<'a>,
}

/// What woke it. Nothing did when the time ran out, a signal came, or the server stops: that is looked up anyway.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Woken {
    pub(crate) socket: PollFlags,
    pub(crate) bell: bool,
}

impl Watch<'_> {
    /// Sleeps, `at_most` so long.
    pub(crate) fn sleep(&self, at_most: Option<Duration>) -> Woken {
        // A place that is not used asks nothing of a descriptor that never fails.
        let unused = (self.abort, PollFlags::empty());
        let readable = |fd| (fd, PollFlags::IN);
        let mut fds = [
            self.socket.unwrap_or(unused),
            self.bell.map_or(unused, readable),
            self.drain.map_or(unused, readable),
            readable(self.abort),
        ]
        .map(|(fd, flags)| PollFd::from_borrowed_fd(fd, flags));
        // A timeout beyond what the kernel can count is none.
        let timeout = at_most.and_then(|at_most| Timespec::try_from(at_most).ok());
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => Woken {
                socket: if self.socket.is_some() { fds[0].revents() } else { PollFlags::empty() },
                bell: self.bell.is_some() && !fds[1].revents().is_empty(),
            },
            // Interrupted; or out of memory, where trying again is all there is.
            Err(_) => Woken { socket: PollFlags::empty(), bell: false },
        }
    }
}
