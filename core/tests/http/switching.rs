//! Upgrade and CONNECT: the connection goes over to another protocol, with whatever came behind the request.

use anabranch_core::app::{Context, Failure, Outcome, Request, RequestEnd, Response, service_fn};
use anabranch_core::http1::Misuse;
use anabranch_core::testing::Rig;
use anabranch_core::{AbortReason, CloseReason, Deadline, DeadlineKind, WriteResult};
use http::StatusCode;
use http::header::{self, HeaderValue};

use crate::kit::{Conversation, Recorder, get, http, site};

const UPGRADE: &str = "GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: lines\r\n\r\n";

#[test]
fn upgrade_hands_the_connection_over_with_what_came_behind() {
    let held = Conversation::new([UPGRADE, "one\ntwo\n", "bye\n"].concat()).without_more().hold();
    assert_eq!(held.statuses(), [101]);
    let answer = &held.answers[0];
    assert_eq!((answer.field("connection"), answer.field("upgrade")), (Some("upgrade"), Some("lines")));
    assert_eq!(answer.text(), "<one><two>");
    assert_eq!(held.closed, Some(CloseReason::Finished));
    assert_eq!((held.requests[0].end, held.requests[0].status), (RequestEnd::Switched, Some(101)));
}

#[test]
fn upgrade_after_pipelined_requests_comes_after_their_answers() {
    let held = Conversation::new([&get("/hello"), UPGRADE, "one\n"].concat()).without_more().hold();
    assert_eq!(held.statuses(), [200, 101]);
    assert_eq!(held.text(), "<one>");
}

#[test]
fn end_of_input_before_the_switch_reaches_what_takes_over() {
    let held = Conversation::new([UPGRADE, "one\n"].concat()).then_eof().hold();
    assert_eq!(held.text(), "<one>");
    assert_eq!(held.closed, Some(CloseReason::PeerClosed));

    let mut rig = site();
    rig.read([UPGRADE, "one\n"].concat());
    rig.eof();
    let output = String::from_utf8(rig.written()).unwrap();
    assert!(output.ends_with("\r\n\r\n<one>"), "{output}");
    rig.assert_finished(CloseReason::PeerClosed);
}

#[test]
fn nothing_is_read_between_the_answer_and_the_switch() {
    let mut rig = site();
    rig.read(UPGRADE);
    rig.assert_yielding();
    rig.write_at_most(10);
    rig.assert_yielding();
    rig.written();
    rig.assert_reading();
    rig.read("x\n");
    assert_eq!(rig.written(), b"<x>");
}

#[test]
fn connection_that_ends_before_the_switch_does_not_switch() {
    let ready = || {
        let mut rig = site();
        rig.read([UPGRADE, "one\n"].concat());
        rig
    };
    let mut rig = ready();
    rig.abort(AbortReason::Requested);
    rig.assert_finished(CloseReason::Aborted(AbortReason::Requested));

    let mut rig = ready();
    rig.report_write_result(WriteResult::Closed);
    rig.assert_finished(CloseReason::PeerReset);

    let mut rig = ready();
    rig.reset();
    rig.assert_finished(CloseReason::PeerReset);

    let mut rig = ready();
    let Some(Deadline { at, kind: DeadlineKind::WriteStall }) = rig.deadline() else { panic!() };
    rig.advance(at - rig.now());
    rig.assert_finished(CloseReason::TimedOut(DeadlineKind::WriteStall));
}

#[test]
fn drain_before_the_switch_reaches_what_takes_over() {
    let mut rig = site();
    rig.read([UPGRADE, "one\n"].concat());
    rig.drain();
    let output = String::from_utf8(rig.written()).unwrap();
    assert!(output.starts_with("HTTP/1.1 101 "), "{output}");
    rig.assert_finished(CloseReason::Drained);
}

#[test]
fn upgrade_not_taken_goes_on_as_http() {
    let request = "GET /who HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: lines\r\n\r\n";
    let held = Conversation::new([request, &get("/hello")].concat()).hold();
    assert_eq!(held.statuses(), [200, 200]);
    held.assert_lives();
}

#[test]
fn upgrade_is_not_offered_by_half() {
    for head in [
        // With a body.
        "POST /upgrade HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: lines\r\nContent-Length: 1\r\n\r\nx",
        // Not named in Connection.
        "GET /upgrade HTTP/1.1\r\nHost: a\r\nUpgrade: lines\r\n\r\n",
        // Without saying to what.
        "GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n\r\n",
    ] {
        let held = Conversation::new(head).hold();
        assert_eq!((held.statuses(), held.text()), (vec![200], "not offered"), "{head}");
        held.assert_lives();
    }
}

#[test]
fn http_1_0_is_not_upgraded() {
    let service = service_fn(|_: &mut Request, _: &mut Context<'_>| {
        Outcome::upgrade(Response::new(StatusCode::SWITCHING_PROTOCOLS), |_, _| unreachable!())
    });
    let request = "GET / HTTP/1.0\r\nConnection: upgrade, keep-alive\r\nUpgrade: lines\r\n\r\n";
    let held = Conversation::with(service, request).without_more().hold();
    assert_eq!(held.statuses(), [500]);
    assert_eq!(held.requests[0].failure, Some(Failure::Unsendable(Misuse::NotOffered)));
    held.assert_closed(CloseReason::Finished);
}

#[test]
fn connect_is_not_implemented_unless_taken() {
    let service = service_fn(|_: &mut Request, _: &mut Context<'_>| "not for CONNECT");
    let held = Conversation::with(service, "CONNECT b:1 HTTP/1.1\r\nHost: b:1\r\n\r\n").hold();
    assert_eq!(held.statuses(), [501]);
    held.assert_closed(CloseReason::Finished);
}

#[test]
fn connect_taken_is_a_tunnel() {
    let request = "CONNECT tunnel:1 HTTP/1.1\r\nHost: tunnel:1\r\n\r\none\nbye\n";
    let held = Conversation::new(request).without_more().hold();
    assert_eq!((held.statuses(), held.text()), (vec![200], "<one>"));
    assert_eq!(held.closed, Some(CloseReason::Finished));
}

#[test]
fn connect_refused_ends_the_connection_for_what_follows_may_be_the_tunnels() {
    let held =
        Conversation::new("CONNECT b:1 HTTP/1.1\r\nHost: b:1\r\n\r\nGET /hello HTTP/1.1\r\n\r\n").hold();
    assert_eq!(held.statuses(), [403]);
    held.assert_closed(CloseReason::Finished);
}

#[test]
fn connect_is_not_answered_with_success_but_by_a_switch() {
    #[derive(Clone)]
    struct Wrong;
    impl anabranch_core::app::Service for Wrong {
        fn call(&self, _: &mut Request, _: &mut Context<'_>) -> Outcome {
            "x".into()
        }
        fn connect(&self, request: &mut Request, _: &mut Context<'_>) -> Outcome {
            match request.target() {
                "reply:1" => "x".into(),
                _ => Outcome::upgrade(StatusCode::FORBIDDEN.into(), |_, _| unreachable!()),
            }
        }
    }
    for target in ["reply:1", "upgrade:1"] {
        let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
        let held = Conversation::with(Wrong, request).hold();
        assert_eq!(held.statuses(), [500], "{target}");
        held.assert_closed(CloseReason::Finished);
    }
}

#[test]
fn maker_of_the_next_protocol_that_panics_ends_the_connection_alone() {
    let service = service_fn(|_: &mut Request, _: &mut Context<'_>| {
        let head = Response::new(StatusCode::SWITCHING_PROTOCOLS)
            .with_field(header::UPGRADE, HeaderValue::from_static("lines"));
        Outcome::upgrade(head, |_, _| panic!("no protocol"))
    });
    let mut rig = crate::kit::rig(service);
    rig.read(UPGRADE);
    rig.written();
    rig.assert_finished(CloseReason::ApplicationFailed);
}

#[test]
fn switched_connection_is_told_once() {
    let recorder = Recorder::default();
    let mut rig = Rig::connect(&http().with_observer(recorder.observer()));
    rig.read(UPGRADE);
    rig.written();
    rig.read("bye\n");
    assert!(rig.is_finished());
    assert_eq!(recorder.seen().len(), 1);
}
