//! Blocking threads under Anabranch: one server logic, carried one connection at a time, a thread a connection, or by a
//! pool of workers.
#![deny(unsafe_code)]
#![deny(missing_docs)]

mod acceptor;
mod config;
mod connection;
mod control;
mod crew;
mod events;
mod handle;
mod lanes;
mod listener;
mod models;
mod parker;
mod receive;
mod shared;
mod transport;
mod watch;
mod workspace;

pub use config::{Config, LaneConfig, Model};
pub use events::Events;
pub use handle::{Handle, serve_protocol};
pub use listener::{DualStack, ListenError, ListenOptions, Listener, Reuse};
pub use shared::Summary;
