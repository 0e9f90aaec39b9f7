//! Connections that the kernel gives out with their first bytes: answered as any, and closed before a poll ever knew of them.
#![cfg(target_os = "linux")]

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use anabranch_core::Lane;
use anabranch_core::app::{Context, Outcome, Request, Response, service_fn};
use anabranch_std::{ListenOptions, Listener, Reuse, serve};

use crate::models::{Config, MODELS, Server, get, read_until};

/// Longer than any of these tests may take: what is served here has sent something.
const FOREVER: Duration = Duration::from_secs(60);

fn each_model(test: impl Fn(Server)) {
    for model in MODELS {
        let mut options = ListenOptions::default();
        options.reuse_port = Reuse::Allowed;
        options.defer_accept = FOREVER;
        let listener = Listener::bind_with("127.0.0.1:0", &options).unwrap();
        let service = service_fn(|request: &mut Request, _: &mut Context<'_>| -> Outcome {
            match request.path() {
                "/slow" => Outcome::defer(Lane::DEFAULT, |_| Response::text("slow.")),
                "/large" => Response::text("x".repeat(4 << 20) + ".").into(),
                "/echo" => Outcome::stream(|_, incoming, _| Response::typed("text/plain", incoming)),
                _ => Response::text("fast.").into(),
            }
        });
        test(Server(serve(&Config::new(*model), [listener], service).unwrap()));
    }
}

#[test]
fn first_bytes_are_answered_in_full_whatever_they_ask_for() {
    each_model(|server| {
        for path in ["/fast", "/slow", "/large"] {
            let mut stream = server.connect();
            let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with('.'), "{path}: {answer:.100}");
        }
        server.ends();
    });
}

#[test]
fn first_bytes_may_be_a_part_of_a_head_and_the_connection_may_be_kept() {
    each_model(|server| {
        let mut stream = server.connect();
        stream.write_all(b"GET /fast HT").unwrap();
        while server.0.counters().accepted == 0 {
            std::thread::yield_now();
        }
        stream.write_all(b"TP/1.1\r\nHost: a\r\n\r\n").unwrap();
        read_until(&mut stream, "fast.");
        get(&mut stream, "/slow", "slow.");
        // More than its peer takes at once: room for output is heard of too.
        get(&mut stream, "/large", "x.");
        let body = "y".repeat(1 << 20);
        let head = format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len() + 1);
        let mut sender = stream.try_clone().unwrap();
        let sends = std::thread::spawn(move || {
            sender.write_all((head + &body + ".").as_bytes()).unwrap();
            sender.shutdown(Shutdown::Write).unwrap();
        });
        read_until(&mut stream, "y.");
        sends.join().unwrap();
        server.ends();
    });
}

#[test]
fn silent_connection_is_none_of_the_servers_and_holds_no_drain_up() {
    each_model(|server| {
        let silent = server.connect();
        get(&mut server.connect(), "/fast", "fast.");
        assert_eq!(server.0.counters().accepted, 1);
        server.ends();
        drop(silent);
    });
}
