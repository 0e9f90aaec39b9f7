//! Answers that end with the connection (HTTP/1.0, no length): whatever breaks one off ends the connection with a reset, for
//! an orderly end would complete it (RFC 9112 §8). Every other answer shows by itself that it is incomplete.

use std::task::{self, Poll};
use std::time::Duration;

use anabranch_core::app::{
    Body, BodyError, BodySource, Context, Frame, Request, Response, Sender, service_fn,
};
use anabranch_core::testing::Rig;
use anabranch_core::{
    AbortReason, CloseKind, CloseReason, DeadlineKind, Flow, InputEnd, WriteOperation, WriteResult,
};
use bytes::Bytes;

use crate::kit::{Conversation, rig};

const HTTP_1_0: &str = "GET / HTTP/1.0\r\n\r\n";
const HTTP_1_1: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// A connection on a rig.
type Connected = Rig<Box<dyn Flow>>;

/// Gives `half`, and goes on so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Then {
    Fails,
    Panics,
    Ends,
    Waits,
}

struct Half {
    given: bool,
    then: Then,
    length: Option<u64>,
}

impl BodySource for Half {
    fn poll_frame(&mut self, _: &mut task::Context<'_>, _: usize) -> Poll<Option<Result<Frame, BodyError>>> {
        if !std::mem::replace(&mut self.given, true) {
            return Poll::Ready(Some(Ok(Frame::Data(Bytes::from_static(b"half")))));
        }
        match self.then {
            Then::Fails => Poll::Ready(Some(Err(BodyError::Aborted))),
            Then::Panics => panic!("half-way"),
            Then::Ends => Poll::Ready(None),
            Then::Waits => Poll::Pending,
        }
    }

    fn length(&self) -> Option<u64> {
        self.length
    }
}

fn half(then: Then, length: Option<u64>) -> Response {
    Response::ok(Body::source(Half { given: false, then, length }))
}

fn serve(then: Then, length: Option<u64>) -> Connected {
    rig(service_fn(move |_: &mut Request, _: &mut Context<'_>| half(then, length)))
}

#[track_caller]
fn assert_closes(rig: &Connected, kind: CloseKind) {
    assert!(rig.is_finished(), "it waits on {}", rig.waiting_on());
    assert_eq!(rig.next_write_operation(), WriteOperation::Close(kind));
}

#[test]
fn answer_that_breaks_off_is_not_complete_however_it_is_framed_and_cut() {
    for then in [Then::Fails, Then::Panics] {
        for (request, length) in
            [(HTTP_1_0, None), (HTTP_1_0, Some(8)), (HTTP_1_1, None), (HTTP_1_1, Some(8))]
        {
            let service = service_fn(move |_: &mut Request, _: &mut Context<'_>| half(then, length));
            let held = Conversation::with(service, request).without_more().hold();
            assert_eq!((held.text(), held.answers[0].whole), ("half", false), "{request:?}, {length:?}");
            assert_eq!(held.closed, Some(CloseReason::ApplicationFailed));
        }
    }
}

#[test]
fn reset_is_for_answers_that_end_with_the_connection_alone() {
    for (request, length, kind) in [
        (HTTP_1_0, None, CloseKind::Reset),
        (HTTP_1_0, Some(8), CloseKind::Immediate),
        (HTTP_1_1, None, CloseKind::Immediate),
        (HTTP_1_1, Some(8), CloseKind::Immediate),
    ] {
        let mut rig = serve(Then::Fails, length);
        rig.read(request);
        // What there is goes out first.
        assert!(rig.written().ends_with(if kind == CloseKind::Immediate && length.is_none() {
            b"half\r\n".as_slice()
        } else {
            b"half"
        }));
        assert_closes(&rig, kind);

        let mut rig = serve(Then::Waits, length);
        rig.read(request);
        rig.abort(AbortReason::Requested);
        assert_closes(&rig, kind);
    }
}

#[test]
fn whatever_ends_the_connection_within_such_an_answer_resets_it() {
    type End = fn(&mut Connected);
    let ends: [(&str, End, CloseReason); 5] = [
        (
            "abort",
            |rig| rig.abort(AbortReason::GraceExpired),
            CloseReason::Aborted(AbortReason::GraceExpired),
        ),
        (
            "stall",
            |rig| rig.advance(Duration::from_secs(3600)),
            CloseReason::TimedOut(DeadlineKind::WriteStall),
        ),
        ("peer's reset", |rig| rig.reset(), CloseReason::PeerReset),
        ("failed transport", |rig| rig.close_input(InputEnd::Error), CloseReason::TransportFailed),
        ("failed write", |rig| rig.report_write_result(WriteResult::Closed), CloseReason::PeerReset),
    ];
    for (name, end, reason) in ends {
        for then in [Then::Waits, Then::Ends, Then::Fails] {
            let mut rig = serve(then, None);
            rig.read(HTTP_1_0);
            rig.write_at_most(20);
            end(&mut rig);
            assert_closes(&rig, CloseKind::Reset);
            // A body that failed first is the reason, unless what was said of it cannot be sent.
            assert_eq!(rig.close_reason(), Some(reason), "{name}, {then:?}");
        }
    }
}

#[test]
fn body_whose_writer_gives_up_resets_the_connection() {
    let mut rig = rig(service_fn(|_: &mut Request, _: &mut Context<'_>| {
        let (mut sender, body): (Sender, Body) = Body::channel(100);
        sender.try_send(Bytes::from_static(b"half")).unwrap();
        Response::ok(body)
    }));
    rig.read(HTTP_1_0);
    assert!(rig.written().ends_with(b"half"));
    assert_closes(&rig, CloseKind::Reset);
}

#[test]
fn such_an_answer_that_is_all_out_ends_in_order_whatever_comes_then() {
    let mut rig = serve(Then::Ends, None);
    rig.read(HTTP_1_0);
    rig.written();
    rig.abort(AbortReason::Requested);
    assert_closes(&rig, CloseKind::Immediate);

    // Taken and not reported is not out.
    let mut rig = serve(Then::Ends, None);
    rig.read(HTTP_1_0);
    let taken: usize = rig.take_output(usize::MAX).iter().map(Bytes::len).sum();
    rig.report_write_result(WriteResult::Wrote(taken - 1));
    rig.abort(AbortReason::Requested);
    assert_closes(&rig, CloseKind::Reset);
}

#[test]
fn end_within_what_is_no_such_answer_is_no_reset() {
    // No answer yet; a head that ends with the head; an answer that is over, and the connection with it.
    for request in ["GET / HTTP/1.0", "HEAD / HTTP/1.0\r\n\r\n"] {
        let mut rig = serve(Then::Waits, None);
        rig.read(request);
        rig.abort(AbortReason::Requested);
        assert_closes(&rig, CloseKind::Immediate);
    }
}

#[test]
fn input_behind_such_an_answer_does_not_take_the_reset_back() {
    let mut rig = serve(Then::Fails, None);
    rig.read([HTTP_1_0, "and more"].concat());
    rig.written();
    assert_closes(&rig, CloseKind::Reset);

    let mut rig = serve(Then::Fails, None);
    rig.read(HTTP_1_0);
    rig.eof();
    rig.written();
    assert_closes(&rig, CloseKind::Reset);
}
