//! A place that any thread may serve, one at a time.
//!
//! ```text
//!            claim                        claim by another
//!   ┌──────┐ ─────► ┌─────────┐ ───────────────────────────► ┌───────────────┐
//!   │ Idle │        │ Claimed │                              │ Claimed again │
//!   └──────┘ ◄───── └─────────┘ ◄─────────────────────────── └───────────────┘
//!            release            release: one more turn is owed
//! ```
//!
//! Whoever has something for the connection notes it and then claims the place. The one that gets it takes a turn; others
//! leave it at their note, which the one that has it finds before it lets go. So nobody waits for anybody: the lock around
//! the connection is never contended.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;

use crate::connection::Connection;

/// What is known of a connection that has not been told to its driver yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Note(pub(super) u8);

impl Note {
    pub(super) const NOTHING: Self = Self(0);
    pub(super) const READABLE: Self = Self(1);
    pub(super) const WRITABLE: Self = Self(1 << 1);
    pub(super) const HANGUP: Self = Self(1 << 2);
    pub(super) const GONE: Self = Self(1 << 3);

    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Tells the connection's readiness.
    pub(super) fn tell(self, connection: &mut Connection) {
        let readiness = &mut connection.driven.readiness;
        readiness.readable |= self.has(Self::READABLE);
        readiness.writable |= self.has(Self::WRITABLE);
        readiness.hangup |= self.has(Self::HANGUP);
        readiness.gone |= self.has(Self::GONE);
    }
}

/// One place of the table, empty or not.
pub(super) struct Entry {
    claim: AtomicU8,
    /// The generation, and what was noted for it: what was noted for a connection that is gone says nothing of the next.
    notes: AtomicU64,
    /// It is in the queue of those that are wanted.
    queued: AtomicBool,
    /// When a timer that was set for it comes due; nanoseconds.
    pub(super) timer: AtomicU64,
    inside: Mutex<Inside>,
}

pub(super) struct Inside {
    pub(super) connection: Option<Connection>,
    /// Kept for whoever has the place next.
    pub(super) waker: Option<Waker>,
    pub(super) armed: Armed,
}

/// Whether the poll knows of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Armed {
    Never,
    Once,
}

const IDLE: u8 = 0;
const CLAIMED: u8 = 1;
const AGAIN: u8 = 2;

impl Entry {
    pub(super) fn new() -> Self {
        let inside = Inside { connection: None, waker: None, armed: Armed::Never };
        Self {
            claim: AtomicU8::new(IDLE),
            notes: AtomicU64::new(0),
            queued: AtomicBool::new(false),
            timer: AtomicU64::new(u64::MAX),
            inside: Mutex::new(inside),
        }
    }

    pub(super) fn generation(&self) -> u32 {
        (self.notes.load(Ordering::Acquire) >> 8) as u32
    }

    /// Notes something, if the place is still of that generation. Says whether it is.
    pub(super) fn note(&self, generation: u32, note: Note) -> bool {
        let add = |notes: u64| ((notes >> 8) as u32 == generation).then_some(notes | u64::from(note.0));
        self.notes.fetch_update(Ordering::AcqRel, Ordering::Acquire, add).is_ok()
    }

    /// What was noted, which is then told.
    pub(super) fn take_notes(&self) -> Note {
        Note((self.notes.fetch_and(!0xFF, Ordering::AcqRel) & 0xFF) as u8)
    }

    /// The next connection is another: nothing that is under way for this one reaches it.
    pub(super) fn end_generation(&self) {
        let next = |notes: u64| Some(u64::from(((notes >> 8) as u32).wrapping_add(1)) << 8);
        // It gives a next one always.
        let _ = self.notes.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
        self.timer.store(u64::MAX, Ordering::Release);
    }

    /// Whether it is to be queued: it is not yet.
    pub(super) fn enqueue(&self) -> bool {
        !self.queued.swap(true, Ordering::AcqRel)
    }

    /// It was taken out of the queue, and is served after this.
    pub(super) fn dequeue(&self) {
        self.queued.swap(false, Ordering::AcqRel);
    }

    /// Claims the place; not so when somebody has it, who will look again.
    pub(super) fn claim(&self) -> bool {
        let next = |claim| Some(if claim == IDLE { CLAIMED } else { AGAIN });
        self.claim.fetch_update(Ordering::AcqRel, Ordering::Acquire, next) == Ok(IDLE)
    }

    /// Lets go of the place; not so when somebody else wanted it: then one more turn is owed.
    pub(super) fn release(&self) -> bool {
        if self.claim.compare_exchange(CLAIMED, IDLE, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            return true;
        }
        self.claim.store(CLAIMED, Ordering::Release);
        false
    }

    /// What is inside, for whoever has claimed the place.
    pub(super) fn open(&self) -> MutexGuard<'_, Inside> {
        // A turn's panic ends within the turn: see `Connection::turn`.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All places there can be, made a page at a time and never moved: a place is found without a lock.
pub(super) struct Entries {
    pages: Box<[OnceLock<Arc<[Entry]>>]>,
}

const PAGE: usize = 128;

impl Entries {
    /// At most so many.
    pub(super) fn new(most: usize) -> Self {
        Self { pages: (0..most.div_ceil(PAGE)).map(|_| OnceLock::new()).collect() }
    }

    /// The place of that number, made if need be; `None` beyond the most.
    pub(super) fn get(&self, number: u32) -> Option<&Entry> {
        let page = self.pages.get(number as usize / PAGE)?;
        let page = page.get_or_init(|| (0..PAGE).map(|_| Entry::new()).collect());
        Some(&page[number as usize % PAGE])
    }

    pub(super) fn most(&self) -> usize {
        self.pages.len() * PAGE
    }
}
