//! The HTTP/1.1 server machine: bytes in, events out; commands in, bytes out.
//!
//! ```text
//!   limits    what a peer may ask of us          refusal   the peer's fault: status, limit, remedy
//!   sweep     plain heads, in one pass           misuse    the caller's fault
//!   parse     bytes to a head                    head      its bytes and spans
//!   scan      a section's end, linearly          work      the busy part
//!   framing   where a body ends                  chunk     chunked bodies
//!   encode    answer heads                       state     two halves and how they move
//!   receive   heads and bodies                   answer    heads and bodies
//!   deadline  what is due, and what then         event     what is told
//!   room      how much is held
//!                        connection   all of these together
//! ```

mod answer;
mod chunk;
mod connection;
mod deadline;
mod encode;
mod event;
mod framing;
mod head;
pub mod limits;
mod misuse;
mod parse;
mod receive;
mod refusal;
mod room;
mod scan;
mod share;
mod state;
#[cfg(feature = "sweep")]
mod sweep;
mod work;

pub use connection::{Connection, Sends};
pub use encode::AnswerLength;
pub use event::Event;
pub use framing::BodyLength;
pub(crate) use head::list_members;
pub use head::{FieldLines, RequestHead, Trailers};
pub use limits::{Deadlines, Limits, Settings};
pub use misuse::Misuse;
#[cfg(feature = "testing")]
pub(crate) use parse::read_both_ways;
pub use refusal::{ChunkFault, FieldFault, LineFault, Refusal};
pub use share::SharedHead;
