//! Server protocols as pure state machines: bytes and time go in; bytes, wishes and events come out.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod app;
mod buf;
pub mod drive;
pub mod etx;
pub mod fields;
pub mod flow;
pub mod http1;
pub mod info;
pub mod job;
pub mod layers;
pub mod lifecycle;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod time;
pub mod turn;

pub use fields::Fields;
pub use flow::{
    AbortReason, CloseKind, CloseReason, Deadline, DeadlineKind, Flow, InputEnd, Protocol, ReadOperation,
    Waiting, WriteOperation, WriteResult,
};
pub use info::{ConnectionId, ConnectionInfo, ExchangeId};
pub use job::{Job, Lane};
pub use time::{Dates, Instant};
pub use turn::{Pool, Turn};
