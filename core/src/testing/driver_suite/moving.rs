//! Bytes both ways: large, slow, stuck, and not at all.

use core::task::Waker;
use core::time::Duration;

use bytes::Bytes;

use super::stage::Stage;
use super::{Case, Outcome, cases};
use crate::flow::{CloseReason, DeadlineKind, InputEnd};
use crate::testing::probe::{Behaviour, Io};
use crate::testing::real_time::{sleep, spawn};

pub(super) const CASES: &[Case] = cases![
    bytes_go_both_ways,
    flow_may_speak_first,
    output_larger_than_the_sockets_reaches_a_slow_reader,
    reading_stops_while_output_waits,
    input_is_left_alone_while_the_flow_yields,
    reading_goes_on_while_output_is_stuck,
    wake_reaches_a_flow_whose_output_is_stuck,
    deadline_reaches_a_flow_whose_output_is_stuck,
];

/// Sends back what it gets.
pub(super) struct Echo;

impl Behaviour for Echo {
    fn input(&mut self, io: &mut Io, bytes: &[u8]) {
        io.send(bytes.to_vec());
    }
}

fn bytes_go_both_ways(stage: &Stage) -> Outcome {
    let subject = stage.serve(|| Echo);
    let mut peer = stage.connect(&*subject)?;
    for message in ["hello", "again", "and again"] {
        peer.send(message.as_bytes())?;
        peer.expect(message.as_bytes())?;
    }
    peer.half_close();
    peer.expect_end()?;
    stage.expect_all_over()
}

struct Greeter;

impl Behaviour for Greeter {
    fn start(&mut self, io: &mut Io) {
        io.send("welcome");
    }

    fn input(&mut self, io: &mut Io, bytes: &[u8]) {
        io.send(bytes.to_vec());
    }
}

fn flow_may_speak_first(stage: &Stage) -> Outcome {
    let subject = stage.serve(|| Greeter);
    let mut peer = stage.connect(&*subject)?;
    stage.step("waiting for a flow that speaks first");
    peer.expect(b"welcome")?;
    peer.half_close();
    peer.expect_end()?;
    stage.expect_all_over()
}

/// Answers whatever comes with a lot, in more chunks than one write takes.
struct Generous;

impl Behaviour for Generous {
    fn input(&mut self, io: &mut Io, _bytes: &[u8]) {
        let all = Bytes::from(pattern(LARGE));
        for at in (0..LARGE).step_by(10_000) {
            io.send(all.slice(at..LARGE.min(at + 10_000)));
        }
    }
}

fn output_larger_than_the_sockets_reaches_a_slow_reader(stage: &Stage) -> Outcome {
    let subject = stage.serve(|| Generous);
    let mut peer = stage.connect(&*subject)?;
    peer.send(b"x")?;
    sleep(Duration::from_millis(100));
    stage.step("reading a large output slowly");
    let expected = pattern(LARGE);
    for piece in expected[..SLOWLY].chunks(999) {
        peer.expect(piece)?;
    }
    sleep(Duration::from_millis(50));
    peer.expect(&expected[SLOWLY..])?;
    peer.half_close();
    peer.expect_end()?;
    stage.expect_all_over()
}

/// Sends back what it gets, and reads nothing while too much of it waits.
struct BoundedEcho;

impl Behaviour for BoundedEcho {
    fn input(&mut self, io: &mut Io, bytes: &[u8]) {
        io.send(bytes.to_vec());
        if io.unsent() > 64 * 1024 {
            io.yield_reading();
        }
    }

    fn run(&mut self, io: &mut Io) {
        if io.unsent() == 0 {
            io.resume_reading();
        }
    }
}

fn reading_stops_while_output_waits(stage: &Stage) -> Outcome {
    let subject = stage.serve(|| BoundedEcho);
    let (mut reader, mut writer) = stage.connect(&*subject)?.split();
    let sender = spawn(move || {
        // What goes wrong here, the reader sees.
        let _ = writer.send(&pattern(LARGE));
    });
    sleep(Duration::from_millis(200));
    stage.step("reading an echo larger than the sockets");
    reader.expect(&pattern(LARGE))?;
    let _ = sender.join();
    reader.expect_end()?;
    stage.expect_all_over()
}

/// After its first bytes reads nothing until it may; then says so, and in the end how many bytes came.
#[derive(Default)]
struct Reluctant(usize);

impl Reluctant {
    fn look_again_soon(io: &mut Io) {
        io.set_deadline(Duration::from_millis(100), DeadlineKind::Application);
    }
}

impl Behaviour for Reluctant {
    fn input(&mut self, io: &mut Io, bytes: &[u8]) {
        if self.0 == 0 {
            io.yield_reading();
            Self::look_again_soon(io);
        }
        self.0 += bytes.len();
    }

    fn timeout(&mut self, io: &mut Io) {
        if !io.log().seen().marks.contains(&"may read") {
            return Self::look_again_soon(io);
        }
        io.send("go");
        io.resume_reading();
    }

    fn end(&mut self, io: &mut Io, _end: InputEnd) {
        io.send(format!("{:09}", self.0));
        io.finish(CloseReason::PeerClosed);
    }
}

fn input_is_left_alone_while_the_flow_yields(stage: &Stage) -> Outcome {
    let subject = stage.serve(Reluctant::default);
    let mut peer = stage.connect(&*subject)?;
    peer.send(b"x")?;
    stage.expect_rest(Duration::from_millis(20))?;
    let (mut reader, mut writer) = peer.split();
    let sender = spawn(move || {
        let _ = writer.send(&pattern(LARGE));
    });
    stage.expect_rest(Duration::from_millis(120))?;
    stage.log.mark("may read");
    stage.step("waiting for the flow to go on reading");
    reader.expect(b"go")?;
    let _ = sender.join();
    reader.expect(format!("{:09}", LARGE + 1).as_bytes())?;
    reader.expect_end()?;
    stage.expect_all_over()
}

/// Answers with more than sockets hold, and then listens, is woken, or gives up in time.
struct Stuck(Then);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Listens,
    IsWoken,
    Waits,
    GivesUp,
}

impl Behaviour for Stuck {
    fn input(&mut self, io: &mut Io, bytes: &[u8]) {
        if bytes.ends_with(b"!") {
            return io.log().mark("heard");
        }
        io.log().mark("answers");
        io.send(vec![b'.'; LARGE]);
        match self.0 {
            Then::Listens | Then::Waits => {}
            Then::IsWoken => {
                io.yield_reading();
                io.expect_application();
            }
            Then::GivesUp => {
                io.yield_reading();
                io.set_deadline(Duration::from_millis(200), DeadlineKind::WriteStall);
            }
        }
    }

    fn run(&mut self, io: &mut Io) {
        if self.0 == Then::IsWoken && io.unsent() > 0 {
            self.0 = Then::Waits;
            wake_later(io.waker().clone(), io.log().clone());
        } else if self.0 == Then::Waits && io.log().seen().marks.contains(&"woken") {
            self.0 = Then::Listens;
            io.application_done();
            io.resume_reading();
            io.log().mark("heard");
        }
    }

    fn timeout(&mut self, io: &mut Io) {
        io.log().mark("heard");
        io.give_up(CloseReason::TimedOut(DeadlineKind::WriteStall));
    }
}

fn wake_later(waker: Waker, log: crate::testing::Log) {
    spawn(move || {
        sleep(Duration::from_millis(100));
        log.mark("woken");
        waker.wake();
    });
}

fn reading_goes_on_while_output_is_stuck(stage: &Stage) -> Outcome {
    let subject = stage.serve(|| Stuck(Then::Listens));
    let mut peer = stage.connect(&*subject)?;
    peer.send(b"x")?;
    stage.expect_mark("answers")?;
    sleep(Duration::from_millis(100));
    peer.send(b"!")?;
    stage.expect_mark("heard")?;
    peer.half_close();
    peer.expect(&vec![b'.'; LARGE])?;
    peer.expect_end()?;
    stage.expect_all_over()
}

fn wake_reaches_a_flow_whose_output_is_stuck(stage: &Stage) -> Outcome {
    let subject = stage.serve(|| Stuck(Then::IsWoken));
    let mut peer = stage.connect(&*subject)?;
    peer.send(b"x")?;
    sleep(Duration::from_millis(100));
    stage.expect_mark("heard")?;
    peer.half_close();
    peer.expect(&vec![b'.'; LARGE])?;
    peer.expect_end()?;
    stage.expect_all_over()
}

fn deadline_reaches_a_flow_whose_output_is_stuck(stage: &Stage) -> Outcome {
    let subject = stage.serve(|| Stuck(Then::GivesUp));
    let mut peer = stage.connect(&*subject)?;
    peer.send(b"x")?;
    sleep(Duration::from_millis(200));
    stage.expect_mark("heard")?;
    stage.expect_all_over()?;
    peer.read_out();
    Ok(())
}

/// So many bytes that no position looks like another near it.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

/// More than the buffers of two sockets on the loopback hold, as far as they grow by themselves.
const LARGE: usize = 24 * 1024 * 1024;

/// So much of it is read in small pieces.
const SLOWLY: usize = 256 * 1024;
