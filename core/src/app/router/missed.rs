//! The answers to requests that have no route.

use http::StatusCode;
use http::header::{ACCEPT, ACCEPT_ENCODING, ALLOW, HeaderValue};

use crate::app::{Outcome, Response};

/// Why a request has no route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Missed<'a> {
    /// 404: no pattern matches its path.
    NotFound,
    /// 405: its path is known, with other methods.
    MethodNotAllowed {
        /// The methods: what is sent as `Allow`.
        allow: &'a HeaderValue,
    },
    /// 415: no endpoint takes its body's media type.
    UnsupportedMediaType {
        /// The types that are taken: what is sent as `Accept`.
        accept: &'a HeaderValue,
    },
    /// 415: its body has a `Content-Encoding`. Sent with `Accept-Encoding: identity` besides.
    EncodedBody {
        /// The types that are taken: what is sent as `Accept`.
        accept: &'a HeaderValue,
    },
}

pub(super) type Shape = Box<dyn Fn(&Missed<'_>) -> Response + Send + Sync>;

impl Missed<'_> {
    /// The status of the answer.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::UnsupportedMediaType { .. } | Self::EncodedBody { .. } => {
                StatusCode::UNSUPPORTED_MEDIA_TYPE
            }
        }
    }

    /// The answer: what `shape` makes of it, with the status and the fields that belong to it.
    pub(super) fn answer(self, shape: &Shape) -> Outcome {
        let mut response = shape(&self).with_status(self.status());
        match self {
            Self::NotFound => {}
            Self::MethodNotAllowed { allow } => response.fields.set(ALLOW, allow.clone()),
            Self::UnsupportedMediaType { accept } => response.fields.set(ACCEPT, accept.clone()),
            Self::EncodedBody { accept } => {
                response.fields.set(ACCEPT, accept.clone());
                response.fields.set(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
            }
        }
        response.into()
    }
}

/// Plain text that says what to do instead.
pub(super) fn plain() -> Shape {
    let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
    Box::new(move |missed| {
        Response::text(match missed {
            Missed::NotFound => String::from("404: nothing here\n"),
            Missed::MethodNotAllowed { allow } => format!("405: use {}\n", text(allow)),
            Missed::UnsupportedMediaType { accept } => format!("415: send {}\n", text(accept)),
            Missed::EncodedBody { .. } => String::from("415: send it without Content-Encoding\n"),
        })
    })
}

/// The answer to `OPTIONS` (RFC 9110 §9.3.7).
pub(super) fn options(allow: &HeaderValue) -> Response {
    Response::new(StatusCode::NO_CONTENT).with_field(ALLOW, allow.clone())
}
