//! Nobody starves: neither behind a peer that asks without end, nor behind one that sends without end.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

use anabranch::carrier::Carrier;
use anabranch_async_std::Model as Async;
use anabranch_core::app::{Context, Outcome, Request, Response, service_fn};
use anabranch_mio::{Model as Mio, Ownership};
use anabranch_tokio::Model as Tokio;

use crate::models::{Config, Server, TWO, read_until};

/// The models in which one thread serves many, one at a time: there a connection that is not interrupted starves others.
const ONE_THREAD: [Carrier; 5] = [
    Carrier::Mio(Mio::Reactor),
    Carrier::Mio(Mio::Staged { acceptors: TWO, network: ONE, ownership: Ownership::Shared }),
    Carrier::Tokio(Tokio::Tokio { workers: ONE }),
    Carrier::Tokio(Tokio::TokioLocal { threads: ONE }),
    Carrier::Async(Async::Smol { threads: ONE }),
];

const ONE: NonZeroUsize = NonZeroUsize::MIN;

#[test]
fn peer_with_a_thousand_requests_waiting_lets_others_between() {
    const FLOOD: usize = 1_500;
    // Where another thread accepts, nobody can say how late the other is found.
    let model = Carrier::Mio(Mio::Reactor);
    let order = Arc::new(Mutex::new(Vec::new()));
    let server = Server::start(&Config::new(model), {
        let order = order.clone();
        service_fn(move |request: &mut Request, _: &mut Context<'_>| -> Outcome {
            order.lock().unwrap().push(request.path().to_owned());
            Response::text("hello").into()
        })
    });
    // Both have asked before either is accepted.
    server.0.suspend();
    let (mut greedy, mut modest) = (server.connect(), server.connect());
    greedy.write_all("GET /greedy HTTP/1.1\r\nHost: a\r\n\r\n".repeat(FLOOD).as_bytes()).unwrap();
    modest.write_all(b"GET /modest HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut drink = greedy.try_clone().unwrap();
    let drinks = std::thread::spawn(move || {
        let mut answers = Vec::new();
        drink.read_to_end(&mut answers).unwrap();
        answers.windows(9).filter(|window| window == b"\r\n\r\nhello").count()
    });
    server.0.resume();
    read_until(&mut modest, "hello");
    greedy.shutdown(Shutdown::Write).unwrap();
    assert_eq!(drinks.join().unwrap(), FLOOD, "{model:?}: none of the others is lost");
    let order = order.lock().unwrap();
    let before = order.iter().position(|path| path == "/modest").unwrap();
    // A turn's budget is 64 requests; a few turns may pass before the other's first.
    assert!(before <= 5 * 64, "{model:?}: {before} requests of one peer before the first of the other");
    drop(order);
    drop(modest);
    server.ends();
}

#[test]
fn peer_that_sends_without_end_lets_others_between() {
    for model in ONE_THREAD {
        let mut config = Config::new(model);
        // However much is poured until the others are through.
        config.http.limits.max_body_bytes = u64::MAX;
        let server = Server::start(
            &config,
            service_fn(|request: &mut Request, _: &mut Context<'_>| -> Outcome {
                if request.path() == "/modest" {
                    return Response::text("hello").into();
                }
                Outcome::stream(|_, incoming, _| Response::typed("application/octet-stream", incoming))
            }),
        );
        let mut greedy = server.connect();
        greedy.write_all(b"POST /greedy HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        let mut drink = greedy.try_clone().unwrap();
        let drinks = std::thread::spawn(move || std::io::copy(&mut drink, &mut std::io::sink()));
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let pours = std::thread::spawn(move || {
            let chunk = [b"10000\r\n", &[b'x'; 0x10000][..], b"\r\n"].concat();
            while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                greedy.write_all(&chunk).unwrap();
            }
            greedy.write_all(b"0\r\n\r\n").unwrap();
            greedy.shutdown(Shutdown::Write).unwrap();
        });
        // Within the client's patience, each of them.
        for _ in 0..20 {
            let mut modest = server.connect();
            crate::models::get(&mut modest, "/modest", "hello");
        }
        drop(stop);
        pours.join().unwrap();
        drinks.join().unwrap().unwrap();
        server.ends();
    }
}
