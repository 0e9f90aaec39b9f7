//! `Expect: 100-continue`, by hand.

use std::time::Duration;

use super::model::Model;
use super::server::last_answer;
use crate::client::{Asked, get};

/// Long enough for an answer that should not come to have come.
const A_WHILE: Duration = Duration::from_millis(100);

fn expecting(method: &str, target: &str, framing: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: demo\r\n{framing}\r\nExpect: 100-continue\r\n\r\n")
}

pub(super) fn continue_is_said_when_the_body_is_asked_for(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    for target in ["/discard", "/headers", "/echo"] {
        client.send(expecting("POST", target, "Content-Length: 5"));
        assert_eq!(client.interim(), 100, "{target}");
        if target != "/echo" {
            client.hears_nothing_for(A_WHILE);
        }
        client.send("01234");
        let answer = client.answer().has_status(200);
        assert_eq!((answer.interim.len(), answer.closes()), (0, false), "{target}");

        client.send(expecting("POST", target, "Transfer-Encoding: chunked"));
        assert_eq!(client.interim(), 100, "{target}");
        client.send("5\r\n01234\r\n0\r\n\r\n");
        let answer = client.answer().has_status(200);
        assert_eq!((answer.interim.len(), answer.closes()), (0, false), "{target}");
    }
}

pub(super) fn continue_is_not_said_to_who_sends_anyway_and_is_served(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    // Whether 100 is sent depends on what was declared, never on what happens to have arrived (law 9): this client gets
    // one and passes over it.
    client.send(expecting("POST", "/discard", "Content-Length: 5") + "01234" + &get("/plaintext"));
    assert_eq!(client.answer().is(200, "5").interim, [100]);
    client.answer().is(200, "Hello, World!");
    // No body, nothing to continue.
    client.send(expecting("POST", "/discard", "Content-Length: 0"));
    assert!(client.answer().is(200, "0").interim.is_empty());
    client.send("GET /plaintext HTTP/1.1\r\nHost: demo\r\nExpect: 100-continue\r\n\r\n");
    assert!(client.answer().is(200, "Hello, World!").interim.is_empty());
}

pub(super) fn final_answer_comes_without_continue_where_no_body_is_wanted(model: &Model) {
    let server = model.serve();
    for (request, status) in [
        (expecting("POST", "/nothing", "Content-Length: 5"), 404),
        (expecting("POST", "/plaintext", "Content-Length: 5"), 405),
        (expecting("PUT", "/echo", "Transfer-Encoding: chunked"), 405),
        (expecting("POST", "/discard", "Content-Length: 99999999999"), 413),
        (expecting("GET", "/plaintext", "Content-Length: 5"), 200),
    ] {
        // Whether the body still comes is known to nobody: the connection ends.
        let answer = server.last_answer_to(request).has_status(status);
        assert!(answer.interim.is_empty());
    }
}

pub(super) fn unknown_expectation_cannot_be_met(model: &Model) {
    let server = model.serve();
    for expectation in ["something", "100-continue, something", "200-ok"] {
        let request = format!(
            "POST /discard HTTP/1.1\r\nHost: demo\r\nContent-Length: 5\r\nExpect: {expectation}\r\n\r\n"
        );
        server.last_answer_to(request).has_status(417);
    }
    let mut client = server.connect();
    client
        .send("POST /discard HTTP/1.1\r\nHost: demo\r\nContent-Length: 2\r\nexpect: 100-Continue\r\n\r\nab");
    assert_eq!(client.answer().is(200, "2").interim, [100]);
}

pub(super) fn continue_is_never_said_to_http_1_0(model: &Model) {
    let server = model.serve();
    for expectation in ["100-continue", "something"] {
        let mut client = server.connect();
        client.send(format!("POST /discard HTTP/1.0\r\nContent-Length: 5\r\nExpect: {expectation}\r\n\r\n"));
        client.hears_nothing_for(A_WHILE);
        client.send("01234");
        assert!(client.answer_to(Asked::Http10).is(200, "5").closes());
        client.end();
    }
    let mut client = server.connect();
    client.send("POST /plaintext HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n01234");
    last_answer(client).has_status(405);
}
