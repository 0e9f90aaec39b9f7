//! Limits: at each the request is served, one beyond it is refused with the status, and the answer names the limit.

use super::model::Model;
use super::server::Server;
use crate::client::{chunked_head, post, post_chunks, text};

/// Served at the limit, on a connection that lives on.
fn serves(server: &Server, request: impl AsRef<[u8]>) {
    let mut client = server.connect();
    client.send(request);
    assert!(!client.answer().has_status(200).closes());
    client.get("/plaintext").is(200, "Hello, World!");
}

/// Refused beyond it, and told which limit it was.
fn refuses(server: &Server, request: impl AsRef<[u8]>, status: u16, limit: &str) {
    let answer = server.last_answer_to(request);
    assert_eq!(answer.status, status, "{}", answer.text());
    assert!(
        answer.text().starts_with(&format!("{status}: ")) && answer.text().contains(limit),
        "{}",
        answer.text()
    );
}

pub(super) fn request_line_at_its_limit_and_beyond(model: &Model) {
    let server = model.serve();
    let line = |length: usize| {
        let (start, end) = ("GET /plaintext?", " HTTP/1.1");
        format!("{start}{}{end}\r\nHost: a\r\n\r\n", "x".repeat(length - start.len() - end.len()))
    };
    serves(&server, line(8_192));
    refuses(&server, line(8_193), 414, "limits.max_request_line_bytes = 8192");
    let method = format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "M".repeat(8_193));
    refuses(&server, method, 501, "limits.max_request_line_bytes = 8192");
}

pub(super) fn header_section_at_its_limit_and_beyond(model: &Model) {
    let server = model.serve();
    let head = |length: usize| {
        let mut section = String::from("Host: a\r\n");
        while section.len() + 2 < length {
            let line = (length - 2 - section.len()).min(16_000);
            // No line shorter than its name and end.
            let line = if length - 2 - section.len() - line < 10 { length - 2 - section.len() } else { line };
            section += &format!("X: {}\r\n", "y".repeat(line - 5));
        }
        assert_eq!(section.len() + 2, length);
        format!("GET /plaintext HTTP/1.1\r\n{section}\r\n")
    };
    serves(&server, head(65_536));
    refuses(&server, head(65_537), 431, "limits.max_header_bytes = 65536");
}

pub(super) fn field_line_at_its_limit_and_beyond(model: &Model) {
    let server = model.serve();
    let head = |length: usize| {
        format!("GET /plaintext HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(length - 3))
    };
    serves(&server, head(16_384));
    refuses(&server, head(16_385), 431, "limits.max_field_line_bytes = 16384");
}

pub(super) fn number_of_fields_at_its_limit_and_beyond(model: &Model) {
    let server = model.serve();
    let head =
        |count: usize| format!("GET /plaintext HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(count - 1));
    serves(&server, head(100));
    refuses(&server, head(101), 431, "limits.max_fields = 100");
}

pub(super) fn body_at_its_limit_and_beyond(model: &Model) {
    let server = model.serve_with(|settings| settings.limits.max_body_bytes = 1_000);
    let body = "x".repeat(1_000);
    serves(&server, post("/discard", &body));
    serves(&server, post_chunks("/discard", &[&body.as_bytes()[..400], &body.as_bytes()[400..]]));
    refuses(&server, post("/discard", body.clone() + "y"), 413, "limits.max_body_bytes");
    refuses(&server, post_chunks("/discard", &[body.as_bytes(), b"y"]), 413, "limits.max_body_bytes");
}

pub(super) fn default_body_limit_is_64_mebibytes(model: &Model) {
    let server = model.serve();
    let declared = |length: u64| {
        format!(
            "POST /discard HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
        )
    };
    let mut client = server.connect();
    client.send(declared(64 << 20));
    assert_eq!(client.interim(), 100);
    drop(client);
    refuses(&server, declared((64 << 20) + 1), 413, "67108864");
    refuses(&server, chunked_head("/discard") + "4000001\r\n", 413, "67108864");
}

pub(super) fn chunk_lines_and_extensions_are_bounded(model: &Model) {
    let server = model.serve();
    let line = |length: usize| format!("3;{}\r\nabc\r\n", "e".repeat(length - 2));
    let chunks = |chunks: &str| format!("{}{chunks}0\r\n\r\n", chunked_head("/discard"));
    serves(&server, chunks(&line(256)));
    refuses(&server, chunks(&line(257)), 400, "limits.max_chunk_line_bytes = 256");
    // 64 of them hold 256 bytes of extension less than the limit on all together.
    serves(&server, chunks(&line(254).repeat(65)));
    refuses(&server, chunks(&line(254).repeat(66)), 400, "limits.max_chunk_extension_bytes = 16384");
}

pub(super) fn limits_are_judged_before_the_end_of_what_they_bound(model: &Model) {
    let server = model.serve();
    // No line of these ends: who waits for that waits in vain.
    refuses(&server, "M".repeat(9_000), 501, "limits.max_request_line_bytes");
    refuses(&server, "GET /".to_owned() + &"x".repeat(9_000), 414, "limits.max_request_line_bytes");
    let start = "GET / HTTP/1.1\r\nHost: a\r\n";
    refuses(&server, format!("{start}X: {}", "y".repeat(17_000)), 431, "limits.max_field_line_bytes");
    let line = format!("X: {}\r\n", "y".repeat(10_000));
    refuses(&server, format!("{start}{}", line.repeat(7)), 431, "limits.max_header_bytes");
    let long_chunk_line = chunked_head("/discard") + "1;" + &"e".repeat(300);
    refuses(&server, long_chunk_line, 400, "limits.max_chunk_line_bytes");

    let mut client = server.connect();
    client.send_bytewise("GET /".to_owned() + &"x".repeat(8_200));
    let answer = client.answer();
    assert_eq!(answer.status, 414, "{}", text(&answer.body));
}
