//! Each deadline ends what it bounds exactly when it is due; time that the application takes counts against none.

use std::time::Duration;

use anabranch_core::app::{
    Context, Deadlines, Failure, Http, Outcome, Request, Response, Settings, service_fn,
};
use anabranch_core::http1::Refusal;
use anabranch_core::testing::Rig;
use anabranch_core::{CloseReason, DeadlineKind, Flow, Lane};

use crate::kit::{Recorder, get, http_with, one_answer, post, post_chunked};

const MILLI: Duration = Duration::from_millis(1);

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A rig around a connection of the site, all of whose deadlines are off but for those that `change` sets.
fn with(change: impl FnOnce(&mut Deadlines)) -> Rig<Box<dyn Flow>> {
    Rig::connect(&http_with(|settings| {
        let deadlines = &mut settings.deadlines;
        for deadline in [
            &mut deadlines.first_byte,
            &mut deadlines.head,
            &mut deadlines.body,
            &mut deadlines.idle,
            &mut deadlines.write_stall,
            &mut deadlines.linger,
            &mut deadlines.handler,
        ] {
            *deadline = None;
        }
        deadlines.min_body_rate = None;
        change(deadlines);
    }))
}

/// Fails unless the only deadline is `kind`, `after` from now; then lets time pass until just before it, and to it.
#[track_caller]
fn assert_due(rig: &mut Rig<Box<dyn Flow>>, kind: DeadlineKind, after: Duration) {
    let deadline = rig.deadline().expect("there is a deadline");
    assert_eq!((deadline.kind, deadline.at - rig.now()), (kind, after));
    rig.advance(after - Duration::from_nanos(1));
    rig.handle_timeout();
    assert!(!rig.is_finished());
    assert_eq!(rig.deadline(), Some(deadline), "nothing fires before it is due");
    rig.advance(Duration::from_nanos(1));
}

#[test]
fn connection_that_sends_nothing_is_closed_without_a_word() {
    let mut rig = with(|deadlines| deadlines.first_byte = Some(seconds(30)));
    assert_due(&mut rig, DeadlineKind::FirstByte, seconds(30));
    assert_eq!(rig.written(), b"");
    rig.assert_finished(CloseReason::TimedOut(DeadlineKind::FirstByte));
}

#[test]
fn first_byte_ends_the_wait_for_it() {
    let mut rig = with(|deadlines| deadlines.first_byte = Some(seconds(30)));
    rig.advance(seconds(29));
    rig.read("G");
    assert_eq!(rig.deadline(), None);
}

#[test]
fn empty_line_without_a_request_behind_it_is_answered_by_nothing() {
    let mut rig = with(|deadlines| deadlines.head = Some(seconds(10)));
    rig.read(get("/hello"));
    let _ = rig.written();
    // Some clients send a line end too many behind a body; a 408 would be taken for their next request's answer.
    rig.read("\r\n");
    assert_due(&mut rig, DeadlineKind::Head, seconds(10));
    assert_eq!(rig.written(), b"");
    rig.assert_finished(CloseReason::TimedOut(DeadlineKind::Head));
}

#[test]
fn head_is_due_from_its_first_byte_however_it_trickles() {
    let mut rig = with(|deadlines| deadlines.head = Some(seconds(10)));
    assert_eq!(rig.deadline(), None);
    rig.advance(seconds(100));
    let request = get("/hello");
    rig.read(&request[..1]);
    for byte in request[1..10].bytes() {
        rig.advance(seconds(1));
        rig.read([byte]);
    }
    assert_due(&mut rig, DeadlineKind::Head, seconds(1));
    let answer = one_answer(&rig.written());
    assert_eq!(answer.status, 408);
    assert!(answer.says_close() && answer.text().contains("deadlines.head"), "{answer:?}");
    rig.eof();
    rig.assert_finished(CloseReason::TimedOut(DeadlineKind::Head));
}

#[test]
fn empty_line_before_a_head_begins_it() {
    let mut rig = with(|deadlines| deadlines.head = Some(seconds(10)));
    rig.read("\r\n");
    rig.advance(seconds(3));
    rig.read("G");
    assert_due(&mut rig, DeadlineKind::Head, seconds(7));
    assert_eq!(one_answer(&rig.written()).status, 408);
}

#[test]
fn head_that_came_while_another_request_was_answered_is_due_from_then() {
    let mut rig = with(|deadlines| deadlines.head = Some(seconds(10)));
    rig.read([&get("/defer"), "GET /hel"].concat());
    rig.advance(seconds(100));
    assert_eq!(rig.deadline(), None);
    rig.run_jobs();
    assert_due(&mut rig, DeadlineKind::Head, seconds(10));
}

#[test]
fn each_head_has_a_time_of_its_own() {
    let mut rig = with(|deadlines| deadlines.head = Some(seconds(10)));
    for _ in 0..3 {
        let request = get("/hello");
        rig.read(&request[..5]);
        rig.advance(seconds(9));
        rig.read(&request[5..]);
        rig.written();
        assert_eq!(rig.deadline(), None);
    }
}

#[test]
fn body_is_due_while_it_makes_no_progress() {
    for request in [post("/collect", "0123456789"), post_chunked("/collect", &["0123456789"])] {
        let mut rig = with(|deadlines| deadlines.body = Some(seconds(10)));
        let head = request.find("\r\n\r\n").unwrap() + 4;
        rig.read(&request[..head]);
        rig.advance(seconds(9));
        rig.read(&request[head..head + 6]);
        assert_due(&mut rig, DeadlineKind::Body, seconds(10));
        let answer = one_answer(&rig.written());
        assert_eq!(answer.status, 408);
        assert!(answer.says_close() && answer.text().contains("deadlines.body"), "{answer:?}");
        rig.eof();
        rig.assert_finished(CloseReason::TimedOut(DeadlineKind::Body));
    }
}

#[test]
fn chunk_framing_without_data_is_no_progress() {
    let mut rig = with(|deadlines| deadlines.body = Some(seconds(10)));
    rig.read("POST /collect HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for byte in "1;some-long-extension".bytes().take(9) {
        rig.advance(seconds(1));
        rig.read([byte]);
    }
    assert_due(&mut rig, DeadlineKind::Body, seconds(1));
    assert_eq!(one_answer(&rig.written()).status, 408);
}

#[test]
fn trailers_that_trickle_are_no_progress() {
    let mut rig = with(|deadlines| deadlines.body = Some(seconds(10)));
    rig.read("POST /collect HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n");
    for byte in b"X-Trailer" {
        rig.advance(seconds(1));
        rig.read([*byte]);
    }
    assert_due(&mut rig, DeadlineKind::Body, seconds(1));
}

#[test]
fn body_that_trickles_below_the_least_rate_is_refused() {
    let mut rig = with(|deadlines| {
        deadlines.body = Some(seconds(10));
        deadlines.min_body_rate = Some(100);
    });
    rig.read("POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n");
    // Ten bytes a second at a hundred: the ten seconds of grace, and a tenth of a second for each second's bytes.
    for _ in 0..10 {
        rig.advance(seconds(1));
        rig.read([b'x'; 10]);
    }
    assert_due(&mut rig, DeadlineKind::Body, seconds(1));
    assert_eq!(one_answer(&rig.written()).status, 408);
}

#[test]
fn least_rate_holds_where_no_progress_is_asked_for() {
    let mut rig = with(|deadlines| deadlines.min_body_rate = Some(100));
    rig.read("POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n");
    rig.advance(seconds(9));
    rig.read([b'x'; 200]);
    assert_due(&mut rig, DeadlineKind::Body, seconds(3));
    assert_eq!(one_answer(&rig.written()).status, 408);
}

#[test]
fn body_at_the_least_rate_is_taken_to_its_end() {
    let mut rig = with(|deadlines| {
        deadlines.body = Some(seconds(2));
        deadlines.min_body_rate = Some(100);
    });
    rig.read("POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n");
    for _ in 0..100 {
        rig.advance(seconds(1));
        rig.read([b'x'; 100]);
    }
    assert_eq!(one_answer(&rig.written()).text(), "10000");
    assert_eq!(rig.deadline(), None);
}

#[test]
fn pause_that_the_application_makes_counts_against_no_rate() {
    let mut settings = Settings::default();
    settings.limits.max_window_bytes = 100;
    settings.deadlines.body = Some(seconds(10));
    settings.deadlines.min_body_rate = Some(100);
    let service = service_fn(|_: &mut Request, _: &mut Context<'_>| {
        Outcome::stream(|_, mut incoming, context| {
            let clock = context.clock();
            Outcome::future(async move {
                let _ = incoming.next().await;
                clock.sleep(seconds(1000)).await;
                Response::ok(incoming)
            })
        })
    });
    let mut rig = Rig::connect(&Http::new(service).with_settings(settings));
    rig.read("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n");
    rig.advance(seconds(5));
    rig.read([b'x'; 200]);
    rig.read([b'x'; 200]);
    assert_eq!(
        rig.deadline().unwrap().kind,
        DeadlineKind::Application,
        "nothing is read, and nothing is late"
    );
    rig.advance(seconds(1000));
    let _ = rig.written();
    // Ten seconds of grace and four that were earned, of which five had passed.
    assert_due(&mut rig, DeadlineKind::Body, seconds(9));
}

#[test]
fn echo_of_a_body_that_is_too_slow_is_cut_off() {
    let mut rig = with(|deadlines| deadlines.body = Some(seconds(10)));
    rig.read("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234");
    let output = rig.written();
    assert_due(&mut rig, DeadlineKind::Body, seconds(10));
    let answer = one_answer(&[output, rig.written()].concat());
    assert_eq!((answer.text(), answer.whole), ("01234", false));
    rig.assert_finished(CloseReason::TimedOut(DeadlineKind::Body));
}

#[test]
fn dropped_body_that_does_not_come_ends_the_connection_after_the_answer() {
    let mut rig = with(|deadlines| deadlines.body = Some(seconds(10)));
    rig.read("POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234");
    assert_eq!(one_answer(&rig.written()).status, 200);
    assert_due(&mut rig, DeadlineKind::Body, seconds(10));
    assert_eq!(rig.written(), b"");
    rig.eof();
    rig.assert_finished(CloseReason::TimedOut(DeadlineKind::Body));
}

#[test]
fn idle_connection_is_closed_without_a_word() {
    let mut rig = with(|deadlines| deadlines.idle = Some(seconds(60)));
    assert_eq!(rig.deadline(), None);
    rig.read(get("/hello"));
    rig.advance(seconds(100));
    rig.written();
    assert_due(&mut rig, DeadlineKind::Idle, seconds(60));
    assert_eq!(rig.written(), b"");
    rig.assert_finished(CloseReason::TimedOut(DeadlineKind::Idle));
}

#[test]
fn idle_time_begins_anew_with_each_answer() {
    let mut rig = with(|deadlines| deadlines.idle = Some(seconds(60)));
    for _ in 0..3 {
        rig.read(get("/hello"));
        rig.written();
        rig.advance(seconds(59));
    }
    rig.read("G");
    assert_eq!(rig.deadline(), None);
}

#[test]
fn idle_time_begins_after_a_body_that_was_dropped() {
    let mut rig = with(|deadlines| deadlines.idle = Some(seconds(60)));
    rig.read("POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234");
    rig.written();
    rig.advance(seconds(100));
    rig.read("56789");
    assert_due(&mut rig, DeadlineKind::Idle, seconds(60));
    rig.assert_finished(CloseReason::TimedOut(DeadlineKind::Idle));
}

#[test]
fn output_is_due_while_the_peer_takes_nothing() {
    let mut rig = with(|deadlines| deadlines.write_stall = Some(seconds(10)));
    rig.read(get("/chunked"));
    for _ in 0..5 {
        rig.advance(seconds(9));
        assert_eq!(rig.write_at_most(1).len(), 1);
    }
    rig.advance(seconds(9));
    // More output is no progress of the peer's.
    rig.read(get("/hello"));
    assert_due(&mut rig, DeadlineKind::WriteStall, seconds(1));
    assert_eq!(rig.written(), b"");
    rig.assert_finished(CloseReason::TimedOut(DeadlineKind::WriteStall));
}

#[test]
fn output_taken_by_the_driver_and_not_reported_is_due_too() {
    let mut rig = with(|deadlines| deadlines.write_stall = Some(seconds(10)));
    rig.read(get("/hello"));
    rig.take_output(usize::MAX);
    assert_due(&mut rig, DeadlineKind::WriteStall, seconds(10));
    rig.assert_finished(CloseReason::TimedOut(DeadlineKind::WriteStall));
}

#[test]
fn time_that_the_application_takes_counts_against_nothing() {
    let mut rig = with(|deadlines| *deadlines = Deadlines::default());
    rig.read(get("/defer"));
    assert_eq!(rig.deadline(), None);
    rig.advance(seconds(10_000));
    rig.run_jobs();
    assert_eq!(one_answer(&rig.written()).status, 200);

    rig.read("POST /defer HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234");
    assert_eq!(rig.deadline(), None, "a body that nobody has asked for is not late");
    rig.advance(seconds(10_000));
    rig.run_jobs();
    assert_eq!(one_answer(&rig.written()).status, 200);
}

// ---- the handler's ----

#[test]
fn handler_is_given_no_deadline_unless_asked_for() {
    assert_eq!(Deadlines::default().handler, None);
}

#[test]
fn handler_that_does_not_answer_in_time_is_answered_for() {
    let recorder = Recorder::default();
    let mut settings = Settings::default();
    settings.deadlines.handler = Some(seconds(5));
    let service =
        service_fn(|_: &mut Request, _: &mut Context<'_>| Outcome::defer(Lane::DEFAULT, |_| "late"));
    let mut rig =
        Rig::connect(&Http::new(service).with_settings(settings).with_observer(recorder.observer()));
    rig.read(get("/"));
    assert_due(&mut rig, DeadlineKind::Handler, seconds(5));
    let answer = one_answer(&rig.written());
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
    assert!(answer.says_close() && answer.text().contains("deadlines.handler"), "{answer:?}");
    rig.run_jobs();
    assert_eq!(rig.written(), b"");
    rig.eof();
    rig.assert_finished(CloseReason::TimedOut(DeadlineKind::Handler));
    assert_eq!(recorder.seen()[0].failure, Some(Failure::Refused(Refusal::HandlerTimeout)));
}

#[test]
fn handlers_time_begins_when_the_request_is_complete() {
    let mut rig = with(|deadlines| deadlines.handler = Some(seconds(5)));
    rig.read("POST /collect HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n");
    assert_eq!(rig.deadline(), None, "the peer is not done");
    rig.advance(seconds(100));
    rig.read("0123456789");
    assert_eq!(one_answer(&rig.written()).status, 200);
}

#[test]
fn handlers_time_passes_while_it_does_not_ask_for_the_body() {
    let mut rig = with(|deadlines| deadlines.handler = Some(seconds(5)));
    rig.read("POST /defer HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n");
    assert_due(&mut rig, DeadlineKind::Handler, seconds(5));
    assert_eq!(one_answer(&rig.written()).status, 503);
}

#[test]
fn handlers_time_passes_behind_a_body_that_came_later() {
    let mut settings = Settings::default();
    settings.deadlines.handler = Some(seconds(5));
    let service = service_fn(|_: &mut Request, _: &mut Context<'_>| {
        Outcome::collect(20, |_, _, _| Outcome::defer(Lane::DEFAULT, |_| "late"))
    });
    let mut rig = Rig::connect(&Http::new(service).with_settings(settings));
    rig.read("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234");
    rig.advance(seconds(9));
    rig.read("56789");
    assert_due(&mut rig, DeadlineKind::Handler, seconds(5));
    assert_eq!(one_answer(&rig.written()).status, 503);
}

#[test]
fn handlers_time_ends_with_the_beginning_of_its_answer() {
    let mut rig = with(|deadlines| deadlines.handler = Some(seconds(5)));
    rig.read("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n");
    rig.written();
    rig.advance(seconds(100));
    assert_eq!(rig.deadline(), None);
    rig.read(["0123456789", &get("/after")].concat());
    rig.written();
    rig.advance(Duration::from_millis(50) - MILLI);
    assert_eq!(rig.deadline().unwrap().kind, DeadlineKind::Application);
    rig.advance(MILLI);
    assert_eq!(one_answer(&rig.written()).text(), "later");
}

#[test]
fn handlers_time_includes_its_own_sleep() {
    let mut rig = with(|deadlines| deadlines.handler = Some(Duration::from_millis(20)));
    rig.read(get("/after"));
    assert_due(&mut rig, DeadlineKind::Handler, Duration::from_millis(20));
    assert_eq!(one_answer(&rig.written()).status, 503);
    assert!(rig.deadline().is_none_or(|deadline| deadline.kind != DeadlineKind::Application));
}

#[test]
fn every_deadline_may_be_off() {
    let mut rig = with(|_| {});
    for piece in ["POST /echo HTTP/1.1\r\n", "Host: a\r\nContent-Length: 3\r\n\r\n", "abc", "BAD\r\n"] {
        rig.advance(seconds(1_000_000));
        assert_eq!(rig.deadline(), None);
        rig.read(piece);
    }
    rig.written();
    assert_eq!(rig.deadline(), None);
    rig.eof();
    rig.assert_finished(CloseReason::Refused(400));
}
