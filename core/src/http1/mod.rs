//! The HTTP/1.1 server machine: bytes in, events out; commands in, bytes out.

mod chunk;
mod framing;
mod head;
pub mod limits;
mod parse;
mod refusal;
mod scan;

pub use framing::BodyLength;
pub use head::{FieldLines, RequestHead, Trailers};
pub use limits::{Deadlines, Limits, Settings};
pub use refusal::{ChunkFault, FieldFault, LineFault, Refusal};
