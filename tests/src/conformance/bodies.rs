//! Request bodies: by length, by chunks, malformed, cut short.

use super::model::Model;
use super::server::{Server, last_answer};
use crate::client::{Framing, chunked_head, post, post_chunks, post_head, text};

pub(super) fn echo_by_length_has_that_length(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    for body in ["x".into(), "hello".into(), "y".repeat(65_536), "z".repeat(300_000)] {
        client.send(post("/echo", &body));
        let answer = client.answer().is(200, &body);
        assert_eq!((answer.framing, answer.closes()), (Framing::Length, false));
        assert_eq!(answer.field("content-type"), Some("application/octet-stream"));
    }
}

pub(super) fn echo_of_chunks_is_chunked(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    for chunks in [&[&b"one"[..], b"two", b"three"][..], &[b"x"], &[&[b'y'; 100_000], b"end"]] {
        client.send(post_chunks("/echo", chunks));
        let answer = client.answer().is(200, chunks.concat());
        assert_eq!((answer.framing, answer.closes()), (Framing::Chunked, false));
    }
}

pub(super) fn echo_keeps_the_media_type(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    client.send(
        "POST /echo HTTP/1.1\r\nHost: demo\r\nContent-Type:  text/x-demo; a=\"b\" \r\nContent-Length: 2\r\n\r\nhi",
    );
    let answer = client.answer().is(200, "hi");
    assert_eq!(answer.field("content-type"), Some("text/x-demo; a=\"b\""));
}

pub(super) fn empty_bodies_are_bodies(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    for request in
        [post("/echo", ""), post_chunks("/echo", &[]), b"POST /echo HTTP/1.1\r\nHost: a\r\n\r\n".into()]
    {
        client.send(request);
        client.answer().is(200, "");
    }
    for request in [post("/discard", ""), post_chunks("/discard", &[])] {
        client.send(request);
        client.answer().is(200, "0");
    }
}

pub(super) fn discard_counts_what_came(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    for length in [1, 10, 65_536, 1_000_000] {
        client.send(post("/discard", vec![b'x'; length]));
        let answer = client.answer().is(200, length.to_string());
        assert_eq!(answer.field("content-type"), Some("text/plain"));
    }
    client.send(post_chunks("/discard", &[&[b'x'; 1_000], &[b'y'; 70_000], b"z"]));
    client.answer().is(200, "71001");
}

pub(super) fn chunk_extensions_and_trailers_are_no_data(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    client.send(chunked_head("/echo"));
    client.send("3;name=value\r\nabc\r\n0A ;q=\"a;b\"\r\n0123456789\r\n000;last\r\nX-Sum: 1\r\n\r\n");
    client.answer().is(200, "abc0123456789");
    client.send(chunked_head("/discard"));
    client.send("3\r\nabc\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n");
    client.answer().is(200, "3");
}

pub(super) fn malformed_chunks_are_never_answered_with_200(model: &Model) {
    let server = model.serve();
    for body in [
        "x\r\nabc\r\n0\r\n\r\n",
        "\r\nabc\r\n0\r\n\r\n",
        "-3\r\nabc\r\n0\r\n\r\n",
        "+3\r\nabc\r\n0\r\n\r\n",
        " 3\r\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "3 \r\nabc\r\n0\r\n\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "3\rabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "3\r\nabc0\r\n\r\n",
        "3\r\nabc\r\n\r\n",
        "3;a\x01b\r\nabc\r\n0\r\n\r\n",
        "3;a\nb\r\nabc\r\n0\r\n\r\n",
        "10000000000000000\r\nabc",
        "ffffffffffffffffff\r\nabc",
        "3\r\nabc\r\n0\r\nbad trailer\r\n\r\n",
        "3\r\nabc\r\n0\r\nX-A : b\r\n\r\n",
        "3\r\nabc\r\n0\r\nContent-Length: 3\r\n\r\n",
        "3\r\nabc\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "3\r\nabc\r\n0\r\nHost: other\r\n\r\n",
        "3\r\nabc\r\n0\r\n folded\r\n\r\n",
    ] {
        refused(&server, &format!("{}{body}", chunked_head("/discard")));
    }
    server.lives();
}

/// The request is refused in one piece and in single bytes.
fn refused(server: &Server, request: &str) {
    for bytewise in [false, true] {
        let mut client = server.connect();
        if bytewise {
            client.send_bytewise(request);
        } else {
            client.send(request);
        }
        let answer = client.answer();
        assert_eq!((answer.status, answer.closes()), (400, true), "{request:?}, bytewise: {bytewise}");
        client.end();
    }
}

pub(super) fn body_cut_short_is_never_answered_with_200(model: &Model) {
    let server = model.serve();
    for request in [
        post_head("/discard", 10),
        post_head("/discard", 10) + "012345678",
        post_head("/headers", 10) + "012345678",
        chunked_head("/discard"),
        chunked_head("/discard") + "5\r\nabc",
        chunked_head("/discard") + "3\r\nabc\r\n",
        chunked_head("/discard") + "3\r\nabc\r\n0\r\n",
        chunked_head("/discard") + "3\r\nabc\r\n0\r\nX-Sum: 1\r\n",
    ] {
        let mut client = server.connect();
        client.send(&request);
        client.half_close();
        last_answer(client).has_status(400);
    }
    server.lives();
}

pub(super) fn body_in_single_bytes_is_the_same_body(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    client.send_bytewise(post("/discard", "0123456789"));
    client.answer().is(200, "10");
    client.send_bytewise(post_chunks("/discard", &[b"01234", b"56789"]));
    client.answer().is(200, "10");
    client.send_bytewise(post("/echo", "0123456789"));
    client.answer().is(200, "0123456789");
    client.send_bytewise(post_chunks("/echo", &[b"01234", b"56789"]));
    client.answer().is(200, "0123456789");
}

pub(super) fn echo_of_a_body_cut_short_is_not_complete(model: &Model) {
    let server = model.serve();
    // Whether the answer began before the body broke is a matter of timing; that it is never whole is not.
    let mut client = server.connect();
    client.send(post_head("/echo", 10) + "01234");
    client.half_close();
    let rest = text(&client.rest());
    assert!(
        !rest.contains(" 200 ") || rest.ends_with("\r\n\r\n01234") || rest.ends_with("\r\n\r\n"),
        "{rest}"
    );

    let mut client = server.connect();
    client.send(chunked_head("/echo") + "5\r\n01234\r\nzz\r\n");
    let rest = text(&client.rest());
    assert!(!rest.contains("0\r\n\r\n"), "{rest}");
    drop(client);
    server.lives();
}

pub(super) fn body_not_wanted_and_cut_short_ends_the_connection_without_a_word(model: &Model) {
    let server = model.serve();
    for request in [post_head("/nothing", 10) + "01234", post_head("/plaintext", 10)] {
        let mut client = server.connect();
        client.send(request);
        client.half_close();
        // It was answered before anybody knew.
        assert!(matches!(client.answer().status, 404 | 405));
        client.end();
    }
}
