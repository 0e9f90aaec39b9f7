//! `100 Continue` is sent when the application asks for the body, and only then (RFC 9110 §10.1.1).

use std::task::{self, Poll};
use std::time::Duration;

use anabranch_core::CloseReason;
use anabranch_core::app::{
    Body, BodyError, BodySource, Context, Frame, Incoming, Outcome, Request, Response, service_fn,
};
use http::StatusCode;

use crate::kit::{Conversation, Parts, answers, get, rig, site};

fn expecting(target: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {target} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

fn expecting_chunked(target: &str) -> String {
    format!(
        "POST {target} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n\
         3\r\nabc\r\n0\r\n\r\n"
    )
}

#[test]
fn body_asked_for_is_waved_on_whether_or_not_it_came_already() {
    for target in ["/collect", "/echo", "/count", "/first"] {
        for request in [expecting(target, "abc"), expecting_chunked(target)] {
            let held = Conversation::new(&request).hold();
            assert_eq!(held.statuses(), [100, 200], "{target}");
        }
    }
}

#[test]
fn peer_that_waits_is_waved_on_by_collect_and_by_a_stream() {
    for target in ["/collect", "/echo", "/count", "/first"] {
        let mut rig = site();
        let request = expecting(target, "abc");
        let (head, body) = request.split_at(request.len() - 3);
        rig.read(head);
        let output = String::from_utf8(rig.written()).unwrap();
        assert!(output.starts_with("HTTP/1.1 100 Continue\r\n\r\n"), "{target}: {output}");
        rig.read(body);
        let output = [output.as_bytes(), &rig.written()].concat();
        let seen = answers(&output, &[]);
        assert_eq!((seen.len(), seen[1].status, seen[1].whole), (2, 200, true), "{target}");
        rig.assert_reading();
    }
}

#[test]
fn future_is_waved_on_at_its_first_read_and_not_before() {
    let mut rig = rig(service_fn(|_: &mut Request, context: &mut Context<'_>| {
        let clock = context.clock();
        Outcome::stream(move |_, mut incoming, _| {
            Outcome::future(async move {
                clock.sleep(Duration::from_secs(1)).await;
                let mut count = 0;
                while incoming.next().await.is_some() {
                    count += 1;
                }
                format!("{count}")
            })
        })
    }));
    let request = expecting("/", "abc");
    let (head, body) = request.split_at(request.len() - 3);
    rig.read(head);
    assert_eq!(rig.written(), b"");
    rig.assert_yielding();
    rig.advance(Duration::from_secs(1));
    assert_eq!(rig.written(), b"HTTP/1.1 100 Continue\r\n\r\n");
    rig.read(body);
    assert_eq!(answers(&rig.written(), &[])[0].text(), "1");
}

#[test]
fn body_not_asked_for_is_not_waved_on_and_ends_the_connection() {
    for target in ["/ignore", "/drop", "/defer", "/nowhere", "/no-content"] {
        let held = Conversation::new(expecting(target, "abc")).hold();
        assert_eq!(held.answers.len(), 1, "{target}: {held:?}");
        held.assert_closed(CloseReason::Finished);
    }
}

#[test]
fn http_1_0_is_never_waved_on() {
    let request = "POST /collect HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc";
    let held = Conversation::new(request).hold();
    assert_eq!((held.statuses(), held.text()), (vec![200], "abc"));
    let request = "POST /collect HTTP/1.0\r\nExpect: x\r\nContent-Length: 3\r\n\r\nabc";
    assert_eq!(Conversation::new(request).hold().statuses(), [200]);
}

#[test]
fn request_without_a_body_is_not_waved_on() {
    for length in ["", "Content-Length: 0\r\n"] {
        let request = format!("POST /collect HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n{length}\r\n");
        let held = Conversation::new(request).hold();
        assert_eq!(held.statuses(), [200]);
        held.assert_lives();
    }
}

#[test]
fn unknown_expectation_cannot_be_met() {
    for value in ["x", "100-continue, x", "100-continue=1", "200-ok"] {
        let request =
            format!("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: {value}\r\nContent-Length: 3\r\n\r\nabc");
        let held = Conversation::new(request).hold();
        assert_eq!(held.statuses(), [417], "{value}");
        assert!(held.text().contains("100-continue"), "{}", held.text());
        held.assert_closed(CloseReason::Refused(417));
    }
}

#[test]
fn body_waved_on_may_still_be_refused() {
    let chunks = "POST /collect HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n\
                  1e\r\nthirty bytes are more than twenty\r\n0\r\n\r\n";
    let held = Conversation::new(chunks).hold();
    assert_eq!(held.statuses(), [100, 413]);
    let broken = "POST /collect HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n";
    let held = Conversation::new(broken).hold();
    assert_eq!(held.statuses(), [100, 400]);
    held.assert_closed(CloseReason::Refused(400));
}

#[test]
fn body_too_long_by_declaration_is_refused_without_being_waved_on() {
    let held = Conversation::new(expecting("/collect", "this is more than the twenty bytes")).hold();
    assert_eq!(held.statuses(), [413]);
    assert!(held.answers[0].says_close());
    let held = Conversation::new(expecting("/echo", "long"))
        .under(|settings| settings.limits.max_body_bytes = 3)
        .hold();
    assert_eq!(held.statuses(), [413]);
}

#[test]
fn peer_is_waved_on_before_an_answer_that_may_read_the_body_begins() {
    // The source holds the body's reader and has not read yet: once the answer has begun, it is too late for a 100.
    struct Late(Incoming);
    impl BodySource for Late {
        fn poll_frame(
            &mut self,
            context: &mut task::Context<'_>,
            _: usize,
        ) -> Poll<Option<Result<Frame, BodyError>>> {
            self.0.poll_frame(context)
        }
    }
    let service = service_fn(|_: &mut Request, _: &mut Context<'_>| {
        Outcome::stream(|_, incoming, _| Response::ok(Body::source(Late(incoming))))
    });
    let held = Conversation::with(service, expecting("/", "abc")).without_more().hold();
    assert_eq!((held.statuses(), held.text()), (vec![100, 200], "abc"));
    held.assert_lives();
}

#[test]
fn answer_that_streams_without_the_body_is_not_preceded_by_100() {
    let service = service_fn(|_: &mut Request, _: &mut Context<'_>| {
        Response::ok(Body::source(Parts::new(&["a", "b"])))
    });
    let held = Conversation::with(service, expecting("/", "abc")).hold();
    assert_eq!((held.statuses(), held.text()), (vec![200], "ab"));
    held.assert_closed(CloseReason::Finished);
}

#[test]
fn hints_come_before_the_answer_and_never_to_http_1_0() {
    let held = Conversation::new(get("/hints")).hold();
    assert_eq!(held.statuses(), [103, 200]);
    assert_eq!(held.answers[0].field("link"), Some("</style.css>; rel=preload"));
    held.assert_lives();
    let held = Conversation::new("GET /hints HTTP/1.0\r\n\r\n").hold();
    assert_eq!(held.statuses(), [200]);
}

#[test]
fn hint_that_is_none_is_passed_over() {
    for status in [100, 101, 200, 404] {
        let service = service_fn(move |_: &mut Request, context: &mut Context<'_>| {
            context.inform(StatusCode::from_u16(status).unwrap(), Default::default());
            "x"
        });
        let held = Conversation::with(service, get("/")).without_more().hold();
        assert_eq!(held.statuses(), [200], "{status}");
    }
}
