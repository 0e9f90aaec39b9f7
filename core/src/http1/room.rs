//! How much of what comes and of what waits to be sent a connection holds: a peer that asks and takes nothing has 64 KiB, all
//! included.
//!
//! ```text
//!   limits.max_output_bytes  ├─ output that waits ──────────────┤─ input that is kept ─┤─ the rest ─┤
//!                              granted: 16 KiB, and what the      32 KiB, or none        8 KiB
//!                              process's budget has room for
//! ```

use core::hint::cold_path;

use super::connection::Connection;
use super::state::{Receiving, Sending};
use super::work::Work;

/// What is read at once beyond what is sure to be used: so much of it may have to be kept. A batch of requests in one read is
/// far smaller.
pub(super) const AHEAD_BYTES: u32 = 32 * 1024;

/// What a connection holds beside its output and what it keeps of its input: its own state and an exchange's, an answer that
/// goes beyond the limit, room in buffers.
const OTHER_BYTES: usize = 8 * 1024;

/// So much output of a connection may wait without being counted against the process's budget, and whatever of the next
/// requests has come: what most answers have, and a few of those to requests that come together.
const UNCOUNTED_OUTPUT_BYTES: usize = 16 * 1024;

impl Connection {
    // ---- commands ----

    /// *Command.* There is room for so many bytes of answers that wait, and a little more, within
    /// [`output_limit`](Self::output_limit). Holds until it is said otherwise.
    pub(crate) fn grant_output(&mut self, bytes: usize, unread: usize) {
        self.granted_output = bytes.saturating_add(UNCOUNTED_OUTPUT_BYTES).min(self.output_limit(unread));
    }

    /// *Command.* Holds little more memory than the output that waits takes: to be called when the peer does not take it all.
    pub(crate) fn shrink_output(&mut self) {
        let is_sending = self.has_begun();
        if let Some(work) = &mut self.work {
            work.output.shrink();
            if !is_sending {
                // Before that, its source is asked for the less: there is nothing to be copied for a peer that reads on.
                work.output.release_sent();
            }
        }
    }

    // ---- questions ----

    /// *Question.* [`Outlook::max_read_bytes`](crate::Outlook::max_read_bytes). What a body has still to come for sure is read
    /// as fast as it comes; what may stand behind it, and heads, only so far that a peer which sends on without taking the
    /// answers has little of it kept.
    #[must_use]
    pub fn max_read_bytes(&self) -> u32 {
        let left = match self.work.as_deref() {
            Some(work) if self.state.receiving == Receiving::Body => work.body.rest.bytes_for_sure(),
            _ => 0,
        };
        u32::try_from(left).unwrap_or(u32::MAX).saturating_add(AHEAD_BYTES)
    }

    /// *Question.* Bytes of output that are held: those waiting, and what was sent of a piece that is not all sent.
    #[inline]
    pub(crate) fn held_output(&self) -> usize {
        self.work.as_ref().map_or(0, |work| work.output.held() + work.in_flight)
    }

    /// *Question.* Bytes of output beyond which no more is made, with `unread` bytes of input that is not kept yet. What came
    /// of the peer's next requests takes the place of as much of it, and so does all else: a peer that takes nothing makes
    /// its connection hold `limits.max_output_bytes`, whichever way it does.
    pub(crate) fn output_limit(&self, unread: usize) -> usize {
        let kept = self.work.as_ref().is_some_and(|work| !work.inbox.is_empty());
        let limit = self.settings.limits.max_output_bytes;
        let taken = OTHER_BYTES + if kept { AHEAD_BYTES as usize } else { unread };
        limit.saturating_sub(taken).max(limit.min(UNCOUNTED_OUTPUT_BYTES))
    }

    /// Whether so much output waits that no further request is begun.
    #[inline]
    pub(crate) fn output_is_full(&self) -> bool {
        // A connection that holds nothing, as most are, is not asked for how much.
        self.work.is_some() && {
            cold_path();
            self.pending_output() > self.granted_output
        }
    }

    /// Whether an answer, output, or a request that was read must move before more of what the peer sends can be used. Room
    /// for output is asked for when a request has come: before, what is granted of it says nothing.
    #[inline]
    pub(super) fn stalled(&self) -> bool {
        let is_stalled = |work: &Work| {
            if work.inbox.is_empty() {
                self.pending_output() > self.output_limit(AHEAD_BYTES as usize)
            } else {
                self.state.receiving == Receiving::Idle || self.output_is_full()
            }
        };
        self.state.sending != Sending::Idle || self.work.as_deref().is_some_and(is_stalled)
    }
}
