//! `POST /commit` and `GET /status`: bodies parsed in the network thread, handlers on a lane that both share.

use super::model::Model;
use crate::client::{Answer, Client, chunked_head, get};

fn post_as(media_type: &str, length: usize) -> String {
    format!(
        "POST /commit HTTP/1.1\r\nHost: demo\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\n\r\n"
    )
}

fn commit(client: &mut Client, body: &str) -> Answer {
    client.send(post_as("application/json", body.len()) + body);
    client.answer()
}

const THREE: &str = r#"[{"op":"put","key":"a","value":"1"},{"op":"delete","key":"b"},{"op":"put","key":"ü","value":"\u00fc"}]"#;

pub(super) fn commit_counts_operations_of_each_kind(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    let name = model.name;
    let status = client
        .get("/status")
        .is(200, format!(r#"{{"model":"{name}","commits":0,"operations":0,"put":0,"delete":0}}"#));
    assert_eq!(status.field("content-type"), Some("application/json"));
    let answer = commit(&mut client, THREE).is(200, r#"{"put":2,"delete":1}"#);
    assert_eq!((answer.field("content-type"), answer.closes()), (Some("application/json"), false));
    commit(&mut client, " [ ] ").is(200, r#"{"put":0,"delete":0}"#);
    commit(&mut client, r#"[{"op":"put"}]"#).has_status(400);
    client
        .get("/status")
        .is(200, format!(r#"{{"model":"{name}","commits":2,"operations":3,"put":2,"delete":1}}"#));
}

pub(super) fn commit_is_parsed_as_it_comes_and_refused_at_its_first_error(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    // The answer does not wait for what is still to come.
    client.send(post_as("application/json", 31));
    client.send("[\n  {\"op\":\"get\"");
    let answer = client.answer();
    let text = "400: at byte 10, line 2, column 9: \"op\" is \"put\" or \"delete\"\n";
    assert!(!answer.is(400, text).closes(), "a short rest is read and dropped");
    client.send("0123456789012345");
    client.get("/plaintext").has_status(200);

    for (body, error) in [
        ("", "400: at byte 0, line 1, column 1: expected a value, found the end\n"),
        (
            "[{\"op\":\"put\",",
            "400: at byte 13, line 1, column 14: expected a name in quotes, found the end\n",
        ),
        ("[\"\u{7f}\n", "400: at byte 3, line 1, column 4: a control character in a string is escaped\n"),
        ("[]]", "400: at byte 2, line 1, column 3: expected nothing behind the value, found ']'\n"),
    ] {
        commit(&mut client, body).is(400, error);
    }
    drop(client);

    let mut client = server.connect();
    let chunked = chunked_head("/commit").replace("\r\n\r\n", "\r\nContent-Type: application/json\r\n\r\n");
    client.send(chunked + "ff\r\n[,");
    let answer = client.answer();
    assert!(
        answer.is(400, "400: at byte 1, line 1, column 2: expected a value or ']', found ','\n").closes()
    );
    client.end();
}

pub(super) fn commit_of_another_type_is_told_which_is_taken(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    for media_type in ["text/plain", "application/jsonx", "*/*", ""] {
        client.send(post_as(media_type, 5));
        let answer = client.answer().has_status(415);
        assert_eq!(
            (answer.field("accept"), answer.closes()),
            (Some("application/json"), false),
            "{media_type}"
        );
        client.send("[12] ");
    }
    client.send("POST /commit HTTP/1.1\r\nHost: demo\r\nContent-Length: 2\r\n\r\n[]");
    assert_eq!(client.answer().has_status(415).field("accept"), Some("application/json"));
    let gzip = post_as("application/json", 2).replace("\r\n\r\n", "\r\nContent-Encoding: gzip\r\n\r\n[]");
    client.send(gzip);
    assert_eq!(client.answer().has_status(415).field("accept-encoding"), Some("identity"));
    client.send(post_as("Application/JSON; charset=utf-8", 2) + "[]");
    client.answer().has_status(200);
}

pub(super) fn commit_over_the_limit_is_refused(model: &Model) {
    let server = model.serve_with(|settings| settings.limits.max_body_bytes = 1000);
    let mut client = server.connect();
    client.send(post_as("application/json", 1001));
    client.answer().has_status(413);
    drop(client);

    let mut client = server.connect();
    let deep = "[".repeat(65);
    commit(&mut client, &deep).has_status(400);
    drop(client);
    server.lives();
}

pub(super) fn commit_in_pieces_is_the_same_commit(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    client.send_bytewise(post_as("application/json", THREE.len()) + THREE);
    client.answer().is(200, r#"{"put":2,"delete":1}"#);

    let operation = r#"{"op":"put","key":"key","value":"0123456789012345678901234567890123456789"},"#;
    let many = format!("[{}{}", operation.repeat(20_000), r#"{"op":"delete","key":"k"}]"#);
    commit(&mut client, &many).is(200, r#"{"put":20000,"delete":1}"#);
}

pub(super) fn paths_of_commits_are_told_their_methods(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    client.send(get("/commit"));
    assert_eq!(client.answer().has_status(405).field("allow"), Some("POST"));
    client.send(post_as("application/json", 2).replace("/commit", "/status"));
    assert_eq!(client.answer().has_status(405).field("allow"), Some("GET, HEAD"));
    client.send("[]");
    for target in ["/commit/", "/status/1", "/commits"] {
        client.get(target).has_status(404);
    }
}
