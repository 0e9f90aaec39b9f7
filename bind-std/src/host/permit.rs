//! A connection's place in its server.

use std::fmt;
use std::sync::Arc;

use anabranch_core::{AbortReason, CloseReason, ConnectionId};

use super::Host;

/// A connection that the lifecycle admitted, until it is dropped: then the lifecycle is told that it is closed.
///
/// Close its descriptor first: the next connection may need it. Whoever gets as far as to know how it ended says so with
/// [`end`](Self::end); otherwise it was the driver that failed.
pub struct Permit {
    /// `None` once it has ended.
    host: Option<Arc<Host>>,
    id: ConnectionId,
}

impl Permit {
    pub(super) fn new(host: Arc<Host>, id: ConnectionId) -> Self {
        Self { host: Some(host), id }
    }

    /// The connection's number.
    #[must_use]
    pub const fn id(&self) -> ConnectionId {
        self.id
    }

    /// Says how it ended.
    pub fn end(mut self, reason: CloseReason) {
        self.tell(reason);
    }

    fn tell(&mut self, reason: CloseReason) {
        if let Some(host) = self.host.take() {
            host.with_server(|server, now| server.handle_closed(self.id, reason, now));
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.tell(CloseReason::Aborted(AbortReason::Driver));
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Permit").field(&self.id).finish()
    }
}
