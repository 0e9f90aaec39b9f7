//! One request on its way through the service.
//!
//! ```text
//!   begin ──► Waiting ── poll_ready ──► Called ── poll ──► answer ──► Outcome
//!                │                        │
//!                ├────── pending ─────────┴──► an `Outcome::Await` of the same box: core polls on
//!                └────── error ──────────────► 500
//! ```

use core::future::Future;
use core::pin::Pin;
use core::task::{Context as TaskContext, Poll, ready};
use std::sync::Arc;

use anabranch_core::app::{Context, Outcome, Request, Response};
use http::{HeaderMap, Method, StatusCode};

use crate::body::RequestBody;
use crate::request::{Unfit, http_request};
use crate::response::{self, Slot, Surroundings, to_fields};
use crate::runtime::Inside;
use crate::service::{HttpService, Shared};
use crate::upgrade::{self, Promise};

/// One request on its way through the service, in a box that goes from one request of a driver's thread to the next, together
/// with a clone of the service: a request whose answer is ready at once allocates nothing for its future, and no two threads
/// count references to one service.
pub(crate) struct Call<S: HttpService> {
    shared: Arc<Shared<S>>,
    held: Inside<Held<S>>,
    /// A map that the last answer left empty.
    headers: HeaderMap,
    method: Method,
}

/// What is the service's.
struct Held<S: HttpService> {
    service: S,
    request: Option<http::Request<RequestBody>>,
    future: Pin<Box<Option<S::Future>>>,
    body: Slot<S::Body>,
    /// The upgrade that the request offered.
    promise: Option<Promise>,
}

/// More room for fields than this is not kept.
const KEPT_FIELDS: usize = 64;

/// Nothing in it is pinned in place: what has to be has a box of its own.
impl<S: HttpService> Unpin for Call<S> {}

impl<S: HttpService> Call<S> {
    /// Makes `request` into what the service is called with.
    pub(crate) fn begin(
        shared: &Arc<Shared<S>>,
        request: &mut Request,
        body: RequestBody,
        context: &mut Context<'_>,
    ) -> Result<Box<Self>, Unfit> {
        let mut call = match context.pool().take::<Self>() {
            Some(spare) if Arc::ptr_eq(&spare.shared, shared) => spare,
            _ => Box::new(Self::new(shared)),
        };
        let headers = core::mem::take(&mut call.headers);
        let offer = request.offers_upgrade() || *request.method() == Method::CONNECT;
        call.method = request.method().clone();
        let mut request = http_request(request, body, headers, context.connection(), &*shared.attach)?;
        call.held.with(|held| {
            if offer {
                let (promise, on_upgrade) = upgrade::promise();
                request.extensions_mut().insert(on_upgrade);
                held.promise = Some(promise);
            }
            held.request = Some(request);
        });
        Ok(call)
    }

    /// Looks whether the answer is ready at once.
    pub(crate) fn at_once(mut self: Box<Self>, context: &mut Context<'_>) -> Outcome {
        match self.poll_outcome(&mut TaskContext::from_waker(context.waker())) {
            Poll::Ready(outcome) => {
                context.pool().give(self);
                outcome
            }
            Poll::Pending => self.later(),
        }
    }

    /// Waits for the answer.
    pub(crate) fn later(self: Box<Self>) -> Outcome {
        Outcome::Await(Pin::from(self))
    }

    fn new(shared: &Arc<Shared<S>>) -> Self {
        let held = Held {
            service: shared.service(),
            request: None,
            future: Box::pin(None),
            body: Box::pin(None),
            promise: None,
        };
        Self {
            shared: Arc::clone(shared),
            held: Inside::new(shared.runtime.clone(), held),
            headers: HeaderMap::new(),
            method: Method::GET,
        }
    }

    fn poll_outcome(&mut self, context: &mut TaskContext<'_>) -> Poll<Outcome> {
        let Self { shared, held, headers, method } = self;
        held.with(|held| {
            let response = match ready!(held.poll_response(context)) {
                Ok(response) => response,
                Err(error) => {
                    held.promise = None;
                    if let Some(on_error) = &shared.on_error {
                        on_error(&*error.into());
                    }
                    return Poll::Ready(failed().into());
                }
            };
            let (mut parts, body) = response.into_parts();
            let status = parts.status;
            let outcome = match held.promise.take() {
                Some(promise) if switches(method, status) => {
                    let fields = switch_fields(&mut parts.headers);
                    let head = Response { status, fields, body: Default::default() };
                    Outcome::duplex(head, promise.keep(shared.duplex, &shared.runtime))
                }
                _ => {
                    let surroundings = Surroundings {
                        runtime: &shared.runtime,
                        on_error: shared.on_error.as_ref(),
                        is_head: *method == Method::HEAD,
                    };
                    let slot = &mut held.body;
                    response::answer(status, &mut parts.headers, body, slot, &surroundings, context).into()
                }
            };
            if parts.headers.capacity() <= KEPT_FIELDS {
                *headers = parts.headers;
            }
            Poll::Ready(outcome)
        })
    }
}

impl<S: HttpService> Held<S> {
    fn poll_response(
        &mut self,
        context: &mut TaskContext<'_>,
    ) -> Poll<Result<http::Response<S::Body>, S::Error>> {
        if let Some(request) = self.request.take() {
            match self.service.poll_ready(context) {
                Poll::Ready(Ok(())) => self.future.set(Some(self.service.call(request))),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.request = Some(request);
                    return Poll::Pending;
                }
            }
        }
        // A future that was ready is not polled again.
        let Some(future) = self.future.as_mut().as_pin_mut() else { return Poll::Pending };
        let result = ready!(future.poll(context));
        self.future.set(None);
        Poll::Ready(result)
    }
}

impl<S: HttpService> Future for Call<S> {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<Outcome> {
        self.get_mut().poll_outcome(context)
    }
}

/// Whether an answer of this status gives the connection away.
fn switches(method: &Method, status: StatusCode) -> bool {
    if *method == Method::CONNECT { status.is_success() } else { status == StatusCode::SWITCHING_PROTOCOLS }
}

/// The fields of an answer behind which there is no message.
fn switch_fields(headers: &mut HeaderMap) -> anabranch_core::Fields {
    headers.remove(http::header::CONTENT_LENGTH);
    headers.remove(http::header::CONNECTION);
    to_fields(headers, None)
}

fn failed() -> Response {
    Response::text("500: the server failed\n").with_status(StatusCode::INTERNAL_SERVER_ERROR)
}
