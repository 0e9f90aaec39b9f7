//! Connections: kept, pipelined, half-closed, left, and many at once.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use super::model::Model;
use super::routes::is_alphabets;
use super::server::last_answer;
use crate::client::{Asked, Client, PATIENCE, get, post, post_chunks, post_head};

pub(super) fn connection_lives_for_many_requests(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    for _ in 0..200 {
        assert!(!client.get("/plaintext").is(200, "Hello, World!").closes());
    }
    for target in
        ["/nothing", "/chunked", "/slow?ms=1", "/work?ms=1", "/no-content", "/not-modified", "/redirect"]
    {
        assert!(!client.get(target).closes(), "{target}");
        client.get("/plaintext").is(200, "Hello, World!");
    }
}

pub(super) fn client_that_asks_for_the_end_gets_it(model: &Model) {
    let server = model.serve();
    for option in ["close", "Close", "keep-alive, close", "x, CLOSE ,y"] {
        for target in ["/plaintext", "/chunked", "/slow?ms=1", "/work?ms=1", "/no-content", "/nothing"] {
            server.last_answer_to(format!(
                "GET {target} HTTP/1.1\r\nHost: demo\r\nConnection: {option}\r\n\r\n"
            ));
        }
    }
    server.last_answer_to(
        "POST /echo HTTP/1.1\r\nHost: demo\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
    );
}

pub(super) fn http_1_0_closes_unless_asked_to_stay(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    client.send("GET /plaintext HTTP/1.0\r\n\r\n");
    assert!(client.answer_to(Asked::Http10).is(200, "Hello, World!").closes());
    client.end();

    let mut client = server.connect();
    for _ in 0..3 {
        client.send("GET /plaintext HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        let answer = client.answer_to(Asked::Http10).is(200, "Hello, World!");
        assert!(answer.field("connection").unwrap().eq_ignore_ascii_case("keep-alive"));
    }
    client.send("POST /echo HTTP/1.0\r\nContent-Length: 3\r\n\r\nend");
    client.answer_to(Asked::Http10).is(200, "end");
    client.end();
}

pub(super) fn pipelined_requests_are_answered_in_order(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    let requests: String = (0..16).map(|number| get(&format!("/large?bytes={number}"))).collect();
    for _ in 0..3 {
        client.send(&requests);
        for number in 0..16 {
            assert_eq!(client.answer().has_status(200).body.len(), number);
        }
    }
}

pub(super) fn pipelined_bodies_are_told_from_requests(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    let smuggled = get("/panic");
    let mut requests = Vec::new();
    for number in 0..8 {
        requests.extend(get(&format!("/large?bytes={number}")).into_bytes());
        requests.extend(post("/echo", &smuggled));
        requests.extend(post_chunks("/echo", &[smuggled.as_bytes(), b"0\r\n\r\n"]));
        requests.extend(post("/discard", "x".repeat(number)));
        requests.extend(post("/nothing", &smuggled));
    }
    client.send(requests);
    for number in 0..8 {
        assert_eq!(client.answer().has_status(200).body.len(), number);
        client.answer().is(200, &smuggled);
        client.answer().is(200, format!("{smuggled}0\r\n\r\n"));
        client.answer().is(200, number.to_string());
        client.answer().has_status(404);
    }
    client.get("/plaintext").has_status(200);
}

pub(super) fn pipelined_slow_and_quick_keep_their_order(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    let targets = ["/slow?ms=40", "/plaintext", "/work?ms=20", "/large?bytes=300000", "/slow?ms=1", "/json"];
    client.send(targets.map(get).concat());
    client.answer().is(200, "slow\n");
    client.answer().is(200, "Hello, World!");
    client.answer().is(200, "work\n");
    let large = client.answer().has_status(200);
    assert!(large.body.len() == 300_000 && is_alphabets(&large.body));
    client.answer().is(200, "slow\n");
    assert_eq!(client.answer().has_status(200).field("content-type"), Some("application/json"));
}

pub(super) fn pipelining_without_reading_is_held_up_and_answered_in_full(model: &Model) {
    const COUNT: usize = 2_000;
    let server = model.serve();
    let mut client = server.connect();
    let mut writer = client.writer();
    // Answers of 20 MiB: more than the buffers between hold.
    thread::scope(|scope| {
        scope.spawn(move || {
            for number in 0..COUNT {
                writer.write_all(get(&format!("/large?bytes={}", 10_000 + number)).as_bytes()).unwrap();
            }
        });
        thread::sleep(Duration::from_millis(200));
        for number in 0..COUNT {
            assert_eq!(client.answer().has_status(200).body.len(), 10_000 + number);
        }
    });
    client.get("/plaintext").is(200, "Hello, World!");
}

pub(super) fn pipelined_requests_in_single_bytes_are_the_same_requests(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    let requests =
        [get("/plaintext").into_bytes(), post("/echo", "hello"), post_chunks("/discard", &[b"abc"])];
    client.send_bytewise(requests.concat());
    client.send_bytewise(get("/chunked"));
    client.answer().is(200, "Hello, World!");
    client.answer().is(200, "hello");
    client.answer().is(200, "3");
    client.answer().is(200, "part 0\npart 1\npart 2\n");
}

pub(super) fn nothing_is_served_behind_the_last_request(model: &Model) {
    let server = model.serve();
    let last = "GET /plaintext HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n";
    server.last_answer_to(format!("{last}{}", get("/json"))).is(200, "Hello, World!");
    server
        .last_answer_to(format!("GET /plaintext HTTP/1.0\r\n\r\n{}", get("/json")))
        .is(200, "Hello, World!");
    server.last_answer_to(get("/panic") + &get("/json")).has_status(500);
}

pub(super) fn last_answer_is_read_whatever_was_sent_behind_its_request(model: &Model) {
    let server = model.serve();
    for target in ["/plaintext", "/slow?ms=20", "/work?ms=20"] {
        for _ in 0..5 {
            let mut client = server.connect();
            client.send(format!("GET {target} HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n"));
            // It may be read with the request, or lie there unread when the connection is closed; where that is over by now,
            // it cannot be sent.
            let _ = client.try_send("\r\n");
            assert!(client.answer().has_status(200).closes(), "{target}");
            assert_eq!(client.rest_count(), 0, "{target}");
        }
    }
}

pub(super) fn last_answer_is_not_held_up(model: &Model) {
    let server = model.serve();
    let started = Instant::now();
    for target in ["/plaintext", "/chunked", "/slow?ms=0", "/work?ms=0"].repeat(10) {
        server.last_answer_to(format!("GET {target} HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n"));
    }
    // What a kernel keeps for a segment that was to follow, and for an end that does not come, it sends after 200 ms.
    assert!(started.elapsed() < Duration::from_millis(200) * 30, "{:?}", started.elapsed());
}

pub(super) fn half_closed_client_gets_the_whole_answer(model: &Model) {
    let server = model.serve();
    for (request, length) in [
        (get("/large?bytes=4000000").into_bytes(), 4_000_000),
        (get("/slow?ms=200").into_bytes(), 5),
        (get("/work?ms=100").into_bytes(), 5),
        (get("/chunked").into_bytes(), 21),
        (post("/echo", vec![b'x'; 300_000]), 300_000),
        (post_chunks("/discard", &[b"abc"]), 1),
    ] {
        let mut client = server.connect();
        client.send(request);
        client.half_close();
        assert_eq!(client.answer().has_status(200).body.len(), length);
        client.end();
    }
    let mut client = server.connect();
    client.send(["/slow?ms=100", "/plaintext", "/work?ms=1"].map(get).concat());
    client.half_close();
    for body in ["slow\n", "Hello, World!", "work\n"] {
        client.answer().is(200, body);
    }
    client.end();
}

pub(super) fn half_close_within_a_head_is_refused(model: &Model) {
    let server = model.serve();
    for part in ["G", "GET / HTTP/1.1\r\nHost: de", "GET / HTTP/1.1\r\nHost: demo\r\n"] {
        let mut client = server.connect();
        client.send(part);
        client.half_close();
        last_answer(client).has_status(400);
    }
}

pub(super) fn client_that_closes_in_order_hears_nothing(model: &Model) {
    let server = model.serve();
    for sends in ["", "\r\n"] {
        let mut client = server.connect();
        client.send(sends);
        client.half_close();
        client.end();
    }
    let mut client = server.connect();
    client.get("/plaintext").has_status(200);
    client.half_close();
    client.end();
}

/// As many clients as the model carries at a time leave in this manner; others are served at once.
fn clients_that_leave(model: &Model, leave: impl Fn(Client)) {
    let server = model.serve();
    for _ in 0..model.at_a_time().unwrap_or(4) {
        let mut client = server.connect();
        client.get("/plaintext").has_status(200);
        leave(client);
    }
    let started = Instant::now();
    server.lives();
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

pub(super) fn client_gone_while_its_request_waits_costs_nobody_else(model: &Model) {
    clients_that_leave(model, |mut client| {
        client.send(get("/slow?ms=10000"));
        client.hears_nothing_for(Duration::from_millis(50));
        client.reset();
    });
}

pub(super) fn client_gone_while_its_job_runs_costs_nobody_else(model: &Model) {
    clients_that_leave(model, |mut client| {
        client.send(get("/work?ms=1000"));
        client.hears_nothing_for(Duration::from_millis(20));
        client.reset();
    });
    clients_that_leave(model, |mut client| {
        client.send(get("/work?ms=100"));
        drop(client);
    });
}

pub(super) fn client_gone_in_the_middle_of_an_answer_costs_nobody_else(model: &Model) {
    clients_that_leave(model, |mut client| {
        client.send(get("/large?bytes=1073741824"));
        client.take(100_000);
        client.reset();
    });
    clients_that_leave(model, |mut client| {
        client.send(get("/large?bytes=1073741824"));
        client.take(100_000);
        drop(client);
    });
}

pub(super) fn client_gone_in_the_middle_of_its_body_costs_nobody_else(model: &Model) {
    for target in ["/echo", "/discard", "/nothing"] {
        clients_that_leave(model, |mut client| {
            client.send(post_head(target, 1 << 20));
            client.send(vec![b'x'; 100_000]);
            client.reset();
        });
    }
}

pub(super) fn connections_that_come_and_go_are_all_served(model: &Model) {
    let server = model.serve();
    for _ in 0..200 {
        server.lives();
    }
    let closing = "GET /plaintext HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n";
    for _ in 0..100 {
        server.last_answer_to(closing).is(200, "Hello, World!");
        drop(server.connect());
    }
}

pub(super) fn many_connections_at_once_are_carried_as_the_model_says(model: &Model) {
    let server = model.serve();
    let count = model.at_a_time().unwrap_or(64);
    let mut clients: Vec<Client> = (0..count).map(|_| server.connect()).collect();
    for _ in 0..2 {
        for client in &mut clients {
            client.get("/plaintext").is(200, "Hello, World!");
        }
    }
    if model.at_a_time().is_some() {
        let mut next = server.connect();
        next.send(get("/plaintext"));
        next.hears_nothing_for(Duration::from_millis(150));
        drop(clients.pop());
        next.answer().is(200, "Hello, World!");
    } else {
        // All of them wait at the same time, and so for a little more than one.
        let started = Instant::now();
        clients.iter_mut().for_each(|client| client.send(get("/slow?ms=300")));
        clients.iter_mut().for_each(|client| drop(client.answer().is(200, "slow\n")));
        assert!(started.elapsed() < Duration::from_millis(300) * 32, "{:?}", started.elapsed());
    }
}

pub(super) fn sixty_four_clients_are_all_answered(model: &Model) {
    let server = model.serve();
    let address = server.address();
    thread::scope(|scope| {
        for number in 0..64 {
            scope.spawn(move || {
                let mut client = Client::connect(address);
                let body = number.to_string();
                client.send(post("/echo", &body));
                client.answer().is(200, &body);
                client.get("/slow?ms=5").is(200, "slow\n");
                client.get("/work?ms=1").is(200, "work\n");
                client.send("GET /plaintext HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n");
                last_answer(client).is(200, "Hello, World!");
            });
        }
    });
}

pub(super) fn requests_per_connection_are_bounded_if_told_so(model: &Model) {
    let server = model.serve_with(|settings| settings.limits.max_requests = Some(3));
    let started = Instant::now();
    let mut client = server.connect();
    assert!(!client.get("/plaintext").closes() && !client.get("/plaintext").closes());
    client.send(get("/plaintext") + &get("/json"));
    last_answer(client).is(200, "Hello, World!");
    assert!(started.elapsed() < PATIENCE);
}
