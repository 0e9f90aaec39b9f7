//! What a driver's thread lends to its connections while they have work: time, a read buffer, spare state, the `Date`.

use std::time::{Duration, SystemTime};

use anabranch_core::{Dates, Instant, Pool};
use bytes::BytesMut;

/// One origin for all the instants of a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Clock {
    origin: std::time::Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { origin: std::time::Instant::now() }
    }

    /// The time now. A system call at worst: ask once a batch.
    #[must_use]
    pub fn now(self) -> Instant {
        Instant::from_duration(self.origin.elapsed())
    }

    /// What the system's monotonic clock shows at `at`; `None` beyond what it can show.
    #[must_use]
    pub fn to_std(self, at: Instant) -> Option<std::time::Instant> {
        self.origin.checked_add(at - Instant::ORIGIN)
    }
}

/// One a thread: what makes a [`Turn`](anabranch_core::Turn), beside the time and a waker.
#[derive(Debug)]
pub struct Workspace {
    /// For [`drive::turn`](anabranch_core::drive::turn), which takes its capacity for the size of a read.
    pub scratch: BytesMut,
    /// Spare state of busy connections.
    pub pool: Pool,
    /// The `Date` text. Follows the wall clock as [`anchor_dates`](Self::anchor_dates) says.
    pub dates: Dates,
    anchored: Option<Instant>,
}

impl Workspace {
    /// Reads are of that many bytes; at least one.
    #[must_use]
    pub fn new(read_bytes: usize) -> Self {
        Self {
            scratch: BytesMut::with_capacity(read_bytes.max(1)),
            pool: Pool::default(),
            dates: Dates::none(),
            anchored: None,
        }
    }

    /// Follows the wall clock, which is read once a second at most: to be called before each batch of turns.
    pub fn anchor_dates(&mut self, now: Instant) {
        if self.anchored.is_none_or(|at| now - at >= Duration::from_secs(1)) {
            self.anchor_anew(now);
        }
    }

    #[cold]
    fn anchor_anew(&mut self, now: Instant) {
        self.anchored = Some(now);
        // A clock before 1970 is no clock: no `Date` then.
        if let Ok(since_epoch) = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            self.dates.anchor(now, since_epoch);
        }
    }
}
