//! Ends: the peer's, the flow's and the server's.

use core::time::Duration;

use super::moving::Echo;
use super::stage::Stage;
use super::{Case, Outcome, cases};
use crate::flow::{CloseReason, DeadlineKind, InputEnd};
use crate::testing::probe::{Behaviour, Io};
use crate::testing::real_time::sleep;

pub(super) const CASES: &[Case] = cases![
    peer_that_half_closed_is_still_answered,
    flow_that_finishes_is_closed,
    lingering_flow_shuts_its_half_and_reads_on,
    flow_that_breaks_off_is_closed_with_a_reset,
    abort_resets_what_only_the_end_would_complete,
    peer_that_vanishes_ends_the_connection,
    connections_come_and_go,
    drain_reaches_an_idle_connection,
    drain_reaches_a_parked_connection,
    drain_lets_what_has_begun_finish,
    request_that_came_before_the_drain_is_answered,
    abort_ends_an_idle_connection,
    abort_ends_a_parked_connection,
];

/// Answers the end of input, and not at once.
struct LastWord;

impl Behaviour for LastWord {
    fn input(&mut self, _io: &mut Io, _bytes: &[u8]) {}

    fn end(&mut self, io: &mut Io, _end: InputEnd) {
        io.set_deadline(Duration::from_millis(100), DeadlineKind::Application);
    }

    fn timeout(&mut self, io: &mut Io) {
        io.send("last word");
        io.finish(CloseReason::PeerClosed);
    }
}

fn peer_that_half_closed_is_still_answered(stage: &Stage) -> Outcome {
    let subject = stage.serve(|| LastWord);
    let mut peer = stage.connect(&*subject)?;
    // One byte: a transport that gives no more at a time has nothing left to do.
    peer.send(b"?")?;
    peer.half_close();
    stage.expect_rest(Duration::from_millis(60))?;
    stage.step("waiting for the answer to a half-closed connection");
    peer.expect(b"last word")?;
    peer.expect_end()?;
    stage.expect_all_over()
}

/// Says goodbye to whatever comes: at once, or so that the peer reads it whatever it still sends.
struct Goodbye(Way);

#[derive(Clone, Copy)]
enum Way {
    AtOnce,
    Lingering,
}

impl Behaviour for Goodbye {
    fn input(&mut self, io: &mut Io, _bytes: &[u8]) {
        io.send("goodbye");
        match self.0 {
            Way::AtOnce => io.finish(CloseReason::Finished),
            Way::Lingering => io.linger(CloseReason::Finished),
        }
    }
}

fn flow_that_finishes_is_closed(stage: &Stage) -> Outcome {
    let subject = stage.serve(|| Goodbye(Way::AtOnce));
    let mut peer = stage.connect(&*subject)?;
    peer.send(b"x")?;
    peer.expect(b"goodbye")?;
    stage.step("waiting for the connection to be closed");
    peer.expect_end()?;
    stage.expect_all_over()
}

fn lingering_flow_shuts_its_half_and_reads_on(stage: &Stage) -> Outcome {
    let subject = stage.serve(|| Goodbye(Way::Lingering));
    let mut peer = stage.connect(&*subject)?;
    peer.send(b"x")?;
    peer.expect(b"goodbye")?;
    stage.step("waiting for the sending half to be shut down");
    peer.expect_end()?;
    stage.step("sending to a lingering connection");
    let more = vec![b'.'; 256 * 1024];
    for piece in more.chunks(16 * 1024) {
        peer.send(piece)?;
    }
    peer.half_close();
    stage.expect_all_over()?;
    let seen = stage.log.seen();
    if seen.bytes_in != more.len() + 1 || seen.ends != [InputEnd::Eof] {
        let (sent, bytes_in, ends) = (more.len() + 1, seen.bytes_in, seen.ends);
        return Err(format!(
            "of {sent} bytes sent to a lingering flow it read {bytes_in}, and the ends {ends:?}"
        ));
    }
    Ok(())
}

/// Says what ends with the connection, and breaks off: by itself, or when it is told to.
struct UntilClose(Breaks);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Breaks {
    ByItself,
    WhenAborted,
}

impl Behaviour for UntilClose {
    fn input(&mut self, io: &mut Io, _bytes: &[u8]) {
        io.send("half of it");
        io.reset_unless_finished();
        if self.0 == Breaks::ByItself {
            io.reset(CloseReason::ApplicationFailed);
        }
    }
}

fn flow_that_breaks_off_is_closed_with_a_reset(stage: &Stage) -> Outcome {
    let subject = stage.serve(|| UntilClose(Breaks::ByItself));
    let mut peer = stage.connect(&*subject)?;
    peer.send(b"x")?;
    stage.step("waiting for the reset of a connection that broke off");
    peer.expect_reset()?;
    stage.expect_all_over()
}

fn abort_resets_what_only_the_end_would_complete(stage: &Stage) -> Outcome {
    let subject = stage.serve(|| UntilClose(Breaks::WhenAborted));
    let mut peer = stage.connect(&*subject)?;
    peer.send(b"x")?;
    peer.expect(b"half of it")?;
    subject.abort();
    stage.step("waiting for the reset of a connection that was aborted");
    peer.expect_reset()?;
    stage.expect_all_over()
}

/// Answers with so much that some of it is unread when the peer goes.
struct Talker;

impl Behaviour for Talker {
    fn input(&mut self, io: &mut Io, _bytes: &[u8]) {
        io.send(vec![b'.'; 24 * 1024 * 1024]);
    }
}

fn peer_that_vanishes_ends_the_connection(stage: &Stage) -> Outcome {
    let subject = stage.serve(|| Talker);
    let mut peer = stage.connect(&*subject)?;
    peer.send(b"x")?;
    peer.expect(b"...")?;
    drop(peer);
    stage.expect_all_over()?;
    let peer = stage.connect(&*subject)?;
    if !stage.comes_about(|seen| seen.connected == 2) {
        return Err("a second connection was not served".into());
    }
    drop(peer);
    stage.expect_all_over()
}

fn connections_come_and_go(stage: &Stage) -> Outcome {
    let subject = stage.serve(|| Echo);
    for _ in 0..50 {
        let mut peer = stage.connect(&*subject)?;
        peer.send(b"hello")?;
        peer.expect(b"hello")?;
        peer.half_close();
        peer.expect_end()?;
    }
    stage.expect_all_over()?;
    match stage.log.seen().connected {
        50 => Ok(()),
        count => Err(format!("of 50 connections, {count} were served")),
    }
}

/// Waits for an application that never comes.
struct Parked;

impl Behaviour for Parked {
    fn input(&mut self, io: &mut Io, _bytes: &[u8]) {
        io.yield_reading();
        io.expect_application();
        io.log().mark("parked");
    }
}

fn drain_reaches_an_idle_connection(stage: &Stage) -> Outcome {
    let subject = stage.serve(|| Echo);
    let mut peer = stage.connect(&*subject)?;
    peer.send(b"hello")?;
    peer.expect(b"hello")?;
    sleep(Duration::from_millis(50));
    subject.drain();
    stage.expect_all_over()?;
    peer.expect_end()?;
    match stage.log.seen().drained {
        0 => Err("the connection ended, and its flow was never told to drain".into()),
        _ => Ok(()),
    }
}

fn drain_reaches_a_parked_connection(stage: &Stage) -> Outcome {
    let subject = stage.serve(|| Parked);
    let mut peer = stage.connect(&*subject)?;
    peer.send(b"x")?;
    stage.expect_mark("parked")?;
    subject.drain();
    stage.expect_all_over()?;
    peer.expect_end()
}

/// Takes its time over an answer, until it was told to drain at least, and a drain does not stop it.
#[derive(Default)]
struct Thorough {
    told: bool,
}

impl Behaviour for Thorough {
    fn input(&mut self, io: &mut Io, _bytes: &[u8]) {
        io.set_deadline(Duration::from_millis(200), DeadlineKind::Application);
        io.log().mark("begun");
    }

    fn timeout(&mut self, io: &mut Io) {
        if !self.told {
            return io.set_deadline(Duration::from_millis(200), DeadlineKind::Application);
        }
        io.send("finished");
        io.finish(CloseReason::Drained);
    }

    fn drain(&mut self, io: &mut Io) {
        self.told = true;
        io.log().mark("told to drain");
    }
}

fn drain_lets_what_has_begun_finish(stage: &Stage) -> Outcome {
    let subject = stage.serve(Thorough::default);
    let mut peer = stage.connect(&*subject)?;
    peer.send(b"x")?;
    stage.expect_mark("begun")?;
    subject.drain();
    stage.expect_mark("told to drain")?;
    stage.step("waiting for the answer that was begun before the drain");
    peer.expect(b"finished")?;
    peer.expect_end()?;
    stage.expect_all_over()
}

fn request_that_came_before_the_drain_is_answered(stage: &Stage) -> Outcome {
    for _ in 0..10 {
        let subject = stage.serve(|| Echo);
        let mut peer = stage.connect(&*subject)?;
        peer.send(b"first")?;
        peer.expect(b"first")?;
        sleep(Duration::from_millis(5));
        peer.send(b"last")?;
        subject.drain();
        stage.step("waiting for the answer to a request that came before the drain");
        peer.expect(b"last")?;
        peer.expect_end()?;
        stage.expect_all_over()?;
    }
    Ok(())
}

fn abort_ends_an_idle_connection(stage: &Stage) -> Outcome {
    let subject = stage.serve(|| Echo);
    let mut peer = stage.connect(&*subject)?;
    peer.send(b"hello")?;
    peer.expect(b"hello")?;
    sleep(Duration::from_millis(50));
    subject.abort();
    stage.expect_all_over()?;
    peer.read_out();
    Ok(())
}

fn abort_ends_a_parked_connection(stage: &Stage) -> Outcome {
    let subject = stage.serve(|| Parked);
    let mut peer = stage.connect(&*subject)?;
    peer.send(b"x")?;
    stage.expect_mark("parked")?;
    subject.abort();
    stage.expect_all_over()?;
    peer.read_out();
    Ok(())
}
