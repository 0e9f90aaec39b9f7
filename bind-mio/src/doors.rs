//! The listeners of a reactor.

use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;

use anabranch_core::lifecycle::ListenerId;
use anabranch_std::host::{Admitted, Host};
use anabranch_std::{Blocking, Listener};

/// A listener that a reactor accepts from. It is owned outside: a loop that dies closes none, and whoever waits in its
/// queue is accepted by the loop that takes its place.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    id: ListenerId,
    listener: Arc<Listener>,
}

impl Door {
    pub(crate) const fn new(id: ListenerId, listener: Arc<Listener>) -> Self {
        Self { id, listener }
    }

    pub(crate) const fn id(&self) -> ListenerId {
        self.id
    }

    pub(crate) fn raw_fd(&self) -> RawFd {
        self.listener.as_fd().as_raw_fd()
    }
}

/// All of them.
pub(crate) struct Doors {
    entries: Vec<Entry>,
    close: Close,
}

/// Closes the listener that is kept for the loop's successor.
pub(crate) type Close = Box<dyn FnMut(ListenerId) + Send>;

#[derive(Debug)]
struct Entry {
    /// `None` once it is closed.
    door: Option<Door>,
    may_accept: bool,
    /// Somebody may wait: an edge said so, and no accept since that nobody does.
    may_have_more: bool,
}

/// What an accept gave.
pub(crate) enum Accepted {
    One(Admitted),
    /// Nobody waits, or nobody may be accepted.
    None,
    /// Somebody, for whom there is no place; others may wait.
    Lost,
}

impl Doors {
    pub(crate) fn new(doors: Vec<Door>, close: Close) -> Self {
        let entry = |door| Entry { door: Some(door), may_accept: false, may_have_more: true };
        Self { entries: doors.into_iter().map(entry).collect(), close }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether all are closed.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.iter().all(|entry| entry.door.is_none())
    }

    /// Whether some listener is to be accepted from without waiting for an event.
    pub(crate) fn may_have_more(&self) -> bool {
        self.entries.iter().any(|entry| entry.may_accept && entry.may_have_more && entry.door.is_some())
    }

    /// Somebody waits at this listener.
    pub(crate) fn mark(&mut self, number: usize) {
        if let Some(entry) = self.entries.get_mut(number) {
            entry.may_have_more = true;
        }
    }

    /// Does with each listener what the lifecycle wants at the moment.
    pub(crate) fn attend(&mut self, host: &Host) {
        for entry in &mut self.entries {
            let Some(id) = entry.door.as_ref().map(|door| door.id) else { continue };
            entry.may_accept = host.is_accepting(id);
            if !host.is_listening(id) {
                entry.door = None;
                (self.close)(id);
            }
        }
    }

    /// The next connection, if one waits and may be accepted.
    pub(crate) fn accept(&mut self, number: usize, host: &Arc<Host>) -> Accepted {
        let Some(entry) = self.entries.get_mut(number) else { return Accepted::None };
        let Some(door) = entry.door.as_ref().filter(|_| entry.may_accept && entry.may_have_more) else {
            return Accepted::None;
        };
        match door.listener.accept(Blocking::No) {
            Ok(connection) => host.admit(connection, door.id).map_or(Accepted::Lost, Accepted::One),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                entry.may_have_more = false;
                Accepted::None
            }
            Err(error) => {
                host.accept_failed(door.id, &error);
                Accepted::Lost
            }
        }
    }
}

impl std::fmt::Debug for Doors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Doors").field(&self.entries).finish()
    }
}
