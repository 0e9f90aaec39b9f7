//! One connection at a time, carried by the thread that accepted it.

use std::sync::Arc;

use super::Carriers;
use crate::host::Admitted;
use crate::parker::Parker;
use crate::shared::Shared;

#[derive(Debug)]
pub(super) struct Single {
    shared: Arc<Shared>,
    parker: Arc<Parker>,
}

impl Single {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, parker: Arc::default() }
    }
}

impl Carriers for Single {
    /// Whoever asks carries no connection.
    fn has_room(&self) -> bool {
        true
    }

    fn place(&mut self, admitted: Admitted, attend: &mut dyn FnMut()) {
        self.shared.carry(admitted, &self.parker, attend);
    }
}
