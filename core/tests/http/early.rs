//! Answers that do not wait for the request's body, and peers that stop half-way: what becomes of the connection depends
//! on what was declared, never on what has come.

use std::sync::{Mutex, mpsc};
use std::time::Duration;

use anabranch_core::app::{
    Body, BodyError, Context, Deferred, Failure, Http, Outcome, Request, RequestEnd, Response, Settings,
    service_fn,
};
use anabranch_core::http1::Refusal;
use anabranch_core::testing::Rig;
use anabranch_core::{
    AbortReason, CloseKind, CloseReason, DeadlineKind, Flow, InputEnd, Lane, WriteOperation,
};

use crate::kit::{
    Conversation, Parts, Recorder, answers, get, http, http_with, one_answer, post, post_chunked, site,
};

const UNREAD: [&str; 5] = ["/ignore", "/drop", "/defer", "/first", "/nowhere"];

#[test]
fn short_body_that_is_not_wanted_is_discarded_and_the_connection_lives() {
    for target in UNREAD {
        let held = Conversation::new(post(target, "not wanted here")).hold();
        assert_eq!(held.answers.len(), 1);
        held.assert_lives();
    }
}

#[test]
fn chunked_body_that_is_not_wanted_ends_the_connection() {
    for target in UNREAD {
        let held = Conversation::new(post_chunked(target, &["not wanted", "here"])).hold();
        assert_eq!(held.answers.len(), 1);
        held.assert_closed(CloseReason::Finished);
    }
}

#[test]
fn long_body_that_is_not_wanted_ends_the_connection() {
    for (limit, lives) in [(15, true), (14, false), (0, false)] {
        for target in UNREAD {
            let held = Conversation::new(post(target, "not wanted here"))
                .under(|settings| settings.limits.max_discard_bytes = limit)
                .hold();
            assert_eq!(held.answers.len(), 1);
            if lives {
                held.assert_lives();
            } else {
                held.assert_closed(CloseReason::Finished);
            }
        }
    }
}

#[test]
fn answer_goes_out_while_the_body_it_does_not_want_still_comes() {
    let mut rig = site();
    let request = post("/ignore", "0123456789");
    rig.read(&request[..request.len() - 4]);
    assert_eq!(one_answer(&rig.written()).status, 200);
    rig.assert_reading();
    rig.read(["6789", &get("/who")].concat());
    assert_eq!(one_answer(&rig.written()).text(), "GET /who");
}

#[test]
fn peer_that_sends_on_reads_the_answer_and_no_reset() {
    let mut rig = site();
    rig.feed("POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n", usize::MAX);
    rig.assert_reading();
    assert!(one_answer(&rig.written()).says_close());
    assert_eq!(rig.flow().next_write_operation(), WriteOperation::Close(CloseKind::Linger));
    rig.feed(vec![b'x'; 1_000_000], 10_000);
    assert_eq!(rig.unread(), 0);
    rig.assert_reading();
    rig.eof();
    rig.assert_finished(CloseReason::Finished);
}

#[test]
fn body_that_is_not_wanted_waits_in_the_socket_until_there_is_an_answer() {
    let mut rig = Rig::connect(&http_with(|settings| settings.limits.max_linger_bytes = 1000));
    rig.read("POST /drop HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    rig.feed(vec![b'x'; 900], 100);
    assert_eq!(rig.unread(), 900);
    rig.assert_yielding();
    rig.advance(Duration::from_millis(50));
    assert!(one_answer(&rig.written()).says_close());
    assert_eq!(rig.unread(), 0);
    rig.assert_reading();
    assert_eq!(rig.flow().next_write_operation(), WriteOperation::Close(CloseKind::Linger));
    rig.eof();
    rig.assert_finished(CloseReason::Finished);
}

#[test]
fn linger_is_bounded_in_bytes() {
    let http = http_with(|settings| settings.limits.max_linger_bytes = 1000);
    let mut rig = Rig::connect(&http);
    rig.read("POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    rig.written();
    rig.read([b'x'; 600]);
    rig.read([b'x'; 400]);
    rig.assert_reading();
    rig.read("x");
    rig.assert_finished(CloseReason::Finished);
}

#[test]
fn linger_is_bounded_in_time_from_the_last_byte_of_the_answer() {
    let mut rig = site();
    rig.read("POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    rig.advance(Duration::from_secs(5));
    assert_eq!(rig.deadline().unwrap().kind, DeadlineKind::WriteStall);
    rig.written();
    let deadline = rig.deadline().unwrap();
    assert_eq!((deadline.kind, deadline.at - rig.now()), (DeadlineKind::Linger, Duration::from_secs(2)));
    rig.read("still sending");
    rig.advance(Duration::from_millis(1999));
    rig.read("still sending");
    rig.advance(Duration::from_millis(1));
    rig.assert_finished(CloseReason::Finished);
}

#[test]
fn linger_ends_at_once_when_the_peer_closes_or_is_gone() {
    for end in [InputEnd::Eof, InputEnd::TlsTruncated, InputEnd::Reset, InputEnd::Error] {
        let mut rig = site();
        rig.read("BAD\r\n");
        rig.written();
        rig.close_input(end);
        rig.assert_finished(CloseReason::Refused(400));
    }
}

#[test]
fn peer_that_closed_its_half_needs_no_linger() {
    let held = Conversation::new("BAD\r\n").then_eof().hold();
    assert_eq!(held.statuses(), [400]);
    let mut rig = site();
    rig.read("BAD\r\n");
    rig.eof();
    rig.written();
    rig.assert_finished(CloseReason::Refused(400));
}

// ---- peers that close their half ----

#[test]
fn half_closed_peer_gets_the_whole_answer() {
    for target in ["/hello", "/chunked", "/after", "/defer", "/trailers"] {
        let held = Conversation::new(get(target)).then_eof().hold();
        assert!(held.answers[0].whole, "{held:?}");
        assert_eq!((held.answers[0].status, held.closed), (200, Some(CloseReason::PeerClosed)), "{target}");
    }
    for target in ["/echo", "/collect", "/count", "/ignore", "/first"] {
        let held = Conversation::new(post(target, "abc")).then_eof().hold();
        assert_eq!((held.answers[0].status, held.closed), (200, Some(CloseReason::PeerClosed)), "{target}");
    }
    let held = Conversation::new(get("/who").repeat(3)).then_eof().hold();
    assert_eq!(held.statuses(), [200, 200, 200]);
}

#[test]
fn half_closed_peer_gets_an_answer_that_was_still_being_made() {
    for target in ["/after", "/defer"] {
        let mut rig = site();
        rig.read(get(target));
        rig.eof();
        rig.run_jobs();
        rig.advance(Duration::from_millis(50));
        assert_eq!(one_answer(&rig.written()).status, 200);
        rig.assert_finished(CloseReason::PeerClosed);
    }
}

#[test]
fn half_closed_peer_gets_the_rest_of_an_answer_it_takes_slowly() {
    let http = http_with(|settings| settings.limits.max_output_bytes = 10);
    let mut rig = Rig::connect(&http);
    rig.read(get("/chunked").repeat(3));
    rig.eof();
    let mut output = Vec::new();
    while rig.flow().next_write_operation() == WriteOperation::Write {
        output.extend(rig.write_at_most(3));
    }
    let all = answers(&output, &[]);
    assert_eq!(all.len(), 3);
    assert!(all.iter().all(|answer| answer.whole && answer.text() == "part 0\npart 1\npart 2\n"));
    rig.assert_finished(CloseReason::PeerClosed);
}

#[test]
fn end_within_a_head_is_a_bad_request() {
    let request = get("/hello");
    for cut in 1..request.len() {
        let held = Conversation::new(&request[..cut]).then_eof().hold();
        assert_eq!((held.statuses(), held.closed), (vec![400], Some(CloseReason::Truncated)), "{cut}");
    }
}

#[test]
fn end_within_a_body_is_a_bad_request() {
    for request in [post("/collect", "abcdef"), post_chunked("/collect", &["abc", "def"])] {
        let head = request.find("\r\n\r\n").unwrap() + 4;
        for cut in head..request.len() {
            let held = Conversation::new(&request[..cut]).then_eof().hold();
            assert_eq!((held.statuses(), held.closed), (vec![400], Some(CloseReason::Truncated)), "{cut}");
            assert_eq!(held.requests[0].failure, Some(Failure::Refused(Refusal::TruncatedBody)));
        }
    }
}

#[test]
fn end_within_a_body_cuts_an_answer_that_passes_it_on() {
    for request in [post("/echo", "abcdef"), post_chunked("/echo", &["abc", "def"])] {
        let held = Conversation::new(&request[..request.len() - 1]).then_eof().hold();
        assert_eq!((held.statuses(), held.closed), (vec![200], Some(CloseReason::Truncated)));
        assert!(!held.answers[0].whole);
        assert!(held.text().starts_with("abcde"), "what came is passed on: {held:?}");
        assert_eq!(held.requests[0].end, RequestEnd::Cut);
    }
}

#[test]
fn end_within_a_body_that_nobody_wants_harms_no_answer() {
    let cut_short = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabcde";
    let stream = || {
        service_fn(|_: &mut Request, _: &mut Context<'_>| {
            Response::ok(Body::source(Parts::new(&["a", "b", "c"])))
        })
    };
    let held = Conversation::with(stream(), cut_short).then_eof().hold();
    assert_eq!((held.statuses(), held.text()), (vec![200], "abc"));

    // The answer is still going out when the end comes.
    let mut settings = Settings::default();
    settings.limits.max_output_bytes = 10;
    let http = Http::new(stream()).with_settings(settings);
    let mut rig = Rig::connect(&http);
    rig.read(cut_short);
    rig.eof();
    let answer = one_answer(&rig.written());
    assert_eq!((answer.text(), answer.whole), ("abc", true));
    assert!(rig.is_finished());

    // The answer has not begun when the end comes.
    for target in ["/ignore", "/drop", "/defer", "/first"] {
        let request = post(target, "abcdef");
        let held = Conversation::new(&request[..request.len() - 1]).then_eof().hold();
        assert_eq!((held.statuses(), held.closed), (vec![200], Some(CloseReason::Truncated)), "{target}");
    }
}

// ---- peers that are gone ----

#[test]
fn reset_ends_everything_at_once() {
    for input in ["", "GET", &get("/after"), &post("/echo", "abc"), "BAD\r\n"] {
        let mut rig = site();
        if !input.is_empty() {
            rig.read(input);
        }
        rig.reset();
        assert!(rig.is_finished(), "{input}");
    }
}

#[test]
fn reset_while_a_job_runs_cancels_it() {
    let recorder = Recorder::default();
    let service = service_fn(|_: &mut Request, _: &mut Context<'_>| {
        Outcome::defer_with(Lane::DEFAULT, |_| panic!("nobody waits: it must not begin"))
    });
    let http = Http::new(service).with_observer(recorder.observer());
    let mut rig = Rig::connect(&http);
    rig.read(get("/"));
    assert_eq!(rig.jobs().len(), 1);
    rig.reset();
    rig.assert_finished(CloseReason::PeerReset);
    let seen = recorder.seen();
    assert_eq!((seen.len(), seen[0].end, seen[0].status), (1, RequestEnd::Cut, None));
}

/// A rig whose service defers everything, and what its jobs are given.
fn deferring() -> (Rig<Box<dyn Flow>>, mpsc::Receiver<Deferred>) {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let service = service_fn(move |_: &mut Request, _: &mut Context<'_>| {
        let tell = tell.lock().unwrap().clone();
        Outcome::defer_with(Lane::DEFAULT, move |deferred| tell.send(deferred).unwrap())
    });
    (crate::kit::rig(service), told)
}

#[test]
fn running_job_sees_that_nobody_waits() {
    for gone in [InputEnd::Reset, InputEnd::Error] {
        let (mut rig, told) = deferring();
        rig.read(get("/"));
        rig.run_jobs();
        let deferred = told.recv().unwrap();
        assert!(!deferred.reply.is_cancelled());
        rig.close_input(gone);
        assert!(deferred.reply.is_cancelled());
        deferred.reply.send("too late");
        assert!(rig.is_finished());
    }
}

#[test]
fn body_of_a_peer_that_is_gone_is_cancelled_for_its_reader() {
    let (mut rig, told) = deferring();
    rig.read("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n");
    rig.run_jobs();
    let mut deferred = told.recv().unwrap();
    rig.reset();
    assert_eq!(deferred.body.next_blocking(), Some(Err(BodyError::Cancelled)));
}

#[test]
fn abort_ends_everything_at_once_in_every_stage() {
    let http = http();
    let request = post_chunked("/echo", &["abc", "def"]);
    for input in
        [&request, &get("/after"), &get("/defer"), &get("/chunked"), &post("/collect", "abc"), "BAD\r\n\r\n"]
    {
        for cut in 0..=input.len() {
            let mut rig = Rig::connect(&http);
            if cut > 0 {
                rig.read(&input[..cut]);
            }
            rig.abort(AbortReason::GraceExpired);
            assert_eq!(rig.written(), b"");
            rig.handle_timeout();
            rig.run_jobs();
            assert!(rig.is_finished());
        }
    }
}
