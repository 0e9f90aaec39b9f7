//! What a loop has at a connection's place: the connection, or a note of who has it.

use std::sync::Arc;

use anabranch_core::drive::Readiness;

use crate::connection::Connection;
use crate::gathering::Counted;
use crate::table::Table;
use crate::wakers::Own;

/// A connection's place.
pub(crate) struct Slot {
    pub(crate) state: State,
    /// Its own waker, from when it first waited for its application on; kept for whoever has the place next.
    pub(crate) own: Option<Arc<Own>>,
}

/// A place is a cache line: with what core holds of an idle connection and 16 bytes of a timer, that is what it costs.
const _: () = assert!(Table::<Slot, Mark>::PLACE_BYTES <= 64);

/// What stands beside a connection.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mark {
    /// In the queue.
    pub(crate) queued: bool,
    pub(crate) watched: Watched,
    pub(crate) counted: Counted,
}

/// What the poll says of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Watched {
    /// That there is input, or an end.
    #[default]
    Input,
    /// That there is room for output too: from when there first was none.
    Both,
}

/// Where a connection is.
pub(crate) enum State {
    Here(Connection),
    /// With a worker. What has come for it meanwhile is kept.
    Away {
        events: Readiness,
        wanted: bool,
    },
}
