//! The connection's end: a flow that moves bytes between the peer and the stream, and has no protocol of its own.
//!
//! ```text
//!   reading   Open ◄──► Full         the stream has room, or has not
//!               └────┴──► Discarding nobody reads any more: what comes is dropped (bounded once all was said)
//!                    └──► Closed
//!   sending   Open ──► Ending ──► Closed(Linger | Immediate)     the stream was shut; what was written goes out first
//!               └────────┴──────► Closed(Reset)                  anything else ended it: it must not seem whole
//! ```
//!
//! What is answered to the driver changes within calls only: the stream's threads change what is shared, and wake.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::Context;
use std::io::{ErrorKind, IoSlice};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::pipe::{Incoming, Outgoing, Pipe};
use super::{Duplex, WhenDrained};
use crate::app::memory::Charge;
use crate::buf::Output;
use crate::flow::{
    AbortReason, CloseKind, CloseReason, Deadline, DeadlineKind, Flow, InputEnd, ReadOperation, Waiting,
    WriteOperation, WriteResult, is_finished,
};
use crate::job::Job;
use crate::time::Instant;
use crate::turn::Turn;

/// A future that has the stream.
pub(super) type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The connection's end of a [`DuplexStream`](super::DuplexStream).
pub(crate) struct DuplexFlow {
    pipe: Arc<Pipe>,
    options: Duplex,
    output: Output,
    /// Output taken by the driver and not reported yet.
    in_flight: usize,
    reading: Reading,
    sending: Sending,
    reason: Option<CloseReason>,
    /// What an end in order is called.
    end: CloseReason,
    task: Option<Task>,
    job: Option<Job>,
    idle_at: Instant,
    stall_at: Instant,
    linger_at: Instant,
    lingered: u64,
    charge: Option<Charge>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reading {
    Open,
    Full,
    Discarding,
    Closed,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sending {
    Open,
    /// What is queued is the last.
    Ending,
    Closed(CloseKind),
}

/// What is read and dropped at most, once all was said: bytes.
const MAX_LINGER_BYTES: u64 = 1024 * 1024;

impl DuplexFlow {
    pub(super) fn new(pipe: Arc<Pipe>, options: Duplex, charge: Option<Charge>) -> Self {
        Self {
            pipe,
            options,
            output: Output::default(),
            in_flight: 0,
            reading: Reading::Open,
            sending: Sending::Open,
            reason: None,
            end: CloseReason::Finished,
            task: None,
            job: None,
            idle_at: Instant::NEVER,
            stall_at: Instant::NEVER,
            linger_at: Instant::NEVER,
            lingered: 0,
            charge,
        }
    }

    pub(super) fn with_task(mut self, task: Task) -> Self {
        self.task = Some(task);
        self
    }

    pub(super) fn with_job(mut self, job: Job) -> Self {
        self.job = Some(job);
        self
    }

    /// The connection is this flow's from `now` on.
    pub(crate) fn begin(mut self, now: Instant) -> Self {
        self.stir(now);
        self
    }

    /// Lets the future that has the stream go on.
    fn poll_task(&mut self, turn: &Turn<'_>) {
        let Some(mut task) = self.task.take() else { return };
        let mut context = Context::from_waker(turn.waker);
        match catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(&mut context).is_pending())) {
            Ok(true) => self.task = Some(task),
            Ok(false) => {}
            Err(_) => self.break_off(ErrorKind::ConnectionAborted, CloseReason::ApplicationFailed),
        }
    }

    /// Takes what the stream wrote, and looks how it stands.
    fn attend(&mut self, turn: &Turn<'_>) {
        let found = self.pipe.collect(turn.waker);
        if self.sending == Sending::Open {
            if !found.written.is_empty() {
                self.output.push(Bytes::from(found.written));
                self.arm_stall(turn.now);
            }
            match found.outgoing {
                Outgoing::Open => {}
                Outgoing::Dropped | Outgoing::Shut => self.sending = Sending::Ending,
                Outgoing::Reset | Outgoing::Broken => {
                    return self.break_off(ErrorKind::ConnectionAborted, CloseReason::ApplicationFailed);
                }
            }
        } else if self.sending == Sending::Ending && found.outgoing == Outgoing::Reset {
            return self.break_off(ErrorKind::ConnectionAborted, CloseReason::ApplicationFailed);
        }
        self.see(found.incoming);
    }

    fn see(&mut self, incoming: Incoming) {
        self.reading = match (self.reading, incoming) {
            (Reading::Open | Reading::Full, Incoming::Open) => Reading::Open,
            (Reading::Open | Reading::Full, Incoming::Full) => Reading::Full,
            (Reading::Open | Reading::Full, Incoming::Declined) => Reading::Discarding,
            (reading, _) => reading,
        };
    }

    /// What follows from what was said and read.
    fn conclude(&mut self, now: Instant) {
        if self.sending == Sending::Ending && self.pending() == 0 {
            self.sending = Sending::Closed(self.kind_of_end());
        }
        if !matches!(self.sending, Sending::Closed(_)) {
            return;
        }
        if self.lingers() && self.linger_at == Instant::NEVER {
            self.idle_at = Instant::NEVER;
            self.linger_at = after(now, self.options.linger);
        }
        if self.reading == Reading::Closed {
            self.end();
        }
    }

    /// How an end in order is told.
    fn kind_of_end(&self) -> CloseKind {
        if self.reading == Reading::Closed { CloseKind::Immediate } else { CloseKind::Linger }
    }

    fn end(&mut self) {
        self.reason.get_or_insert(self.end);
        self.task = None;
        self.job = None;
        self.charge = None;
        self.idle_at = Instant::NEVER;
        self.stall_at = Instant::NEVER;
        self.linger_at = Instant::NEVER;
    }

    /// Something else than the stream ends the connection: `error` is what its reader gets, behind what was received.
    fn break_off(&mut self, error: ErrorKind, reason: CloseReason) {
        if is_finished(self) {
            return;
        }
        let all_said = matches!(self.sending, Sending::Closed(_));
        if !self.lingers() {
            self.reason = Some(reason);
        }
        let kind = match reason {
            _ if all_said => CloseKind::Immediate,
            CloseReason::PeerReset => CloseKind::Immediate,
            _ => CloseKind::Reset,
        };
        self.sending = Sending::Closed(kind);
        self.reading = Reading::Closed;
        self.output.clear();
        self.in_flight = 0;
        self.pipe.break_off(error);
        self.end();
    }

    fn pending(&self) -> usize {
        self.output.len() + self.in_flight
    }

    /// Whether all was said, and nobody reads what still comes.
    fn lingers(&self) -> bool {
        matches!(self.sending, Sending::Closed(_)) && self.reading == Reading::Discarding
    }

    /// Bytes moved.
    fn stir(&mut self, now: Instant) {
        if !self.lingers() {
            self.idle_at = after(now, self.options.idle);
        }
    }

    fn arm_stall(&mut self, now: Instant) {
        if self.stall_at == Instant::NEVER && self.pending() > 0 {
            self.stall_at = after(now, self.options.write_stall);
        }
    }

    /// Whether the stream can move this.
    fn waits_for_stream(&self) -> bool {
        match (self.sending, self.reading) {
            (Sending::Open, _) | (_, Reading::Full) => true,
            (Sending::Closed(_), Reading::Open) => true,
            (Sending::Ending | Sending::Closed(_), _) => false,
        }
    }
}

impl Flow for DuplexFlow {
    fn next_read_operation(&self) -> ReadOperation {
        match self.reading {
            Reading::Open | Reading::Discarding => ReadOperation::Read,
            Reading::Full => ReadOperation::Yield,
            Reading::Closed => ReadOperation::Close,
        }
    }

    fn next_write_operation(&self) -> WriteOperation {
        if !self.output.is_empty() {
            return WriteOperation::Write;
        }
        match self.sending {
            Sending::Closed(kind) => WriteOperation::Close(kind),
            Sending::Open | Sending::Ending => WriteOperation::Yield,
        }
    }

    fn waiting_on(&self) -> Waiting {
        if is_finished(self) {
            return Waiting::NOTHING;
        }
        let mut waiting = Waiting::NOTHING;
        if self.next_read_operation() == ReadOperation::Read {
            waiting = waiting | Waiting::PEER_READ;
        }
        if self.pending() > 0 {
            waiting = waiting | Waiting::PEER_WRITE;
        }
        if self.waits_for_stream() {
            waiting = waiting | Waiting::APPLICATION;
        }
        if self.deadline().is_some() {
            waiting = waiting | Waiting::DEADLINE;
        }
        waiting
    }

    fn deadline(&self) -> Option<Deadline> {
        let deadlines = [
            Deadline { at: self.stall_at, kind: DeadlineKind::WriteStall },
            Deadline { at: self.linger_at, kind: DeadlineKind::Linger },
            Deadline { at: self.idle_at, kind: DeadlineKind::Idle },
        ];
        deadlines
            .into_iter()
            .min_by_key(|deadline| deadline.at)
            .filter(|nearest| nearest.at != Instant::NEVER)
    }

    fn write_slices<'a>(&'a self, out: &mut [IoSlice<'a>]) -> usize {
        self.output.slices(out)
    }

    fn ending(&self) -> Option<CloseKind> {
        (self.sending == Sending::Ending).then(|| self.kind_of_end())
    }

    fn close_reason(&self) -> Option<CloseReason> {
        self.reason
    }

    fn read(&mut self, input: &mut BytesMut, turn: &mut Turn<'_>) {
        match self.reading {
            Reading::Open | Reading::Full => {
                let incoming = self.pipe.receive(input, turn.waker);
                self.see(incoming);
                self.stir(turn.now);
            }
            Reading::Discarding if self.lingers() => {
                self.lingered = self.lingered.saturating_add(input.len() as u64);
                if self.lingered > MAX_LINGER_BYTES {
                    self.reading = Reading::Closed;
                }
            }
            // As long as the stream still writes, a peer that sends what nobody reads is no less patient for that.
            Reading::Discarding | Reading::Closed => {}
        }
        input.clear();
        self.conclude(turn.now);
    }

    fn close_input(&mut self, end: InputEnd, turn: &mut Turn<'_>) {
        match end {
            InputEnd::Eof | InputEnd::TlsTruncated if self.reading != Reading::Closed => {
                if !matches!(self.sending, Sending::Closed(_)) {
                    self.end = CloseReason::PeerClosed;
                }
                self.reading = Reading::Closed;
                let error = (end == InputEnd::TlsTruncated).then_some(ErrorKind::UnexpectedEof);
                self.pipe.end_input(error, turn.waker);
                self.conclude(turn.now);
            }
            InputEnd::Eof | InputEnd::TlsTruncated => {}
            InputEnd::Reset => self.break_off(ErrorKind::ConnectionReset, CloseReason::PeerReset),
            InputEnd::Error => self.break_off(ErrorKind::ConnectionAborted, CloseReason::TransportFailed),
        }
    }

    fn report_write_result(&mut self, result: WriteResult, turn: &mut Turn<'_>) {
        let WriteResult::Wrote(count) = result else {
            return self.break_off(ErrorKind::ConnectionReset, CloseReason::PeerReset);
        };
        let of_taken = count.min(self.in_flight);
        self.in_flight -= of_taken;
        if count > of_taken {
            self.output.advance(count - of_taken);
        }
        self.pipe.sent(count, turn.waker);
        self.stir(turn.now);
        self.stall_at = Instant::NEVER;
        self.arm_stall(turn.now);
        self.conclude(turn.now);
    }

    fn handle_timeout(&mut self, turn: &mut Turn<'_>) {
        if self.linger_at <= turn.now {
            self.reading = Reading::Closed;
            self.conclude(turn.now);
        } else if self.stall_at <= turn.now {
            self.break_off(ErrorKind::TimedOut, CloseReason::TimedOut(DeadlineKind::WriteStall));
        } else if self.idle_at <= turn.now {
            self.break_off(ErrorKind::TimedOut, CloseReason::TimedOut(DeadlineKind::Idle));
        }
    }

    fn run(&mut self, turn: &mut Turn<'_>) {
        if !is_finished(self) {
            self.poll_task(turn);
        }
        if !is_finished(self) {
            self.attend(turn);
            self.conclude(turn.now);
        }
    }

    fn drain(&mut self, turn: &mut Turn<'_>) {
        if is_finished(self) {
            return;
        }
        self.end = CloseReason::Drained;
        self.pipe.drain(self.options.when_drained, turn.waker);
        if self.options.when_drained == WhenDrained::EndInput
            && matches!(self.reading, Reading::Open | Reading::Full)
        {
            self.reading = Reading::Discarding;
            self.pipe.end_input(None, turn.waker);
            self.conclude(turn.now);
        }
    }

    fn abort(&mut self, reason: AbortReason) {
        self.break_off(ErrorKind::ConnectionAborted, CloseReason::Aborted(reason));
    }

    fn poll_job(&mut self) -> Option<Job> {
        self.job.take()
    }

    fn take_output(&mut self, max: usize, out: &mut Vec<Bytes>) {
        let before = self.output.len();
        self.output.take(max, out);
        self.in_flight += before - self.output.len();
    }
}

impl Drop for DuplexFlow {
    fn drop(&mut self) {
        // A driver that gives a connection up: the stream learns of it all the same.
        self.pipe.break_off(ErrorKind::ConnectionAborted);
    }
}

impl fmt::Debug for DuplexFlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DuplexFlow")
            .field("reading", &self.reading)
            .field("sending", &self.sending)
            .field("pending", &self.pending())
            .finish_non_exhaustive()
    }
}

/// `duration` after `now`, or never where there is no bound.
fn after(now: Instant, duration: Option<core::time::Duration>) -> Instant {
    duration.map_or(Instant::NEVER, |duration| now + duration)
}
