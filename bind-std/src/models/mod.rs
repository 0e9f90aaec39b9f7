//! The models: where a connection goes once it is accepted. Everything else is the same for all of them.

mod pool;
mod single;
mod threads;

use std::io;
use std::sync::Arc;

use crate::acceptor::{Acceptor, Placement};
use crate::config::{Config, Model};
use crate::host::{Binding, Host};
use crate::listener::Listener;
use crate::shared::Shared;

/// Starts the threads that a model begins with: the acceptor, and its workers if it has them.
impl Binding for Model {
    fn start(&self, host: &Arc<Host>, config: &Config, listeners: Vec<Listener>) -> io::Result<()> {
        let shared = &Arc::new(Shared::new(host, config.read_bytes)?);
        match *self {
            Self::Single => accept(shared, listeners, single::Single::new(shared.clone())),
            Self::Threads => accept(shared, listeners, threads::Threads::new(shared.clone())),
            Self::Pool { workers, queue } => {
                accept(shared, listeners, pool::Pool::start(shared, workers, queue)?)
            }
        }
    }
}

fn accept(
    shared: &Arc<Shared>,
    listeners: Vec<Listener>,
    placement: impl Placement + 'static,
) -> io::Result<()> {
    let acceptor = Acceptor::new(shared.clone(), listeners, placement);
    shared.host.spawn("accept", move || acceptor.run())
}
