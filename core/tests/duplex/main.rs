//! A connection as a stream, played by the rig, which holds its flow to the laws at every call.

mod ends;
mod moving;
mod nonblocking;
mod taking_over;

use std::io;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use anabranch_core::app::{Duplex, DuplexStream};
use anabranch_core::testing::{ManualClock, Rig};
use anabranch_core::{CloseKind, CloseReason, ConnectionId, ConnectionInfo, Flow, WriteOperation};

/// A connection on a rig, and its stream.
fn open(duplex: Duplex) -> (Rig<Box<dyn Flow>>, DuplexStream) {
    let slot = Arc::new(Mutex::new(None));
    let kept = slot.clone();
    let takeover = duplex.hand_over(move |stream| *kept.lock().unwrap() = Some(stream));
    let clock = ManualClock::default();
    let flow = takeover.into_flow(ConnectionInfo::new(ConnectionId(7)), clock.now());
    let stream = slot.lock().unwrap().take().expect("the stream is handed over at once");
    (Rig::with_clock(flow, clock), stream)
}

/// What a read gives that must not wait.
fn read(stream: &mut DuplexStream) -> io::Result<Vec<u8>> {
    let mut buffer = [0; 4096];
    match stream.poll_read(&mut Context::from_waker(Waker::noop()), &mut buffer) {
        Poll::Ready(count) => count.map(|count| buffer[..count].to_vec()),
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

/// What a write takes that must not wait.
fn write(stream: &mut DuplexStream, data: &[u8]) -> io::Result<usize> {
    match stream.poll_write(&mut Context::from_waker(Waker::noop()), data) {
        Poll::Ready(count) => count,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

#[track_caller]
fn assert_error<T: std::fmt::Debug>(result: io::Result<T>, kind: io::ErrorKind) {
    assert_eq!(result.map_err(|error| error.kind()).unwrap_err(), kind);
}

#[track_caller]
fn assert_closed(rig: &Rig<Box<dyn Flow>>, kind: CloseKind, reason: CloseReason) {
    rig.assert_finished(reason);
    assert_eq!(rig.next_write_operation(), WriteOperation::Close(kind));
}
