//! Whether what waits in a ring may be left to those who are awake: judged by how long items took so far.
//!
//! ```text
//!   Nobody on watch ── a sleeper, relied on ──► on watch: looks every tick ─┬─ something was taken ─► looks again
//!          ▲                                                                ├─ nothing was, and something waits:
//!          │                                                                │  steps in; those who are awake are stuck
//!          └───────────────── woken, or not relied on for a tick ◄──────────┘
//! ```
//!
//! An item may take longer than those before it, and what was left to the thread that has it would lie for as long. So
//! work is left to others only while one of the sleepers is on watch. What is left is in the ring before the watch is asked
//! for, and the watch looks into the ring once more after it has stood down: of the two, one sees the other.

use std::time::{Duration, Instant};

use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};

/// Work that those who are awake will be through with by then wakes nobody: about what it costs to wake somebody, to have it
/// find its caches cold, and to put it to sleep again.
const WORTH_A_WAKE: Duration = Duration::from_micros(50);

/// How long an item takes before any was seen to: long enough that a wake pays.
const AT_FIRST: Duration = Duration::from_millis(1);

/// What a ring knows of those who take from it.
#[derive(Debug)]
pub(super) struct Trust {
    origin: Instant,
    /// Nanoseconds that an item takes, as it seems.
    typical: AtomicU64,
    /// How many of those who are awake were found stuck, and when, in nanoseconds since `origin`.
    stuck: AtomicUsize,
    found: AtomicU64,
    /// The watch was relied on since it last looked.
    relied_on: AtomicBool,
    watched: AtomicBool,
}

impl Trust {
    pub(super) fn new() -> Self {
        Self {
            origin: Instant::now(),
            typical: AtomicU64::new(nanos(AT_FIRST)),
            stuck: AtomicUsize::new(0),
            found: AtomicU64::new(0),
            relied_on: AtomicBool::new(false),
            watched: AtomicBool::new(false),
        }
    }

    /// What it comes to know otherwise, for loom.
    #[cfg(loom)]
    pub(super) fn in_items_taking(each: Duration) -> Self {
        Self { typical: AtomicU64::new(nanos(each)), relied_on: AtomicBool::new(true), ..Self::new() }
    }

    /// Whether `waiting` items may be left to those `awake`: they will soon be through with them, and somebody watches. A fence
    /// lies between having put them in and asking.
    pub(super) fn suffices(&self, waiting: usize, awake: usize) -> bool {
        let at_work = awake.saturating_sub(self.stuck.load(Ordering::Relaxed)) as u64;
        let work = self.typical.load(Ordering::Relaxed).saturating_mul(waiting as u64);
        if at_work == 0 || work > at_work.saturating_mul(nanos(WORTH_A_WAKE)) {
            return false;
        }
        if !self.relied_on.load(Ordering::Relaxed) {
            self.relied_on.store(true, Ordering::Relaxed);
        }
        self.watched.load(Ordering::SeqCst)
    }

    /// An item that was taken at `began` is done with. Longer ones are believed sooner than shorter ones: to wake somebody for
    /// nothing costs less than to leave work lying.
    pub(super) fn learn(&self, began: Instant, now: Instant) {
        if cfg!(loom) {
            // What is played twice must come out alike.
            return;
        }
        let took = nanos(now.saturating_duration_since(began));
        let typical = self.typical.load(Ordering::Relaxed);
        let learnt =
            if took > typical { typical + (took - typical) / 2 } else { typical - (typical - took) / 8 };
        self.typical.store(learnt, Ordering::Relaxed);
        if self.stuck.load(Ordering::Relaxed) > 0 && self.since(began) < self.found.load(Ordering::Relaxed) {
            let one_less = |stuck: usize| stuck.checked_sub(1);
            let _ = self.stuck.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
        }
    }

    /// Whether a thread that goes to sleep is to be on watch: then it is, and is to [leave](Self::leave_watch) it.
    pub(super) fn takes_watch(&self) -> bool {
        self.relied_on.load(Ordering::Relaxed) && !self.watched.swap(true, Ordering::SeqCst)
    }

    /// Nobody is on watch from here on.
    pub(super) fn leave_watch(&self) {
        self.watched.store(false, Ordering::SeqCst);
    }

    /// Ends the watch if nobody relied on it since it was last asked, and says whether it did: then the ring is to be looked
    /// into once more.
    pub(super) fn stands_down(&self) -> bool {
        if self.relied_on.swap(false, Ordering::Relaxed) {
            return false;
        }
        self.leave_watch();
        fence(Ordering::SeqCst);
        true
    }

    /// Those who are `awake` took nothing for a tick, though something waits: they have what takes long, and nothing more is
    /// left to them until they are through with it.
    pub(super) fn found_stuck(&self, awake: usize) {
        self.found.store(self.since(Instant::now()), Ordering::Relaxed);
        self.stuck.store(awake, Ordering::Relaxed);
    }

    /// Everybody sleeps.
    pub(super) fn forget_stuck(&self) {
        self.stuck.store(0, Ordering::Relaxed);
    }

    fn since(&self, instant: Instant) -> u64 {
        nanos(instant.saturating_duration_since(self.origin))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn after(trust: &Trust, items: usize, took: Duration) {
        for _ in 0..items {
            trust.learn(trust.origin, trust.origin + took);
        }
    }

    #[test]
    fn what_is_soon_done_is_left_to_those_who_are_awake_while_somebody_watches() {
        let trust = Trust::new();
        assert!(!trust.suffices(1, 1), "nothing is known yet");
        after(&trust, 100, Duration::from_micros(1));
        assert!(!trust.suffices(1, 1), "nobody watches");
        assert!(trust.takes_watch(), "it was relied on");
        assert!(!trust.takes_watch(), "one watches already");
        assert!(trust.suffices(8, 1));
        assert!(!trust.suffices(8, 0), "nobody is awake");
        assert!(!trust.suffices(1000, 1), "that takes long");
        assert!(trust.suffices(1000, 100), "not for so many");
        after(&trust, 1, Duration::from_secs(1));
        assert!(!trust.suffices(1, 1), "such an item may come again");
    }

    #[test]
    fn those_who_are_stuck_are_left_nothing_until_they_are_through() {
        let trust = Trust::new();
        after(&trust, 100, Duration::from_micros(1));
        trust.suffices(1, 1);
        assert!(trust.takes_watch());
        let began = Instant::now();
        trust.found_stuck(1);
        assert!(!trust.suffices(1, 1));
        assert!(trust.suffices(1, 2), "another is awake besides");
        trust.learn(Instant::now(), Instant::now());
        assert!(!trust.suffices(1, 1), "it was another that is through");
        trust.learn(began, began);
        assert!(trust.suffices(1, 1));
    }

    #[test]
    fn watch_stands_down_once_nobody_relies_on_it() {
        let trust = Trust::new();
        after(&trust, 100, Duration::from_micros(1));
        trust.suffices(1, 1);
        assert!(trust.takes_watch());
        assert!(!trust.stands_down(), "it was relied on");
        assert!(trust.suffices(1, 1));
        assert!(!trust.stands_down(), "it was again");
        assert!(trust.stands_down());
        assert!(!trust.suffices(1, 1), "nobody watches");
    }
}
