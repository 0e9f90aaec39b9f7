//! Listeners, lanes and the end, under every model.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anabranch::carrier::Carrier;
use anabranch_core::Lane;
use anabranch_core::app::{Context, Outcome, Request, Response, service_fn};
use anabranch_mio::{Model as Mio, Pinning};
use anabranch_std::{LaneConfig, Listener, serve};

use crate::models::{Config, MODELS, Server, TWO, get, listener, read_until};

fn hello() -> impl anabranch_core::app::Service {
    service_fn(|_: &mut Request, _: &mut Context<'_>| "hello")
}

#[test]
fn all_listeners_are_served_whether_or_not_they_share_their_ports() {
    for model in MODELS {
        let alone = Listener::bind("127.0.0.1:0").unwrap();
        let handle = serve(&Config::new(*model), [alone, listener()], hello()).unwrap();
        let server = Server(handle);
        for address in server.0.local_addrs() {
            for _ in 0..20 {
                let mut client = std::net::TcpStream::connect(address).unwrap();
                client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
                let mut answer = String::new();
                client.read_to_string(&mut answer).unwrap();
                assert!(answer.ends_with("hello"), "{model:?}: {answer}");
            }
        }
        assert_eq!(server.0.counters().served, 40, "{model:?}");
        server.ends();
    }
}

#[test]
fn port_is_free_once_the_server_has_stopped() {
    for model in MODELS {
        let server = Server::start(&Config::new(*model), hello());
        let address = server.0.local_addrs()[0];
        let mut client = server.connect();
        get(&mut client, "/", "hello");
        server.ends();
        assert_eq!(client.read(&mut [0; 8]).unwrap(), 0, "{model:?}: an idle connection is closed in order");
        // Not shared this time: nobody else may hold it.
        Listener::bind(address).unwrap_or_else(|error| panic!("{model:?}: {error}"));
    }
}

#[test]
fn suspended_server_serves_whom_it_has_and_accepts_the_others_later() {
    for model in MODELS {
        let server = Server::start(&Config::new(*model), hello());
        let mut first = server.connect();
        get(&mut first, "/", "hello");
        server.0.suspend();
        let mut second = server.connect();
        second.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        get(&mut first, "/", "hello");
        assert_eq!(server.0.counters().open, 1, "{model:?}");
        server.0.resume();
        read_until(&mut second, "hello");
        drop((first, second));
        server.ends();
    }
}

#[test]
fn full_server_that_pauses_keeps_everybody_waiting_and_turns_nobody_away() {
    const CLIENTS: usize = 12;
    const REQUESTS: usize = 25;
    for model in MODELS {
        let mut config = Config::new(*model);
        config.server.max_connections = 2;
        let server = Server::start(&config, hello());
        thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    for _ in 0..REQUESTS {
                        let mut client = server.connect();
                        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
                        let mut answer = String::new();
                        client
                            .read_to_string(&mut answer)
                            .unwrap_or_else(|error| panic!("{model:?}: {error}"));
                        assert!(answer.ends_with("hello"), "{model:?}: {answer:?}");
                    }
                });
            }
        });
        let counters = server.0.counters();
        assert_eq!((counters.served, counters.accepted), ((CLIENTS * REQUESTS) as u64, counters.served));
        assert!(counters.peak <= 2, "{model:?}: {counters:?}");
        server.ends();
    }
}

#[test]
fn full_lane_is_answered_at_once_and_quick_answers_go_on() {
    const NARROW: Lane = Lane("narrow");
    for model in MODELS {
        let mut config = Config::new(*model);
        config.lanes.push(LaneConfig::new(NARROW, 1, 1));
        let (release, held) = mpsc::channel::<()>();
        let held = std::sync::Mutex::new(held);
        let held = std::sync::Arc::new(held);
        let server = Server::start(
            &config,
            service_fn(move |request: &mut Request, _: &mut Context<'_>| -> Outcome {
                if request.path() == "/quick" {
                    return Response::text("quick").into();
                }
                let held = held.clone();
                Outcome::defer(NARROW, move |_| {
                    let _ = held.lock().unwrap().recv();
                    Response::text("slow")
                })
            }),
        );
        // One at work and one in the ring; of those that come behind them, each is told.
        let mut slow: Vec<_> = (0..2)
            .map(|number| {
                let mut client = server.connect();
                client.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
                if number == 0 {
                    // Until it is at work, it has the place in the ring.
                    thread::sleep(Duration::from_millis(100));
                }
                client
            })
            .collect();
        thread::sleep(Duration::from_millis(100));
        let mut refused = server.connect();
        refused.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        refused.read_to_string(&mut answer).unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\nretry-after: "),
            "{model:?}: {answer}"
        );
        let mut quick = server.connect();
        get(&mut quick, "/quick", "quick");
        drop(release);
        for client in &mut slow {
            read_until(client, "slow");
        }
        drop((slow, quick));
        server.ends();
    }
}

#[test]
fn peer_that_leaves_while_its_job_runs_costs_nothing_else() {
    for model in MODELS {
        let (started, has_started) = mpsc::channel();
        let (release, held) = mpsc::channel::<()>();
        let held = std::sync::Arc::new(std::sync::Mutex::new(held));
        let server = Server::start(
            &Config::new(*model),
            service_fn(move |request: &mut Request, _: &mut Context<'_>| -> Outcome {
                if request.path() == "/quick" {
                    return Response::text("quick").into();
                }
                let (started, held) = (started.clone(), held.clone());
                Outcome::defer(Lane::DEFAULT, move |_| {
                    started.send(()).unwrap();
                    let _ = held.lock().unwrap().recv();
                    Response::text("nobody reads this")
                })
            }),
        );
        let mut leaves = server.connect();
        leaves.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        has_started.recv().unwrap();
        // With a reset, and not in order.
        socket2::SockRef::from(&leaves).set_linger(Some(Duration::ZERO)).unwrap();
        drop(leaves);
        let mut quick = server.connect();
        for _ in 0..10 {
            get(&mut quick, "/quick", "quick");
        }
        drop(release);
        drop(quick);
        server.ends();
    }
}

#[test]
fn half_closed_peer_gets_the_whole_of_a_large_answer() {
    const BYTES: usize = 8 << 20;
    for model in MODELS {
        let server = Server::start(
            &Config::new(*model),
            service_fn(|_: &mut Request, _: &mut Context<'_>| {
                Response::typed("application/octet-stream", vec![b'x'; BYTES])
            }),
        );
        let mut client = server.connect();
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        // The server's output is stuck by then.
        thread::sleep(Duration::from_millis(50));
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).unwrap();
        assert!(answer.len() > BYTES && answer.ends_with(b"xxxx"), "{model:?}: {} bytes", answer.len());
        server.ends();
    }
}

#[test]
fn loops_that_are_pinned_serve_like_others() {
    let server = Server::start(
        &Config::new(Carrier::Mio(Mio::MultiReactor { loops: TWO, pinning: Pinning::Pinned })),
        hello(),
    );
    for _ in 0..10 {
        get(&mut server.connect(), "/", "hello");
    }
    server.ends();
}
