//! A fixed number of workers behind one bounded queue of accepted connections.
//!
//! What is bounded is what was accepted and is not done: connections with a worker and connections in the queue
//! together. A queue of none is then simply one that is accepted for only when a worker is free.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::Carriers;
use crate::host::Admitted;
use crate::parker::Parker;
use crate::shared::Shared;

/// The acceptor's end. Dropped with the acceptor, whereupon the workers finish what is queued and end.
#[derive(Debug)]
pub(super) struct Pool {
    queue: Sender<Admitted>,
    places: Arc<Places>,
}

/// How many connections are accepted and not done.
#[derive(Debug)]
struct Places {
    taken: AtomicUsize,
    most: usize,
    /// The acceptor found no room, and is to be told when there is some.
    wanted: AtomicBool,
}

impl Pool {
    pub(super) fn start(shared: &Arc<Shared>, workers: usize, queue: usize) -> io::Result<Self> {
        let workers = workers.max(1);
        let most = workers.saturating_add(queue);
        let places = Arc::new(Places { taken: AtomicUsize::new(0), most, wanted: AtomicBool::new(false) });
        // Unbounded as a type; never longer than the places allow.
        let (sender, receiver) = unbounded();
        for number in 1..=workers {
            let worker = Worker { shared: shared.clone(), queue: receiver.clone(), places: places.clone() };
            shared.host.spawn(format_args!("w{number}"), move || worker.run())?;
        }
        Ok(Self { queue: sender, places })
    }
}

impl Carriers for Pool {
    fn has_room(&self) -> bool {
        self.places.has_room()
    }

    fn place(&mut self, admitted: Admitted, _: &mut dyn FnMut()) {
        self.places.taken.fetch_add(1, Ordering::SeqCst);
        // There are workers for as long as there is this end of the queue.
        let _ = self.queue.send(admitted);
    }
}

impl Places {
    fn has_room(&self) -> bool {
        if self.taken.load(Ordering::SeqCst) < self.most {
            return true;
        }
        // Asked again after saying so: a place that was left in between was left without a ring.
        self.wanted.store(true, Ordering::SeqCst);
        self.taken.load(Ordering::SeqCst) < self.most
    }

    fn leave(&self, shared: &Shared) {
        self.taken.fetch_sub(1, Ordering::SeqCst);
        if self.wanted.swap(false, Ordering::SeqCst) {
            shared.acceptor_bell.ring();
        }
    }
}

#[derive(Debug)]
struct Worker {
    shared: Arc<Shared>,
    queue: Receiver<Admitted>,
    places: Arc<Places>,
}

impl Worker {
    fn run(self) {
        let parker = Arc::<Parker>::default();
        for admitted in &self.queue {
            self.shared.carry(admitted, &parker, &mut || {});
            self.places.leave(&self.shared);
        }
    }
}
