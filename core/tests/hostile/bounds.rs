//! The most bytes that a connection may hold, by what its limits say. `docs/prove.md` has the same in words.

use anabranch_core::app::Limits;

use super::application::{ANSWER_BYTES, COLLECTED_BYTES};
use super::playing::READ_BYTES;
use super::streams::{Aim, STREAM_BYTES, Stream, Taking};

/// What has a size of its own: the connection, its state while it is busy, an exchange, a pipe, a future, a job.
const FIXED_BYTES: usize = 4 * 1024;

/// What is kept of an output buffer that is empty, and not moved to its front.
const KEPT_BYTES: usize = 16 * 1024;

/// What grows by doubling has up to twice its bytes; while it grows, what it had is there besides.
const GROWING: usize = 3;

/// A field in its table, and as a trailer field of the application's.
const FIELD_BYTES: usize = 128;

/// Where many small pieces are joined, each of those that are not has a place in a queue and a block around it.
const PIECES: usize = 4;

/// What bounds a connection: its limits, the process's budget, and what its peer sends and takes.
pub(crate) struct Bounds<'a> {
    pub(crate) limits: &'a Limits,
    pub(crate) budget: usize,
    pub(crate) stream: &'a Stream,
    pub(crate) taking: Taking,
}

impl Bounds<'_> {
    /// The most that one connection may hold, its driver's read buffer included: what this file derives from the limits, and
    /// never more than `Limits::connection_bytes` promises beside what it had of the budget, at most `charged`.
    pub(crate) fn connection(&self, charged: usize) -> usize {
        let budgeted = match self.aim() {
            Aim::Section => 0,
            Aim::Body | Aim::Hoard => self.body(),
            Aim::Echo | Aim::Answers => self.body() + self.output(),
        };
        (self.unbudgeted() + budgeted).min(self.promised(charged))
    }

    /// The most that each connection may hold beyond the process's budget, between two turns: what one turn brought before
    /// it was counted.
    pub(crate) fn beyond_budget(&self) -> usize {
        match self.aim() {
            Aim::Section => self.unbudgeted(),
            Aim::Body | Aim::Hoard => FIXED_BYTES + READ_BYTES,
            Aim::Echo => FIXED_BYTES + PIECES * READ_BYTES,
            // An answer's source is asked up to the connection's own limit; its buffer grew by doubling.
            Aim::Answers => FIXED_BYTES + 2 * (self.limits.max_output_bytes + READ_BYTES),
        }
    }

    /// Whatever a stream aims at, answers that are not taken are held besides.
    fn aim(&self) -> Aim {
        match (self.stream.aim, self.taking) {
            (aim @ (Aim::Echo | Aim::Answers), _) | (aim, Taking::All) => aim,
            (Aim::Section | Aim::Body | Aim::Hoard, _) => Aim::Answers,
        }
    }

    /// What `Limits::connection_bytes` says.
    fn promised(&self, charged: usize) -> usize {
        let own = self.limits.connection_bytes(READ_BYTES);
        let charged = if self.stream.is_collected() {
            // It is beside what is collected, and that may be answered and given back between two looks at the budget.
            self.budget
        } else {
            // Whatever room the budget has, the limits of output and window are kept.
            assert!(charged <= own, "{}: {charged} bytes of the budget, of {own}", self.stream.name);
            charged
        };
        // A buffer that grows is there twice while it is moved: half as much again.
        own + charged + charged / 2
    }

    /// What a connection may hold whatever the process's budget is: sections, and the driver's read buffer while it is used.
    fn unbudgeted(&self) -> usize {
        let limits = self.limits;
        let head = limits.max_request_line_bytes + limits.max_header_bytes + "\r\n\r\n".len();
        // What came of a section, and the read that passed its limit.
        let inbox = GROWING * (head + READ_BYTES);
        // Its copy, and another for a job; its fields; its host.
        let copies = 2 * head + FIELD_BYTES * limits.max_fields + GROWING * limits.max_field_line_bytes;
        FIXED_BYTES + READ_BYTES + inbox + copies
    }

    /// A request's body, with whoever reads it.
    fn body(&self) -> usize {
        let collected = match self.stream.aim {
            Aim::Hoard => STREAM_BYTES.min(self.budget),
            Aim::Section | Aim::Body | Aim::Echo | Aim::Answers => COLLECTED_BYTES,
        };
        let max_body = usize::try_from(self.limits.max_body_bytes).unwrap_or(usize::MAX);
        let streamed = PIECES * (self.limits.max_window_bytes + READ_BYTES);
        (GROWING * collected.min(max_body)).max(streamed)
    }

    /// Answers that the peer does not take: up to the limit, and one piece or whole answer beyond it.
    fn output(&self) -> usize {
        let waiting = self.limits.max_output_bytes + ANSWER_BYTES.max(READ_BYTES);
        // As much again has been sent before what waits is moved to the front.
        GROWING * (2 * waiting + KEPT_BYTES)
    }
}
