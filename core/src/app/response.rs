//! An answer: status, fields, body; nothing of any protocol's framing.

use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, UPGRADE};

use super::body::Body;
use crate::fields::Fields;

/// An answer. How its body is framed, and what is said of the connection, is the protocol's affair.
///
/// ```
/// use anabranch_core::app::Response;
/// use http::{StatusCode, header};
///
/// let response = Response::text("made")
///     .with_status(StatusCode::CREATED)
///     .with_field(header::LOCATION, header::HeaderValue::from_static("/made"));
/// assert_eq!(response.body.length(), Some(4));
/// ```
#[derive(Debug)]
pub struct Response {
    /// The status: 200 to 999.
    pub status: StatusCode,
    /// The field lines, without those that frame the message.
    pub fields: Fields,
    /// The body.
    pub body: Body,
}

impl Response {
    /// A status and nothing else.
    #[must_use]
    pub const fn new(status: StatusCode) -> Self {
        Self { status, fields: Fields::new(), body: Body::empty() }
    }

    /// 200 with a body of no stated type.
    #[must_use]
    #[inline]
    pub fn ok(body: impl Into<Body>) -> Self {
        Self { status: StatusCode::OK, fields: Fields::new(), body: body.into() }
    }

    /// 200 with a body of this media type.
    #[must_use]
    #[inline]
    pub fn typed(media_type: &'static str, body: impl Into<Body>) -> Self {
        let fields = Fields::of_one(CONTENT_TYPE, HeaderValue::from_static(media_type));
        Self { status: StatusCode::OK, fields, body: body.into() }
    }

    /// 200 with plain text in UTF-8.
    #[must_use]
    pub fn text(body: impl Into<Body>) -> Self {
        Self::typed("text/plain; charset=utf-8", body)
    }

    /// 101, the switch to `protocol` (RFC 9110 §15.2.2): for [`Outcome::upgrade`](super::Outcome::upgrade) and
    /// [`Outcome::duplex`](super::Outcome::duplex), where the peer
    /// [offers it](crate::http1::RequestHead::offers_protocol).
    #[must_use]
    pub fn switching_to(protocol: &'static str) -> Self {
        let fields = Fields::of_one(UPGRADE, HeaderValue::from_static(protocol));
        Self { status: StatusCode::SWITCHING_PROTOCOLS, fields, body: Body::empty() }
    }

    /// 426, for a peer that does not offer to switch to `protocol` and has to (RFC 9110 §15.5.22).
    #[must_use]
    pub fn upgrade_required(protocol: &'static str) -> Self {
        Self::switching_to(protocol).with_status(StatusCode::UPGRADE_REQUIRED)
    }

    /// The same answer with another status.
    #[must_use]
    pub const fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The same answer with one more field line.
    #[must_use]
    #[inline]
    pub fn with_field(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.fields.append(name, value);
        self
    }

    /// The same answer with another body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }
}

impl From<StatusCode> for Response {
    fn from(status: StatusCode) -> Self {
        Self::new(status)
    }
}

impl From<&'static str> for Response {
    fn from(body: &'static str) -> Self {
        Self::text(body)
    }
}

impl From<String> for Response {
    fn from(body: String) -> Self {
        Self::text(body)
    }
}
