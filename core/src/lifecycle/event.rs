//! What a server's life tells its observers: events as they happen, and counters.

use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

use super::accept::AcceptErrorKind;
use super::server::ListenerId;
use crate::flow::{AbortReason, CloseReason};
use crate::info::ConnectionId;
use crate::time::Instant;

/// Something that happened, and when. `Display` gives a line for a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    /// When.
    pub at: Instant,
    /// What.
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum EventKind {
    /// A listener joined.
    Listening {
        /// Which.
        listener: ListenerId,
        /// Where, if the transport has addresses.
        address: Option<SocketAddr>,
    },
    /// A listener is to be closed.
    ListenerClosed {
        /// Which.
        listener: ListenerId,
    },
    /// A connection is served from here on.
    Opened {
        /// Which.
        connection: ConnectionId,
        /// Where it came in.
        listener: ListenerId,
    },
    /// A connection came to its end, served or refused.
    Closed {
        /// Which.
        connection: ConnectionId,
        /// Why.
        reason: CloseReason,
        /// How long it was open, to two nanoseconds.
        lasted: Duration,
    },
    /// A connection is told that there is no room for it.
    Refused {
        /// Which.
        connection: ConnectionId,
        /// Where it came in.
        listener: ListenerId,
    },
    /// A connection was closed as soon as it was accepted.
    Dropped {
        /// Where it came in.
        listener: ListenerId,
        /// Why.
        cause: DropCause,
    },
    /// As many connections are served as may be.
    LimitReached {
        /// How many that is.
        max_connections: usize,
    },
    /// There is room again.
    LimitLeft,
    /// `accept` failed.
    AcceptFailed {
        /// On which listener.
        listener: ListenerId,
        /// What that means.
        kind: AcceptErrorKind,
    },
    /// Accepting works again after an [`Alarm::Exhausted`].
    AcceptRecovered,
    /// Accepting was suspended.
    Suspended,
    /// Accepting was resumed.
    Resumed,
    /// The server stops: what has begun is finished, nothing else is begun.
    Draining {
        /// When the rest is aborted.
        until: Instant,
        /// Connections open.
        open: usize,
    },
    /// Connections still open are ended at once.
    Aborting {
        /// Why.
        reason: AbortReason,
        /// Connections open.
        open: usize,
    },
    /// The server has stopped; no event comes after this one.
    Stopped,
    /// Somebody should look at this.
    Alarm(Alarm),
}

/// What somebody should look at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Alarm {
    /// Descriptors, buffers or memory ran out; nothing is accepted for a while.
    Exhausted {
        /// How long until accepting is tried again.
        pause: Duration,
    },
    /// A listening socket became unusable.
    ListenerFailed {
        /// Which.
        listener: ListenerId,
    },
    /// The last listening socket became unusable: the server stops.
    NoListenerLeft,
}

/// Why a connection was closed as soon as it was accepted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DropCause {
    /// There was no room, not even to say so.
    NoRoom,
    /// The server was stopping.
    Stopping,
}

/// A server's sums since it began.
///
/// `accepted = served + refused + dropped`, and `served + refused = open + refusing + closed`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Counters {
    /// Connections that came in.
    pub accepted: u64,
    /// Of these, served.
    pub served: u64,
    /// Of these, told that there is no room.
    pub refused: u64,
    /// Of these, closed without a word.
    pub dropped: u64,
    /// Served or refused connections that came to their end.
    pub closed: u64,
    /// Connections served at present.
    pub open: usize,
    /// Connections told at present that there is no room.
    pub refusing: usize,
    /// The most connections ever served at once.
    pub peak: usize,
    /// Failures of `accept`.
    pub accept_errors: AcceptErrors,
    /// Events that nobody took in time.
    pub events_lost: u64,
}

/// Failures of `accept`, by kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AcceptErrors {
    /// [`AcceptErrorKind::Transient`].
    pub transient: u64,
    /// [`AcceptErrorKind::Exhausted`].
    pub exhausted: u64,
    /// [`AcceptErrorKind::Fatal`].
    pub fatal: u64,
}

impl AcceptErrors {
    pub(super) const fn count(&mut self, kind: AcceptErrorKind) {
        match kind {
            AcceptErrorKind::Transient => self.transient += 1,
            AcceptErrorKind::Exhausted => self.exhausted += 1,
            AcceptErrorKind::Fatal => self.fatal += 1,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.kind, f)
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listening { listener, address: Some(address) } => {
                write!(f, "listener {listener} listens on {address}")
            }
            Self::Listening { listener, address: None } => write!(f, "listener {listener} listens"),
            Self::ListenerClosed { listener } => write!(f, "listener {listener} closed"),
            Self::Opened { connection, listener } => {
                write!(f, "connection {connection} opened on listener {listener}")
            }
            Self::Closed { connection, reason, lasted } => {
                write!(f, "connection {connection} closed: {reason} after {lasted:.3?}")
            }
            Self::Refused { connection, listener } => {
                write!(f, "connection {connection} refused on listener {listener}: no room")
            }
            Self::Dropped { listener, cause: DropCause::NoRoom } => {
                write!(f, "connection dropped on listener {listener}: no room")
            }
            Self::Dropped { listener, cause: DropCause::Stopping } => {
                write!(f, "connection dropped on listener {listener}: stopping")
            }
            Self::LimitReached { max_connections } => {
                write!(f, "limit reached: max_connections = {max_connections}")
            }
            Self::LimitLeft => f.write_str("limit left: there is room again"),
            Self::AcceptFailed { listener, kind } => {
                write!(f, "accept failed on listener {listener}: {kind}")
            }
            Self::AcceptRecovered => f.write_str("accepting works again"),
            Self::Suspended => f.write_str("suspended"),
            Self::Resumed => f.write_str("resumed"),
            Self::Draining { open, .. } => write!(f, "draining {open} connections"),
            Self::Aborting { reason, open } => write!(f, "aborting {open} connections: {reason}"),
            Self::Stopped => f.write_str("stopped"),
            Self::Alarm(alarm) => fmt::Display::fmt(alarm, f),
        }
    }
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exhausted { pause } => {
                write!(
                    f,
                    "out of descriptors or memory: nothing is accepted for {pause:.3?}; raise `ulimit -n`"
                )?;
                f.write_str(" or lower max_connections")
            }
            Self::ListenerFailed { listener } => {
                write!(f, "listener {listener} failed: its socket is unusable and is closed")
            }
            Self::NoListenerLeft => f.write_str("no listener is left: the server stops"),
        }
    }
}

impl fmt::Display for AcceptErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Transient => "transient",
            Self::Exhausted => "exhausted",
            Self::Fatal => "fatal",
        })
    }
}
