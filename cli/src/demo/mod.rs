//! The demo application: what `serve` runs and what every model is tested with, the same under all of them.
//!
//! ```text
//!   path ──► route ──► allowed methods ──► handler ──► Outcome
//!     no such path: 404        others: 405 with Allow
//! ```

mod bodies;
mod query;

use std::time::{Duration, Instant};

use anabranch_core::app::{Context, Frame, Incoming, Outcome, Request, Response, Service};
use anabranch_core::{Fields, Lane};
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LOCATION, TRAILER};
use http::{Method, StatusCode};

use self::bodies::{Letters, Parts};
use self::query::{Number, number, percent_decoded, value};

/// The demo application.
#[derive(Clone, Debug)]
pub struct Demo {
    page: Bytes,
}

impl Demo {
    /// The application, carried by the model of this name (which its page tells).
    #[must_use]
    pub fn new(model: &str) -> Self {
        Self { page: Bytes::from(include_str!("page.html").replace("{model}", model)) }
    }
}

/// What a path offers.
enum Route {
    Page,
    Plaintext,
    Json,
    Echo,
    Discard,
    Headers,
    Chunked,
    Trailers,
    NoContent,
    NotModified,
    Slow,
    Work,
    Large,
    Panic,
    Redirect,
}

impl Route {
    fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/" => Self::Page,
            "/plaintext" => Self::Plaintext,
            "/json" => Self::Json,
            "/echo" => Self::Echo,
            "/discard" => Self::Discard,
            "/headers" => Self::Headers,
            "/chunked" => Self::Chunked,
            "/trailers" => Self::Trailers,
            "/no-content" => Self::NoContent,
            "/not-modified" => Self::NotModified,
            "/slow" => Self::Slow,
            "/work" => Self::Work,
            "/large" => Self::Large,
            "/panic" => Self::Panic,
            "/redirect" => Self::Redirect,
            _ => return None,
        })
    }

    /// Its methods, as `Allow` lists them.
    const fn allow(&self) -> &'static str {
        match self {
            Self::Echo | Self::Discard => "POST",
            Self::Headers => "GET, HEAD, POST",
            _ => "GET, HEAD",
        }
    }

    fn allows(&self, method: &Method) -> bool {
        match *method {
            Method::GET | Method::HEAD => !matches!(self, Self::Echo | Self::Discard),
            Method::POST => matches!(self, Self::Echo | Self::Discard | Self::Headers),
            _ => false,
        }
    }
}

impl Service for Demo {
    fn call(&self, request: &mut Request, _: &mut Context<'_>) -> Outcome {
        let Some(route) = Route::of(request.path()) else { return not_found() };
        if !route.allows(request.method()) {
            return method_not_allowed(&route);
        }
        match route {
            Route::Page => Response::typed("text/html; charset=utf-8", self.page.clone()).into(),
            Route::Plaintext => Response::typed("text/plain", "Hello, World!").into(),
            Route::Json => Response::typed("application/json", r#"{"message":"Hello, World!"}"#).into(),
            Route::Echo => Outcome::stream(|request, incoming, _| echo(request, incoming)),
            Route::Discard => Outcome::stream(|_, incoming, _| discard(incoming)),
            Route::Headers => headers(request),
            Route::Chunked => Response::ok(parts(None)).with_field(CONTENT_TYPE, PLAIN).into(),
            Route::Trailers => trailers().into(),
            Route::NoContent => StatusCode::NO_CONTENT.into(),
            Route::NotModified => Response::new(StatusCode::NOT_MODIFIED)
                .with_field(ETAG, HeaderValue::from_static("\"demo\""))
                .into(),
            Route::Slow => with_millis(request, 100, |duration| {
                Outcome::after(duration, |_, _| Response::typed("text/plain", "slow\n"))
            }),
            Route::Work => with_millis(request, 10, |duration| {
                Outcome::defer(Lane::DEFAULT, move |_| {
                    burn(duration);
                    Response::typed("text/plain", "work\n")
                })
            }),
            Route::Large => large(request),
            Route::Panic => panic!("/panic was asked for"),
            Route::Redirect => redirect(request),
        }
    }
}

const PLAIN: HeaderValue = HeaderValue::from_static("text/plain");

fn not_found() -> Outcome {
    Response::typed("text/plain", "404: nothing here; / lists what there is\n")
        .with_status(StatusCode::NOT_FOUND)
        .into()
}

fn method_not_allowed(route: &Route) -> Outcome {
    Response::typed("text/plain", format!("405: use {}\n", route.allow()))
        .with_status(StatusCode::METHOD_NOT_ALLOWED)
        .with_field(ALLOW, HeaderValue::from_static(route.allow()))
        .into()
}

fn bad_request(text: String) -> Outcome {
    Response::typed("text/plain", text).with_status(StatusCode::BAD_REQUEST).into()
}

/// The request's body, sent back while it comes.
fn echo(request: &Request, incoming: Incoming) -> Response {
    let media_type = request.field("content-type").and_then(|value| HeaderValue::from_bytes(value).ok());
    let media_type = media_type.unwrap_or(HeaderValue::from_static("application/octet-stream"));
    Response::ok(incoming).with_field(CONTENT_TYPE, media_type)
}

fn discard(mut incoming: Incoming) -> Outcome {
    Outcome::future(async move {
        let mut count: u64 = 0;
        while let Some(frame) = incoming.next().await {
            match frame {
                Ok(Frame::Data(data)) => count += data.len() as u64,
                Ok(Frame::Trailers(_)) => {}
                // Not seen by anyone: a broken body is refused by the protocol, whatever is answered here.
                Err(_) => return Response::new(StatusCode::BAD_REQUEST),
            }
        }
        Response::typed("text/plain", count.to_string())
    })
}

/// The request's field lines, once its body (if any) was read.
fn headers(request: &Request) -> Outcome {
    let mut text = Vec::new();
    for (name, value) in request.fields() {
        text.extend(name.bytes().map(|byte| byte.to_ascii_lowercase()));
        text.extend_from_slice(b": ");
        text.extend_from_slice(value);
        text.push(b'\n');
    }
    Outcome::stream(move |_, mut incoming, _| {
        Outcome::future(async move {
            while let Some(frame) = incoming.next().await {
                if frame.is_err() {
                    return Response::new(StatusCode::BAD_REQUEST);
                }
            }
            Response::typed("text/plain", text)
        })
    })
}

fn parts(trailers: Option<Fields>) -> anabranch_core::app::Body {
    anabranch_core::app::Body::source(Parts::new(trailers))
}

fn trailers() -> Response {
    let mut fields = Fields::new();
    fields.append(HeaderName::from_static("x-parts"), HeaderValue::from_static("3"));
    Response::ok(parts(Some(fields)))
        .with_field(CONTENT_TYPE, PLAIN)
        .with_field(TRAILER, HeaderValue::from_static("x-parts"))
}

/// The longest that `/slow` waits and `/work` works.
const MAX_MILLIS: u64 = 10_000;

fn with_millis(request: &Request, default: u64, then: impl FnOnce(Duration) -> Outcome) -> Outcome {
    match number(request, Number { name: "ms", default, max: MAX_MILLIS }) {
        Ok(millis) => then(Duration::from_millis(millis)),
        Err(text) => bad_request(text),
    }
}

/// Keeps a core busy.
fn burn(duration: Duration) {
    let end = Instant::now() + duration;
    while Instant::now() < end {
        std::hint::spin_loop();
    }
}

fn large(request: &Request) -> Outcome {
    match number(request, Number { name: "bytes", default: 1 << 20, max: 1 << 30 }) {
        Ok(bytes) => {
            let body = anabranch_core::app::Body::source(Letters::new(bytes));
            Response::ok(body).with_field(CONTENT_TYPE, PLAIN).into()
        }
        Err(text) => bad_request(text),
    }
}

fn redirect(request: &Request) -> Outcome {
    let Some(to) = value(request, "to") else {
        return bad_request(String::from("400: /redirect needs ?to=TARGET\n"));
    };
    match percent_decoded(to).and_then(|target| HeaderValue::from_bytes(&target).ok()) {
        Some(target) => Response::new(StatusCode::FOUND).with_field(LOCATION, target).into(),
        None => {
            bad_request(String::from("400: to is not percent-encoded text that a Location field can hold\n"))
        }
    }
}
