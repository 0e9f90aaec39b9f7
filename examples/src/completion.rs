//! A connection of a loop that is told what was done: the calls of a `Flow`, made by hand. It knows nothing of the ring:
//! it gives memory to operations and takes their results.
//!
//! ```text
//!   turn ──► begin_receive, begin_send ──► the ring ──► complete ──► turn ──► …
//!      └──► is_ending: cancel both ─────────────┘                       └──► Finished: close
//! ```

use std::collections::VecDeque;
use std::fmt;
use std::io::{Error, ErrorKind};
use std::mem;
use std::net::{Shutdown, TcpStream};
use std::task::Waker;

use anabranch_core::drive::Progress;
use anabranch_core::flow::{is_finished, is_reset};
use anabranch_core::{
    AbortReason, CloseKind, CloseReason, Deadline, Flow, InputEnd, ReadOperation, WriteOperation, WriteResult,
};
use bytes::{Buf, Bytes, BytesMut};

use crate::agenda::{Agenda, Call};
use crate::lent::{Lent, READ_BYTES, close_with_reset};

/// A connection of a completion loop.
pub struct Connection {
    flow: Box<dyn Flow>,
    /// Set to wait: operations on it complete when there is something.
    pub socket: TcpStream,
    waker: Waker,
    input: BytesMut,
    receive: Operation,
    output: VecDeque<Bytes>,
    send: Operation,
    /// The next turn drains.
    drains: bool,
    write_shut: bool,
}

/// Which of a connection's two operations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Which {
    /// From the peer.
    Receive,
    /// To the peer.
    Send,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Operation {
    Idle,
    InFlight,
    /// With this result: bytes, or an error's number below zero.
    Done(i32),
    /// Never again.
    Over,
}

impl Connection {
    /// Just accepted. Its application wakes `waker`.
    #[must_use]
    pub fn new(flow: Box<dyn Flow>, socket: TcpStream, waker: Waker) -> Self {
        let (receive, send) = (Operation::Idle, Operation::Idle);
        let (input, output) = (BytesMut::new(), VecDeque::new());
        Self { flow, socket, waker, input, receive, output, send, drains: false, write_shut: false }
    }

    fn complete(&mut self, which: Which, result: i32) {
        match which {
            Which::Receive => self.receive = Operation::Done(result),
            Which::Send => self.send = Operation::Done(result),
        }
    }

    /// Takes the turn that it is called for. Jobs run here and now.
    pub fn turn(&mut self, call: Call, lent: &mut Lent) -> Progress {
        // What came before a drain is read before it (law 7): a receive that was begun has it by the next turn.
        let postpones = call == Call::Drain && !self.drains;
        let drains = mem::replace(&mut self.drains, postpones);
        let mut call = match call {
            Call::Drain if postpones => Call::Turn,
            Call::Turn if drains => Call::Drain,
            call => call,
        };
        let (flow, mut turn) = (&mut *self.flow, lent.lend(&self.waker));
        if let Operation::Done(result) = self.send {
            self.send = Operation::Idle;
            if !is_finished(flow) {
                match usize::try_from(result) {
                    Ok(count @ 1..) => {
                        take_front(&mut self.output, count);
                        flow.report_write_result(WriteResult::Wrote(count), &mut turn);
                    }
                    Err(_) if is_transient(result) => {}
                    _ => {
                        self.output.clear();
                        flow.report_write_result(WriteResult::Closed, &mut turn);
                    }
                }
            }
        }
        if !is_finished(flow) && flow.deadline().is_some_and(|deadline| deadline.at <= turn.now) {
            flow.handle_timeout(&mut turn);
        }
        while !is_finished(flow) {
            flow.run(&mut turn);
            while let Some(job) = flow.poll_job() {
                job.run();
                flow.run(&mut turn);
            }
            if is_finished(flow) {
                break;
            }
            match self.receive {
                // It is kept until it is wanted: one buffer, and no other receive is begun meanwhile.
                Operation::Done(1..) if flow.next_read_operation() != ReadOperation::Read => {}
                Operation::Done(count @ 1..) => {
                    self.receive = Operation::Idle;
                    self.input.truncate(count as usize);
                    flow.read(&mut self.input, &mut turn);
                    continue;
                }
                Operation::Done(result) if is_transient(result) => self.receive = Operation::Idle,
                Operation::Done(result) => {
                    self.receive = Operation::Over;
                    flow.close_input(input_end(result), &mut turn);
                    continue;
                }
                Operation::Idle | Operation::InFlight | Operation::Over => {}
            }
            match mem::replace(&mut call, Call::Turn) {
                Call::Turn => break,
                Call::Drain => flow.drain(&mut turn),
                Call::Abort | Call::Stop => flow.abort(AbortReason::Requested),
            }
        }
        if flow.next_write_operation() == WriteOperation::Close(CloseKind::Linger) && !self.write_shut {
            // A peer that is gone already is learnt of by receiving.
            let _ = self.socket.shutdown(Shutdown::Write);
            self.write_shut = true;
        }
        if !is_finished(flow) {
            return if postpones { Progress::Again } else { Progress::Blocked };
        }
        if self.is_ending() {
            return Progress::Blocked;
        }
        if is_reset(&*self.flow) {
            // It is closed whatever comes of that.
            let _ = close_with_reset(&self.socket);
        }
        Progress::Finished(self.flow.close_reason().unwrap_or(CloseReason::Finished))
    }

    /// Memory to receive into, if that is to be begun. It stays where it is until it is told [`complete`](Agenda::complete), wherever
    /// the connection moves; and for ever if that never comes.
    pub fn begin_receive(&mut self) -> Option<&mut [u8]> {
        let outlook = self.flow.outlook();
        if !outlook.reads() || self.receive != Operation::Idle {
            return None;
        }
        self.receive = Operation::InFlight;
        self.input.resize(outlook.read_size(READ_BYTES), 0);
        Some(&mut self.input)
    }

    /// Bytes to send, if that is to be begun. They stay as [`begin_receive`](Self::begin_receive)'s memory does.
    pub fn begin_send(&mut self) -> Option<&[u8]> {
        if self.send != Operation::Idle || is_finished(&*self.flow) {
            return None;
        }
        if self.output.is_empty() {
            let mut chunks = Vec::new();
            self.flow.take_output(SEND_BYTES, &mut chunks);
            if chunks.len() > 1 && chunks.iter().map(Bytes::len).sum::<usize>() <= READ_BYTES {
                // What is small goes in one piece: a copy costs less than an operation.
                chunks = vec![Bytes::from(chunks.concat())];
            }
            self.output.extend(chunks);
        }
        let front = self.output.front()?;
        self.send = Operation::InFlight;
        Some(front)
    }

    /// Whether it has finished but for operations in flight: they are to be cancelled.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        is_finished(&*self.flow) && self.is_in_flight()
    }

    fn is_in_flight(&self) -> bool {
        [self.receive, self.send].contains(&Operation::InFlight)
    }

    /// When it wants a turn though nothing came.
    #[must_use]
    pub fn deadline(&self) -> Option<Deadline> {
        self.flow.deadline().filter(|_| !is_finished(&*self.flow))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.is_in_flight() {
            // The kernel may still write there: better lost than given to somebody else.
            mem::forget((mem::take(&mut self.input), mem::take(&mut self.output)));
        }
    }
}

impl Agenda<Connection> {
    /// An operation that was begun has completed, and `result` is what the kernel says of it.
    pub fn complete(&mut self, key: usize, which: Which, result: i32) {
        if let Some(connection) = self.get_mut(key) {
            connection.complete(which, result);
        }
        self.call(key, Call::Turn);
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (receive, send) = (self.receive, self.send);
        f.debug_struct("Connection").field("receive", &receive).field("send", &send).finish_non_exhaustive()
    }
}

/// Takes `count` bytes off the front chunk, of which no more were sent.
fn take_front(output: &mut VecDeque<Bytes>, count: usize) {
    if let Some(front) = output.front_mut() {
        front.advance(count.min(front.len()));
        if front.is_empty() {
            output.pop_front();
        }
    }
}

fn is_transient(result: i32) -> bool {
    result < 0 && matches!(kind_of(result), ErrorKind::Interrupted | ErrorKind::WouldBlock)
}

fn input_end(result: i32) -> InputEnd {
    match kind_of(result) {
        _ if result == 0 => InputEnd::Eof,
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => InputEnd::Reset,
        _ => InputEnd::Error,
    }
}

fn kind_of(result: i32) -> ErrorKind {
    Error::from_raw_os_error(-result).kind()
}

/// At most so many bytes are taken from a flow at once.
const SEND_BYTES: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
    use std::time::Duration;

    use anabranch_core::testing::{Behaviour, Io, Log, Probe};
    use anabranch_core::{DeadlineKind, Instant};

    use super::*;
    use crate::lent::Clock;

    /// Says something whose memory is counted.
    struct Speaker(Arc<[u8; 5]>);

    struct Counted(Arc<[u8; 5]>);

    impl AsRef<[u8]> for Counted {
        fn as_ref(&self) -> &[u8] {
            &*self.0
        }
    }

    impl Behaviour for Speaker {
        fn start(&mut self, io: &mut Io) {
            io.send(Bytes::from_owner(Counted(self.0.clone())));
        }
        fn input(&mut self, _: &mut Io, _: &[u8]) {}
    }

    fn carry(flow: impl Flow) -> Connection {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        Connection::new(Box::new(flow), socket, Waker::noop().clone())
    }

    fn connection(memory: &Arc<[u8; 5]>) -> Connection {
        carry(Probe::new(Speaker(memory.clone()), Default::default(), Instant::ORIGIN))
    }

    #[test]
    fn memory_of_an_operation_outlives_a_connection_that_is_dropped() {
        let memory = Arc::new(*b"hello");
        let mut connection = connection(&memory);
        let sent = connection.begin_send().unwrap().as_ptr();
        assert_eq!(sent, memory.as_ptr());
        drop(connection);
        assert_eq!(Arc::strong_count(&memory), 2, "one is the kernel's");
    }

    #[test]
    fn memory_goes_with_the_connection_when_no_operation_is_in_flight() {
        let memory = Arc::new(*b"hello");
        let mut connection = connection(&memory);
        assert!(connection.begin_send().is_some() && connection.begin_send().is_none());
        connection.complete(Which::Send, -1);
        drop(connection);
        assert_eq!(Arc::strong_count(&memory), 1);
    }

    /// Reads until its time is up, then only once it is let.
    struct Yielding(Arc<AtomicBool>);

    impl Behaviour for Yielding {
        fn start(&mut self, io: &mut Io) {
            io.set_deadline(Duration::ZERO, DeadlineKind::Application);
        }
        fn input(&mut self, _: &mut Io, _: &[u8]) {}
        fn timeout(&mut self, io: &mut Io) {
            io.yield_reading();
            io.expect_application();
        }
        fn run(&mut self, io: &mut Io) {
            if self.0.load(SeqCst) {
                io.resume_reading();
            }
        }
    }

    /// Has received `bytes` into what was begun before.
    fn receive(connection: &mut Connection, bytes: &[u8]) {
        connection.input[..bytes.len()].copy_from_slice(bytes);
        connection.complete(Which::Receive, bytes.len() as i32);
    }

    #[test]
    fn bytes_that_come_when_the_flow_yields_are_kept_until_it_reads() {
        let (let_read, log, mut lent) =
            (Arc::<AtomicBool>::default(), Log::default(), Lent::new(Clock::start()));
        let mut connection = carry(Probe::new(Yielding(let_read.clone()), log.clone(), Instant::ORIGIN));
        assert!(connection.begin_receive().is_some());
        assert_eq!(connection.turn(Call::Turn, &mut lent), Progress::Blocked);
        receive(&mut connection, b"early");
        assert_eq!(connection.turn(Call::Turn, &mut lent), Progress::Blocked);
        assert!(log.seen().bytes_in == 0 && connection.begin_receive().is_none());
        let_read.store(true, SeqCst);
        assert_eq!(connection.turn(Call::Turn, &mut lent), Progress::Blocked);
        assert_eq!(log.seen().bytes_in, 5);
        assert!(connection.begin_receive().is_some());
        assert_eq!(log.seen().faults, [""; 0]);
    }

    struct Listening;

    impl Behaviour for Listening {
        fn input(&mut self, _: &mut Io, _: &[u8]) {}
    }

    #[test]
    fn what_came_before_a_drain_is_read_before_it() {
        let (log, mut lent) = (Log::default(), Lent::new(Clock::start()));
        let mut connection = carry(Probe::new(Listening, log.clone(), Instant::ORIGIN));
        assert!(connection.begin_receive().is_some());
        assert_eq!(connection.turn(Call::Drain, &mut lent), Progress::Again);
        assert_eq!(log.seen().drained, 0);
        receive(&mut connection, b"last");
        let _ = connection.turn(Call::Turn, &mut lent);
        assert_eq!((log.seen().bytes_in, log.seen().drained), (4, 1));
    }
}
