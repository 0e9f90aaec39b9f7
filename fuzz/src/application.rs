//! An application that does everything an application can do, by path.

use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use anabranch_core::app::{
    Body, BodyError, BodySource, Context, Frame, Http, Incoming, Outcome, Request, Response, Service,
    Settings,
};
use anabranch_core::etx;
use anabranch_core::http1::Limits;
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

/// How narrow limits are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Width {
    /// Small enough to be met by chance, and wide enough for a conversation.
    Small,
    /// Met by nearly everything.
    Tiny,
    /// Some of them tiny, the others out of reach: which is met first changes.
    Uneven,
    /// As users have them.
    Default,
}

impl Width {
    /// One of them for each value of the two highest bits, the first for 0.
    #[must_use]
    pub fn chosen_by(byte: u8) -> Self {
        [Self::Small, Self::Tiny, Self::Uneven, Self::Default][usize::from(byte >> 6)]
    }
}

/// The application, with limits small enough to be met by chance.
#[must_use]
pub fn http(echo: Echo) -> impl Protocol {
    limited(echo, Width::Small, Width::Small)
}

/// The application, with such limits for heads, and such for bodies and answers.
#[must_use]
pub fn limited(echo: Echo, heads: Width, bodies: Width) -> impl Protocol {
    let mut settings = Settings::default();
    limit_heads(&mut settings.limits, heads);
    limit_bodies(&mut settings.limits, bodies);
    Http::new(Everything { echo }).with_settings(settings)
}

fn limit_heads(limits: &mut Limits, width: Width) {
    let (line, fields, section, field_line) = match width {
        Width::Small => (64, 8, 256, 96),
        Width::Tiny => (20, 2, 24, 20),
        Width::Uneven => (16, 1, 64, 64),
        Width::Default => return,
    };
    limits.max_request_line_bytes = line;
    limits.max_fields = fields;
    limits.max_header_bytes = section;
    limits.max_field_line_bytes = field_line;
}

fn limit_bodies(limits: &mut Limits, width: Width) {
    let (body, chunk_line, extensions, discard, output, window, requests) = match width {
        Width::Small => (128, 16, 24, 32, 512, 16, 12),
        Width::Tiny => (4, 2, 1, 1, 1, 1, 2),
        Width::Uneven => (1024, 3, 1024, 0, 1, 1024, 1024),
        Width::Default => return,
    };
    limits.max_body_bytes = body;
    limits.max_chunk_line_bytes = chunk_line;
    limits.max_chunk_extension_bytes = extensions;
    limits.max_discard_bytes = discard;
    limits.max_output_bytes = output;
    limits.max_window_bytes = window;
    limits.max_requests = Some(requests);
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
