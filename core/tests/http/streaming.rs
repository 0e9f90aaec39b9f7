//! Bodies while they come and go: both directions at once, each no faster than the other end takes it.

use std::io::Write;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{self, Poll};
use std::time::Duration;

use anabranch_core::app::{
    Body, BodyError, BodySource, Context, Deferred, Frame, Http, Incoming, Outcome, Request, RequestEnd,
    Response, Sender, Settings, TrySendError, service_fn,
};
use anabranch_core::testing::Rig;
use anabranch_core::{CloseReason, DeadlineKind, Fields, Flow, Lane, Waiting, WriteOperation};
use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};

use crate::kit::{Conversation, Recorder, answers, get, http_with, one_answer, post, post_chunked, site};

const CHUNKED: &str = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

// ---- requests ----

#[test]
fn body_is_passed_on_as_it_came() {
    let held = Conversation::new(post("/echo", "hello")).hold();
    assert_eq!((held.text(), held.answers[0].field("content-length")), ("hello", Some("5")));
    held.assert_lives();
    let held = Conversation::new(post_chunked("/echo", &["hel", "lo", " there"])).hold();
    assert_eq!((held.text(), held.answers[0].field("transfer-encoding")), ("hello there", Some("chunked")));
    held.assert_lives();
    for empty in [post("/echo", ""), post_chunked("/echo", &[]), get("/echo")] {
        let held = Conversation::new(empty).hold();
        assert_eq!(held.text(), "");
        held.assert_lives();
    }
}

#[test]
fn body_is_collected_whole_and_once() {
    for request in [post("/collect", "hello"), post_chunked("/collect", &["he", "llo"])] {
        let held = Conversation::new(request).hold();
        assert_eq!(held.text(), "hello");
        held.assert_lives();
    }
    let service = service_fn(|_: &mut Request, _: &mut Context<'_>| {
        Outcome::collect(10, |_, first, _| {
            Outcome::collect(10, move |_, second, _| {
                Outcome::stream(move |_, incoming, _| {
                    assert!(second.is_empty());
                    assert_eq!(incoming.length(), Some(0));
                    Response::ok(first)
                })
            })
        })
    });
    let held = Conversation::with(service, post("/", "hello")).without_more().hold();
    assert_eq!(held.text(), "hello");
}

#[test]
fn collected_body_is_at_most_what_the_handler_takes() {
    let twenty = "x".repeat(20);
    for request in [post("/collect", &twenty), post_chunked("/collect", &[&twenty])] {
        assert_eq!(Conversation::new(request).hold().statuses(), [200]);
    }
    let more = "x".repeat(21);
    let held = Conversation::new(post("/collect", &more)).hold();
    assert_eq!(held.statuses(), [413]);
    assert!(held.text().contains("over the 20 bytes that are taken here"), "{}", held.text());
    held.assert_closed(CloseReason::Finished);
    let held = Conversation::new(post_chunked("/collect", &["xxxxxxxxxx", "xxxxxxxxxx", "x"])).hold();
    assert_eq!(held.statuses(), [413]);
    held.assert_closed(CloseReason::Finished);
}

#[test]
fn trailers_reach_who_reads_the_stream() {
    let request =
        format!("{}3\r\nabc\r\n0\r\nX-Sum: 9\r\nx-b:  c \r\n\r\n", CHUNKED.replace("/echo", "/count"));
    let held = Conversation::new(request).hold();
    assert_eq!(held.text(), r#"3 [("x-sum", "9"), ("x-b", "c")]"#);
    held.assert_lives();
}

#[test]
fn trailers_of_an_echo_go_back() {
    let held = Conversation::new(format!("{CHUNKED}3\r\nabc\r\n0\r\nX-Sum: 9\r\n\r\n")).hold();
    assert_eq!(held.answers[0].trailers, [("x-sum".to_owned(), "9".to_owned())]);
    held.assert_lives();
}

#[test]
fn malformed_end_of_a_body_is_never_answered_with_success() {
    for end in ["ZZ\r\n", "0\r\nbad line\r\n\r\n", "0\r\nContent-Length: 1\r\n\r\n", "3\r\nabcd\r\n"] {
        for target in ["/collect", "/count"] {
            let head = CHUNKED.replace("/echo", target);
            let held = Conversation::new(format!("{head}3\r\nabc\r\n{end}")).hold();
            assert_eq!(held.statuses(), [400], "{target} {end}");
            held.assert_closed(CloseReason::Refused(400));
        }
        let held = Conversation::new(format!("{CHUNKED}3\r\nabc\r\n{end}")).hold();
        assert_eq!((held.statuses(), held.answers[0].whole), (vec![200], false), "{end}");
        assert!(held.text().starts_with("abc"), "what came is passed on: {held:?}");
        assert_eq!(held.closed, Some(CloseReason::Refused(400)));
    }
}

#[test]
fn what_came_before_a_body_broke_goes_out_though_the_peer_is_slow_to_read() {
    for output in [1, 10, 60, 200] {
        let held = Conversation::new(format!("{CHUNKED}3\r\nabc\r\n3\r\ndef\r\nZZ\r\n"))
            .under(|settings| {
                settings.limits.max_output_bytes = output;
                settings.limits.max_window_bytes = 2;
            })
            .hold();
        assert_eq!((held.text(), held.answers[0].whole), ("abcdef", false));
        assert_eq!(held.closed, Some(CloseReason::Refused(400)));
    }
}

#[test]
fn answer_given_before_a_body_breaks_stands() {
    let head = CHUNKED.replace("/echo", "/first");
    let held = Conversation::new(format!("{head}3\r\nabc\r\nZZ\r\n")).hold();
    assert_eq!((held.statuses(), held.text()), (vec![200], "something"));
}

// ---- both directions ----

#[test]
fn echo_goes_back_while_the_body_still_comes() {
    let mut rig = site();
    rig.read(CHUNKED);
    assert!(rig.written().ends_with(b"\r\n\r\n"));
    for _ in 0..100 {
        rig.read("3\r\nabc\r\n");
        assert_eq!(rig.written(), b"3\r\nabc\r\n");
    }
    rig.read("0\r\n\r\n");
    assert_eq!(rig.written(), b"0\r\n\r\n");
    rig.assert_reading();
}

#[test]
fn peer_that_does_not_read_is_not_read_from() {
    let http = http_with(|settings| {
        settings.limits.max_output_bytes = 1000;
        settings.limits.max_window_bytes = 1000;
    });
    let mut rig = Rig::connect(&http);
    let body = vec![b'x'; 100_000];
    rig.feed(format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()), 100);
    rig.feed(&body, 100);
    rig.assert_yielding();
    let took = 100_000 - rig.unread();
    // The output, the window, and what overshoots them: a read, and the block that small pieces are joined in.
    assert!((2000..3200).contains(&took), "{took} bytes are held");
    let mut output = Vec::new();
    while rig.flow().next_write_operation() == WriteOperation::Write {
        output.extend(rig.write_at_most(333));
        // The limits, overshot by a read.
        assert!(100_000 - rig.unread() <= output.len() + 2100);
    }
    assert_eq!(one_answer(&output).body, body);
    rig.assert_reading();
}

#[test]
fn reader_that_does_not_read_stops_the_peer_at_the_window() {
    let (rig, told) = deferring(1000);
    let mut rig = rig;
    rig.feed("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n", 100);
    rig.feed(vec![b'x'; 10_000], 100);
    rig.run_jobs();
    let mut deferred = told.recv().unwrap();
    // Not asked for: not read.
    assert_eq!(rig.unread(), 10_000);
    rig.assert_yielding();
    let mut taken = 0;
    let frame = |body: &mut Incoming| match poll_once(body) {
        Some(Ok(Frame::Data(data))) => data.len(),
        _ => 0,
    };
    assert_eq!(frame(&mut deferred.body), 0);
    rig.run();
    for _ in 0..200 {
        let held = 10_000 - rig.unread() - taken;
        assert!(held <= 1100, "{held} bytes are held");
        taken += frame(&mut deferred.body);
        rig.run();
    }
    assert_eq!(taken, 10_000);
    deferred.reply.send("done");
    rig.run();
    assert_eq!(one_answer(&rig.written()).text(), "done");
    rig.assert_reading();
}

#[test]
fn body_nobody_reads_yet_does_not_pile_up_while_the_answer_goes_out() {
    let (mut rig, told) = deferring(1000);
    rig.feed("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n", 100);
    rig.run_jobs();
    let Deferred { body, reply, .. } = told.recv().unwrap();
    let (mut sender, answer) = Body::channel(100);
    reply.send(Response::ok(answer));
    rig.run();
    rig.feed(vec![b'x'; 100_000], 100);
    let held = 100_000 - rig.unread();
    assert!(held <= 1200, "{held} bytes are held for a reader that has not read");
    rig.assert_yielding();
    sender.try_send(Bytes::from_static(b"x")).unwrap();
    sender.finish();
    drop(body);
    rig.run();
    assert!(one_answer(&rig.written()).whole);
}

#[test]
fn source_is_not_asked_for_more_than_there_is_room_for() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let mut settings = Settings::default();
    settings.limits.max_output_bytes = 1000;
    let service = {
        let asked = Arc::clone(&asked);
        service_fn(move |_: &mut Request, _: &mut Context<'_>| {
            Response::ok(Body::source(Endless(Arc::clone(&asked))))
        })
    };
    let mut rig = Rig::connect(&Http::new(service).with_settings(settings));
    rig.read(get("/"));
    let first = asked.lock().unwrap().len();
    assert!((9..=11).contains(&first), "asked {first} times for 100 bytes");
    rig.run();
    rig.handle_timeout();
    assert_eq!(asked.lock().unwrap().len(), first, "asked though there is no room");
    rig.write_at_most(1);
    rig.write_at_most(250);
    let more = asked.lock().unwrap().clone();
    assert!((2..=4).contains(&(more.len() - first)), "{more:?}");
    assert!(more.iter().all(|room| (1..=1000).contains(room)), "{more:?}");
}

/// 100 bytes whenever it is asked; remembers for how much room.
struct Endless(Arc<Mutex<Vec<usize>>>);

impl BodySource for Endless {
    fn poll_frame(
        &mut self,
        _: &mut task::Context<'_>,
        room: usize,
    ) -> Poll<Option<Result<Frame, BodyError>>> {
        self.0.lock().unwrap().push(room);
        Poll::Ready(Some(Ok(Frame::Data(Bytes::from_static(&[b'x'; 100])))))
    }
}

#[test]
fn end_of_the_answer_before_the_end_of_the_request_is_by_declaration() {
    let half = || {
        service_fn(|_: &mut Request, _: &mut Context<'_>| {
            Outcome::stream(|_, incoming, _| Response::ok(Body::source(Half(incoming))))
        })
    };
    let held = Conversation::with(half(), post("/", "abcdef")).without_more().hold();
    held.assert_lives();
    let held = Conversation::with(half(), post_chunked("/", &["a", "bcdef"])).without_more().hold();
    assert_eq!(held.closed, Some(CloseReason::Finished));
    assert!(held.answers[0].whole);
}

/// Ends after the first data.
struct Half(Incoming);

impl BodySource for Half {
    fn poll_frame(
        &mut self,
        context: &mut task::Context<'_>,
        _: usize,
    ) -> Poll<Option<Result<Frame, BodyError>>> {
        self.0.poll_frame(context).map(|_| None)
    }
}

// ---- time ----

#[test]
fn pause_for_the_application_or_for_a_slow_peer_counts_against_no_deadline() {
    let http = http_with(|settings| {
        settings.limits.max_output_bytes = 100;
        settings.limits.max_window_bytes = 100;
        settings.deadlines.write_stall = None;
    });
    let mut rig = Rig::connect(&http);
    rig.feed("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n", 50);
    rig.feed(vec![b'x'; 1000], 50);
    rig.assert_yielding();
    assert_eq!(rig.deadline(), None);
    let mut output = rig.write_at_most(usize::MAX);
    // An hour a read is slow; the pause was ours.
    while rig.unread() > 0 {
        rig.advance(Duration::from_secs(3600));
        output.extend(rig.write_at_most(usize::MAX));
    }
    output.extend(rig.written());
    assert_eq!(one_answer(&output).body.len(), 1000);
    rig.assert_reading();
}

#[test]
fn pause_is_no_slowness_of_the_peer() {
    let http = http_with(|settings| {
        settings.limits.max_output_bytes = 100;
        settings.limits.max_window_bytes = 100;
        settings.deadlines.write_stall = None;
    });
    let mut rig = Rig::connect(&http);
    rig.feed("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n", 50);
    rig.feed(vec![b'x'; 500], 50);
    rig.advance(Duration::from_secs(3600));
    let mut output = rig.written();
    rig.assert_reading();
    let deadline = rig.deadline().expect("the rest of the body is due");
    assert_eq!((deadline.kind, deadline.at - rig.now()), (DeadlineKind::Body, Duration::from_secs(10)));
    rig.advance(Duration::from_secs(9));
    rig.feed(vec![b'x'; 500], 50);
    output.extend(rig.written());
    assert_eq!(one_answer(&output).body.len(), 1000);
}

#[test]
fn body_complete_and_not_taken_yet_has_no_deadline() {
    let (mut rig, told) = deferring(4);
    rig.read(post("/", "0123456789"));
    rig.run_jobs();
    let mut deferred = told.recv().unwrap();
    assert!(poll_once(&mut deferred.body).is_none());
    rig.run();
    assert_eq!(rig.deadline(), None);
    while let Some(frame) = poll_once(&mut deferred.body) {
        assert!(matches!(frame, Ok(Frame::Data(_))));
        rig.run();
        assert_eq!(rig.deadline(), None, "the peer has sent all it owes");
    }
    rig.advance(Duration::from_secs(100));
    deferred.reply.send("done");
    rig.run();
    assert_eq!(one_answer(&rig.written()).text(), "done");
}

// ---- a channel ----

/// A rig whose service defers everything, and what its jobs are given.
fn deferring(window: usize) -> (Rig<Box<dyn Flow>>, mpsc::Receiver<Deferred>) {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let mut settings = Settings::default();
    settings.limits.max_window_bytes = window;
    let service = service_fn(move |_: &mut Request, _: &mut Context<'_>| {
        let tell = tell.lock().unwrap().clone();
        Outcome::defer_with(Lane::DEFAULT, move |deferred| tell.send(deferred).unwrap())
    });
    (Rig::connect(&Http::new(service).with_settings(settings)), told)
}

/// The next frame, if it is there; nobody is woken for a later one.
fn poll_once(incoming: &mut Incoming) -> Option<Result<Frame, BodyError>> {
    match incoming.poll_frame(&mut task::Context::from_waker(task::Waker::noop())) {
        Poll::Ready(frame) => frame,
        Poll::Pending => None,
    }
}

/// A rig whose service answers with a channel, and the writing ends.
fn channels(capacity: usize) -> (Rig<Box<dyn Flow>>, mpsc::Receiver<Sender>, Recorder) {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let service = service_fn(move |_: &mut Request, _: &mut Context<'_>| {
        let (sender, body) = Body::channel(capacity);
        tell.lock().unwrap().send(sender).unwrap();
        Response::ok(body)
    });
    let recorder = Recorder::default();
    (Rig::connect(&Http::new(service).with_observer(recorder.observer())), told, recorder)
}

#[test]
fn channel_passes_on_what_is_sent_and_ends_with_trailers() {
    let (mut rig, senders, _) = channels(100);
    rig.read(get("/"));
    let mut sender = senders.recv().unwrap();
    let mut output = rig.written();
    for piece in ["one", "two", "three"] {
        sender.try_send(Bytes::from_static(piece.as_bytes())).unwrap();
        rig.run();
        output.extend(rig.written());
    }
    let mut trailers = Fields::new();
    trailers.append(HeaderName::from_static("x-sum"), HeaderValue::from_static("3"));
    sender.finish_with_trailers(trailers);
    rig.run();
    output.extend(rig.written());
    let answer = one_answer(&output);
    assert_eq!(answer.text(), "onetwothree");
    assert_eq!(answer.trailers, [("x-sum".to_owned(), "3".to_owned())]);
    rig.assert_reading();
}

#[test]
fn channel_takes_no_more_than_its_capacity_while_the_peer_does_not_read() {
    let (mut rig, senders, _) = channels(10);
    rig.read(get("/"));
    let mut sender = senders.recv().unwrap();
    let piece = Bytes::from(vec![b'x'; 40_000]);
    let mut sent = 0;
    // Output takes 56 KiB, no byte more; the channel holds what is left of the second piece.
    while sender.try_send(piece.clone()).is_ok() {
        sent += 1;
        rig.run();
    }
    assert_eq!(sent, 2);
    assert_eq!(sender.try_send(piece.clone()), Err(TrySendError::Full(piece.clone())));
    let wakes = rig.wakes();
    rig.write_at_most(60_000);
    assert!(sender.try_send(piece).is_ok());
    assert!(rig.wakes() > wakes, "the flow waits for what was sent");
}

#[test]
fn channel_dropped_without_its_end_cuts_the_answer_off() {
    let (mut rig, senders, recorder) = channels(100);
    rig.read(get("/"));
    let mut sender = senders.recv().unwrap();
    sender.try_send(Bytes::from_static(b"some")).unwrap();
    drop(sender);
    rig.run();
    let answer = one_answer(&rig.written());
    assert_eq!((answer.text(), answer.whole), ("some", false));
    rig.assert_finished(CloseReason::ApplicationFailed);
    assert_eq!(recorder.seen()[0].end, RequestEnd::Cut);
}

#[test]
fn channel_whose_peer_is_gone_says_so() {
    let (mut rig, senders, _) = channels(100);
    rig.read(get("/"));
    let mut sender = senders.recv().unwrap();
    assert!(!sender.is_closed());
    rig.reset();
    assert!(sender.is_closed());
    let data = Bytes::from_static(b"late");
    assert_eq!(sender.try_send(data.clone()), Err(TrySendError::Closed(data)));
    assert_eq!(sender.send_blocking(Bytes::new()), Err(BodyError::Cancelled));
    assert_eq!(sender.write(b"x").unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
}

// ---- what a blocked flow waits for ----

#[test]
fn echo_that_starves_waits_for_the_peer_alone() {
    let mut rig = site();
    rig.read(CHUNKED);
    rig.written();
    let waiting = rig.waiting_on();
    assert!(waiting.contains(Waiting::PEER_READ | Waiting::DEADLINE), "{waiting}");
    assert!(!waiting.contains(Waiting::APPLICATION), "{waiting}");
    assert_eq!(rig.deadline().unwrap().kind, DeadlineKind::Body);
}

#[test]
fn deferred_request_waits_for_the_application() {
    let mut rig = site();
    rig.read(get("/defer"));
    assert_eq!(rig.waiting_on(), Waiting::APPLICATION);
    rig.run_jobs();
    assert!(rig.waiting_on().contains(Waiting::PEER_WRITE));
    assert_eq!(answers(&rig.written(), &[]).len(), 1);
}
