//! An application that does with a request whatever an application may: by its path.

use std::task::{Context as TaskContext, Poll};

use anabranch_core::app::{
    Body, BodyError, BodySource, Context, Deferred, Frame, Outcome, Request, Response, Service,
};
use anabranch_core::testing::{Behaviour, Io, Probe};
use anabranch_core::{Fields, Flow, Instant, Lane};
use bytes::Bytes;
use http::StatusCode;
use http::header::{HeaderValue, LINK, UPGRADE};

/// The most a handler collects.
pub(crate) const COLLECTED_BYTES: usize = 100_000;

/// The largest piece of an answer that the application makes by itself.
pub(crate) const ANSWER_BYTES: usize = 10_000;

static LARGE: [u8; ANSWER_BYTES] = [b'l'; ANSWER_BYTES];

/// What is too large to be copied, and need not be.
static HUGE: [u8; 100_000] = [b'h'; 100_000];

/// The lane whose jobs are run at once.
pub(crate) const QUICK: Lane = Lane("quick");

pub(crate) struct Application;

impl Service for Application {
    fn call(&self, request: &mut Request, context: &mut Context<'_>) -> Outcome {
        match request.path() {
            "/collect" => Outcome::collect(COLLECTED_BYTES, |_, body, _| Response::ok(body)),
            "/collect-all" => Outcome::collect(usize::MAX, |_, body, _| format!("{}", body.len())),
            "/echo" => Outcome::stream(|_, incoming, _| Response::ok(incoming)),
            "/count" => Outcome::stream(|_, mut incoming, _| {
                Outcome::future(async move {
                    let mut count = 0;
                    while let Some(Ok(frame)) = incoming.next().await {
                        count += matches!(frame, Frame::Data(_)) as usize;
                    }
                    format!("{count}")
                })
            }),
            "/once" => Outcome::stream(|_, mut incoming, _| {
                Outcome::future(async move {
                    let _first = incoming.next().await;
                    std::future::pending::<()>().await;
                    "never"
                })
            }),
            "/never" => Outcome::stream(|_, incoming, _| {
                Outcome::future(async move {
                    let _unread = incoming;
                    std::future::pending::<()>().await;
                    "never"
                })
            }),
            "/silent" => Outcome::future(async {
                std::future::pending::<()>().await;
                "never"
            }),
            "/job" => Outcome::defer_with(Lane::DEFAULT, |deferred: Deferred| deferred.reply.send("done")),
            "/quick-job" => Outcome::defer(QUICK, |_| "done"),
            "/ignore" => "ignored".into(),
            "/large" => Response::ok(&LARGE[..]).into(),
            "/huge" => Response::ok(&HUGE[..]).into(),
            "/endless" => Response::ok(Body::source(Endless(Bytes::from_static(&LARGE)))).into(),
            "/filling" => Response::ok(Body::source(Filling)).into(),
            "/copied" => Response::ok(&LARGE[..4000]).into(),
            "/crumbs" => Response::ok(Body::source(Endless(Bytes::from_static(b"x")))).into(),
            "/hints" => {
                let mut links = Fields::new();
                links.append(LINK, HeaderValue::from_static("</style.css>; rel=preload"));
                context.inform(StatusCode::EARLY_HINTS, links);
                "hinted".into()
            }
            "/upgrade" if request.offers_upgrade() => switching(|_, now| other(Other::Takes, now)),
            "/upgrade-deaf" if request.offers_upgrade() => switching(|_, now| other(Other::Leaves, now)),
            _ => "hello".into(),
        }
    }

    fn connect(&self, request: &mut Request, _: &mut Context<'_>) -> Outcome {
        if request.target() == "tunnel:1" {
            Outcome::upgrade(Response::new(StatusCode::OK), |_, now| other(Other::Takes, now))
        } else {
            StatusCode::FORBIDDEN.into()
        }
    }
}

fn switching(
    into: impl FnOnce(anabranch_core::ConnectionInfo, Instant) -> Box<dyn Flow> + Send + 'static,
) -> Outcome {
    let head =
        Response::new(StatusCode::SWITCHING_PROTOCOLS).with_field(UPGRADE, HeaderValue::from_static("other"));
    Outcome::upgrade(head, into)
}

/// A body that never ends, in pieces of its own size whatever there is room for.
struct Endless(Bytes);

impl BodySource for Endless {
    fn poll_frame(&mut self, _: &mut TaskContext<'_>, _: usize) -> Poll<Option<Result<Frame, BodyError>>> {
        Poll::Ready(Some(Ok(Frame::Data(self.0.clone()))))
    }
}

/// A body that never ends, in pieces as large as there is room for.
struct Filling;

impl BodySource for Filling {
    fn poll_frame(&mut self, _: &mut TaskContext<'_>, max: usize) -> Poll<Option<Result<Frame, BodyError>>> {
        Poll::Ready(Some(Ok(Frame::Data(Bytes::from(vec![b'f'; max])))))
    }
}

fn other(other: Other, now: Instant) -> Box<dyn Flow> {
    Box::new(Probe::new(other, Default::default(), now))
}

/// The other protocol.
enum Other {
    /// Takes what comes, and keeps nothing.
    Takes,
    /// Reads nothing.
    Leaves,
}

impl Behaviour for Other {
    fn start(&mut self, io: &mut Io) {
        if matches!(self, Self::Leaves) {
            io.yield_reading();
            io.expect_application();
        }
    }

    fn input(&mut self, _: &mut Io, _: &[u8]) {}
}
