//! Stopping: what has begun finishes, nothing else begins, and the second stop ends it all.

use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use anabranch_core::testing::StallWatch;

use super::model::{Model, Stops};
use super::server::{Server, last_answer};
use crate::client::{Client, PATIENCE, chunked_head, get, post_head};

const GRACE: Duration = Duration::from_secs(15);

/// An idle connection is closed within half a second; a little more for a machine that does other things besides.
const AT_ONCE: Duration = Duration::from_millis(500 + 100);

/// A connection that has been served before, so that nothing of it waits in a queue.
fn open(server: &Server) -> Client {
    let mut client = server.connect();
    client.get("/plaintext").has_status(200);
    client
}

pub(super) fn drain_lets_requests_in_flight_finish(model: &Model) {
    for target in ["/slow?ms=1000", "/work?ms=1000"] {
        let server = model.serve();
        let mut client = open(&server);
        client.send(get(target));
        server.drain(GRACE);
        last_answer(client).has_status(200);
        server.ends();
    }
    // Several, each wherever it is at that moment: in a turn, or waiting for room.
    let server = model.serve();
    let mut clients: Vec<Client> = (0..model.at_a_time().unwrap_or(8)).map(|_| open(&server)).collect();
    clients.iter_mut().for_each(|client| client.send(get("/large?bytes=2000000")));
    for client in &mut clients {
        client.head();
    }
    server.drain(GRACE);
    for mut client in clients {
        assert_eq!(client.rest().len(), 2_000_000);
    }
    server.ends();
}

pub(super) fn drain_closes_idle_connections_at_once(model: &Model) {
    for silence in [Duration::ZERO, Duration::from_millis(600)] {
        let server = model.serve();
        let clients: Vec<Client> = (0..model.at_a_time().unwrap_or(8)).map(|_| open(&server)).collect();
        thread::sleep(silence);
        let (watch, started) = (StallWatch::start(), Instant::now());
        server.drain(GRACE);
        clients.into_iter().for_each(Client::end);
        let took = watch.running_since(started);
        assert!(took < AT_ONCE, "{took:?} after {silence:?}");
        server.ends();
    }
}

pub(super) fn drain_answers_what_was_complete_before(model: &Model) {
    let server = model.serve();
    let mut client = open(&server);
    client.send(["/slow?ms=200", "/json", "/plaintext"].map(get).concat());
    server.drain(GRACE);
    client.answer().is(200, "slow\n");
    client.answer().has_status(200);
    last_answer(client).is(200, "Hello, World!");
    server.ends();
}

pub(super) fn drain_lets_a_body_in_progress_finish(model: &Model) {
    for (head, rest, body) in [
        (post_head("/discard", 10) + "01234", "56789", "10"),
        (chunked_head("/discard") + "5\r\n01234", "\r\n0\r\n\r\n", "5"),
    ] {
        let server = model.serve();
        let mut client = open(&server);
        client.send(head);
        client.hears_nothing_for(Duration::from_millis(50));
        server.drain(GRACE);
        client.hears_nothing_for(Duration::from_millis(50));
        client.send(rest);
        // It may have begun before it heard of the drain, on a busy machine; the end follows in any case.
        client.answer().is(200, body);
        client.end();
        server.ends();
    }
}

pub(super) fn drain_ends_accepting_where_the_model_listens_itself(model: &Model) {
    let server = model.serve();
    let mut client = open(&server);
    client.send(get("/slow?ms=1500"));
    server.drain(GRACE);
    let (watch, started) = (StallWatch::start(), Instant::now());
    match model.stops() {
        Stops::Server => {
            while TcpStream::connect(server.address()).is_ok() {
                let took = watch.running_since(started);
                assert!(took < AT_ONCE, "still accepts after {took:?}");
                thread::sleep(Duration::from_millis(5));
            }
        }
        Stops::Connections => server.lives(),
    }
    last_answer(client).is(200, "slow\n");
}

pub(super) fn second_stop_aborts_what_is_left(model: &Model) {
    for target in ["/slow?ms=10000", "/large?bytes=1073741824"] {
        let server = model.serve();
        let mut client = open(&server);
        client.send(get(target));
        server.drain(Duration::from_secs(60));
        thread::sleep(Duration::from_millis(50));
        let started = Instant::now();
        server.abort();
        assert!(client.rest_count() < 1 << 30);
        server.ends();
        assert!(started.elapsed() < Duration::from_secs(5), "{target}: {:?}", started.elapsed());
    }
}

pub(super) fn end_of_grace_aborts_what_is_left(model: &Model) {
    let grace = Duration::from_millis(300);
    let server = model.serve();
    let mut client = open(&server);
    client.send(get("/slow?ms=10000"));
    let started = Instant::now();
    server.drain(grace);
    match model.stops() {
        Stops::Server => {}
        Stops::Connections => {
            // It keeps no grace time: whoever owns it ends it.
            client.hears_nothing_for(grace * 2);
            server.abort();
        }
    }
    assert_eq!(client.rest_count(), 0);
    assert!(started.elapsed() >= grace, "{:?}", started.elapsed());
    assert!(started.elapsed() < grace + PATIENCE / 4, "{:?}", started.elapsed());
    server.ends();
}
