//! A server that drains (law 7): what was complete before is answered, and nothing is begun after.

use std::time::Duration;

use anabranch_core::testing::Rig;
use anabranch_core::{CloseReason, DeadlineKind, WriteOperation};

use crate::kit::{answers, get, http, http_with, one_answer, post, post_chunked, site};

#[test]
fn idle_connection_closes_at_once() {
    let mut rig = site();
    rig.drain();
    rig.assert_finished(CloseReason::Drained);

    let mut rig = site();
    rig.read(get("/hello"));
    rig.written();
    rig.drain();
    rig.assert_finished(CloseReason::Drained);
}

#[test]
fn answer_already_made_goes_out_and_the_connection_closes() {
    let mut rig = site();
    rig.read(get("/hello"));
    rig.drain();
    assert_eq!(one_answer(&rig.written()).text(), "hello");
    rig.assert_finished(CloseReason::Drained);
}

#[test]
fn head_that_is_not_complete_is_dropped() {
    let request = get("/hello");
    for cut in 1..request.len() {
        let mut rig = site();
        rig.read(&request[..cut]);
        rig.drain();
        assert_eq!(rig.written(), b"");
        rig.assert_finished(CloseReason::Drained);
    }
}

#[test]
fn answer_not_begun_says_that_the_connection_closes() {
    for target in ["/after", "/defer"] {
        let mut rig = site();
        rig.read(get(target));
        rig.drain();
        rig.run_jobs();
        rig.advance(Duration::from_millis(50));
        let answer = one_answer(&rig.written());
        assert_eq!(answer.status, 200);
        assert!(answer.says_close(), "{answer:?}");
        rig.eof();
        rig.assert_finished(CloseReason::Drained);
    }
}

#[test]
fn complete_heads_behind_are_answered_and_the_last_says_close() {
    for count in 1..4 {
        for partial in ["", "GET /par"] {
            let mut rig = site();
            rig.read([&get("/after"), &get("/hello").repeat(count), partial].concat());
            rig.drain();
            rig.advance(Duration::from_millis(50));
            let all = answers(&rig.written(), &[]);
            assert_eq!(all.len(), count + 1);
            let closes: Vec<bool> = all.iter().map(crate::kit::Answer::says_close).collect();
            assert_eq!(closes.iter().filter(|close| **close).count(), 1, "{all:?}");
            assert_eq!(closes.last(), Some(&true));
            rig.eof();
            rig.assert_finished(CloseReason::Drained);
        }
    }
}

#[test]
fn complete_heads_that_wait_for_room_are_answered() {
    let http = http_with(|settings| settings.limits.max_output_bytes = 100);
    let mut rig = Rig::connect(&http);
    rig.feed(get("/hello").repeat(5), usize::MAX);
    rig.drain();
    let mut output = Vec::new();
    while rig.flow().next_write_operation() == WriteOperation::Write {
        output.extend(rig.write_at_most(usize::MAX));
    }
    let all = answers(&output, &[]);
    assert_eq!(all.len(), 5);
    assert!(all.iter().rev().skip(1).all(|answer| !answer.says_close()));
    rig.eof();
    rig.assert_finished(CloseReason::Drained);
}

#[test]
fn body_in_progress_is_taken_to_its_end() {
    for request in [post("/collect", "0123456789"), post_chunked("/collect", &["01234", "56789"])] {
        for cut in [request.find("\r\n\r\n").unwrap() + 4, request.len() - 7, request.len() - 1] {
            let mut rig = site();
            rig.read(&request[..cut]);
            rig.drain();
            rig.assert_reading();
            // A request behind it came after the drain.
            rig.read([&request[cut..], &get("/hello")].concat());
            let answer = one_answer(&rig.written());
            assert_eq!(answer.text(), "0123456789");
            assert!(answer.says_close(), "{answer:?}");
            rig.eof();
            rig.assert_finished(CloseReason::Drained);
        }
    }
}

#[test]
fn body_that_nobody_has_asked_for_yet_may_still_be_asked_for() {
    let mut rig = site();
    rig.read("POST /count HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    rig.drain();
    let output = rig.written();
    assert!(output.starts_with(b"HTTP/1.1 100 "));
    rig.read("abc");
    assert_eq!(one_answer(&rig.written()).text(), "3");
    rig.eof();
    rig.assert_finished(CloseReason::Drained);

    let mut rig = site();
    rig.read("POST /defer HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n");
    rig.drain();
    rig.run_jobs();
    assert!(one_answer(&rig.written()).says_close());
    rig.feed(["abc", &get("/hello")].concat(), usize::MAX);
    rig.eof();
    assert_eq!(rig.written(), b"");
    rig.assert_finished(CloseReason::Drained);
}

#[test]
fn stream_in_progress_finishes() {
    let mut rig = site();
    rig.read("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    let mut output = rig.written();
    rig.drain();
    rig.assert_reading();
    rig.read("3\r\ndef\r\n");
    rig.read("0\r\n\r\n");
    output.extend(rig.written());
    let answer = one_answer(&output);
    assert_eq!((answer.text(), answer.whole), ("abcdef", true));
    rig.assert_finished(CloseReason::Drained);
}

#[test]
fn drain_of_a_connection_that_lingers_or_dropped_a_body_changes_nothing() {
    let mut rig = site();
    rig.read("BAD\r\n");
    rig.drain();
    assert_eq!(one_answer(&rig.written()).status, 400);
    rig.drain();
    rig.assert_reading();
    assert_eq!(rig.deadline().unwrap().kind, DeadlineKind::Linger);
    rig.eof();
    rig.assert_finished(CloseReason::Refused(400));

    let mut rig = site();
    rig.read("POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234");
    rig.written();
    rig.drain();
    rig.assert_reading();
    rig.read(["56789", &get("/hello")].concat());
    assert_eq!(rig.written(), b"");
    rig.assert_finished(CloseReason::Drained);
}

#[test]
fn drain_twice_is_drain_once() {
    let mut rig = Rig::connect(&http());
    rig.read(get("/after"));
    rig.drain();
    rig.drain();
    rig.advance(Duration::from_millis(50));
    assert!(one_answer(&rig.written()).says_close());
}

#[test]
fn drain_with_a_half_closed_peer_still_answers() {
    let mut rig = site();
    rig.read([get("/after"), get("/hello")].concat());
    rig.eof();
    rig.drain();
    rig.advance(Duration::from_millis(50));
    assert_eq!(answers(&rig.written(), &[]).len(), 2);
    assert!(rig.is_finished());
}

#[test]
fn complete_heads_behind_a_body_that_nobody_has_asked_for_are_answered() {
    for first in ["/defer", "/after"] {
        for (body, count) in [("abc", 1), ("abc", 3)] {
            let mut rig = site();
            rig.feed([post(first, body), post("/collect", "def").repeat(count)].concat(), usize::MAX);
            rig.drain();
            rig.run_jobs();
            rig.advance(Duration::from_millis(50));
            let all = answers(&rig.written(), &[]);
            assert_eq!(all.len(), count + 1, "{all:?}");
            let closes: Vec<bool> = all.iter().map(crate::kit::Answer::says_close).collect();
            assert_eq!(closes.iter().position(|close| *close), Some(count), "{all:?}");
            rig.eof();
            rig.assert_finished(CloseReason::Drained);
        }
    }
}

#[test]
fn request_that_comes_with_the_rest_of_a_pipelined_body_comes_after_the_drain() {
    let mut rig = site();
    let second = post_chunked("/count", &[&"x".repeat(100), "ab", "cd"]);
    let (before, after) = second.split_at(second.find("2\r\nab").unwrap());
    rig.read([&get("/after"), before].concat());
    rig.drain();
    rig.advance(Duration::from_millis(50));
    let _ = rig.written();
    rig.read([after, &get("/hello")].concat());
    let answer = one_answer(&rig.written());
    assert_eq!((answer.text(), answer.says_close()), ("104", true));
    rig.eof();
    rig.assert_finished(CloseReason::Drained);
}
