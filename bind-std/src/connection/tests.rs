//! How many system calls a connection costs.

use std::io::{self, IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use anabranch_core::drive::Readiness;
use anabranch_core::{
    AbortReason, CloseKind, Deadline, DeadlineKind, Flow, InputEnd, ReadOperation, Waiting, WriteOperation,
    WriteResult,
};
use bytes::{Buf, Bytes, BytesMut};

use super::*;
use crate::transport::{Calls, TICK};

/// Sends back what it gets, and ends when `idle` goes by without a byte or the peer ends.
struct Echo {
    output: BytesMut,
    idle: Option<Duration>,
    idle_at: Option<Instant>,
    closed: Option<CloseReason>,
}

impl Echo {
    fn new(idle: Option<Duration>) -> Self {
        Self { output: BytesMut::new(), idle, idle_at: None, closed: None }
    }
}

impl Flow for Echo {
    fn next_read_operation(&self) -> ReadOperation {
        if self.closed.is_some() { ReadOperation::Close } else { ReadOperation::Read }
    }
    fn next_write_operation(&self) -> WriteOperation {
        match self.closed {
            Some(_) => WriteOperation::Close(CloseKind::Immediate),
            None if self.output.is_empty() => WriteOperation::Yield,
            None => WriteOperation::Write,
        }
    }
    fn waiting_on(&self) -> Waiting {
        Waiting::PEER_READ
    }
    fn deadline(&self) -> Option<Deadline> {
        self.idle_at.map(|at| Deadline { at, kind: DeadlineKind::Idle })
    }
    fn write_slices<'a>(&'a self, out: &mut [IoSlice<'a>]) -> usize {
        if self.output.is_empty() {
            return 0;
        }
        out[0] = IoSlice::new(&self.output);
        1
    }
    fn close_reason(&self) -> Option<CloseReason> {
        self.closed
    }
    fn read(&mut self, input: &mut BytesMut, turn: &mut Turn<'_>) {
        self.idle_at = self.idle.map(|idle| turn.now + idle);
        self.output.extend_from_slice(&input.split());
    }
    fn close_input(&mut self, _: InputEnd, _: &mut Turn<'_>) {
        self.closed = Some(CloseReason::PeerClosed);
    }
    fn report_write_result(&mut self, result: WriteResult, _: &mut Turn<'_>) {
        match result {
            WriteResult::Wrote(count) => self.output.advance(count),
            WriteResult::Closed => self.closed = Some(CloseReason::PeerReset),
        }
    }
    fn handle_timeout(&mut self, _: &mut Turn<'_>) {
        self.closed = Some(CloseReason::TimedOut(DeadlineKind::Idle));
    }
    fn run(&mut self, _: &mut Turn<'_>) {}
    fn drain(&mut self, _: &mut Turn<'_>) {}
    fn abort(&mut self, reason: AbortReason) {
        self.closed = Some(CloseReason::Aborted(reason));
    }
    fn poll_job(&mut self) -> Option<Job> {
        None
    }
    fn take_output(&mut self, _: usize, _: &mut Vec<Bytes>) {}
}

/// What carrying an echo cost, while `client` spoke to it. A client that the machine stopped for longer than the flow
/// waits is no measure: then again.
fn calls(idle: Option<Duration>, client: fn(TcpStream) -> io::Result<()>) -> (Calls, CloseReason) {
    let attempts = (0..5).filter_map(|_| attempt(Echo::new(idle), client));
    attempts.into_iter().next().expect("five attempts")
}

fn attempt(flow: Echo, client: fn(TcpStream) -> io::Result<()>) -> Option<(Calls, CloseReason)> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    stream.set_nodelay(true).unwrap();
    let client = thread::spawn(move || client(stream));
    let (socket, _) = listener.accept().unwrap();
    let (signals, stash, parker) = (Signals::new().unwrap(), Stash::new(4096), Arc::default());
    let environment = Environment {
        clock: Clock::start(),
        signals: &signals,
        stop: &|| Stop::Running,
        stash: &stash,
        exec: &|job| Err(job),
    };
    let mut driven = Driven::new(Box::new(flow), Readiness::ready());
    let mut carrier = Carrier::new(&mut driven, socket.into(), environment, &parker);
    let reason = carrier.carry(&mut || {});
    let calls = carrier.transport.calls;
    drop(carrier);
    client.join().unwrap().ok()?;
    Some((calls, reason))
}

fn echo(mut stream: &TcpStream, pause: Duration) -> io::Result<()> {
    thread::sleep(pause);
    stream.write_all(b"message")?;
    stream.read_exact(&mut [0; 7])
}

#[test]
fn keep_alive_message_costs_one_receive_and_one_send() {
    const MESSAGES: u64 = 200;
    for idle in [None, Some(Duration::from_secs(60)), Some(Duration::from_millis(240))] {
        let (calls, reason) = calls(idle, |stream| {
            for _ in 0..MESSAGES {
                echo(&stream, Duration::ZERO)?;
            }
            Ok(())
        });
        assert_eq!(reason, CloseReason::PeerClosed);
        // One more receive hears the end. The timeout is set at the start, and once more where the deadline asks for an
        // earlier one; a deadline that moves by a little each time does not set it anew.
        let arm = calls.arm;
        assert_eq!(calls, Calls { receive: MESSAGES + 1, send: MESSAGES, arm, poll: 0 }, "{idle:?}");
        assert!(arm <= 2, "{arm} for {idle:?}");
    }
}

#[test]
fn silence_costs_one_poll_however_long_it_is() {
    let (calls, _) = calls(None, |stream| {
        echo(&stream, Duration::ZERO)?;
        echo(&stream, TICK * 3)
    });
    // Two messages and the end, and the silence: a receive that ran out and a poll.
    assert_eq!(calls, Calls { receive: 4, send: 2, arm: 1, poll: 1 });
}

#[test]
fn deadline_shorter_than_a_tick_costs_no_ticks() {
    // The deadline asks for 256 ms and then moves beyond the tick with each message.
    let (calls, reason) = calls(Some(Duration::from_millis(240)), |stream| {
        for _ in 0..3 {
            echo(&stream, Duration::ZERO)?;
        }
        echo(&stream, Duration::from_millis(20))?;
        thread::sleep(Duration::from_millis(350));
        Ok(())
    });
    assert_eq!(reason, CloseReason::TimedOut(DeadlineKind::Idle));
    assert!(calls.poll <= 2 && calls.arm <= 3, "{calls:?}");
}

#[test]
fn large_reads_are_taken_whole_within_a_turn() {
    let (calls, _) = calls(None, |mut stream| {
        let sent = vec![7; 64 * 1024];
        let mut reader = stream.try_clone().unwrap();
        let read = thread::spawn(move || reader.read_exact(&mut vec![0; 64 * 1024]).unwrap());
        stream.write_all(&sent).unwrap();
        read.join().unwrap();
        Ok(())
    });
    // 4 KiB each, and never a poll to be told that there is more.
    assert!(calls.receive >= 16 && calls.poll <= 1, "{calls:?}");
}
