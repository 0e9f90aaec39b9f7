//! The waker of a blocking thread: one that also wakes it out of poll(2).
//!
//! ```text
//!            begin_turn                    prepare (only from Awake)
//!   ┌──────────┐ ──────► ┌───────┐ ─────────────────────────────► ┌──────────┐
//!   │ Notified │         │ Awake │                                │ Sleeping │ in poll(2), on the bell among others
//!   └──────────┘ ◄────── └───────┘ ◄───────────────────────────── └────┬─────┘
//!        ▲        wake                 finish (the poll is over)       │
//!        └──────────────────── wake: and ring the bell ────────────────┘
//! ```
//!
//! # No wake is lost
//!
//! All of it is one atomic, so wakes and the thread's steps have one order. A wake comes either
//! - before `prepare`: then `prepare` finds `Notified` and refuses to sleep; or
//! - between `prepare` and `finish`: then the waker finds `Sleeping` and rings, and the bell is a level that poll(2) sees
//!   whether it was rung before the poll began or during it; or
//! - after `finish`: then it leaves `Notified`, which the thread asks for before it sleeps again, unless a turn begins
//!   first; and that turn's `run` sees what the waker's thread did before it woke, by the release of its swap and the
//!   acquire of `begin_turn`'s.
//!
//! A waker that found `Sleeping` may ring as late as it likes: a bell that rings for nothing costs one turn for nothing.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Wake;

use crate::eventfd::{event, hush, ring};

/// One a thread, whatever connections it carries one after the other: a wake meant for an earlier one is spurious.
#[derive(Debug, Default)]
pub(crate) struct Parker {
    state: AtomicU8,
    /// Made when a connection of this thread first waits for its application; most never do.
    bell: OnceLock<OwnedFd>,
}

const AWAKE: u8 = 0;
const NOTIFIED: u8 = 1;
const SLEEPING: u8 = 2;

impl Parker {
    /// What was woken for until here is what the turn that begins will see.
    pub(crate) fn begin_turn(&self) {
        // As a rule nobody woke it: then there is nothing to take back, and nothing of a waker's to see.
        if self.is_notified() {
            self.state.swap(AWAKE, Ordering::AcqRel);
        }
    }

    /// Whether a wake came since the turn began.
    pub(crate) fn is_notified(&self) -> bool {
        self.state.load(Ordering::Acquire) == NOTIFIED
    }

    /// The bell to poll for, made if need be.
    pub(crate) fn bell(&self) -> io::Result<BorrowedFd<'_>> {
        if let Some(bell) = self.bell.get() {
            return Ok(bell.as_fd());
        }
        let made = event()?;
        Ok(self.bell.get_or_init(|| made).as_fd())
    }

    /// The bell, if there is one.
    pub(crate) fn existing_bell(&self) -> Option<BorrowedFd<'_>> {
        self.bell.get().map(AsFd::as_fd)
    }

    /// Declares that the thread is going to sleep on its bell; not so when a wake came: then it must not.
    pub(crate) fn prepare(&self) -> bool {
        debug_assert!(self.bell.get().is_some(), "nobody sleeps without a bell");
        self.state.compare_exchange(AWAKE, SLEEPING, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The sleep is over; a turn follows. `bell` is what the poll said of it.
    pub(crate) fn finish(&self, bell: Bell) {
        self.state.swap(AWAKE, Ordering::AcqRel);
        if bell == Bell::Rang
            && let Some(bell) = self.bell.get()
        {
            hush(bell);
        }
    }
}

/// What a poll said of the bell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Bell {
    Rang,
    Silent,
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.swap(NOTIFIED, Ordering::AcqRel) == SLEEPING
            // Only a thread that has a bell sleeps.
            && let Some(bell) = self.bell.get()
        {
            ring(bell);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use std::sync::atomic::AtomicU64;
    use std::thread;

    #[test]
    fn wake_before_sleep_forbids_sleep() {
        let parker = Arc::new(Parker::default());
        parker.bell().unwrap();
        parker.wake_by_ref();
        assert!(parker.is_notified());
        assert!(!parker.prepare());
        parker.begin_turn();
        assert!(parker.prepare());
    }

    /// A producer counts up and wakes; the consumer sleeps until it sees each count. A lost wakeup ends in the bound of
    /// the poll and fails.
    #[test]
    fn no_wake_is_lost_under_stress() {
        const ROUNDS: u64 = 20_000;
        let parker = Arc::new(Parker::default());
        let (given, taken) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let producer = thread::spawn({
            let (parker, given, taken) = (parker.clone(), given.clone(), taken.clone());
            move || {
                for round in 1..=ROUNDS {
                    given.store(round, Ordering::Relaxed);
                    parker.wake_by_ref();
                    while taken.load(Ordering::Relaxed) < round {
                        thread::yield_now();
                    }
                }
            }
        });
        let bound = Timespec { tv_sec: 5, tv_nsec: 0 };
        loop {
            parker.begin_turn();
            let seen = given.load(Ordering::Relaxed);
            taken.store(seen, Ordering::Relaxed);
            if seen == ROUNDS {
                break;
            }
            let bell = parker.bell().unwrap();
            if parker.is_notified() || !parker.prepare() {
                continue;
            }
            let mut fds = [PollFd::from_borrowed_fd(bell, PollFlags::IN)];
            let ready = poll(&mut fds, Some(&bound)).unwrap();
            assert!(ready > 0, "a wake was lost at {seen}");
            parker.finish(Bell::Rang);
        }
        producer.join().unwrap();
    }
}
