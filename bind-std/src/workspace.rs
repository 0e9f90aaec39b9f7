//! What a thread needs to take a turn, and gives back while it sleeps: buffers, spare state, the `Date`.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anabranch_core::{Dates, Instant, Pool};
use bytes::BytesMut;

/// One origin for all the instants of a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: std::time::Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { origin: std::time::Instant::now() }
    }

    pub(crate) fn now(self) -> Instant {
        Instant::from_duration(self.origin.elapsed())
    }
}

/// A thread's buffers and spare state while it has work.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// Lent to flows by [`drive::turn`](anabranch_core::drive::turn); its capacity is the size of a read.
    pub(crate) scratch: BytesMut,
    /// Filled by blocking receives, and swapped with the scratch in the turn that follows: no copy.
    pub(crate) inbox: BytesMut,
    pub(crate) pool: Pool,
    pub(crate) dates: Dates,
    anchored: Option<Instant>,
}

impl Workspace {
    fn new(read_size: usize) -> Self {
        Self {
            scratch: BytesMut::with_capacity(read_size),
            inbox: BytesMut::with_capacity(read_size),
            pool: Pool::default(),
            dates: Dates::none(),
            anchored: None,
        }
    }

    /// Follows the wall clock, once a second at most.
    pub(crate) fn anchor_dates(&mut self, now: Instant) {
        if self.anchored.is_some_and(|at| now - at < Duration::from_secs(1)) {
            return;
        }
        self.anchored = Some(now);
        // A clock before 1970 is no clock: no `Date` then.
        if let Ok(since_epoch) = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            self.dates.anchor(now, since_epoch);
        }
    }
}

/// The workspaces that no thread needs at the moment. A connection that stands idle holds none, so that ten thousand of
/// them cost ten thousand stacks and not ten thousand buffers besides.
#[derive(Debug)]
pub(crate) struct Stash {
    read_size: usize,
    spare: Mutex<Vec<Workspace>>,
}

/// At most this many are kept.
const KEPT: usize = 32;

impl Stash {
    pub(crate) fn new(read_size: usize) -> Self {
        // A read of no bytes would say nothing.
        Self { read_size: read_size.max(1), spare: Mutex::default() }
    }

    /// The size of a read.
    pub(crate) const fn read_size(&self) -> usize {
        self.read_size
    }

    pub(crate) fn take(&self) -> Workspace {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        spare.unwrap_or_else(|| Workspace::new(self.read_size))
    }

    pub(crate) fn give(&self, workspace: Workspace) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < KEPT {
            spare.push(workspace);
        }
    }
}
