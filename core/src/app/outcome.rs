//! What a handler wants done, as a value: it never touches a socket, a thread or a clock.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::time::Duration;

use bytes::Bytes;

use super::duplex::Takeover;
use super::parse::{BodyParser, Parse, ParseError};
use super::pipe::Incoming;
use super::request::Request;
use super::response::Response;
use super::service::Context;
use crate::flow::Flow;
use crate::info::ConnectionInfo;
use crate::job::{Cancelled, Completion, Lane};
use crate::time::Instant;

/// What becomes of a request. The same value means the same under every concurrency model.
///
/// | outcome | the handler runs | for |
/// |---|---|---|
/// | [`Reply`](Self::Reply) | here and now | whatever is quick |
/// | [`collect`](Self::collect) | again, with the whole body | forms, JSON |
/// | [`parse`](Self::parse) | again, with what a parser made of the body as it came | JSON, any format of yours |
/// | [`stream`](Self::stream) | again, with a body that still comes | uploads, echoes |
/// | [`defer`](Self::defer) | on a lane's threads | whatever blocks or computes long |
/// | [`after`](Self::after) | again, later | delays, without holding a thread |
/// | [`future`](Self::future) | as a future, polled on the connection's thread; ends in any outcome | whatever awaits |
/// | [`upgrade`](Self::upgrade) | once; then another protocol has the connection | WebSocket, CONNECT |
/// | [`duplex`](Self::duplex) | once; then a thread, a future or somebody else has it as a stream | the same, with code that reads and writes |
#[non_exhaustive]
pub enum Outcome {
    /// The answer.
    Reply(Response),
    /// See [`Outcome::collect`].
    Collect(Collect),
    /// See [`Outcome::parse`].
    Parse(Parse),
    /// See [`Outcome::stream`].
    Stream(StreamHandler),
    /// See [`Outcome::defer`].
    Defer(Defer),
    /// See [`Outcome::after`].
    After(After),
    /// See [`Outcome::future`].
    Await(OutcomeFuture),
    /// See [`Outcome::upgrade`].
    Upgrade(Box<Upgrade>),
}

/// A handler called again with the whole body.
pub type CollectHandler = Box<dyn FnOnce(&mut Request, Bytes, &mut Context<'_>) -> Outcome + Send>;
/// A handler called again with a body that still comes.
pub type StreamHandler = Box<dyn FnOnce(&mut Request, Incoming, &mut Context<'_>) -> Outcome + Send>;
/// A handler called again later.
pub type AfterHandler = Box<dyn FnOnce(&mut Request, &mut Context<'_>) -> Outcome + Send>;
/// Work for a lane.
pub type DeferredWork = Box<dyn FnOnce(Deferred) + Send>;
/// A future that says what is to be done.
pub type OutcomeFuture = Pin<Box<dyn Future<Output = Outcome> + Send>>;
/// Makes the flow that takes a connection over.
pub type MakeFlow = Box<dyn FnOnce(ConnectionInfo, Instant) -> Box<dyn Flow> + Send>;

/// The body first, whole.
pub struct Collect {
    pub(crate) max_bytes: usize,
    pub(crate) then: CollectHandler,
}

/// Work on a lane.
pub struct Defer {
    pub(crate) lane: Lane,
    pub(crate) work: DeferredWork,
}

/// Application time.
pub struct After {
    pub(crate) duration: Duration,
    pub(crate) then: AfterHandler,
}

/// Another protocol.
pub struct Upgrade {
    pub(crate) response: Response,
    pub(crate) into: Successor,
}

/// What a connection becomes.
pub(crate) enum Successor {
    Flow(MakeFlow),
    Stream(Takeover),
}

impl Outcome {
    /// Reads the whole body first, at most `max_bytes` of it (and at most `limits.max_body_bytes`; 413 beyond), then calls
    /// `then`. A `then` that captures nothing costs no allocation.
    ///
    /// The body may be a part of the driver's read buffer, and hold all of it (64 KiB as a rule) for as long as it is kept. Small
    /// ones are copied where an application keeps them; one of more than 4 KiB that is kept for long is better copied by whoever
    /// keeps it.
    #[must_use]
    pub fn collect<O: Into<Self>>(
        max_bytes: usize,
        then: impl FnOnce(&mut Request, Bytes, &mut Context<'_>) -> O + Send + 'static,
    ) -> Self {
        let then = Box::new(|request: &mut Request, body: Bytes, context: &mut Context<'_>| {
            then(request, body, context).into()
        });
        Self::Collect(Collect { max_bytes, then })
    }

    /// The handler that wished for the whole body, or for a stream of it: a small part of what an outcome is.
    #[inline]
    pub(crate) fn into_taker(self) -> Option<Taker> {
        match self {
            Self::Collect(collect) => Some(Taker::Whole(collect.then)),
            Self::Stream(then) => Some(Taker::Stream(then)),
            _ => None,
        }
    }

    /// Feeds the body to `parser` while it comes, at most `max_bytes` of it (and at most `limits.max_body_bytes`; 413 beyond),
    /// then calls `then` with what was made of it; or with the first error as soon as it was found, whatever is still to
    /// come. An error is an answer by itself: 400, with the place. An [`Endpoint`](super::Endpoint::parsed) gives that.
    #[must_use]
    pub fn parse<P: BodyParser, O: Into<Self>>(
        max_bytes: usize,
        parser: P,
        then: impl FnOnce(&mut Request, Result<P::Output, ParseError>, &mut Context<'_>) -> O + Send + 'static,
    ) -> Self {
        Self::Parse(Parse::new(max_bytes, parser, then))
    }

    /// Hands the body over while it comes. What `then` returns may answer before the body's end: both directions then run
    /// at once, each with backpressure.
    #[must_use]
    pub fn stream<O: Into<Self>>(
        then: impl FnOnce(&mut Request, Incoming, &mut Context<'_>) -> O + Send + 'static,
    ) -> Self {
        Self::Stream(Box::new(|request, incoming, context| then(request, incoming, context).into()))
    }

    /// Runs `work` on `lane`'s threads. A full lane is answered with 503 and `Retry-After`, a panic with 500. The request
    /// goes there as it is and comes back with the answer: nothing of it is copied.
    #[must_use]
    pub fn defer<R: Into<Response>>(
        lane: Lane,
        work: impl FnOnce(&mut Request) -> R + Send + 'static,
    ) -> Self {
        Self::defer_with(lane, |mut deferred: Deferred| {
            let response = work(&mut deferred.request).into();
            deferred.answer(response);
        })
    }

    /// As [`defer`](Self::defer), with the request's body to read (blocking), a way to answer before the work is through (a
    /// body written by it: [`Body::channel`](super::Body::channel)), and the question whether anybody still waits.
    #[must_use]
    pub fn defer_with(lane: Lane, work: impl FnOnce(Deferred) + Send + 'static) -> Self {
        Self::Defer(Defer { lane, work: Box::new(work) })
    }

    /// Calls `then` after `duration`, holding no thread meanwhile.
    #[must_use]
    pub fn after<O: Into<Self>>(
        duration: Duration,
        then: impl FnOnce(&mut Request, &mut Context<'_>) -> O + Send + 'static,
    ) -> Self {
        let then = Box::new(|request: &mut Request, context: &mut Context<'_>| then(request, context).into());
        Self::After(After { duration, then })
    }

    /// Awaits the answer, or any other outcome: an upgrade may be decided upon while something else is awaited. The future is
    /// polled on the connection's thread, under every model: no runtime is needed, unless it asks for one itself. It owns what
    /// it needs: see [`Request::detach`], [`Context::clock`].
    #[must_use]
    pub fn future<R: Into<Self>>(future: impl Future<Output = R> + Send + 'static) -> Self {
        Self::Await(Box::pin(async move { future.await.into() }))
    }

    /// Accepts the peer's `Upgrade` with 101, or its `CONNECT` with 200, and gives the connection to the flow that `into`
    /// makes; it reads first what the peer sent behind the request. For a 101, `response` names the protocol in
    /// `Upgrade`: see [`Response::switching_to`]. A peer that did not offer to switch to it is answered with 500: ask
    /// [`offers_protocol`](crate::http1::RequestHead::offers_protocol) first.
    #[must_use]
    pub fn upgrade(
        response: Response,
        into: impl FnOnce(ConnectionInfo, Instant) -> Box<dyn Flow> + Send + 'static,
    ) -> Self {
        Self::Upgrade(Box::new(Upgrade { response, into: Successor::Flow(Box::new(into)) }))
    }

    /// As [`upgrade`](Self::upgrade), and gives the connection away as a stream of bytes: see
    /// [`Duplex`](super::Duplex).
    #[must_use]
    pub fn duplex(response: Response, takeover: Takeover) -> Self {
        Self::Upgrade(Box::new(Upgrade { response, into: Successor::Stream(takeover) }))
    }
}

/// A handler that wished for its request's body, which is there.
pub(crate) enum Taker {
    Whole(CollectHandler),
    Stream(StreamHandler),
}

impl Taker {
    /// Calls it with `body`, which is all of it.
    #[inline]
    pub(crate) fn take(self, body: Bytes, request: &mut Request, context: &mut Context<'_>) -> Outcome {
        match self {
            Self::Whole(then) => then(request, body, context),
            Self::Stream(then) => then(request, Incoming::whole(body), context),
        }
    }
}

impl<R: Into<Response>> From<R> for Outcome {
    fn from(response: R) -> Self {
        Self::Reply(response.into())
    }
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reply(response) => f.debug_tuple("Reply").field(response).finish(),
            Self::Collect(collect) => collect.fmt(f),
            Self::Parse(parse) => parse.fmt(f),
            Self::Stream(_) => f.write_str("Stream"),
            Self::Defer(defer) => defer.fmt(f),
            Self::After(after) => after.fmt(f),
            Self::Await(_) => f.write_str("Await"),
            Self::Upgrade(upgrade) => upgrade.fmt(f),
        }
    }
}

impl fmt::Debug for Collect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collect").field("max_bytes", &self.max_bytes).finish_non_exhaustive()
    }
}

impl fmt::Debug for Defer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Defer").field("lane", &self.lane).finish_non_exhaustive()
    }
}

impl fmt::Debug for After {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("After").field("duration", &self.duration).finish_non_exhaustive()
    }
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrade").field("response", &self.response).finish_non_exhaustive()
    }
}

/// A request on a lane's thread, where blocking is allowed.
#[derive(Debug)]
pub struct Deferred {
    /// The request.
    pub request: Request,
    /// Its body, to be read from this thread. Asked of the peer when it is first read.
    pub body: Incoming,
    /// Answers the request.
    pub reply: Reply,
}

impl Deferred {
    /// Answers, when all is done: the request goes back to its connection's thread, which uses its memory for the next.
    pub fn answer(self, response: impl Into<Response>) {
        let Self { mut request, body, reply } = self;
        let response = response.into();
        // Given up before the answer is framed, which says what becomes of the connection.
        drop(body);
        request.vacate();
        reply.completion.complete(Answered { response, request: Some(request) });
    }
}

/// What comes back from a lane.
pub(crate) struct Answered {
    pub(crate) response: Response,
    /// With nothing in it any more, where the work was through with it.
    pub(crate) request: Option<Request>,
}

/// Answers a deferred request. Dropping it unused, by a panic too, answers 500.
#[derive(Debug)]
pub struct Reply {
    completion: Completion<Answered>,
}

impl Reply {
    pub(crate) const fn new(completion: Completion<Answered>) -> Self {
        Self { completion }
    }

    /// Answers. The work may go on, to write the answer's body for one; if it does not, [`Deferred::answer`] costs less.
    pub fn send(self, response: impl Into<Response>) {
        self.completion.complete(Answered { response: response.into(), request: None });
    }

    /// Whether nobody waits for the answer any more. Long work looks now and then.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.completion.is_cancelled()
    }

    /// The same question, to be asked elsewhere.
    #[must_use]
    pub fn cancelled(&self) -> Cancelled {
        self.completion.cancelled()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcome_is_small() {
        assert!(size_of::<Outcome>() <= 128, "{} bytes", size_of::<Outcome>());
    }

    #[test]
    fn handlers_that_capture_nothing_are_not_allocated() {
        let Outcome::Collect(collect) = Outcome::collect(1, |_, body, _| Response::ok(body)) else {
            panic!()
        };
        assert_eq!(size_of_val(&*collect.then), 0);
    }
}
