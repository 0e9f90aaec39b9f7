//! HTTP, as `serve` starts it.

use std::thread;
use std::time::Duration;

use anabranch_core::Lane;
use anabranch_core::lifecycle::AtLimit;
use anabranch_std::core::app::{Outcome, Response, Service, service_fn};
use anabranch_std::{Config, Handle, Listener, Model, serve};

use crate::common::{Client, MODELS, stop};

fn service() -> impl Service {
    service_fn(|request, _| -> Outcome {
        match request.path() {
            "/panic" => panic!("this handler fails on purpose"),
            "/slow" => Outcome::after(Duration::from_millis(100), |_, _| Response::text("slow\n")),
            "/work" => Outcome::defer(Lane::DEFAULT, |_| {
                thread::sleep(Duration::from_millis(20));
                Response::text("work\n")
            }),
            _ => Response::text("hello\n").into(),
        }
    })
}

fn serve_on(config: &Config) -> Handle {
    serve(config, [Listener::bind("127.0.0.1:0").unwrap()], service()).unwrap()
}

fn get(client: &mut Client, path: &str) -> String {
    client.send(&format!("GET {path} HTTP/1.1\r\nHost: here\r\n\r\n"));
    let status = client.line();
    let mut length = 0;
    loop {
        let line = client.line();
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    std::io::Read::read_exact(&mut client.reader, &mut body).unwrap();
    format!("{status} {}", String::from_utf8(body).unwrap())
}

#[test]
fn requests_on_one_connection_are_answered_under_each_model() {
    for model in MODELS {
        let handle = serve_on(&Config::new(model));
        let mut client = Client::connect(&handle);
        for _ in 0..3 {
            assert_eq!(get(&mut client, "/"), "HTTP/1.1 200 OK hello\n", "{model}");
            assert_eq!(get(&mut client, "/slow"), "HTTP/1.1 200 OK slow\n", "{model}");
            assert_eq!(get(&mut client, "/work"), "HTTP/1.1 200 OK work\n", "{model}");
        }
        drop(client);
        stop(&handle);
    }
}

#[test]
fn handler_that_panics_is_a_500_and_the_server_lives_on() {
    for model in MODELS {
        let handle = serve_on(&Config::new(model));
        let answer = get(&mut Client::connect(&handle), "/panic");
        assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
        assert_eq!(get(&mut Client::connect(&handle), "/"), "HTTP/1.1 200 OK hello\n");
        stop(&handle);
    }
}

#[test]
fn newcomer_over_the_limit_is_answered_with_503() {
    let mut config = Config::new(Model::Threads);
    config.server.max_connections = 1;
    config.server.at_limit = AtLimit::Refuse;
    let handle = serve_on(&config);
    let mut first = Client::connect(&handle);
    assert_eq!(get(&mut first, "/"), "HTTP/1.1 200 OK hello\n");
    for _ in 0..3 {
        let mut second = Client::connect(&handle);
        second.send("GET / HTTP/1.1\r\nHost: here\r\n\r\n");
        let answer = String::from_utf8(second.rest()).unwrap();
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.to_ascii_lowercase().contains("\r\nretry-after: "), "{answer}");
    }
    assert_eq!(get(&mut first, "/"), "HTTP/1.1 200 OK hello\n");
    stop(&handle);
}
