//! A driver worked by hand, which holds its flow to the laws at every call.

use core::fmt;
use core::task::Waker;
use core::time::Duration;
use std::io::IoSlice;

use bytes::{Bytes, BytesMut};

use super::clock::ManualClock;
use super::jobs::ManualJobs;
use super::laws::{After, Answers, Laws, broken};
use super::waker::CountingWaker;
use crate::flow::{
    AbortReason, CloseReason, Deadline, Flow, InputEnd, Protocol, ReadOperation, Waiting, WriteOperation,
    WriteResult, is_finished,
};
use crate::info::{ConnectionId, ConnectionInfo};
use crate::time::{Dates, Instant};
use crate::turn::{Pool, Turn};

/// A flow and everything a driver lends it, worked by hand. The test plays the peer, the clock and the job threads.
///
/// Each method does what a driver would do: makes its call, lets the application go on ([`run`](Self::run)) until it
/// rests, collects jobs, and checks the laws. Nothing is written before the test takes it, with
/// [`written`](Self::written) or [`write_at_most`](Self::write_at_most).
///
/// The `Date` is that of RFC 9110's example, Sun, 06 Nov 1994 08:49:37 GMT, when the rig begins.
///
/// # Panics
/// Every method panics when the flow breaks a law, or when the test asks for what a driver would never do.
pub struct Rig<F: Flow> {
    flow: F,
    lent: Lent,
    wakes: CountingWaker,
    /// Wakes that were answered with a run.
    answered: usize,
    jobs: ManualJobs,
    laws: Laws,
    backlog: BytesMut,
    /// Bytes of the backlog a read.
    cut: usize,
    end: Option<InputEnd>,
    /// The peer's end was told, or will be after what was fed.
    input_ended: bool,
}

struct Lent {
    clock: ManualClock,
    dates: Dates,
    pool: Pool,
    waker: Waker,
}

impl Lent {
    fn turn(&mut self) -> Turn<'_> {
        Turn::new(self.clock.now(), &mut self.dates, &self.waker, &mut self.pool)
    }
}

impl Rig<Box<dyn Flow>> {
    /// A rig around a connection that `protocol` makes.
    #[must_use]
    pub fn connect<P: Protocol + ?Sized>(protocol: &P) -> Self {
        let clock = ManualClock::default();
        let flow = protocol.connect(ConnectionInfo::new(ConnectionId(1)), clock.now());
        Self::with_clock(flow, clock)
    }
}

impl<F: Flow> Rig<F> {
    /// A rig around `flow`, with a clock that begins as [`ManualClock::default`] does.
    #[must_use]
    pub fn new(flow: F) -> Self {
        Self::with_clock(flow, ManualClock::default())
    }

    /// A rig around `flow`, which was made at `clock`'s time.
    #[must_use]
    pub fn with_clock(flow: F, clock: ManualClock) -> Self {
        let wakes = CountingWaker::default();
        let dates = Dates::anchored(clock.now(), Duration::from_secs(784_111_777));
        let lent = Lent { clock, dates, pool: Pool::default(), waker: wakes.waker() };
        let mut rig = Self {
            flow,
            lent,
            wakes,
            answered: 0,
            jobs: ManualJobs::default(),
            laws: Laws::default(),
            backlog: BytesMut::new(),
            cut: usize::MAX,
            end: None,
            input_ended: false,
        };
        rig.laws.check(&rig.flow, After::Call("connect"));
        rig.settle();
        rig
    }

    // ---- the peer sends ----

    /// The peer's bytes come in one read. The flow must say `Read`: a driver would not have read otherwise.
    #[track_caller]
    pub fn read(&mut self, bytes: impl AsRef<[u8]>) {
        self.assert_reading();
        assert!(self.backlog.is_empty(), "bytes that were fed come first: {} wait", self.backlog.len());
        self.deliver(bytes.as_ref());
        self.settle();
    }

    /// The peer's bytes come one a read.
    #[track_caller]
    pub fn read_bytewise(&mut self, bytes: impl AsRef<[u8]>) {
        for byte in bytes.as_ref() {
            self.read([*byte]);
        }
    }

    /// The peer's bytes come `cut` a read, as soon as the flow says `Read`; until then they wait as they would in a socket.
    ///
    /// # Panics
    /// When `cut` is zero.
    #[track_caller]
    pub fn feed(&mut self, bytes: impl AsRef<[u8]>, cut: usize) {
        assert!(cut > 0, "a read gives one byte at least");
        self.backlog.extend_from_slice(bytes.as_ref());
        self.cut = cut;
        self.settle();
    }

    /// The peer shuts its sending half down, after what was fed.
    #[track_caller]
    pub fn eof(&mut self) {
        self.close_input(InputEnd::Eof);
    }

    /// The peer resets the connection: what waits in the socket is lost, and so is what is on offer.
    #[track_caller]
    pub fn reset(&mut self) {
        self.backlog.clear();
        self.close_input(InputEnd::Reset);
    }

    /// The peer's bytes end like this, after what was fed.
    #[track_caller]
    pub fn close_input(&mut self, end: InputEnd) {
        self.input_ended = true;
        if self.backlog.is_empty() {
            self.flow.close_input(end, &mut self.lent.turn());
            self.laws.check(&self.flow, After::Call("close_input"));
        } else {
            self.end = Some(end);
        }
        self.settle();
    }

    // ---- the peer takes ----

    /// Writes and takes all there is, in as many writes as it needs.
    #[track_caller]
    pub fn written(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        while self.flow.next_write_operation() == WriteOperation::Write {
            all.extend(self.write_at_most(usize::MAX));
            assert!(all.len() <= MAX_WRITTEN, "the flow writes without end: take it with write_at_most");
        }
        all
    }

    /// Takes what one write takes that has room for `max` bytes. Nothing when the flow has nothing to write.
    #[track_caller]
    pub fn write_at_most(&mut self, max: usize) -> Vec<u8> {
        if max == 0 || self.flow.next_write_operation() != WriteOperation::Write {
            return Vec::new();
        }
        let mut slices = [IoSlice::new(&[]); crate::drive::MAX_SLICES];
        let count = self.flow.write_slices(&mut slices);
        let mut taken = Vec::new();
        for slice in &slices[..count] {
            taken.extend_from_slice(&slice[..slice.len().min(max - taken.len())]);
        }
        self.report_write_result(WriteResult::Wrote(taken.len()));
        taken
    }

    /// Takes up to `max` bytes as owned chunks, as completion drivers do; a
    /// [`report_write_result`](Self::report_write_result) is owed for them.
    #[track_caller]
    pub fn take_output(&mut self, max: usize) -> Vec<Bytes> {
        let mut chunks = Vec::new();
        self.flow.take_output(max, &mut chunks);
        let taken = chunks.iter().map(Bytes::len).sum();
        assert!(taken <= max, "take_output gave {taken} bytes of at most {max}");
        assert!(chunks.iter().all(|chunk| !chunk.is_empty()), "take_output gave an empty chunk");
        self.laws.check(&self.flow, After::Took(taken));
        chunks
    }

    /// Says what became of bytes; [`WriteResult::Closed`] when the peer takes nothing more.
    #[track_caller]
    pub fn report_write_result(&mut self, result: WriteResult) {
        self.flow.report_write_result(result, &mut self.lent.turn());
        self.laws.check(&self.flow, After::Reported(result));
        self.settle();
    }

    // ---- time, application, server ----

    /// Lets `duration` pass, and fires each deadline at its very instant on the way.
    #[track_caller]
    pub fn advance(&mut self, duration: Duration) {
        let until = self.now() + duration;
        for _ in 0..MAX_ROUNDS {
            match self.flow.deadline() {
                Some(deadline) if deadline.at <= until && !self.is_finished() => {
                    self.lent.clock.advance_to(deadline.at);
                    self.handle_timeout();
                }
                _ => {
                    self.lent.clock.advance_to(until);
                    return;
                }
            }
        }
        let answers = Answers::of(&self.flow);
        broken("5, time and waiting", After::Call("handle_timeout"), &answers, "a deadline that does not go");
    }

    /// Tells the flow that time has come, due or not.
    #[track_caller]
    pub fn handle_timeout(&mut self) {
        self.flow.handle_timeout(&mut self.lent.turn());
        self.laws.check(&self.flow, After::Call("handle_timeout"));
        self.settle();
    }

    /// Lets the application go on. If nothing woke the flow since it last rested, nothing may change: that is laws 3 and 4.
    #[track_caller]
    pub fn run(&mut self) {
        if self.wakes.wakes() == self.answered {
            self.check_rest();
        } else {
            self.settle();
        }
    }

    /// Runs the jobs that wait, here, and lets the flow go on; says how many that were.
    #[track_caller]
    pub fn run_jobs(&mut self) -> usize {
        let count = self.jobs.run_all();
        self.run();
        count
    }

    /// Drops the jobs that wait, as a lane that went down would.
    #[track_caller]
    pub fn lose_jobs(&mut self) {
        while self.jobs.take().is_some() {}
        self.run();
    }

    /// The server drains.
    #[track_caller]
    pub fn drain(&mut self) {
        self.flow.drain(&mut self.lent.turn());
        self.laws.check(&self.flow, After::Call("drain"));
        self.settle();
    }

    /// The server aborts: both sides say `Close` at once.
    #[track_caller]
    pub fn abort(&mut self, reason: AbortReason) {
        self.flow.abort(reason);
        self.laws.check(&self.flow, After::Aborted);
        assert!(self.is_finished(), "an aborted flow is finished at once");
        self.settle();
    }

    // ---- questions ----

    /// Fails unless the read side says `Read`.
    #[track_caller]
    pub fn assert_reading(&self) {
        self.assert_read_operation(ReadOperation::Read);
    }

    /// Fails unless the read side says `Yield`.
    #[track_caller]
    pub fn assert_yielding(&self) {
        self.assert_read_operation(ReadOperation::Yield);
    }

    /// Fails unless the flow is finished, for this reason.
    #[track_caller]
    pub fn assert_finished(&self, reason: CloseReason) {
        assert!(self.is_finished(), "expected it finished; it waits on {}", self.flow.waiting_on());
        assert_eq!(self.close_reason(), Some(reason));
    }

    /// Whether both sides say `Close`.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        is_finished(&self.flow)
    }

    /// Why the conversation ended, once it did.
    #[must_use]
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.flow.close_reason()
    }

    /// What the read side wants.
    pub fn next_read_operation(&self) -> ReadOperation {
        self.flow.next_read_operation()
    }

    /// What the write side wants.
    pub fn next_write_operation(&self) -> WriteOperation {
        self.flow.next_write_operation()
    }

    /// Who can unblock the flow.
    pub fn waiting_on(&self) -> Waiting {
        self.flow.waiting_on()
    }

    /// When the flow wants to be told the time.
    #[must_use]
    pub fn deadline(&self) -> Option<Deadline> {
        self.flow.deadline()
    }

    /// What the clock shows.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.lent.clock.now()
    }

    /// Bytes that were fed and not read.
    #[must_use]
    pub fn unread(&self) -> usize {
        self.backlog.len()
    }

    /// Whether the peer's bytes have ended, or will after what was fed.
    #[must_use]
    pub const fn input_ended(&self) -> bool {
        self.input_ended
    }

    /// How often the flow's waker was woken.
    #[must_use]
    pub fn wakes(&self) -> usize {
        self.wakes.wakes()
    }

    /// The jobs that wait; to give them a capacity, or to run them one by one.
    pub const fn jobs(&mut self) -> &mut ManualJobs {
        &mut self.jobs
    }

    /// The flow itself. What is changed in it by hand is not held against it.
    pub const fn flow(&mut self) -> &mut F {
        &mut self.flow
    }

    // ---- within ----

    #[track_caller]
    fn deliver(&mut self, bytes: &[u8]) {
        let mut input = BytesMut::from(bytes);
        self.flow.read(&mut input, &mut self.lent.turn());
        assert!(input.is_empty(), "a flow takes all of its input; it left {} bytes", input.len());
        self.laws.check(&self.flow, After::Call("read"));
    }

    /// What a driver does after each call: run, jobs, and what came in meanwhile, until nothing moves.
    #[track_caller]
    fn settle(&mut self) {
        for _ in 0..MAX_ROUNDS {
            self.run_once();
            if self.wakes.wakes() == self.answered && !self.read_backlog() {
                self.check_rest();
                return;
            }
        }
        let answers = Answers::of(&self.flow);
        broken(
            "3, quiescence",
            After::Call("run"),
            &answers,
            "it never comes to rest: each run wakes it again",
        );
    }

    #[track_caller]
    fn run_once(&mut self) {
        self.answered = self.wakes.wakes();
        let rested = self.flow.outlook().rests.then(|| Answers::of(&self.flow));
        self.flow.run(&mut self.lent.turn());
        self.laws.check(&self.flow, After::Call("run"));
        if let Some(before) = rested {
            self.check_rested(&before);
        }
        while let Some(job) = self.flow.poll_job() {
            self.laws.check(&self.flow, After::Call("poll_job"));
            if let Err(job) = self.jobs.exec(job) {
                job.refuse();
                self.flow.run(&mut self.lent.turn());
                self.laws.check(&self.flow, After::Call("run"));
            }
        }
    }

    /// A flow that rests may be left alone: a run changed nothing, gave nothing, and woke nobody.
    #[track_caller]
    fn check_rested(&mut self, before: &Answers) {
        let after = Answers::of(&self.flow);
        let woke = self.wakes.wakes() != self.answered;
        if after != *before || woke || self.flow.poll_job().is_some() {
            let what = format!("it said that it rests, and a run did something; before, it said {before:?}");
            broken("1, ask again", After::Call("run"), &after, &what);
        }
    }

    /// Reads once from what was fed; says whether there was anything to read.
    #[track_caller]
    fn read_backlog(&mut self) -> bool {
        if self.flow.next_read_operation() != ReadOperation::Read {
            return false;
        }
        let count = self.backlog.len().min(self.cut);
        if count > 0 {
            let bytes = self.backlog.split_to(count);
            self.deliver(&bytes);
            return true;
        }
        let Some(end) = self.end.take() else { return false };
        self.flow.close_input(end, &mut self.lent.turn());
        self.laws.check(&self.flow, After::Call("close_input"));
        true
    }

    /// Laws 3 and 4: where nothing woke the flow, another run changes nothing. What another thread does meanwhile is not
    /// held against the flow, as long as its wake comes.
    #[track_caller]
    fn check_rest(&mut self) {
        let (foreign, answered) = (self.wakes.foreign_wakes(), self.answered);
        let before = Answers::of(&self.flow);
        self.run_once();
        if self.answered != answered {
            // It was woken just before.
            return;
        }
        let after = Answers::of(&self.flow);
        if !after.are_as(&before) && !self.is_woken_elsewhere(foreign) {
            let what = format!("nothing woke it, and a run changed its answers; before, it said {before:?}");
            broken("3 and 4, quiescence and wakes", After::Call("run"), &after, &what);
        }
        if self.wakes.wakes() != self.answered && self.wakes.foreign_wakes() == foreign {
            let what = "nothing woke it, and a run woke it";
            broken("3 and 4, quiescence and wakes", After::Call("run"), &after, what);
        }
    }

    /// Whether another thread has woken the flow since, or does so within a moment: its wake follows what it did.
    fn is_woken_elsewhere(&self, since: usize) -> bool {
        (0..PATIENCE).any(|_| {
            std::thread::yield_now();
            self.wakes.foreign_wakes() != since
        })
    }

    #[track_caller]
    fn assert_read_operation(&self, expected: ReadOperation) {
        let operation = self.flow.next_read_operation();
        let waiting = self.flow.waiting_on();
        assert_eq!(operation, expected, "the read side; the flow waits on {waiting}");
    }
}

impl<F: Flow> fmt::Debug for Rig<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rig").field("answers", &Answers::of(&self.flow)).finish_non_exhaustive()
    }
}

/// Rounds after which a flow is said never to rest.
const MAX_ROUNDS: usize = 200_000;

/// How often another thread is let go first before its wake counts as forgotten.
const PATIENCE: usize = 10_000;

/// Bytes that [`Rig::written`] takes at most.
const MAX_WRITTEN: usize = 256 * 1024 * 1024;
