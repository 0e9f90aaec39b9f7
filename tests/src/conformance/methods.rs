//! Methods: `HEAD` beside `GET`, those not offered, those of the server itself.

use super::model::Model;
use crate::client::{Asked, Framing, get, head, post_head};

const GET_PATHS: [&str; 15] = [
    "/",
    "/plaintext",
    "/json",
    "/headers",
    "/chunked",
    "/trailers",
    "/no-content",
    "/not-modified",
    "/slow?ms=1",
    "/work?ms=1",
    "/large",
    "/redirect?to=/",
    "/redirect",
    "/status",
    "/nothing",
];

pub(super) fn head_has_the_fields_of_get_and_no_body(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    for target in GET_PATHS {
        let whole = client.get(target);
        client.send(head(target));
        let bare = client.answer_to(Asked::Head).is(whole.status, "");
        assert_eq!(bare.fields_but_date(), whole.fields_but_date(), "{target}");
        // Had a body come, it would stand before this answer.
        client.get("/plaintext").is(200, "Hello, World!");
    }
    drop(client);

    for target in GET_PATHS {
        let mut client = server.connect();
        client.send(format!("HEAD {target} HTTP/1.0\r\n\r\n"));
        client.answer_to(Asked::Head);
        client.end();
    }
    let mut client = server.connect();
    client.send(head("/panic"));
    assert!(client.answer_to(Asked::Head).has_status(500).closes());
    client.end();
}

pub(super) fn method_not_offered_is_told_what_is(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    for (method, path, allow) in [
        ("POST", "/", "GET, HEAD"),
        ("DELETE", "/plaintext", "GET, HEAD"),
        ("OPTIONS", "/json", "GET, HEAD"),
        ("PROPFIND", "/panic", "GET, HEAD"),
        ("GET", "/echo", "POST"),
        ("PUT", "/discard", "POST"),
        ("PATCH", "/headers", "GET, HEAD, POST"),
        ("get", "/plaintext", "GET, HEAD"),
        ("GET", "/commit", "POST"),
        ("POST", "/status", "GET, HEAD"),
    ] {
        client.send(format!("{method} {path} HTTP/1.1\r\nHost: demo\r\n\r\n"));
        let answer = client.answer().has_status(405);
        assert_eq!(answer.field("allow"), Some(allow), "{method} {path}");
        assert_eq!((answer.framing, answer.closes()), (Framing::Length, false));
    }
    client.send(head("/echo"));
    assert_eq!(client.answer_to(Asked::Head).has_status(405).field("allow"), Some("POST"));
}

pub(super) fn body_of_a_method_not_offered_is_not_read_first(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    client.send(post_head("/plaintext", 10));
    let answer = client.answer().has_status(405);
    assert!(!answer.closes(), "a short body is read and dropped");
    client.send("0123456789");
    client.send(get("/json"));
    client.answer().has_status(200);
}

pub(super) fn body_where_none_is_expected_is_passed_over(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    for request in [
        "GET /plaintext HTTP/1.1\r\nHost: demo\r\nContent-Length: 9\r\n\r\nGET /json",
        "HEAD /plaintext HTTP/1.1\r\nHost: demo\r\nContent-Length: 9\r\n\r\nGET /json",
        "GET /slow?ms=1 HTTP/1.1\r\nHost: demo\r\nContent-Length: 9\r\n\r\nGET /json",
        "GET /work?ms=1 HTTP/1.1\r\nHost: demo\r\nContent-Length: 9\r\n\r\nGET /json",
        "HEAD /chunked HTTP/1.1\r\nHost: demo\r\nContent-Length: 9\r\n\r\nGET /json",
        "GET /large?bytes=100000 HTTP/1.1\r\nHost: demo\r\nContent-Length: 9\r\n\r\nGET /json",
        "GET /no-content HTTP/1.1\r\nHost: demo\r\nContent-Length: 9\r\n\r\nGET /json",
        "OPTIONS * HTTP/1.1\r\nHost: demo\r\nContent-Length: 9\r\n\r\nGET /json",
    ] {
        let asked = if request.starts_with("HEAD") { Asked::Head } else { Asked::Plain };
        client.send(request);
        let answer = client.answer_to(asked);
        assert!(matches!(answer.status, 200 | 204) && !answer.closes(), "{request:?}: {answer:?}");
    }
    client.get("/plaintext").is(200, "Hello, World!");
}

pub(super) fn options_of_the_server_is_answered_by_itself(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    for _ in 0..2 {
        client.send("OPTIONS * HTTP/1.1\r\nHost: demo\r\n\r\n");
        let answer = client.answer();
        assert!(matches!(answer.status, 200 | 204), "{}", answer.status);
        assert!(answer.body.is_empty() && !answer.closes());
    }
    client.get("/plaintext").has_status(200);
}

pub(super) fn connect_and_upgrade_are_not_served(model: &Model) {
    let server = model.serve();
    server
        .last_answer_to("CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n")
        .has_status(501);
    // What may be meant for the tunnel is not read as a request.
    server
        .last_answer_to(format!("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n{}", get("/plaintext")))
        .has_status(501);

    let mut client = server.connect();
    for offer in ["websocket", "h2c"] {
        client.send(format!(
            "GET /plaintext HTTP/1.1\r\nHost: demo\r\nConnection: Upgrade\r\nUpgrade: {offer}\r\n\r\n"
        ));
        // An offer may be declined by an answer as if there had been none (RFC 9110 §7.8).
        client.answer().is(200, "Hello, World!");
    }
    client.get("/plaintext").has_status(200);
}
