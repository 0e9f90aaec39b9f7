//! One ETX-ack connection: reads a message, lets its delay pass, answers, reads on.
//!
//! ```text
//!                    whole message                delay over: ack
//!        ┌─────────┐ ─────────────► ┌──────────┐ ────────────────┐
//!   ───► │ Reading │                │ Delaying │                 │
//!        └────┬────┘ ◄───────────── └────┬─────┘ ◄───────────────┘
//!             │        nothing whole     │          next whole message
//!             │ nak · end of input ·     │ goodbye
//!             │ idle · drain             │
//!             ▼                          ▼
//!        ┌─────────┐  all flushed  ┌───────────┐  end of input · linger_timeout ·  ┌──────────┐
//!        │ Closing │ ────────────► │ Lingering │ ───── max_linger_bytes ─────────► │ Finished │
//!        └────┬────┘               └───────────┘                                   └──────────┘
//!             └──── all flushed, and the peer has closed its half or nothing was under way ──▲
//! ```

use core::time::Duration;
use std::io::IoSlice;

use bytes::{Bytes, BytesMut};

use super::inbox::{Front, Inbox, Message};
use super::output::Output;
use super::{ACK, Ack, Fault};
use crate::flow::{
    AbortReason, CloseKind, CloseReason, Deadline, DeadlineKind, Flow, InputEnd, ReadOperation, Waiting,
    WriteOperation, WriteResult,
};
use crate::job::Job;
use crate::time::Instant;
use crate::turn::Turn;

/// One connection's state. Made by [`Ack`] for each connection, or by hand for a loop of one's own.
///
/// It holds at most one read and one unfinished message of input, and
/// [`max_output_bytes`](Ack::max_output_bytes) and an answer of output.
#[derive(Debug)]
pub struct Connection {
    settings: Ack,
    phase: Phase,
    inbox: Inbox,
    output: Output,
    /// When the wait for the front message, or for its end, began.
    waiting_since: Instant,
    input_end: Option<InputEnd>,
    draining: bool,
    reason: Option<CloseReason>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Waiting for a whole message, or for leave to begin one.
    Reading,
    /// A message was begun and is answered at `until`.
    Delaying { message: Message, until: Instant },
    /// Nothing more is begun; what is owed is flushed, and then the sending half ends so.
    Closing(CloseKind),
    /// All was flushed and the sending half is shut: what still comes is dropped.
    Lingering { until: Instant, bytes_left: u64 },
    /// Both sides are closed.
    Finished,
}

impl Connection {
    /// A connection accepted at `now`.
    #[must_use]
    pub fn new(settings: Ack, now: Instant) -> Self {
        Self {
            phase: Phase::Reading,
            inbox: Inbox::new(settings.max_message_bytes),
            output: Output::new(now),
            waiting_since: now,
            input_end: None,
            draining: false,
            reason: None,
            settings,
        }
    }

    /// A connection over the server's limit: it says `503 busy` and closes.
    #[must_use]
    pub fn refusing(settings: Ack, now: Instant) -> Self {
        let mut connection = Self::new(settings, now);
        connection.fail(Fault::Busy, CloseReason::Refused(Fault::Busy.code()), now);
        connection
    }

    /// Begins what may be begun, and closes what has come to its end.
    fn advance(&mut self, turn: &mut Turn<'_>) {
        while self.phase == Phase::Reading {
            match self.inbox.front() {
                Front::Complete(_) if !self.has_room() || turn.allowance == 0 => return,
                Front::Complete(_) => {
                    turn.allowance -= 1;
                    self.begin(turn.now);
                }
                Front::Broken(fault) => {
                    self.fail(fault, CloseReason::Refused(fault.code()), turn.now);
                }
                Front::Nothing | Front::Partial => {
                    if let Some(reason) = self.end_of_messages() {
                        self.close(reason, CloseKind::Linger, turn.now);
                    }
                    return;
                }
            }
        }
    }

    fn begin(&mut self, now: Instant) {
        let Some(message) = self.inbox.pop() else { return };
        if self.settings.delay.is_zero() {
            self.answer(message, now);
        } else {
            self.phase = Phase::Delaying { message, until: now + self.settings.delay };
        }
    }

    fn answer(&mut self, message: Message, now: Instant) {
        self.output.push(ACK, now);
        self.phase = Phase::Reading;
        self.waiting_since = now;
        if message == Message::Goodbye {
            self.close(CloseReason::Finished, CloseKind::Linger, now);
        }
    }

    fn fail(&mut self, fault: Fault, reason: CloseReason, now: Instant) {
        self.output.push(fault.answer(), now);
        self.close(reason, CloseKind::Linger, now);
    }

    /// Why no further message can come, once that is so.
    fn end_of_messages(&self) -> Option<CloseReason> {
        match self.input_end {
            Some(InputEnd::Eof) if self.inbox.front() == Front::Nothing => Some(CloseReason::PeerClosed),
            Some(_) => Some(CloseReason::Truncated),
            None if self.draining => Some(CloseReason::Drained),
            None => None,
        }
    }

    fn close(&mut self, reason: CloseReason, kind: CloseKind, now: Instant) {
        self.reason.get_or_insert(reason);
        self.inbox.clear();
        self.phase = Phase::Closing(kind);
        self.settle(now);
    }

    /// Goes on from `Closing` once all is flushed.
    fn settle(&mut self, now: Instant) {
        let Phase::Closing(kind) = self.phase else { return };
        if self.output.owed() > 0 {
            return;
        }
        self.phase = match kind {
            CloseKind::Linger if self.input_end.is_none() => Phase::Lingering {
                until: after(now, self.settings.linger_timeout),
                bytes_left: self.settings.max_linger_bytes,
            },
            // An answer ends with a byte of its own: no reset is needed to tell that one is incomplete.
            CloseKind::Linger | CloseKind::Immediate | CloseKind::Reset => Phase::Finished,
        };
    }

    /// Ends at once: nobody is there to take what is owed. Where something was, that is why the conversation ended, whatever
    /// was to end it before.
    fn finish(&mut self, reason: CloseReason) {
        if self.reason.is_none() || self.output.owed() > 0 {
            self.reason = Some(reason);
        }
        self.inbox.clear();
        self.output.clear();
        self.phase = Phase::Finished;
    }

    fn has_room(&self) -> bool {
        self.output.owed() < self.settings.max_output_bytes
    }

    /// Bytes of memory held.
    #[cfg(test)]
    pub(super) fn retained_bytes(&self) -> usize {
        self.inbox.capacity() + self.output.owed()
    }
}

impl Flow for Connection {
    fn next_read_operation(&self) -> ReadOperation {
        match self.phase {
            Phase::Finished => ReadOperation::Close,
            _ if self.input_end.is_some() => ReadOperation::Close,
            Phase::Lingering { .. } => ReadOperation::Read,
            Phase::Reading if !self.has_room() => ReadOperation::Yield,
            Phase::Reading => match self.inbox.front() {
                Front::Nothing | Front::Partial => ReadOperation::Read,
                Front::Complete(_) | Front::Broken(_) => ReadOperation::Yield,
            },
            Phase::Delaying { .. } | Phase::Closing(_) => ReadOperation::Yield,
        }
    }

    fn next_write_operation(&self) -> WriteOperation {
        match self.phase {
            _ if self.output.is_offering() => WriteOperation::Write,
            Phase::Lingering { .. } => WriteOperation::Close(CloseKind::Linger),
            Phase::Finished => WriteOperation::Close(CloseKind::Immediate),
            Phase::Reading | Phase::Delaying { .. } | Phase::Closing(_) => WriteOperation::Yield,
        }
    }

    fn waiting_on(&self) -> Waiting {
        let mut waiting = Waiting::NOTHING;
        if self.next_read_operation() == ReadOperation::Read {
            waiting = waiting | Waiting::PEER_READ;
        }
        if self.output.owed() > 0 {
            waiting = waiting | Waiting::PEER_WRITE;
        }
        if self.deadline().is_some() {
            waiting = waiting | Waiting::DEADLINE;
        }
        // A whole message and room for its answer: only the turn's allowance was lacking.
        if self.phase == Phase::Reading && matches!(self.inbox.front(), Front::Complete(_)) && self.has_room()
        {
            waiting = waiting | Waiting::APPLICATION;
        }
        waiting
    }

    fn deadline(&self) -> Option<Deadline> {
        let stall = (self.output.owed() > 0)
            .then(|| bound(self.output.moved(), self.settings.write_timeout, DeadlineKind::WriteStall))
            .flatten();
        let own = match self.phase {
            Phase::Reading => match self.inbox.front() {
                Front::Nothing if self.output.owed() == 0 => {
                    bound(self.waiting_since, self.settings.idle_timeout, DeadlineKind::Idle)
                }
                // While answers fill the output nothing is read, and no end can come.
                Front::Partial if self.has_room() => {
                    bound(self.waiting_since, self.settings.message_timeout, DeadlineKind::Head)
                }
                Front::Nothing | Front::Partial | Front::Complete(_) | Front::Broken(_) => None,
            },
            Phase::Delaying { until, .. } => Some(Deadline { at: until, kind: DeadlineKind::Application }),
            Phase::Lingering { until, .. } if until == Instant::NEVER => None,
            Phase::Lingering { until, .. } => Some(Deadline { at: until, kind: DeadlineKind::Linger }),
            Phase::Closing(_) | Phase::Finished => None,
        };
        match (own, stall) {
            (Some(own), Some(stall)) => Some(if stall.at < own.at { stall } else { own }),
            (own, stall) => own.or(stall),
        }
    }

    fn write_slices<'a>(&'a self, out: &mut [IoSlice<'a>]) -> usize {
        self.output.slices(out)
    }

    fn ending(&self) -> Option<CloseKind> {
        let Phase::Closing(kind) = self.phase else { return None };
        Some(if self.input_end.is_some() { CloseKind::Immediate } else { kind })
    }

    fn close_reason(&self) -> Option<CloseReason> {
        self.reason
    }

    fn read(&mut self, input: &mut BytesMut, turn: &mut Turn<'_>) {
        match &mut self.phase {
            Phase::Lingering { bytes_left, .. } => {
                *bytes_left = bytes_left.saturating_sub(input.len() as u64);
                if *bytes_left == 0 {
                    self.phase = Phase::Finished;
                }
            }
            Phase::Reading | Phase::Delaying { .. } if self.input_end.is_none() => {
                if self.inbox.front() == Front::Nothing {
                    self.waiting_since = turn.now;
                }
                self.inbox.push(input);
                self.advance(turn);
            }
            Phase::Reading | Phase::Delaying { .. } | Phase::Closing(_) | Phase::Finished => {}
        }
        input.clear();
    }

    fn close_input(&mut self, end: InputEnd, turn: &mut Turn<'_>) {
        if self.input_end.is_some() {
            return;
        }
        self.input_end = Some(end);
        match (end, self.phase) {
            (_, Phase::Lingering { .. }) => self.phase = Phase::Finished,
            (InputEnd::Reset, _) => self.finish(CloseReason::PeerReset),
            (InputEnd::Error, _) => self.finish(CloseReason::TransportFailed),
            // Every message carries its own end, so those that are whole are answered though the transport was cut.
            (InputEnd::Eof | InputEnd::TlsTruncated, _) => self.advance(turn),
        }
    }

    fn report_write_result(&mut self, result: WriteResult, turn: &mut Turn<'_>) {
        match result {
            WriteResult::Wrote(count) => {
                let had_room = self.has_room();
                self.output.wrote(count, turn.now);
                let flushed = self.output.owed() == 0 && self.inbox.front() == Front::Nothing;
                if flushed || (!had_room && self.has_room()) {
                    self.waiting_since = turn.now;
                }
                self.settle(turn.now);
                self.advance(turn);
            }
            WriteResult::Closed => self.finish(CloseReason::PeerReset),
        }
    }

    fn handle_timeout(&mut self, turn: &mut Turn<'_>) {
        let Some(deadline) = self.deadline().filter(|deadline| deadline.at <= turn.now) else { return };
        match (deadline.kind, self.phase) {
            (DeadlineKind::Application, Phase::Delaying { message, .. }) => {
                self.answer(message, turn.now);
                self.advance(turn);
            }
            (DeadlineKind::Head, _) => {
                self.fail(Fault::TooSlow, CloseReason::TimedOut(DeadlineKind::Head), turn.now);
            }
            (DeadlineKind::Linger, _) => self.phase = Phase::Finished,
            (kind, _) => self.finish(CloseReason::TimedOut(kind)),
        }
    }

    fn run(&mut self, turn: &mut Turn<'_>) {
        self.advance(turn);
        if self.waiting_on().contains(Waiting::APPLICATION) {
            turn.waker.wake_by_ref();
        }
    }

    fn drain(&mut self, turn: &mut Turn<'_>) {
        self.draining = true;
        let idle = self.phase == Phase::Reading
            && self.inbox.front() == Front::Nothing
            && self.output.owed() == 0
            && self.input_end.is_none();
        if idle {
            self.close(CloseReason::Drained, CloseKind::Immediate, turn.now);
        } else {
            self.advance(turn);
        }
    }

    fn abort(&mut self, reason: AbortReason) {
        self.finish(CloseReason::Aborted(reason));
    }

    fn poll_job(&mut self) -> Option<Job> {
        None
    }

    fn take_output(&mut self, max: usize, out: &mut Vec<Bytes>) {
        self.output.take(max, out);
    }
}

fn after(now: Instant, timeout: Option<Duration>) -> Instant {
    timeout.map_or(Instant::NEVER, |timeout| now + timeout)
}

fn bound(since: Instant, timeout: Option<Duration>, kind: DeadlineKind) -> Option<Deadline> {
    timeout.map(|timeout| Deadline { at: since + timeout, kind })
}
