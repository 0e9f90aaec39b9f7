//! What all threads of this binding share, and a connection's life on one of them.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::connection::{Environment, carry};
use crate::host::{Admitted, Host};
use crate::parker::Parker;
use crate::signals::Signals;
use crate::stash::Stash;

/// One a server.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) host: Arc<Host>,
    pub(crate) signals: Arc<Signals>,
    stash: Stash,
}

impl Shared {
    pub(crate) fn new(host: &Arc<Host>, read_bytes: usize) -> io::Result<Self> {
        let signals = Arc::new(Signals::new()?);
        host.hang(signals.clone());
        Ok(Self { host: host.clone(), signals, stash: Stash::new(read_bytes) })
    }

    /// Carries the connection to its end on this thread.
    pub(crate) fn carry(&self, admitted: Admitted, parker: &Arc<Parker>, attend: &mut dyn FnMut()) {
        let Self { host, signals, stash } = self;
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
            if let Some((mut flow, connection, mut permit)) = admitted.connect(host.clock().now()) {
                // The socket is closed in there, before the permit says so.
                permit.end(carry(&mut *flow, connection.socket, environment, parker, attend));
            }
        }));
    }
}
