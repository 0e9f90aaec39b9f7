//! A connection as a stream, by any sequence of what its driver and its owner may do, against a model that only counts.
//!
//! Each byte says where it belongs, so that one that is lost, doubled or out of place is seen when the next is read.

use std::io::ErrorKind;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use anabranch_core::app::{Duplex, DuplexReader, DuplexStream, DuplexWriter, WhenDrained};
use anabranch_core::testing::{CountingWaker, ManualClock, Rig};
use anabranch_core::{
    AbortReason, CloseReason, ConnectionId, ConnectionInfo, Flow, ReadOperation, WriteOperation, WriteResult,
};
use arbitrary::{Arbitrary, Unstructured};

use crate::end::End;

#[derive(Arbitrary, Debug)]
enum Operation {
    PeerSends(u8),
    PeerEnds(End),
    PeerTakes(u8),
    TakeOutput(u8),
    WriteFails,
    Read(u8),
    Write(u8),
    Shut,
    Reset,
    DropReader,
    DropWriter,
    Run,
    Advance(u8),
    Drain,
    Abort,
}

#[derive(Arbitrary, Debug)]
struct Options {
    capacity: u8,
    when_drained: u8,
    has_idle: bool,
}

/// Plays the operations; what a driver would not do is passed over.
pub fn check(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(options) = Options::arbitrary(&mut input) else { return };
    let mut played = Played::begin(&options);
    while !input.is_empty()
        && let Ok(operation) = Operation::arbitrary(&mut input)
    {
        played.play(&operation);
        played.check();
        if played.rig.is_finished() {
            break;
        }
    }
    played.end();
}

/// A stream, its connection, and how many bytes are where.
struct Played {
    rig: Rig<Box<dyn Flow>>,
    reader: Option<DuplexReader>,
    writer: Option<DuplexWriter>,
    capacity: usize,
    when_drained: WhenDrained,
    /// A read that would wait is interrupted.
    interrupts: bool,
    /// From the peer: what the reader is owed, and what it has.
    owed: usize,
    read: usize,
    /// What comes behind the last byte that is owed: the end, or an error.
    behind: Option<Result<(), ErrorKind>>,
    /// To the peer: what was written, what the driver took, what reached the peer.
    written: usize,
    taken: usize,
    reached: usize,
    is_shut: bool,
    is_draining: bool,
    reading: Sleeper,
    writing: Sleeper,
}

/// Somebody who may wait to be woken.
#[derive(Default)]
struct Sleeper {
    wakes: CountingWaker,
    /// How often it was woken before it began to wait.
    since: Option<usize>,
}

impl Sleeper {
    fn poll<T>(&mut self, poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        let waker = self.wakes.waker();
        let result = poll(&mut Context::from_waker(&waker));
        self.since = result.is_pending().then(|| self.wakes.wakes());
        result
    }

    /// Whether it waits, and nobody has woken it.
    fn sleeps(&self) -> bool {
        self.since == Some(self.wakes.wakes())
    }
}

impl Played {
    fn begin(options: &Options) -> Self {
        let capacity = usize::from(options.capacity % 48) + 1;
        let when_drained = match options.when_drained % 4 {
            1 => WhenDrained::LetRun,
            3 => WhenDrained::Interrupt,
            _ => WhenDrained::EndInput,
        };
        let mut duplex = Duplex::new(capacity).with_drain(when_drained);
        if options.has_idle {
            duplex = duplex.with_idle(Some(Duration::from_secs(5)));
        }
        let (rig, stream) = open(duplex);
        let (reader, writer) = stream.split();
        Self {
            rig,
            reader: Some(reader),
            writer: Some(writer),
            capacity,
            when_drained,
            interrupts: false,
            owed: 0,
            read: 0,
            behind: None,
            written: 0,
            taken: 0,
            reached: 0,
            is_shut: false,
            is_draining: false,
            reading: Sleeper::default(),
            writing: Sleeper::default(),
        }
    }

    fn play(&mut self, operation: &Operation) {
        match operation {
            Operation::PeerSends(count) => self.peer_sends(usize::from(count % 64) + 1),
            Operation::PeerEnds(end) => self.peer_ends(*end),
            Operation::PeerTakes(max) if self.in_flight() == 0 => {
                let bytes = self.rig.write_at_most(usize::from(*max));
                self.takes(&bytes);
                self.reached = self.taken;
            }
            Operation::TakeOutput(max) if self.in_flight() == 0 && self.writes() => {
                let bytes = self.rig.take_output(usize::from(*max)).concat();
                self.takes(&bytes);
            }
            Operation::TakeOutput(max) if self.in_flight() > 0 => {
                let count = usize::from(*max).clamp(1, self.in_flight());
                self.reached += count;
                self.rig.report_write_result(WriteResult::Wrote(count));
            }
            Operation::WriteFails if self.in_flight() > 0 || self.writes() => {
                self.rig.report_write_result(WriteResult::Closed);
            }
            Operation::Read(max) => drop(self.reads(usize::from(*max))),
            Operation::Write(count) => self.writes_some(usize::from(*count)),
            Operation::Shut => {
                if let Some(writer) = &mut self.writer {
                    writer.shutdown();
                    self.says_no_more();
                }
            }
            Operation::Reset => {
                if let Some(writer) = &mut self.writer {
                    writer.reset();
                    self.says_no_more();
                }
            }
            Operation::DropReader => self.reader = None,
            Operation::DropWriter => {
                self.writer = None;
                self.says_no_more();
            }
            Operation::Run => self.rig.run(),
            Operation::Advance(tenths) => self.rig.advance(Duration::from_millis(100 * u64::from(*tenths))),
            Operation::Drain => {
                if self.when_drained == WhenDrained::EndInput {
                    self.behind.get_or_insert(Ok(()));
                }
                self.interrupts |= self.when_drained == WhenDrained::Interrupt && !self.is_draining;
                self.is_draining = true;
                self.rig.drain();
            }
            Operation::Abort => self.rig.abort(AbortReason::Requested),
            Operation::PeerTakes(_) | Operation::TakeOutput(_) | Operation::WriteFails => {}
        }
        if let (true, Some(reason)) = (self.rig.is_finished(), self.rig.close_reason()) {
            self.behind.get_or_insert(match reason {
                CloseReason::PeerReset => Err(ErrorKind::ConnectionReset),
                CloseReason::TimedOut(_) => Err(ErrorKind::TimedOut),
                _ => Err(ErrorKind::ConnectionAborted),
            });
        }
    }

    // ---- the peer ----

    fn peer_sends(&mut self, count: usize) {
        if self.rig.next_read_operation() != ReadOperation::Read || self.rig.input_ended() {
            return;
        }
        let from = self.owed;
        if self.behind.is_none() {
            if self.reader.is_some() {
                assert!(
                    from - self.read < self.capacity,
                    "it reads on with {} bytes unread",
                    from - self.read
                );
            }
            self.owed += count;
        }
        self.rig.read(numbered(from, count));
    }

    fn peer_ends(&mut self, end: End) {
        if self.rig.input_ended() {
            return;
        }
        self.behind.get_or_insert(match end {
            End::Eof => Ok(()),
            End::Reset => Err(ErrorKind::ConnectionReset),
            End::TlsTruncated => Err(ErrorKind::UnexpectedEof),
            End::Error => Err(ErrorKind::ConnectionAborted),
        });
        self.rig.close_input(end.into());
    }

    fn takes(&mut self, bytes: &[u8]) {
        assert_eq!(bytes, numbered(self.taken, bytes.len()), "what the peer gets");
        self.taken += bytes.len();
        assert!(self.taken <= self.written, "the peer gets what was not written");
    }

    fn in_flight(&self) -> usize {
        self.taken - self.reached
    }

    fn writes(&self) -> bool {
        self.rig.next_write_operation() == WriteOperation::Write
    }

    // ---- the stream's owner ----

    /// Reads once; whether there may be more.
    fn reads(&mut self, max: usize) -> bool {
        let Some(reader) = &mut self.reader else { return false };
        let mut buffer = vec![0; max];
        let waiting = self.owed - self.read;
        let result = self.reading.poll(|context| reader.poll_read(context, &mut buffer));
        let result = result.map(|result| result.map_err(|error| error.kind()));
        let expected = match self.behind {
            _ if max == 0 => Poll::Ready(Ok(0)),
            _ if waiting > 0 => Poll::Ready(Ok(waiting.min(max))),
            Some(behind) => Poll::Ready(behind.map(|()| 0)),
            None if self.interrupts => Poll::Ready(Err(ErrorKind::Interrupted)),
            None => Poll::Pending,
        };
        self.interrupts &= result != Poll::Ready(Err(ErrorKind::Interrupted));
        assert_eq!(result, expected, "a read of {max} bytes with {waiting} waiting");
        let Poll::Ready(Ok(count)) = result else { return false };
        assert_eq!(buffer[..count], numbered(self.read, count), "what the stream reads");
        self.read += count;
        count > 0
    }

    fn writes_some(&mut self, count: usize) {
        let Some(writer) = &mut self.writer else { return };
        let data = numbered(self.written, count);
        let room = self.capacity - (self.written - self.reached);
        let result = self.writing.poll(|context| writer.poll_write(context, &data));
        let result = result.map(|result| result.map_err(|error| error.kind()));
        let expected = if self.is_shut || self.rig.is_finished() {
            Poll::Ready(Err(ErrorKind::BrokenPipe))
        } else if room == 0 && count > 0 {
            Poll::Pending
        } else {
            Poll::Ready(Ok(count.min(room)))
        };
        assert_eq!(result, expected, "a write of {count} bytes with room for {room}");
        if let Poll::Ready(Ok(count)) = result {
            self.written += count;
        }
    }

    fn says_no_more(&mut self) {
        self.is_shut = true;
        self.writing.since = None;
    }

    // ---- what holds ----

    /// After each operation: who could go on was woken, and what went out in order went out whole.
    fn check(&self) {
        if self.reader.is_some() && self.reading.sleeps() {
            assert_eq!((self.owed, self.behind), (self.read, None), "the reader sleeps over what there is");
            assert!(!self.interrupts, "the reader sleeps over a drain");
        }
        if self.writer.is_some() && self.writing.sleeps() {
            assert!(!self.rig.is_finished(), "the writer sleeps over the end");
            assert_eq!(self.written - self.reached, self.capacity, "the writer sleeps over room");
        }
        if let Some(reader) = &self.reader {
            assert_eq!(reader.is_draining(), self.is_draining);
        }
        let said_all = match self.rig.next_write_operation() {
            WriteOperation::Close(anabranch_core::CloseKind::Linger) => true,
            WriteOperation::Close(_) => matches!(
                self.rig.close_reason(),
                Some(CloseReason::Finished | CloseReason::PeerClosed | CloseReason::Drained)
            ),
            _ => false,
        };
        if said_all {
            assert_eq!(self.reached, self.written, "an end in order, and not all was sent");
        }
    }

    /// After the last: nothing that was owed is missing.
    fn end(mut self) {
        while self.reads(7) {}
        assert!(self.reader.is_none() || self.read == self.owed);
        if self.rig.is_finished() {
            self.writes_some(1);
            return;
        }
        self.rig.run();
        if self.in_flight() > 0 && !self.rig.is_finished() {
            let count = self.in_flight();
            self.reached += count;
            self.rig.report_write_result(WriteResult::Wrote(count));
        }
        let rest = self.rig.written();
        self.takes(&rest);
        self.reached = self.taken;
        if !self.rig.is_finished() {
            assert_eq!(self.taken, self.written, "not all that was written goes out");
        }
    }
}

/// A connection on a rig, and its stream.
fn open(duplex: Duplex) -> (Rig<Box<dyn Flow>>, DuplexStream) {
    let slot = Arc::new(Mutex::new(None));
    let kept = slot.clone();
    // The lock is held for a moment by one thread: it is neither contended nor poisoned.
    let takeover = duplex.hand_over(move |stream| *kept.lock().expect("one thread") = Some(stream));
    let clock = ManualClock::default();
    let flow = takeover.into_flow(ConnectionInfo::new(ConnectionId(7)), clock.now());
    let stream = slot.lock().expect("one thread").take().expect("handed over at once");
    (Rig::with_clock(flow, clock), stream)
}

/// Bytes that tell where they belong.
fn numbered(from: usize, count: usize) -> Vec<u8> {
    (from..from + count).map(|at| (at % 251) as u8).collect()
}
