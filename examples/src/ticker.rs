//! A server that speaks on its own: it greets, pushes a line a second, and echoes each line it reads meanwhile.
//!
//! ```text
//!   accepted ──► "hello"  ──► every period: "tick 1", "tick 2", …   while lines that come in go back out
//!                                  │
//!                                  └─ the last tick is still unsent: this one is skipped, not queued
//! ```
//!
//! Request and answer alternate in HTTP and ETX-ack. Here nothing alternates: reading and writing are two independent
//! questions, and the flow's own deadline makes it write though nobody sent anything. No thread sleeps between two
//! ticks, so the same flow runs under every model.
//!
//! Memory is bounded on both sides: of a peer that does not read, at most [`MAX_OUTPUT`] bytes wait, then its lines are
//! left in its socket and ticks are dropped; the numbers of the ticks show the gap. A line is at most [`MAX_LINE`] bytes.

use core::time::Duration;
use std::io::IoSlice;

use anabranch_core::{
    AbortReason, CloseKind, CloseReason, ConnectionInfo, Deadline, DeadlineKind, Flow, InputEnd, Instant,
    Job, Protocol, ReadOperation, Turn, Waiting, WriteOperation, WriteResult,
};
use bytes::{Buf, Bytes, BytesMut};

/// Bytes waiting to be sent, beyond which nothing is read and no tick is pushed. Overshot by one line at most.
pub const MAX_OUTPUT: usize = 1024;

/// Bytes of a line without its LF. A longer one ends the connection.
pub const MAX_LINE: usize = 256;

/// A peer that takes nothing of what waits for it is given so long.
const WRITE_STALL: Duration = Duration::from_secs(30);

/// After the last line, the peer is given so long to close its half.
const LINGER: Duration = Duration::from_secs(2);

/// The protocol: one [`Ticking`] a connection.
#[derive(Clone, Copy, Debug)]
pub struct Ticker {
    /// From one tick to the next.
    pub period: Duration,
}

impl Protocol for Ticker {
    fn connect(&self, _info: ConnectionInfo, now: Instant) -> Box<dyn Flow> {
        Box::new(Ticking::new(self.period, now))
    }
}

/// One connection.
#[derive(Debug)]
pub struct Ticking {
    period: Duration,
    next_tick: Instant,
    ticks: u64,
    /// Received and not yet echoed: lines that wait for room, and one that has not ended.
    input: Vec<u8>,
    output: BytesMut,
    /// Taken as owned chunks and not yet reported.
    taken: usize,
    /// When the peer last took something, or had nothing to take.
    moved: Instant,
    phase: Phase,
    input_ended: bool,
    draining: bool,
    reason: Option<CloseReason>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Open,
    /// What is owed is flushed, then the sending half is shut.
    Closing,
    Lingering {
        until: Instant,
    },
    Finished,
}

impl Ticking {
    /// A connection accepted at `now`. It has something to say already.
    #[must_use]
    pub fn new(period: Duration, now: Instant) -> Self {
        Self {
            // A period of nothing would never let the clock pass it.
            period: period.max(Duration::from_millis(1)),
            next_tick: now + period,
            ticks: 0,
            input: Vec::new(),
            output: BytesMut::from(&b"hello\n"[..]),
            taken: 0,
            moved: now,
            phase: Phase::Open,
            input_ended: false,
            draining: false,
            reason: None,
        }
    }

    fn owed(&self) -> usize {
        self.output.len() + self.taken
    }

    fn push(&mut self, pieces: &[&[u8]], now: Instant) {
        if self.owed() == 0 {
            self.moved = now;
        }
        for piece in pieces {
            self.output.extend_from_slice(piece);
        }
    }

    /// Echoes whole lines while there is room, and says goodbye when the server drains and none is left.
    fn echo(&mut self, now: Instant) {
        if self.owed() >= MAX_OUTPUT {
            return;
        }
        let input = core::mem::take(&mut self.input);
        let mut rest = &input[..];
        while self.phase == Phase::Open && self.owed() < MAX_OUTPUT {
            match rest.iter().take(MAX_LINE + 1).position(|byte| *byte == b'\n') {
                Some(end) => {
                    self.push(&[b"> ", &rest[..=end]], now);
                    rest = &rest[end + 1..];
                }
                None if rest.len() > MAX_LINE => {
                    self.push(&[b"! line too long\n"], now);
                    self.close(CloseReason::Refused(413), now);
                }
                None if self.draining => {
                    self.push(&[b"bye\n"], now);
                    self.close(CloseReason::Drained, now);
                }
                None => break,
            }
        }
        if self.phase == Phase::Open {
            // The exact size: what was echoed is not kept alive by what follows it.
            self.input = rest.to_vec();
        }
    }

    fn close(&mut self, reason: CloseReason, now: Instant) {
        if self.phase == Phase::Open {
            self.reason = Some(reason);
            self.input = Vec::new();
            self.phase = Phase::Closing;
            self.settle(now);
        }
    }

    fn settle(&mut self, now: Instant) {
        if self.phase == Phase::Closing && self.owed() == 0 {
            self.phase =
                if self.input_ended { Phase::Finished } else { Phase::Lingering { until: now + LINGER } };
        }
    }

    fn finish(&mut self, reason: CloseReason) {
        if self.reason.is_none() || self.owed() > 0 {
            self.reason = Some(reason);
        }
        self.input = Vec::new();
        self.output = BytesMut::new();
        self.taken = 0;
        self.phase = Phase::Finished;
    }
}

impl Flow for Ticking {
    fn next_read_operation(&self) -> ReadOperation {
        match self.phase {
            Phase::Finished => ReadOperation::Close,
            _ if self.input_ended => ReadOperation::Close,
            Phase::Open if self.owed() < MAX_OUTPUT && !self.draining => ReadOperation::Read,
            Phase::Open | Phase::Closing => ReadOperation::Yield,
            Phase::Lingering { .. } => ReadOperation::Read,
        }
    }

    fn next_write_operation(&self) -> WriteOperation {
        match self.phase {
            _ if !self.output.is_empty() => WriteOperation::Write,
            Phase::Open | Phase::Closing => WriteOperation::Yield,
            Phase::Lingering { .. } => WriteOperation::Close(CloseKind::Linger),
            Phase::Finished => WriteOperation::Close(CloseKind::Immediate),
        }
    }

    fn waiting_on(&self) -> Waiting {
        let mut waiting = Waiting::NOTHING;
        if self.next_read_operation() == ReadOperation::Read {
            waiting = waiting | Waiting::PEER_READ;
        }
        if self.owed() > 0 {
            waiting = waiting | Waiting::PEER_WRITE;
        }
        if self.deadline().is_some() {
            waiting = waiting | Waiting::DEADLINE;
        }
        waiting
    }

    fn deadline(&self) -> Option<Deadline> {
        let stall = Deadline { at: self.moved + WRITE_STALL, kind: DeadlineKind::WriteStall };
        let tick = Deadline { at: self.next_tick, kind: DeadlineKind::Application };
        match self.phase {
            Phase::Open if self.owed() > 0 && stall.at <= tick.at => Some(stall),
            Phase::Open => Some(tick),
            Phase::Closing => Some(stall),
            Phase::Lingering { until } => Some(Deadline { at: until, kind: DeadlineKind::Linger }),
            Phase::Finished => None,
        }
    }

    fn write_slices<'a>(&'a self, out: &mut [IoSlice<'a>]) -> usize {
        match out.first_mut() {
            Some(slot) if !self.output.is_empty() => {
                *slot = IoSlice::new(&self.output);
                1
            }
            _ => 0,
        }
    }

    fn close_reason(&self) -> Option<CloseReason> {
        self.reason
    }

    fn read(&mut self, input: &mut BytesMut, turn: &mut Turn<'_>) {
        if self.phase == Phase::Open && !self.input_ended {
            self.input.reserve_exact(input.len());
            self.input.extend_from_slice(input);
            self.echo(turn.now);
        }
        input.clear();
    }

    fn close_input(&mut self, end: InputEnd, turn: &mut Turn<'_>) {
        self.input_ended = true;
        match (end, self.phase) {
            // A peer that only listens is as good as any: the ticks go on.
            (InputEnd::Eof, Phase::Open) => self.echo(turn.now),
            (InputEnd::Eof, Phase::Closing) => {}
            (_, Phase::Lingering { .. }) => self.phase = Phase::Finished,
            (InputEnd::Reset, _) => self.finish(CloseReason::PeerReset),
            (_, _) => self.finish(CloseReason::TransportFailed),
        }
    }

    fn report_write_result(&mut self, result: WriteResult, turn: &mut Turn<'_>) {
        match result {
            WriteResult::Wrote(count) => {
                let from_taken = count.min(self.taken);
                self.taken -= from_taken;
                self.output.advance((count - from_taken).min(self.output.len()));
                self.moved = turn.now;
                self.echo(turn.now);
                self.settle(turn.now);
            }
            WriteResult::Closed => self.finish(CloseReason::PeerReset),
        }
    }

    fn handle_timeout(&mut self, turn: &mut Turn<'_>) {
        let Some(deadline) = self.deadline().filter(|deadline| deadline.at <= turn.now) else { return };
        match deadline.kind {
            DeadlineKind::Application => {
                // Ticks that a late driver slept through are counted and not caught up.
                while self.next_tick <= turn.now {
                    self.next_tick += self.period;
                    self.ticks += 1;
                }
                if self.owed() == 0 && !self.draining {
                    let line = format!("tick {}\n", self.ticks);
                    self.push(&[line.as_bytes()], turn.now);
                }
            }
            DeadlineKind::Linger => self.phase = Phase::Finished,
            kind => self.finish(CloseReason::TimedOut(kind)),
        }
    }

    fn run(&mut self, _turn: &mut Turn<'_>) {}

    fn drain(&mut self, turn: &mut Turn<'_>) {
        self.draining = true;
        self.echo(turn.now);
    }

    fn abort(&mut self, reason: AbortReason) {
        self.finish(CloseReason::Aborted(reason));
    }

    fn poll_job(&mut self) -> Option<Job> {
        None
    }

    fn take_output(&mut self, max: usize, out: &mut Vec<Bytes>) {
        let count = self.output.len().min(max);
        if count > 0 {
            self.taken += count;
            out.push(self.output.split_to(count).freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anabranch_core::testing::{ManualClock, Rig};

    const SECOND: Duration = Duration::from_secs(1);

    fn talk() -> Rig<Ticking> {
        Rig::new(Ticking::new(SECOND, ManualClock::default().now()))
    }

    fn taken(rig: &mut Rig<Ticking>) -> String {
        String::from_utf8(rig.written()).unwrap()
    }

    #[test]
    fn server_speaks_first_and_then_once_a_second() {
        let mut rig = talk();
        assert_eq!(taken(&mut rig), "hello\n");
        for tick in 1..=3 {
            assert_eq!(rig.deadline().unwrap().at, rig.now() + SECOND);
            rig.advance(SECOND);
            assert_eq!(taken(&mut rig), format!("tick {tick}\n"));
        }
    }

    #[test]
    fn lines_are_echoed_between_ticks_however_they_are_cut() {
        let mut rig = talk();
        rig.read("one\ntw");
        assert_eq!(taken(&mut rig), "hello\n> one\n");
        rig.advance(SECOND);
        rig.read_bytewise("o\nthree\n");
        assert_eq!(taken(&mut rig), "tick 1\n> two\n> three\n");
    }

    #[test]
    fn ticks_are_skipped_and_not_queued_when_the_peer_does_not_read() {
        let mut rig = talk();
        assert_eq!(taken(&mut rig), "hello\n");
        rig.advance(SECOND * 5);
        assert_eq!(taken(&mut rig), "tick 1\n");
        rig.advance(SECOND);
        assert_eq!(taken(&mut rig), "tick 6\n");
    }

    #[test]
    fn output_is_bounded_when_a_peer_sends_and_does_not_read() {
        let mut rig = talk();
        rig.read("line\n".repeat(10_000));
        rig.assert_yielding();
        assert!(rig.flow().owed() < MAX_OUTPUT + MAX_LINE);
        assert_eq!(taken(&mut rig), format!("hello\n{}", "> line\n".repeat(10_000)));
        rig.assert_reading();
    }

    #[test]
    fn peer_that_never_reads_is_given_up() {
        let mut rig = talk();
        rig.advance(WRITE_STALL - SECOND);
        assert!(!rig.is_finished());
        rig.advance(SECOND);
        rig.assert_finished(CloseReason::TimedOut(DeadlineKind::WriteStall));
    }

    #[test]
    fn peer_that_only_listens_goes_on_getting_ticks() {
        let mut rig = talk();
        rig.eof();
        assert_eq!(taken(&mut rig), "hello\n");
        rig.advance(SECOND);
        assert_eq!(taken(&mut rig), "tick 1\n");
    }

    #[test]
    fn line_too_long_ends_the_connection_after_an_answer() {
        let mut rig = talk();
        rig.read("x".repeat(MAX_LINE));
        assert_eq!(taken(&mut rig), "hello\n");
        rig.read("x");
        assert_eq!(taken(&mut rig), "! line too long\n");
        rig.read("what is still under way");
        rig.eof();
        rig.assert_finished(CloseReason::Refused(413));
    }

    #[test]
    fn drain_echoes_what_was_whole_and_says_goodbye() {
        let mut rig = talk();
        rig.read(format!("{}unfin", "line\n".repeat(1000)));
        rig.drain();
        assert_eq!(taken(&mut rig), format!("hello\n{}bye\n", "> line\n".repeat(1000)));
        rig.advance(LINGER);
        rig.assert_finished(CloseReason::Drained);
    }

    #[test]
    fn output_taken_as_chunks_is_owed_until_it_was_reported() {
        let mut rig = talk();
        assert_eq!(rig.take_output(3).concat(), b"hel");
        assert_eq!(rig.take_output(9).concat(), b"lo\n");
        rig.advance(SECOND);
        assert!(rig.take_output(9).is_empty());
        rig.report_write_result(WriteResult::Wrote(6));
        rig.advance(SECOND);
        assert_eq!(taken(&mut rig), "tick 2\n");
    }
}
