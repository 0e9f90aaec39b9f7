//! Requests sent without waiting for answers (RFC 9112 §9.3.2): in order, and no more at once than limits allow.

use std::time::Duration;

use anabranch_core::app::{Body, Context, Outcome, Request, Response, service_fn};
use anabranch_core::drive::{self, Budget, Progress, Readiness};
use anabranch_core::testing::{CountingWaker, ManualClock, Rig, ScriptedWire};
use anabranch_core::{
    CloseReason, ConnectionInfo, Dates, DeadlineKind, Pool, Protocol, ReadOperation, Turn, Waiting,
    WriteOperation,
};
use bytes::BytesMut;

use crate::kit::{Answer, Conversation, answers, get, http, http_with, post, post_chunked, site};

#[test]
fn pipelined_requests_are_answered_in_order_whatever_they_ask_for() {
    let requests = [
        get("/who?1"),
        post("/echo", "two"),
        "HEAD /chunked HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        get("/after"),
        post_chunked("/collect", &["fo", "ur"]),
        get("/defer"),
        get("/no-content"),
        post("/count", "six"),
        post("/ignore", "not read"),
        get("/trailers"),
        get("/who?last"),
    ];
    let held = Conversation::new(requests.concat()).hold();
    held.assert_lives();
    let bodies: Vec<&str> = held.answers.iter().map(|answer| answer.text()).collect();
    assert_eq!(
        bodies,
        [
            "GET /who?1",
            "two",
            "",
            "later",
            "four",
            "deferred /defer",
            "",
            "3",
            "ignored",
            "part 0\npart 1\n",
            "GET /who?last"
        ]
    );
}

#[test]
fn pipelined_request_waits_for_the_answer_before_it() {
    let mut rig = site();
    rig.read([get("/after"), get("/hello")].concat());
    assert_eq!(rig.written(), b"");
    rig.assert_yielding();
    rig.advance(Duration::from_millis(50));
    let statuses = answers(&rig.written(), &[]);
    assert_eq!(statuses.len(), 2);
    rig.assert_reading();
}

#[test]
fn nothing_is_begun_while_more_output_waits_than_may() {
    let http = http_with(|settings| settings.limits.max_output_bytes = 1000);
    let mut rig = Rig::connect(&http);
    rig.feed(get("/hello").repeat(1000), usize::MAX);
    rig.assert_yielding();
    let first = rig.write_at_most(usize::MAX);
    assert!((1001..1200).contains(&first.len()), "{} bytes wait", first.len());
    let mut output = first;
    while rig.flow().next_write_operation() == WriteOperation::Write {
        let more = rig.write_at_most(100);
        output.extend(more);
    }
    assert_eq!(answers(&output, &[]).len(), 1000);
    rig.assert_reading();
}

#[test]
fn idle_time_does_not_pass_while_answers_wait_for_the_peer() {
    let http = http_with(|settings| {
        settings.limits.max_output_bytes = 1000;
        settings.deadlines.idle = Some(Duration::from_secs(5));
        settings.deadlines.write_stall = Some(Duration::from_secs(3));
    });
    let mut rig = Rig::connect(&http);
    rig.feed(get("/hello").repeat(30), usize::MAX);
    let mut output = Vec::new();
    // A peer that reads slowly, but reads.
    for _ in 0..10 {
        assert_eq!(rig.deadline().unwrap().kind, DeadlineKind::WriteStall);
        rig.advance(Duration::from_secs(2));
        output.extend(rig.write_at_most(50));
    }
    output.extend(rig.written());
    assert_eq!(answers(&output, &[]).len(), 30);
    assert_eq!(rig.deadline().unwrap().kind, DeadlineKind::Idle);
    assert_eq!(rig.deadline().unwrap().at - rig.now(), Duration::from_secs(5));
}

/// Takes turns with a budget of `requests` requests; says how many answers each turn gave.
fn turns(requests: u32, input: &str) -> Vec<usize> {
    let clock = ManualClock::default();
    let mut flow = http().connect(ConnectionInfo::default(), clock.now());
    let mut wire = ScriptedWire::new().then(input);
    let mut scratch = BytesMut::with_capacity(1 << 16);
    let mut readiness = Readiness::ready();
    let wakes = CountingWaker::default();
    let (mut dates, mut pool, waker) =
        (Dates::anchored(clock.now(), Duration::ZERO), Pool::default(), wakes.waker());
    let mut counts = Vec::new();
    let mut seen = 0;
    for _ in 0..1000 {
        let woken = wakes.wakes();
        let mut turn = Turn::new(clock.now(), &mut dates, &waker, &mut pool);
        let progress = drive::turn(
            &mut *flow,
            &mut wire,
            &mut readiness,
            &mut scratch,
            &mut turn,
            &mut |job| {
                job.run();
                Ok(())
            },
            Budget::new(usize::MAX, requests),
        );
        let count = answers(wire.sent(), &[]).len();
        counts.push(count - seen);
        seen = count;
        match progress {
            Progress::Again => {}
            Progress::Blocked if wakes.wakes() > woken => {}
            Progress::Blocked => return counts,
            Progress::Finished(reason) => panic!("finished: {reason}"),
        }
    }
    panic!("it never blocks: {counts:?}");
}

#[test]
fn no_more_requests_begin_in_a_turn_than_are_allowed() {
    assert_eq!(turns(4, &get("/hello").repeat(10))[..3], [4, 4, 2]);
    assert_eq!(turns(1, &get("/hello").repeat(3))[..3], [1, 1, 1]);
    assert_eq!(turns(1, &post("/echo", "abc").repeat(3)).iter().sum::<usize>(), 3);
    assert_eq!(turns(2, &get("/defer").repeat(5)).iter().sum::<usize>(), 5);
}

#[test]
fn request_that_waits_for_its_turn_says_so() {
    let mut flow = http().connect(ConnectionInfo::default(), ManualClock::default().now());
    let wakes = CountingWaker::default();
    let (mut dates, mut pool, waker) =
        (Dates::anchored(ManualClock::default().now(), Duration::ZERO), Pool::default(), wakes.waker());
    let mut turn = Turn::new(ManualClock::default().now(), &mut dates, &waker, &mut pool);
    turn.allowance = 1;
    flow.read(&mut BytesMut::from(&*get("/hello").repeat(2)), &mut turn);
    assert_eq!(flow.next_read_operation(), ReadOperation::Yield);
    assert!(flow.waiting_on().contains(Waiting::APPLICATION));
    assert!(wakes.wakes() > 0);
    let mut turn = Turn::new(ManualClock::default().now(), &mut dates, &waker, &mut pool);
    flow.run(&mut turn);
    assert_eq!(flow.next_read_operation(), ReadOperation::Read);
}

#[test]
fn answers_of_pipelined_streams_do_not_mix() {
    let service = service_fn(|request: &mut Request, _: &mut Context<'_>| -> Outcome {
        let (mut sender, body) = Body::channel(100);
        let target = request.target().to_owned();
        Outcome::future(async move {
            for piece in 0..3 {
                sender.send(format!("{target}{piece} ").into()).await.unwrap();
            }
            sender.finish();
            Response::ok(body)
        })
    });
    let held = Conversation::with(service, [get("/a"), get("/b"), get("/c")].concat()).without_more().hold();
    let bodies: Vec<&str> = held.answers.iter().map(Answer::text).collect();
    assert_eq!(bodies, ["/a0 /a1 /a2 ", "/b0 /b1 /b2 ", "/c0 /c1 /c2 "]);
}

#[test]
fn what_follows_a_refused_request_is_not_answered() {
    let input = [get("/who?1"), "BAD\r\n\r\n".to_owned(), get("/who?2")].concat();
    let held = Conversation::new(input).hold();
    assert_eq!(held.statuses(), [200, 400]);
    held.assert_closed(CloseReason::Refused(400));
}

#[test]
fn what_follows_a_last_request_is_not_answered() {
    let close = "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let held = Conversation::new([close, &get("/who")].concat()).hold();
    assert_eq!(held.statuses(), [200]);
    held.assert_closed(CloseReason::Finished);
}

#[test]
fn reads_are_as_large_as_what_is_sure_to_come_and_a_little_ahead() {
    const AHEAD: u32 = 32 * 1024;
    let mut rig = Rig::connect(&http_with(|_| ()));
    assert_eq!(rig.flow().outlook().max_read_bytes, AHEAD);
    rig.read("POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n");
    assert_eq!(rig.flow().outlook().max_read_bytes, 100_000 + AHEAD);
    rig.read(vec![b'x'; 60_000]);
    assert_eq!(rig.flow().outlook().max_read_bytes, 40_000 + AHEAD);
    rig.read(vec![b'x'; 40_000]);
    assert_eq!(rig.flow().outlook().max_read_bytes, AHEAD);
    rig.written();

    rig.read("POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10000\r\n");
    assert_eq!(rig.flow().outlook().max_read_bytes, 0x10000 + AHEAD);
    rig.read(vec![b'x'; 0x10000]);
    assert_eq!(rig.flow().outlook().max_read_bytes, AHEAD);
}
