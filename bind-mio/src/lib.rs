//! A reactor written by hand on mio, under Anabranch: one event loop, a loop a core, a loop with workers, or stages.
//!
//! ```text
//!   Model::Reactor        one loop: accepts, reads, handles, answers
//!   Model::MultiReactor   so many of them, each with a listener of its own; nothing shared
//!   Model::ReactorPool    one loop waits for everybody; workers read, handle and answer
//!   Model::Staged         threads accept ─► threads of the network ─► lanes
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
//! use anabranch_mio::core::app::service_fn;
//! use anabranch_mio::{Config, Listener, Model, serve};
//!
//! # fn main() -> std::io::Result<()> {
//! let hello = service_fn(|_request, _context| "hello\n");
//! let handle = serve(&Config::new(Model::Reactor), [Listener::bind("127.0.0.1:0")?], hello)?;
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
//! Under [`Model::Reactor`], [`Model::MultiReactor`] and [`Model::Staged`] a handler runs in its loop: what it takes, all
//! connections of that loop wait for. What blocks or computes belongs on a lane
//! ([`Outcome::defer`](anabranch_core::app::Outcome::defer)). Under [`Model::ReactorPool`] it may block, as many at once as
//! there are workers.
#![deny(unsafe_code)]
#![deny(missing_docs)]

mod acceptors;
mod config;
mod connection;
mod doors;
mod gathering;
mod heard;
mod inlet;
#[cfg(not(loom))]
#[expect(unreachable_pub, reason = "tests/loom.rs reaches it")]
mod mailbox;
#[cfg(loom)]
pub mod mailbox;
mod models;
mod outbox;
mod reactor;
#[cfg(target_os = "linux")]
mod shared;
mod slot;
mod socket;
mod sync;
mod table;
mod wakers;
mod workers;

pub use anabranch_core as core;
pub use anabranch_std::{
    DualStack, Events, Handle, LaneConfig, ListenError, ListenOptions, Listener, Reuse, Summary, serve,
    serve_protocol,
};
pub use config::{Config, Model, Ownership, Pinning};

/// The README's example is compiled like any other.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
