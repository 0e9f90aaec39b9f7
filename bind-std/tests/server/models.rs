//! Each model carries the same conversation; what differs is who waits for whom.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{Client, Lines, MODELS, Seen, eventually, serve, stop};
use anabranch_core::CloseReason;
use anabranch_core::lifecycle::{AtLimit, EventKind};
use anabranch_std::{Config, Listener, Model, serve_protocol};

#[test]
fn each_model_carries_a_conversation() {
    for model in MODELS {
        let handle = serve(&Config::new(model), Lines::default());
        let mut client = Client::connect(&handle);
        for number in 0..50 {
            assert_eq!(client.ask(&format!("echo {number}")), number.to_string(), "{model}");
        }
        client.send("echo one\necho two\necho three\n");
        assert_eq!([client.line(), client.line(), client.line()], ["one", "two", "three"]);
        assert_eq!(client.ask("job 5"), "done");
        assert_eq!(client.ask("work 5"), "done");
        assert_eq!(client.ask("sleep 5"), "slept");
        client.send("push 3000000\n");
        let mut body = vec![0; 3_000_000];
        client.reader.read_exact(&mut body).unwrap();
        client.send("close\n");
        assert_eq!(client.rest(), b"");
        let summary = stop(&handle);
        assert_eq!((summary.counters.served, summary.counters.closed), (1, 1), "{model}");
    }
}

#[test]
fn client_that_shuts_its_half_down_has_its_answer() {
    for model in MODELS {
        let handle = serve(&Config::new(model), Lines::default());
        for request in ["sleep 30\n", "work 30\n", "job 30\n", "echo x\n"] {
            let mut client = Client::connect(&handle);
            client.send(request);
            client.stream().shutdown(Shutdown::Write).unwrap();
            assert!(!client.rest().is_empty(), "{model} {request}");
        }
        stop(&handle);
    }
}

#[test]
fn single_serves_one_connection_after_the_other() {
    let lines = Lines::default();
    let seen = lines.seen.clone();
    let handle = serve(&Config::new(Model::Single), lines);
    let mut first = Client::connect(&handle);
    assert_eq!(first.ask("echo first"), "first");
    let mut second = Client::connect(&handle);
    second.send("echo second\n");
    thread::sleep(Duration::from_millis(50));
    assert_eq!(Seen::count(&seen.connected), 1);
    first.send("close\n");
    assert_eq!(second.line(), "second");
    stop(&handle);
}

#[test]
fn pool_of_five_serves_five_at_a_time() {
    let lines = Lines::default();
    let seen = lines.seen.clone();
    let handle = serve(&Config::new(Model::Pool { workers: 5, queue: 2 }), lines);
    let address = crate::common::address(&handle);
    let started = Instant::now();
    let clients: Vec<_> = (0..20)
        .map(|_| {
            thread::spawn(move || {
                let mut client = Client::connect_to(address);
                assert_eq!(client.ask("sleep 40"), "slept");
                client.send("close\n");
                client.rest();
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    assert!(started.elapsed() >= Duration::from_millis(160), "four rounds of 40 ms");
    assert_eq!(Seen::count(&seen.most_open), 5);
    // What is accepted beyond the workers is bounded by the queue; the rest waited in the kernel's.
    assert!(handle.counters().peak <= 7);
    stop(&handle);
}

#[test]
fn pool_without_queue_accepts_only_for_a_free_worker() {
    let handle = serve(&Config::new(Model::Pool { workers: 2, queue: 0 }), Lines::default());
    let mut clients: Vec<_> = (0..3).map(|_| Client::connect(&handle)).collect();
    assert_eq!(clients[0].ask("echo a"), "a");
    assert_eq!(clients[1].ask("echo b"), "b");
    clients[2].send("echo c\n");
    thread::sleep(Duration::from_millis(30));
    assert_eq!(handle.counters().accepted, 2);
    drop(clients.remove(0));
    assert_eq!(clients[1].line(), "c");
    stop(&handle);
}

#[test]
fn threads_wait_for_nobody() {
    let handle = serve(&Config::new(Model::Threads), Lines::default());
    let mut clients: Vec<_> = (0..50).map(|_| Client::connect(&handle)).collect();
    let started = Instant::now();
    clients.iter_mut().for_each(|client| client.send("sleep 100\n"));
    clients.iter_mut().for_each(|client| assert_eq!(client.line(), "slept"));
    assert!(started.elapsed() < Duration::from_millis(50 * 100 / 4), "they slept side by side");
    stop(&handle);
}

#[test]
fn all_listeners_are_served() {
    for model in MODELS {
        let listeners = [(); 3].map(|()| Listener::bind("127.0.0.1:0").unwrap());
        let handle = serve_protocol(&Config::new(model), listeners, Lines::default()).unwrap();
        assert_eq!(handle.local_addrs().len(), 3);
        for address in handle.local_addrs() {
            let mut client = Client::connect_to(*address);
            assert_eq!(client.ask("echo here"), "here");
        }
        stop(&handle);
    }
}

#[test]
fn limit_is_hard_and_newcomers_wait() {
    for model in [Model::Threads, Model::Pool { workers: 8, queue: 8 }] {
        let mut config = Config::new(model);
        config.server.max_connections = 3;
        config.server.at_limit = AtLimit::Pause;
        let lines = Lines::default();
        let seen = lines.seen.clone();
        let handle = serve(&config, lines);
        let mut clients: Vec<_> = (0..6).map(|_| Client::connect(&handle)).collect();
        for client in &mut clients[..3] {
            assert_eq!(client.ask("echo in"), "in");
        }
        for client in &mut clients[3..] {
            client.send("echo in\n");
        }
        thread::sleep(Duration::from_millis(30));
        assert_eq!(Seen::count(&seen.connected), 3);
        for _ in 0..3 {
            drop(clients.remove(0));
        }
        for client in &mut clients {
            assert_eq!(client.line(), "in");
        }
        assert_eq!(Seen::count(&seen.most_open), 3, "{model}");
        stop(&handle);
    }
}

#[test]
fn limit_is_hard_and_newcomers_are_told() {
    for model in [Model::Threads, Model::Pool { workers: 8, queue: 8 }] {
        let mut config = Config::new(model);
        config.server.max_connections = 2;
        config.server.at_limit = AtLimit::Refuse;
        let handle = serve(&config, Lines::default());
        let mut clients: Vec<_> = (0..2).map(|_| Client::connect(&handle)).collect();
        for client in &mut clients {
            assert_eq!(client.ask("echo in"), "in");
        }
        for _ in 0..5 {
            assert_eq!(Client::connect(&handle).rest(), b"full\n");
        }
        drop(clients.pop());
        eventually("room", || {
            let mut client = Client::connect(&handle);
            // The server may have refused and closed already.
            let _ = client.stream().write_all(b"echo in\n");
            client.line() == "in"
        });
        let summary = stop(&handle);
        assert!(summary.counters.refused >= 5 && summary.counters.peak == 2, "{model}");
    }
}

#[test]
fn panicking_flow_costs_its_own_connection_only() {
    for model in MODELS {
        let lines = Lines::default();
        let seen = lines.seen.clone();
        let handle = serve(&Config::new(model), lines);
        for _ in 0..5 {
            let mut client = Client::connect(&handle);
            client.send("panic\n");
            assert_eq!(client.rest(), b"");
        }
        assert_eq!(Client::connect(&handle).ask("echo alive"), "alive");
        eventually("the end of all flows", || seen.open.load(Ordering::SeqCst) == 0);
        let summary = stop(&handle);
        assert_eq!((summary.counters.served, summary.counters.closed), (6, 6), "{model}");
    }
}

#[test]
fn events_tell_a_connections_life_and_end_with_the_server() {
    let handle = serve(&Config::new(Model::Threads), Lines::default());
    let events = handle.events();
    let mut client = Client::connect(&handle);
    client.ask("echo x");
    client.send("close\n");
    client.rest();
    stop(&handle);
    let kinds: Vec<_> = events.map(|event| event.kind).collect();
    assert!(matches!(kinds.first(), Some(EventKind::Listening { address: Some(_), .. })), "{kinds:?}");
    assert!(
        kinds.iter().any(|kind| matches!(kind, EventKind::Closed { reason: CloseReason::Finished, .. })),
        "{kinds:?}"
    );
    assert_eq!(kinds.last(), Some(&EventKind::Stopped));
}

#[test]
fn server_without_a_listener_is_an_error() {
    let error = serve_protocol(&Config::default(), [], Lines::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}
