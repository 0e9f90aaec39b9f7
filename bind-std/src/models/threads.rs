//! A thread a connection, for as long as that lasts. The lifecycle's limit on connections is the limit on threads.

use std::sync::Arc;

use anabranch_core::lifecycle::AcceptErrorKind;

use crate::acceptor::Placement;
use crate::shared::{Admitted, Shared};

#[derive(Debug)]
pub(super) struct Threads {
    shared: Arc<Shared>,
    /// For the threads' names.
    started: u64,
}

impl Threads {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared, started: 0 }
    }
}

impl Placement for Threads {
    fn has_room(&self) -> bool {
        true
    }

    fn place(&mut self, admitted: Admitted, _: &mut dyn FnMut()) {
        let listener = admitted.listener();
        self.started += 1;
        let work = move || admitted.carry(&Arc::default(), &mut || {});
        if self.shared.crew.spawn(format_args!("c{}", self.started), work).is_err() {
            // Out of threads is out of something, like being out of descriptors: leave off for a while. The connection
            // went with the work.
            let kind = AcceptErrorKind::Exhausted;
            self.shared.with_server(|server, now| server.handle_accept_error(listener, kind, now));
        }
    }
}
