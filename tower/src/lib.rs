//! Tower services under Anabranch: an axum `Router` runs unchanged under every concurrency model.
//!
//! ```text
//!   core   Service::call(&mut Request) ──────────────────────────────► Outcome ──► any binding, any model
//!             │                                                           ▲
//!   here   request: http::Request<RequestBody>                         response: whole, or a source
//!             │                                                           │      promise: an upgraded connection
//!          call: poll_ready ──► call ──► the future ── ready at once ─────┤
//!             │                              └──────── pending ──► Await ─┘      runtime: entered around all of it
//!   yours  tower_service::Service<http::Request<RequestBody>>: an axum Router, layers, anything
//! ```
//!
//! The handlers' futures are polled on the connection's own thread, under every model: no runtime is needed, unless they ask
//! for one themselves.
//!
//! ```
//! use std::io::{Read, Write};
//! use std::net::TcpStream;
//!
//! use anabranch_std::{Config, Listener, Model, serve};
//! use axum::{Router, routing::post};
//!
//! # fn main() -> std::io::Result<()> {
//! let app: Router = Router::new().route("/upper", post(async |body: String| body.to_uppercase()));
//! let service = anabranch_tower::service(app.with_state(()));
//! let handle = serve(&Config::new(Model::Threads), [Listener::bind("127.0.0.1:0")?], service)?;
//!
//! let mut client = TcpStream::connect(handle.local_addrs()[0])?;
//! client.write_all(b"POST /upper HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello")?;
//! let mut answer = String::new();
//! client.read_to_string(&mut answer)?;
//! assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nHELLO"));
//! # handle.abort();
//! # handle.wait();
//! # Ok(())
//! # }
//! ```
//!
//! # What is held
//!
//! - `poll_ready` comes before each `call`, on the same clone of the service; there is a clone a driver thread, and a request
//!   that waits takes its own along. The service is `Clone + Send`, and need not be `Sync`.
//! - Bodies stream both ways with backpressure, and with trailer fields. `100 Continue` goes out when a body is first polled.
//! - Core frames the answers, whatever the service says: length, chunks, HEAD, 204, 304, the connection's end. An answer that is
//!   there at once, body and all, takes the same way as one that a handler of core's gives in place.
//! - An error of the service is answered with 500, an error of a body cuts its answer off; [`Tower::on_error`] hears of both.
//! - A service that answers 101, or a `CONNECT` with 2xx, has the [connection](upgrade), with what came behind the request.
//!
//! # Limits
//!
//! A handler must not block where handlers run in a loop. What needs tokio's timers, sockets or tasks needs a runtime of
//! tokio's: see `Tower::with_tokio` (feature `tokio`). axum's own `ws` extractor wants a type that only hyper can make, and
//! refuses: [`upgrade::on`] is there instead. More in `docs/tower.md`.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod body;
mod call;
mod request;
mod response;
mod runtime;
mod service;
pub mod upgrade;

pub use anabranch_core as core;
pub use body::RequestBody;
pub use service::{BoxError, HttpService, Tower, service};

/// The README's example is compiled like any other.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
