//! A request's body, as `http_body` has bodies.

use core::pin::Pin;
use core::task::{Context, Poll, Waker, ready};

use anabranch_core::app::{BodyError, Frame, Incoming};
use bytes::Bytes;
use http::HeaderMap;
use http_body::SizeHint;

/// The body of a request: its data as it comes, then its trailer fields.
///
/// A peer that waits for `100 Continue` gets it when the body is first polled, and not before. Any peer is held up while what
/// has come is not taken. Dropped, it declines the rest. It may be polled on any thread.
#[derive(Debug, Default)]
pub struct RequestBody {
    /// Until its end was taken.
    incoming: Option<Incoming>,
    /// Bytes that are still to come, where that was declared.
    left: Option<u64>,
}

impl RequestBody {
    /// No body: for requests without one, and for tests.
    #[must_use]
    pub const fn empty() -> Self {
        Self { incoming: None, left: None }
    }
}

impl From<Incoming> for RequestBody {
    fn from(incoming: Incoming) -> Self {
        let left = incoming.length();
        Self { incoming: Some(incoming), left }
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, BodyError>>> {
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(None) };
        let frame = match ready!(incoming.poll_frame(context)) {
            Some(Ok(Frame::Data(data))) => {
                self.took(data.len(), context);
                return Poll::Ready(Some(Ok(http_body::Frame::data(data))));
            }
            Some(Ok(Frame::Trailers(trailers))) => {
                let trailers: HeaderMap =
                    trailers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
                Some(Ok(http_body::Frame::trailers(trailers)))
            }
            Some(Err(error)) => Some(Err(error)),
            None => None,
        };
        *self = Self::empty();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.incoming, self.left) {
            (None, _) => SizeHint::with_exact(0),
            (Some(_), Some(left)) => SizeHint::with_exact(left),
            (Some(_), None) => SizeHint::default(),
        }
    }
}

impl RequestBody {
    /// Has what came with the head put aside for the first poll, and is not polled twice for it.
    pub(crate) fn ask(&mut self, waker: &Waker) {
        if let Some(incoming) = &mut self.incoming {
            incoming.ask(waker);
        }
    }

    /// Who has all that was declared may look no further: so the end is taken with the last byte, lest the body seem declined.
    fn took(&mut self, bytes: usize, context: &mut Context<'_>) {
        let (Some(incoming), Some(left)) = (&mut self.incoming, &mut self.left) else { return };
        *left = left.saturating_sub(bytes as u64);
        if *left == 0 && matches!(incoming.poll_frame(context), Poll::Ready(None)) {
            *self = Self::empty();
        }
    }
}
