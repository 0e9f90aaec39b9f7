//! A stream for code that leaves where it would have to wait.

use std::future::poll_fn;
use std::io::{ErrorKind, Read, Write};
use std::task::{Poll, Waker};

use anabranch_core::app::{Duplex, NonblockingStream, WhenDrained};
use anabranch_core::testing::{CountingWaker, ManualClock, Rig};
use anabranch_core::{CloseKind, CloseReason, ConnectionInfo};

use crate::{assert_closed, assert_error, open};

#[test]
fn read_that_would_wait_says_so_and_wakes_the_last_waker_it_was_given() {
    let (mut rig, stream) = open(Duplex::new(100));
    let mut stream = stream.nonblocking();
    let [first, last] = [(); 2].map(|()| CountingWaker::default());
    let mut buffer = [0; 8];
    for wakes in [&first, &last] {
        stream.set_waker(&wakes.waker());
        assert_error(stream.read(&mut buffer), ErrorKind::WouldBlock);
    }
    rig.read("hello");
    assert_eq!((first.wakes(), last.wakes()), (0, 1));
    assert_eq!(stream.read(&mut buffer).unwrap(), 5);
    rig.eof();
    assert_eq!(stream.read(&mut buffer).unwrap(), 0);
}

#[test]
fn write_that_would_wait_says_so_and_wakes_when_there_is_room() {
    let (mut rig, stream) = open(Duplex::new(4));
    let mut stream = stream.nonblocking();
    let wakes = CountingWaker::default();
    stream.set_waker(&wakes.waker());
    assert_eq!(stream.write(b"hello").unwrap(), 4);
    stream.flush().unwrap();
    assert_error(stream.write(b"o"), ErrorKind::WouldBlock);
    rig.run();
    assert_eq!((rig.written(), wakes.wakes()), (b"hell".to_vec(), 1));
    assert_eq!(stream.write(b"o").unwrap(), 1);
    drop(stream);
    rig.run();
    assert_eq!(rig.written(), b"o");
}

#[test]
fn without_a_waker_it_says_so_all_the_same_and_the_stream_is_to_be_had_back() {
    let (mut rig, stream) = open(Duplex::new(100).with_drain(WhenDrained::Interrupt));
    let mut stream = stream.nonblocking();
    stream.set_waker(Waker::noop());
    assert_error(stream.read(&mut [0]), ErrorKind::WouldBlock);
    rig.drain();
    assert!(stream.get_ref().is_draining());
    assert_error(stream.read(&mut [0]), ErrorKind::Interrupted);
    assert_error(stream.read(&mut [0]), ErrorKind::WouldBlock);
    stream.into_inner().reset();
    rig.run();
    assert_closed(&rig, CloseKind::Reset, CloseReason::ApplicationFailed);
}

/// Sends back what it reads, a byte at a time, until the end.
struct Echo {
    stream: NonblockingStream,
    unsent: Option<u8>,
}

impl Echo {
    fn go_on(&mut self) -> std::io::Result<()> {
        loop {
            if let Some(byte) = self.unsent {
                self.stream.write_all(&[byte])?;
                self.unsent = None;
            }
            let mut byte = [0];
            if self.stream.read(&mut byte)? == 0 {
                return Ok(());
            }
            self.unsent = Some(byte[0]);
        }
    }
}

#[test]
fn code_that_is_left_and_called_again_is_a_future_on_its_connections_thread() {
    let takeover = Duplex::new(4).with_future(|stream| {
        let mut echo = Echo { stream: stream.nonblocking(), unsent: None };
        poll_fn(move |context| {
            echo.stream.set_waker(context.waker());
            match echo.go_on() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => Poll::Pending,
                end => {
                    end.unwrap();
                    Poll::Ready(())
                }
            }
        })
    });
    let clock = ManualClock::default();
    let mut rig = Rig::with_clock(takeover.into_flow(ConnectionInfo::default(), clock.now()), clock);
    let sent: String = ('a'..='z').collect();
    rig.feed(&sent, 3);
    let mut output = Vec::new();
    while output.len() < sent.len() {
        let more = rig.write_at_most(2);
        assert!(!more.is_empty(), "it stands still after {} bytes, {} unread", output.len(), rig.unread());
        output.extend(more);
    }
    assert_eq!(output, sent.as_bytes());
    rig.eof();
    assert_closed(&rig, CloseKind::Immediate, CloseReason::PeerClosed);
}
