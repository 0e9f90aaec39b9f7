//! The models: where a connection goes once it is accepted. Everything else is the same for all of them.

mod pool;
mod single;
mod threads;

use std::io;
use std::sync::Arc;

use crate::config::{Config, Model};
use crate::host::{Acceptor, Admitted, Binding, Host, Placement, Welcome};
use crate::listener::{Blocking, Listener};
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

fn accept(shared: &Arc<Shared>, listeners: Vec<Listener>, model: impl Carriers + 'static) -> io::Result<()> {
    let (listeners, bell) = (listeners.into_iter().map(Arc::new), shared.acceptor_bell.clone());
    let placement = Placed { shared: shared.clone(), model };
    let acceptor = Acceptor::new(&shared.host, listeners, bell, placement);
    shared.host.spawn("accept", move || acceptor.run())
}

/// Where a model puts the connections that are to be served.
trait Carriers: Send {
    /// Whether one more connection can be placed. If not, the acceptor's bell is rung once it can.
    fn has_room(&self) -> bool;

    /// Takes a connection over, or carries it to its end here and now. `attend` is for the latter: it sees to the
    /// listeners while the acceptor cannot.
    fn place(&mut self, admitted: Admitted, attend: &mut dyn FnMut());
}

/// What is the same for all models: whoever is refused does not come to its carriers.
struct Placed<M> {
    shared: Arc<Shared>,
    model: M,
}

impl<M: Carriers> Placement for Placed<M> {
    const BLOCKING: Blocking = Blocking::Yes;

    fn has_room(&self) -> bool {
        self.model.has_room()
    }

    fn place(&mut self, admitted: Admitted, attend: &mut dyn FnMut()) {
        match admitted.welcome() {
            Welcome::Serve => self.model.place(admitted, attend),
            Welcome::Refuse => self.shared.refuse(admitted),
        }
    }
}
