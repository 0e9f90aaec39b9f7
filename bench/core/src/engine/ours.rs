//! Ours: a [`Service`] behind the whole [`Flow`], driven by hand and by the turns that it takes itself.

use std::io::{self, IoSlice};
use std::task::Waker;
use std::time::Duration;

use anabranch_core::app::{Context, Http, Outcome, Request, Response, service_fn};
use anabranch_core::drive::{Budget, Progress, Readiness, Wire};
use anabranch_core::{
    ConnectionId, ConnectionInfo, Dates, Flow, Instant, Pool, Protocol, ReadOperation, Turn, WriteResult,
};
use bytes::BytesMut;
use http::StatusCode;

use super::{Engine, READ_BYTES, Sink};
use crate::scenario::{HELLO, Scenario};

/// The application, the same for every engine.
pub fn protocol() -> impl Protocol {
    Http::new(service_fn(|request: &mut Request, _: &mut Context<'_>| -> Outcome {
        match request.path() {
            "/plaintext" => Response::typed("text/plain", HELLO).into(),
            "/collect" => {
                Outcome::collect(1 << 20, |_, body, _| Response::typed("application/octet-stream", body))
            }
            "/stream" => {
                Outcome::stream(|_, incoming, _| Response::typed("application/octet-stream", incoming))
            }
            _ => StatusCode::NOT_FOUND.into(),
        }
    }))
}

/// What a driver thread has.
pub struct Thread {
    dates: Dates,
    pool: Pool,
    scratch: BytesMut,
    now: u64,
}

impl Thread {
    pub fn new() -> Self {
        Self {
            dates: Dates::anchored(Instant::ORIGIN, Duration::from_secs(784_111_777)),
            pool: Pool::default(),
            scratch: BytesMut::with_capacity(READ_BYTES),
            now: 0,
        }
    }

    pub fn connect(&self, protocol: &impl Protocol) -> Box<dyn Flow> {
        protocol.connect(ConnectionInfo::new(ConnectionId(1)), Instant::from_nanos(self.now))
    }

    /// Gives `input` to the flow as reads of at most the scratch buffer's size, and takes what it answers.
    pub fn exchange(&mut self, flow: &mut dyn Flow, mut input: &[u8], sink: &mut Sink) {
        self.now += 1000;
        let mut turn =
            Turn::new(Instant::from_nanos(self.now), &mut self.dates, Waker::noop(), &mut self.pool);
        loop {
            if flow.next_read_operation() == ReadOperation::Read {
                if input.is_empty() {
                    return;
                }
                self.scratch.reserve(READ_BYTES);
                let (now, later) = input.split_at(input.len().min(READ_BYTES));
                self.scratch.extend_from_slice(now);
                input = later;
                flow.read(&mut self.scratch, &mut turn);
            }
            flow.run(&mut turn);
            let mut slices = [IoSlice::new(&[]); 8];
            let count = flow.write_slices(&mut slices);
            if count > 0 {
                let len = write(&slices[..count], sink);
                flow.report_write_result(WriteResult::Wrote(len), &mut turn);
            }
        }
    }
}

fn write(slices: &[IoSlice<'_>], sink: &mut Sink) -> usize {
    slices.iter().fold(0, |len, slice| {
        sink.write(slice);
        len + slice.len()
    })
}

/// The least a driver can do: read, run, write, report.
pub struct ByHand {
    thread: Thread,
    flow: Box<dyn Flow>,
}

impl ByHand {
    pub fn new() -> Self {
        Self::with(&protocol())
    }

    /// The same for another application.
    pub fn with(protocol: &impl Protocol) -> Self {
        let thread = Thread::new();
        let flow = thread.connect(protocol);
        Self { thread, flow }
    }
}

impl Engine for ByHand {
    fn converse(&mut self, scenario: &Scenario) -> usize {
        let mut sink = Sink::default();
        self.thread.exchange(&mut *self.flow, scenario.input(), &mut sink);
        sink.take_count()
    }

    fn transcript(&mut self, scenario: &Scenario) -> Vec<u8> {
        let mut sink = Sink::keeping();
        self.thread.exchange(&mut *self.flow, scenario.input(), &mut sink);
        sink.take_kept()
    }
}

/// As every readiness driver does it: all questions asked.
pub struct ByTurn {
    thread: Thread,
    flow: Box<dyn Flow>,
}

impl ByTurn {
    pub fn new() -> Self {
        let thread = Thread::new();
        let flow = thread.connect(&protocol());
        Self { thread, flow }
    }

    fn exchange(&mut self, input: &[u8], sink: &mut Sink) {
        let Self { thread, flow } = self;
        thread.now += 1000;
        let mut turn =
            Turn::new(Instant::from_nanos(thread.now), &mut thread.dates, Waker::noop(), &mut thread.pool);
        let mut wire = Memory { input, sink };
        let mut readiness = Readiness::ready();
        let progress = (**flow).take_turn(
            &mut wire,
            &mut readiness,
            &mut thread.scratch,
            &mut turn,
            &mut |_| panic!("nothing is deferred"),
            Budget::UNBOUNDED,
        );
        assert_eq!(progress, Progress::Blocked);
    }
}

impl Engine for ByTurn {
    fn converse(&mut self, scenario: &Scenario) -> usize {
        let mut sink = Sink::default();
        self.exchange(scenario.input(), &mut sink);
        sink.take_count()
    }

    fn transcript(&mut self, scenario: &Scenario) -> Vec<u8> {
        let mut sink = Sink::keeping();
        self.exchange(scenario.input(), &mut sink);
        sink.take_kept()
    }
}

/// A wire that gives what there is and takes all it is given.
struct Memory<'a> {
    input: &'a [u8],
    sink: &'a mut Sink,
}

impl Wire for Memory<'_> {
    fn read(&mut self, into: &mut BytesMut, max: usize) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let (now, later) = self.input.split_at(self.input.len().min(max));
        into.extend_from_slice(now);
        self.input = later;
        Ok(now.len())
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(write(slices, self.sink))
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn reset(&mut self) -> io::Result<()> {
        Ok(())
    }
}
