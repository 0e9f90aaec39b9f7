//! Holds a turn of yours to the laws, in memory: without sockets, threads or sleep, at every cut of input and output.
//!
//! [`drive::turn`](crate::drive::turn) passes it. Whoever makes the calls by hand instead, as a completion loop or a pair
//! of reader and writer threads does, can write that as one function over a [`ScriptedWire`] and hold it to the same.
//!
//! ```
//! use anabranch_core::drive::{self, Budget, Readiness};
//! use anabranch_core::testing::wire_suite;
//! use anabranch_core::{Dates, Instant, Pool, Turn};
//! use bytes::BytesMut;
//! use core::task::Waker;
//!
//! let mut scratch = BytesMut::with_capacity(4096);
//! wire_suite::run(|flow, wire, readiness| {
//!     let (mut dates, mut pool) = (Dates::none(), Pool::default());
//!     let mut turn = Turn::new(Instant::from_nanos(1), &mut dates, Waker::noop(), &mut pool);
//!     let mut run_here = |job: anabranch_core::Job| Ok(job.run());
//!     drive::turn(flow, wire, readiness, &mut scratch, &mut turn, &mut run_here, Budget::default())
//! })
//! .assert_all();
//! ```

use core::task::Poll;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::driver_suite::Report;
use super::probe::{Behaviour, Io, Log, Probe, Seen};
use super::wire::ScriptedWire;
use crate::drive::{Progress, Readiness};
use crate::flow::{CloseReason, Flow, InputEnd};
use crate::job::{Lane, Pending, job};
use crate::time::Instant;

/// A turn: everything that can be done at present between a flow and a wire, of which the poller just said that it is
/// readable and writable. A job must be run in place, or refused.
pub type TakeTurn<'a> = &'a mut dyn FnMut(&mut dyn Flow, &mut ScriptedWire, &mut Readiness) -> Progress;

/// Runs every case with this turn.
pub fn run(
    mut take_turn: impl FnMut(&mut dyn Flow, &mut ScriptedWire, &mut Readiness) -> Progress,
) -> Report {
    let results = CASES.iter().map(|(name, play)| {
        let played = catch_unwind(AssertUnwindSafe(|| play(&mut take_turn)));
        (*name, played.unwrap_or_else(|_| Err("panicked; the message is above".into())))
    });
    Report { results: results.collect() }
}

type Outcome = Result<(), String>;

/// Plays a case with a turn.
type Play = fn(TakeTurn<'_>) -> Outcome;

macro_rules! cases {
    ($($name:ident),+ $(,)?) => { &[$((stringify!($name), $name)),+] };
}

const CASES: &[(&str, Play)] = cases![
    cuts_do_not_change_the_conversation,
    flow_may_speak_first,
    output_waits_for_room,
    turn_without_anything_to_do_does_nothing,
    flow_is_not_read_to_while_it_yields,
    interrupted_read_is_tried_again,
    end_of_input_is_told_once,
    reset_is_told_as_one,
    failed_transport_is_told_as_one,
    wire_that_takes_no_more_ends_the_flow,
    lingering_flow_shuts_its_half_once_and_reads_on,
    wire_is_reset_when_the_flow_says_so_and_never_else,
    job_is_answered,
];

/// What came of a flow and a wire.
struct Played {
    sent: Vec<u8>,
    reason: Option<CloseReason>,
    wire: ScriptedWire,
    seen: Seen,
}

/// Takes turns until the flow is finished, or nothing moves and the script is over; the peer makes room as it goes.
fn play<B: Behaviour>(take_turn: TakeTurn<'_>, behaviour: B, mut wire: ScriptedWire) -> Played {
    let log = Log::default();
    let mut flow = Probe::new(behaviour, log.clone(), Instant::from_nanos(1));
    let mut readiness = Readiness::ready();
    let mut reason = None;
    let mut quiet = 0;
    for _ in 0..MAX_TURNS {
        let before = (wire.unread(), wire.sent().len());
        readiness.readable = true;
        readiness.writable = true;
        match take_turn(&mut flow, &mut wire, &mut readiness) {
            Progress::Finished(why) => {
                reason = Some(why);
                break;
            }
            Progress::Again => quiet = 0,
            Progress::Blocked if before != (wire.unread(), wire.sent().len()) => quiet = 0,
            Progress::Blocked => quiet += 1,
        }
        wire.make_room(ROOM);
        if quiet > QUIET_TURNS {
            // Not the driver's doing: the script left the flow waiting.
            flow.abort(crate::flow::AbortReason::Driver);
            break;
        }
    }
    drop(flow);
    Played { sent: wire.take_sent(), reason, wire, seen: log.seen() }
}

impl Played {
    /// Fails unless these bytes were sent, the flow ended for this reason, and the driver did nothing that it must not.
    fn expect(&self, sent: &[u8], reason: Option<CloseReason>) -> Outcome {
        if !self.seen.faults.is_empty() {
            return Err(self.seen.faults.join("; "));
        }
        if self.sent != sent {
            let (got, sent) = (self.sent.escape_ascii(), sent.escape_ascii());
            return Err(format!("sent \"{got}\" instead of \"{sent}\""));
        }
        if self.reason != reason {
            return Err(format!("ended for {:?} instead of {reason:?}", self.reason));
        }
        Ok(())
    }

    fn expect_ends(&self, ends: &[InputEnd]) -> Outcome {
        if self.seen.ends == ends {
            return Ok(());
        }
        Err(format!("the flow was told of the ends {:?} instead of {ends:?}", self.seen.ends))
    }
}

/// Answers each line with its length; at an empty one says goodbye, and lingers.
#[derive(Default)]
struct Lines(usize);

impl Behaviour for Lines {
    fn input(&mut self, io: &mut Io, bytes: &[u8]) {
        for byte in bytes {
            match (byte, self.0) {
                (b'\n', 0) => {
                    io.send("bye\n");
                    io.linger(CloseReason::Finished);
                }
                (b'\n', length) => {
                    io.send(format!("{length}"));
                    io.send("\n");
                    self.0 = 0;
                }
                _ => self.0 += 1,
            }
        }
    }
}

fn cuts_do_not_change_the_conversation(take_turn: TakeTurn<'_>) -> Outcome {
    let input = b"four\nthree\nand a line that is longer\n\nwhat comes after the end";
    for cut in 1..=input.len() {
        for max_write in [1, 2, 3, 7, usize::MAX] {
            let wire = ScriptedWire::new().then_in_pieces(input, cut).then_eof().with_max_write(max_write);
            let played = play(take_turn, Lines::default(), wire);
            played
                .expect(b"4\n5\n25\nbye\n", Some(CloseReason::Finished))
                .and_then(|()| played.expect_ends(&[InputEnd::Eof]))
                .map_err(|what| format!("{cut} bytes a read, {max_write} a write: {what}"))?;
        }
    }
    Ok(())
}

/// Greets, and sends back what it gets.
struct Greeter;

impl Behaviour for Greeter {
    fn start(&mut self, io: &mut Io) {
        io.send("welcome ");
    }

    fn input(&mut self, io: &mut Io, bytes: &[u8]) {
        io.send(bytes.to_vec());
    }
}

fn flow_may_speak_first(take_turn: TakeTurn<'_>) -> Outcome {
    play(take_turn, Greeter, ScriptedWire::new()).expect(b"welcome ", None)
}

fn output_waits_for_room(take_turn: TakeTurn<'_>) -> Outcome {
    let message = b"more than there is room for at once".repeat(10);
    let wire = ScriptedWire::new().then(&message).then_eof().with_room(0);
    let played = play(take_turn, Greeter, wire);
    played.expect(&[b"welcome ", &*message].concat(), Some(CloseReason::PeerClosed))
}

fn turn_without_anything_to_do_does_nothing(take_turn: TakeTurn<'_>) -> Outcome {
    let played = play(take_turn, Lines::default(), ScriptedWire::new());
    played.expect(b"", None)?;
    let counts = played.wire.counts();
    if counts.writes > 0 || counts.reads > QUIET_TURNS + 1 {
        return Err(format!("within {} quiet turns it used the wire: {counts:?}", QUIET_TURNS + 1));
    }
    Ok(())
}

/// After each read yields until what it sent was taken.
struct OneByOne;

impl Behaviour for OneByOne {
    fn input(&mut self, io: &mut Io, bytes: &[u8]) {
        io.send(bytes.to_vec());
        io.yield_reading();
    }

    fn run(&mut self, io: &mut Io) {
        if io.unsent() == 0 {
            io.resume_reading();
        }
    }
}

fn flow_is_not_read_to_while_it_yields(take_turn: TakeTurn<'_>) -> Outcome {
    let wire = ScriptedWire::new().then("one").then("two").then("three").then_eof().with_max_write(1);
    let played = play(take_turn, OneByOne, wire);
    played.expect(b"onetwothree", Some(CloseReason::PeerClosed))
}

fn interrupted_read_is_tried_again(take_turn: TakeTurn<'_>) -> Outcome {
    let wire = ScriptedWire::new().then_interrupted().then("x").then_interrupted().then("y").then_eof();
    play(take_turn, Greeter, wire).expect(b"welcome xy", Some(CloseReason::PeerClosed))
}

fn end_of_input_is_told_once(take_turn: TakeTurn<'_>) -> Outcome {
    let wire = ScriptedWire::new().then("x").then_eof().with_max_write(1);
    let played = play(take_turn, Greeter, wire);
    played.expect(b"welcome x", Some(CloseReason::PeerClosed))?;
    played.expect_ends(&[InputEnd::Eof])
}

fn reset_is_told_as_one(take_turn: TakeTurn<'_>) -> Outcome {
    let wire = ScriptedWire::new().then("x").then_fails(ErrorKind::ConnectionReset);
    let played = play(take_turn, Lines::default(), wire);
    played.expect(b"", Some(CloseReason::PeerReset))?;
    played.expect_ends(&[InputEnd::Reset])
}

fn failed_transport_is_told_as_one(take_turn: TakeTurn<'_>) -> Outcome {
    let wire = ScriptedWire::new().then("x").then_fails(ErrorKind::Other);
    let played = play(take_turn, Lines::default(), wire);
    played.expect_ends(&[InputEnd::Error])
}

fn wire_that_takes_no_more_ends_the_flow(take_turn: TakeTurn<'_>) -> Outcome {
    let mut wire = ScriptedWire::new();
    wire.break_writes();
    play(take_turn, Greeter, wire).expect(b"", Some(CloseReason::PeerReset))
}

fn lingering_flow_shuts_its_half_once_and_reads_on(take_turn: TakeTurn<'_>) -> Outcome {
    let wire = ScriptedWire::new().then("\n").then_in_pieces("what the peer still sends", 3).then_eof();
    let played = play(take_turn, Lines::default(), wire);
    played.expect(b"bye\n", Some(CloseReason::Finished))?;
    match (played.wire.counts().shutdowns, played.seen.bytes_in) {
        (1, 26) => Ok(()),
        (shutdowns, bytes) => Err(format!("shut its half {shutdowns} times and read {bytes} of 26 bytes")),
    }
}

/// Says half of something, and breaks off.
struct BreaksOff;

impl Behaviour for BreaksOff {
    fn input(&mut self, io: &mut Io, _bytes: &[u8]) {
        io.send("half of");
        io.reset(CloseReason::ApplicationFailed);
    }
}

fn wire_is_reset_when_the_flow_says_so_and_never_else(take_turn: TakeTurn<'_>) -> Outcome {
    let wire = ScriptedWire::new().then("x").with_max_write(1);
    let played = play(take_turn, BreaksOff, wire);
    played.expect(b"half of", Some(CloseReason::ApplicationFailed))?;
    if !played.wire.is_reset() {
        return Err("the flow said Close(Reset), and the wire was not reset".into());
    }
    for (input, behaviour) in [("\n", Lines::default()), ("x", Lines(1))] {
        let played = play(take_turn, behaviour, ScriptedWire::new().then(input).then_eof());
        if played.wire.is_reset() {
            return Err("the wire was reset, and the flow had not said so".into());
        }
    }
    Ok(())
}

/// Answers the first bytes by a job, whatever comes of it.
#[derive(Default)]
struct ByJob(Option<Pending<()>>);

impl Behaviour for ByJob {
    fn input(&mut self, io: &mut Io, _bytes: &[u8]) {
        let (job, pending) = job(Lane::DEFAULT, |_| ());
        self.0 = Some(pending);
        io.exec(job);
        io.expect_application();
        io.yield_reading();
    }

    fn run(&mut self, io: &mut Io) {
        let waker = io.waker().clone();
        if let Some(pending) = &mut self.0
            && let Poll::Ready(_) = pending.poll(&waker)
        {
            self.0 = None;
            io.send("answered");
            io.finish(CloseReason::Finished);
        }
    }
}

fn job_is_answered(take_turn: TakeTurn<'_>) -> Outcome {
    let played = play(take_turn, ByJob::default(), ScriptedWire::new().then("x"));
    played.expect(b"answered", Some(CloseReason::Finished))
}

/// Turns after which a case is given up.
const MAX_TURNS: usize = 10_000;

/// Turns without progress after which the script is over.
const QUIET_TURNS: usize = 3;

/// Room that the peer makes between two turns, in bytes.
const ROOM: usize = 5;
