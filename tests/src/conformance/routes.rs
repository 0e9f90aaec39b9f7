//! The rows of the demo application's table.

use std::time::{Duration, Instant};

use super::model::Model;
use crate::client::{Asked, Framing, get, head};

pub(super) fn page_names_the_model_and_links_to_the_rest(model: &Model) {
    let server = model.serve();
    let page = server.connect().get("/").has_status(200);
    assert!(page.field("content-type").unwrap().starts_with("text/html"));
    assert!(page.text().contains(&format!("<strong>{}</strong>", model.name)), "{}", page.text());
    for path in
        ["/plaintext", "/json", "/headers", "/chunked", "/trailers", "/slow", "/work", "/large", "/status"]
    {
        assert!(page.text().contains(&format!("<a href=\"{path}")), "{path}");
    }
}

pub(super) fn plaintext_is_thirteen_bytes_of_a_known_length(model: &Model) {
    let server = model.serve();
    let answer = server.connect().get("/plaintext").is(200, "Hello, World!");
    assert_eq!(answer.field("content-type"), Some("text/plain"));
    assert_eq!(answer.field("content-length"), Some("13"));
    assert_eq!(answer.field("server"), Some("anabranch"));
    assert_eq!((answer.framing, answer.closes()), (Framing::Length, false));
}

pub(super) fn json_is_json(model: &Model) {
    let server = model.serve();
    let answer = server.connect().get("/json").is(200, r#"{"message":"Hello, World!"}"#);
    assert_eq!(answer.field("content-type"), Some("application/json"));
}

pub(super) fn parts_of_unknown_length_are_chunked_or_end_with_the_connection(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    let answer = client.get("/chunked").is(200, "part 0\npart 1\npart 2\n");
    assert_eq!(answer.field("content-type"), Some("text/plain"));
    assert_eq!((answer.framing, answer.trailers.len()), (Framing::Chunked, 0));
    client.get("/plaintext").has_status(200);
    drop(client);

    for keep in ["", "Connection: keep-alive\r\n"] {
        let mut client = server.connect();
        client.send(format!("GET /chunked HTTP/1.0\r\n{keep}\r\n"));
        let answer = client.answer_to(Asked::Http10).is(200, "part 0\npart 1\npart 2\n");
        assert_eq!(answer.framing, Framing::UntilClose);
    }
}

pub(super) fn trailers_are_announced_and_come_last(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    let answer = client.get("/trailers").is(200, "part 0\npart 1\npart 2\n");
    assert_eq!(answer.field("trailer"), Some("x-parts"));
    assert_eq!(answer.trailers, [(String::from("x-parts"), String::from("3"))]);
    client.get("/plaintext").has_status(200);
    drop(client);

    let mut client = server.connect();
    client.send("GET /trailers HTTP/1.0\r\n\r\n");
    let answer = client.answer_to(Asked::Http10).is(200, "part 0\npart 1\npart 2\n");
    assert_eq!(answer.field("trailer"), None);
}

pub(super) fn no_content_has_neither_body_nor_length(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    let answer = client.get("/no-content").is(204, "");
    assert_eq!(answer.framing, Framing::None);
    client.get("/plaintext").has_status(200);
}

pub(super) fn not_modified_has_its_tag_and_no_body(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    let answer = client.get("/not-modified").is(304, "");
    assert_eq!(answer.field("etag"), Some("\"demo\""));
    client.get("/plaintext").has_status(200);
}

pub(super) fn slow_waits_as_long_as_asked(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    for (target, millis) in [("/slow", 100), ("/slow?ms=250", 250), ("/slow?ms=0", 0), ("/slow?a=b&ms=1", 1)]
    {
        let started = Instant::now();
        client.get(target).is(200, "slow\n");
        assert!(started.elapsed() >= Duration::from_millis(millis), "{target}: {:?}", started.elapsed());
    }
    for target in ["/slow?ms=10001", "/slow?ms=-1", "/slow?ms=", "/slow?ms=1s"] {
        client.get(target).has_status(400);
    }
}

pub(super) fn work_is_done_on_a_lane(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    for (target, millis) in [("/work", 10), ("/work?ms=50", 50), ("/work?ms=0", 0)] {
        let started = Instant::now();
        client.get(target).is(200, "work\n");
        assert!(started.elapsed() >= Duration::from_millis(millis), "{target}: {:?}", started.elapsed());
    }
    client.get("/work?ms=10001").has_status(400);
}

pub(super) fn large_is_as_large_as_asked(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    for length in [0, 1, 25, 26, 27, 4_095, 65_535, 65_536, 65_537, 3_000_001] {
        let answer = client.get(&format!("/large?bytes={length}")).has_status(200);
        assert_eq!(answer.field("content-length"), Some(length.to_string().as_str()));
        assert!(is_alphabets(&answer.body), "{length}");
    }
    assert_eq!(client.get("/large").body.len(), 1_048_576);
    client.send(head("/large?bytes=1073741824"));
    let most = client.answer_to(Asked::Head).has_status(200);
    assert_eq!(most.field("content-length"), Some("1073741824"));
    client.get("/large?bytes=1073741825").has_status(400);
}

/// Whether these are the letters `a` to `z` over and over.
pub(super) fn is_alphabets(bytes: &[u8]) -> bool {
    let alphabets: Vec<u8> = (b'a'..=b'z').cycle().take(26 * 256).collect();
    bytes.chunks(alphabets.len()).all(|piece| piece == &alphabets[..piece.len()])
}

pub(super) fn panic_is_answered_and_the_server_lives_on(model: &Model) {
    let server = model.serve();
    for _ in 0..3 {
        let answer = server.last_answer_to(get("/panic")).has_status(500);
        assert!(!answer.text().contains("asked for"), "what failed inside is nobody's business");
    }
    server.lives();
}

pub(super) fn redirect_is_decoded_or_refused(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    for (to, location) in [
        ("/", "/"),
        ("%2Fplaintext", "/plaintext"),
        ("http://example.org/a%3Fb%3Dc", "http://example.org/a?b=c"),
        ("/a&to=/b", "/a"),
        ("a+b", "a+b"),
    ] {
        let answer = client.get(&format!("/redirect?to={to}")).has_status(302);
        assert_eq!(answer.field("location"), Some(location));
    }
    for to in ["?to=%0d%0aX-Injected:%20yes", "?to=a%00b", "?to=%7f", "?to=%4", "?to=%zz", "", "?other=/"] {
        let answer = client.get(&format!("/redirect{to}")).has_status(400);
        assert_eq!((answer.field("location"), answer.field("x-injected")), (None, None), "{to}");
    }
}

pub(super) fn unknown_path_is_not_found(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    for target in ["/nothing", "/plaintext/", "/Plaintext", "//plaintext", "/plain%74ext", "/%00"] {
        client.get(target).has_status(404);
    }
    client.send("DELETE /nothing HTTP/1.1\r\nHost: demo\r\n\r\n");
    client.answer().has_status(404);
}

pub(super) fn query_changes_nothing_where_none_is_known(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    for query in ["?", "?ms=1", "?a=b&c", "?%zz", "?/json"] {
        client.get(&format!("/plaintext{query}")).is(200, "Hello, World!");
    }
}

pub(super) fn absolute_target_is_served_as_its_path(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    client.get("http://demo/plaintext").is(200, "Hello, World!");
    client.get("http://elsewhere:81/json?a=b").has_status(200);
    // Without a path it means the root (RFC 9112 §3.2.2).
    let page = client.get("http://demo").has_status(200);
    assert!(page.field("content-type").unwrap().starts_with("text/html"));
}
