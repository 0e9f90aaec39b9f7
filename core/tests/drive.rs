//! The turn that every readiness driver shares, and one made by hand as a completion loop makes it.

use core::task::Waker;
use core::time::Duration;
use std::io::{ErrorKind, IoSlice};

use anabranch_core::drive::{self, Budget, Progress, Readiness, Waking, Wire};
use anabranch_core::flow::{is_finished, is_reset};
use anabranch_core::testing::{Behaviour, Io, Log, ManualClock, Probe, ScriptedWire, wire_suite};
use anabranch_core::{
    AbortReason, CloseKind, CloseReason, Dates, DeadlineKind, Flow, InputEnd, Instant, Job, Pool,
    ReadOperation, Turn, WriteOperation, WriteResult,
};
use bytes::{Bytes, BytesMut};

/// A driver thread's belongings.
struct Driver {
    now: Instant,
    scratch: BytesMut,
    readiness: Readiness,
    budget: Budget,
}

impl Driver {
    fn new(read_size: usize) -> Self {
        Self {
            now: ManualClock::default().now(),
            scratch: BytesMut::with_capacity(read_size),
            readiness: Readiness::ready(),
            budget: Budget::default(),
        }
    }

    fn turn(&mut self, flow: &mut dyn Flow, wire: &mut impl Wire) -> Progress {
        let (mut dates, mut pool) = (Dates::none(), Pool::default());
        let mut turn = Turn::new(self.now, &mut dates, Waker::noop(), &mut pool);
        let mut run_here = |job: Job| {
            job.run();
            Ok(())
        };
        let Self { scratch, readiness, budget, .. } = self;
        drive::turn(flow, wire, readiness, scratch, &mut turn, &mut run_here, *budget)
    }
}

/// Holds `driver`'s turn to the laws.
fn assert_lawful(mut driver: Driver) {
    let waking = driver.readiness.waking;
    let take_turn = |flow: &mut dyn Flow, wire: &mut ScriptedWire, readiness: &mut Readiness| {
        driver.readiness = *readiness;
        driver.readiness.waking = waking;
        let progress = driver.turn(flow, wire);
        *readiness = driver.readiness;
        progress
    };
    wire_suite::run(take_turn).assert_all();
}

/// Sends back what it gets, until nothing came for a second.
struct Echo;

impl Behaviour for Echo {
    fn input(&mut self, io: &mut Io, bytes: &[u8]) {
        io.send(bytes.to_vec());
        io.set_deadline(Duration::from_secs(1), DeadlineKind::Idle);
    }

    fn timeout(&mut self, io: &mut Io) {
        io.finish(CloseReason::TimedOut(DeadlineKind::Idle));
    }
}

fn echo() -> Probe<Echo> {
    Probe::new(Echo, Default::default(), ManualClock::default().now())
}

#[test]
fn turn_keeps_the_laws_whatever_the_size_of_a_read() {
    for read_size in [1, 2, 5, 64, 4096] {
        assert_lawful(Driver::new(read_size));
        let mut polled = Driver::new(read_size);
        polled.readiness = Readiness::polled();
        assert_lawful(polled);
    }
}

#[test]
fn turn_keeps_the_laws_however_small_its_budget() {
    let mut driver = Driver::new(64);
    driver.budget = Budget::new(1, 1);
    assert_lawful(driver);
}

/// A completion loop owns the buffers of an operation until it completes: it takes output as chunks, and reads into a
/// buffer that it gives away.
fn completion_turn(flow: &mut dyn Flow, wire: &mut ScriptedWire, readiness: &mut Readiness) -> Progress {
    let (mut dates, mut pool) = (Dates::none(), Pool::default());
    let mut turn = Turn::new(ManualClock::default().now(), &mut dates, Waker::noop(), &mut pool);
    loop {
        flow.run(&mut turn);
        while let Some(job) = flow.poll_job() {
            job.run();
            flow.run(&mut turn);
        }
        let mut in_flight = Vec::new();
        flow.take_output(1024, &mut in_flight);
        complete_writes(flow, wire, in_flight, &mut turn);
        match flow.next_write_operation() {
            WriteOperation::Write => continue,
            WriteOperation::Close(CloseKind::Linger) if wire.counts().shutdowns == 0 => {
                let _ = wire.shutdown_write();
            }
            WriteOperation::Yield | WriteOperation::Close(_) => {}
        }
        if is_finished(flow) {
            if is_reset(flow) {
                let _ = wire.reset();
            }
            return Progress::Finished(flow.close_reason().expect("a finished flow has a reason"));
        }
        if !readiness.readable || flow.next_read_operation() != ReadOperation::Read {
            return Progress::Blocked;
        }
        let mut owned = BytesMut::with_capacity(16);
        match wire.read(&mut owned, 16).map_err(|error| error.kind()) {
            Ok(0) => flow.close_input(InputEnd::Eof, &mut turn),
            Ok(_) => flow.read(&mut owned, &mut turn),
            Err(ErrorKind::WouldBlock) => readiness.readable = false,
            Err(ErrorKind::Interrupted) => {}
            Err(ErrorKind::ConnectionReset) => flow.close_input(InputEnd::Reset, &mut turn),
            Err(_) => flow.close_input(InputEnd::Error, &mut turn),
        }
    }
}

/// Reports the writes of `in_flight` as they complete.
fn complete_writes(flow: &mut dyn Flow, wire: &mut ScriptedWire, in_flight: Vec<Bytes>, turn: &mut Turn<'_>) {
    for mut chunk in in_flight {
        while !chunk.is_empty() {
            match wire.write(&[IoSlice::new(&chunk)]) {
                Ok(count) => {
                    let _ = chunk.split_to(count);
                    flow.report_write_result(WriteResult::Wrote(count), turn);
                }
                // A ring completes a write when there is room; here the script's peer makes it.
                Err(error) if error.kind() == ErrorKind::WouldBlock => wire.make_room(1),
                Err(_) => return flow.report_write_result(WriteResult::Closed, turn),
            }
        }
    }
}

#[test]
fn completion_loop_keeps_the_laws_by_the_same_calls() {
    wire_suite::run(completion_turn).assert_all();
}

#[test]
fn request_that_fits_costs_one_read_and_one_write() {
    let (mut driver, mut flow) = (Driver::new(4096), echo());
    let mut wire = ScriptedWire::new();
    for _ in 0..10 {
        wire.push("request");
        driver.readiness.readable = true;
        assert_eq!(driver.turn(&mut flow, &mut wire), Progress::Blocked);
    }
    assert_eq!((wire.counts().reads, wire.counts().writes), (10, 10));
    assert_eq!(wire.sent(), b"request".repeat(10));
    flow.abort(AbortReason::Requested);
}

#[test]
fn read_that_fills_the_buffer_is_followed_by_another_and_the_buffer_keeps_its_size() {
    let (mut driver, mut flow) = (Driver::new(8), echo());
    let mut wire = ScriptedWire::new().then("exactly8").then("exactly8");
    assert_eq!(driver.turn(&mut flow, &mut wire), Progress::Blocked);
    assert_eq!(wire.sent(), b"exactly8exactly8");
    assert_eq!(wire.counts().reads, 3);
    assert!(driver.scratch.is_empty());
    assert!(driver.scratch.capacity() >= 8);
    flow.abort(AbortReason::Requested);
}

#[test]
fn spent_budget_says_again_before_the_next_read() {
    let (mut driver, mut flow) = (Driver::new(8), echo());
    driver.budget = Budget::new(16, 64);
    let mut wire = ScriptedWire::new().then("exactly8".repeat(4));
    assert_eq!(driver.turn(&mut flow, &mut wire), Progress::Again);
    assert_eq!((wire.sent(), wire.unread()), (&b"exactly8"[..], 24));
    assert_eq!(driver.turn(&mut flow, &mut wire), Progress::Again);
    assert_eq!(wire.unread(), 16);
    flow.abort(AbortReason::Requested);
}

#[test]
fn what_spends_the_budget_is_answered_before_others_have_their_turn() {
    let (mut driver, mut flow) = (Driver::new(8), echo());
    driver.budget = Budget::new(8, 64);
    let mut wire = ScriptedWire::new().then("exactly8".repeat(4));
    assert_eq!(driver.turn(&mut flow, &mut wire), Progress::Again);
    assert_eq!((wire.sent(), wire.unread()), (&b"exactly8"[..], 24));
    flow.abort(AbortReason::Requested);
}

#[test]
fn deadline_is_told_when_it_is_due_and_not_before() {
    let (mut driver, mut flow) = (Driver::new(4096), echo());
    let mut wire = ScriptedWire::new().then("x");
    assert_eq!(driver.turn(&mut flow, &mut wire), Progress::Blocked);
    driver.now += Duration::from_millis(999);
    assert_eq!(driver.turn(&mut flow, &mut wire), Progress::Blocked);
    driver.now += Duration::from_millis(1);
    let expected = CloseReason::TimedOut(DeadlineKind::Idle);
    assert_eq!(driver.turn(&mut flow, &mut wire), Progress::Finished(expected));
}

/// Waits for its application, and reads nothing meanwhile.
struct Busy;

impl Behaviour for Busy {
    fn input(&mut self, io: &mut Io, _: &[u8]) {
        io.yield_reading();
        io.expect_application();
    }

    fn end(&mut self, _: &mut Io, _: InputEnd) {}
}

#[test]
fn flow_that_neither_reads_nor_writes_is_told_once_that_its_peer_is_gone() {
    let mut driver = Driver::new(64);
    let log = Log::default();
    let mut flow = Probe::new(Busy, log.clone(), driver.now);
    let mut wire = ScriptedWire::new().then("work").then("more");
    assert_eq!(driver.turn(&mut flow, &mut wire), Progress::Blocked);
    driver.readiness.gone = true;
    for _ in 0..3 {
        driver.readiness.readable = true;
        assert_eq!(driver.turn(&mut flow, &mut wire), Progress::Blocked);
        assert_eq!(log.seen().ends, [InputEnd::Reset]);
    }
    assert!(driver.readiness.has_ended());
    flow.abort(AbortReason::Requested);
}

#[test]
fn hangup_makes_a_short_read_not_the_last() {
    let (mut driver, mut flow) = (Driver::new(4096), echo());
    driver.readiness.hangup = true;
    let mut wire = ScriptedWire::new().then("last").then_eof();
    assert_eq!(driver.turn(&mut flow, &mut wire), Progress::Finished(CloseReason::PeerClosed));
    assert_eq!(wire.sent(), b"last");
}

/// A task's stream: a wake comes only for a direction that has said `Pending`, and to the waker it was polled with last.
struct Polled {
    wire: ScriptedWire,
    read_pending: bool,
    write_pending: bool,
    shutdowns_refused: usize,
}

impl Polled {
    fn new(wire: ScriptedWire) -> Self {
        Self { wire, read_pending: false, write_pending: false, shutdowns_refused: 0 }
    }

    /// The task is polled anew, maybe with another waker.
    fn poll(&mut self, driver: &mut Driver, flow: &mut dyn Flow) -> Progress {
        self.read_pending = false;
        self.write_pending = false;
        driver.turn(flow, self)
    }

    /// Fails unless the task is woken by all that the flow waits for on the wire.
    #[track_caller]
    fn assert_wakes_for(&self, flow: &dyn Flow) {
        if flow.next_read_operation() == ReadOperation::Read {
            assert!(self.read_pending, "the flow reads, and nothing wakes the task when bytes come");
        }
        if flow.next_write_operation() == WriteOperation::Write {
            assert!(self.write_pending, "the flow writes, and nothing wakes the task when there is room");
        }
    }
}

impl Wire for Polled {
    fn read(&mut self, into: &mut BytesMut, max: usize) -> std::io::Result<usize> {
        let result = self.wire.read(into, max);
        self.read_pending = result.is_err();
        result
    }
    fn write(&mut self, slices: &[IoSlice<'_>]) -> std::io::Result<usize> {
        let result = self.wire.write(slices);
        self.write_pending = result.is_err();
        result
    }
    fn shutdown_write(&mut self) -> std::io::Result<()> {
        if self.shutdowns_refused > 0 {
            self.shutdowns_refused -= 1;
            return Err(ErrorKind::WouldBlock.into());
        }
        self.wire.shutdown_write()
    }
    fn reset(&mut self) -> std::io::Result<()> {
        self.wire.reset()
    }
}

#[test]
fn turn_of_a_task_ends_only_when_the_wire_wakes_for_all_that_the_flow_wants() {
    let (mut driver, mut flow) = (Driver::new(4096), echo());
    driver.readiness = Readiness::polled();
    assert_eq!(driver.readiness.waking, Waking::AfterWouldBlock);
    let script = ScriptedWire::new().then("one").then("two").then_would_block().then("three");
    let mut stream = Polled::new(script.with_max_write(2).with_room(4));

    assert_eq!(stream.poll(&mut driver, &mut flow), Progress::Blocked);
    stream.assert_wakes_for(&flow);
    assert_eq!((stream.wire.sent(), stream.wire.unread()), (&b"onet"[..], 5));
    // A poll for another reason, and with another waker: both directions are asked again.
    assert_eq!(stream.poll(&mut driver, &mut flow), Progress::Blocked);
    stream.assert_wakes_for(&flow);
    stream.wire.make_room(100);
    assert_eq!(stream.poll(&mut driver, &mut flow), Progress::Blocked);
    stream.assert_wakes_for(&flow);
    assert_eq!(stream.wire.sent(), b"onetwothree");
    flow.abort(AbortReason::Requested);
}

#[test]
fn task_hears_that_nothing_more_comes_before_it_answers() {
    /// A peer that has its next request there as soon as it is answered.
    struct Eager(Polled);

    impl Wire for Eager {
        fn read(&mut self, into: &mut BytesMut, max: usize) -> std::io::Result<usize> {
            self.0.read(into, max)
        }
        fn write(&mut self, slices: &[IoSlice<'_>]) -> std::io::Result<usize> {
            self.0.wire.push("next");
            self.0.write(slices)
        }
        fn shutdown_write(&mut self) -> std::io::Result<()> {
            self.0.shutdown_write()
        }
        fn reset(&mut self) -> std::io::Result<()> {
            self.0.reset()
        }
    }

    let (mut driver, mut flow) = (Driver::new(4096), echo());
    driver.readiness = Readiness::polled();
    let mut wire = Eager(Polled::new(ScriptedWire::new().then("first")));
    // Read in this turn, the next request would be dated before it came.
    assert_eq!(driver.turn(&mut flow, &mut wire), Progress::Blocked);
    assert_eq!((wire.0.wire.sent(), wire.0.wire.unread()), (&b"first"[..], 4));
    wire.0.assert_wakes_for(&flow);
    flow.abort(AbortReason::Requested);
}

/// Sends something, and ends.
struct Ends {
    how: CloseKind,
    slices: usize,
}

impl Behaviour for Ends {
    fn input(&mut self, io: &mut Io, bytes: &[u8]) {
        if bytes == b"later" {
            io.set_deadline(Duration::from_secs(1), DeadlineKind::Application);
        } else {
            self.say(io);
        }
    }

    fn end(&mut self, io: &mut Io, _: InputEnd) {
        self.say(io);
    }

    fn timeout(&mut self, io: &mut Io) {
        self.say(io);
    }
}

impl Ends {
    fn say(&self, io: &mut Io) {
        (0..self.slices).for_each(|_| io.send("the end"));
        match self.how {
            CloseKind::Immediate => io.finish(CloseReason::Finished),
            CloseKind::Linger => io.linger(CloseReason::Finished),
            CloseKind::Reset => io.reset(CloseReason::Finished),
        }
    }
}

/// How often it wrote, and how often it called that the last.
fn writes(how: CloseKind, slices: usize, read_size: usize, wire: ScriptedWire) -> (usize, usize) {
    let mut driver = Driver::new(read_size);
    let mut flow = Probe::new(Ends { how, slices }, Default::default(), driver.now);
    let mut wire = wire;
    while wire.sent().len() < "the end".len() * slices {
        driver.readiness.writable = true;
        let _ = driver.turn(&mut flow, &mut wire);
    }
    assert_eq!(wire.sent(), "the end".repeat(slices).as_bytes());
    flow.abort(AbortReason::Requested);
    let counts = wire.counts();
    (counts.writes, counts.last_writes)
}

#[test]
fn last_bytes_are_left_to_the_end_where_that_loses_none() {
    let came = || ScriptedWire::new().then("x");
    assert_eq!(writes(CloseKind::Linger, 1, 64, came()), (1, 1));
    assert_eq!(writes(CloseKind::Immediate, 1, 64, came()), (1, 1));
    assert_eq!(writes(CloseKind::Reset, 1, 64, came()), (1, 0), "a reset sends nothing");
    // The read was full: there may be more, which would turn the close into a reset.
    assert_eq!(writes(CloseKind::Immediate, 1, 1, came()), (1, 0));
    assert_eq!(writes(CloseKind::Linger, 1, 1, came()), (1, 1), "the shutdown sends it before");
    assert_eq!(writes(CloseKind::Immediate, 1, 1, ScriptedWire::new().then_eof()), (1, 1));
    // Only the last of several writes is the last.
    assert_eq!(writes(CloseKind::Immediate, drive::MAX_SLICES, 64, came()), (1, 0));
    assert_eq!(writes(CloseKind::Immediate, drive::MAX_SLICES + 1, 64, came()), (2, 1));
    // What the peer's window held up is written in a later turn.
    assert_eq!(writes(CloseKind::Immediate, 1, 64, came().with_max_write(6)), (2, 1));
    assert_eq!(writes(CloseKind::Linger, 1, 64, came().with_max_write(6)), (2, 2));
}

#[test]
fn last_bytes_go_out_at_once_where_the_peer_may_have_sent_more_meanwhile() {
    let mut driver = Driver::new(64);
    let mut flow = Probe::new(Ends { how: CloseKind::Immediate, slices: 1 }, Default::default(), driver.now);
    let mut wire = ScriptedWire::new().then("later");
    assert_eq!(driver.turn(&mut flow, &mut wire), Progress::Blocked);
    driver.now += Duration::from_secs(1);
    assert_eq!(driver.turn(&mut flow, &mut wire), Progress::Finished(CloseReason::Finished));
    assert_eq!((wire.sent(), wire.counts().last_writes), (&b"the end"[..], 0));
}

/// Says goodbye to whatever comes, and lingers.
struct Goodbye;

impl Behaviour for Goodbye {
    fn input(&mut self, io: &mut Io, _: &[u8]) {
        io.send("goodbye");
        io.linger(CloseReason::Finished);
    }
}

#[test]
fn shutdown_that_would_block_is_asked_for_again() {
    let mut driver = Driver::new(4096);
    let mut flow = Probe::new(Goodbye, Default::default(), driver.now);
    let mut stream = Polled::new(ScriptedWire::new().then("x"));
    stream.shutdowns_refused = 2;
    for expected in [0, 1, 1] {
        assert_eq!(stream.poll(&mut driver, &mut flow), Progress::Blocked);
        assert_eq!(stream.wire.counts().shutdowns, expected);
        driver.readiness.readable = true;
    }
    flow.abort(AbortReason::Requested);
}
