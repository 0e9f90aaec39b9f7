//! What all threads of this binding share, and a connection's life on one of them.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use anabranch_core::drive::{Driven, Readiness};

use crate::connection::{Environment, carry};
use crate::host::{AcceptorBell, Admitted, Host};
use crate::parker::Parker;
use crate::signals::Signals;
use crate::stash::Stash;

/// One a server.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) host: Arc<Host>,
    pub(crate) acceptor_bell: Arc<AcceptorBell>,
    signals: Arc<Signals>,
    stash: Stash,
}

impl Shared {
    pub(crate) fn new(host: &Arc<Host>, read_bytes: usize) -> io::Result<Self> {
        let (signals, acceptor_bell) = (Arc::new(Signals::new()?), Arc::new(AcceptorBell::new()?));
        host.hang(signals.clone());
        host.hang(acceptor_bell.clone());
        Ok(Self { host: host.clone(), acceptor_bell, signals, stash: Stash::new(read_bytes) })
    }

    /// Carries a connection that is told that there is no room. It may have to wait for its peer to read that, so it has a
    /// thread of its own for that long; the lifecycle bounds how many there are. Without one it is closed without a word.
    pub(crate) fn refuse(self: &Arc<Self>, admitted: Admitted) {
        let shared = self.clone();
        let _ = self.host.spawn("refuse", move || shared.carry(admitted, &Arc::default(), &mut || {}));
    }

    /// Carries the connection to its end on this thread.
    pub(crate) fn carry(&self, admitted: Admitted, parker: &Arc<Parker>, attend: &mut dyn FnMut()) {
        let Self { host, signals, stash, .. } = self;
        let environment = Environment {
            clock: host.clock(),
            signals,
            stop: &|| host.stop(),
            stash,
            exec: &|job| host.exec(job),
        };
        // A flow that panics breaks a law; that must cost its own connection and nobody else's. What it was lent is
        // dropped with it.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            if let Some((flow, connection, permit)) = admitted.connect(host.clock().now()) {
                let mut driven = Driven::new(flow, Readiness::ready());
                // The socket is closed in there, and the flow is gone, before the permit says so: the next connection may
                // take their places. What the application left with the flow may panic.
                let reason = carry(&mut driven, connection.socket, environment, parker, attend);
                let _ = catch_unwind(AssertUnwindSafe(|| drop(driven)));
                permit.end(reason);
            }
        }));
    }
}
