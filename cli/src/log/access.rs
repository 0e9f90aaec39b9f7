//! A line for each request.

use core::fmt;

use anabranch_core::app::{Observer, RequestEnd, RequestRecord};

/// Writes each request that ends to the log, under the target `access`.
#[derive(Clone, Copy, Debug)]
pub struct AccessLog;

impl Observer for AccessLog {
    fn request(&self, record: &RequestRecord<'_>) {
        let failure = record.failure.map(|failure| failure.to_string());
        tracing::info!(
            target: "access",
            connection = %record.connection,
            request = %record.exchange,
            peer = record.peer.map(tracing::field::display),
            status = record.status.map(|status| status.as_u16()),
            received = record.request_body_bytes,
            sent = record.response_body_bytes,
            milliseconds = record.took.as_micros() as f64 / 1e3,
            failure,
            "{}", Line(record)
        );
    }
}

/// What was asked, as in the request line, and what became of it where that is not an answer.
struct Line<'a>(&'a RequestRecord<'a>);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.request {
            // A target that was accepted holds no control byte and no space; still nothing a peer sent is written raw.
            Some(line) => write!(f, "{} {} {:?}", line.method, line.target.escape_debug(), line.version)?,
            None => f.write_str("refused request")?,
        }
        match self.0.end {
            RequestEnd::Answered => Ok(()),
            RequestEnd::Cut => f.write_str(" (cut off)"),
            RequestEnd::Switched => f.write_str(" (switched)"),
            _ => Ok(()),
        }
    }
}
