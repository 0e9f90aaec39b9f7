//! What a server's life is configured with.

use core::time::Duration;

/// Bounds and times of a server's life.
///
/// ```
/// use anabranch_core::lifecycle::{AtLimit, ServerConfig};
///
/// let mut config = ServerConfig::default();
/// config.max_connections = 1_000;
/// config.at_limit = AtLimit::Refuse;
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ServerConfig {
    /// Connections served at once, over all listeners. Hard: it is never passed. Zero serves none. Default 1,024.
    pub max_connections: usize,
    /// What becomes of those who come when so many are served. Default [`AtLimit::Pause`].
    pub at_limit: AtLimit,
    /// Connections that are told so at once under [`AtLimit::Refuse`], beyond those served; whoever comes beyond that too is
    /// closed without a word. Default 64.
    pub max_refusals: usize,
    /// How long accepting pauses when descriptors or memory ran out. Default 50 ms, doubling up to 1 s.
    pub accept_backoff: Backoff,
    /// The grace of the stop that begins by itself when the last listener failed. Default 15 s.
    pub grace: Duration,
    /// Events kept for [`poll_event`](super::Server::poll_event); the oldest is dropped for the newest, and
    /// [`Counters::events_lost`](super::Counters::events_lost) counts them. Zero keeps none. Default 1,024.
    pub max_events: usize,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            max_connections: 1_024,
            at_limit: AtLimit::default(),
            max_refusals: 64,
            accept_backoff: Backoff::default(),
            grace: Duration::from_secs(15),
            max_events: 1_024,
        }
    }
}

/// What a server does with newcomers while it serves as many connections as it may.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum AtLimit {
    /// Accepts nobody: newcomers wait in the kernel's queue, and one of each that accepts, at most, with that. Costs them time
    /// and the server nothing.
    #[default]
    Pause,
    /// Accepts and says that it is full ([`Protocol::refuse`](crate::Protocol::refuse); in HTTP: 503): newcomers can go
    /// elsewhere at once.
    Refuse,
}

/// A pause that doubles each time it did not help.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Backoff {
    /// The first pause.
    pub first: Duration,
    /// The longest one.
    pub most: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_millis(50), most: Duration::from_secs(1) }
    }
}
