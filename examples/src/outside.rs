//! What a completion loop shares with the world outside it: where connections come from, who may call them, and the bell
//! that wakes it. The loop itself is one thread's.

use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard};

use anabranch_core::Protocol;
use anabranch_core::drive::Progress;

use crate::agenda::{Agenda, Call};
use crate::completion::Connection;
use crate::lent::{Clock, accept, locked, waker};

/// One a loop.
pub struct Outside {
    /// Time as its connections are told it.
    pub clock: Clock,
    listener: TcpListener,
    protocol: Arc<dyn Protocol>,
    agenda: Mutex<Agenda<Connection>>,
    rung: UnixStream,
    heard: UnixStream,
}

impl Outside {
    /// Speaks `protocol` with whoever comes to `listener`.
    ///
    /// # Errors
    /// When there are no descriptors for the bell.
    pub fn new(listener: TcpListener, protocol: Arc<dyn Protocol>) -> io::Result<Arc<Self>> {
        listener.set_nonblocking(true)?;
        let (rung, heard) = UnixStream::pair()?;
        rung.set_nonblocking(true)?;
        heard.set_nonblocking(true)?;
        let clock = Clock::start();
        let agenda = Mutex::new(Agenda::new(clock.now()));
        Ok(Arc::new(Self { clock, listener, protocol, agenda, rung, heard }))
    }

    /// The agenda, for the loop; it must not keep it.
    pub fn agenda(&self) -> MutexGuard<'_, Agenda<Connection>> {
        locked(&self.agenda)
    }

    /// Calls every connection, from wherever this is called.
    pub fn call_all(&self, call: Call) {
        self.agenda().call_all(call);
        self.ring();
    }

    /// Puts a connection back after its turn, unless that was its last: then it is closed.
    pub fn settle(&self, key: usize, connection: Connection, progress: Progress) {
        if let Progress::Finished(_) = progress {
            // Before the agenda is locked: a flow that goes may wake others, and they are called there.
            drop(connection);
            let _ = self.agenda().remove(key);
            return;
        }
        let deadline = connection.deadline();
        let mut agenda = self.agenda();
        if progress == Progress::Again {
            agenda.call(key, Call::Turn);
        }
        // The loop itself is here: it sleeps by what it learns afterwards.
        let _ = agenda.put(key, connection, deadline);
    }

    /// To be watched, for [`accept`](Self::accept).
    pub fn listener(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// To be watched, for [`hear`](Self::hear).
    pub fn bell(&self) -> BorrowedFd<'_> {
        self.heard.as_fd()
    }

    /// The bell can be read: the agenda has what it was rung for.
    pub fn hear(&self) {
        while matches!((&self.heard).read(&mut [0; 64]), Ok(64)) {}
    }

    /// The listener can be read: takes up whoever waits there.
    pub fn accept(self: &Arc<Self>) {
        while let Some((socket, info)) = accept(&self.listener) {
            // An operation waits by itself; on a socket that does not, it would fail at once instead.
            if socket.set_nonblocking(false).is_err() {
                continue;
            }
            let flow = self.protocol.connect(info, self.clock.now());
            self.agenda().insert(|key| {
                let outside = self.clone();
                let wake = move || {
                    outside.agenda().call(key, Call::Turn);
                    outside.ring();
                };
                Connection::new(flow, socket, waker(wake))
            });
        }
    }

    fn ring(&self) {
        // A bell that takes no more was rung.
        let _ = (&self.rung).write(&[0]);
    }
}

impl std::fmt::Debug for Outside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outside").field("listener", &self.listener).finish_non_exhaustive()
    }
}
