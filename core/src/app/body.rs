//! The body of an answer: nothing, bytes, or a source that is asked for more while the peer takes it.

use core::fmt;
use core::task::{Context, Poll};

use bytes::Bytes;

use super::pipe::{self, Incoming, Sender};
use crate::fields::Fields;

/// One piece of a body.
#[derive(Clone, PartialEq, Debug)]
pub enum Frame {
    /// Data. Empty data is passed over.
    Data(Bytes),
    /// Trailer fields: the last frame. They are sent where the answer is chunked, which it is to HTTP/1.1 where its length is
    /// unknown; elsewhere they are dropped, and so is a field `Trailer` that announces them (RFC 9110 §6.5, §6.6.2).
    Trailers(Fields),
}

/// Why a body ended before its end.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// The peer broke off, or broke the protocol, within the body.
    #[error("the peer broke the body off")]
    Broken,
    /// The exchange ended: nobody is there for the body any more.
    #[error("the exchange was cancelled")]
    Cancelled,
    /// Whoever made the body gave up.
    #[error("the body's source gave up")]
    Aborted,
}

impl From<BodyError> for std::io::Error {
    fn from(error: BodyError) -> Self {
        let kind = match error {
            BodyError::Broken => std::io::ErrorKind::UnexpectedEof,
            BodyError::Cancelled => std::io::ErrorKind::BrokenPipe,
            BodyError::Aborted => std::io::ErrorKind::ConnectionAborted,
        };
        Self::new(kind, error)
    }
}

/// Makes a body piece by piece, when the connection has room for more.
///
/// Polled on the connection's own thread, inside [`Flow::run`](crate::Flow::run): it must not block. What takes long belongs
/// on a lane, with a [`Body::channel`].
pub trait BodySource: Send + 'static {
    /// The next frame; `Ready(None)` at the end, after which it is not polled again. `room` is how many bytes fit without
    /// queueing: more is taken, and waits. `Pending` registers the context's waker.
    ///
    /// # Errors
    /// An error cuts the answer off: the peer sees that it is incomplete.
    fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
        room: usize,
    ) -> Poll<Option<Result<Frame, BodyError>>>;

    /// How many bytes the body has, where that is known: it is then sent with `Content-Length`.
    fn length(&self) -> Option<u64> {
        None
    }
}

/// An answer's body.
#[derive(Default)]
pub struct Body(pub(crate) Inner);

pub(crate) enum Inner {
    /// All there is, which may be nothing.
    Whole(Bytes),
    Incoming(Incoming),
    Source(Box<dyn BodySource>),
}

impl Body {
    /// No body: `Content-Length: 0` where the status allows one.
    #[must_use]
    pub const fn empty() -> Self {
        Self(Inner::Whole(Bytes::new()))
    }

    /// A body that is made while it is sent.
    #[must_use]
    pub fn source(source: impl BodySource) -> Self {
        Self(Inner::Source(Box::new(source)))
    }

    /// A body that is written elsewhere, by a future or by a thread that blocks: at most `capacity` bytes wait in between
    /// (overshot by one piece), so that whoever writes goes no faster than the peer reads.
    ///
    /// ```
    /// use anabranch_core::app::{Body, Frame};
    /// use bytes::Bytes;
    ///
    /// let (mut sender, _body) = Body::channel(4);
    /// sender.try_send(Bytes::from_static(b"12345")).unwrap();
    /// assert!(sender.try_send(Bytes::from_static(b"6")).is_err());
    /// ```
    #[must_use]
    pub fn channel(capacity: usize) -> (Sender, Self) {
        let (sender, receiver) = pipe::channel(capacity);
        (sender, Self(Inner::Incoming(receiver)))
    }

    /// The body's length, where it is known beforehand.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        match &self.0 {
            Inner::Whole(data) => Some(data.len() as u64),
            Inner::Incoming(incoming) => incoming.length(),
            Inner::Source(source) => source.length(),
        }
    }

    /// Polls for the next frame, for adapters and tests. See [`BodySource::poll_frame`].
    pub fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
        room: usize,
    ) -> Poll<Option<Result<Frame, BodyError>>> {
        match &mut self.0 {
            Inner::Whole(data) => {
                let data = core::mem::take(data);
                Poll::Ready((!data.is_empty()).then_some(Ok(Frame::Data(data))))
            }
            Inner::Incoming(incoming) => incoming.poll_at_most(context, room),
            Inner::Source(source) => source.poll_frame(context, room),
        }
    }
}

impl Default for Inner {
    fn default() -> Self {
        Self::Whole(Bytes::new())
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.0 {
            Inner::Whole(_) => "whole",
            Inner::Incoming(_) => "incoming",
            Inner::Source(_) => "source",
        };
        f.debug_struct("Body").field("kind", &kind).field("length", &self.length()).finish()
    }
}

impl From<Bytes> for Body {
    fn from(data: Bytes) -> Self {
        Self(Inner::Whole(data))
    }
}

impl From<&'static [u8]> for Body {
    fn from(data: &'static [u8]) -> Self {
        Self(Inner::Whole(Bytes::from_static(data)))
    }
}

impl From<&'static str> for Body {
    fn from(data: &'static str) -> Self {
        Self(Inner::Whole(Bytes::from_static(data.as_bytes())))
    }
}

impl From<String> for Body {
    fn from(data: String) -> Self {
        Self(Inner::Whole(Bytes::from(data)))
    }
}

impl From<Vec<u8>> for Body {
    fn from(data: Vec<u8>) -> Self {
        Self(Inner::Whole(Bytes::from(data)))
    }
}

impl From<Incoming> for Body {
    /// The request's body, sent back as it comes.
    fn from(incoming: Incoming) -> Self {
        Self(incoming.into_whole().map_or_else(Inner::Incoming, Inner::Whole))
    }
}
