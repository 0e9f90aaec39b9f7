//! Blocking threads under Anabranch: one server logic, carried one connection at a time, a thread a connection, or by a
//! pool of workers.
//!
//! ```text
//!   serve(config, listeners, service) ──► Handle      suspend · resume · drain · abort · wait · events · counters
//!        │
//!        ├─ keeper     one thread: tells the lifecycle the time, joins the others at the end
//!        ├─ acceptor   one thread: poll(2) over all listeners; accepts what has a place
//!        │     └─ Model::Single carries the connection here
//!        ├─ connections   Model::Threads: a thread each        Model::Pool: N workers behind a queue
//!        │     recv ─► Flow ─► send; poll(2) over socket, application, drain, abort where there is more to wait for
//!        └─ lanes      threads for the jobs that handlers defer, behind bounded queues
//! ```
//!
//! What a connection says and hears is the same under each [`Model`]; what differs is who waits for whom, and that is
//! said there.
//!
//! # Example
//!
//! ```
//! use std::io::{Read, Write};
//! use std::net::TcpStream;
//! use std::time::Duration;
//!
//! use anabranch_std::core::app::service_fn;
//! use anabranch_std::{Config, Listener, Model, serve};
//!
//! # fn main() -> std::io::Result<()> {
//! let hello = service_fn(|_request, _context| "hello\n");
//! let handle = serve(&Config::new(Model::Threads), [Listener::bind("127.0.0.1:0")?], hello)?;
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
//! # Panics, descriptors, memory
//!
//! A handler that panics is answered for by the protocol (in HTTP: 500). A panic that leaves a flow, which is a fault of
//! the flow's, ends its own connection and is counted as
//! [`Aborted(Driver)`](anabranch_core::CloseReason::Aborted); the thread goes on.
//!
//! A connection takes one descriptor, and its thread another from the first time that it waits for its application on;
//! a server takes three besides its listeners. Without descriptors it leaves accepting off for a while, as
//! [`ServerConfig::accept_backoff`](anabranch_core::lifecycle::ServerConfig::accept_backoff) says.
//!
//! An idle connection holds its thread's stack, as far as that was used, and no buffer.
#![deny(unsafe_code)]
#![deny(missing_docs)]

mod config;
mod connection;
mod crew;
mod defer_accept;
mod eventfd;
mod events;
mod handle;
pub mod host;
mod lanes;
mod listener;
mod models;
mod parker;
mod shared;
mod signals;
mod stash;
mod sync;
mod transport;
mod watch;

pub use anabranch_core as core;
pub use config::{Config, LaneConfig, Model};
pub use events::Events;
pub use handle::{Handle, serve, serve_protocol};
pub use host::Summary;
pub use listener::{Blocking, Connection, DualStack, ListenError, ListenOptions, Listener, Reuse};

/// The README's example is compiled like any other.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
