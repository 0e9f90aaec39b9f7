//! A driver's thread in memory, that plays a stream to a connection and counts.

use std::io::{self, ErrorKind, IoSlice};
use std::task::Waker;
use std::time::Duration;

use anabranch_core::drive::{self, Budget, Progress, Readiness, Wire};
use anabranch_core::testing::ManualClock;
use anabranch_core::{
    AbortReason, ConnectionId, ConnectionInfo, Dates, Flow, InputEnd, Job, Pool, Protocol, Turn,
};
use bytes::BytesMut;

use super::counting::{begin_peak, live, peak};
use super::streams::{Stream, Taking};

/// Bytes of a read.
pub(crate) const READ_BYTES: usize = 16 * 1024;

/// How a stream is cut into reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Cut {
    /// As many bytes as a read takes.
    Reads,
    /// A byte a read.
    Bytes,
}

/// What a driver's thread owns.
pub(crate) struct Driver {
    scratch: BytesMut,
    dates: Dates,
    pool: Pool,
    pub(crate) clock: ManualClock,
}

impl Driver {
    pub(crate) fn new() -> Self {
        let clock = ManualClock::default();
        let dates = Dates::anchored(clock.now(), Duration::from_secs(784_111_777));
        Self { scratch: BytesMut::with_capacity(READ_BYTES), dates, pool: Pool::default(), clock }
    }

    pub(crate) fn connect(&self, protocol: &impl Protocol) -> Box<dyn Flow> {
        protocol.connect(ConnectionInfo::new(ConnectionId(1)), self.clock.now())
    }

    /// One turn, with whatever the wire has. No job finds room, unless `jobs` keeps it.
    pub(crate) fn turn(&mut self, flow: &mut dyn Flow, wire: &mut Hostile<'_>, jobs: &mut Jobs) -> Progress {
        let Self { scratch, dates, pool, clock } = self;
        let mut turn = Turn::new(clock.now(), dates, Waker::noop(), pool);
        wire.room = match wire.stream.taking {
            Taking::All => usize::MAX,
            Taking::Trickle => 1000,
            Taking::Nothing => 0,
        };
        let readiness = &mut Readiness::ready();
        drive::turn(flow, wire, readiness, scratch, &mut turn, &mut |job| jobs.exec(job), Budget::default())
    }
}

/// Lanes: one job waits, and never runs; the others find no room.
#[derive(Default)]
pub(crate) struct Jobs {
    waiting: Option<Job>,
}

impl Jobs {
    fn exec(&mut self, job: Job) -> Result<(), Job> {
        if self.waiting.is_some() {
            return Err(job);
        }
        self.waiting = Some(job);
        Ok(())
    }
}

/// The peer's end of a stream.
pub(crate) struct Hostile<'a> {
    stream: &'a Stream,
    cut: Cut,
    at: usize,
    until: usize,
    room: usize,
    sent: usize,
}

impl<'a> Hostile<'a> {
    /// The first `until` bytes of `stream`.
    pub(crate) fn new(stream: &'a Stream, cut: Cut, until: usize) -> Self {
        Self { stream, cut, at: 0, until, room: 0, sent: 0 }
    }

    /// What moved so far, either way.
    pub(crate) fn moved(&self) -> (usize, usize) {
        (self.at, self.sent)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.at == self.until
    }
}

impl Wire for Hostile<'_> {
    fn read(&mut self, into: &mut BytesMut) -> io::Result<usize> {
        let room = match self.cut {
            Cut::Reads => into.capacity() - into.len(),
            Cut::Bytes => 1,
        };
        let count = room.min(self.until - self.at);
        if count == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        let mut left = count;
        while left > 0 {
            let piece = self.stream.from(self.at);
            let piece = &piece[..left.min(piece.len())];
            into.extend_from_slice(piece);
            self.at += piece.len();
            left -= piece.len();
        }
        Ok(count)
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        let taken = offered.min(self.room);
        if taken == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.room -= taken;
        self.sent += taken;
        Ok(taken)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn reset(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What was counted.
pub(crate) struct Played {
    /// The most bytes that connection and driver held at any moment beyond what the driver alone had.
    pub(crate) peak: isize,
    /// Bytes of the stream that were read.
    pub(crate) read: usize,
}

/// Turns in which nothing is read, after which an endless answer is not waited for any longer.
const MAX_TURNS: usize = 50;

/// Plays the first `until` bytes of `stream` to a connection, to its end or until nothing moves any more; when all
/// is dropped, nothing may be left.
pub(crate) fn play(protocol: &impl Protocol, stream: &Stream, (cut, until): (Cut, usize)) -> Played {
    let before = live();
    let mut driver = Driver::new();
    let mut jobs = Jobs::default();
    let alone = live();
    begin_peak();
    let mut flow = driver.connect(protocol);
    let mut wire = Hostile::new(stream, cut, until);
    let mut turns = 0;
    while turns < MAX_TURNS {
        let moved = wire.moved();
        let progress = driver.turn(&mut *flow, &mut wire, &mut jobs);
        turns = if wire.moved().0 == moved.0 { turns + 1 } else { 0 };
        match progress {
            Progress::Finished(_) => break,
            Progress::Again => continue,
            Progress::Blocked if wire.moved() != moved => continue,
            Progress::Blocked => {}
        }
        // Only time moves it on: the peer waits as long as it is let.
        match flow.deadline() {
            Some(deadline) => driver.clock.advance_to(deadline.at),
            None => break,
        }
    }
    let played = Played { peak: peak() - alone, read: wire.moved().0 };
    end(&mut driver, &mut *flow, wire.is_over());
    drop((flow, jobs, driver));
    assert_eq!(live() - before, 0, "{}: bytes are left of it", stream.name);
    played
}

/// The peer leaves, or the server does.
fn end(driver: &mut Driver, flow: &mut dyn Flow, peer_leaves: bool) {
    if peer_leaves {
        let Driver { dates, pool, clock, .. } = driver;
        flow.close_input(InputEnd::Reset, &mut Turn::new(clock.now(), dates, Waker::noop(), pool));
    } else {
        flow.abort(AbortReason::Requested);
    }
}
