//! From an `http::Response` to an answer of core's: the fields without those that frame it, the body whole or as a source.
//!
//! ```text
//!   status: HEAD, 204, 205, 304 ───────────────────────────────► no body is sent
//!   body ─┬─ at its end ───────────────────────────────────────► none
//!         ├─ of an exact length, and all of it in one frame ───► whole: core's fast path
//!         └─ anything else ────────────────────────────────────► a source, with its length where that is known
//! ```

use core::pin::Pin;
use core::task::{Context, Poll};
use std::sync::Arc;

use anabranch_core::Fields;
use anabranch_core::app::{Body, BodyError, BodySource, Frame, Response};
use bytes::{Buf, Bytes};
use http::header::{CONNECTION, CONTENT_LENGTH};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::runtime::{Inside, Runtime};
use crate::service::{BoxError, OnError};

/// A place for a body, kept from one answer to the next. Pinned there, since it is polled before anybody knows whether it has
/// to be kept.
pub(crate) type Slot<B> = Pin<Box<Option<B>>>;

/// What is said of a response when it is turned into an answer.
pub(crate) struct Surroundings<'a> {
    pub(crate) runtime: &'a Runtime,
    pub(crate) on_error: Option<&'a Arc<OnError>>,
    /// Whether the request is a `HEAD`.
    pub(crate) is_head: bool,
}

/// The answer of a service. `slot` is empty, and left empty.
pub(crate) fn answer<B>(
    status: StatusCode,
    headers: &mut HeaderMap,
    body: B,
    slot: &mut Slot<B>,
    surroundings: &Surroundings<'_>,
    context: &mut Context<'_>,
) -> Response
where
    B: http_body::Body<Error: Into<BoxError>> + Send + 'static,
{
    let exact = body.size_hint().exact();
    if surroundings.is_head || has_no_body(status) {
        return without_body(status, headers, exact, surroundings.is_head);
    }
    let fields = to_fields(headers, exact);
    if body.is_end_stream() {
        return Response { status, fields, body: Body::empty() };
    }
    slot.set(Some(body));
    let first = poll(slot, context);
    let body = match first {
        Poll::Ready(Some(Ok(Frame::Data(data))))
            if exact == Some(data.len() as u64) && is_at_its_end(slot) =>
        {
            slot.set(None);
            Body::from(data)
        }
        first => {
            let slot = core::mem::replace(slot, Box::pin(None));
            let body = Inside::new(surroundings.runtime.clone(), slot);
            let on_error = surroundings.on_error.cloned();
            Body::source(Source { first, body, length: exact, on_error })
        }
    };
    Response { status, fields, body }
}

/// An answer whose body is not sent: its length may be told all the same, to those who asked with `HEAD`, and in a 304.
fn without_body(status: StatusCode, headers: &mut HeaderMap, exact: Option<u64>, is_head: bool) -> Response {
    let fields = to_fields(headers, None);
    let mut response = Response { status, fields, body: Body::empty() };
    match exact {
        _ if matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT) => {
            response.fields.remove(&CONTENT_LENGTH);
        }
        // What a router says of the body that it left out is no length that a 200 would have (RFC 9110 §8.6).
        Some(0) if status == StatusCode::NOT_MODIFIED && says_nothing(&response.fields) => {
            response.fields.remove(&CONTENT_LENGTH);
        }
        _ if !is_head || response.fields.contains(&CONTENT_LENGTH) => {}
        Some(length @ 1..) => response.fields.append(CONTENT_LENGTH, HeaderValue::from(length)),
        // Nothing at all may be what a service makes of any body when it is asked with `HEAD`, so its length is not told.
        _ => response.body = Body::source(Untold),
    }
    response
}

/// Whether the length that is told is none at all.
fn says_nothing(fields: &Fields) -> bool {
    fields.get(&CONTENT_LENGTH).and_then(number) == Some(0)
}

/// Statuses of which core sends no body. A service that made one all the same, as a page of errors does, means no harm.
const fn has_no_body(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED)
}

/// The field lines in order, without what frames the message and governs the connection, which core says itself; a length that
/// is not the body's stays, for core to refuse.
pub(crate) fn to_fields(headers: &mut HeaderMap, exact: Option<u64>) -> Fields {
    let mut fields = Fields::new();
    // To clone what is as a rule static or shared, and then to clear the map, costs half of what it costs to drain it.
    for (name, value) in &*headers {
        match name.as_str() {
            "content-length" if exact.is_some() && exact == number(value) => {}
            "connection" if asks_to_close(value) => {
                fields.set(CONNECTION, HeaderValue::from_static("close"));
            }
            "connection" | "transfer-encoding" | "keep-alive" => {}
            _ => fields.append(name.clone(), value.clone()),
        }
    }
    headers.clear();
    fields
}

fn number(value: &HeaderValue) -> Option<u64> {
    str::from_utf8(value.as_bytes()).ok()?.parse().ok()
}

fn asks_to_close(value: &HeaderValue) -> bool {
    value
        .as_bytes()
        .split(|byte| *byte == b',')
        .any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"))
}

type Polled = Poll<Option<Result<Frame, BoxError>>>;

fn poll<B>(slot: &mut Slot<B>, context: &mut Context<'_>) -> Polled
where
    B: http_body::Body<Error: Into<BoxError>>,
{
    let Some(body) = slot.as_mut().as_pin_mut() else { return Poll::Ready(None) };
    let polled = body.poll_frame(context).map_ok(|frame| match frame.into_data() {
        Ok(mut data) => Frame::Data(data.copy_to_bytes(data.remaining())),
        // There are no frames of other kinds.
        Err(frame) => frame.into_trailers().map_or_else(
            |_| Frame::Data(Bytes::new()),
            |mut trailers| Frame::Trailers(to_fields(&mut trailers, None)),
        ),
    });
    polled.map_err(Into::into)
}

fn is_at_its_end<B: http_body::Body>(slot: &Slot<B>) -> bool {
    slot.as_ref().as_pin_ref().is_none_or(|body| body.is_end_stream())
}

/// A body that is asked for more while the peer takes it.
struct Source<B> {
    /// What was found when it was looked at first.
    first: Polled,
    body: Inside<Slot<B>>,
    length: Option<u64>,
    on_error: Option<Arc<OnError>>,
}

impl<B> BodySource for Source<B>
where
    B: http_body::Body<Error: Into<BoxError>> + Send + 'static,
{
    fn poll_frame(&mut self, context: &mut Context<'_>, _: usize) -> Poll<Option<Result<Frame, BodyError>>> {
        let polled = match core::mem::replace(&mut self.first, Poll::Pending) {
            Poll::Ready(first) => Poll::Ready(first),
            Poll::Pending => self.body.with(|slot| poll(slot, context)),
        };
        polled.map_err(|error| {
            if let Some(on_error) = &self.on_error {
                on_error(&*error);
            }
            BodyError::Aborted
        })
    }

    fn length(&self) -> Option<u64> {
        self.length
    }
}

/// A body of a length that is not told, and of which nothing is sent.
struct Untold;

impl BodySource for Untold {
    fn poll_frame(&mut self, _: &mut Context<'_>, _: usize) -> Poll<Option<Result<Frame, BodyError>>> {
        Poll::Ready(None)
    }
}
