//! The models: which threads there are, and what goes between them. Everything else is the same for all of them.

mod multi_reactor;
mod pinning;
mod reactor_pool;
mod staged;
mod supervise;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use anabranch_core::lifecycle::ListenerId;
use anabranch_std::Listener;
use anabranch_std::host::{Binding, Host};

use crate::config::{Config, Model, Ownership};
use crate::doors::Door;
use crate::reactor::{Hands, Source};
use supervise::supervise;

impl Binding for Model {
    fn start(&self, host: &Arc<Host>, config: &Config, listeners: Vec<Listener>) -> io::Result<()> {
        let shared = |listeners: Vec<Listener>| listeners.into_iter().map(Arc::new).collect::<Vec<_>>();
        match *self {
            Self::Reactor => {
                let doors = Doorway::new(shared(listeners));
                supervise(host, "loop", config.read_bytes, || {}, move || (doors.source(), Hands::Own))
            }
            Self::MultiReactor { loops, pinning } => {
                multi_reactor::start(host, config, listeners, loops.get(), pinning)
            }
            Self::ReactorPool { workers } => {
                reactor_pool::start(host, config, shared(listeners), workers.get())
            }
            Self::Staged { acceptors, network, ownership: Ownership::Pinned } => {
                staged::start(host, config, &shared(listeners), acceptors.get(), network.get())
            }
            #[cfg(target_os = "linux")]
            Self::Staged { acceptors, network, ownership: Ownership::Shared } => {
                crate::shared::start(host, config, &shared(listeners), acceptors.get(), network.get())
            }
            #[cfg(not(target_os = "linux"))]
            Self::Staged { ownership: Ownership::Shared, .. } => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "shared ownership needs Linux's EPOLLONESHOT: take `Ownership::Pinned`",
            )),
        }
    }
}

/// The listeners of a loop, kept outside of it: should it die, the one that takes its place finds them open, and whoever
/// waits in their queues is not reset.
#[derive(Clone, Debug)]
struct Doorway(Arc<Mutex<Vec<Door>>>);

impl Doorway {
    fn new(listeners: Vec<Arc<Listener>>) -> Self {
        let numbered = listeners.into_iter().enumerate();
        let door = |(number, listener)| Door::new(ListenerId(number), listener);
        Self(Arc::new(Mutex::new(numbered.map(door).collect())))
    }

    fn source(&self) -> Source {
        let kept = self.clone();
        let doors = self.lock().clone();
        Source::Doors { doors, close: Box::new(move |id| kept.lock().retain(|door| door.id() != id)) }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Door>> {
        // Nothing under this lock can panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
