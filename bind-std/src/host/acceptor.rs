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

use super::{Admittance, Admitted, Bell, Host, Stop};
use crate::eventfd::{event, hush, ring};
use crate::listener::{Blocking, Connection, Listener};

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
            waiting: None,
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
            for id in self.doors.who_have_somebody() {
                self.accept(id);
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

    /// Accepts one connection, who waits before who knocks, if that is still wanted: others may have been accepted since the poll.
    fn accept(&mut self, id: ListenerId) {
        let Self { host, doors, placement, .. } = self;
        if !placement.has_room() || !host.is_accepting(id) {
            return;
        }
        let Some(door) = doors.0.iter_mut().find(|door| door.id == id) else { return };
        let accepted = door.waiting.take().map_or_else(|| door.listener.accept(P::BLOCKING), Ok);
        let connection = match accepted {
            Ok(connection) => connection,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) => return host.accept_failed(id, &error),
        };
        match host.admit(connection, id) {
            Admittance::Granted(admitted) => placement.place(admitted, &mut || doors.attend(host)),
            Admittance::Wait(connection) => door.waiting = Some(connection),
            Admittance::Denied => {}
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
    /// Accepted while another took the last place.
    waiting: Option<Connection>,
}

impl Doors {
    /// Those that may accept, and have somebody who was accepted before.
    fn who_have_somebody(&self) -> Vec<ListenerId> {
        self.0.iter().filter(|door| door.may_accept && door.waiting.is_some()).map(|door| door.id).collect()
    }

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
