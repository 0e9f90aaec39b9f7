//! A request head, judged by us and by others.
//!
//! By httparse: we are the stricter, so that whatever we accept it accepts, and we agree on what it says. What it accepts and
//! we refuse is refused for a reason of the list in [`we_are_stricter`].
//!
//! By http-net (feature `http-net`), which is as strict as we are, and reads what the fields say: we differ for a reason of
//! [`LISTED`] only.
//!
//! And our two ways to a head are one: [`heads::agree`].

#[cfg(feature = "http-net")]
mod http_net_oracle;
#[cfg(feature = "http-net")]
mod listed;

use std::sync::Arc;
use std::task::Waker;

use anabranch_core::http1::{Connection, Event, Limits, Refusal, RequestHead, Settings};
use anabranch_core::testing::heads;
use anabranch_core::{Dates, Instant, Pool, Turn};
use bytes::BytesMut;

#[cfg(feature = "http-net")]
pub use http_net_oracle::differences;
#[cfg(feature = "http-net")]
pub use listed::{Difference, LISTED, Listed};

/// The bytes are what a peer sends first.
pub fn check(data: &[u8]) {
    heads::agree(data, &Limits::default());
    beside_httparse(data);
    #[cfg(feature = "http-net")]
    for limits in [Limits::default(), tight()] {
        let _ = differences(data, &limits);
    }
}

/// Limits small enough to be met by chance.
#[must_use]
pub fn tight() -> Limits {
    let mut limits = Limits::default();
    limits.max_request_line_bytes = 40;
    limits.max_fields = 5;
    limits.max_header_bytes = 120;
    limits.max_field_line_bytes = 60;
    limits.max_body_bytes = 100;
    limits
}

/// What we make of bytes that begin a connection.
enum Verdict {
    Head(Box<RequestHead>),
    Refused(Refusal),
    /// More bytes are needed.
    Waits,
}

fn judge(data: &[u8], limits: &Limits) -> Verdict {
    let (mut dates, mut pool) = (Dates::none(), Pool::default());
    let mut turn = Turn::new(Instant::ORIGIN, &mut dates, Waker::noop(), &mut pool);
    let mut settings = Settings::default();
    settings.limits = limits.clone();
    let mut connection = Connection::new(Arc::new(settings), Instant::ORIGIN);
    match connection.poll_event(&mut BytesMut::from(data), &mut turn) {
        Some(Event::Request { head, .. }) => Verdict::Head(head),
        Some(Event::Refused { refusal, .. }) => Verdict::Refused(refusal),
        Some(other) => panic!("a connection begins with {other:?}"),
        None => Verdict::Waits,
    }
}

fn beside_httparse(data: &[u8]) {
    let mut slots = [httparse::EMPTY_HEADER; 128];
    let mut theirs = httparse::Request::new(&mut slots);
    let complete = theirs.parse(data).is_ok_and(|status| status.is_complete());
    match judge(data, &Limits::default()) {
        Verdict::Head(head) => {
            if head.version() == http::Version::HTTP_11 && !complete {
                // The one thing we take and it does not: a minor version above 1, read as 1.1.
                let is_newer = |part: &[u8]| part.starts_with(b"HTTP/1.") && matches!(part[7], b'2'..=b'9');
                assert!(data.windows(8).any(is_newer), "we take what httparse does not: {head:?}");
                return;
            }
            assert!(complete, "we take what httparse does not: {head:?}");
            agree(&head, &theirs);
        }
        Verdict::Refused(refusal) if complete => {
            assert!(we_are_stricter(refusal), "refused for no reason of the list: {refusal}");
        }
        Verdict::Refused(_) | Verdict::Waits => {}
    }
}

fn agree(ours: &RequestHead, theirs: &httparse::Request<'_, '_>) {
    assert_eq!(Some(ours.method().as_str()), theirs.method);
    assert_eq!(Some(ours.target()), theirs.path);
    let fields: Vec<_> = ours.fields().collect();
    let expected: Vec<_> = theirs.headers.iter().map(|header| (header.name, header.value)).collect();
    assert_eq!(fields, expected);
}

/// What httparse lets through and we refuse.
fn we_are_stricter(refusal: Refusal) -> bool {
    match refusal {
        // Line ends of LF alone, empty lines before the request line.
        Refusal::BadRequestLine(_) | Refusal::BadField { .. } => true,
        // Targets beyond visible ASCII, fragments, forms that do not go with the method.
        Refusal::BadTarget => true,
        // What the fields say, which it does not read.
        Refusal::MissingHost
        | Refusal::RepeatedHost
        | Refusal::BadHost
        | Refusal::BadContentLength
        | Refusal::RepeatedContentLength
        | Refusal::LengthWithTransferEncoding
        | Refusal::TransferEncodingInHttp10
        | Refusal::BadTransferEncoding
        | Refusal::UnknownTransferCoding
        | Refusal::ConnectWithBody
        | Refusal::UnknownExpectation
        | Refusal::BodyTooLarge { .. } => true,
        // Limits, which it does not have.
        Refusal::RequestLineTooLong { .. }
        | Refusal::MethodTooLong { .. }
        | Refusal::HeaderTooLarge { .. }
        | Refusal::FieldLineTooLong { .. }
        | Refusal::TooManyFields { .. } => true,
        _ => false,
    }
}
