//! Time as the machine gave it: a bound on a server's time, held on a machine that now and then stands still.
//!
//! ```text
//!   sentry 1   ·  ·  ·  ·  ·                 ·  ·  ·  ·     each sleeps for a moment, again and again,
//!   sentry 2   ·  ·  ·  ·  ·  ·  ·  ·  ·  ·  ·  ·  ·  ·     and knows when it was let sleep for longer
//!                          └──── stall ─────┘
//!   since ├──────────────── passed ───────────────┤
//!         ├─────────────┤                    ├────┤         running time: what passed, less the stalls
//! ```

use core::fmt;
use core::time::Duration;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use super::real_time::{now, sleep, spawn};

/// Watches for moments in which the machine lets nobody run who is due, so that a test can tell a server that is late from a
/// machine that is.
///
/// A processor that its host takes away for half a second makes every server on it half a second late, and says nothing of any.
/// A bound that allows for it lets servers pass that are late by themselves, and so does a second try. A watch
/// measures how long the machine stood still instead: hold a server's bound against [`running_since`](Self::running_since),
/// in place of what passed by the clock.
///
/// It costs some threads, two a processor, that wake every two milliseconds; they end when it is dropped.
///
/// ```
/// use anabranch_core::testing::StallWatch;
/// use std::time::{Duration, Instant};
///
/// let watch = StallWatch::start();
/// let started = Instant::now();
/// // ... something that is to be done at once ...
/// assert!(watch.running_since(started) < Duration::from_millis(100));
/// ```
pub struct StallWatch {
    guard: Arc<Guard>,
    sentries: Vec<JoinHandle<()>>,
}

/// What the sentries have in common. Times are from `origin` on.
struct Guard {
    origin: Instant,
    book: Mutex<Book>,
}

#[derive(Debug)]
struct Book {
    /// When each sentry was last awake.
    awake: Vec<Duration>,
    stalls: Vec<Stall>,
    over: bool,
}

/// From when to when a sentry was late.
type Stall = (Duration, Duration);

impl StallWatch {
    /// A watch that looks from here on: what stood still before, it knows nothing of.
    #[must_use]
    pub fn start() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, core::num::NonZero::get);
        let count = processors * SENTRIES;
        let book = Book { awake: vec![Duration::ZERO; count], stalls: Vec::new(), over: false };
        let guard = Arc::new(Guard { origin: now(), book: Mutex::new(book) });
        let sentry = |number| {
            let guard = guard.clone();
            spawn(move || {
                while guard.report(number) {
                    sleep(NAP);
                }
            })
        };
        let sentries = (0..count).map(sentry).collect();
        Self { guard, sentries }
    }

    /// What passed since `since`, less the stalls in it.
    #[must_use]
    pub fn running_since(&self, since: Instant) -> Duration {
        let until = now();
        until.saturating_duration_since(since).saturating_sub(self.guard.stood_still(since, until))
    }

    /// Tries until it is given something, or `at_most` of running time has passed. Each attempt is told how long it may take
    /// by the clock.
    #[must_use]
    pub fn wait_for<T>(
        &self,
        at_most: Duration,
        mut attempt: impl FnMut(Duration) -> Option<T>,
    ) -> Option<T> {
        let since = now();
        let mut left = at_most;
        loop {
            if let Some(found) = attempt(left) {
                return Some(found);
            }
            left = at_most.saturating_sub(self.running_since(since));
            if left.is_zero() {
                return None;
            }
        }
    }
}

impl Drop for StallWatch {
    fn drop(&mut self) {
        self.guard.book().over = true;
        for sentry in self.sentries.drain(..) {
            // A sentry that panicked has said so.
            let _ = sentry.join();
        }
    }
}

impl fmt::Debug for StallWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StallWatch").field("stalls", &self.guard.book().stalls).finish_non_exhaustive()
    }
}

impl Guard {
    /// A sentry is awake. False when its time is over.
    fn report(&self, number: usize) -> bool {
        let mut book = self.book();
        let now = now().duration_since(self.origin);
        let last = core::mem::replace(&mut book.awake[number], now);
        book.stalls.extend(stall(last, now));
        !book.over
    }

    fn stood_still(&self, since: Instant, until: Instant) -> Duration {
        let [since, until] = [since, until].map(|at| at.saturating_duration_since(self.origin));
        let book = self.book();
        // Those who are late as yet have not said so.
        let open = book.awake.iter().filter_map(|awake| stall(*awake, until));
        let mut stalls: Vec<Stall> = book.stalls.iter().copied().chain(open).collect();
        covered(&mut stalls, since, until)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Each change is whole by itself.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// That a sentry was awake at `last` and then not before `now`, if that is a stall.
fn stall(last: Duration, now: Duration) -> Option<Stall> {
    let due = last + NAP;
    (now >= due + LATE).then_some((due, now))
}

/// How much of the time from `since` to `until` any of these covers.
fn covered(stalls: &mut [Stall], since: Duration, until: Duration) -> Duration {
    stalls.sort_unstable();
    let (mut total, mut counted) = (Duration::ZERO, since);
    for &(from, to) in &*stalls {
        let (from, to) = (from.max(counted), to.min(until));
        total += to.saturating_sub(from);
        counted = counted.max(to);
    }
    total
}

/// So many a processor: they wander between those that are free, and between them are on each of these time and again.
const SENTRIES: usize = 2;

/// How long a sentry sleeps.
const NAP: Duration = Duration::from_millis(2);

/// So much later than that is a stall: longer than the scheduler keeps anyone waiting on a machine that is merely busy.
const LATE: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn time_is_covered_once_and_only_within_its_bounds() {
        for (stalls, expected) in [
            (&[][..], 0),
            (&[(20, 50)], 30),
            (&[(20, 50), (30, 40), (45, 60)], 40),
            (&[(60, 70), (20, 50)], 40),
            (&[(0, 15), (95, 200)], 10),
            (&[(0, 5), (120, 200)], 0),
            (&[(0, 200), (20, 50)], 90),
        ] {
            let mut stalls: Vec<_> = stalls.iter().map(|&(from, to)| (ms(from), ms(to))).collect();
            assert_eq!(covered(&mut stalls, ms(10), ms(100)), ms(expected), "{stalls:?}");
        }
    }

    #[test]
    fn sentry_is_late_from_when_it_was_due() {
        assert_eq!(stall(ms(100), ms(102)), None);
        assert_eq!(stall(ms(100), ms(111)), None);
        assert_eq!(stall(ms(100), ms(112)), Some((ms(102), ms(112))));
    }

    #[test]
    fn stall_counts_while_it_lasts_and_after() {
        let guard = guard(2);
        let at = |millis| guard.origin + ms(millis);
        // The other sentry slept as it should: its processor was not the one that stood still.
        guard.book().awake = vec![ms(100), ms(598)];
        assert_eq!(guard.stood_still(at(50), at(600)), ms(498));
        assert_eq!(guard.stood_still(at(300), at(600)), ms(300));
        // As though the first had woken then.
        guard.book().awake = vec![ms(700), ms(700)];
        guard.book().stalls = vec![(ms(102), ms(600))];
        assert_eq!(guard.stood_still(at(50), at(700)), ms(498));
        assert_eq!(guard.stood_still(at(650), at(700)), ms(0));
    }

    #[test]
    fn sentry_that_is_let_sleep_for_too_long_says_so() {
        let guard = guard(1);
        assert!(guard.report(0));
        sleep(ms(50));
        assert!(guard.report(0));
        let found = guard.book().stalls.iter().map(|(from, to)| *to - *from).sum::<Duration>();
        assert!(found >= ms(48), "{found:?}");
        guard.book().over = true;
        assert!(!guard.report(0));
    }

    #[test]
    fn running_time_is_no_longer_than_what_passed_and_goes_on() {
        let watch = StallWatch::start();
        let started = now();
        assert_eq!(
            watch.wait_for(ms(30), |left| {
                sleep(left);
                None::<()>
            }),
            None
        );
        let running = watch.running_since(started);
        assert!(running >= ms(30) && running <= started.elapsed(), "{running:?}");
        assert_eq!(watch.wait_for(Duration::ZERO, |_| Some(7)), Some(7));
    }

    fn guard(sentries: usize) -> Guard {
        let book = Book { awake: vec![Duration::ZERO; sentries], stalls: Vec::new(), over: false };
        Guard { origin: now(), book: Mutex::new(book) }
    }
}
