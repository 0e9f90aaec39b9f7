//! Wakes from within, from other threads and from jobs; and rest when there is none.

use core::task::{Poll, Waker};
use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};

use super::moving::Echo;
use super::stage::Stage;
use super::{Case, Outcome, cases};
use crate::job::{JobError, Lane, Pending, job};
use crate::testing::probe::{Behaviour, Io};
use crate::testing::real_time::{sleep, spawn};

pub(super) const CASES: &[Case] = cases![
    idle_connection_costs_nothing,
    yielding_flow_with_bytes_waiting_costs_nothing,
    wake_from_within_run_is_a_wake,
    flow_that_lets_others_have_their_turn_goes_on,
    wake_from_another_thread_reaches_a_parked_flow,
    wake_from_another_thread_reaches_a_reading_flow,
    wake_is_not_lost_whenever_it_comes,
    job_runs_and_its_result_arrives,
    job_that_panics_is_answered,
    job_for_a_lane_that_nobody_knows_is_answered,
    every_job_is_answered_however_many,
];

fn idle_connection_costs_nothing(stage: &Stage) -> Outcome {
    let subject = stage.serve(|| Echo);
    let mut peer = stage.connect(&*subject)?;
    peer.send(b"hello")?;
    peer.expect(b"hello")?;
    stage.expect_rest(Duration::from_millis(300))?;
    peer.half_close();
    peer.expect_end()?;
    stage.expect_all_over()
}

/// Runs so many times by waking itself, and then answers.
#[derive(Default)]
struct SelfWaking(u32);

impl Behaviour for SelfWaking {
    fn input(&mut self, io: &mut Io, _bytes: &[u8]) {
        self.0 = 100;
        io.yield_reading();
        io.expect_application();
    }

    fn run(&mut self, io: &mut Io) {
        match self.0 {
            0 => {}
            1 => {
                self.0 = 0;
                io.send("done");
                io.application_done();
                io.resume_reading();
            }
            _ => {
                self.0 -= 1;
                io.waker().wake_by_ref();
            }
        }
    }
}

fn wake_from_within_run_is_a_wake(stage: &Stage) -> Outcome {
    let subject = stage.serve(SelfWaking::default);
    let mut peer = stage.connect(&*subject)?;
    for _ in 0..10 {
        peer.send(b"x")?;
        stage.step("waiting for a flow that wakes itself");
        peer.expect(b"done")?;
    }
    peer.half_close();
    peer.expect_end()?;
    stage.expect_all_over()
}

/// Each byte is a request: begins as many of those that came together as it may in a turn.
#[derive(Default)]
struct Pipelined(usize);

impl Behaviour for Pipelined {
    fn input(&mut self, _io: &mut Io, bytes: &[u8]) {
        self.0 += bytes.len();
    }

    fn run(&mut self, io: &mut Io) {
        while self.0 > 0 && io.may_begin() {
            self.0 -= 1;
            io.send(".");
        }
        if self.0 > 0 {
            io.yield_reading();
            io.expect_application();
        } else {
            io.resume_reading();
            io.application_done();
        }
    }
}

fn flow_that_lets_others_have_their_turn_goes_on(stage: &Stage) -> Outcome {
    let subject = stage.serve(Pipelined::default);
    let mut peer = stage.connect(&*subject)?;
    peer.send(&[b'x'; 1000])?;
    stage.step("waiting for more answers than are begun in a turn");
    peer.expect(&[b'.'; 1000])?;
    peer.half_close();
    peer.expect_end()?;
    stage.expect_all_over()
}

/// Answers when another thread says so; that thread takes `after` over it.
struct Woken {
    after: Duration,
    meanwhile: Meanwhile,
    flag: Arc<AtomicBool>,
    asked: bool,
    ready: Sender<Wish>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    Yields,
    Reads,
}

/// The flag to set, whom to wake then, and after how long.
type Wish = (Arc<AtomicBool>, Waker, Duration);

impl Woken {
    fn new(after: Duration, meanwhile: Meanwhile) -> Self {
        let (ready, wishes) = channel::<Wish>();
        spawn(move || {
            for (flag, waker, after) in wishes {
                sleep(after);
                flag.store(true, Ordering::Release);
                waker.wake();
            }
        });
        Self { after, meanwhile, flag: Arc::default(), asked: false, ready }
    }
}

impl Behaviour for Woken {
    fn input(&mut self, io: &mut Io, _bytes: &[u8]) {
        io.log().mark("asked");
        io.expect_application();
        if self.meanwhile == Meanwhile::Yields {
            io.yield_reading();
        }
        self.asked = true;
    }

    fn run(&mut self, io: &mut Io) {
        if core::mem::take(&mut self.asked) {
            // The thread lives as long as this end of its channel.
            let _ = self.ready.send((self.flag.clone(), io.waker().clone(), self.after));
        }
        if self.flag.swap(false, Ordering::AcqRel) {
            io.send("woken");
            io.application_done();
            io.resume_reading();
        }
    }
}

fn wake_after(stage: &Stage, after: Duration, meanwhile: Meanwhile, rounds: usize) -> Outcome {
    let subject = stage.serve(move || Woken::new(after, meanwhile));
    let mut peer = stage.connect(&*subject)?;
    for _ in 0..rounds {
        peer.send(b"x")?;
        stage.step("waiting for a flow that another thread wakes");
        peer.expect(b"woken")?;
    }
    peer.half_close();
    peer.expect_end()?;
    stage.expect_all_over()
}

fn wake_from_another_thread_reaches_a_parked_flow(stage: &Stage) -> Outcome {
    wake_after(stage, Duration::from_millis(50), Meanwhile::Yields, 3)
}

fn wake_from_another_thread_reaches_a_reading_flow(stage: &Stage) -> Outcome {
    wake_after(stage, Duration::from_millis(50), Meanwhile::Reads, 3)
}

fn wake_is_not_lost_whenever_it_comes(stage: &Stage) -> Outcome {
    for meanwhile in [Meanwhile::Yields, Meanwhile::Reads] {
        // At once, and after just as long as a driver takes to fall asleep.
        for after in [0, 1, 10, 50].map(Duration::from_micros) {
            wake_after(stage, after, meanwhile, 200)?;
        }
    }
    Ok(())
}

fn yielding_flow_with_bytes_waiting_costs_nothing(stage: &Stage) -> Outcome {
    let subject = stage.serve(|| Woken::new(Duration::from_millis(500), Meanwhile::Yields));
    let mut peer = stage.connect(&*subject)?;
    peer.send(b"x")?;
    stage.expect_mark("asked")?;
    // Another byte and the end wait in the socket, and a poller that was not told otherwise would say so again and again.
    peer.send(b"y")?;
    peer.half_close();
    stage.expect_rest(Duration::from_millis(300))?;
    stage.step("waiting for a flow that another thread wakes");
    // For what came first, and for the byte that waited.
    peer.expect(b"wokenwoken")?;
    peer.expect_end()?;
    stage.expect_all_over()
}

/// Answers each byte by a job, or by many.
struct Jobs {
    lane: Lane,
    kind: JobKind,
    pending: Vec<Pending<()>>,
    last: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum JobKind {
    Quick,
    Panics,
    Many,
}

impl Jobs {
    const fn new(lane: Lane, kind: JobKind) -> Self {
        Self { lane, kind, pending: Vec::new(), last: "" }
    }
}

impl Behaviour for Jobs {
    fn input(&mut self, io: &mut Io, _bytes: &[u8]) {
        let count = if self.kind == JobKind::Many { 2_000 } else { 1 };
        for _ in 0..count {
            let panics = self.kind == JobKind::Panics;
            let (job, pending) =
                job(self.lane, move |_| assert!(!panics, "the job fails, as it is meant to"));
            io.exec(job);
            self.pending.push(pending);
        }
        io.yield_reading();
        io.expect_application();
    }

    fn run(&mut self, io: &mut Io) {
        if self.pending.is_empty() {
            return;
        }
        let waker = io.waker().clone();
        let last = &mut self.last;
        self.pending.retain_mut(|pending| match pending.poll(&waker) {
            Poll::Pending => true,
            Poll::Ready(result) => {
                *last = match result {
                    Ok(()) => "ran.",
                    Err(JobError::Refused) => "full",
                    Err(JobError::Lost) => "lost",
                };
                false
            }
        });
        if self.pending.is_empty() {
            io.send(self.last);
            io.application_done();
            io.resume_reading();
        }
    }
}

fn answers_of_jobs(stage: &Stage, lane: Lane, kind: JobKind, allowed: &[&str]) -> Outcome {
    let subject = stage.serve(move || Jobs::new(lane, kind));
    let mut peer = stage.connect(&*subject)?;
    for _ in 0..3 {
        peer.send(b"x")?;
        stage.step("waiting for the answer of a job");
        let mut answer = [0; 4];
        let mut at = 0;
        while at < answer.len() {
            at += peer.receive(&mut answer[at..], at, 4)?;
        }
        if !allowed.iter().any(|allowed| allowed.as_bytes() == answer) {
            return Err(format!("the job was answered with \"{}\"", answer.escape_ascii()));
        }
    }
    peer.half_close();
    peer.expect_end()?;
    stage.expect_all_over()
}

fn job_runs_and_its_result_arrives(stage: &Stage) -> Outcome {
    answers_of_jobs(stage, Lane::DEFAULT, JobKind::Quick, &["ran."])
}

fn job_that_panics_is_answered(stage: &Stage) -> Outcome {
    answers_of_jobs(stage, Lane::DEFAULT, JobKind::Panics, &["lost"])
}

fn job_for_a_lane_that_nobody_knows_is_answered(stage: &Stage) -> Outcome {
    answers_of_jobs(stage, Lane("nobody knows this lane"), JobKind::Quick, &["ran.", "full", "lost"])
}

fn every_job_is_answered_however_many(stage: &Stage) -> Outcome {
    answers_of_jobs(stage, Lane::DEFAULT, JobKind::Many, &["ran.", "full", "lost"])
}
