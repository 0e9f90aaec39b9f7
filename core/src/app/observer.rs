//! What a server tells of each request: for access logs and metrics.

use core::net::SocketAddr;
use core::time::Duration;

use http::{Method, StatusCode, Version};

use super::failure::Failure;
use crate::info::{ConnectionId, ExchangeId};
use crate::time::Instant;

/// Is told of every exchange that ends. Called on the connection's own thread: it must not block.
pub trait Observer: Send + Sync + 'static {
    /// An exchange has ended: its answer was handed to the connection's output, whole or cut off.
    fn request(&self, record: &RequestRecord<'_>);
}

/// One exchange.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RequestRecord<'a> {
    /// The connection.
    pub connection: ConnectionId,
    /// Which request of the connection, counted from 1.
    pub exchange: ExchangeId,
    /// Where it came from.
    pub peer: Option<SocketAddr>,
    /// Method, target and version; `None` where the head itself was refused.
    pub request: Option<RequestLine<'a>>,
    /// The answer's status; `None` where none was sent.
    pub status: Option<StatusCode>,
    /// Data bytes of the request's body that were received.
    pub request_body_bytes: u64,
    /// Data bytes of the answer's body that were handed to the output.
    pub response_body_bytes: u64,
    /// When the head was complete.
    pub begun: Instant,
    /// From the complete head to the end of the answer.
    pub took: Duration,
    /// Why the server answered instead of the handler, where it did.
    pub failure: Option<Failure>,
    /// Whether the answer went out whole.
    pub end: RequestEnd,
}

/// A request's first line.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RequestLine<'a> {
    /// The method.
    pub method: &'a Method,
    /// The target, as sent.
    pub target: &'a str,
    /// The version.
    pub version: Version,
}

impl<'a> RequestLine<'a> {
    pub(crate) const fn new(method: &'a Method, target: &'a str, version: Version) -> Self {
        Self { method, target, version }
    }
}

/// How an exchange ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum RequestEnd {
    /// The whole answer was handed to the output.
    Answered,
    /// The answer was cut off, or none was given: the peer left, the body failed, the connection was aborted.
    Cut,
    /// The connection went over to another protocol.
    Switched,
}
