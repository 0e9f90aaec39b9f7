//! One connection at a time, carried by the thread that accepted it.

use std::sync::Arc;

use crate::acceptor::Placement;
use crate::parker::Parker;
use crate::shared::Admitted;

#[derive(Debug, Default)]
pub(super) struct Single {
    parker: Arc<Parker>,
}

impl Placement for Single {
    /// Whoever asks carries no connection.
    fn has_room(&self) -> bool {
        true
    }

    fn place(&mut self, admitted: Admitted, attend: &mut dyn FnMut()) {
        admitted.carry(&self.parker, attend);
    }
}
