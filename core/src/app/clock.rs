//! The application's time: it passes with the connection's turns, so that a sleep needs no timer of any runtime.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::time::Instant;

/// A clock for the futures of one exchange: what it says, and when they want to be woken, passes through the flow's
/// deadline. It stands still while the flow is not driven. Clones are the same clock.
#[derive(Clone)]
pub struct Clock {
    state: Arc<Mutex<State>>,
}

struct State {
    now: Instant,
    sleepers: Vec<(u64, Instant)>,
    next: u64,
}

impl Clock {
    pub(crate) fn new(now: Instant) -> Self {
        Self { state: Arc::new(Mutex::new(State { now, sleepers: Vec::new(), next: 0 })) }
    }

    /// The driver's time, as of the latest turn.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.lock().now
    }

    /// Passes `duration`, from the first poll on.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        Sleep { clock: self.clone(), state: SleepState::New(duration) }
    }

    /// Moves the clock on. Whoever asked to be woken by then is about to be polled, and has no further claim to the flow's
    /// deadline: a sleep that nobody looks at again must not keep the driver awake.
    pub(crate) fn advance(&self, now: Instant) {
        let mut state = self.lock();
        state.now = now;
        state.sleepers.retain(|(_, at)| *at > now);
    }

    /// When the first sleeper is to be woken.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.lock().sleepers.iter().map(|(_, at)| *at).min()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code of anyone else's runs under this lock, so a poisoned one still holds a whole state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now()).finish()
    }
}

/// A duration that passes: see [`Clock::sleep`]. To be awaited on the connection's own thread.
#[derive(Debug)]
#[must_use = "time passes for futures that are awaited"]
pub struct Sleep {
    clock: Clock,
    state: SleepState,
}

#[derive(Clone, Copy, Debug)]
enum SleepState {
    New(Duration),
    Until(u64, Instant),
    Done,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        let mut clock = self.clock.lock();
        let (id, at) = match self.state {
            SleepState::Done => return Poll::Ready(()),
            SleepState::Until(id, at) => (id, at),
            SleepState::New(duration) => {
                let (id, at) = (clock.next, clock.now + duration);
                clock.next += 1;
                clock.sleepers.push((id, at));
                (id, at)
            }
        };
        let passed = clock.now >= at;
        if passed {
            clock.sleepers.retain(|(sleeper, _)| *sleeper != id);
        }
        drop(clock);
        // No waker: the flow's deadline brings the next poll.
        self.state = if passed { SleepState::Done } else { SleepState::Until(id, at) };
        if passed { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let SleepState::Until(id, _) = self.state {
            self.clock.lock().sleepers.retain(|(sleeper, _)| *sleeper != id);
        }
    }
}

#[cfg(test)]
mod tests {
    use core::future::poll_fn;

    use super::*;
    use crate::app::{Http, Outcome, service_fn};
    use crate::testing::Rig;

    #[test]
    fn sleep_that_passed_and_is_looked_at_no_more_is_no_deadline() {
        let service = service_fn(|_, context| {
            let clock = context.clock();
            Outcome::future(async move {
                let mut first = clock.sleep(Duration::from_millis(10));
                let mut second = clock.sleep(Duration::from_millis(5));
                // Both are polled; the second ends the race, and the first lives on unseen.
                poll_fn(|context| {
                    let _ = Pin::new(&mut first).poll(context);
                    Pin::new(&mut second).poll(context)
                })
                .await;
                clock.sleep(Duration::from_millis(100)).await;
                drop(first);
                "awake"
            })
        });
        let mut rig = Rig::connect(&Http::new(service));
        rig.read("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        rig.advance(Duration::from_millis(50));
        assert!(rig.deadline().is_some_and(|deadline| deadline.at > rig.now()), "{:?}", rig.deadline());
        rig.advance(Duration::from_millis(60));
        assert!(rig.written().ends_with(b"awake"));
    }
}
