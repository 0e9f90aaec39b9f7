//! The application: a service is called with each request and says what is to be done.

use core::fmt;
use core::task::Waker;
use std::sync::Arc;

use http::{Extensions, StatusCode};

use super::clock::Clock;
use super::failure::Failure;
use super::outcome::Outcome;
use super::request::Request;
use super::response::Response;
use crate::fields::Fields;
use crate::http1::{Connection, Misuse};
use crate::info::{ConnectionInfo, ExchangeId};
use crate::time::Instant;
use crate::turn::Pool;

/// An application, written once, run under every concurrency model. Shared by all of a server's threads.
///
/// ```
/// use anabranch_core::app::{Context, Outcome, Request, Response, Service};
///
/// struct Hello;
///
/// impl Service for Hello {
///     fn call(&self, request: &mut Request, _: &mut Context<'_>) -> Outcome {
///         match request.path() {
///             "/" => Response::text("hello").into(),
///             "/upper" => Outcome::collect(1 << 20, |_, body, _| Response::ok(body.to_ascii_uppercase())),
///             _ => http::StatusCode::NOT_FOUND.into(),
///         }
///     }
/// }
/// ```
pub trait Service: Send + Sync + 'static {
    /// A request has come. Called on the connection's thread: what takes long belongs into a
    /// [`defer`](Outcome::defer). A panic is answered with 500 and closes the connection.
    fn call(&self, request: &mut Request, context: &mut Context<'_>) -> Outcome;

    /// A `CONNECT` has come (RFC 9110 §9.3.6). Unless the application takes it: 501.
    fn connect(&self, request: &mut Request, context: &mut Context<'_>) -> Outcome {
        let _ = (request, context);
        Response::text("501: CONNECT is not served here\n").with_status(StatusCode::NOT_IMPLEMENTED).into()
    }

    /// A connection has come, before its first request: put into `state` what all of its requests share.
    fn open(&self, info: &ConnectionInfo, state: &mut Extensions) {
        let _ = (info, state);
    }

    /// Shapes the answer to a failure: its status, fields and (whole) body. The framing, and whether the connection
    /// closes, are not the application's. Anything that cannot be sent is replaced by [`Failure::response`].
    fn error(&self, failure: &Failure) -> Response {
        failure.response()
    }
}

impl<S: Service + ?Sized> Service for Arc<S> {
    fn call(&self, request: &mut Request, context: &mut Context<'_>) -> Outcome {
        (**self).call(request, context)
    }
    fn connect(&self, request: &mut Request, context: &mut Context<'_>) -> Outcome {
        (**self).connect(request, context)
    }
    fn open(&self, info: &ConnectionInfo, state: &mut Extensions) {
        (**self).open(info, state);
    }
    fn error(&self, failure: &Failure) -> Response {
        (**self).error(failure)
    }
}

/// Makes a service of a function.
///
/// ```
/// use anabranch_core::app::{Service, service_fn};
///
/// let hello = service_fn(|_request, _context| "hello");
/// # fn is_service(_: impl Service) {}
/// # is_service(hello);
/// ```
pub const fn service_fn<F, O>(function: F) -> ServiceFn<F>
where
    F: Fn(&mut Request, &mut Context<'_>) -> O + Send + Sync + 'static,
    O: Into<Outcome>,
{
    ServiceFn { function }
}

/// A function as a service: see [`service_fn`].
#[derive(Clone)]
pub struct ServiceFn<F> {
    function: F,
}

impl<F> fmt::Debug for ServiceFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceFn").finish_non_exhaustive()
    }
}

impl<F, O> Service for ServiceFn<F>
where
    F: Fn(&mut Request, &mut Context<'_>) -> O + Send + Sync + 'static,
    O: Into<Outcome>,
{
    fn call(&self, request: &mut Request, context: &mut Context<'_>) -> Outcome {
        (self.function)(request, context).into()
    }
}

/// What a handler may use besides its request, for as long as it is called.
pub struct Context<'a> {
    pub(crate) info: &'a ConnectionInfo,
    pub(crate) state: &'a mut Extensions,
    pub(crate) connection: &'a mut Connection,
    pub(crate) exchange: ExchangeId,
    pub(crate) clock: &'a mut Option<Clock>,
    pub(crate) now: Instant,
    pub(crate) waker: &'a Waker,
    pub(crate) pool: &'a mut Pool,
}

impl Context<'_> {
    /// The connection: its number and addresses.
    #[must_use]
    pub const fn connection(&self) -> &ConnectionInfo {
        self.info
    }

    /// What the requests of this connection share.
    pub const fn state(&mut self) -> &mut Extensions {
        self.state
    }

    /// The driver's time.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// A clock for the futures of this exchange.
    #[must_use]
    pub fn clock(&mut self) -> Clock {
        self.clock.get_or_insert_with(|| Clock::new(self.now)).clone()
    }

    /// What has the connection run again when it is woken: for futures that are polled here and now, since most are ready at
    /// once, and handed over as an [`Outcome::Await`] where they are not.
    #[must_use]
    pub const fn waker(&self) -> &Waker {
        self.waker
    }

    /// Spare state of the driver's thread: what a handler gives back, the next request's handler finds, whichever connection
    /// that is of. Never anything of the peer's.
    pub const fn pool(&mut self) -> &mut Pool {
        self.pool
    }

    /// Sends an interim answer before the final one, such as `103 Early Hints` with `Link` fields (RFC 8297). What cannot be
    /// sent (an HTTP/1.0 peer, a status that is no interim one) is passed over: an interim answer is a courtesy.
    pub fn inform(&mut self, status: StatusCode, fields: Fields) {
        let _: Result<(), Misuse> = self.connection.inform_at(self.exchange, status, &fields, self.now);
    }

    /// Closes the connection after this exchange.
    pub fn end_connection(&mut self) {
        self.connection.end_after(self.exchange);
    }
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("connection", self.info)
            .field("exchange", &self.exchange)
            .finish_non_exhaustive()
    }
}
