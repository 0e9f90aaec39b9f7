//! The servers: ours by model, and peers that block as ours do. Each answers `/plaintext` and echoes what is posted.

use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread;

use anabranch_core::app::{Context, Outcome, Request, Response, service_fn};
use anabranch_std::{Config, Listener, Model};
use http::StatusCode;

use crate::raw;
use crate::scenario::HELLO;

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Engine {
    /// Ours: a thread a connection.
    Threads,
    /// Ours: a thread a connection, from a pool.
    Pool,
    /// A thread a connection, SIMD parsing, nothing above HTTP.
    Khttp,
    /// hyper on a pool of blocking threads.
    Astra,
    /// The oldest of the blocking ones.
    TinyHttp,
    /// One epoll loop that finds the end of a head and sends what it has: the limit.
    Raw,
}

/// As many as there are connections in any scenario.
const WORKERS: usize = 64;

impl Engine {
    pub fn all() -> impl Iterator<Item = Self> {
        <Self as clap::ValueEnum>::value_variants().iter().copied()
    }

    pub fn name(self) -> String {
        clap::ValueEnum::to_possible_value(&self)
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Whether it is a peer that a blocking model of ours is to be compared with.
    pub const fn is_blocking_peer(self) -> bool {
        matches!(self, Self::Khttp | Self::Astra | Self::TinyHttp)
    }

    /// Serves until the process is ended.
    pub fn serve(self, port: u16) -> io::Result<()> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        match self {
            Self::Threads => ours(Model::Threads, address),
            Self::Pool => ours(Model::Pool { workers: WORKERS, queue: WORKERS }, address),
            Self::Khttp => khttp(address),
            Self::Astra => astra(address),
            Self::TinyHttp => tiny_http(address),
            Self::Raw => raw::serve(address),
        }
    }
}

fn ours(model: Model, address: SocketAddr) -> io::Result<()> {
    let service = service_fn(|request: &mut Request, _: &mut Context<'_>| -> Outcome {
        match request.path() {
            "/plaintext" => Response::typed("text/plain", HELLO).into(),
            "/echo" => {
                Outcome::collect(1 << 20, |_, body, _| Response::typed("application/octet-stream", body))
            }
            _ => StatusCode::NOT_FOUND.into(),
        }
    });
    let mut config = Config::default();
    config.model = model;
    anabranch_std::serve(&config, [Listener::bind(address)?], service)?.wait();
    Ok(())
}

fn khttp(address: SocketAddr) -> io::Result<()> {
    use khttp::{Headers, Method, Server};

    let mut app = Server::builder(address)?;
    app.thread_count(WORKERS);
    app.route(Method::Get, "/plaintext", |_, response| {
        let mut headers = Headers::new();
        headers.add("content-type", b"text/plain");
        headers.add("server", b"khttp");
        response.ok(&headers, HELLO)
    });
    app.route(Method::Post, "/echo", |mut context, response| {
        let body = context.body().vec().unwrap_or_default();
        response.ok(Headers::empty(), body)
    });
    app.build().serve_threaded()
}

fn astra(address: SocketAddr) -> io::Result<()> {
    use astra::{Body, ResponseBuilder, Server};

    Server::bind(address).max_workers(WORKERS).serve(|mut request: astra::Request, _| {
        let mut body = Vec::new();
        match request.uri().path() {
            "/plaintext" => body.extend_from_slice(HELLO.as_bytes()),
            _ => drop(request.body_mut().reader().read_to_end(&mut body)),
        }
        // Its bodies do not know their length: it would be chunked.
        let response = ResponseBuilder::new()
            .header("content-type", "text/plain")
            .header("server", "astra")
            .header("content-length", body.len());
        response.body(Body::new(body)).unwrap_or_default()
    })
}

fn tiny_http(address: SocketAddr) -> io::Result<()> {
    let server = Arc::new(tiny_http::Server::http(address).map_err(io::Error::other)?);
    let workers: Vec<_> = (0..WORKERS)
        .map(|_| {
            let server = Arc::clone(&server);
            thread::spawn(move || {
                while let Ok(mut request) = server.recv() {
                    let mut body = Vec::new();
                    if request.url() == "/plaintext" {
                        body.extend_from_slice(HELLO.as_bytes());
                    } else {
                        let _ = request.as_reader().read_to_end(&mut body);
                    }
                    let _ = request.respond(tiny_http::Response::from_data(body));
                }
            })
        })
        .collect();
    for worker in workers {
        let _ = worker.join();
    }
    Ok(())
}
