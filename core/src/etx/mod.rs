//! ETX-ack: a protocol that is nothing like HTTP, served through the same [`Flow`].
//!
//! It keeps the trait honest (no heads, no bodies, no statuses), and it shows what a concurrency model is like: every
//! message costs its sender a delay that no thread sleeps through.
//!
//! # On the wire
//!
//! ```text
//!   client                                server
//!     │  h e l l o 0x03                      │
//!     ├─────────────────────────────────────►│
//!     │                                delay │
//!     │                       a c k 0x03     │
//!     │◄─────────────────────────────────────┤
//!     │  g o o d b y e 0x03                  │
//!     ├─────────────────────────────────────►│
//!     │                                delay │
//!     │                       a c k 0x03     │
//!     │◄─────────────────────────────────────┤ closes
//! ```
//!
//! In ABNF (RFC 5234), both directions of one connection:
//!
//! ```text
//!   requests  = *message [ goodbye ]
//!   message   = *octet ETX
//!   goodbye   = %s"goodbye" ETX
//!   octet     = %x00-02 / %x04-7F      ; ASCII without ETX; at most max_message_bytes of them
//!   ETX       = %x03
//!
//!   answers   = *ack [ nak ]
//!   ack       = %s"ack" ETX
//!   nak       = %s"nak " code SP word ETX
//!   code word = "400 non-ascii" / "408 too-slow" / "413 too-long" / "503 busy"
//! ```
//!
//! - A message may be empty. Each is answered with one `ack`, in order. The delay of a message begins when the one before
//!   it was answered: five messages sent at once are answered after one, two, three, four and five delays.
//! - `goodbye` is a message like any other, answered after its delay; then the server closes. What follows it is ignored.
//! - The first byte that breaks a rule decides: a byte above 0x7F is `400 non-ascii`; one byte past
//!   [`max_message_bytes`](Ack::max_message_bytes) that is not ETX is `413 too-long`. Messages complete before it are
//!   answered first; then comes the `nak`, without a delay, and the server closes. The codes are HTTP's, so that a log
//!   of both protocols reads alike.
//! - A message whose end does not come within [`message_timeout`](Ack::message_timeout) of its first byte is
//!   `408 too-slow`. A connection without any message for [`idle_timeout`](Ack::idle_timeout) is closed without a word.
//! - A connection over the server's limit is told `503 busy`, where the server refuses rather than waits.
//! - A client that shuts its sending half down still gets every answer it is owed. What it left unfinished is not
//!   answered.
//!
//! # Under a driver
//!
//! ```
//! use anabranch_core::etx::Ack;
//! use anabranch_core::{ConnectionInfo, Dates, Instant, Pool, Protocol, Turn};
//! use bytes::BytesMut;
//! use core::task::Waker;
//! use core::time::Duration;
//!
//! let mut at = Instant::ORIGIN;
//! let mut flow = Ack::with_delay(Duration::from_secs(2)).connect(ConnectionInfo::default(), at);
//! let (mut dates, mut pool) = (Dates::none(), Pool::default());
//!
//! let mut input = BytesMut::from(&b"hello\x03"[..]);
//! flow.read(&mut input, &mut Turn::new(at, &mut dates, Waker::noop(), &mut pool));
//! let deadline = flow.deadline().expect("the answer is delayed");
//! assert_eq!(deadline.at, at + Duration::from_secs(2));
//!
//! at = deadline.at;
//! flow.handle_timeout(&mut Turn::new(at, &mut dates, Waker::noop(), &mut pool));
//! let mut sent = Vec::new();
//! flow.take_output(usize::MAX, &mut sent);
//! assert_eq!(sent.concat(), b"ack\x03");
//! ```

use core::fmt;
use core::time::Duration;

use crate::flow::{Flow, Protocol};
use crate::info::ConnectionInfo;
use crate::time::Instant;

mod connection;
mod inbox;
mod output;
#[cfg(test)]
mod tests;

pub use connection::Connection;

/// The byte that ends every message and every answer.
pub const ETX: u8 = 0x03;

/// The message after whose answer the server closes.
pub const GOODBYE: &[u8] = b"goodbye";

/// The answer to a message.
pub const ACK: &[u8] = b"ack\x03";

/// The protocol, and all it is configured with. Times: `None` means no bound.
///
/// ```
/// use anabranch_core::etx::Ack;
/// use core::time::Duration;
///
/// let mut protocol = Ack::with_delay(Duration::from_millis(500));
/// protocol.max_message_bytes = 80;
/// protocol.idle_timeout = Some(Duration::from_secs(5));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Ack {
    /// How long each answer is held back. Zero answers at once. Default zero.
    pub delay: Duration,
    /// Bytes of a message without its ETX; `413 too-long` beyond. Default 1,024.
    pub max_message_bytes: usize,
    /// Bytes of answers waiting to be sent, beyond which no further message is begun and nothing is read; overshot by one
    /// answer at most. Default 4,096.
    pub max_output_bytes: usize,
    /// Bytes read and dropped after the last answer while the peer closes its half. Default 64 KiB.
    pub max_linger_bytes: u64,
    /// From the connection's start, or the last answer's end, to the next message's first byte. Default 60 s.
    pub idle_timeout: Option<Duration>,
    /// From a message's first byte, or from when the one before it was answered, to its end. Default 10 s.
    pub message_timeout: Option<Duration>,
    /// Answers waiting without the peer taking any of them. Default 10 s.
    pub write_timeout: Option<Duration>,
    /// From the last answer's end to the peer's closing its half. Default 2 s.
    pub linger_timeout: Option<Duration>,
}

impl Default for Ack {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            max_message_bytes: 1_024,
            max_output_bytes: 4_096,
            max_linger_bytes: 64 * 1024,
            idle_timeout: Some(Duration::from_secs(60)),
            message_timeout: Some(Duration::from_secs(10)),
            write_timeout: Some(Duration::from_secs(10)),
            linger_timeout: Some(Duration::from_secs(2)),
        }
    }
}

impl Ack {
    /// Every answer held back by `delay`, everything else by default.
    #[must_use]
    pub fn with_delay(delay: Duration) -> Self {
        Self { delay, ..Self::default() }
    }
}

impl Protocol for Ack {
    fn connect(&self, _info: ConnectionInfo, now: Instant) -> Box<dyn Flow> {
        Box::new(Connection::new(*self, now))
    }

    fn refuse(&self, _info: ConnectionInfo, now: Instant) -> Option<Box<dyn Flow>> {
        Some(Box::new(Connection::refusing(*self, now)))
    }
}

/// What a peer is refused for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// A byte above 0x7F.
    NonAscii,
    /// A message that did not end in time.
    TooSlow,
    /// More than [`max_message_bytes`](Ack::max_message_bytes) before an ETX.
    TooLong,
    /// The server has as many connections as it may.
    Busy,
}

impl Fault {
    /// The number in its `nak`: HTTP's for the like.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::NonAscii => 400,
            Self::TooSlow => 408,
            Self::TooLong => 413,
            Self::Busy => 503,
        }
    }

    /// The answer, its ETX included.
    #[must_use]
    pub const fn answer(self) -> &'static [u8] {
        match self {
            Self::NonAscii => b"nak 400 non-ascii\x03",
            Self::TooSlow => b"nak 408 too-slow\x03",
            Self::TooLong => b"nak 413 too-long\x03",
            Self::Busy => b"nak 503 busy\x03",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NonAscii => "a byte above 0x7f in a message",
            Self::TooSlow => "a message that did not end within message_timeout",
            Self::TooLong => "a message longer than max_message_bytes",
            Self::Busy => "the server has as many connections as it may",
        })
    }
}
