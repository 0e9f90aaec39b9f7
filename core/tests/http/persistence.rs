//! Whether a connection outlives an exchange (RFC 9112 §9.3), and what it says of that.

use anabranch_core::{CloseKind, CloseReason, Flow};

use crate::kit::{Conversation, answers, get, post, site};

#[test]
fn http_1_1_connection_lives_on() {
    let held = Conversation::new(get("/hello")).hold();
    held.assert_lives();
    assert_eq!(held.text(), "hello");
}

#[test]
fn http_1_1_connection_ends_when_the_peer_says_close() {
    for value in ["close", "Close", "keep-alive, close", "close,", "x, close , y"] {
        let request = format!("GET /hello HTTP/1.1\r\nHost: a\r\nConnection: {value}\r\n\r\n");
        Conversation::new(request).hold().assert_closed(CloseReason::Finished);
    }
}

#[test]
fn http_1_0_connection_ends_unless_the_peer_says_keep_alive() {
    let held = Conversation::new("GET /hello HTTP/1.0\r\n\r\n").hold();
    held.assert_closed(CloseReason::Finished);
    assert_eq!(held.text(), "hello");

    let held = Conversation::new("GET /hello HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").hold();
    held.assert_lives();
    assert_eq!(held.answers[0].field("connection"), Some("keep-alive"));
}

#[test]
fn last_answer_is_called_so() {
    let close = "Connection: close\r\n";
    for (request, ending) in [
        (get("/hello"), None),
        (format!("GET /hello HTTP/1.1\r\nHost: a\r\n{close}\r\n"), Some(CloseKind::Immediate)),
        ("GET /hello HTTP/1.0\r\n\r\n".into(), Some(CloseKind::Immediate)),
        ("GET /chunked HTTP/1.0\r\n\r\n".into(), Some(CloseKind::Linger)),
        // More was sent than is answered, or may be on its way.
        (format!("GET /hello HTTP/1.0\r\n\r\n{}", get("/hello")), Some(CloseKind::Linger)),
        ("GET / HTTP/9.9\r\n\r\n".into(), Some(CloseKind::Linger)),
        // A line break behind a body is sent by old clients, and resets a connection that is closed.
        (format!("POST /echo HTTP/1.1\r\nHost: a\r\n{close}Content-Length: 1\r\n\r\nx"), None),
    ] {
        let mut rig = site();
        rig.read(&request);
        assert_eq!(rig.flow().ending(), ending, "{request:?}");
        rig.written();
        assert_eq!(rig.flow().ending(), None, "what is out is not offered");
    }

    let mut rig = site();
    rig.read(format!("POST /echo HTTP/1.1\r\nHost: a\r\n{close}Content-Length: 1\r\n\r\nx"));
    rig.eof();
    assert_eq!(rig.flow().ending(), Some(CloseKind::Immediate), "nothing can come behind it");
}

#[test]
fn close_outweighs_keep_alive() {
    let held = Conversation::new("GET /hello HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n").hold();
    held.assert_closed(CloseReason::Finished);
}

#[test]
fn higher_minor_version_is_served_as_http_1_1() {
    let held = Conversation::new("GET /chunked HTTP/1.2\r\nHost: a\r\n\r\n").hold();
    held.assert_lives();
    assert_eq!(held.answers[0].field("transfer-encoding"), Some("chunked"));
    assert_eq!(held.requests[0].line.as_deref(), Some("GET /chunked HTTP/1.1"));
    Conversation::new("\r\nGET /hello HTTP/1.9\r\nHost: a\r\n\r\n").hold().assert_lives();
}

#[test]
fn http_1_0_takes_no_chunks_and_gets_the_body_until_close() {
    let held = Conversation::new("GET /chunked HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").hold();
    held.assert_closed(CloseReason::Finished);
    assert_eq!(held.answers[0].field("transfer-encoding"), None);
    assert_eq!(held.text(), "part 0\npart 1\npart 2\n");
}

#[test]
fn http_1_0_keeps_a_connection_whose_answer_has_a_length() {
    let held = Conversation::new("GET /sized HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").hold();
    held.assert_lives();
    assert_eq!(held.text(), "0123456789");
}

#[test]
fn application_may_end_the_connection() {
    Conversation::new(get("/last")).hold().assert_closed(CloseReason::Finished);
}

#[test]
fn connection_ends_after_as_many_requests_as_it_may_have() {
    let three = get("/hello").repeat(3);
    let held = Conversation::new(three).under(|settings| settings.limits.max_requests = Some(2)).hold();
    assert_eq!(held.statuses(), [200, 200]);
    assert!(!held.answers[0].says_close());
    held.assert_closed(CloseReason::Finished);
}

#[test]
fn one_empty_line_before_a_request_is_passed_over() {
    let held = Conversation::new(format!("\r\n{}\r\n{}", get("/hello"), post("/collect", "x"))).hold();
    assert_eq!(held.statuses(), [200, 200]);
    held.assert_lives();
}

#[test]
fn peer_that_closes_between_requests_ends_the_connection_in_order() {
    let held = Conversation::new(get("/hello")).then_eof().hold();
    assert_eq!(held.statuses(), [200]);
    assert_eq!(held.closed, Some(CloseReason::PeerClosed));
    let held = Conversation::new("").then_eof().hold();
    assert_eq!((held.answers.len(), held.closed), (0, Some(CloseReason::PeerClosed)));
    let held = Conversation::new("\r\n").then_eof().hold();
    assert_eq!((held.answers.len(), held.closed), (0, Some(CloseReason::PeerClosed)));
}

#[test]
fn answer_without_content_says_what_becomes_of_the_connection_behind_an_echo() {
    for (framing, closes) in [
        ("Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", true),
        ("Content-Length: 3\r\n\r\nabc", false),
    ] {
        let request = format!("HEAD /echo HTTP/1.1\r\nHost: a\r\n{framing}");
        for cut in [request.len(), request.len() - 2] {
            let mut rig = site();
            rig.read(&request[..cut]);
            let answer = answers(&rig.written(), &["HEAD"]).remove(0);
            assert_eq!((answer.status, answer.says_close()), (200, closes), "{request:?}");
            rig.feed(&request[cut..], usize::MAX);
            rig.eof();
            rig.assert_finished(if closes { CloseReason::Finished } else { CloseReason::PeerClosed });
        }
    }
}
