//! Suspend, resume, drain, abort: each reaches every thread, wherever it sleeps.

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anabranch_core::AbortReason;
use anabranch_core::lifecycle::Phase;
use anabranch_core::testing::StallWatch;
use anabranch_std::{Config, Model};

use crate::common::{BOUND, Client, Lines, MODELS, Seen, address, eventually, serve, stop};

/// Half a second. A little more for a machine that does other things besides.
const SOON: Duration = Duration::from_millis(500 + 100);

#[test]
fn drain_reaches_a_reader_that_is_blocked() {
    for model in MODELS {
        // Asleep in recv(2), and in poll(2) after a tick of silence.
        for silence in [Duration::from_millis(20), Duration::from_millis(600)] {
            let handle = serve(&Config::new(model), Lines::default());
            let mut client = Client::connect(&handle);
            assert_eq!(client.ask("echo x"), "x");
            thread::sleep(silence);
            let (watch, started) = (StallWatch::start(), Instant::now());
            handle.drain(Duration::from_secs(10));
            assert_eq!(client.rest(), b"");
            assert_eq!(handle.wait().aborted, None);
            let took = watch.running_since(started);
            assert!(took < SOON, "{model} after {silence:?}: {took:?}");
        }
    }
}

#[test]
fn drain_lets_what_has_begun_finish() {
    for model in MODELS {
        for request in ["sleep 200", "work 200", "job 200"] {
            let handle = serve(&Config::new(model), Lines::default());
            let mut client = Client::connect(&handle);
            client.send(&format!("echo x\n{request}\n"));
            assert_eq!(client.line(), "x");
            handle.drain(Duration::from_secs(10));
            assert!(!client.rest().is_empty(), "{model} {request}");
            let summary = handle.wait();
            assert_eq!((summary.aborted, summary.left_behind), (None, 0));
        }
    }
}

#[test]
fn connections_queued_before_a_drain_are_answered() {
    let handle = serve(&Config::new(Model::Pool { workers: 1, queue: 4 }), Lines::default());
    let mut first = Client::connect(&handle);
    first.send("echo x\nsleep 200\n");
    assert_eq!(first.line(), "x");
    let mut queued = Client::connect(&handle);
    queued.send("echo queued\n");
    eventually("the queue", || handle.counters().accepted == 2);
    handle.drain(Duration::from_secs(10));
    assert_eq!(first.rest(), b"slept\n");
    assert_eq!(queued.rest(), b"queued\n");
    assert_eq!(handle.wait().aborted, None);
}

#[test]
fn listeners_close_when_a_drain_begins() {
    for model in MODELS {
        let handle = serve(&Config::new(model), Lines::default());
        let mut client = Client::connect(&handle);
        client.send("echo x\nsleep 700\n");
        assert_eq!(client.line(), "x");
        handle.drain(Duration::from_secs(10));
        let (watch, started) = (StallWatch::start(), Instant::now());
        eventually("the listener's end", || std::net::TcpStream::connect(address(&handle)).is_err());
        let took = watch.running_since(started);
        assert!(took < SOON, "{model}: {took:?}");
        assert_eq!(client.line(), "slept", "{model}");
        handle.wait();
    }
}

#[test]
fn end_of_grace_aborts_what_is_left() {
    const GRACE: Duration = Duration::from_millis(100);
    for model in MODELS {
        for request in ["sleep 9000", "work 9000", "push 9000000"] {
            let handle = serve(&Config::new(model), Lines::default());
            let mut client = Client::connect(&handle);
            client.send(&format!("echo x\n{request}\n"));
            assert_eq!(client.line(), "x");
            let (watch, started) = (StallWatch::start(), Instant::now());
            handle.drain(GRACE);
            let summary = handle.wait();
            assert_eq!(summary.aborted, Some(AbortReason::GraceExpired), "{model} {request}");
            assert_eq!(summary.left_behind, 0);
            assert!(started.elapsed() >= GRACE);
            let took = watch.running_since(started);
            assert!(took < GRACE + SOON, "{model} {request}: {took:?}");
        }
    }
}

#[test]
fn abort_ends_everything_at_once() {
    for model in MODELS {
        let handle = serve(&Config::new(model), Lines::default());
        let mut clients: Vec<_> = (0..6).map(|_| Client::connect(&handle)).collect();
        clients[0].send("echo x\nsleep 9000\n");
        assert_eq!(clients[0].line(), "x");
        clients[1].send("work 9000\n");
        clients[2].send("push 9000000\n");
        let (watch, started) = (StallWatch::start(), Instant::now());
        handle.abort();
        assert_eq!(handle.wait().aborted, Some(AbortReason::Requested), "{model}");
        let took = watch.running_since(started);
        assert!(took < SOON, "{model}: {took:?}");
        assert_eq!(handle.phase(), Phase::Stopped);
        let counters = handle.counters();
        assert_eq!((counters.open, counters.served), (0, counters.closed));
    }
}

#[test]
fn suspended_server_serves_and_does_not_accept() {
    for model in [Model::Threads, Model::Pool { workers: 3, queue: 4 }] {
        let handle = serve(&Config::new(model), Lines::default());
        let mut before = Client::connect(&handle);
        assert_eq!(before.ask("echo before"), "before");
        handle.suspend();
        handle.suspend();
        let mut later = Client::connect(&handle);
        later.send("echo later\n");
        assert_eq!(before.ask("echo still"), "still");
        thread::sleep(Duration::from_millis(30));
        assert_eq!(handle.counters().accepted, 1, "{model}");
        handle.resume();
        assert_eq!(later.line(), "later");
        stop(&handle);
    }
}

#[test]
fn thread_that_does_not_end_is_left_behind_and_counted() {
    let mut config = Config::new(Model::Threads);
    config.patience = Duration::from_millis(100);
    let lines = Lines::default();
    let seen = lines.seen.clone();
    let handle = serve(&config, lines);
    let mut client = Client::connect(&handle);
    client.send("block 5000\n");
    eventually("the connection", || Seen::count(&seen.connected) == 1);
    thread::sleep(Duration::from_millis(20));
    let (watch, started) = (StallWatch::start(), Instant::now());
    handle.abort();
    assert_eq!(handle.wait().left_behind, 1);
    let took = watch.running_since(started);
    assert!(took < Duration::from_millis(1000), "{took:?}");
}

#[test]
fn wait_has_a_bound_and_any_number_of_waiters() {
    let handle = serve(&Config::new(Model::Threads), Lines::default());
    assert_eq!(handle.wait_timeout(Duration::from_millis(10)), None);
    let waiters: Vec<_> = (0..3)
        .map(|_| {
            let handle = handle.clone();
            thread::spawn(move || handle.wait())
        })
        .collect();
    let summary = stop(&handle);
    for waiter in waiters {
        assert_eq!(waiter.join().unwrap(), summary);
    }
}

#[test]
fn server_outlives_its_handles() {
    let handle = serve(&Config::new(Model::Threads), Lines::default());
    let (address, events) = (address(&handle), handle.events());
    drop(handle);
    assert_eq!(Client::connect_to(address).ask("echo alone"), "alone");
    assert!(events.try_next().is_some());
}

#[test]
fn no_thread_is_left_after_the_wait() {
    for (number, model) in MODELS.into_iter().enumerate() {
        let mut config = Config::new(model);
        config.name = format!("left{number}");
        let handle = serve(&config, Lines::default());
        let mut clients: Vec<_> = (0..8).map(|_| Client::connect(&handle)).collect();
        for client in &mut clients {
            assert_eq!([client.ask("echo x"), client.ask("job 1")], ["x", "done"]);
            client.send("close\n");
            client.rest();
        }
        let open = Client::connect(&handle);
        assert!(threads_named(&config.name) >= 3, "keeper, acceptor and a lane at least");
        stop(&handle);
        assert_eq!(threads_named(&config.name), 0, "{model}");
        drop(open);
    }
}

/// Threads of this process whose names begin so, once those that are at their end are gone.
fn threads_named(prefix: &str) -> usize {
    // A thread that was joined may still be listed for a moment.
    let until = Instant::now() + Duration::from_millis(50);
    loop {
        let count = std::fs::read_dir("/proc/self/task")
            .unwrap()
            .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
            .filter(|name| name.starts_with(prefix))
            .count();
        if count == 0 || Instant::now() > until {
            return count;
        }
        thread::yield_now();
    }
}

#[test]
fn commands_in_any_order_from_any_thread_end_in_stopped() {
    let handle = serve(&Config::new(Model::Threads), Lines::default());
    let clients = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for round in 0..4 {
            let (handle, clients) = (&handle, &clients);
            scope.spawn(move || {
                for _ in 0..20 {
                    if round % 2 == 0 {
                        handle.suspend();
                    } else {
                        handle.resume();
                    }
                    clients.lock().unwrap().push(std::net::TcpStream::connect(address(handle)));
                }
            });
        }
    });
    handle.drain(Duration::from_secs(5));
    handle.drain(Duration::from_secs(9));
    handle.abort();
    handle.resume();
    assert!(handle.wait_timeout(BOUND).is_some());
}
