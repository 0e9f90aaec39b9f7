//! Deadlines: met, moved later, moved earlier, and set by a wake.

use core::time::Duration;

use super::stage::Stage;
use super::{Case, Outcome, cases};
use crate::flow::DeadlineKind;
use crate::testing::probe::{Behaviour, Io};
use crate::testing::real_time::{now, sleep, spawn};
use crate::time::Instant;

pub(super) const CASES: &[Case] = cases![
    deadline_is_met,
    deadline_that_moved_later_is_slept_on,
    deadline_that_moved_earlier_is_met,
    deadline_set_by_a_wake_is_met,
];

/// Answers so long after the latest bytes.
struct Delayed {
    /// The deadline that stands before there are any bytes.
    first: Duration,
    after: Duration,
    due: Instant,
}

impl Delayed {
    const fn new(first: Duration, after: Duration) -> Self {
        Self { first, after, due: Instant::NEVER }
    }
}

impl Behaviour for Delayed {
    fn start(&mut self, io: &mut Io) {
        io.set_deadline(self.first, DeadlineKind::FirstByte);
    }

    fn input(&mut self, io: &mut Io, _bytes: &[u8]) {
        self.due = io.now() + self.after;
        io.set_deadline(self.after, DeadlineKind::Application);
    }

    fn timeout(&mut self, io: &mut Io) {
        io.send(if io.now() < self.due { "early" } else { "intime" });
        io.set_deadline(LONG, DeadlineKind::Idle);
    }
}

fn deadline_is_met(stage: &Stage) -> Outcome {
    let after = Duration::from_millis(50);
    let subject = stage.serve(move || Delayed::new(LONG, after));
    let mut peer = stage.connect(&*subject)?;
    for _ in 0..3 {
        // The turn before is over: what it reads behind its own answer, it reads by a time from before that came.
        stage.expect_rest(Duration::from_millis(50))?;
        let since = now();
        peer.send(b"x")?;
        stage.step("waiting for a deadline");
        peer.expect(b"intime")?;
        stage.expect_elapsed(since, after, "the deadline")?;
    }
    peer.half_close();
    peer.expect_end()?;
    stage.expect_all_over()
}

fn deadline_that_moved_later_is_slept_on(stage: &Stage) -> Outcome {
    let after = Duration::from_millis(400);
    let subject = stage.serve(move || Delayed::new(LONG, after));
    let mut peer = stage.connect(&*subject)?;
    let mut since = now();
    let mut moved = 0;
    while moved < 16 {
        let earlier = core::mem::replace(&mut since, now());
        peer.send(b"x")?;
        sleep(Duration::from_millis(30));
        moved += 1;
        // This peer was kept from moving the deadline in time: another begins anew.
        if earlier.elapsed() > after / 2 {
            drop(peer);
            peer = stage.connect(&*subject)?;
            moved = 0;
        }
    }
    stage.step("waiting for a deadline that moved");
    peer.expect(b"intime")?;
    stage.expect_elapsed(since, after, "the deadline that moved")?;
    stage.expect_rest(Duration::from_millis(100))?;
    peer.half_close();
    peer.expect_end()?;
    stage.expect_all_over()
}

fn deadline_that_moved_earlier_is_met(stage: &Stage) -> Outcome {
    let after = Duration::from_millis(50);
    let subject = stage.serve(move || Delayed::new(LONG, after));
    let mut peer = stage.connect(&*subject)?;
    // The driver sleeps by the first deadline before the second is set.
    sleep(Duration::from_millis(50));
    let since = now();
    peer.send(b"x")?;
    stage.step("waiting for a deadline that moved");
    peer.expect(b"intime")?;
    stage.expect_elapsed(since, after, "the deadline that moved")?;
    peer.half_close();
    peer.expect_end()?;
    stage.expect_all_over()
}

/// Is woken, sets a deadline by that, and answers at the deadline.
#[derive(Default)]
struct WokenThenDelayed {
    asked: bool,
}

impl Behaviour for WokenThenDelayed {
    fn input(&mut self, io: &mut Io, _bytes: &[u8]) {
        self.asked = true;
        io.yield_reading();
        io.expect_application();
    }

    fn run(&mut self, io: &mut Io) {
        if core::mem::take(&mut self.asked) {
            let (waker, log) = (io.waker().clone(), io.log().clone());
            spawn(move || {
                sleep(Duration::from_millis(50));
                log.mark("woken");
                waker.wake();
            });
        } else if io.log().seen().marks.as_slice() == ["woken"] {
            io.log().mark("deadline set");
            io.application_done();
            io.set_deadline(Duration::from_millis(50), DeadlineKind::Application);
        }
    }

    fn timeout(&mut self, io: &mut Io) {
        io.send("intime");
        io.resume_reading();
    }
}

fn deadline_set_by_a_wake_is_met(stage: &Stage) -> Outcome {
    let subject = stage.serve(WokenThenDelayed::default);
    let mut peer = stage.connect(&*subject)?;
    let since = now();
    peer.send(b"x")?;
    stage.step("waiting for a deadline that was set by a wake");
    peer.expect(b"intime")?;
    stage.expect_elapsed(since, Duration::from_millis(100), "the deadline set by a wake")?;
    peer.half_close();
    peer.expect_end()?;
    stage.expect_all_over()
}

/// Longer than any case lasts.
const LONG: Duration = Duration::from_secs(3600);
