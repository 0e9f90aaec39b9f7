//! A flow made of a few callbacks, which keeps the laws and judges whether its driver does.

use core::fmt;
use core::task::Waker;
use core::time::Duration;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Wake;

use bytes::{Bytes, BytesMut};

use crate::flow::{
    AbortReason, CloseKind, CloseReason, Deadline, DeadlineKind, Flow, InputEnd, ReadOperation, Waiting,
    WriteOperation, WriteResult, is_finished,
};
use crate::job::Job;
use crate::time::Instant;
use crate::turn::Turn;

/// What a [`Probe`] does. Everything is called from within [`Flow::run`], but for [`start`](Self::start): a driver that
/// forgets to run gets no answer.
pub trait Behaviour: Send + 'static {
    /// The connection begins. There is no waker yet.
    fn start(&mut self, io: &mut Io) {
        let _ = io;
    }

    /// Bytes came.
    fn input(&mut self, io: &mut Io, bytes: &[u8]);

    /// Nothing more will come. By default, all is sent and that is the end.
    fn end(&mut self, io: &mut Io, end: InputEnd) {
        io.finish(if end == InputEnd::Eof { CloseReason::PeerClosed } else { CloseReason::PeerReset });
    }

    /// The deadline came; it is set no longer.
    fn timeout(&mut self, io: &mut Io) {
        let _ = io;
    }

    /// The flow runs, whatever for.
    fn run(&mut self, io: &mut Io) {
        let _ = io;
    }

    /// The server drains. By default, all is sent and that is the end.
    fn drain(&mut self, io: &mut Io) {
        io.finish(CloseReason::Drained);
    }
}

/// What a [`Behaviour`] has at hand.
#[derive(Debug)]
pub struct Io {
    now: Instant,
    waker: Waker,
    latest: Arc<Latest>,
    output: VecDeque<Bytes>,
    /// Bytes of `output`.
    unsent: usize,
    /// Bytes taken as owned chunks that no result was reported for.
    taken: usize,
    reading: ReadOperation,
    /// The behaviour does not read, whether or not there is anything left to read.
    yields: bool,
    closing: Option<CloseKind>,
    /// How giving up is told.
    giving_up: CloseKind,
    reason: Option<CloseReason>,
    deadline: Option<Deadline>,
    application: Waiting,
    jobs: VecDeque<Job>,
    /// What is left of the turn's allowance.
    allowance: u32,
    log: Log,
}

impl Io {
    /// Sends `bytes`, after what is being sent.
    pub fn send(&mut self, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        if !bytes.is_empty() && self.closing.is_none() {
            self.unsent += bytes.len();
            self.output.push_back(bytes);
        }
    }

    /// Reads nothing until [`resume_reading`](Self::resume_reading).
    pub fn yield_reading(&mut self) {
        self.yields = true;
        if self.reading == ReadOperation::Read {
            self.reading = ReadOperation::Yield;
        }
    }

    /// Reads again, if there is anything left to read.
    pub fn resume_reading(&mut self) {
        self.yields = false;
        if self.reading == ReadOperation::Yield {
            self.reading = ReadOperation::Read;
        }
    }

    /// Sets the deadline `after` from the present; it replaces the one that was set.
    pub fn set_deadline(&mut self, after: Duration, kind: DeadlineKind) {
        self.deadline = Some(Deadline { at: self.now + after, kind });
    }

    /// The application will wake [`waker`](Self::waker).
    pub const fn expect_application(&mut self) {
        self.application = Waiting::APPLICATION;
    }

    /// The application has done so.
    pub const fn application_done(&mut self) {
        self.application = Waiting::NOTHING;
    }

    /// Whether one more request may begin in this turn (see [`Turn::allowance`]); if not, the flow waits for a later run.
    #[must_use]
    pub const fn may_begin(&mut self) -> bool {
        let may = self.allowance > 0;
        self.allowance = self.allowance.saturating_sub(1);
        may
    }

    /// Gives the driver a job.
    pub fn exec(&mut self, job: Job) {
        self.jobs.push_back(job);
    }

    /// Sends what waits, and closes at once.
    pub const fn finish(&mut self, reason: CloseReason) {
        self.close(CloseKind::Immediate, reason);
        self.reading = ReadOperation::Close;
    }

    /// Sends what waits, and closes with a [reset](CloseKind::Reset).
    pub const fn reset(&mut self, reason: CloseReason) {
        self.close(CloseKind::Reset, reason);
        self.reading = ReadOperation::Close;
    }

    /// Sends what waits, shuts the sending half down, and goes on reading.
    pub const fn linger(&mut self, reason: CloseReason) {
        self.close(CloseKind::Linger, reason);
    }

    /// Sends nothing more and closes.
    pub fn give_up(&mut self, reason: CloseReason) {
        if self.reason.is_none() || self.unsent + self.taken > 0 {
            self.reason = Some(reason);
        }
        self.closing = match self.closing {
            None => Some(self.giving_up),
            Some(_) if self.unsent + self.taken > 0 => Some(self.giving_up),
            Some(CloseKind::Linger) if self.reading != ReadOperation::Close => Some(CloseKind::Immediate),
            said => said,
        };
        self.output.clear();
        self.unsent = 0;
        self.taken = 0;
        self.jobs.clear();
        self.end();
    }

    /// From here on what is being said ends with the connection: given up or aborted, the connection is
    /// [reset](CloseKind::Reset).
    pub const fn reset_unless_finished(&mut self) {
        self.giving_up = CloseKind::Reset;
    }

    /// The driver's clock, as of the latest call.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// Wakes that of the latest run (law 4), whenever this one was taken.
    #[must_use]
    pub const fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Bytes that were not reported as written.
    #[must_use]
    pub const fn unsent(&self) -> usize {
        self.unsent + self.taken
    }

    /// Where marks are set and faults are found.
    #[must_use]
    pub const fn log(&self) -> &Log {
        &self.log
    }

    const fn close(&mut self, kind: CloseKind, reason: CloseReason) {
        if self.closing.is_none() {
            self.closing = Some(kind);
            self.reason = Some(reason);
            self.deadline = None;
            self.application = Waiting::NOTHING;
        }
    }

    const fn end(&mut self) {
        self.reading = ReadOperation::Close;
        self.deadline = None;
        self.application = Waiting::NOTHING;
    }
}

/// A flow made of a few callbacks, which keeps the laws and notes in its [`Log`] where its driver does not.
///
/// ```
/// use anabranch_core::testing::{Behaviour, Io, Probe, Rig};
///
/// /// Sends back what it gets.
/// struct Echo;
/// impl Behaviour for Echo {
///     fn input(&mut self, io: &mut Io, bytes: &[u8]) {
///         io.send(bytes.to_vec());
///     }
/// }
///
/// let mut rig = Rig::new(Probe::new(Echo, Default::default(), Default::default()));
/// rig.read("hello");
/// assert_eq!(rig.written(), b"hello");
/// ```
#[derive(Debug)]
pub struct Probe<B: Behaviour> {
    behaviour: B,
    io: Io,
    /// What came in since the last run.
    inbox: VecDeque<Came>,
    input_ended: bool,
}

#[derive(Debug)]
enum Came {
    Bytes(Vec<u8>),
    End(InputEnd),
    Timeout,
    Drain,
}

impl<B: Behaviour> Probe<B> {
    /// A flow that behaves like this, made at `now`.
    pub fn new(mut behaviour: B, log: Log, now: Instant) -> Self {
        log.update(|state| {
            state.connected += 1;
            state.alive += 1;
        });
        let latest = Arc::<Latest>::default();
        let mut io = Io {
            now,
            waker: Waker::from(latest.clone()),
            latest,
            output: VecDeque::new(),
            unsent: 0,
            taken: 0,
            reading: ReadOperation::Read,
            yields: false,
            closing: None,
            giving_up: CloseKind::Immediate,
            reason: None,
            deadline: None,
            application: Waiting::NOTHING,
            jobs: VecDeque::new(),
            allowance: 0,
            log,
        };
        behaviour.start(&mut io);
        Self { behaviour, io, inbox: VecDeque::new(), input_ended: false }
    }

    /// Judges a call, and takes its time over.
    fn called(&mut self, call: &'static str, turn: &Turn<'_>) {
        if turn.now < self.io.now {
            self.fault(format!("{call}: time went back from {:?} to {:?}", self.io.now, turn.now));
        }
        if is_finished(self) && matches!(call, "read" | "close_input" | "report_write_result") {
            self.fault(format!("{call} was called after both sides said Close"));
        }
        self.io.now = turn.now;
    }

    /// Whether the behaviour is to be told of this now. That the peer shut its half is heard behind the bytes before it,
    /// and those while reading: whether the driver had read so far makes no difference (law 9).
    fn may_tell(&self, came: &Came) -> bool {
        !matches!(came, Came::End(InputEnd::Eof)) || !self.io.yields
    }

    fn next_to_tell(&mut self) -> Option<Came> {
        let at = self.inbox.iter().position(|came| self.may_tell(came))?;
        if is_finished(self) { None } else { self.inbox.remove(at) }
    }

    fn fault(&self, what: String) {
        self.io.log.update(|state| {
            if !state.faults.contains(&what) {
                state.faults.push(what);
            }
        });
    }
}

/// The waker of the latest run: what is woken through it reaches a driver that has changed its waker meanwhile.
#[derive(Debug)]
struct Latest(Mutex<Waker>);

impl Default for Latest {
    fn default() -> Self {
        Self(Mutex::new(Waker::noop().clone()))
    }
}

impl Latest {
    fn lock(&self) -> MutexGuard<'_, Waker> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Latest {
    fn wake(self: Arc<Self>) {
        // Woken outside the lock: it may lead back here.
        let latest = self.lock().clone();
        latest.wake();
    }
}

impl<B: Behaviour> Flow for Probe<B> {
    fn next_read_operation(&self) -> ReadOperation {
        self.io.reading
    }

    fn next_write_operation(&self) -> WriteOperation {
        match self.io.closing {
            _ if self.io.unsent > 0 => WriteOperation::Write,
            Some(kind) if self.io.taken == 0 => WriteOperation::Close(kind),
            _ => WriteOperation::Yield,
        }
    }

    fn waiting_on(&self) -> Waiting {
        if is_finished(self) {
            return Waiting::NOTHING;
        }
        let mut waiting = self.io.application;
        if !self.inbox.is_empty() {
            waiting = waiting | Waiting::APPLICATION;
        }
        if self.io.reading == ReadOperation::Read {
            waiting = waiting | Waiting::PEER_READ;
        }
        if self.io.unsent() > 0 {
            waiting = waiting | Waiting::PEER_WRITE;
        }
        if self.io.deadline.is_some() {
            waiting = waiting | Waiting::DEADLINE;
        }
        waiting
    }

    fn deadline(&self) -> Option<Deadline> {
        self.io.deadline
    }

    fn write_slices<'a>(&'a self, out: &mut [IoSlice<'a>]) -> usize {
        let count = out.len().min(self.io.output.len());
        for (slot, chunk) in out.iter_mut().zip(&self.io.output) {
            *slot = IoSlice::new(chunk);
        }
        count
    }

    fn ending(&self) -> Option<CloseKind> {
        self.io.closing.filter(|_| self.io.unsent() > 0)
    }

    fn close_reason(&self) -> Option<CloseReason> {
        self.io.reason
    }

    fn read(&mut self, input: &mut BytesMut, turn: &mut Turn<'_>) {
        self.called("read", turn);
        if input.is_empty() {
            self.fault("read was called with nothing; the end of input is close_input".into());
        }
        if self.io.reading != ReadOperation::Read {
            self.fault(format!("read was called while the read side said {:?}", self.io.reading));
        }
        let bytes = input.split().to_vec();
        self.io.log.update(|state| state.bytes_in += bytes.len());
        self.inbox.push_back(Came::Bytes(bytes));
    }

    fn close_input(&mut self, end: InputEnd, turn: &mut Turn<'_>) {
        self.called("close_input", turn);
        if core::mem::replace(&mut self.input_ended, true) {
            self.fault("close_input was called twice".into());
        }
        self.io.reading = ReadOperation::Close;
        self.io.log.update(|state| state.ends.push(end));
        if !is_finished(self) {
            self.inbox.push_back(Came::End(end));
        }
    }

    fn report_write_result(&mut self, result: WriteResult, turn: &mut Turn<'_>) {
        self.called("report_write_result", turn);
        let WriteResult::Wrote(mut count) = result else {
            self.io.give_up(CloseReason::PeerReset);
            return;
        };
        if count == 0 {
            self.fault("a write of nothing was reported".into());
        }
        if count > self.io.unsent() {
            self.fault(format!("{count} bytes were reported as written of {} on offer", self.io.unsent()));
        }
        let of_taken = count.min(self.io.taken);
        self.io.taken -= of_taken;
        count = (count - of_taken).min(self.io.unsent);
        let _ = split(&mut self.io, count);
    }

    fn handle_timeout(&mut self, turn: &mut Turn<'_>) {
        self.called("handle_timeout", turn);
        if self.io.deadline.is_some_and(|deadline| deadline.at <= turn.now) {
            self.io.deadline = None;
            self.inbox.push_back(Came::Timeout);
        }
    }

    fn run(&mut self, turn: &mut Turn<'_>) {
        self.called("run", turn);
        self.io.log.update(|state| state.runs += 1);
        if !self.io.latest.lock().will_wake(turn.waker) {
            self.io.latest.lock().clone_from(turn.waker);
        }
        self.io.allowance = turn.allowance;
        loop {
            while let Some(came) = self.next_to_tell() {
                match came {
                    Came::Bytes(bytes) => self.behaviour.input(&mut self.io, &bytes),
                    Came::End(end) => self.behaviour.end(&mut self.io, end),
                    Came::Timeout => self.behaviour.timeout(&mut self.io),
                    Came::Drain => self.behaviour.drain(&mut self.io),
                }
            }
            if is_finished(self) {
                self.inbox.clear();
                return;
            }
            self.behaviour.run(&mut self.io);
            if !self.inbox.iter().any(|came| self.may_tell(came)) {
                break;
            }
        }
        turn.allowance = self.io.allowance;
    }

    fn drain(&mut self, turn: &mut Turn<'_>) {
        self.called("drain", turn);
        self.io.log.update(|state| state.drained += 1);
        self.inbox.push_back(Came::Drain);
    }

    fn abort(&mut self, reason: AbortReason) {
        self.io.log.update(|state| state.aborted += 1);
        self.io.give_up(CloseReason::Aborted(reason));
    }

    fn poll_job(&mut self) -> Option<Job> {
        self.io.jobs.pop_front()
    }

    fn take_output(&mut self, max: usize, out: &mut Vec<Bytes>) {
        let count = max.min(self.io.unsent);
        out.extend(split(&mut self.io, count));
        self.io.taken += count;
    }
}

impl<B: Behaviour> Drop for Probe<B> {
    fn drop(&mut self) {
        if !is_finished(self) {
            self.fault(format!("the connection was given up while it waited on {}", self.waiting_on()));
        }
        self.io.log.update(|state| state.alive -= 1);
    }
}

/// Splits `count` bytes off the front of what is on offer.
fn split(io: &mut Io, mut count: usize) -> Vec<Bytes> {
    let mut chunks = Vec::new();
    io.unsent -= count;
    while count > 0
        && let Some(front) = io.output.front_mut()
    {
        let piece = front.split_to(count.min(front.len()));
        count -= piece.len();
        if front.is_empty() {
            io.output.pop_front();
        }
        chunks.push(piece);
    }
    chunks
}

/// What probes saw, shared between them, the thread that drives them and the test that waits for it.
#[derive(Clone, Default)]
pub struct Log {
    shared: Arc<(Mutex<Seen>, Condvar)>,
}

/// What probes saw so far.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Seen {
    /// What a driver did that it must not do, each once.
    pub faults: Vec<String>,
    /// What behaviours noted, in order.
    pub marks: Vec<&'static str>,
    /// Probes made.
    pub connected: usize,
    /// Probes not yet dropped.
    pub alive: usize,
    /// Calls of `run`.
    pub runs: usize,
    /// Calls of `drain`.
    pub drained: usize,
    /// Calls of `abort`.
    pub aborted: usize,
    /// Bytes given to `read`.
    pub bytes_in: usize,
    /// What `close_input` was told, in order.
    pub ends: Vec<InputEnd>,
}

impl Log {
    /// Notes that something happened.
    pub fn mark(&self, what: &'static str) {
        self.update(|state| state.marks.push(what));
    }

    /// What was seen so far.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.lock().clone()
    }

    /// Waits until `is_so` or `at_most` has passed; says which.
    #[must_use]
    pub fn wait_until(&self, at_most: Duration, mut is_so: impl FnMut(&Seen) -> bool) -> bool {
        let changed = &self.shared.1;
        let waited = changed.wait_timeout_while(self.lock(), at_most, |state| !is_so(state));
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        is_so(&state)
    }

    fn update(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.lock());
        self.shared.1.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        // Each change is one push or one sum, so a poisoned lock still holds a whole state.
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.lock(), f)
    }
}
