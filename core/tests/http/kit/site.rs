//! A site with something of everything: each path is one way to deal with a request.

use std::collections::VecDeque;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use anabranch_core::app::{
    Body, BodyError, BodySource, Context, Frame, Http, Outcome, Request, Response, Service, Settings,
};
use anabranch_core::testing::{Behaviour, Io, Probe};
use anabranch_core::{CloseReason, Fields, Flow, Lane};
use bytes::Bytes;
use http::header::{ETAG, HeaderName, HeaderValue, LINK, UPGRADE};
use http::{Method, StatusCode};

/// The site, with the default settings.
pub(crate) fn http() -> Http<Site> {
    Http::new(Site)
}

/// The site, with settings changed by `change`.
pub(crate) fn http_with(change: impl FnOnce(&mut Settings)) -> Http<Site> {
    let mut settings = Settings::default();
    change(&mut settings);
    Http::new(Site).with_settings(settings)
}

/// See [`Service::call`] for what each path does.
#[derive(Clone, Copy)]
pub(crate) struct Site;

impl Service for Site {
    fn call(&self, request: &mut Request, context: &mut Context<'_>) -> Outcome {
        match request.path() {
            "/hello" => "hello".into(),
            // Says the method and target of the request.
            "/who" => format!("{} {}", request.method(), request.target()).into(),
            // The body, passed on as it comes.
            "/echo" => Outcome::stream(|_, incoming, _| Response::ok(incoming)),
            // The body, whole, at most 20 bytes.
            "/collect" => Outcome::collect(20, |_, body, _| Response::ok(body)),
            // The body's data, counted by a future, and its trailer fields.
            "/count" => Outcome::stream(|_, mut incoming, _| {
                Outcome::future(async move {
                    let (mut count, mut trailers) = (0, String::new());
                    while let Some(frame) = incoming.next().await {
                        match frame {
                            Ok(Frame::Data(data)) => count += data.len(),
                            Ok(Frame::Trailers(fields)) => trailers = format!(" {fields:?}"),
                            Err(error) => return format!("failed: {error}"),
                        }
                    }
                    format!("{count}{trailers}")
                })
            }),
            // Answers after the body's first data, without the rest.
            "/first" => Outcome::stream(|_, mut incoming, _| {
                Outcome::future(async move {
                    match incoming.next().await {
                        None => "nothing",
                        Some(Ok(_)) => "something",
                        Some(Err(_)) => "failed",
                    }
                })
            }),
            // Answers without the body, at once or by a job.
            "/ignore" => "ignored".into(),
            "/defer" => Outcome::defer(Lane::DEFAULT, |request| format!("deferred {}", request.target())),
            "/after" => Outcome::after(Duration::from_millis(50), |_, _| "later"),
            // Ends the body's way in before it answers.
            "/drop" => Outcome::stream(|_, incoming, _| {
                drop(incoming);
                Outcome::after(Duration::from_millis(50), |_, _| "dropped")
            }),
            "/chunked" => {
                Response::ok(Body::source(Parts::new(&["part 0\n", "part 1\n", "part 2\n"]))).into()
            }
            "/sized" => Response::ok(Body::source(Parts::new(&["01234", "56789"]).with_length(10))).into(),
            "/trailers" => {
                let mut parts = Parts::new(&["part 0\n", "part 1\n"]);
                parts.trailers.append(HeaderName::from_static("x-parts"), HeaderValue::from_static("2"));
                Response::ok(Body::source(parts)).into()
            }
            "/hints" => {
                let mut links = Fields::new();
                links.append(LINK, HeaderValue::from_static("</style.css>; rel=preload"));
                context.inform(StatusCode::EARLY_HINTS, links);
                "hinted".into()
            }
            "/no-content" => StatusCode::NO_CONTENT.into(),
            "/reset-content" => StatusCode::RESET_CONTENT.into(),
            "/not-modified" => Response::new(StatusCode::NOT_MODIFIED)
                .with_field(ETAG, HeaderValue::from_static("\"demo\""))
                .into(),
            "/last" => {
                context.end_connection();
                "last".into()
            }
            // Another protocol: each line is sent back, until one says `bye`.
            "/upgrade" if request.offers_upgrade() => {
                let head = Response::new(StatusCode::SWITCHING_PROTOCOLS)
                    .with_field(UPGRADE, HeaderValue::from_static("lines"));
                Outcome::upgrade(head, |_, now| lines(now))
            }
            "/upgrade" => "not offered".into(),
            "/panic" => panic!("the handler panics"),
            _ => StatusCode::NOT_FOUND.into(),
        }
    }

    fn connect(&self, request: &mut Request, _: &mut Context<'_>) -> Outcome {
        assert_eq!(*request.method(), Method::CONNECT);
        if request.target() == "tunnel:1" {
            Outcome::upgrade(Response::new(StatusCode::OK), |_, now| lines(now))
        } else {
            StatusCode::FORBIDDEN.into()
        }
    }
}

pub(crate) fn lines(now: anabranch_core::Instant) -> Box<dyn Flow> {
    Box::new(Probe::new(Lines::default(), Default::default(), now))
}

/// Sends each line back in angle brackets.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Behaviour for Lines {
    fn input(&mut self, io: &mut Io, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' if self.0 == b"bye" => return io.finish(CloseReason::Finished),
                b'\n' => io.send(format!("<{}>", core::mem::take(&mut self.0).escape_ascii())),
                _ => self.0.push(*byte),
            }
        }
    }
}

/// A body made of parts.
pub(crate) struct Parts {
    parts: VecDeque<Bytes>,
    pub(crate) trailers: Fields,
    length: Option<u64>,
}

impl Parts {
    pub(crate) fn new(parts: &[&'static str]) -> Self {
        Self::of(parts.iter().map(|part| Bytes::from_static(part.as_bytes())))
    }

    pub(crate) fn of(parts: impl IntoIterator<Item = Bytes>) -> Self {
        Self { parts: parts.into_iter().collect(), trailers: Fields::new(), length: None }
    }

    pub(crate) fn with_length(mut self, length: u64) -> Self {
        self.length = Some(length);
        self
    }
}

impl BodySource for Parts {
    fn poll_frame(&mut self, _: &mut TaskContext<'_>, _: usize) -> Poll<Option<Result<Frame, BodyError>>> {
        if let Some(part) = self.parts.pop_front() {
            return Poll::Ready(Some(Ok(Frame::Data(part))));
        }
        let trailers = core::mem::take(&mut self.trailers);
        Poll::Ready((!trailers.is_empty()).then_some(Ok(Frame::Trailers(trailers))))
    }

    fn length(&self) -> Option<u64> {
        self.length
    }
}
