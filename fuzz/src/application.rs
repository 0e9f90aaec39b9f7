//! An application that does everything an application can do, by path.

use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use anabranch_core::app::{
    Body, BodyError, BodySource, Context, Frame, Http, Incoming, Outcome, Request, Response, Service,
    Settings,
};
use anabranch_core::etx;
use anabranch_core::{Fields, Instant, Lane, Protocol};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, UPGRADE};
use http::{Method, StatusCode};

/// How the bodies of requests come back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Echo {
    /// Collected first: what is answered does not depend on how the body was cut.
    Whole,
    /// As they come.
    Streamed,
}

/// The application, with limits small enough to be met by chance.
#[must_use]
pub fn http(echo: Echo) -> impl Protocol {
    let mut settings = Settings::default();
    settings.limits.max_request_line_bytes = 64;
    settings.limits.max_fields = 8;
    settings.limits.max_header_bytes = 256;
    settings.limits.max_field_line_bytes = 96;
    settings.limits.max_body_bytes = 128;
    settings.limits.max_chunk_line_bytes = 16;
    settings.limits.max_chunk_extension_bytes = 24;
    settings.limits.max_discard_bytes = 32;
    settings.limits.max_output_bytes = 512;
    settings.limits.max_window_bytes = 16;
    settings.limits.max_requests = Some(12);
    Http::new(Everything { echo }).with_settings(settings)
}

struct Everything {
    echo: Echo,
}

impl Service for Everything {
    fn call(&self, request: &mut Request, context: &mut Context<'_>) -> Outcome {
        let text = |text: &'static str| Outcome::from(Response::text(text));
        match request.path() {
            "/e" if self.echo == Echo::Streamed => Outcome::stream(|_, incoming, _| Response::ok(incoming)),
            "/e" => Outcome::collect(100, |_, body, _| Response::ok(body)),
            "/c" => Outcome::collect(10, |_, body, _| Response::ok(body)),
            "/f" => Outcome::stream(|_, incoming, _| count(incoming)),
            "/g" => Outcome::stream(|_, incoming, _| {
                drop(incoming);
                Response::text("given up")
            }),
            "/j" => Outcome::defer(Lane::DEFAULT, |request| Response::text(request.path().to_owned())),
            "/k" => Outcome::defer_with(Lane::DEFAULT, drop),
            "/a" => Outcome::after(Duration::from_secs(3), |_, _| Response::text("after")),
            "/s" => {
                let clock = context.clock();
                Outcome::future(async move {
                    clock.sleep(Duration::from_secs(2)).await;
                    Response::text("slept")
                })
            }
            "/p" => Response::ok(Body::source(Pieces { left: 3, length: None })).into(),
            "/l" => Response::ok(Body::source(Pieces { left: 3, length: Some(6) })).into(),
            "/m" => Response::ok(Body::source(Pieces { left: 3, length: Some(5) })).into(),
            "/n" => StatusCode::NO_CONTENT.into(),
            "/o" => StatusCode::NOT_MODIFIED.into(),
            "/h" => {
                context.inform(StatusCode::EARLY_HINTS, Fields::new());
                text("hinted")
            }
            "/x" => text("contradicts").map_fields(CONTENT_LENGTH, HeaderValue::from_static("1")),
            "/z" => {
                context.end_connection();
                text("the last")
            }
            "/u" if request.offers_upgrade() => Outcome::upgrade(
                Response::new(StatusCode::SWITCHING_PROTOCOLS)
                    .with_field(UPGRADE, HeaderValue::from_static("etx")),
                |_, now: Instant| {
                    etx::Ack::with_delay(Duration::from_secs(1)).connect(Default::default(), now)
                },
            ),
            _ => text("hello"),
        }
    }

    fn connect(&self, request: &mut Request, _: &mut Context<'_>) -> Outcome {
        if *request.method() == Method::CONNECT && request.target().starts_with("etx") {
            return Outcome::upgrade(Response::new(StatusCode::OK), |_, now| {
                etx::Ack::with_delay(Duration::from_secs(1)).connect(Default::default(), now)
            });
        }
        StatusCode::NOT_IMPLEMENTED.into()
    }
}

fn count(mut incoming: Incoming) -> Outcome {
    Outcome::future(async move {
        let mut count = 0;
        while let Some(frame) = incoming.next().await {
            match frame {
                Ok(Frame::Data(data)) => count += data.len(),
                Ok(Frame::Trailers(trailers)) => count += 1000 * trailers.len(),
                Err(_) => return Response::new(StatusCode::BAD_REQUEST),
            }
        }
        Response::text(count.to_string())
    })
}

/// Two bytes at a time.
struct Pieces {
    left: usize,
    length: Option<u64>,
}

impl BodySource for Pieces {
    fn poll_frame(&mut self, _: &mut TaskContext<'_>, _: usize) -> Poll<Option<Result<Frame, BodyError>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= 1;
        Poll::Ready(Some(Ok(Frame::Data(Bytes::from_static(b"ab")))))
    }

    fn length(&self) -> Option<u64> {
        self.length
    }
}

trait WithField {
    fn map_fields(self, name: http::HeaderName, value: HeaderValue) -> Self;
}

impl WithField for Outcome {
    fn map_fields(self, name: http::HeaderName, value: HeaderValue) -> Self {
        match self {
            Self::Reply(mut response) => {
                response.fields.remove(&CONTENT_TYPE);
                Self::Reply(response.with_field(name, value))
            }
            other => other,
        }
    }
}
