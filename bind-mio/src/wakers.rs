//! Whom an application wakes: the connection it belongs to, by mail.
//!
//! Most connections never wait for their application, and share one waker that says only that somebody was woken. A
//! connection that does wait gets its own, in one more turn; the place keeps it for whoever comes next.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

use crate::mailbox::Mailbox;
use crate::reactor::Mail;
use crate::table::Place;

/// The waker of connections that have none of their own.
#[derive(Debug)]
pub(crate) struct Common {
    state: Arc<CommonState>,
    waker: Waker,
}

#[derive(Debug)]
struct CommonState {
    woken: AtomicBool,
    mailbox: Arc<Mailbox<Mail>>,
}

impl Common {
    pub(crate) fn new(mailbox: Arc<Mailbox<Mail>>) -> Self {
        let state = Arc::new(CommonState { woken: AtomicBool::new(false), mailbox });
        Self { waker: Waker::from(state.clone()), state }
    }

    pub(crate) const fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Whether it was woken since this was last asked.
    pub(crate) fn was_woken(&self) -> bool {
        self.state.woken.load(Ordering::Acquire) && self.state.woken.swap(false, Ordering::AcqRel)
    }
}

impl Wake for CommonState {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.mailbox.rouse();
    }
}

/// A place's own waker.
pub(crate) struct Own {
    state: Arc<OwnState>,
    waker: Waker,
}

/// What those who wake share with the reactor, and with the worker that has the connection.
pub(crate) struct OwnState {
    place: Place,
    mailbox: Arc<Mailbox<Mail>>,
    /// The mail is under way.
    posted: AtomicBool,
    /// Something came for the connection while it was away.
    noted: AtomicBool,
}

impl Own {
    pub(crate) fn new(mailbox: Arc<Mailbox<Mail>>, place: Place) -> Self {
        let (posted, noted) = (AtomicBool::new(false), AtomicBool::new(false));
        let state = Arc::new(OwnState { place, mailbox, posted, noted });
        Self { waker: Waker::from(state.clone()), state }
    }

    pub(crate) const fn waker(&self) -> &Waker {
        &self.waker
    }

    /// The mail has come: the next wake sends another.
    pub(crate) fn heard(&self) {
        self.state.posted.store(false, Ordering::SeqCst);
        self.note();
    }

    /// The connection goes to a worker.
    pub(crate) fn begin(&self) {
        self.state.noted.store(false, Ordering::SeqCst);
    }

    /// Something came for the connection: should it be away, its worker is to say so when it is back.
    pub(crate) fn note(&self) {
        self.state.noted.store(true, Ordering::SeqCst);
    }

    pub(crate) fn share(&self) -> Arc<OwnState> {
        self.state.clone()
    }
}

impl OwnState {
    pub(crate) fn mailbox(&self) -> &Mailbox<Mail> {
        &self.mailbox
    }

    /// Whether something came for the connection since it went away.
    pub(crate) fn was_noted(&self) -> bool {
        self.noted.load(Ordering::SeqCst)
    }
}

impl Wake for OwnState {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.posted.swap(true, Ordering::SeqCst) {
            self.mailbox.post(Mail::Woken(self.place));
        }
    }
}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.state.fmt(f)
    }
}

impl fmt::Debug for OwnState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Own").field("place", &self.place).finish_non_exhaustive()
    }
}
