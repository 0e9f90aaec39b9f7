//! Deadlines, set short: nothing ends before its time, and everything ends soon after.
//!
//! What is said of time is a lower bound that is exact, and an upper bound of [`PATIENCE`] for a machine that is busy with
//! other things.

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use anabranch_core::http1::Deadlines;

use super::model::Model;
use super::server::{Server, last_answer};
use crate::client::{Client, PATIENCE, chunked_head, get, post_head};

const SHORT: Duration = Duration::from_millis(300);

fn serve_with(model: &Model, change: impl FnOnce(&mut Deadlines)) -> Server {
    model.serve_with(|settings| change(&mut settings.deadlines))
}

/// Refused with 408, not before its time, and told which deadline it was.
fn times_out(client: Client, since: Instant, deadline: &str) {
    let answer = last_answer(client).has_status(408);
    assert!(since.elapsed() >= SHORT, "{:?}", since.elapsed());
    assert!(since.elapsed() < SHORT + PATIENCE, "{:?}", since.elapsed());
    assert!(answer.text().contains(deadline), "{}", answer.text());
}

/// Sends a byte now and then, for as long as they are taken.
fn trickle(mut writer: TcpStream) {
    let started = Instant::now();
    while writer.write_all(b"x").is_ok() && started.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(20));
    }
}

pub(super) fn silent_newcomer_is_closed(model: &Model) {
    let server = serve_with(model, |deadlines| deadlines.first_byte = Some(SHORT));
    let started = Instant::now();
    let client = server.connect();
    client.end();
    assert!(started.elapsed() >= SHORT, "{:?}", started.elapsed());
}

pub(super) fn trickling_head_is_timed_out(model: &Model) {
    let server = serve_with(model, |deadlines| {
        deadlines.head = Some(SHORT);
        deadlines.linger = Some(SHORT);
    });
    let mut client = server.connect();
    let started = Instant::now();
    client.send("GET /plaintext HTTP/1.1\r\nHost: ");
    // Each byte is progress, and no reason to wait longer.
    let writer = client.writer();
    thread::scope(|scope| {
        scope.spawn(move || trickle(writer));
        times_out(client, started, "deadlines.head");
    });
    // The clock starts with the head's first byte and stops with its last.
    let mut client = server.connect();
    for _ in 0..2 {
        client.hears_nothing_for(SHORT + Duration::from_millis(50));
        client.get("/plaintext").is(200, "Hello, World!");
    }
}

pub(super) fn body_without_progress_is_timed_out(model: &Model) {
    let server = serve_with(model, |deadlines| deadlines.body = Some(SHORT));
    for request in [post_head("/discard", 10) + "01234", chunked_head("/discard") + "5\r\n012"] {
        let mut client = server.connect();
        let started = Instant::now();
        client.send(request);
        times_out(client, started, "deadlines.body");
    }
}

pub(super) fn body_not_wanted_that_does_not_come_is_not_waited_for(model: &Model) {
    let server = serve_with(model, |deadlines| deadlines.body = Some(SHORT));
    let mut client = server.connect();
    let started = Instant::now();
    client.send(post_head("/nothing", 10) + "01234");
    assert!(!client.answer().has_status(404).closes());
    // It was answered; a second answer would be one to nothing.
    client.end();
    assert!(started.elapsed() >= SHORT, "{:?}", started.elapsed());
}

pub(super) fn body_below_the_least_rate_is_timed_out(model: &Model) {
    let server = serve_with(model, |deadlines| {
        deadlines.body = Some(SHORT);
        deadlines.min_body_rate = Some(10_000);
        deadlines.linger = Some(SHORT);
    });
    let mut client = server.connect();
    let started = Instant::now();
    client.send(post_head("/discard", 100_000));
    let writer = client.writer();
    thread::scope(|scope| {
        scope.spawn(move || trickle(writer));
        times_out(client, started, "deadlines.min_body_rate");
    });
}

pub(super) fn idle_connection_is_closed_without_a_word(model: &Model) {
    let server = serve_with(model, |deadlines| deadlines.idle = Some(SHORT * 2));
    let mut client = server.connect();
    client.get("/plaintext").has_status(200);
    let since = Instant::now();
    // A request begins the count anew.
    thread::sleep(SHORT / 3);
    client.get("/plaintext").has_status(200);
    client.end();
    assert!(since.elapsed() >= SHORT * 2 + SHORT / 3, "{:?}", since.elapsed());
}

pub(super) fn reader_that_stalls_is_cut_off(model: &Model) {
    let server = serve_with(model, |deadlines| deadlines.write_stall = Some(SHORT));
    let mut client = server.connect();
    client.send(get("/large?bytes=1073741824"));
    thread::sleep(SHORT * 3);
    server.lives();
    let count = client.rest_count();
    assert!(count < 1 << 30, "{count}");
}

pub(super) fn reader_that_is_slow_and_steady_is_not_cut_off(model: &Model) {
    const STALL: Duration = Duration::from_millis(800);
    let server = serve_with(model, |deadlines| deadlines.write_stall = Some(STALL));
    // Who stands still itself, because the machine is busy with other things, is rightly cut off: another attempt.
    for _ in 0..10 {
        let mut client = server.connect();
        client.send(get("/large?bytes=1073741824"));
        client.head();
        let mut longest = Duration::ZERO;
        let mut takes = |count, after| {
            let since = Instant::now();
            thread::sleep(after);
            let all = client.skip(count);
            longest = longest.max(since.elapsed());
            all
        };
        // 400 KB a second, for twice the deadline; then more than the buffers between hold: the server is still there.
        if (0..64).all(|_| takes(10_000, STALL / 32)) && (0..64).all(|_| takes(1 << 20, Duration::ZERO)) {
            return;
        }
        assert!(longest > STALL / 8, "cut off, and never stood still longer than {longest:?}");
    }
    panic!("the machine is too busy to tell");
}

pub(super) fn client_that_does_not_close_is_not_waited_for_long(model: &Model) {
    let server = serve_with(model, |deadlines| deadlines.linger = Some(SHORT));
    let since = Instant::now();
    // As many as the model carries at a time hear the end of their answer, and stay.
    let clients: Vec<Client> = (0..model.at_a_time().unwrap_or(2))
        .map(|_| {
            let mut client = server.connect();
            client.send(post_head("/nothing", 1 << 20));
            assert!(client.answer().has_status(404).closes());
            client
        })
        .collect();
    server.lives();
    for mut client in clients {
        while client.try_send("x") {
            assert!(since.elapsed() < SHORT + PATIENCE, "the server reads on for ever");
            thread::sleep(Duration::from_millis(10));
        }
    }
    assert!(since.elapsed() >= SHORT, "{:?}", since.elapsed());
}

pub(super) fn time_in_a_handler_is_nobodys_fault(model: &Model) {
    // Not so short that a busy client is at fault itself.
    let short = Some(SHORT * 2);
    let server = serve_with(model, |deadlines| {
        deadlines.first_byte = short;
        deadlines.head = short;
        deadlines.body = short;
        deadlines.idle = short;
        deadlines.write_stall = short;
    });
    let mut client = server.connect();
    client.get("/slow?ms=700").is(200, "slow\n");
    client.get("/work?ms=700").is(200, "work\n");
}

pub(super) fn handler_deadline_is_told_as_503(model: &Model) {
    let server = serve_with(model, |deadlines| deadlines.handler = Some(SHORT));
    let started = Instant::now();
    let answer = server.last_answer_to(get("/slow?ms=10000")).has_status(503);
    assert!(started.elapsed() >= SHORT && started.elapsed() < Duration::from_secs(10));
    assert!(answer.text().contains("deadlines.handler"), "{}", answer.text());
    assert!(answer.field("retry-after").is_some());
    server.lives();
}
