//! The HTTP/1.1 server machine: bytes in, events out; commands in, bytes out.

pub mod limits;

pub use limits::{Deadlines, Limits, Settings};
