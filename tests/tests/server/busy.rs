//! What a handler that holds its thread up does to others: they wait for it as long as it takes, and for nothing else.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::num::NonZeroUsize;
use std::thread;
use std::time::{Duration, Instant};

use anabranch::carrier::Carrier;
use anabranch_async_std::Model as Async;
use anabranch_core::app::{Context, Outcome, Request, Response, service_fn};
use anabranch_core::testing::StallWatch;
use anabranch_mio::{Model as Mio, Ownership, Pinning};
use anabranch_tokio::Model as Tokio;

use crate::models::{Config, MODELS, Server, get, read_until};

const ONE: NonZeroUsize = NonZeroUsize::MIN;

/// Models whose connections share one thread, that runs handlers.
const ONE_THREAD: &[Carrier] = &[
    Carrier::Mio(Mio::Reactor),
    Carrier::Mio(Mio::MultiReactor { loops: ONE, pinning: Pinning::Free }),
    Carrier::Mio(Mio::ReactorPool { workers: ONE }),
    Carrier::Mio(Mio::Staged { acceptors: ONE, network: ONE, ownership: Ownership::Pinned }),
    Carrier::Mio(Mio::Staged { acceptors: ONE, network: ONE, ownership: Ownership::Shared }),
    Carrier::Tokio(Tokio::Tokio { workers: ONE }),
    Carrier::Tokio(Tokio::TokioLocal { threads: ONE }),
    Carrier::Async(Async::Smol { threads: ONE }),
];

/// A server whose handler sleeps for as many milliseconds as its path says.
fn sleeper(config: &Config) -> Server {
    Server::start(
        config,
        service_fn(|request: &mut Request, _: &mut Context<'_>| {
            thread::sleep(Duration::from_millis(request.path()[1..].parse().unwrap_or_default()));
            Response::text("done.")
        }),
    )
}

fn ask(stream: &mut impl Write, path: &str) {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).unwrap();
}

#[test]
fn request_that_came_in_time_is_answered_however_late_its_thread_comes_for_it() {
    for model in ONE_THREAD {
        let mut config = Config::new(*model);
        config.http.deadlines.idle = Some(Duration::from_secs(2));
        let server = sleeper(&config);
        let (mut slow, mut quick) = (server.connect(), server.connect());
        get(&mut quick, "/0", "done.");
        ask(&mut slow, "/2500");
        thread::sleep(Duration::from_millis(100));
        ask(&mut quick, "/0");
        let answer = read_until(&mut quick, "done.");
        assert!(answer.starts_with("HTTP/1.1 200"), "{model:?}: {answer}");
    }
}

#[test]
fn deadline_comes_no_later_for_what_a_handler_took() {
    for model in ONE_THREAD {
        let watch = StallWatch::start();
        let mut config = Config::new(*model);
        config.http.deadlines.first_byte = Some(Duration::from_secs(2));
        let server = sleeper(&config);
        let mut silent = server.connect();
        let since = Instant::now();
        let mut slow = server.connect();
        thread::sleep(Duration::from_millis(100));
        get(&mut slow, "/1500", "done.");
        let mut told = Vec::new();
        silent.read_to_end(&mut told).unwrap();
        let (took, running) = (since.elapsed(), watch.running_since(since));
        assert!(took >= Duration::from_millis(1900), "{model:?}: {took:?}");
        assert!(running < Duration::from_millis(2900), "{model:?}: {took:?}");
    }
}

#[test]
fn newcomer_behind_a_slow_handler_has_all_its_time() {
    // Where who runs handlers accepts as well.
    for model in &ONE_THREAD[..2] {
        let mut config = Config::new(*model);
        config.http.deadlines.first_byte = Some(Duration::from_secs(2));
        let server = sleeper(&config);
        let (mut first, mut second) = (server.connect(), server.connect());
        get(&mut first, "/0", "done.");
        get(&mut second, "/0", "done.");
        ask(&mut first, "/500");
        thread::sleep(Duration::from_millis(100));
        // Heard of together, once the first is through.
        ask(&mut second, "/2500");
        let mut newcomer = server.connect();
        read_until(&mut second, "done.");
        thread::sleep(Duration::from_millis(50));
        get(&mut newcomer, "/0", "done.");
    }
}

#[test]
fn bytes_before_a_body_breaks_off_are_the_applications_however_soon_it_does() {
    for model in MODELS {
        let echo = service_fn(|_: &mut Request, _: &mut Context<'_>| {
            Outcome::stream(|_, incoming, _| Response::typed("text/plain", incoming))
        });
        let server = Server::start(&Config::new(*model), echo);
        for try_ in 0..20 {
            let mut stream = server.connect();
            stream.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhel").unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.ends_with("hel"), "{model:?}, {try_}: {answer}");
        }
    }
}
