//! Bytes both ways, and nobody faster than the other lets him be.

use std::io::ErrorKind;
use std::task::Context;

use anabranch_core::app::Duplex;
use anabranch_core::testing::CountingWaker;
use anabranch_core::{CloseReason, ConnectionId, InputEnd, WriteResult};
use proptest::prelude::*;

use crate::{assert_error, open, read, write};

#[test]
fn bytes_go_both_ways() {
    let (mut rig, mut stream) = open(Duplex::new(100));
    assert_error(read(&mut stream), ErrorKind::WouldBlock);
    rig.read("hello");
    assert_eq!(read(&mut stream).unwrap(), b"hello");
    assert_eq!(write(&mut stream, b"good").unwrap(), 4);
    assert_eq!(write(&mut stream, b"bye").unwrap(), 3);
    rig.run();
    assert_eq!(rig.written(), b"goodbye");
    assert_eq!(stream.connection().id, ConnectionId(7));
}

#[test]
fn connection_reads_while_the_stream_has_room_and_again_when_half_is_read() {
    let (mut rig, mut stream) = open(Duplex::new(8));
    rig.feed("0123456789abcdef", 4);
    assert_eq!(rig.unread(), 8);
    rig.assert_yielding();
    let mut three = [0; 3];
    let mut context = Context::from_waker(std::task::Waker::noop());
    assert!(stream.poll_read(&mut context, &mut three).is_ready());
    rig.run();
    rig.assert_yielding();
    assert!(stream.poll_read(&mut context, &mut three).is_ready());
    rig.run();
    assert_eq!((rig.unread(), rig.next_read_operation()), (0, anabranch_core::ReadOperation::Yield));
    assert_eq!(read(&mut stream).unwrap(), b"6789abcdef");
    rig.run();
    rig.assert_reading();
}

#[test]
fn writes_wait_for_the_peer_to_take_what_came_before() {
    let (mut rig, mut stream) = open(Duplex::new(8));
    assert_eq!(write(&mut stream, b"0123456789").unwrap(), 8);
    assert_error(write(&mut stream, b"89"), ErrorKind::WouldBlock);
    rig.run();
    // What the connection has taken and the peer has not still counts.
    let wakes = CountingWaker::default();
    let waker = wakes.waker();
    assert!(stream.poll_write(&mut Context::from_waker(&waker), b"89").is_pending());
    assert_eq!(rig.take_output(3).concat(), b"012");
    assert!(stream.poll_write(&mut Context::from_waker(&waker), b"89").is_pending());
    assert_eq!(wakes.wakes(), 0);
    rig.report_write_result(WriteResult::Wrote(3));
    assert_eq!(wakes.wakes(), 1);
    assert_eq!(write(&mut stream, b"89abcd").unwrap(), 3);
    rig.run();
    assert_eq!(rig.written(), b"3456789a");
}

#[test]
fn reader_is_woken_when_bytes_come_and_when_the_end_does() {
    let (mut rig, mut stream) = open(Duplex::new(8));
    let wakes = CountingWaker::default();
    let waker = wakes.waker();
    assert!(stream.poll_read(&mut Context::from_waker(&waker), &mut [0; 8]).is_pending());
    rig.read("x");
    assert_eq!(wakes.wakes(), 1);
    assert!(stream.poll_read(&mut Context::from_waker(&waker), &mut [0; 8]).is_ready());
    assert!(stream.poll_read(&mut Context::from_waker(&waker), &mut [0; 8]).is_pending());
    rig.eof();
    assert_eq!(wakes.wakes(), 2);
    assert_eq!(read(&mut stream).unwrap(), b"");
}

#[test]
fn empty_reads_and_writes_wait_for_nothing() {
    let (mut rig, mut stream) = open(Duplex::new(1));
    let mut context = Context::from_waker(std::task::Waker::noop());
    assert!(stream.poll_read(&mut context, &mut []).is_ready());
    assert_eq!(write(&mut stream, b"x").unwrap(), 1);
    assert_eq!(write(&mut stream, b"").unwrap(), 0);
    rig.run();
    assert_eq!(rig.written(), b"x");
}

#[derive(Clone, Debug)]
enum Step {
    PeerSends(usize),
    PeerTakes(usize),
    Reads(usize),
    Writes(usize),
    Shuts,
    PeerShuts,
    Fires,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1..40_usize).prop_map(Step::PeerSends),
        8 => (1..40_usize).prop_map(Step::PeerTakes),
        8 => (1..40_usize).prop_map(Step::Reads),
        8 => (1..40_usize).prop_map(Step::Writes),
        1 => Just(Step::Shuts),
        1 => Just(Step::PeerShuts),
        2 => Just(Step::Fires),
    ]
}

/// Bytes that tell where they belong.
fn numbered(from: usize, count: usize) -> Vec<u8> {
    (from..from + count).map(|at| (at % 251) as u8).collect()
}

proptest! {
    #[test]
    fn whatever_the_order_of_calls_bytes_arrive_once_in_order_and_within_the_capacity(
        capacity in 1..64_usize,
        steps in prop::collection::vec(step(), 0..120),
    ) {
        let (mut rig, mut stream) = open(Duplex::new(capacity));
        let (mut sent, mut read_so_far) = (0, Vec::<u8>::new());
        let (mut wrote, mut taken) = (0, Vec::<u8>::new());
        let (mut peer_shut, mut shut) = (false, false);
        for step in steps {
            if rig.is_finished() {
                break;
            }
            match step {
                Step::PeerSends(count) if !peer_shut => {
                    let bytes = numbered(sent, count);
                    sent += count;
                    rig.feed(bytes, 5);
                }
                Step::PeerTakes(max) => taken.extend(rig.write_at_most(max)),
                Step::Reads(max) => {
                    let mut buffer = vec![0; max];
                    let mut context = Context::from_waker(std::task::Waker::noop());
                    if let std::task::Poll::Ready(count) = stream.poll_read(&mut context, &mut buffer) {
                        read_so_far.extend(&buffer[..count.unwrap()]);
                    }
                }
                Step::Writes(max) if !shut => {
                    if let Ok(count) = write(&mut stream, &numbered(wrote, max)) {
                        wrote += count;
                    }
                }
                Step::Shuts => {
                    stream.shutdown();
                    shut = true;
                }
                Step::PeerShuts if !peer_shut => {
                    rig.close_input(InputEnd::Eof);
                    peer_shut = true;
                }
                Step::Fires => rig.handle_timeout(),
                _ => {}
            }
            rig.run();
            prop_assert!(sent - rig.unread() - read_so_far.len() <= capacity + 5);
            prop_assert!(wrote - taken.len() <= capacity);
        }
        // Whoever reads and takes now gets all of it.
        while let Ok(bytes @ [_, ..]) = read(&mut stream).as_deref() {
            read_so_far.extend(bytes);
            rig.run();
        }
        taken.extend(rig.written());
        prop_assert_eq!(read_so_far, numbered(0, sent));
        prop_assert_eq!(taken, numbered(0, wrote));
        if !rig.is_finished() {
            stream.shutdown();
            rig.run();
            if !peer_shut {
                rig.eof();
            }
        }
        prop_assert!(matches!(rig.close_reason(), Some(CloseReason::Finished | CloseReason::PeerClosed)));
    }
}
