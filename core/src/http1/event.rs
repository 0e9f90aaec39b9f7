//! What the machine tells its user: requests, their bodies, their ends.

use bytes::Bytes;

use super::head::{RequestHead, Trailers};
use super::refusal::Refusal;
use crate::info::ExchangeId;

/// Something the peer did, in order. Taken with [`Connection::poll_event`](super::Connection::poll_event).
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A request's head is complete: an answer is owed.
    Request {
        /// Names the exchange in every command.
        id: ExchangeId,
        /// The head. Give it to [`recycle`](super::Connection::recycle) when it is done with.
        head: Box<RequestHead>,
    },
    /// Part of a request's body, as it came. Only after [`want_body`](super::Connection::want_body).
    Body {
        /// The exchange.
        id: ExchangeId,
        /// Never empty. It holds on to the driver's read buffer: copy what is kept for long.
        data: Bytes,
    },
    /// A request's body is complete. Not sent for a request without one.
    BodyEnd {
        /// The exchange.
        id: ExchangeId,
        /// The trailer fields, where the body was chunked and had any.
        trailers: Option<Box<Trailers>>,
    },
    /// The peer is refused; the connection ends with the answer. If no answer has begun, one with the refusal's status is
    /// owed now, whatever was owed before. If one has begun, it cannot be trusted to be wanted: cut it.
    Refused {
        /// The exchange: one in progress, or a new one where the head itself is refused.
        id: ExchangeId,
        /// Why.
        refusal: Refusal,
    },
}
