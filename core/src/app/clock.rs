//! The application's time: it passes with the connection's turns, so that a sleep needs no timer of any runtime.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
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
    sleepers: Vec<Sleeper>,
    next: u64,
}

struct Sleeper {
    id: u64,
    until: Instant,
    waker: Waker,
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

    /// Moves the clock on. Whoever asked to be woken by then is woken, once, and has no further claim to the flow's deadline:
    /// a sleep that nobody looks at again must not keep the driver awake. `own` is the waker of whoever is running: it polls
    /// what it runs anyway, but what it runs may poll only those of its parts that were woken.
    pub(crate) fn advance(&self, now: Instant, own: &Waker) {
        let mut state = self.lock();
        state.now = now;
        if state.sleepers.iter().all(|sleeper| sleeper.until > now) {
            return;
        }
        let sleepers = core::mem::take(&mut state.sleepers);
        let (due, sleepers): (Vec<_>, Vec<_>) =
            sleepers.into_iter().partition(|sleeper| sleeper.until <= now);
        state.sleepers = sleepers;
        drop(state);
        // Outside the lock: what waking does, and what dropping a waker does, is the application's affair.
        due.into_iter()
            .filter(|sleeper| !sleeper.waker.will_wake(own))
            .for_each(|sleeper| sleeper.waker.wake());
    }

    /// When the first sleeper is to be woken.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.lock().sleepers.iter().map(|sleeper| sleeper.until).min()
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

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let waker = context.waker();
        let mut clock = self.clock.lock();
        let (id, until) = match self.state {
            SleepState::Done => return Poll::Ready(()),
            SleepState::Until(id, until) => (id, until),
            SleepState::New(duration) => {
                clock.next += 1;
                (clock.next, clock.now + duration)
            }
        };
        let passed = clock.now >= until;
        let before = clock.remove(id);
        if !passed {
            clock.sleepers.push(Sleeper { id, until, waker: waker.clone() });
        }
        drop(clock);
        drop(before);
        self.state = if passed { SleepState::Done } else { SleepState::Until(id, until) };
        if passed { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let SleepState::Until(id, _) = self.state {
            let before = self.clock.lock().remove(id);
            drop(before);
        }
    }
}

impl State {
    /// Takes a sleeper out, to be dropped outside the lock: its waker is the application's.
    fn remove(&mut self, id: u64) -> Option<Sleeper> {
        let at = self.sleepers.iter().position(|sleeper| sleeper.id == id)?;
        Some(self.sleepers.swap_remove(at))
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
