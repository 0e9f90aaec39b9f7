//! Both directions at once: echoes while they are sent, readers that are slow, answers that come before the body.

use std::io::Write;
use std::thread;
use std::time::Duration;

use super::model::Model;
use super::routes::is_alphabets;
use super::server::last_answer;
use crate::client::{Framing, chunked_head, get, post, post_head};

const MIB: usize = 1024 * 1024;

/// Bytes of which no two pieces are alike, so that none can be lost, doubled or moved unseen.
fn noise(length: usize) -> Vec<u8> {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

pub(super) fn echo_of_eight_mebibytes_while_they_are_sent(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    let body = noise(8 * MIB);
    let mut writer = client.writer();
    thread::scope(|scope| {
        scope.spawn(|| writer.write_all(&post("/echo", &body)).unwrap());
        let answer = client.answer().has_status(200);
        assert_eq!((answer.framing, answer.closes()), (Framing::Length, false));
        assert!(answer.body == body, "{} bytes came back, and not those sent", answer.body.len());
    });
    client.get("/plaintext").is(200, "Hello, World!");
}

pub(super) fn echo_of_chunks_while_they_are_sent(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    let body = noise(4 * MIB);
    let mut writer = client.writer();
    thread::scope(|scope| {
        scope.spawn(|| {
            writer.write_all(chunked_head("/echo").as_bytes()).unwrap();
            let mut rest = &body[..];
            for size in [1, 17, 4_096, 65_536, 100_000].into_iter().cycle() {
                let (chunk, left) = rest.split_at(rest.len().min(size));
                rest = left;
                let framed = [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat();
                writer.write_all(&framed).unwrap();
                if chunk.is_empty() {
                    break;
                }
            }
        });
        let answer = client.answer().has_status(200);
        assert_eq!(answer.framing, Framing::Chunked);
        assert!(answer.body == body, "{} bytes came back, and not those sent", answer.body.len());
    });
    client.get("/plaintext").is(200, "Hello, World!");
}

pub(super) fn echo_of_what_was_written_whole_before_reading(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    let body = noise(256 * 1024);
    for _ in 0..3 {
        client.send(post("/echo", &body));
        assert!(client.answer().has_status(200).body == body);
    }
}

pub(super) fn echo_passes_on_what_has_come(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    client.send(post_head("/echo", 9) + "one");
    let (status, _) = client.head();
    assert_eq!((status, client.take(3).as_slice()), (200, &b"one"[..]));
    for part in [b"two", b"six"] {
        client.hears_nothing_for(Duration::from_millis(30));
        client.send(part);
        assert_eq!(client.take(3), part);
    }
    client.get("/plaintext").is(200, "Hello, World!");
}

pub(super) fn echo_holds_up_a_sender_that_does_not_read(model: &Model) {
    let server = model.serve_with(|settings| settings.limits.max_body_bytes = 1 << 30);
    let mut client = server.connect();
    client.send(post_head("/echo", 1 << 30));
    let piece = vec![b'x'; MIB];
    let mut writer = client.writer();
    writer.set_write_timeout(Some(Duration::from_millis(400))).unwrap();
    let mut taken = 0;
    // The kernels' buffers on both sides, and the server's windows.
    while let Ok(count) = writer.write(&piece) {
        taken += count;
        assert!(taken < 200 * MIB, "{taken} bytes taken of which none was read back");
    }
    client.head();
    assert!(client.take(taken) == vec![b'x'; taken]);
}

pub(super) fn slow_reader_gets_everything(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    // More than the buffers between hold: the server has to wait.
    client.send(get("/large?bytes=16777216"));
    let mut body = Vec::new();
    client.head();
    for pause in [200, 100, 50, 20, 20, 20, 10, 10] {
        thread::sleep(Duration::from_millis(pause));
        body.extend(client.take(10_000));
    }
    body.extend(client.take(16_777_216 - body.len()));
    assert!(is_alphabets(&body));
    client.get("/plaintext").is(200, "Hello, World!");
}

pub(super) fn answer_to_an_unread_body_is_read_and_no_reset(model: &Model) {
    let server = model.serve();
    let part = vec![b'x'; 512 * 1024];
    for (head, status) in [
        (post_head("/plaintext", 10 * MIB), 405),
        (post_head("/nothing", 10 * MIB), 404),
        (post_head("/discard", 100 * MIB), 413),
        (post_head("/panic", 10 * MIB).replace("POST", "GET"), 500),
        (chunked_head("/nothing") + "80000\r\n", 404),
        (String::from("GET / HTTP/1.1\r\nHost: demo\r\nX-Endless: "), 431),
        (String::from("GET /endless"), 414),
        (String::from("no HTTP at all\r\n"), 400),
    ] {
        let mut client = server.connect();
        // All of it before the first look at what comes back.
        client.send(&head);
        client.send(&part);
        last_answer(client).has_status(status);
    }
    server.lives();
}

pub(super) fn answer_to_a_body_not_wanted_keeps_the_connection_if_that_is_short(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    client.send(post("/nothing", vec![b'x'; 65_536]));
    client.send(get("/plaintext"));
    assert!(!client.answer().has_status(404).closes());
    client.answer().is(200, "Hello, World!");
    drop(client);

    // What decides is what was declared: all of the body is there in both cases.
    server.last_answer_to(post("/nothing", vec![b'x'; 65_537])).has_status(404);
    server.last_answer_to(chunked_head("/nothing") + "1\r\nx\r\n0\r\n\r\n").has_status(404);
}
