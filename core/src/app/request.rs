//! A request as the application sees it.

use core::net::SocketAddr;
use core::ops::Deref;

use http::Extensions;

use super::router::parameter;
use crate::http1::RequestHead;
use crate::info::{ConnectionId, ConnectionInfo, ExchangeId};

/// A request: its head, who sent it, and room for what the application attaches to it.
///
/// Everything [`RequestHead`] offers is offered here: `request.method()`, `request.path()`, `request.field("accept")`.
/// The body is not part of it: the handler says in its [`Outcome`](super::Outcome) how it wants it.
#[derive(Debug)]
pub struct Request {
    head: Box<RequestHead>,
    connection: ConnectionId,
    exchange: ExchangeId,
    peer: Option<SocketAddr>,
    /// The pattern of its route, whose parameters are looked up in the path when they are asked for.
    route: Option<&'static str>,
    extensions: Extensions,
}

impl Request {
    #[inline]
    pub(crate) fn new(head: Box<RequestHead>, exchange: ExchangeId, info: &ConnectionInfo) -> Self {
        Self {
            head,
            connection: info.id,
            exchange,
            peer: info.peer,
            route: None,
            extensions: Extensions::new(),
        }
    }

    /// The head.
    #[must_use]
    pub fn head(&self) -> &RequestHead {
        &self.head
    }

    /// The connection it came on.
    #[must_use]
    pub const fn connection_id(&self) -> ConnectionId {
        self.connection
    }

    /// Which request of its connection it is, counted from 1.
    #[must_use]
    pub const fn exchange_id(&self) -> ExchangeId {
        self.exchange
    }

    /// The address it came from, where the transport has one.
    #[must_use]
    pub const fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// The pattern of the route that a [`Router`](super::Router) found for it: a name for metrics that peers do not choose.
    #[must_use]
    pub const fn route(&self) -> Option<&'static str> {
        self.route
    }

    /// What a parameter of its [route](Self::route) stands for, as the peer sent it: see
    /// [`percent_decoded`](super::percent_decoded).
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        parameter(self.route?, self.path(), name)
    }

    pub(crate) const fn set_route(&mut self, pattern: &'static str) {
        self.route = Some(pattern);
    }

    /// What was attached to this request.
    #[must_use]
    pub const fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// Attach what later handlers of this request want to know.
    pub const fn extensions_mut(&mut self) -> &mut Extensions {
        &mut self.extensions
    }

    /// Takes the request out to be kept or sent elsewhere. What stays behind has the same head and none of the extensions.
    #[must_use]
    pub fn detach(&mut self) -> Self {
        Self {
            head: self.head.clone(),
            connection: self.connection,
            exchange: self.exchange,
            peer: self.peer,
            route: self.route,
            extensions: core::mem::take(&mut self.extensions),
        }
    }

    /// Takes the request apart, for its head to be used again.
    #[inline]
    pub(crate) fn into_head(self) -> Box<RequestHead> {
        self.head
    }

    /// Lets go of everything but the head's allocation.
    pub(crate) fn vacate(&mut self) {
        self.head.vacate();
        self.route = None;
        self.extensions = Extensions::new();
    }
}

impl Deref for Request {
    type Target = RequestHead;

    fn deref(&self) -> &RequestHead {
        &self.head
    }
}
