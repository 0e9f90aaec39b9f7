//! What other threads have for a reactor, and how they wake it: a lock-free queue, and one system call for a batch.
//!
//! ```text
//!            begin                     prepare (only from Awake)
//!   ┌──────────┐ ──► ┌───────┐ ──────────────────────────────► ┌──────────┐
//!   │ Notified │     │ Awake │                                 │ Sleeping │ in the poll, on the waker among others
//!   └──────────┘ ◄── └───────┘ ◄────────────────────────────── └────┬─────┘
//!        ▲    rouse               begin (the poll is over)          │
//!        └──────────────────── rouse: and wake the poll ────────────┘
//! ```
//!
//! Whoever posts puts its mail in the queue and then asks for the state; the reactor says that it sleeps and then looks
//! into the queue for the last time. One of the two sees the other. Only the first to find the reactor asleep makes a
//! system call.
//!
//! # Mail that need not wake
//!
//! A connection that comes back from a worker with nothing to do is wanted by nobody until its peer speaks, which wakes
//! the reactor by itself, or until its deadline. Such mail is left ([`leave`](Mailbox::leave)) without waking, if the
//! reactor's sleep will end by that deadline anyway.

use std::fmt;

use anabranch_core::Instant;
use anabranch_std::host::{Bell, Stop};

use crate::sync::{AtomicBool, AtomicU8, AtomicU64, Ordering, SegQueue, fence};

/// What ends a reactor's sleep.
pub trait Alarm: Send + Sync {
    /// Ends it, or the next one.
    fn sound(&self);
}

impl Alarm for mio::Waker {
    fn sound(&self) {
        // It fails only where the poll is gone, and with it the reactor.
        let _ = self.wake();
    }
}

/// One a reactor.
pub struct Mailbox<T, A = mio::Waker> {
    queue: SegQueue<T>,
    state: AtomicU8,
    /// When a sleep that has begun will end by itself, in nanoseconds.
    until: AtomicU64,
    /// The server calls for attention.
    attention: AtomicBool,
    /// The reactor is gone.
    closed: AtomicBool,
    alarm: A,
}

const AWAKE: u8 = 0;
const NOTIFIED: u8 = 1;
const SLEEPING: u8 = 2;

impl<T, A: Alarm> Mailbox<T, A> {
    /// For the reactor whose sleep `alarm` ends.
    pub fn new(alarm: A) -> Self {
        Self {
            queue: SegQueue::new(),
            state: AtomicU8::new(AWAKE),
            until: AtomicU64::new(0),
            attention: AtomicBool::new(true),
            closed: AtomicBool::new(false),
            alarm,
        }
    }

    /// Puts `mail` in and sees to it that the reactor looks.
    pub fn post(&self, mail: T) {
        self.queue.push(mail);
        self.rouse();
        self.drop_if_closed();
    }

    /// Puts `mail` in, for a reactor that need not look before `due` unless it is awake anyway.
    pub fn leave(&self, mail: T, due: Instant) {
        self.queue.push(mail);
        fence(Ordering::SeqCst);
        if self.until.load(Ordering::Relaxed) >= due.as_nanos() {
            self.rouse();
        }
        self.drop_if_closed();
    }

    /// What is posted to a reactor that is gone is dropped, and a connection in it closed.
    fn drop_if_closed(&self) {
        if self.closed.load(Ordering::SeqCst) {
            while self.queue.pop().is_some() {}
        }
    }

    /// Wakes the reactor, if it sleeps.
    pub fn rouse(&self) {
        if self.state.swap(NOTIFIED, Ordering::SeqCst) == SLEEPING {
            self.alarm.sound();
        }
    }

    // ---- the reactor's side ----

    /// Says that the reactor is going to sleep until `until`; not so when there is mail for it: then it must not.
    pub fn prepare(&self, until: Instant) -> bool {
        self.until.store(until.as_nanos(), Ordering::Relaxed);
        let sleeps = self.state.compare_exchange(AWAKE, SLEEPING, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        fence(Ordering::SeqCst);
        // Mail that was left without a word, before it could be known until when the sleep is to be.
        sleeps && self.queue.is_empty()
    }

    /// The reactor is awake: what was posted until here is what it takes now.
    pub fn begin(&self) {
        self.state.swap(AWAKE, Ordering::SeqCst);
        self.until.store(0, Ordering::Relaxed);
    }

    /// The reactor is gone: mail is dropped from here on.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.drop_if_closed();
    }

    /// The next piece of mail.
    pub fn take(&self) -> Option<T> {
        self.queue.pop()
    }

    /// Whether the server calls for attention.
    pub fn wants_attention(&self) -> bool {
        self.attention.load(Ordering::Acquire)
    }

    /// Whether the server called for attention; from here on it has it.
    pub fn give_attention(&self) -> bool {
        self.wants_attention() && self.attention.swap(false, Ordering::AcqRel)
    }
}

impl<T: Send, A: Alarm> Bell for Mailbox<T, A> {
    fn ring(&self, _: Stop) {
        self.attention.store(true, Ordering::Release);
        self.rouse();
    }
}

impl<T, A> fmt::Debug for Mailbox<T, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").field("waiting", &self.queue.len()).finish_non_exhaustive()
    }
}
