//! The last bytes, under wires that tasks are polled with: kept until the end comes, and sent with it.

use std::future::poll_fn;
use std::io::{ErrorKind, IoSlice, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anabranch_core::CloseKind;
use anabranch_core::drive::PollWire;
use anabranch_std::{Blocking, Connection, Listener};

fn pair() -> (Connection, TcpStream) {
    let listener = Listener::bind("127.0.0.1:0").unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    peer.set_nonblocking(true).unwrap();
    let connection = loop {
        match listener.accept(Blocking::No) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            accepted => break accepted.unwrap(),
        }
    };
    (connection, peer)
}

/// What the peer has now; `None` while nothing came.
fn has(mut peer: &TcpStream) -> Option<Vec<u8>> {
    let mut buffer = [0; 64];
    match peer.read(&mut buffer) {
        Ok(count) => Some(buffer[..count].to_vec()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        Err(error) => panic!("{error}"),
    }
}

const SLICES: [&[u8]; 2] = [b"the ", b"end"];

async fn send_last<W: PollWire>(wire: &mut W, end: CloseKind) {
    let slices = SLICES.map(IoSlice::new);
    let write = poll_fn(|context| wire.poll_write_last(context, &slices, end));
    assert_eq!(write.await.unwrap(), 7);
}

async fn sends_the_last_with_the_end<W: PollWire>(wire: impl Fn(Connection) -> std::io::Result<W>) {
    let (connection, peer) = pair();
    let mut wire_that_ends = wire(connection).unwrap();
    send_last(&mut wire_that_ends, CloseKind::Immediate).await;
    assert_eq!(has(&peer), Some(b"the end".to_vec()));
    assert_eq!(has(&peer), Some(Vec::new()), "the end is not left to the close");
    // On a machine that stands still for long enough the kernel sends what it kept: then once more.
    for _ in 0..20 {
        let (connection, peer) = pair();
        let mut wire = wire(connection).unwrap();
        let started = Instant::now();
        send_last(&mut wire, CloseKind::Linger).await;
        let early = has(&peer);
        let in_time = started.elapsed() < Duration::from_millis(100);
        poll_fn(|context| wire.poll_shutdown_write(context)).await.unwrap();
        if early.is_none() {
            assert_eq!(has(&peer), Some(b"the end".to_vec()));
            assert_eq!(has(&peer), Some(Vec::new()), "the end");
            return;
        }
        assert!(!in_time, "it was sent at once");
    }
    panic!("it was sent before the end");
}

#[test]
fn tokio_socket_sends_the_last_with_the_end() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    runtime.block_on(sends_the_last_with_the_end(anabranch_tokio::SocketWire::new));
}

#[test]
fn async_io_socket_sends_the_last_with_the_end() {
    futures_lite::future::block_on(sends_the_last_with_the_end(anabranch_async_std::SocketWire::new));
}
