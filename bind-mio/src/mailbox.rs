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
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering, fence};

use anabranch_core::Instant;
use anabranch_std::host::{Bell, Stop};
use crossbeam_queue::SegQueue;

/// One a reactor.
pub(crate) struct Mailbox<T> {
    queue: SegQueue<T>,
    state: AtomicU8,
    /// When a sleep that has begun will end by itself, in nanoseconds.
    until: AtomicU64,
    /// The server calls for attention.
    attention: AtomicBool,
    poll: mio::Waker,
}

const AWAKE: u8 = 0;
const NOTIFIED: u8 = 1;
const SLEEPING: u8 = 2;

impl<T> Mailbox<T> {
    /// For the reactor whose poll reports `token`.
    pub(crate) fn new(registry: &mio::Registry, token: mio::Token) -> io::Result<Self> {
        Ok(Self {
            queue: SegQueue::new(),
            state: AtomicU8::new(AWAKE),
            until: AtomicU64::new(0),
            attention: AtomicBool::new(true),
            poll: mio::Waker::new(registry, token)?,
        })
    }

    /// Puts `mail` in and sees to it that the reactor looks.
    pub(crate) fn post(&self, mail: T) {
        self.queue.push(mail);
        self.rouse();
    }

    /// Puts `mail` in, for a reactor that need not look before `due` unless it is awake anyway.
    pub(crate) fn leave(&self, mail: T, due: Instant) {
        self.queue.push(mail);
        fence(Ordering::SeqCst);
        if self.until.load(Ordering::Relaxed) >= due.as_nanos() {
            self.rouse();
        }
    }

    /// Wakes the reactor, if it sleeps.
    pub(crate) fn rouse(&self) {
        if self.state.swap(NOTIFIED, Ordering::SeqCst) == SLEEPING {
            // It fails only where the poll is gone, and with it the reactor.
            let _ = self.poll.wake();
        }
    }

    // ---- the reactor's side ----

    /// Says that the reactor is going to sleep until `until`; not so when there is mail for it: then it must not.
    pub(crate) fn prepare(&self, until: Instant) -> bool {
        self.until.store(until.as_nanos(), Ordering::Relaxed);
        let sleeps = self.state.compare_exchange(AWAKE, SLEEPING, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        fence(Ordering::SeqCst);
        // Mail that was left without a word, before it could be known until when the sleep is to be.
        sleeps && self.queue.is_empty()
    }

    /// The reactor is awake: what was posted until here is what it takes now.
    pub(crate) fn begin(&self) {
        self.state.swap(AWAKE, Ordering::SeqCst);
        self.until.store(0, Ordering::Relaxed);
    }

    /// The next piece of mail.
    pub(crate) fn take(&self) -> Option<T> {
        self.queue.pop()
    }

    /// Whether the server calls for attention.
    pub(crate) fn wants_attention(&self) -> bool {
        self.attention.load(Ordering::Acquire)
    }

    /// Whether the server called for attention; from here on it has it.
    pub(crate) fn give_attention(&self) -> bool {
        self.wants_attention() && self.attention.swap(false, Ordering::AcqRel)
    }
}

impl<T: Send> Bell for Mailbox<T> {
    fn ring(&self, _: Stop) {
        self.attention.store(true, Ordering::Release);
        self.rouse();
    }
}

impl<T> fmt::Debug for Mailbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").field("waiting", &self.queue.len()).finish_non_exhaustive()
    }
}
