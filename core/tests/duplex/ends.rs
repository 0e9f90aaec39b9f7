//! Ends: the peer's, the stream's, the clock's and the server's.

use std::io::{ErrorKind, Read, Write};
#[cfg(feature = "futures-io")]
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use anabranch_core::app::{Duplex, WhenDrained};
use anabranch_core::testing::CountingWaker;
use anabranch_core::{
    AbortReason, CloseKind, CloseReason, DeadlineKind, InputEnd, ReadOperation, Waiting, WriteOperation,
    WriteResult,
};

use crate::{assert_closed, assert_error, open, read, write};

const SECOND: Duration = Duration::from_secs(1);

// ---- in order ----

#[test]
fn peer_that_shut_its_half_is_still_written_to() {
    let (mut rig, mut stream) = open(Duplex::new(100));
    rig.read("last");
    rig.eof();
    assert_eq!(rig.waiting_on(), Waiting::APPLICATION);
    assert_eq!(read(&mut stream).unwrap(), b"last");
    assert_eq!(read(&mut stream).unwrap(), b"");
    write(&mut stream, b"word").unwrap();
    stream.shutdown();
    assert_error(write(&mut stream, b"more"), ErrorKind::BrokenPipe);
    rig.run();
    assert_eq!(rig.written(), b"word");
    assert_closed(&rig, CloseKind::Immediate, CloseReason::PeerClosed);
}

#[test]
fn stream_that_is_shut_reads_on() {
    let (mut rig, mut stream) = open(Duplex::new(100));
    write(&mut stream, b"question").unwrap();
    stream.shutdown();
    rig.run();
    assert_eq!(rig.next_write_operation(), WriteOperation::Write);
    assert_eq!(rig.written(), b"question");
    assert_eq!(rig.next_write_operation(), WriteOperation::Close(CloseKind::Linger));
    rig.advance(1000 * SECOND);
    rig.read("answer");
    assert_eq!(read(&mut stream).unwrap(), b"answer");
    rig.eof();
    assert_eq!(read(&mut stream).unwrap(), b"");
    assert_closed(&rig, CloseKind::Linger, CloseReason::Finished);
}

#[test]
fn stream_that_is_dropped_ends_the_connection_behind_what_it_wrote() {
    let (mut rig, mut stream) = open(Duplex::new(100));
    write(&mut stream, b"goodbye").unwrap();
    rig.read("unread");
    drop(stream);
    rig.run();
    assert_eq!(rig.written(), b"goodbye");
    assert_eq!(rig.next_write_operation(), WriteOperation::Close(CloseKind::Linger));
    assert_eq!(rig.deadline().map(|deadline| deadline.kind), Some(DeadlineKind::Linger));
    rig.read("dropped");
    rig.advance(2 * SECOND);
    assert_closed(&rig, CloseKind::Linger, CloseReason::Finished);
}

#[test]
fn linger_is_bounded_in_bytes() {
    let (mut rig, stream) = open(Duplex::new(100).with_linger(None));
    drop(stream);
    rig.run();
    let piece = vec![b'.'; 64 * 1024];
    for _ in 0..16 {
        rig.read(&piece);
    }
    rig.read("x");
    assert_closed(&rig, CloseKind::Linger, CloseReason::Finished);
}

#[test]
fn half_that_is_dropped_ends_its_direction_alone() {
    let (mut rig, stream) = open(Duplex::new(4));
    let (reader, mut writer) = stream.split();
    rig.read("0123");
    rig.assert_yielding();
    drop(reader);
    rig.run();
    // Nobody reads: whatever comes is dropped, and holds nobody up.
    for _ in 0..10 {
        rig.read("01234567");
    }
    assert_eq!(rig.deadline(), None);
    writer.write_all(b"hi").unwrap();
    rig.run();
    assert_eq!(rig.written(), b"hi");
    drop(writer);
    rig.run();
    assert_eq!(rig.next_write_operation(), WriteOperation::Close(CloseKind::Linger));
    rig.eof();
    assert_closed(&rig, CloseKind::Linger, CloseReason::Finished);

    let (mut rig, stream) = open(Duplex::new(4));
    let (mut reader, writer) = stream.split();
    drop(writer);
    rig.run();
    assert_eq!(rig.next_write_operation(), WriteOperation::Close(CloseKind::Linger));
    rig.read("more");
    let mut buffer = [0; 8];
    assert_eq!(Read::read(&mut reader, &mut buffer).unwrap(), 4);
    rig.run();
    drop(reader);
    rig.run();
    rig.advance(2 * SECOND);
    assert_closed(&rig, CloseKind::Linger, CloseReason::Finished);
}

// ---- out of order ----

#[test]
fn reset_by_the_peer_is_read_behind_what_was_received() {
    for (end, error, reason) in [
        (InputEnd::Reset, ErrorKind::ConnectionReset, CloseReason::PeerReset),
        (InputEnd::Error, ErrorKind::ConnectionAborted, CloseReason::TransportFailed),
    ] {
        let (mut rig, mut stream) = open(Duplex::new(100));
        write(&mut stream, b"never taken").unwrap();
        rig.read("rest");
        rig.close_input(end);
        rig.assert_finished(reason);
        assert_eq!(read(&mut stream).unwrap(), b"rest");
        assert_error(read(&mut stream), error);
        assert_error(write(&mut stream, b"x"), ErrorKind::BrokenPipe);
        assert_error(stream.flush(), ErrorKind::BrokenPipe);
    }
}

#[test]
fn failed_write_is_a_reset_by_the_peer() {
    let (mut rig, mut stream) = open(Duplex::new(100));
    write(&mut stream, b"x").unwrap();
    rig.run();
    rig.report_write_result(WriteResult::Closed);
    assert_closed(&rig, CloseKind::Immediate, CloseReason::PeerReset);
    assert_error(read(&mut stream), ErrorKind::ConnectionReset);
}

#[test]
fn end_without_tls_farewell_is_told_apart_and_the_stream_may_write_on() {
    let (mut rig, mut stream) = open(Duplex::new(100));
    rig.read("rest");
    rig.close_input(InputEnd::TlsTruncated);
    assert_eq!(read(&mut stream).unwrap(), b"rest");
    assert_error(read(&mut stream), ErrorKind::UnexpectedEof);
    write(&mut stream, b"x").unwrap();
    rig.run();
    assert_eq!(rig.written(), b"x");
}

#[test]
fn what_only_the_stream_could_complete_is_reset_by_an_abort() {
    let (mut rig, mut stream) = open(Duplex::new(100));
    rig.read("rest");
    rig.abort(AbortReason::GraceExpired);
    assert_closed(&rig, CloseKind::Reset, CloseReason::Aborted(AbortReason::GraceExpired));
    assert_eq!(read(&mut stream).unwrap(), b"rest");
    assert_error(read(&mut stream), ErrorKind::ConnectionAborted);
    assert_error(write(&mut stream, b"x"), ErrorKind::BrokenPipe);

    // Shut, but not all of it out.
    let (mut rig, mut stream) = open(Duplex::new(100));
    write(&mut stream, b"half").unwrap();
    stream.shutdown();
    rig.run();
    rig.write_at_most(2);
    rig.abort(AbortReason::Requested);
    assert_closed(&rig, CloseKind::Reset, CloseReason::Aborted(AbortReason::Requested));

    // All was said.
    let (mut rig, stream) = open(Duplex::new(100));
    drop(stream);
    rig.run();
    rig.abort(AbortReason::Requested);
    assert_closed(&rig, CloseKind::Immediate, CloseReason::Finished);
}

#[test]
fn stream_may_reset_its_connection() {
    let (mut rig, mut stream) = open(Duplex::new(100));
    write(&mut stream, b"half").unwrap();
    rig.run();
    stream.reset();
    rig.run();
    assert_closed(&rig, CloseKind::Reset, CloseReason::ApplicationFailed);
    assert_error(write(&mut stream, b"x"), ErrorKind::BrokenPipe);
    assert_error(read(&mut stream), ErrorKind::ConnectionAborted);

    // Shut already: what is not out yet is overtaken.
    let (mut rig, mut stream) = open(Duplex::new(100));
    write(&mut stream, b"half").unwrap();
    stream.shutdown();
    rig.run();
    stream.reset();
    drop(stream);
    rig.run();
    assert_closed(&rig, CloseKind::Reset, CloseReason::ApplicationFailed);
}

#[test]
fn driver_that_gives_up_tells_the_stream() {
    let (rig, mut stream) = open(Duplex::new(100));
    drop(rig);
    assert_error(read(&mut stream), ErrorKind::ConnectionAborted);
    assert_error(write(&mut stream, b"x"), ErrorKind::BrokenPipe);
}

// ---- deadlines ----

#[test]
fn connection_on_which_nothing_moves_is_ended_if_asked_for() {
    let (mut rig, mut stream) = open(Duplex::new(100).with_idle(Some(10 * SECOND)));
    rig.advance(9 * SECOND);
    rig.read("x");
    rig.advance(9 * SECOND);
    write(&mut stream, b"y").unwrap();
    rig.run();
    rig.written();
    rig.advance(9 * SECOND);
    assert!(!rig.is_finished());
    rig.advance(SECOND);
    assert_closed(&rig, CloseKind::Reset, CloseReason::TimedOut(DeadlineKind::Idle));
    assert_eq!(read(&mut stream).unwrap(), b"x");
    assert_error(read(&mut stream), ErrorKind::TimedOut);

    let (rig, _stream) = open(Duplex::new(100));
    assert_eq!(rig.deadline(), None);
}

#[test]
fn peer_that_takes_nothing_is_cut_off_and_one_that_takes_a_little_is_not() {
    let (mut rig, mut stream) = open(Duplex::new(100));
    write(&mut stream, b"0123456789").unwrap();
    rig.run();
    for _ in 0..5 {
        rig.advance(9 * SECOND);
        rig.write_at_most(1);
    }
    // What it sends is no excuse, and more output is none either.
    rig.advance(9 * SECOND);
    rig.read("x");
    write(&mut stream, b"more").unwrap();
    rig.run();
    rig.advance(SECOND);
    assert_closed(&rig, CloseKind::Reset, CloseReason::TimedOut(DeadlineKind::WriteStall));
    assert_eq!(read(&mut stream).unwrap(), b"x");
    assert_error(read(&mut stream), ErrorKind::TimedOut);

    let (mut rig, mut stream) = open(Duplex::new(100));
    write(&mut stream, b"x").unwrap();
    rig.run();
    rig.written();
    assert_eq!(rig.deadline(), None);
}

// ---- drain ----

#[test]
fn drain_ends_the_input_and_lets_the_stream_come_to_its_end() {
    let (mut rig, mut stream) = open(Duplex::new(100));
    rig.read("before");
    assert!(!stream.is_draining());
    rig.drain();
    assert!(stream.is_draining());
    rig.read("after");
    assert_eq!(read(&mut stream).unwrap(), b"before");
    assert_eq!(read(&mut stream).unwrap(), b"");
    write(&mut stream, b"goodbye").unwrap();
    drop(stream);
    rig.run();
    assert_eq!(rig.written(), b"goodbye");
    rig.eof();
    assert_closed(&rig, CloseKind::Linger, CloseReason::Drained);
}

#[test]
fn drain_may_interrupt_whoever_reads_behind_what_was_received_and_once() {
    let (mut rig, mut stream) = open(Duplex::new(100).with_drain(WhenDrained::Interrupt));
    rig.read("before");
    rig.drain();
    assert!(stream.is_draining());
    assert_eq!(rig.next_read_operation(), ReadOperation::Read);
    assert_eq!(read(&mut stream).unwrap(), b"before");
    assert_error(read(&mut stream), ErrorKind::Interrupted);
    rig.drain();
    assert_error(read(&mut stream), ErrorKind::WouldBlock);
    write(&mut stream, b"goodbye").unwrap();
    rig.run();
    assert_eq!(rig.written(), b"goodbye");
    rig.read("farewell");
    assert_eq!(read(&mut stream).unwrap(), b"farewell");
    drop(stream);
    rig.run();
    rig.eof();
    assert_closed(&rig, CloseKind::Linger, CloseReason::Drained);
}

#[test]
fn reader_that_waits_is_woken_to_be_interrupted_and_a_stream_at_its_end_is_not_disturbed() {
    let (mut rig, mut stream) = open(Duplex::new(100).with_drain(WhenDrained::Interrupt));
    let wakes = CountingWaker::default();
    let waker = wakes.waker();
    let mut buffer = [0; 8];
    assert!(stream.poll_read(&mut Context::from_waker(&waker), &mut buffer).is_pending());
    rig.drain();
    assert_eq!(wakes.wakes(), 1);
    assert_error(read(&mut stream), ErrorKind::Interrupted);

    let (mut rig, mut stream) = open(Duplex::new(100).with_drain(WhenDrained::Interrupt));
    rig.eof();
    rig.drain();
    assert_eq!(read(&mut stream).unwrap(), b"");
}

/// `AsyncRead` has no interruption: the task is woken, and asks.
#[cfg(feature = "futures-io")]
#[test]
fn task_is_woken_by_an_interrupting_drain_and_told_of_no_error() {
    use futures_io::AsyncRead;
    let (mut rig, mut stream) = open(Duplex::new(100).with_drain(WhenDrained::Interrupt));
    let wakes = CountingWaker::default();
    let waker = wakes.waker();
    let mut context = Context::from_waker(&waker);
    let mut buffer = [0; 8];
    assert!(AsyncRead::poll_read(Pin::new(&mut stream), &mut context, &mut buffer).is_pending());
    rig.drain();
    assert_eq!((wakes.wakes(), stream.is_draining()), (1, true));
    assert!(AsyncRead::poll_read(Pin::new(&mut stream), &mut context, &mut buffer).is_pending());
    rig.read("x");
    assert_eq!(wakes.wakes(), 2);
    let (mut reader, _writer) = stream.split();
    assert!(AsyncRead::poll_read(Pin::new(&mut reader), &mut context, &mut buffer).is_ready());
}

#[test]
fn drain_may_leave_the_stream_to_part_in_its_own_words() {
    let (mut rig, mut stream) = open(Duplex::new(100).with_drain(WhenDrained::LetRun));
    rig.drain();
    assert!(stream.is_draining());
    assert_eq!(rig.next_read_operation(), ReadOperation::Read);
    rig.read("go on");
    assert_eq!(read(&mut stream).unwrap(), b"go on");
    drop(stream);
    rig.run();
    rig.eof();
    assert_closed(&rig, CloseKind::Linger, CloseReason::Drained);
}
