//! The models: where a connection goes once it is accepted. Everything else is the same for all of them.

mod pool;
mod single;
mod threads;

use std::io;
use std::sync::Arc;

use crate::acceptor::{Acceptor, Placement};
use crate::config::Model;
use crate::listener::Listener;
use crate::shared::Shared;

/// Starts the threads that `model` begins with: the acceptor, and its workers if it has them.
///
/// # Errors
/// When the system gives no thread.
pub(crate) fn start(shared: &Arc<Shared>, model: Model, listeners: Vec<Listener>) -> io::Result<()> {
    match model {
        Model::Single => accept(shared, listeners, single::Single::default()),
        Model::Threads => accept(shared, listeners, threads::Threads::new(shared.clone())),
        Model::Pool { workers, queue } => {
            accept(shared, listeners, pool::Pool::start(shared, workers, queue)?)
        }
    }
}

fn accept(
    shared: &Arc<Shared>,
    listeners: Vec<Listener>,
    placement: impl Placement + 'static,
) -> io::Result<()> {
    let acceptor = Acceptor::new(shared.clone(), listeners, placement);
    shared.crew.spawn("accept", move || acceptor.run())
}
