//! The small application behind every vector, so that answers are short and show what was understood.

use core::task::{self, Poll};
use std::time::Duration;

use anabranch_core::app::{
    Body, BodyError, BodySource, Context, Failure, Frame, Outcome, Request, Response, Service,
};
use anabranch_core::testing::{Behaviour, Io, Probe};
use anabranch_core::{CloseReason, Flow, Instant, Lane};
use bytes::Bytes;
use http::StatusCode;
use http::header::{HeaderValue, UPGRADE};

/// The most a body may have.
pub(crate) const COLLECTED: usize = 1 << 20;

/// How long `/after` takes.
pub(crate) const AFTER: Duration = Duration::from_millis(1000);

/// What the application does with a request, by its path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Deed {
    /// Takes the whole body, and answers with method, target and body: every path not named below.
    Repeat,
    /// `/ignore`: answers without the body.
    Ignore,
    /// `/pass`: passes the body on as it comes.
    Pass,
    /// `/break`: answers with a body of no known length, and breaks off behind `half`.
    Break,
    /// `/switch`, where an upgrade is offered, and `CONNECT tunnel:1`: goes over to the other protocol.
    Switch,
    /// `CONNECT` to anywhere else.
    Forbid,
    /// `/after`: answers after a second.
    After,
    /// `/job`: answers when its job is run.
    Job,
}

impl Deed {
    pub(crate) fn of(method: &http::Method, target: &str, path: &str, offers_upgrade: bool) -> Self {
        match path {
            _ if *method == http::Method::CONNECT && target == "tunnel:1" => Self::Switch,
            _ if *method == http::Method::CONNECT => Self::Forbid,
            "/ignore" => Self::Ignore,
            "/pass" => Self::Pass,
            "/after" => Self::After,
            "/job" => Self::Job,
            "/break" => Self::Break,
            "/switch" if offers_upgrade => Self::Switch,
            _ => Self::Repeat,
        }
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Application;

impl Service for Application {
    fn call(&self, request: &mut Request, _: &mut Context<'_>) -> Outcome {
        let deed = Deed::of(request.method(), request.target(), request.path(), request.offers_upgrade());
        match deed {
            Deed::Repeat => Outcome::collect(COLLECTED, |request, body, _| {
                let gap = if body.is_empty() { "" } else { " " };
                let line = format!("{} {}{gap}", request.method(), request.target());
                Response::ok(Bytes::from([line.as_bytes(), &body].concat()))
            }),
            Deed::Ignore => Response::ok("ignored").into(),
            Deed::Pass => Outcome::stream(|_, incoming, _| Response::ok(incoming)),
            Deed::Break => Response::ok(Body::source(Breaks { gave_half: false })).into(),
            Deed::Switch => {
                let head = match *request.method() {
                    http::Method::CONNECT => Response::new(StatusCode::OK),
                    _ => Response::new(StatusCode::SWITCHING_PROTOCOLS)
                        .with_field(UPGRADE, HeaderValue::from_static("other")),
                };
                Outcome::upgrade(head, |_, now| other(now))
            }
            Deed::Forbid => StatusCode::FORBIDDEN.into(),
            Deed::After => Outcome::after(AFTER, |_, _| Response::ok("after")),
            Deed::Job => Outcome::defer(Lane::DEFAULT, |_| Response::ok("job")),
        }
    }

    fn connect(&self, request: &mut Request, context: &mut Context<'_>) -> Outcome {
        self.call(request, context)
    }

    /// The status alone: what was wrong is told by the events.
    fn error(&self, failure: &Failure) -> Response {
        Response::new(failure.status())
    }
}

/// Gives `half`, and fails.
struct Breaks {
    gave_half: bool,
}

impl BodySource for Breaks {
    fn poll_frame(&mut self, _: &mut task::Context<'_>, _: usize) -> Poll<Option<Result<Frame, BodyError>>> {
        Poll::Ready(Some(match core::mem::replace(&mut self.gave_half, true) {
            false => Ok(Frame::Data(Bytes::from_static(b"half"))),
            true => Err(BodyError::Aborted),
        }))
    }
}

fn other(now: Instant) -> Box<dyn Flow> {
    Box::new(Probe::new(Other, Default::default(), now))
}

/// The other protocol: sends back what it gets in angle brackets, byte by byte; a dot ends it.
struct Other;

impl Behaviour for Other {
    fn input(&mut self, io: &mut Io, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'.' => return io.finish(CloseReason::Finished),
                byte => io.send(format!("<{}>", byte.escape_ascii())),
            }
        }
    }
}
