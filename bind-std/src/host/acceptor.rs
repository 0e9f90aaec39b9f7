//! A thread that accepts: all listeners of a server in one poll(2), with whatever else may move it.
//!
//! ```text
//!            ┌──────────────────────────────────────────────────────────────────────┐
//!            ▼                                                                      │
//!   look up: which listeners are to be closed, which may accept, is there room?     │
//!            │                                                                      │
//!            └─► poll(bell, listeners that may) ─► accept ─► lifecycle ─► placement ┘
//! ```
//!
//! Nothing is accepted that has no place: at the limit, without descriptors, suspended, or with the pool's queue full,
//! newcomers wait in the kernel's queue.

use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use anabranch_core::lifecycle::ListenerId;
use rustix::event::{PollFd, PollFlags, poll};

use super::{Admitted, Bell, Host, Stop};
use crate::eventfd::{event, hush, ring};
use crate::listener::{Blocking, Listener};

/// Where a model puts the connections that were accepted.
pub trait Placement: Send {
    /// Whether its sockets wait.
    const BLOCKING: Blocking;

    /// Whether one more connection can be placed. If not, [`AcceptorBell::ring`] says once it can.
    fn has_room(&self) -> bool {
        true
    }

    /// Takes a connection over, or carries it to its end here and now. `attend` is for the latter: it sees to the
    /// listeners while the acceptor cannot.
    fn place(&mut self, admitted: Admitted, attend: &mut dyn FnMut());
}

/// What an acceptor is woken by.
#[derive(Debug)]
pub struct AcceptorBell(OwnedFd);

impl AcceptorBell {
    /// # Errors
    /// When the system gives no descriptor.
    pub fn new() -> io::Result<Self> {
        Ok(Self(event()?))
    }

    /// Wakes the acceptor: there is room, or something else to look up.
    pub fn ring(&self) {
        ring(&self.0);
    }
}

impl Bell for AcceptorBell {
    fn ring(&self, _: Stop) {
        self.ring();
    }
}

/// An acceptor's thread.
pub struct Acceptor<P> {
    host: Arc<Host>,
    bell: Arc<AcceptorBell>,
    doors: Doors,
    placement: P,
}

impl<P> std::fmt::Debug for Acceptor<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Acceptor").field("doors", &self.doors).finish_non_exhaustive()
    }
}

impl<P: Placement> Acceptor<P> {
    /// For `listeners`, numbered in their order, which others may accept from too. `bell` is to be hung up with the host.
    pub fn new(
        host: &Arc<Host>,
        listeners: impl IntoIterator<Item = Arc<Listener>>,
        bell: Arc<AcceptorBell>,
        placement: P,
    ) -> Self {
        let doors = listeners.into_iter().enumerate().map(|(number, listener)| Door {
            id: ListenerId(number),
            listener,
            may_accept: false,
        });
        Self { host: host.clone(), bell, doors: Doors(doors.collect()), placement }
    }

    /// Accepts until the last listener is closed.
    pub fn run(mut self) {
        loop {
            self.doors.attend(&self.host);
            if self.doors.0.is_empty() {
                return;
            }
            let ready = self.poll();
            for id in ready {
                self.accept(id);
            }
        }
    }

    /// Sleeps until a listener has somebody waiting, or the bell rings.
    fn poll(&self) -> Vec<ListenerId> {
        let has_room = self.placement.has_room();
        let open: Vec<&Door> = self.doors.0.iter().filter(|door| has_room && door.may_accept).collect();
        let mut fds = Vec::with_capacity(open.len() + 1);
        fds.push(PollFd::new(&self.bell.0, PollFlags::IN));
        fds.extend(open.iter().map(|door| PollFd::new(&*door.listener, PollFlags::IN)));
        if poll(&mut fds, None).is_err() {
            return Vec::new();
        }
        if !fds[0].revents().is_empty() {
            // Hushed before the state is looked up: a ring that comes after this is seen in the next poll.
            hush(&self.bell.0);
        }
        let is_ready = |fd: &PollFd<'_>| !fd.revents().is_empty();
        open.iter().zip(&fds[1..]).filter(|(_, fd)| is_ready(fd)).map(|(door, _)| door.id).collect()
    }

    /// Accepts one connection, if that is still wanted: others may have been accepted since the poll.
    fn accept(&mut self, id: ListenerId) {
        let Self { host, doors, placement, .. } = self;
        if !placement.has_room() || !host.is_accepting(id) {
            return;
        }
        let Some(door) = doors.0.iter().find(|door| door.id == id) else { return };
        let connection = match door.listener.accept(P::BLOCKING) {
            Ok(connection) => connection,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) => return host.accept_failed(id, &error),
        };
        if let Some(admitted) = host.admit(connection, id) {
            placement.place(admitted, &mut || doors.attend(host));
        }
    }
}

/// The listeners that are still open.
#[derive(Debug)]
struct Doors(Vec<Door>);

#[derive(Debug)]
struct Door {
    id: ListenerId,
    listener: Arc<Listener>,
    may_accept: bool,
}

impl Doors {
    /// Does with each listener what the lifecycle wants at the moment.
    fn attend(&mut self, host: &Host) {
        host.ask_server(|server| {
            self.0.retain_mut(|door| {
                door.may_accept = server.is_accepting(door.id);
                server.is_listening(door.id)
            });
        });
    }
}
