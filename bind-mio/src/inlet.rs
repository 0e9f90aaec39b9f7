//! The way into a loop that does not accept for itself. It outlives the loop: should that die, connections go to the one
//! that takes its place.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anabranch_std::host::Admitted;

use crate::mailbox::Mailbox;
use crate::reactor::Mail;

/// One a loop. Its lock is taken once a connection, never on the way of a request.
#[derive(Debug, Default)]
pub(crate) struct Inlet(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    mailbox: Option<Arc<Mailbox<Mail>>>,
    closed: bool,
}

impl Inlet {
    /// The loop that connections go to from here on. Says whether any will.
    pub(crate) fn lead_to(&self, mailbox: &Arc<Mailbox<Mail>>) -> bool {
        let mut state = self.lock();
        state.mailbox = Some(mailbox.clone());
        !state.closed
    }

    /// Hands a connection over. Without a loop it is closed.
    pub(crate) fn put(&self, admitted: Admitted) {
        if let Some(mailbox) = &self.lock().mailbox {
            mailbox.post(Mail::Arrived(admitted));
        }
    }

    /// The loop that it leads to dies.
    #[cfg(test)]
    pub(crate) fn put_fault(&self) {
        if let Some(mailbox) = &self.lock().mailbox {
            mailbox.post(Mail::Fault);
        }
    }

    /// No more connections come.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        if let Some(mailbox) = state.mailbox.take() {
            mailbox.post(Mail::NoMoreArrivals);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock can panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
