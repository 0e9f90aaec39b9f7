//! The thread that accepts: all listeners of a server in one poll(2), with whatever else may move it.
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

use std::io::ErrorKind;
use std::sync::Arc;

use anabranch_core::lifecycle::ListenerId;
use rustix::event::{PollFd, PollFlags, poll};

use crate::host::{Admitted, Host, Welcome};
use crate::listener::{Blocking, Listener};
use crate::shared::Shared;
use crate::signals::hush;

/// Where a model puts the connections that are to be served.
pub(crate) trait Placement: Send {
    /// Whether one more connection can be placed. If not, the acceptor's bell is rung once it can.
    fn has_room(&self) -> bool;

    /// Takes a connection over, or carries it to its end here and now. `attend` is for the latter: it sees to the
    /// listeners while the acceptor cannot.
    fn place(&mut self, admitted: Admitted, attend: &mut dyn FnMut());
}

/// The acceptor's thread.
pub(crate) struct Acceptor<P> {
    shared: Arc<Shared>,
    doors: Doors,
    placement: P,
}

impl<P: Placement> Acceptor<P> {
    pub(crate) fn new(shared: Arc<Shared>, listeners: Vec<Listener>, placement: P) -> Self {
        let doors = listeners.into_iter().enumerate().map(|(number, listener)| Door {
            id: ListenerId(number),
            listener,
            may_accept: false,
        });
        Self { shared, doors: Doors(doors.collect()), placement }
    }

    /// Accepts until the last listener is closed.
    pub(crate) fn run(mut self) {
        loop {
            self.doors.attend(&self.shared.host);
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
        fds.push(PollFd::from_borrowed_fd(self.shared.signals.acceptor_fd(), PollFlags::IN));
        fds.extend(open.iter().map(|door| PollFd::new(&door.listener, PollFlags::IN)));
        if poll(&mut fds, None).is_err() {
            return Vec::new();
        }
        if !fds[0].revents().is_empty() {
            // Hushed before the state is looked up: a ring that comes after this is seen in the next poll.
            hush(self.shared.signals.acceptor_fd());
        }
        let is_ready = |fd: &PollFd<'_>| !fd.revents().is_empty();
        open.iter().zip(&fds[1..]).filter(|(_, fd)| is_ready(fd)).map(|(door, _)| door.id).collect()
    }

    /// Accepts one connection, if that is still wanted: others may have been accepted since the poll.
    fn accept(&mut self, id: ListenerId) {
        let Self { shared, doors, placement } = self;
        if !placement.has_room() || !shared.host.is_accepting(id) {
            return;
        }
        let Some(door) = doors.0.iter().find(|door| door.id == id) else { return };
        let connection = match door.listener.accept(Blocking::Yes) {
            Ok(connection) => connection,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) => return shared.host.accept_failed(id, &error),
        };
        let Some(admitted) = shared.host.admit(connection, id) else { return };
        match admitted.welcome() {
            Welcome::Serve => placement.place(admitted, &mut || doors.attend(&shared.host)),
            Welcome::Refuse => refuse(shared.clone(), admitted),
        }
    }
}

/// A refusal may have to wait for its peer to read it, so it has a thread of its own for that long; the lifecycle bounds
/// how many there are. Without one it is closed without a word.
fn refuse(shared: Arc<Shared>, admitted: Admitted) {
    let host = shared.host.clone();
    let _ = host.spawn("refuse", move || shared.carry(admitted, &Arc::default(), &mut || {}));
}

/// The listeners that are still open.
#[derive(Debug)]
struct Doors(Vec<Door>);

#[derive(Debug)]
struct Door {
    id: ListenerId,
    listener: Listener,
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
