//! Who is at the other end: the identity of a connection and of the exchanges on it.

use core::fmt;
use core::net::SocketAddr;

/// A connection's number, unique within one server's life. Carried by events, logs and access records.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ConnectionId(pub u64);

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}", self.0)
    }
}

/// A request's number, counted from 1 on its connection. With the [`ConnectionId`] it names one exchange.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ExchangeId(pub u64);

impl fmt::Display for ExchangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.0)
    }
}

/// What is known of a connection before its first byte of protocol: made by the binding that accepted it, enriched by
/// layers that learn more (a PROXY header, TLS), read by the application.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// The connection's number.
    pub id: ConnectionId,
    /// The address it came in on, where the transport has one.
    pub local: Option<SocketAddr>,
    /// The address it came from, where the transport has one.
    pub peer: Option<SocketAddr>,
}

impl ConnectionInfo {
    /// A connection of which only the number is known.
    #[must_use]
    pub const fn new(id: ConnectionId) -> Self {
        Self { id, local: None, peer: None }
    }

    /// The same connection, with its addresses.
    #[must_use]
    pub const fn with_addresses(mut self, local: Option<SocketAddr>, peer: Option<SocketAddr>) -> Self {
        self.local = local;
        self.peer = peer;
        self
    }
}
