//! What a connection may cost: its peer is held up rather than buffered for.

use std::io::{ErrorKind, Read, Write};
use std::thread;
use std::time::Duration;

use anabranch_core::Lane;
use anabranch_core::app::{Context, Outcome, Request, Response, service_fn};

use crate::models::{Config, MODELS, Server, read_until};

/// A flow that yields is not read: what its peer sends stays in the kernel's buffers, which are bounded, and the peer's
/// writes come to a stop.
#[test]
fn peer_is_held_up_by_its_window_while_the_flow_yields() {
    for model in MODELS {
        let (release, held) = std::sync::mpsc::channel::<()>();
        let held = std::sync::Arc::new(std::sync::Mutex::new(held));
        let server = Server::start(
            &Config::new(*model),
            service_fn(move |_: &mut Request, _: &mut Context<'_>| -> Outcome {
                let held = held.clone();
                Outcome::defer(Lane::DEFAULT, move |_| {
                    let _ = held.lock().unwrap().recv();
                    Response::text("done")
                })
            }),
        );
        let mut client = server.connect();
        client.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
        client.write_all(b"GET /first HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let requests = "GET /more HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2048);
        let mut sent = 0;
        let stopped = loop {
            match client.write(requests.as_bytes()) {
                Ok(count) => sent += count,
                Err(error) => break error,
            }
            assert!(sent < 64 << 20, "{model:?}: {sent} bytes taken while nothing is answered");
        };
        assert_eq!(stopped.kind(), ErrorKind::WouldBlock, "{model:?}");
        drop(release);
        // It goes on where it was.
        read_until(&mut client, "done");
        drop(client);
        server.0.abort();
        server.0.wait();
    }
}

/// A peer that reads nothing stops its connection, not its neighbours.
#[test]
fn peer_that_does_not_read_costs_itself_only() {
    for model in MODELS {
        let server = Server::start(
            &Config::new(*model),
            service_fn(|request: &mut Request, _: &mut Context<'_>| -> Outcome {
                if request.path() == "/large" {
                    return Response::typed("application/octet-stream", vec![b'x'; 16 << 20]).into();
                }
                Response::text("hello").into()
            }),
        );
        let mut stuck = server.connect();
        stuck.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let mut first = [0; 15];
        stuck.read_exact(&mut first).unwrap();
        let mut modest = server.connect();
        for _ in 0..50 {
            crate::models::get(&mut modest, "/", "hello");
        }
        drop((modest, stuck));
        server.ends();
    }
}

/// Output that is stuck goes on as soon as its peer reads: that is not to be missed where no other event comes with it, for all
/// input has come before, and no deadline is near. Which comes last is the kernel's to say: so several times.
#[test]
fn echo_that_is_stuck_goes_on_when_its_peer_reads() {
    const BYTES: usize = 1 << 20;
    const TIMES: usize = 30;
    let mut request = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {BYTES}\r\n\r\n").into_bytes();
    request.resize(request.len() + BYTES, b'x');
    for model in MODELS {
        let server = Server::start(
            &Config::new(*model),
            service_fn(|_: &mut Request, _: &mut Context<'_>| {
                Outcome::stream(|_, incoming, _| Response::ok(incoming))
            }),
        );
        for _ in 0..TIMES {
            let mut client = server.connect();
            client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            // It fits into what the kernel holds for both ways.
            client.write_all(&request).unwrap();
            thread::sleep(Duration::from_millis(5));
            let mut answer = vec![0; BYTES];
            client.read_exact(&mut answer).unwrap_or_else(|error| panic!("{model:?}: {error}"));
        }
        server.ends();
    }
}
