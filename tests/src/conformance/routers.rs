//! An axum `Router`, unchanged, with no runtime anywhere.

use std::io::Write;
use std::thread;
use std::time::Duration;

use super::model::Model;
use super::server::Server;
use crate::axum_app::conversation::{CONVERSATION, masked, on_the_wire};
use crate::axum_app::{BODY_LIMIT, app};
use crate::client::{Client, Framing, get, post_head};

fn serve(model: &Model) -> Server {
    model.serve_service(anabranch_tower::service(app()), |_| {})
}

pub(super) fn router_gives_the_same_bytes(model: &Model) {
    let server = serve(model);
    let requests: String = CONVERSATION.iter().map(|(request, _)| on_the_wire(request)).collect();
    let answers: String = CONVERSATION.iter().map(|(_, answer)| *answer).collect();
    let mut at_once = server.connect();
    at_once.send(&requests);
    assert_eq!(masked(&at_once.rest()), answers);
    drop(at_once);
    let mut bytewise = server.connect();
    bytewise.send_bytewise(&requests);
    assert_eq!(masked(&bytewise.rest()), answers);
    drop(bytewise);
    for (request, answer) in CONVERSATION {
        let mut alone = server.connect();
        alone.send(on_the_wire(request));
        alone.half_close();
        assert_eq!(masked(&alone.rest()), *answer, "{request}");
    }
}

pub(super) fn router_limits_what_it_takes_whole_and_not_what_it_streams(model: &Model) {
    let server = serve(model);
    for (path, length, status) in [
        ("/upper", BODY_LIMIT, 200),
        ("/upper", BODY_LIMIT + 1, 413),
        ("/count", 3_000_000, 200),
        ("/upper", 3_000_000, 413),
    ] {
        let mut client = server.connect();
        // Who is told before it is through may be cut off: what it was told is what counts.
        client.send(post_head(path, length));
        client.try_send(vec![b'a'; length]);
        client.answer().has_status(status);
    }
}

pub(super) fn router_streams_both_ways_at_once(model: &Model) {
    let server = serve(model);
    let mut client = server.connect();
    let body: Vec<u8> = (0..4 * 1024 * 1024_u32).map(|at| (at % 251) as u8).collect();
    let mut writer = client.writer();
    let sent = [post_head("/echo", body.len()).as_bytes(), &body].concat();
    thread::scope(|scope| {
        scope.spawn(|| writer.write_all(&sent).unwrap());
        let answer = client.answer().has_status(200);
        assert_eq!(answer.framing, Framing::Length);
        assert!(answer.body == body, "another body came back");
    });
    client.get("/").is(200, "hello\n");
}

pub(super) fn router_passes_on_what_has_come(model: &Model) {
    let server = serve(model);
    let mut client = server.connect();
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for piece in ["first", "other"] {
        client.send(format!("5\r\n{piece}\r\n"));
        if piece == "first" {
            assert_eq!(client.head().0, 200);
        }
        assert_eq!(client.take(10), format!("5\r\n{piece}\r\n").as_bytes());
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.take(5), b"0\r\n\r\n");
    client.get("/").is(200, "hello\n");
}

pub(super) fn router_holds_up_a_sender_that_does_not_read(model: &Model) {
    let server = serve(model);
    let mut client = server.connect();
    let piece = vec![b'x'; 1024 * 1024];
    let most = 60 * piece.len();
    client.send(post_head("/echo", most));
    let mut writer = client.writer();
    writer.set_write_timeout(Some(Duration::from_millis(400))).unwrap();
    let mut taken = 0;
    // The kernels' buffers on both sides, and the limits of the connection's own.
    while let Ok(count) = writer.write(&piece) {
        taken += count;
        assert!(taken < most, "{taken} bytes taken of which none was read back");
    }
    assert_eq!(client.head().0, 200);
    assert!(client.take(taken) == vec![b'x'; taken]);
}

pub(super) fn router_that_fails_costs_its_own_connection(model: &Model) {
    let server = serve(model);
    let mut client = server.connect();
    client.send(get("/broken"));
    assert_eq!(client.head().0, 200);
    assert_eq!(client.rest(), b"6\r\nwhole\n\r\n", "an answer that breaks off is not complete");
    drop(client);
    server.last_answer_to(get("/panic")).has_status(500);
    server.connect().get("/").is(200, "hello\n");
}

pub(super) fn router_knows_the_connection(model: &Model) {
    let server = serve(model);
    let mut ids: Vec<String> = Vec::new();
    for _ in 0..2 {
        let mut client = server.connect();
        ids.push(client.get("/connection").has_status(200).text().to_owned());
        client.get("/connection").is(200, &**ids.last().unwrap());
    }
    assert_ne!(ids[0], ids[1]);
}

pub(super) fn router_hands_over_an_upgraded_connection(model: &Model) {
    let server = serve(model);
    let mut client = server.connect();
    client.send("GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nbehind");
    let (status, fields) = client.head();
    assert_eq!(status, 101, "{fields:?}");
    assert_eq!(client.take(6), b"behind");
    echoes(&mut client, "again");
    client.half_close();
    client.end();
    server.connect().get("/upgrade").is(426, "to what?\n");
}

fn echoes(client: &mut Client, text: &str) {
    client.send(text);
    assert_eq!(client.take(text.len()), text.as_bytes());
}
