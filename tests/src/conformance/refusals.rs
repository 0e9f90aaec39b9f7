//! Requests that are refused, each with its status, and the connection with them: RFC 9112, read strictly.

use super::model::Model;
use crate::client::{get, head};

/// A malformed head, and the status that it is refused with.
const MALFORMED: &[(u16, &str)] = &[
    // The request line.
    (400, "GET\r\n\r\n"),
    (400, "GET /\r\n\r\n"),
    (400, "GET / \r\nHost: a\r\n\r\n"),
    (400, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET /  HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),
    (400, " GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "G@T / HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET / http/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET / HTTP/1\r\nHost: a\r\n\r\n"),
    (400, "GET / HTTP/1.\r\nHost: a\r\n\r\n"),
    (400, "GET / HTTP/11\r\nHost: a\r\n\r\n"),
    (400, "GET / HTTP/01.1\r\nHost: a\r\n\r\n"),
    (400, "GET / FTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET / HTTP/1.1\nHost: a\r\n\r\n"),
    (400, "GET / HTTP/1.1\rHost: a\r\n\r\n"),
    (400, "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    // The target.
    (400, "GET plaintext HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET /#part HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET /<a> HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET /é HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET http:// HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n"),
    // Field lines.
    (400, "GET / HTTP/1.1\r\nHost: a\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\n\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n\tb\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nX\t: b\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nX Y: b\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nX(Y): b\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nX: \x7f\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nX: \x0b\r\n\r\n"),
    // Host.
    (400, "GET / HTTP/1.1\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"),
    // Framing.
    (400, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n"),
    (400, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n"),
    (400, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx"),
    (400, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\nx"),
    (400, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\nx"),
    (400, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1 1\r\n\r\nx"),
    (400, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1,1\r\n\r\nx"),
    (400, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx"),
    (400, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx"),
    (400, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\n"),
    (
        400,
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        400,
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n",
    ),
    (400, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n"),
    (400, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n"),
    (400, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n"),
    (400, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    (400, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
    (400, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    (
        400,
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    ),
    (400, "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    (400, "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 1\r\n\r\nx"),
    (501, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    (417, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: miracles\r\n\r\nx"),
];

pub(super) fn malformed_heads_are_refused_and_the_connection_closes(model: &Model) {
    let server = model.serve();
    for (status, head) in MALFORMED {
        let answer = server.last_answer_to(head);
        assert_eq!(answer.status, *status, "{head:?}: {}", answer.text());
        assert!(answer.text().starts_with(&format!("{status}: ")), "{head:?}: {}", answer.text());
        // What stands behind it is nobody's request.
        let answer = server.last_answer_to(format!("{head}{}", get("/plaintext")));
        assert_eq!(answer.status, *status, "{head:?}: {}", answer.text());
    }
    server.lives();
}

pub(super) fn malformed_heads_in_single_bytes_are_refused_alike(model: &Model) {
    let server = model.serve();
    for (status, head) in MALFORMED {
        let mut client = server.connect();
        client.send_bytewise(head);
        let answer = client.answer();
        assert_eq!((answer.status, answer.closes()), (*status, true), "{head:?}: {}", answer.text());
        client.end();
    }
}

pub(super) fn other_versions_are_refused(model: &Model) {
    let server = model.serve();
    for version in ["HTTP/2.0", "HTTP/0.9", "HTTP/3.0", "HTTP/0.0", "HTTP/9.9"] {
        server.last_answer_to(format!("GET / {version}\r\nHost: a\r\n\r\n")).has_status(505);
    }
    // A higher minor version means what 1.1 means (RFC 9110 §2.5).
    let mut client = server.connect();
    for version in ["HTTP/1.2", "HTTP/1.9", "HTTP/1.1"] {
        client.send(format!("GET /plaintext {version}\r\nHost: a\r\n\r\n"));
        assert!(!client.answer().is(200, "Hello, World!").closes());
    }
}

pub(super) fn http_2_preface_is_refused(model: &Model) {
    let server = model.serve();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x12\x04\x00\x00\x00\x00\x00";
    server.last_answer_to(preface).has_status(505);
    server.lives();
}

pub(super) fn tls_is_told_that_this_is_not_tls(model: &Model) {
    let server = model.serve();
    let hello = b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03";
    let answer = server.last_answer_to(hello).has_status(400);
    assert!(answer.text().contains("TLS") && answer.text().contains("http://"), "{}", answer.text());
}

pub(super) fn answers_before_a_malformed_request_come_first(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    client.send(get("/slow?ms=30") + &head("/large") + "GET /plaintext HTTP/1.1\r\n\r\n" + &get("/panic"));
    client.answer().is(200, "slow\n");
    client.answer_to(crate::client::Asked::Head).has_status(200);
    super::server::last_answer(client).has_status(400);
}

pub(super) fn one_empty_line_before_a_request_is_passed_over(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    for _ in 0..3 {
        // Old clients send one behind a body (RFC 9112 §2.2).
        client.send(format!("\r\n{}", get("/plaintext")));
        client.answer().is(200, "Hello, World!");
    }
}
