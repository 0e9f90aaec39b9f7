//! What a route leads to: a handler, where it runs, and which bodies it takes.

use core::fmt;
use std::sync::Arc;

use crate::app::{Context, Outcome, Request, Response};
use crate::job::Lane;

type Handler = Box<dyn Fn(&mut Request, &mut Context<'_>) -> Outcome + Send + Sync>;

/// What a route leads to. See [`Router`](super::Router) for an example.
pub struct Endpoint {
    pub(super) handler: Handler,
    pub(super) media_type: Option<&'static str>,
}

impl Endpoint {
    /// A handler called on the connection's thread, as a service is: what it returns says what is to be done.
    #[must_use]
    pub fn new<O: Into<Outcome>>(
        handler: impl Fn(&mut Request, &mut Context<'_>) -> O + Send + Sync + 'static,
    ) -> Self {
        Self { handler: Box::new(move |request, context| handler(request, context).into()), media_type: None }
    }

    /// A handler that runs as a job on `lane`'s threads, where it may block: see [`Outcome::defer`]. A full lane is answered
    /// with 503. Routes that name the same lane share it.
    #[must_use]
    pub fn on_lane<R: Into<Response>>(
        lane: Lane,
        handler: impl Fn(Request) -> R + Send + Sync + 'static,
    ) -> Self {
        let handler = Arc::new(handler);
        Self::new(move |_, _| {
            let handler = Arc::clone(&handler);
            Outcome::defer(lane, move |request| handler(request))
        })
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
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("media_type", &self.media_type).finish_non_exhaustive()
    }
}
