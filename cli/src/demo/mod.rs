//! The demo application: what `serve` runs and what every model is tested with, the same under all of them.
//!
//! ```text
//!   Router: path, method, Content-Type ──► handler ──► Outcome
//!     404, 405, 415 where they lead nowhere              └─ /commit, /status, /work: on a lane
//! ```

mod bodies;
mod commit;
mod query;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anabranch_core::app::{
    Context, Frame, Incoming, Missed, OptionsRequests, Outcome, Request, Response, Router, RouterBuilder,
    Service, percent_decoded,
};
use anabranch_core::{Fields, Lane};
use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LOCATION, TRAILER};

use self::bodies::{Letters, Parts};
use self::query::{Number, number, value};

/// The demo application.
#[derive(Clone, Debug)]
pub struct Demo {
    router: Arc<Router>,
}

impl Demo {
    /// The application, carried by the model of this name (which its page tells).
    #[must_use]
    pub fn new(model: &str) -> Self {
        // These routes are always the same, and every test builds them.
        let router = routes(model).build().expect("the demo's routes are in nobody's way");
        Self { router: Arc::new(router) }
    }

    /// The lanes that its routes ask for by name.
    #[must_use]
    pub fn lanes(&self) -> &[Lane] {
        self.router.lanes()
    }
}

impl Service for Demo {
    fn call(&self, request: &mut Request, context: &mut Context<'_>) -> Outcome {
        self.router.call(request, context)
    }
}

fn routes(model: &str) -> RouterBuilder {
    let page = Bytes::from(include_str!("page.html").replace("{model}", model));
    let router = Router::builder()
        .options(OptionsRequests::Refused)
        .missed(missed)
        .get("/", move |_, _| Response::typed("text/html; charset=utf-8", page.clone()))
        .get("/plaintext", |_, _| Response::typed("text/plain", "Hello, World!"))
        .get("/json", |_, _| Response::typed("application/json", r#"{"message":"Hello, World!"}"#))
        .post("/echo", |_, _| Outcome::stream(|request, incoming, _| echo(request, incoming)))
        .post("/discard", |_, _| Outcome::stream(|_, incoming, _| discard(incoming)))
        .get("/headers", |request, _| headers(request))
        .post("/headers", |request, _| headers(request))
        .get("/chunked", |_, _| Response::ok(parts(None)).with_field(CONTENT_TYPE, PLAIN))
        .get("/trailers", |_, _| trailers())
        .get("/no-content", |_, _| StatusCode::NO_CONTENT)
        .get("/not-modified", |_, _| {
            Response::new(StatusCode::NOT_MODIFIED).with_field(ETAG, HeaderValue::from_static("\"demo\""))
        })
        .get("/slow", |request, _| {
            with_millis(request, 100, |duration| {
                Outcome::after(duration, |_, _| Response::typed("text/plain", "slow\n"))
            })
        })
        .get("/work", |request, _| {
            with_millis(request, 10, |duration| {
                Outcome::defer(Lane::DEFAULT, move |_| {
                    burn(duration);
                    Response::typed("text/plain", "work\n")
                })
            })
        })
        .get("/large", |request, _| large(request))
        .get("/panic", |_, _| -> Outcome { panic!("/panic was asked for") })
        .get("/redirect", |request, _| redirect(request));
    commit::routes(router, model)
}

const PLAIN: HeaderValue = HeaderValue::from_static("text/plain");

/// What is said to a request that has no route; its status and what belongs to it are the router's.
fn missed(missed: &Missed<'_>) -> Response {
    let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let text = match missed {
        Missed::NotFound => String::from("404: nothing here; / lists what there is\n"),
        Missed::MethodNotAllowed { allow } => format!("405: use {}\n", text(allow)),
        Missed::UnsupportedMediaType { accept } => format!("415: send {}\n", text(accept)),
        _ => format!("{}\n", missed.status()),
    };
    Response::typed("text/plain", text)
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
