//! What a peer may ask of us: exactly the limit is taken, one more is refused, and the message names limit and remedy.

use anabranch_core::CloseReason;
use anabranch_core::app::{Failure, Settings};
use anabranch_core::http1::Refusal;
use anabranch_core::testing::Rig;

use crate::kit::{Conversation, http_with, one_answer, post, post_chunked};

/// Holds `exact` and `beyond`: the first is served, the second refused as `expected`, whatever the cut.
#[track_caller]
fn assert_limit(change: fn(&mut Settings), exact: &str, beyond: &str, expected: Refusal, name: &str) {
    let held = Conversation::new(exact).under(change).without_more().hold();
    assert!(held.answers.iter().all(|answer| answer.status < 400), "{name}: {held:?}");
    assert!(!held.answers.is_empty());
    let held = Conversation::new(beyond).under(change).without_more().hold();
    let status = expected.status().as_u16();
    assert_eq!(held.requests.last().unwrap().failure, Some(Failure::Refused(expected)), "{name}");
    assert_eq!(held.answers.last().unwrap().status, status);
    assert!(held.text().contains(name), "the message names {name}: {}", held.text());
    assert!(held.text().contains(';'), "the message names a remedy: {}", held.text());
    held.assert_closed(CloseReason::Refused(status));
}

#[test]
fn request_line() {
    let line = |len: usize| {
        let target = "x".repeat(len - "GET /who? HTTP/1.1".len());
        format!("GET /who?{target} HTTP/1.1\r\nHost: a\r\n\r\n")
    };
    let change = |settings: &mut Settings| settings.limits.max_request_line_bytes = 40;
    let refusal = Refusal::RequestLineTooLong { limit: 40 };
    assert_limit(change, &line(40), &line(41), refusal, "limits.max_request_line_bytes = 40");
    assert_limit(change, &format!("\r\n{}", line(40)), &format!("\r\n{}", line(41)), refusal, "bytes = 40");
    assert_limit(change, &line(39), &line(100), refusal, "bytes = 40");
    // Refused when the limit is passed: the line need not end.
    let without_end = line(41);
    assert_limit(change, &line(40), &without_end[..41], refusal, "bytes = 40");
    assert_eq!(refusal.status(), 414);
}

#[test]
fn method_that_fills_the_line_is_not_implemented() {
    let change = |settings: &mut Settings| settings.limits.max_request_line_bytes = 40;
    let refusal = Refusal::MethodTooLong { limit: 40 };
    let method = |len: usize| format!("{} /who HTTP/1.1\r\nHost: a\r\n\r\n", "M".repeat(len));
    assert_limit(change, &method(26), &method(41), refusal, "limits.max_request_line_bytes = 40");
    assert_eq!(refusal.status(), 501);
    let held = Conversation::new(method(40)).under(change).hold();
    assert_eq!(held.statuses(), [414], "the method ended within the limit");
}

#[test]
fn field_line() {
    let change = |settings: &mut Settings| settings.limits.max_field_line_bytes = 20;
    let request = |len: usize| {
        let value = "y".repeat(len - "name: ".len());
        format!("GET /who HTTP/1.1\r\nHost: a\r\nname: {value}\r\nz: 1\r\n\r\n")
    };
    let refusal = Refusal::FieldLineTooLong { limit: 20, line: 2 };
    assert_limit(change, &request(20), &request(21), refusal, "limits.max_field_line_bytes = 20");
    assert_limit(change, &request(19), &request(60), refusal, "field line 2");
    assert_eq!(refusal.status(), 431);
    // White space around the value counts: it is buffered like the rest.
    let spaces = "GET /who HTTP/1.1\r\nHost: a\r\nname: y                \r\n\r\n";
    let held = Conversation::new(spaces).under(change).hold();
    assert_eq!(held.statuses(), [431]);
}

#[test]
fn field_count() {
    let change = |settings: &mut Settings| settings.limits.max_fields = 3;
    let request =
        |count: usize| format!("GET /who HTTP/1.1\r\nHost: a\r\n{}\r\n", "x: y\r\n".repeat(count - 1));
    let refusal = Refusal::TooManyFields { limit: 3 };
    assert_limit(change, &request(3), &request(4), refusal, "limits.max_fields = 3");
    assert_eq!(refusal.status(), 431);
}

#[test]
fn field_count_beyond_what_fits_on_the_stack() {
    let mut request = String::from("GET /who HTTP/1.1\r\nHost: a\r\n");
    for number in 0..199 {
        request += &format!("x{number}: y\r\n");
    }
    for (max, status) in [(200, 200), (199, 431)] {
        let mut rig = Rig::connect(&http_with(|settings| settings.limits.max_fields = max));
        rig.read(format!("{request}\r\n"));
        assert_eq!(one_answer(&rig.written()).status, status);
    }
}

#[test]
fn header_section() {
    let change = |settings: &mut Settings| settings.limits.max_header_bytes = 50;
    let request = |len: usize| {
        let value = "y".repeat(len - "Host: a\r\nname: \r\n\r\n".len());
        format!("GET /who HTTP/1.1\r\nHost: a\r\nname: {value}\r\n\r\n")
    };
    let refusal = Refusal::HeaderTooLarge { limit: 50, line: 3 };
    assert_limit(change, &request(50), &request(51), refusal, "limits.max_header_bytes = 50");
    let refusal = Refusal::HeaderTooLarge { limit: 50, line: 2 };
    assert_limit(change, &request(49), &request(100), refusal, "field line 2");
    assert_eq!(refusal.status(), 431);
}

#[test]
fn limits_that_are_passed_together_are_told_by_the_first_byte_too_many() {
    for line_limit in 10..40 {
        for section_limit in 10..60 {
            let request = format!("GET /who HTTP/1.1\r\nHost: a\r\nname: {}\r\n\r\n", "y".repeat(40));
            let held = Conversation::new(&request[..request.len()])
                .under(|settings| {
                    settings.limits.max_field_line_bytes = line_limit;
                    settings.limits.max_header_bytes = section_limit;
                })
                .without_more();
            assert_eq!(held.hold_briefly().statuses(), [431]);
        }
    }
}

#[test]
fn declared_body() {
    let change = |settings: &mut Settings| settings.limits.max_body_bytes = 10;
    let refusal = Refusal::BodyTooLarge { limit: 10 };
    let (exact, beyond) = (post("/count", "0123456789"), post("/count", "0123456789x"));
    assert_limit(change, &exact, &beyond, refusal, "limits.max_body_bytes");
    assert_eq!(refusal.status(), 413);
    let huge = "POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551615\r\n\r\n";
    assert_limit(change, &exact, huge, refusal, "10");
}

#[test]
fn chunked_body() {
    let change = |settings: &mut Settings| settings.limits.max_body_bytes = 10;
    let refusal = Refusal::BodyTooLarge { limit: 10 };
    let exact = post_chunked("/count", &["01234", "56789"]);
    assert_limit(change, &exact, &post_chunked("/count", &["01234", "56789", "x"]), refusal, "10");
    // Refused by the size line: the data need not come.
    let line = "POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n";
    assert_limit(change, &exact, line, refusal, "10");
    let huge =
        "POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\nffffffffffffffff\r\n";
    assert_limit(change, &exact, huge, refusal, "10");
}

#[test]
fn chunk_line() {
    let change = |settings: &mut Settings| settings.limits.max_chunk_line_bytes = 8;
    let refusal = Refusal::ChunkLineTooLong { limit: 8 };
    let request = |line: &str| {
        format!(
            "POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{line}\r\nx\r\n0\r\n\r\n"
        )
    };
    assert_limit(
        change,
        &request("1;345678"),
        &request("1;3456789"),
        refusal,
        "limits.max_chunk_line_bytes = 8",
    );
    assert_limit(
        change,
        &request("00000001"),
        &request("000000001"),
        refusal,
        "limits.max_chunk_line_bytes = 8",
    );
    assert_eq!(refusal.status(), 400);
}

#[test]
fn chunk_extensions_of_a_whole_body() {
    let change = |settings: &mut Settings| settings.limits.max_chunk_extension_bytes = 6;
    let refusal = Refusal::ChunkExtensionsTooLarge { limit: 6 };
    let request = |last: &str| {
        format!(
            "POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
             1;ab\r\nx\r\n1;cd\r\ny\r\n0;{last}\r\n\r\n"
        )
    };
    assert_limit(change, &request("ef"), &request("efg"), refusal, "limits.max_chunk_extension_bytes = 6");
}

#[test]
fn trailers_have_the_limits_of_heads() {
    let request = |lines: &str| {
        format!(
            "POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n{lines}\r\n"
        )
    };
    let change = |settings: &mut Settings| settings.limits.max_fields = 2;
    let refusal = Refusal::TooManyFields { limit: 2 };
    let (exact, beyond) = (request("a: b\r\nc: d\r\n"), request("a: b\r\nc: d\r\ne: f\r\n"));
    assert_limit(change, &exact, &beyond, refusal, "limits.max_fields = 2");

    let change = |settings: &mut Settings| settings.limits.max_field_line_bytes = 30;
    let refusal = Refusal::FieldLineTooLong { limit: 30, line: 1 };
    let line = |len: usize| request(&format!("name: {}\r\n", "y".repeat(len - 6)));
    assert_limit(change, &line(30), &line(31), refusal, "limits.max_field_line_bytes = 30");
}

#[test]
fn nothing_beyond_a_limit_is_kept() {
    let mut rig = Rig::connect(&http_with(|_| {}));
    // A request line that never ends: it is refused at its limit, and what follows is dropped.
    rig.feed(vec![b'a'; 9000], 1000);
    assert_eq!(one_answer(&rig.written()).status, 501);
    rig.feed(vec![b'a'; 100_000], 1000);
    assert_eq!(rig.unread(), 0);
    rig.eof();
    rig.assert_finished(CloseReason::Refused(501));
}

#[test]
fn every_refusal_says_its_status_first() {
    use anabranch_core::http1::{ChunkFault, FieldFault, LineFault};
    let limit = 7;
    for (refusal, status) in [
        (Refusal::RequestLineTooLong { limit }, 414),
        (Refusal::MethodTooLong { limit }, 501),
        (Refusal::HeaderTooLarge { limit, line: 1 }, 431),
        (Refusal::FieldLineTooLong { limit, line: 1 }, 431),
        (Refusal::TooManyFields { limit }, 431),
        (Refusal::BodyTooLarge { limit: 7 }, 413),
        (Refusal::BodyOverHandlerLimit { limit }, 413),
        (Refusal::BadRequestLine(LineFault::Spaces), 400),
        (Refusal::BadTarget, 400),
        (Refusal::UnsupportedVersion, 505),
        (Refusal::BadField { fault: FieldFault::Name, line: 3 }, 400),
        (Refusal::MissingHost, 400),
        (Refusal::RepeatedHost, 400),
        (Refusal::BadHost, 400),
        (Refusal::BadContentLength, 400),
        (Refusal::RepeatedContentLength, 400),
        (Refusal::LengthWithTransferEncoding, 400),
        (Refusal::TransferEncodingInHttp10, 400),
        (Refusal::BadTransferEncoding, 400),
        (Refusal::UnknownTransferCoding, 501),
        (Refusal::ConnectWithBody, 400),
        (Refusal::UnknownExpectation, 417),
        (Refusal::BadChunk(ChunkFault::Size), 400),
        (Refusal::ChunkLineTooLong { limit }, 400),
        (Refusal::ChunkExtensionsTooLarge { limit }, 400),
        (Refusal::ForbiddenTrailer { line: 1 }, 400),
        (Refusal::TruncatedHead, 400),
        (Refusal::TruncatedBody, 400),
        (Refusal::HeadTimeout, 408),
        (Refusal::BodyTimeout, 408),
        (Refusal::HandlerTimeout, 503),
        (Refusal::OutOfMemory, 503),
        (Refusal::Overloaded, 503),
    ] {
        assert_eq!(refusal.status().as_u16(), status, "{refusal:?}");
        let text = refusal.to_string();
        assert!(text.starts_with(&format!("{status}: ")), "{text}");
        if format!("{refusal:?}").contains("limit: 7") {
            assert!(text.contains('7') && text.contains("limits.") || text.contains("7 bytes"), "{text}");
        }
    }
}
