//! The rig works as a driver does, and every law it checks is one that a flow can break.

use core::task::Poll;
use core::time::Duration;
use std::io::IoSlice;

use bytes::{Bytes, BytesMut};

use super::*;
use crate::flow::{
    AbortReason, CloseKind, CloseReason, Deadline, DeadlineKind, Flow, InputEnd, ReadOperation, Waiting,
    WriteOperation, WriteResult,
};
use crate::job::{Job, Lane, Pending, job};
use crate::turn::Turn;

/// Sends back what it gets; answers `j` by a job, `t` after a second, and closes with a linger at `q`.
#[derive(Default)]
struct Scripted {
    pending: Option<Pending<&'static str>>,
}

impl Behaviour for Scripted {
    fn input(&mut self, io: &mut Io, bytes: &[u8]) {
        match bytes {
            b"j" => {
                let (job, pending) = job(Lane::DEFAULT, |_| "from a job");
                self.pending = Some(pending);
                io.exec(job);
                io.expect_application();
                io.yield_reading();
            }
            b"t" => io.set_deadline(Duration::from_secs(1), DeadlineKind::Application),
            b"q" => {
                io.send("bye");
                io.linger(CloseReason::Finished);
                io.set_deadline(Duration::from_secs(2), DeadlineKind::Linger);
            }
            b"2" => ["one", "two"].into_iter().for_each(|answer| io.send(answer)),
            _ => io.send(bytes.to_vec()),
        }
    }

    fn timeout(&mut self, io: &mut Io) {
        io.send("in time");
    }

    fn run(&mut self, io: &mut Io) {
        let Some(pending) = &mut self.pending else { return };
        let Poll::Ready(result) = pending.poll(&io.waker().clone()) else { return };
        self.pending = None;
        io.send(result.unwrap_or("no job"));
        io.application_done();
        io.resume_reading();
    }
}

fn scripted() -> Probe<Scripted> {
    Probe::new(Scripted::default(), Log::default(), ManualClock::default().now())
}

#[test]
fn job_is_run_by_hand_and_wakes_the_flow() {
    let mut rig = Rig::new(scripted());
    rig.read("j");
    rig.assert_yielding();
    assert_eq!(rig.waiting_on(), Waiting::APPLICATION);
    assert_eq!(rig.jobs().len(), 1);
    assert_eq!(rig.run_jobs(), 1);
    assert_eq!(rig.written(), b"from a job");
    rig.assert_reading();
}

#[test]
fn job_without_room_is_refused_and_lost_job_is_told() {
    let mut rig = Rig::new(scripted());
    rig.jobs().set_capacity(0);
    rig.read("j");
    assert_eq!(rig.written(), b"no job");
    rig.jobs().set_capacity(1);
    rig.read("j");
    rig.lose_jobs();
    assert_eq!(rig.written(), b"no job");
}

#[test]
fn deadline_fires_at_its_very_instant() {
    let mut rig = Rig::new(scripted());
    rig.read("t");
    rig.advance(Duration::from_nanos(999_999_999));
    assert_eq!(rig.written(), b"");
    rig.advance(Duration::from_nanos(1));
    assert_eq!(rig.written(), b"in time");
    assert_eq!(rig.deadline(), None);
}

#[test]
fn fed_bytes_wait_while_the_flow_yields() {
    let mut rig = Rig::new(scripted());
    rig.feed("jab", 1);
    rig.eof();
    assert_eq!(rig.unread(), 2);
    rig.run_jobs();
    assert_eq!(rig.unread(), 0);
    assert_eq!(rig.written(), b"from a jobab");
    rig.assert_finished(CloseReason::PeerClosed);
}

#[test]
fn output_is_taken_as_the_peer_takes_it() {
    let mut rig = Rig::new(scripted());
    rig.read("hello");
    assert_eq!(rig.write_at_most(2), b"he");
    let chunks = rig.take_output(2);
    assert_eq!(chunks, ["ll"]);
    rig.read("!");
    rig.report_write_result(WriteResult::Wrote(1));
    rig.report_write_result(WriteResult::Wrote(1));
    assert_eq!(rig.written(), b"o!");
    rig.read("lost");
    rig.report_write_result(WriteResult::Closed);
    rig.assert_finished(CloseReason::PeerReset);
}

#[test]
fn rig_drains_aborts_and_resets() {
    let mut rig = Rig::new(scripted());
    rig.drain();
    rig.assert_finished(CloseReason::Drained);

    let mut rig = Rig::new(scripted());
    rig.read("hello");
    rig.abort(AbortReason::GraceExpired);
    rig.assert_finished(CloseReason::Aborted(AbortReason::GraceExpired));

    let mut rig = Rig::new(scripted());
    rig.reset();
    rig.assert_finished(CloseReason::PeerReset);
}

/// A way to break a law.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Flaw {
    OffersNothing,
    OffersAnEmptySlice,
    OffersUnasked,
    ForgetsSlices,
    WaitsForNobody,
    HidesItsDeadline,
    NamesAPeerItDoesNotRead,
    RewritesItsOutput,
    DropsItsOutput,
    LeavesInput,
    NeverRests,
    WakesNobody,
    KeepsItsDeadline,
    Reopens,
    HasNoReason,
    AnswersAtRandom,
    OffersAtRandom,
    IgnoresAbort,
    ResetsAndReads,
    ChangesItsClose,
    CallsAllTheLast,
    EndsWithNothing,
}

/// A flow that keeps the laws but for one.
struct Flawed {
    inner: Probe<Scripted>,
    flaw: Flaw,
    calls: core::cell::Cell<u32>,
    runs: u32,
    finished_before: bool,
}

impl Flawed {
    fn rig(flaw: Flaw) -> Rig<Self> {
        let calls = core::cell::Cell::new(0);
        Rig::new(Self { inner: scripted(), flaw, calls, runs: 0, finished_before: false })
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }
}

impl Flow for Flawed {
    fn next_read_operation(&self) -> ReadOperation {
        let operation = self.inner.next_read_operation();
        self.calls.set(self.calls.get() + 1);
        if self.has(Flaw::AnswersAtRandom) && self.calls.get().is_multiple_of(7) {
            return ReadOperation::Yield;
        }
        if self.has(Flaw::Reopens) && self.finished_before {
            return ReadOperation::Read;
        }
        operation
    }

    fn next_write_operation(&self) -> WriteOperation {
        match self.inner.next_write_operation() {
            WriteOperation::Yield if self.has(Flaw::OffersNothing) => WriteOperation::Write,
            WriteOperation::Close(CloseKind::Linger) if self.has(Flaw::ResetsAndReads) => {
                WriteOperation::Close(CloseKind::Reset)
            }
            WriteOperation::Close(_) if self.has(Flaw::ChangesItsClose) && self.finished_before => {
                WriteOperation::Close(CloseKind::Reset)
            }
            WriteOperation::Write if self.has(Flaw::DropsItsOutput) && self.runs > 3 => WriteOperation::Yield,
            operation => operation,
        }
    }

    fn waiting_on(&self) -> Waiting {
        match self.flaw {
            Flaw::WaitsForNobody => Waiting::NOTHING,
            Flaw::HidesItsDeadline => Waiting::PEER_READ,
            Flaw::NamesAPeerItDoesNotRead => self.inner.waiting_on() | Waiting::PEER_READ,
            Flaw::OffersNothing => self.inner.waiting_on() | Waiting::PEER_WRITE,
            _ => self.inner.waiting_on(),
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        self.inner.deadline()
    }

    fn write_slices<'a>(&'a self, out: &mut [IoSlice<'a>]) -> usize {
        let count = self.inner.write_slices(out);
        match self.flaw {
            Flaw::OffersAnEmptySlice if count < out.len() => {
                out[count] = IoSlice::new(&[]);
                count + 1
            }
            Flaw::OffersUnasked if count == 0 => {
                out[0] = IoSlice::new(b"unasked");
                1
            }
            Flaw::ForgetsSlices if out.len() == 1 => 0,
            Flaw::DropsItsOutput if self.runs > 3 => 0,
            Flaw::RewritesItsOutput if self.runs > 3 => {
                out[0] = IoSlice::new(b"others");
                1
            }
            Flaw::OffersAtRandom if self.calls.get().is_multiple_of(2) => count.min(1),
            _ => count,
        }
    }

    fn ending(&self) -> Option<CloseKind> {
        match self.flaw {
            Flaw::CallsAllTheLast if self.inner.next_write_operation() == WriteOperation::Write => {
                Some(CloseKind::Linger)
            }
            Flaw::EndsWithNothing => Some(CloseKind::Linger),
            _ => self.inner.ending(),
        }
    }

    fn close_reason(&self) -> Option<CloseReason> {
        if self.has(Flaw::HasNoReason) { None } else { self.inner.close_reason() }
    }

    fn read(&mut self, input: &mut BytesMut, turn: &mut Turn<'_>) {
        if self.has(Flaw::LeavesInput) {
            let mut first = input.split_to(1);
            return self.inner.read(&mut first, turn);
        }
        self.inner.read(input, turn);
    }

    fn close_input(&mut self, end: InputEnd, turn: &mut Turn<'_>) {
        self.inner.close_input(end, turn);
    }

    fn report_write_result(&mut self, result: WriteResult, turn: &mut Turn<'_>) {
        self.inner.report_write_result(result, turn);
    }

    fn handle_timeout(&mut self, turn: &mut Turn<'_>) {
        if !self.has(Flaw::KeepsItsDeadline) {
            self.inner.handle_timeout(turn);
        }
    }

    fn run(&mut self, turn: &mut Turn<'_>) {
        self.runs += 1;
        self.finished_before = crate::flow::is_finished(&self.inner);
        if self.has(Flaw::NeverRests) {
            turn.waker.wake_by_ref();
        }
        if self.has(Flaw::WakesNobody) {
            let mut deaf = Turn::new(turn.now, turn.dates, core::task::Waker::noop(), turn.pool);
            return self.inner.run(&mut deaf);
        }
        self.inner.run(turn);
    }

    fn drain(&mut self, turn: &mut Turn<'_>) {
        self.inner.drain(turn);
    }

    fn abort(&mut self, reason: AbortReason) {
        if !self.has(Flaw::IgnoresAbort) {
            self.inner.abort(reason);
        }
    }

    fn poll_job(&mut self) -> Option<Job> {
        self.inner.poll_job()
    }

    fn take_output(&mut self, max: usize, out: &mut Vec<Bytes>) {
        self.inner.take_output(max, out);
    }
}

#[test]
#[should_panic(expected = "it says Write and offers no slice")]
fn write_without_slices_is_caught() {
    Flawed::rig(Flaw::OffersNothing);
}

#[test]
#[should_panic(expected = "it offers an empty slice")]
fn empty_slice_is_caught() {
    Flawed::rig(Flaw::OffersAnEmptySlice).read("hello");
}

#[test]
#[should_panic(expected = "it offers bytes and does not say Write")]
fn bytes_without_write_are_caught() {
    Flawed::rig(Flaw::OffersUnasked);
}

#[test]
#[should_panic(expected = "with room for one slice it does not offer the first")]
fn forgotten_slice_is_caught() {
    Flawed::rig(Flaw::ForgetsSlices).read("hello");
}

#[test]
#[should_panic(expected = "it is not finished and waits for nobody")]
fn waiting_for_nobody_is_caught() {
    Flawed::rig(Flaw::WaitsForNobody);
}

#[test]
#[should_panic(expected = "waiting_on names a deadline if and only if there is one")]
fn hidden_deadline_is_caught() {
    Flawed::rig(Flaw::HidesItsDeadline).read("t");
}

#[test]
#[should_panic(expected = "waiting_on names peer-read if and only if the read side says Read")]
fn peer_that_is_waited_for_but_not_read_is_caught() {
    Flawed::rig(Flaw::NamesAPeerItDoesNotRead).read("j");
}

#[test]
#[should_panic(expected = "bytes on offer changed")]
fn rewritten_output_is_caught() {
    let mut rig = Flawed::rig(Flaw::RewritesItsOutput);
    rig.read("hello");
    rig.read("hello");
}

#[test]
#[should_panic(expected = "bytes on offer changed")]
fn dropped_output_is_caught() {
    let mut rig = Flawed::rig(Flaw::DropsItsOutput);
    rig.read("hello");
    rig.run();
}

#[test]
#[should_panic(expected = "a flow takes all of its input; it left 4 bytes")]
fn input_left_over_is_caught() {
    Flawed::rig(Flaw::LeavesInput).read("hello");
}

#[test]
#[should_panic(expected = "it never comes to rest")]
fn restless_flow_is_caught() {
    Flawed::rig(Flaw::NeverRests);
}

#[test]
#[should_panic(expected = "nothing woke it, and a run changed its answers")]
fn missed_wake_is_caught() {
    let mut rig = Flawed::rig(Flaw::WakesNobody);
    rig.read("j");
    rig.run_jobs();
}

#[test]
#[should_panic(expected = "a deadline that does not go")]
fn deadline_that_stays_is_caught() {
    let mut rig = Flawed::rig(Flaw::KeepsItsDeadline);
    rig.read("t");
    rig.advance(Duration::from_secs(1));
}

#[test]
#[should_panic(expected = "the read side said Close before")]
fn reopened_flow_is_caught() {
    let mut rig = Flawed::rig(Flaw::Reopens);
    rig.eof();
}

#[test]
#[should_panic(expected = "it is finished and has no close reason")]
fn end_without_a_reason_is_caught() {
    Flawed::rig(Flaw::HasNoReason).eof();
}

#[test]
#[should_panic(expected = "law broken (ask again)")]
fn impure_question_is_caught() {
    let mut rig = Flawed::rig(Flaw::AnswersAtRandom);
    rig.read("hello");
    rig.written();
}

#[test]
#[should_panic(expected = "asked again it answered otherwise")]
fn output_that_is_less_or_more_when_asked_again_is_caught() {
    Flawed::rig(Flaw::OffersAtRandom).read("2");
}

#[test]
#[should_panic(expected = "asked again it answered otherwise")]
fn output_that_is_more_or_less_when_asked_again_is_caught() {
    let mut rig = Flawed::rig(Flaw::OffersAtRandom);
    let _one_question_more = rig.next_read_operation();
    rig.read("2");
}

#[test]
#[should_panic(expected = "an aborted flow is finished at once")]
fn ignored_abort_is_caught() {
    Flawed::rig(Flaw::IgnoresAbort).abort(AbortReason::Requested);
}

#[test]
#[should_panic(expected = "it says Close(Reset) and is not finished")]
fn reset_of_a_flow_that_reads_on_is_caught() {
    let mut rig = Flawed::rig(Flaw::ResetsAndReads);
    rig.read("q");
    rig.written();
}

#[test]
#[should_panic(expected = "how it closes changed after the end")]
fn close_that_changes_is_caught() {
    Flawed::rig(Flaw::ChangesItsClose).eof();
}

#[test]
#[should_panic(expected = "something follows what it called the last")]
fn more_behind_the_last_is_caught() {
    let mut rig = Flawed::rig(Flaw::CallsAllTheLast);
    rig.read("hello");
    rig.read("more");
}

#[test]
#[should_panic(expected = "what it called the last is out, and the write side does not say Close")]
fn last_that_ends_nothing_is_caught() {
    let mut rig = Flawed::rig(Flaw::CallsAllTheLast);
    rig.read("hello");
    rig.written();
}

#[test]
#[should_panic(expected = "and nothing is left to go out")]
fn last_of_nothing_is_caught() {
    Flawed::rig(Flaw::EndsWithNothing);
}

#[test]
fn what_is_cut_off_is_reset_if_the_behaviour_says_so() {
    struct Until;
    impl Behaviour for Until {
        fn input(&mut self, io: &mut Io, bytes: &[u8]) {
            io.send(bytes.to_vec());
            io.reset_unless_finished();
            match bytes {
                b"finish" => io.finish(CloseReason::Finished),
                b"linger" => io.linger(CloseReason::Finished),
                b"reset" => io.reset(CloseReason::ApplicationFailed),
                _ => {}
            }
        }
    }
    for (input, is_written, expected) in [
        ("x", true, CloseKind::Reset),
        ("finish", false, CloseKind::Reset),
        ("finish", true, CloseKind::Immediate),
        ("linger", true, CloseKind::Immediate),
        ("reset", true, CloseKind::Reset),
    ] {
        let mut rig = Rig::new(Probe::new(Until, Log::default(), ManualClock::default().now()));
        rig.read(input);
        if is_written {
            rig.written();
        }
        rig.abort(AbortReason::Requested);
        assert_eq!(rig.next_write_operation(), WriteOperation::Close(expected), "{input}, {is_written}");
    }
}

#[test]
#[should_panic(expected = "the read side; the flow waits on application")]
fn rig_does_not_read_while_the_flow_yields() {
    let mut rig = Rig::new(scripted());
    rig.read("j");
    rig.read("more");
}
