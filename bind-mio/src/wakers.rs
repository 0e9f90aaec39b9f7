//! Whom an application wakes: the connection it belongs to, by mail.
//!
//! Most connections never wait for their application, and share one waker that says only that somebody was woken. A
//! connection that does wait gets its own, in one more turn; the place keeps it for whoever comes next.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Wake, Waker};

use crate::mailbox::Mailbox;
use crate::reactor::Mail;
use crate::table::Place;

/// The waker of connections that have none of their own. It is heard within a turn only: a connection that waits for its
/// application beyond that has another by then.
#[derive(Debug)]
pub(crate) struct Common {
    woken: Arc<Woken>,
    waker: Waker,
}

#[derive(Debug, Default)]
struct Woken(AtomicBool);

impl Common {
    pub(crate) fn new() -> Self {
        let woken = Arc::<Woken>::default();
        Self { waker: Waker::from(woken.clone()), woken }
    }

    pub(crate) const fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Whether it was woken since this was last asked.
    pub(crate) fn was_woken(&self) -> bool {
        self.woken.0.load(Ordering::Acquire) && self.woken.0.swap(false, Ordering::AcqRel)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

/// What those who wake a place's connection share with the reactor, and with the worker that has it.
///
/// ```text
///            wake: by mail                        begin
///   ┌──────┐ ────────────► ┌────────┐ ──────────────────────────► ┌─────────┐ ── wake ──► ┌───────────────┐
///   │ Idle │               │ Posted │                             │ In turn │             │ Woken in turn │
///   └──────┘ ◄──────────── └────────┘      ┌── begin, from Idle ─► └────┬────┘             └───────┬───────┘
///      │  ▲      heard                     │                            │ end                      │ end: again
///      │  └────────────────────────────────┼────────────────────────────┘                          │
///      └───────────────────────────────────┘ ◄─────────────────────────────────────────────────────┘
/// ```
///
/// A wake in mid-turn sends no mail: whoever takes the turn takes another.
pub(crate) struct Own {
    place: Place,
    mailbox: Arc<Mailbox<Mail>>,
    state: AtomicU8,
    /// Something came for the connection while it was away.
    noted: AtomicBool,
}

const IDLE: u8 = 0;
const POSTED: u8 = 1;
const IN_TURN: u8 = 2;
const WOKEN: u8 = 3;

impl Own {
    pub(crate) const fn new(mailbox: Arc<Mailbox<Mail>>, place: Place) -> Self {
        let (state, noted) = (AtomicU8::new(IDLE), AtomicBool::new(false));
        Self { place, mailbox, state, noted }
    }

    pub(crate) fn mailbox(&self) -> &Mailbox<Mail> {
        &self.mailbox
    }

    /// A turn begins: what was woken for until here is what it will see.
    pub(crate) fn begin(&self) {
        self.state.swap(IN_TURN, Ordering::AcqRel);
    }

    /// The turn is over. Says whether a wake came meanwhile: then another begins.
    pub(crate) fn end(&self) -> bool {
        self.state.compare_exchange(IN_TURN, IDLE, Ordering::AcqRel, Ordering::Acquire).is_err()
    }

    /// The mail has come: the next wake sends another.
    pub(crate) fn heard(&self) {
        let _ = self.state.compare_exchange(POSTED, IDLE, Ordering::AcqRel, Ordering::Acquire);
    }

    /// The connection goes to a worker, by a hand-over that the worker sees this before.
    pub(crate) fn leave(&self) {
        self.noted.store(false, Ordering::Relaxed);
    }

    /// Something came for the connection: should it be away, its worker is to say so when it is back.
    pub(crate) fn note(&self) {
        self.noted.store(true, Ordering::SeqCst);
    }

    /// Whether something came for the connection since it went away.
    pub(crate) fn was_noted(&self) -> bool {
        self.noted.load(Ordering::SeqCst)
    }
}

impl Wake for Own {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let next = |state| match state {
            IDLE => Some(POSTED),
            IN_TURN => Some(WOKEN),
            _ => None,
        };
        if self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, next) == Ok(IDLE) {
            self.mailbox.post(Mail::Woken(self.place));
        }
    }
}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Own").field("place", &self.place).finish_non_exhaustive()
    }
}
