//! What goes wrong with a request, as the application may shape the answer to it: status, fields, body; never the framing.

use core::fmt;

use http::StatusCode;
use http::header::{HeaderValue, RETRY_AFTER};

use super::response::Response;
use crate::http1::{Misuse, Refusal};

/// Why the server answers instead of the handler.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Failure {
    /// The peer broke the protocol or passed a limit. The connection closes after the answer.
    Refused(Refusal),
    /// The handler, a future or a body source panicked. The connection closes after the answer.
    Panicked,
    /// The lane that the work was meant for is full.
    LaneFull,
    /// The job was lost: it panicked, or its lane ended.
    JobLost,
    /// The handler's answer cannot be sent: it contradicts itself or its request.
    Unsendable(Misuse),
}

impl Failure {
    /// The status that belongs to it.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Refused(refusal) => refusal.status(),
            Self::LaneFull => StatusCode::SERVICE_UNAVAILABLE,
            Self::Panicked | Self::JobLost | Self::Unsendable(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The answer that is sent unless the application shapes another: the reason in plain text, with `Retry-After` where
    /// trying again may help. What failed inside the application is not told to its peer.
    #[must_use]
    pub fn response(self) -> Response {
        let text = match self {
            Self::Refused(refusal) => format!("{refusal}\n"),
            Self::LaneFull => String::from("503: too much to do at present; try again later\n"),
            Self::Panicked | Self::JobLost | Self::Unsendable(_) => String::from("500: the server failed\n"),
        };
        let response = Response::text(text).with_status(self.status());
        if response.status == StatusCode::SERVICE_UNAVAILABLE {
            return response.with_field(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }

    /// Whether the connection ends with the answer.
    pub(crate) const fn ends_connection(self) -> bool {
        !matches!(self, Self::LaneFull)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Panicked => f.write_str("the handler panicked"),
            Self::LaneFull => f.write_str("the lane is full"),
            Self::JobLost => f.write_str("the job panicked or was dropped"),
            Self::Unsendable(misuse) => write!(f, "the handler's answer cannot be sent: {misuse}"),
        }
    }
}

impl core::error::Error for Failure {}
