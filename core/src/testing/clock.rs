//! A clock that stands still until it is moved.

use core::time::Duration;

use crate::time::Instant;

/// A clock that stands still until it is moved. It begins an hour past the origin, so that nothing hides behind
/// saturating arithmetic.
#[derive(Clone, Debug)]
pub struct ManualClock {
    now: Instant,
}

impl ManualClock {
    /// A clock that shows `now`.
    #[must_use]
    pub const fn at(now: Instant) -> Self {
        Self { now }
    }

    /// Lets `duration` pass.
    pub fn advance(&mut self, duration: Duration) {
        self.now += duration;
    }

    /// Moves on to `instant`; stays where it is when that is past.
    pub fn advance_to(&mut self, instant: Instant) {
        self.now = self.now.max(instant);
    }

    /// What it shows.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::at(Instant::ORIGIN + Duration::from_secs(3600))
    }
}
