//! The most bytes that a connection may hold, by what its limits say. `docs/prove.md` has the same in words.

use anabranch_core::app::Limits;

use super::application::{ANSWER_BYTES, COLLECTED_BYTES};
use super::playing::READ_BYTES;
use super::streams::Aim;

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

/// The most that one connection may hold under a stream with this aim, its driver's read buffer included.
pub(crate) fn connection(limits: &Limits, aim: Aim) -> usize {
    let budgeted = match aim {
        Aim::Section => 0,
        Aim::Body => body(limits),
        Aim::Echo | Aim::Answers => body(limits) + output(limits),
    };
    unbudgeted(limits) + budgeted
}

/// The most that each connection may hold beyond the process's budget under such a stream, between two turns: what one
/// turn brought before it was counted.
pub(crate) fn beyond_budget(limits: &Limits, aim: Aim) -> usize {
    match aim {
        Aim::Section => unbudgeted(limits),
        Aim::Body => FIXED_BYTES + READ_BYTES,
        Aim::Echo => FIXED_BYTES + PIECES * READ_BYTES,
        // Requests in a row are answered up to the connection's own limit; its buffer grew by doubling.
        Aim::Answers => FIXED_BYTES + 2 * (limits.max_output_bytes + READ_BYTES),
    }
}

/// What a connection may hold whatever the process's budget is: sections, and the driver's read buffer while it is used.
fn unbudgeted(limits: &Limits) -> usize {
    let head = limits.max_request_line_bytes + limits.max_header_bytes + "\r\n\r\n".len();
    // What came of a section, and the read that passed its limit.
    let inbox = GROWING * (head + READ_BYTES);
    // Its copy, and another for a job; its fields; its host.
    let copies = 2 * head + FIELD_BYTES * limits.max_fields + GROWING * limits.max_field_line_bytes;
    FIXED_BYTES + READ_BYTES + inbox + copies
}

/// A request's body, with whoever reads it.
fn body(limits: &Limits) -> usize {
    let max_body = usize::try_from(limits.max_body_bytes).unwrap_or(usize::MAX);
    let collected = GROWING * COLLECTED_BYTES.min(max_body);
    let streamed = PIECES * (limits.max_window_bytes + READ_BYTES);
    collected.max(streamed)
}

/// Answers that the peer does not take: up to the limit, and one piece or whole answer beyond it.
fn output(limits: &Limits) -> usize {
    let waiting = limits.max_output_bytes + ANSWER_BYTES.max(READ_BYTES);
    // As much again has been sent before what waits is moved to the front.
    GROWING * (2 * waiting + KEPT_BYTES)
}
