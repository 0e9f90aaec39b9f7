//! **async-std is discontinued** (RUSTSEC-2025-0052), and smol is its successor. This crate has a model for each, behind a
//! feature each, and neither by default: take `smol`, unless you still run async-std.
//!
//! A task a connection, over futures-io and async-io, under Anabranch.
//!
//! ```text
//!   Model::Smol        feature `smol`        an executor of the server's own, with as many threads as you like
//!   Model::AsyncStd    feature `async-std`   async-std's executor, one for the process
//!   StreamWire         no feature            any futures-io stream, under a runtime of yours
//! ```
//!
//! What a connection says and hears is the same under each [`Model`]; what differs is whose threads poll it.
//!
//! # Example
//!
//! ```
//! use std::io::{Read, Write};
//! use std::net::TcpStream;
//! use std::time::Duration;
//!
//! use anabranch_async_std::core::app::service_fn;
//! use anabranch_async_std::{Config, Listener, Model, serve};
//!
//! # fn main() -> std::io::Result<()> {
//! let hello = service_fn(|_request, _context| "hello\n");
//! let handle = serve(&Config::new(Model::smol()), [Listener::bind("127.0.0.1:0")?], hello)?;
//!
//! let mut client = TcpStream::connect(handle.local_addrs()[0])?;
//! client.write_all(b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")?;
//! let mut answer = String::new();
//! client.read_to_string(&mut answer)?;
//! assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nhello\n"));
//!
//! handle.drain(Duration::from_secs(15));
//! assert_eq!(handle.wait().counters.served, 1);
//! # Ok(())
//! # }
//! ```
//!
//! # Handlers
//!
//! A handler runs in its connection's task: what it takes, all tasks of that thread wait for. What blocks or computes
//! belongs on a lane ([`Outcome::defer`](anabranch_core::app::Outcome::defer)).
//!
//! # Streams and runtimes of yours
//!
//! A [`StreamWire`] carries a flow over any futures-io [`Stream`]. Whole servers are made of it with
//! [`Tasks`](anabranch_std::host::Tasks), which gives the futures that accept and carry; where there are no listeners, with
//! [`Polled`](anabranch_core::drive::Polled), the driver itself: `tests/src/task_server.rs` serves pipes in memory with it.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

#[cfg(any(feature = "async-std", feature = "smol"))]
mod config;
#[cfg(any(feature = "async-std", feature = "smol"))]
mod models;
#[cfg(any(feature = "async-std", feature = "smol"))]
mod socket;
mod stream;

pub use anabranch_core as core;
pub use anabranch_std::{
    DualStack, Events, Handle, LaneConfig, ListenError, ListenOptions, Listener, Reuse, Summary, serve,
    serve_protocol,
};
#[cfg(any(feature = "async-std", feature = "smol"))]
pub use config::{Config, Model};
#[cfg(any(feature = "async-std", feature = "smol"))]
pub use socket::{Door, SocketWire, TimerAlarm};
pub use stream::{Stream, StreamWire};

/// The README's example is compiled like any other.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
