//! A request head, judged by us and by httparse. We are the stricter: whatever we accept it accepts, and we agree on what
//! it says. What it accepts and we refuse is refused for a reason of the list in [`we_are_stricter`]. And our two ways to a
//! head are one: [`heads::agree`].

use std::sync::Arc;
use std::task::Waker;

use anabranch_core::http1::{Connection, Event, Limits, Refusal, RequestHead, Settings};
use anabranch_core::testing::heads;
use anabranch_core::{Dates, Instant, Pool, Turn};
use bytes::BytesMut;

/// The bytes are what a peer sends first.
pub fn check(data: &[u8]) {
    heads::agree(data, &Limits::default());
    let ours = judge(data);
    let mut slots = [httparse::EMPTY_HEADER; 128];
    let mut theirs = httparse::Request::new(&mut slots);
    let complete = theirs.parse(data).is_ok_and(|status| status.is_complete());
    match ours {
        Some(Event::Request { head, .. }) => {
            if head.version() == http::Version::HTTP_11 && !complete {
                // The one thing we take and it does not: a minor version above 1, read as 1.1.
                let is_newer = |part: &[u8]| part.starts_with(b"HTTP/1.") && matches!(part[7], b'2'..=b'9');
                assert!(data.windows(8).any(is_newer), "we take what httparse does not: {head:?}");
                return;
            }
            assert!(complete, "we take what httparse does not: {head:?}");
            agree(&head, &theirs);
        }
        Some(Event::Refused { refusal, .. }) if complete => {
            assert!(we_are_stricter(refusal), "refused for no reason of the list: {refusal}");
        }
        _ => {}
    }
}

fn judge(data: &[u8]) -> Option<Event> {
    let (mut dates, mut pool) = (Dates::none(), Pool::default());
    let mut turn = Turn::new(Instant::ORIGIN, &mut dates, Waker::noop(), &mut pool);
    let mut connection = Connection::new(Arc::new(Settings::default()), Instant::ORIGIN);
    connection.poll_event(&mut BytesMut::from(data), &mut turn)
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
