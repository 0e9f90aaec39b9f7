//! What a route leads to: a handler, where it runs, and which bodies it takes.

use core::fmt;
use std::sync::Arc;

use crate::app::{BodyParser, Context, Outcome, Request, Response};
use crate::job::Lane;

type Handler = Box<dyn Fn(&mut Request, &mut Context<'_>) -> Outcome + Send + Sync>;

/// What a route leads to. See [`Router`](super::Router) for an example.
pub struct Endpoint {
    pub(super) handler: Handler,
    pub(super) media_type: Option<&'static str>,
    /// Where its handler runs, if not in its connection's turn.
    pub(super) lane: Option<Lane>,
}

impl Endpoint {
    /// A handler called on the connection's thread, as a service is: what it returns says what is to be done.
    #[must_use]
    pub fn new<O: Into<Outcome>>(
        handler: impl Fn(&mut Request, &mut Context<'_>) -> O + Send + Sync + 'static,
    ) -> Self {
        let handler: Handler = Box::new(move |request, context| handler(request, context).into());
        Self { handler, media_type: None, lane: None }
    }

    /// A handler that runs as a job on `lane`'s threads, where it may block: see [`Outcome::defer`]. A full lane is answered
    /// with 503. Routes that name the same lane share it.
    #[must_use]
    pub fn on_lane<R: Into<Response>>(
        lane: Lane,
        handler: impl Fn(&mut Request) -> R + Send + Sync + 'static,
    ) -> Self {
        let handler = Arc::new(handler);
        Self::new(move |_, _| {
            let handler = Arc::clone(&handler);
            Outcome::defer(lane, move |request| handler(request))
        })
        .asking_for(lane)
    }

    /// A handler called with what a parser made of the body while it came, at most `max_bytes` of it; `make` makes a parser
    /// for each request. A body that it does not take is answered with 400, which says where and why, at the first
    /// error. See [`Outcome::parse`], which leaves that answer to the handler.
    ///
    /// ```
    /// use anabranch_core::app::{BodyParser, Endpoint, ParseError, Router};
    /// use http::Method;
    ///
    /// #[derive(Default)]
    /// struct CountLines(u64);
    ///
    /// impl BodyParser for CountLines {
    ///     type Output = u64;
    ///     fn feed(&mut self, chunk: &[u8]) -> Result<(), ParseError> {
    ///         self.0 += chunk.iter().filter(|byte| **byte == b'\n').count() as u64;
    ///         Ok(())
    ///     }
    ///     fn finish(self) -> Result<u64, ParseError> {
    ///         Ok(self.0)
    ///     }
    /// }
    ///
    /// let count = Endpoint::parsed(1 << 20, CountLines::default, |_, lines, _| format!("{lines} lines\n"));
    /// let router = Router::builder().route(Method::POST, "/lines", count.consumes("text/plain")).build()?;
    /// # Ok::<(), anabranch_core::app::RouteError>(())
    /// ```
    #[must_use]
    pub fn parsed<P: BodyParser, O: Into<Outcome>>(
        max_bytes: usize,
        make: impl Fn() -> P + Send + Sync + 'static,
        handler: impl Fn(&mut Request, P::Output, &mut Context<'_>) -> O + Send + Sync + 'static,
    ) -> Self {
        let handler = Arc::new(handler);
        Self::new(move |_, _| {
            let handler = Arc::clone(&handler);
            Outcome::parse(max_bytes, make(), move |request, parsed, context| match parsed {
                Ok(value) => handler(request, value, context).into(),
                Err(error) => Response::from(error).into(),
            })
        })
    }

    /// As [`parsed`](Self::parsed), with a handler that runs as a job on `lane`'s threads. The body is parsed before, on the
    /// connection's thread: the lane sees whole values only.
    #[must_use]
    pub fn parsed_on_lane<P: BodyParser, R: Into<Response>>(
        lane: Lane,
        max_bytes: usize,
        make: impl Fn() -> P + Send + Sync + 'static,
        handler: impl Fn(&mut Request, P::Output) -> R + Send + Sync + 'static,
    ) -> Self
    where
        P::Output: Send + 'static,
    {
        let handler = Arc::new(handler);
        Self::parsed(max_bytes, make, move |_, value, _| {
            let handler = Arc::clone(&handler);
            Outcome::defer(lane, move |request| handler(request, value))
        })
        .asking_for(lane)
    }

    /// Takes only bodies of this media type (`application/json`; parameters of a request's `Content-Type` make no difference)
    /// and without `Content-Encoding`. Several endpoints of the same method and path may take a type each; what none of
    /// them takes is answered with 415, which lists them in `Accept` (RFC 9110 §15.5.16), before the body is read. A body
    /// of no stated type counts as `application/octet-stream`.
    #[must_use]
    pub const fn consumes(mut self, media_type: &'static str) -> Self {
        self.media_type = Some(media_type);
        self
    }

    const fn asking_for(mut self, lane: Lane) -> Self {
        self.lane = Some(lane);
        self
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("media_type", &self.media_type)
            .field("lane", &self.lane)
            .finish_non_exhaustive()
    }
}
