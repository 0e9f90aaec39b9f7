//! The turn that every readiness driver shares, and one made by hand as a completion loop makes it.

use core::task::Waker;
use core::time::Duration;
use std::io::{ErrorKind, IoSlice};

use anabranch_core::drive::{self, Budget, Progress, Readiness, Wire};
use anabranch_core::flow::is_finished;
use anabranch_core::testing::{Behaviour, Io, ManualClock, Probe, ScriptedWire, wire_suite};
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

    fn turn(&mut self, flow: &mut dyn Flow, wire: &mut ScriptedWire) -> Progress {
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
    let take_turn = |flow: &mut dyn Flow, wire: &mut ScriptedWire, readiness: &mut Readiness| {
        driver.readiness = *readiness;
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
            return Progress::Finished(flow.close_reason().expect("a finished flow has a reason"));
        }
        if !readiness.readable || flow.next_read_operation() != ReadOperation::Read {
            return Progress::Blocked;
        }
        let mut owned = BytesMut::with_capacity(16);
        match wire.read(&mut owned).map_err(|error| error.kind()) {
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

#[test]
fn hangup_makes_a_short_read_not_the_last() {
    let (mut driver, mut flow) = (Driver::new(4096), echo());
    driver.readiness.hangup = true;
    let mut wire = ScriptedWire::new().then("last").then_eof();
    assert_eq!(driver.turn(&mut flow, &mut wire), Progress::Finished(CloseReason::PeerClosed));
    assert_eq!(wire.sent(), b"last");
}
