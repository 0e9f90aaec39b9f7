//! The driver of tasks: when it sets its alarm, whom it has woken, and what it asks its wire.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use anabranch_core::drive::{Alarm, Budget, PollWire, Polled, Stop};
use anabranch_core::testing::{Behaviour, Io, Log, ManualClock, Probe};
use anabranch_core::{CloseReason, Dates, DeadlineKind, InputEnd, Instant, Pool, Turn};
use bytes::BytesMut;

/// What a connection's wire and alarm do, and what they were asked.
#[derive(Default)]
struct Script {
    now: Instant,
    reads: VecDeque<&'static str>,
    is_gone: bool,
    asked_again: usize,
    asked_whether_gone: usize,
    alarms: Vec<Instant>,
    /// Who asked the alarm last.
    waker: Option<Waker>,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Script>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Script> {
        self.0.lock().unwrap()
    }
}

impl PollWire for Shared {
    fn poll_read(&mut self, _: &mut Context<'_>, into: &mut BytesMut, _: usize) -> Poll<io::Result<usize>> {
        let Some(read) = self.lock().reads.pop_front() else { return Poll::Pending };
        into.extend_from_slice(read.as_bytes());
        Poll::Ready(Ok(read.len()))
    }
    fn poll_write(&mut self, _: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()))
    }
    fn poll_shutdown_write(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn reset(&mut self) -> io::Result<()> {
        Ok(())
    }
    fn ask_again(&mut self) {
        self.lock().asked_again += 1;
    }
    fn poll_gone(&mut self, _: &mut Context<'_>) -> Poll<()> {
        let mut script = self.lock();
        script.asked_whether_gone += 1;
        if script.is_gone { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Alarm for Shared {
    fn set(&mut self, at: Instant) {
        self.lock().alarms.push(at);
    }
    fn poll_ring(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut script = self.lock();
        script.waker = Some(context.waker().clone());
        if script.alarms.last().is_some_and(|at| *at <= script.now) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Counts its wakes.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A connection on its executor.
struct Task {
    polled: Polled<Shared, Shared>,
    script: Shared,
    clock: ManualClock,
    count: Arc<Count>,
    waker: Waker,
}

impl Task {
    fn new(behaviour: impl Behaviour, log: &Log) -> Self {
        let (clock, script, count) = (ManualClock::default(), Shared::default(), Arc::<Count>::default());
        let flow = Box::new(Probe::new(behaviour, log.clone(), clock.now()));
        let polled = Polled::new(flow, script.clone(), script.clone());
        Self { polled, script, clock, waker: Waker::from(count.clone()), count }
    }

    fn poll(&mut self, stop: Stop) -> Poll<CloseReason> {
        let now = self.clock.now();
        self.script.lock().now = now;
        let (mut dates, mut pool, mut scratch) =
            (Dates::none(), Pool::default(), BytesMut::with_capacity(64));
        let mut turn = Turn::new(now, &mut dates, &self.waker, &mut pool);
        let mut context = Context::from_waker(&self.waker);
        self.polled.poll(&mut context, stop, &mut scratch, &mut turn, &mut Err, Budget::default())
    }

    /// Polls it after so long, with `read` on its wire.
    fn hears(&mut self, after: Duration, read: &'static str) -> Poll<CloseReason> {
        self.clock.advance(after);
        self.script.lock().reads.push_back(read);
        self.poll(Stop::Running)
    }

    fn wakes(&self) -> usize {
        self.count.0.swap(0, Ordering::Relaxed)
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// Ends when nothing came for as long.
struct Idle(Duration);

impl Behaviour for Idle {
    fn input(&mut self, io: &mut Io, _bytes: &[u8]) {
        io.set_deadline(self.0, DeadlineKind::Idle);
    }
    fn timeout(&mut self, io: &mut Io) {
        io.finish(CloseReason::TimedOut(DeadlineKind::Idle));
    }
}

#[test]
fn deadline_that_moves_later_sets_no_alarm_until_the_last_one_rang() {
    let mut task = Task::new(Idle(SECOND * 60), &Log::default());
    for _ in 0..1000 {
        assert!(task.hears(SECOND / 100, "request").is_pending());
    }
    let first = task.script.lock().alarms.clone();
    assert_eq!(first.len(), 1);
    // It rings where the deadline was at first, which costs a poll; then it is set to where the deadline is.
    task.clock.advance_to(first[0]);
    assert!(task.poll(Stop::Running).is_pending());
    let second = task.script.lock().alarms.clone();
    assert_eq!(second.len(), 2);
    assert!(second[1] > first[0]);
    task.clock.advance_to(second[1]);
    assert_eq!(task.poll(Stop::Running), Poll::Ready(CloseReason::TimedOut(DeadlineKind::Idle)));
}

#[test]
fn deadline_that_moves_earlier_sets_the_alarm_anew() {
    let mut task = Task::new(Shrinking(SECOND * 60), &Log::default());
    for _ in 0..3 {
        assert!(task.hears(SECOND, "request").is_pending());
    }
    assert_eq!(task.script.lock().alarms.len(), 3);
}

/// A quarter of the time with each input.
struct Shrinking(Duration);

impl Behaviour for Shrinking {
    fn input(&mut self, io: &mut Io, _bytes: &[u8]) {
        self.0 /= 4;
        io.set_deadline(self.0, DeadlineKind::Idle);
    }
}

#[test]
fn alarm_that_rings_while_it_is_set_polls_the_task_again() {
    let mut task = Task::new(Idle(Duration::ZERO), &Log::default());
    assert!(task.hears(SECOND, "request").is_pending());
    assert_eq!(task.wakes(), 1);
    assert_eq!(task.poll(Stop::Running), Poll::Ready(CloseReason::TimedOut(DeadlineKind::Idle)));
}

#[test]
fn alarm_wakes_whoever_polled_last() {
    let mut task = Task::new(Idle(SECOND), &Log::default());
    assert!(task.hears(SECOND, "request").is_pending());
    assert!(task.polled.is_woken_by(&task.waker));
    task.count = Arc::default();
    task.waker = Waker::from(task.count.clone());
    assert!(!task.polled.is_woken_by(&task.waker));
    assert!(task.poll(Stop::Running).is_pending());
    task.script.lock().waker.take().unwrap().wake();
    assert_eq!(task.wakes(), 1);
    assert_eq!(task.script.lock().alarms.len(), 1);
}

/// Waits for its application from the first byte on.
struct Busy;

impl Behaviour for Busy {
    fn input(&mut self, io: &mut Io, _bytes: &[u8]) {
        io.yield_reading();
        io.expect_application();
    }
}

#[test]
fn flow_that_neither_reads_nor_writes_is_told_that_its_peer_is_gone() {
    let log = Log::default();
    let mut task = Task::new(Busy, &log);
    assert!(task.poll(Stop::Running).is_pending());
    assert_eq!(task.script.lock().asked_whether_gone, 0, "it reads, and hears of it so");
    assert!(task.hears(SECOND, "request").is_pending());
    assert_eq!(task.script.lock().asked_whether_gone, 1);
    task.script.lock().is_gone = true;
    let _ = task.poll(Stop::Running);
    assert_eq!(log.seen().ends, [InputEnd::Reset]);
}

#[test]
fn wire_is_asked_again_before_a_drain_and_once() {
    let log = Log::default();
    let mut task = Task::new(Busy, &log);
    assert!(task.poll(Stop::Running).is_pending());
    assert_eq!(task.script.lock().asked_again, 0);
    task.script.lock().reads.push_back("request");
    let _ = task.poll(Stop::Draining);
    let _ = task.poll(Stop::Draining);
    assert_eq!((task.script.lock().asked_again, log.seen().drained, log.seen().bytes_in), (1, 1, 7));
}

#[test]
fn budget_that_is_spent_polls_the_task_again() {
    let mut task = Task::new(Idle(SECOND), &Log::default());
    task.script.lock().reads.extend(std::iter::repeat_n("abcdefgh", 40_000));
    assert!(task.poll(Stop::Running).is_pending());
    assert_eq!(task.wakes(), 1);
}
