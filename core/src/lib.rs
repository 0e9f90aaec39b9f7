//! Server protocols as pure state machines: bytes and time go in; bytes, wishes and events come out.
//!
//! No sockets, no threads, no clocks, no logging, no globals. One HTTP server logic is written here, once, as data; a
//! *binding* carries it under a concurrency model: blocking threads, a reactor, tasks, or a loop of your own.
//!
//! ```text
//!   your application        Service: Request ──► Outcome                        app
//!   ────────────────────────────────────────────────────────────────────────────────────
//!   one connection          Flow: read · write · yield · close                  flow
//!                             ├─ http1::Connection, joined with a Service by    app::Http
//!                             ├─ etx: a protocol that is nothing like HTTP      etx
//!                             └─ layers: flows around flows                     layers
//!   one server              Server: accept, limit, drain, stop                  lifecycle
//!   one turn                run · flush · read, within a budget                 drive
//!   ────────────────────────────────────────────────────────────────────────────────────
//!   a binding               sockets, threads, clocks; no protocol decision      anabranch-std, yours
//! ```
//!
//! # Embedding it in a loop of your own
//!
//! A driver is a handful of calls: make a [`Flow`] for each connection, take [turns](drive::turn) with it while there is
//! something to do, and wait for what it is [waiting on](Flow::waiting_on). This is a whole server, for one connection at
//! a time, over a blocking socket:
//!
//! ```
//! use std::io::{self, IoSlice, Read, Write};
//! use std::net::{Shutdown, TcpListener, TcpStream};
//! use std::time::{Instant as Clock, SystemTime, UNIX_EPOCH};
//!
//! use anabranch_core::app::{Http, service_fn};
//! use anabranch_core::drive::{self, Budget, Progress, Readiness, Wire};
//! use anabranch_core::{ConnectionId, ConnectionInfo, Dates, Instant, Pool, Protocol, Turn};
//! use bytes::BytesMut;
//! use core::task::Waker;
//!
//! struct Socket(TcpStream);
//!
//! impl Wire for Socket {
//!     fn read(&mut self, into: &mut BytesMut, max: usize) -> io::Result<usize> {
//!         let mut buffer = [0; 4096];
//!         let room = buffer.len().min(max);
//!         let count = self.0.read(&mut buffer[..room])?;
//!         into.extend_from_slice(&buffer[..count]);
//!         Ok(count)
//!     }
//!     fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
//!         self.0.write_vectored(slices)
//!     }
//!     fn shutdown_write(&mut self) -> io::Result<()> {
//!         self.0.shutdown(Shutdown::Write)
//!     }
//!     fn reset(&mut self) -> io::Result<()> {
//!         // SO_LINGER with a time of zero: a real driver sets it (`socket2` does), so that an answer that was cut off is
//!         // not taken for complete.
//!         Ok(())
//!     }
//! }
//!
//! fn serve_one(listener: &TcpListener, protocol: &impl Protocol) -> io::Result<()> {
//!     let origin = Clock::now();
//!     let now = || Instant::from_duration(origin.elapsed());
//!     let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
//!     let (mut dates, mut pool) = (Dates::anchored(now(), since_epoch), Pool::default());
//!     let mut scratch = BytesMut::with_capacity(4096);
//!
//!     let (stream, peer) = listener.accept()?;
//!     let info = ConnectionInfo::new(ConnectionId(1)).with_addresses(listener.local_addr().ok(), Some(peer));
//!     let mut flow = protocol.connect(info, now());
//!     let mut socket = Socket(stream);
//!     loop {
//!         // The socket blocks, so it is always worth asking. A real driver bounds that by the flow's deadline.
//!         let mut readiness = Readiness::ready();
//!         let mut turn = Turn::new(now(), &mut dates, Waker::noop(), &mut pool);
//!         // No threads for slow work here: every job is given back, and its request is answered with 503.
//!         let mut exec = Err;
//!         let progress =
//!             drive::turn(&mut flow, &mut socket, &mut readiness, &mut scratch, &mut turn, &mut exec, Budget::default());
//!         if let Progress::Finished(reason) = progress {
//!             println!("closed: {}", reason.explain());
//!             return Ok(());
//!         }
//!     }
//! }
//!
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//! let address = listener.local_addr()?;
//! let server = std::thread::spawn(move || serve_one(&listener, &Http::new(service_fn(|_, _| "hello"))));
//!
//! let mut client = TcpStream::connect(address)?;
//! client.write_all(b"GET / HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n")?;
//! let mut answer = String::new();
//! client.read_to_string(&mut answer)?;
//! assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nhello"));
//! server.join().unwrap()?;
//! # Ok::<(), io::Error>(())
//! ```
//!
//! The laws that a driver and a flow keep with each other stand at [`Flow`]; the `testing` feature has a rig that holds a
//! flow to them, and a suite that tells the author of a driver whether it keeps its side.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod app;
mod buf;
#[cfg(test)]
#[path = "../tests/diagrams/mod.rs"]
mod diagrams;
pub mod drive;
pub mod etx;
pub mod fields;
pub mod flow;
pub mod http1;
pub mod info;
pub mod job;
pub mod layers;
pub mod lifecycle;
pub mod outlook;
mod sync;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod time;
pub mod timer;
pub mod turn;

pub use fields::Fields;
pub use flow::{
    AbortReason, CloseKind, CloseReason, Deadline, DeadlineKind, Flow, InputEnd, Protocol, ReadOperation,
    Waiting, WriteOperation, WriteResult,
};
pub use info::{ConnectionId, ConnectionInfo, ExchangeId};
pub use job::{Job, Lane};
pub use outlook::Outlook;
pub use time::{Dates, Instant};
pub use turn::{Pool, Turn};
