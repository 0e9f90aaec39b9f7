//! Tasks under tokio, under Anabranch: a task a connection, on a multi-thread runtime, on a runtime a core, or on the one
//! you have.
//!
//! ```text
//!   Model::Tokio        a multi-thread runtime: a task goes to whichever worker is idle
//!   Model::TokioLocal   a current-thread runtime a core, each with a listener of its own; nothing shared
//!   Model::Current      the runtime that `serve` is called in
//! ```
//!
//! What a connection says and hears is the same under each [`Model`]; what differs is whose threads poll it.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//!
//! use anabranch_tokio::core::app::service_fn;
//! use anabranch_tokio::{Config, Listener, Model, serve};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let hello = service_fn(|_request, _context| "hello\n");
//! let handle = serve(&Config::new(Model::Current), [Listener::bind("127.0.0.1:0")?], hello)?;
//!
//! let client = async {
//!     let mut client = tokio::net::TcpStream::connect(handle.local_addrs()[0]).await?;
//!     client.write_all(b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").await?;
//!     let mut answer = String::new();
//!     client.read_to_string(&mut answer).await?;
//!     assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nhello\n"));
//!     std::io::Result::Ok(())
//! };
//! // Serves until the future is ready, here the client's; then drains, within the grace it is given.
//! let summary = handle.until(async { client.await.unwrap() }, Duration::from_secs(15)).await;
//! assert_eq!(summary.counters.served, 1);
//! # Ok(())
//! # }
//! ```
//!
//! # Handlers
//!
//! A handler runs in its connection's task: what it takes, all tasks of that worker wait for. What blocks or computes
//! belongs on a lane ([`Outcome::defer`](anabranch_core::app::Outcome::defer)): lanes are bounded, and a full one is
//! answered with 503. What awaits is an [`Outcome::future`](anabranch_core::app::Outcome::future), which may use tokio's
//! timers and sockets: it is polled within the runtime.
//!
//! A tower service, such as an axum `Router`, is served by `serve_tower` (feature `tower`, on by default).
//!
//! # Memory, timers, cancellation
//!
//! A connection is a task, a socket and, from its first deadline on, a sleep, which is set anew only when a deadline moves
//! to earlier. Buffers are the thread's, lent for a poll. A task that is dropped, as by a runtime that shuts down, closes
//! its connection; nothing else hangs on it.
#![deny(unsafe_code)]
#![deny(missing_docs)]

mod alarm;
mod config;
mod models;
mod socket;
#[cfg(feature = "tower")]
mod tower;

pub use alarm::SleepAlarm;
pub use anabranch_core as core;
pub use anabranch_std::{
    DualStack, Events, Handle, LaneConfig, ListenError, ListenOptions, Listener, Reuse, Summary, serve,
    serve_protocol,
};
pub use config::{Config, Model};
pub use socket::{Door, SocketWire};
#[cfg(feature = "tower")]
pub use tower::serve_tower;

/// The README's example is compiled like any other.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
