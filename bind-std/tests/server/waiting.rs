//! A thread waits for all that can unblock its flow, and for nothing else.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;
use std::time::{Duration, Instant};

use anabranch_core::lifecycle::EventKind;
use anabranch_core::testing::StallWatch;
use anabranch_core::{CloseReason, DeadlineKind, Lane};
use anabranch_std::{Config, Handle, LaneConfig, Listener, Model, serve_protocol};

use crate::common::{BOUND, Client, Lines, Seen, eventually, serve, stop};

/// Why the first connection of this server closed.
fn close_reason(handle: &Handle) -> CloseReason {
    let events = handle.events();
    let until = Instant::now() + BOUND;
    loop {
        let event = events.next_timeout(until.saturating_duration_since(Instant::now()));
        if let EventKind::Closed { reason, .. } = event.expect("the connection closes").kind {
            return reason;
        }
    }
}

#[test]
fn thread_that_waits_for_a_job_hears_its_peer_and_the_other_way_round() {
    let handle = serve(&Config::new(Model::Threads), Lines::default());
    let mut client = Client::connect(&handle);
    client.send("job 300\n");
    assert_eq!(client.ask("echo meanwhile"), "meanwhile");
    assert_eq!(client.line(), "done");
    // Nothing comes from the peer now: only the job can wake the thread.
    let (watch, started) = (StallWatch::start(), Instant::now());
    assert_eq!(client.ask("job 20"), "done");
    let took = watch.running_since(started);
    assert!(
        took < Duration::from_millis(200),
        "the job's end was seen when it came, not at a tick: {took:?}"
    );
    stop(&handle);
}

#[test]
fn many_short_jobs_lose_no_wakeup() {
    let handle = serve(&Config::new(Model::Threads), Lines::default());
    let mut clients: Vec<_> = (0..4).map(|_| Client::connect(&handle)).collect();
    for _ in 0..300 {
        clients.iter_mut().for_each(|client| client.send("work 0\njob 0\n"));
        clients.iter_mut().for_each(|client| assert_eq!([client.line(), client.line()], ["done", "done"]));
    }
    stop(&handle);
}

#[test]
fn waiting_for_a_job_with_a_half_closed_peer_neither_spins_nor_cancels() {
    let lines = Lines::default();
    let seen = lines.seen.clone();
    let handle = serve(&Config::new(Model::Threads), lines);
    let mut client = Client::connect(&handle);
    client.send("work 200\n");
    client.stream().shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.line(), "done");
    assert!(Seen::count(&seen.runs) < 30, "{seen:?}");
    assert_eq!((Seen::count(&seen.resets), Seen::count(&seen.cancelled)), (0, 0));
    stop(&handle);
}

#[test]
fn reset_while_only_a_job_is_waited_for_cancels_the_job() {
    let lines = Lines::default();
    let seen = lines.seen.clone();
    let handle = serve(&Config::new(Model::Threads), lines);
    let mut client = Client::connect(&handle);
    client.send("echo x\nwork 10000\n");
    assert_eq!(client.line(), "x");
    eventually("the job", || Seen::count(&seen.started) == 1);
    reset(client);
    eventually("the reset", || Seen::count(&seen.resets) == 1);
    eventually("the cancellation", || Seen::count(&seen.cancelled) == 1);
    assert_eq!(close_reason(&handle), CloseReason::PeerReset);
    stop(&handle);
}

#[test]
fn peer_that_half_closed_and_is_gone_then_does_not_make_its_thread_spin() {
    let lines = Lines::default();
    let seen = lines.seen.clone();
    let handle = serve(&Config::new(Model::Threads), lines);
    let mut client = Client::connect(&handle);
    client.send("job 400\n");
    client.stream().shutdown(Shutdown::Write).unwrap();
    eventually("the job", || Seen::count(&seen.started) == 1);
    thread::sleep(Duration::from_millis(50));
    reset(client);
    eventually("the end", || Seen::count(&seen.open) == 0);
    assert!(Seen::count(&seen.runs) < 30, "{seen:?}");
    stop(&handle);
}

/// Leaves without a goodbye.
fn reset(client: Client) {
    let stream = client.reader.into_inner();
    rustix::net::sockopt::set_socket_linger(stream.as_fd(), Some(Duration::ZERO)).unwrap();
}

#[test]
fn idle_connection_neither_ticks_nor_spins() {
    let lines = Lines::default();
    let seen = lines.seen.clone();
    let handle = serve(&Config::new(Model::Threads), lines);
    let mut client = Client::connect(&handle);
    // A job before: its wake must not ring on.
    assert_eq!(client.ask("work 5"), "done");
    thread::sleep(Duration::from_millis(600));
    let runs = Seen::count(&seen.runs);
    thread::sleep(Duration::from_millis(900));
    assert_eq!(Seen::count(&seen.runs), runs);
    assert_eq!(client.ask("echo back"), "back");
    stop(&handle);
}

#[test]
fn deadline_moves_with_each_message_and_holds_when_none_comes() {
    for idle in [60, 200, 700] {
        let idle = Duration::from_millis(idle);
        // A machine that stops the client for as long as that is no fault of the server's: then again.
        assert!((0..5).any(|_| deadline_moves_and_holds(idle)), "{idle:?}");
    }
}

/// False when a message came too late to tell.
fn deadline_moves_and_holds(idle: Duration) -> bool {
    let handle = serve(&Config::new(Model::Threads), Lines { idle: Some(idle), ..Lines::default() });
    let mut client = Client::connect(&handle);
    let (watch, mut alive_at) = (StallWatch::start(), Instant::now());
    for _ in 0..6 {
        thread::sleep(idle / 3);
        // Before it is sent: the server's time may begin before the client is told that it was.
        let sent_at = Instant::now();
        let _ = client.stream().write_all(b"echo alive\n");
        if alive_at.elapsed() > idle * 2 / 3 {
            return false;
        }
        alive_at = sent_at;
        assert_eq!(client.line(), "alive");
    }
    assert_eq!(client.rest(), b"");
    let took = alive_at.elapsed();
    assert!(took >= idle, "{took:?} is before {idle:?}");
    let running = watch.running_since(alive_at);
    assert!(running < idle + Duration::from_millis(500), "{running:?} is long after {idle:?}");
    assert_eq!(close_reason(&handle), CloseReason::TimedOut(DeadlineKind::Idle));
    stop(&handle);
    true
}

#[test]
fn sleep_of_the_application_is_as_long_as_it_says() {
    let handle = serve(&Config::new(Model::Threads), Lines::default());
    let mut client = Client::connect(&handle);
    for millis in [0, 1, 10, 120] {
        // A pause before: the deadline counts from the message, not from when the thread began to wait for it.
        thread::sleep(Duration::from_millis(60));
        let (watch, started) = (StallWatch::start(), Instant::now());
        assert_eq!(client.ask(&format!("sleep {millis}")), "slept");
        let took = started.elapsed();
        assert!(took >= Duration::from_millis(millis), "{took:?} for {millis} ms");
        let running = watch.running_since(started);
        assert!(running < Duration::from_millis(millis + 200), "{running:?} for {millis} ms");
    }
    stop(&handle);
}

#[test]
fn peer_that_takes_nothing_is_cut_off_at_its_deadline() {
    let lines = Lines { write_stall: Some(Duration::from_millis(150)), ..Lines::default() };
    let handle = serve(&Config::new(Model::Threads), lines);
    let mut client = Client::connect(&handle);
    client.send("push 20000000\n");
    assert_eq!(close_reason(&handle), CloseReason::TimedOut(DeadlineKind::WriteStall));
    stop(&handle);
}

#[test]
fn peer_that_sends_without_reading_is_read_while_its_answers_wait() {
    let handle = serve(&Config::new(Model::Threads), Lines::default());
    let mut client = Client::connect(&handle);
    // Far more than what the two sockets hold between them, in both directions.
    let line = format!("echo {}\n", "y".repeat(4_000));
    let lines = 5_000;
    client.send(&line.repeat(lines));
    client.stream().shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.rest().len(), lines * 4_001);
    stop(&handle);
}

#[test]
fn full_lane_refuses_at_once() {
    let mut config = Config::new(Model::Threads);
    config.lanes = vec![LaneConfig::new(Lane::DEFAULT, 1, 1)];
    let handle = serve(&config, Lines::default());
    let mut clients: Vec<_> = (0..2).map(|_| Client::connect(&handle)).collect();
    for client in &mut clients {
        client.send("work 9000\n");
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(Client::connect(&handle).ask("work 1"), "refused");
    handle.abort();
    assert_eq!(handle.wait().left_behind, 0);
}

#[test]
fn local_sockets_are_served_too() {
    let path = std::env::temp_dir().join(format!("anabranch-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = Listener::from_unix(UnixListener::bind(&path).unwrap()).unwrap();
    let handle = serve_protocol(&Config::new(Model::Threads), [listener], Lines::default()).unwrap();
    assert!(handle.local_addrs().is_empty());
    let mut stream = UnixStream::connect(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    stream.write_all(b"echo near\nwork 5\nclose\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "near\ndone\n");
    stop(&handle);
}
