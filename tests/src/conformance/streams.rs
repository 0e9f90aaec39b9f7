//! Upgraded connections as streams: the same echo on a lane's thread, in a future, and on a thread of the application's.

use std::io::{Read, Write};
use std::thread;
use std::time::Duration;

use anabranch_core::Lane;
use anabranch_core::app::{Context, Duplex, DuplexStream, Outcome, Request, Response, service_fn};

use super::model::Model;
use super::server::Server;
use crate::client::Client;

const CAPACITY: usize = 16 * 1024;

/// How each path's stream is worked.
const PATHS: [&str; 3] = ["/lane", "/future", "/elsewhere"];

fn serve(model: &Model) -> Server {
    model.serve_service(service_fn(upgrade), |_| {})
}

fn upgrade(request: &mut Request, _: &mut Context<'_>) -> Outcome {
    if !request.offers_protocol(b"echo") {
        return Response::text("plain").into();
    }
    let duplex = Duplex::new(CAPACITY);
    let takeover = match request.path() {
        "/lane" => duplex.on_lane(Lane::DEFAULT, echo),
        "/future" => duplex.with_future(echo_awaited),
        "/elsewhere" => duplex.hand_over(|stream| drop(thread::spawn(move || echo(stream)))),
        _ => duplex.on_lane(Lane::DEFAULT, |mut stream| {
            stream.write_all(b"half").unwrap();
            panic!("{} was asked for", "half of it");
        }),
    };
    Outcome::duplex(Response::switching_to("echo"), takeover)
}

fn echo(mut stream: DuplexStream) {
    let mut buffer = [0; 8192];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
}

async fn echo_awaited(stream: DuplexStream) {
    use futures_lite::io::AsyncWriteExt;
    let (reader, mut writer) = stream.split();
    if futures_lite::io::copy(reader, &mut writer).await.is_ok() {
        let _ = writer.close().await;
    }
}

/// An upgraded connection, with `behind` sent in one piece with the request.
fn switch(server: &Server, path: &str, behind: &[u8]) -> Client {
    let mut client = server.connect();
    let head = format!("GET {path} HTTP/1.1\r\nHost: demo\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
    client.send([head.as_bytes(), behind].concat());
    assert_eq!(client.head().0, 101, "{path}");
    client
}

pub(super) fn stream_echoes_what_came_with_the_request_and_after(model: &Model) {
    let server = serve(model);
    for path in PATHS {
        let mut client = switch(&server, path, b"at once");
        assert_eq!(client.take(7), b"at once", "{path}");
        for message in ["hello", "again"] {
            client.send(message);
            assert_eq!(client.take(5), message.as_bytes(), "{path}");
        }
        client.half_close();
        client.end();
    }
    server.connect().get("/").is(200, "plain");
}

pub(super) fn stream_gives_back_what_was_sent_before_the_end(model: &Model) {
    let server = serve(model);
    let sent: Vec<u8> = (0..3 * 1024 * 1024_u32).map(|at| (at % 251) as u8).collect();
    for path in PATHS {
        let mut client = switch(&server, path, b"");
        let mut writer = client.writer();
        thread::scope(|scope| {
            scope.spawn(|| {
                writer.write_all(&sent).unwrap();
                writer.shutdown(std::net::Shutdown::Write).unwrap();
            });
            assert!(client.rest() == sent, "{path}: other bytes came back");
        });
    }
}

pub(super) fn stream_holds_up_a_sender_that_does_not_read(model: &Model) {
    let server = serve(model);
    for path in PATHS {
        let mut client = switch(&server, path, b"");
        let mut writer = client.writer();
        writer.set_write_timeout(Some(Duration::from_millis(400))).unwrap();
        let piece = vec![b'x'; 1024 * 1024];
        let mut taken = 0;
        // The kernels' buffers on both sides, and the stream's.
        while let Ok(count) = writer.write(&piece) {
            taken += count;
            assert!(taken < 200 * piece.len(), "{path}: {taken} bytes taken of which none was read back");
        }
        assert!(client.take(taken) == vec![b'x'; taken], "{path}");
        client.half_close();
        client.end();
    }
}

pub(super) fn stream_whose_job_panics_is_reset(model: &Model) {
    let server = serve(model);
    let mut client = switch(&server, "/panics", b"");
    assert!(b"half".starts_with(&client.rest_before_reset()));
    server.connect().get("/").is(200, "plain");
}

pub(super) fn stream_comes_to_its_end_in_a_drain_and_is_reset_by_an_abort(model: &Model) {
    for path in PATHS {
        let server = serve(model);
        let mut client = switch(&server, path, b"before");
        assert_eq!(client.take(6), b"before", "{path}");
        server.drain(Duration::from_secs(10));
        client.end();

        let server = serve(model);
        let mut client = switch(&server, path, b"before");
        assert_eq!(client.take(6), b"before", "{path}");
        server.abort();
        assert_eq!(client.rest_before_reset(), b"", "{path}");
    }
}

pub(super) fn stream_whose_peer_is_gone_frees_its_thread(model: &Model) {
    let server = serve(model);
    // More than a lane has threads.
    for _ in 0..40 {
        let mut client = switch(&server, "/lane", b"x");
        assert_eq!(client.take(1), b"x");
        client.reset();
    }
    server.connect().get("/").is(200, "plain");
}
