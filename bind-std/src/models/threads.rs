//! A thread a connection, for as long as that lasts. The lifecycle's limit on connections is the limit on threads.
//!
//! A thread whose connection ended waits a moment for another before it ends too: starting one costs a dozen system
//! calls, and short connections come in numbers.

use std::sync::Arc;
use std::time::Duration;

use anabranch_core::lifecycle::AcceptErrorKind;
use crossbeam_channel::{Receiver, Sender, bounded};

use super::Carriers;
use crate::host::Admitted;
use crate::parker::Parker;
use crate::shared::Shared;

/// How long a thread without a connection waits for one.
const SPARE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Threads {
    shared: Arc<Shared>,
    /// Of no capacity: what is sent is in the hands of a thread that waited for it, or comes back. Dropped with the
    /// acceptor, whereupon threads that wait end at once.
    spare: Sender<Admitted>,
    waiting: Receiver<Admitted>,
    /// For the threads' names.
    started: u64,
}

impl Threads {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let (spare, waiting) = bounded(0);
        Self { shared, spare, waiting, started: 0 }
    }
}

impl Carriers for Threads {
    fn has_room(&self) -> bool {
        true
    }

    fn place(&mut self, admitted: Admitted, _: &mut dyn FnMut()) {
        let Err(returned) = self.spare.try_send(admitted) else { return };
        let admitted = returned.into_inner();
        let listener = admitted.listener();
        let (shared, waiting) = (self.shared.clone(), self.waiting.clone());
        self.started += 1;
        let work = move || {
            let parker = Arc::<Parker>::default();
            shared.carry(admitted, &parker, &mut || {});
            while let Ok(admitted) = waiting.recv_timeout(SPARE) {
                shared.carry(admitted, &parker, &mut || {});
            }
        };
        if self.shared.host.spawn(format_args!("c{}", self.started), work).is_err() {
            // Out of threads is out of something, like being out of descriptors: leave off for a while. The connection
            // went with the work.
            self.shared.host.accept_failed_as(listener, AcceptErrorKind::Exhausted);
        }
    }
}
