//! A driver's thread in memory, that plays a stream to a connection and counts.

use std::task::Waker;
use std::time::Duration;

use anabranch_core::drive::{self, Budget, Progress, Readiness};
use anabranch_core::testing::ManualClock;
use anabranch_core::{
    AbortReason, ConnectionId, ConnectionInfo, Dates, Flow, InputEnd, Job, Pool, Protocol, Turn,
};
use bytes::BytesMut;

use super::application::QUICK;
use super::counting::{begin_peak, live, peak};
use super::peer::{Manner, Peer};

/// Bytes of a read, where it is not said otherwise.
pub(crate) const READ_BYTES: usize = 16 * 1024;

/// What a driver's thread owns.
pub(crate) struct Driver {
    scratch: BytesMut,
    dates: Dates,
    pool: Pool,
    clock: ManualClock,
}

impl Driver {
    pub(crate) fn new(read_bytes: usize) -> Self {
        let clock = ManualClock::default();
        let dates = Dates::anchored(clock.now(), Duration::from_secs(784_111_777));
        Self { scratch: BytesMut::with_capacity(read_bytes), dates, pool: Pool::default(), clock }
    }

    pub(crate) fn connect<'a>(&self, protocol: &impl Protocol, peer: Peer<'a>) -> Connected<'a> {
        let flow = protocol.connect(ConnectionInfo::new(ConnectionId(1)), self.clock.now());
        Connected { flow, peer, readiness: Readiness::ready() }
    }

    /// One turn, with whatever the peer has.
    pub(crate) fn turn(&mut self, connected: &mut Connected<'_>, jobs: &mut Jobs) -> Progress {
        let Self { scratch, dates, pool, clock } = self;
        let Connected { flow, peer, readiness } = connected;
        let mut turn = Turn::new(clock.now(), dates, Waker::noop(), pool);
        (readiness.readable, readiness.writable) = (true, true);
        peer.begin_turn();
        let mut exec = |job| jobs.exec(job);
        let progress =
            drive::turn(&mut **flow, peer, readiness, scratch, &mut turn, &mut exec, Budget::default());
        peer.look();
        progress
    }

    /// The peer leaves without a word, if it has sent all that it had; or else the server leaves.
    fn part(&mut self, connected: &mut Connected<'_>) {
        let Self { dates, pool, clock, .. } = self;
        let Connected { flow, peer, .. } = connected;
        if peer.is_over() {
            flow.close_input(InputEnd::Reset, &mut Turn::new(clock.now(), dates, Waker::noop(), pool));
        } else {
            flow.abort(AbortReason::Requested);
        }
    }
}

/// A connection, and its peer.
pub(crate) struct Connected<'a> {
    pub(crate) flow: Box<dyn Flow>,
    pub(crate) peer: Peer<'a>,
    readiness: Readiness,
}

/// Lanes. On the quick one every job is run at once; on any other one job waits, and never runs, and there is no room for
/// more.
#[derive(Default)]
pub(crate) struct Jobs {
    waiting: Option<Job>,
}

impl Jobs {
    fn exec(&mut self, job: Job) -> Result<(), Job> {
        if job.lane() == QUICK {
            job.run();
        } else if self.waiting.is_some() {
            return Err(job);
        } else {
            self.waiting = Some(job);
        }
        Ok(())
    }
}

/// What was counted.
pub(crate) struct Played {
    /// The most bytes that connection and driver held at any moment beyond what the driver alone had.
    pub(crate) peak: usize,
    /// The most bytes that the connection held between two turns.
    pub(crate) held: usize,
    /// The most that was seen of the process's budget.
    pub(crate) charged: usize,
    /// Bytes of the stream that were read.
    pub(crate) read: usize,
}

/// Plays what `peer` has to a connection, to its end or until nothing moves any more; when all is dropped, nothing may be
/// left. Reads are of `read_bytes`.
pub(crate) fn play(protocol: &impl Protocol, peer: Peer<'_>, read_bytes: usize) -> Played {
    let before = live();
    let mut driver = Driver::new(read_bytes);
    let mut jobs = Jobs::default();
    let alone = live();
    begin_peak();
    let mut connected = driver.connect(protocol, peer);
    let (mut turns, mut held) = (0, 0);
    loop {
        let Peer { sent, took, .. } = connected.peer;
        let progress = driver.turn(&mut connected, &mut jobs);
        held = held.max(live() - alone);
        let Connected { flow, peer, .. } = &mut connected;
        let read = peer.sent != sent;
        turns = if read && peer.manner == Manner::Silent { 0 } else { turns + 1 };
        // That a closing peer takes something does not stop the clock.
        let moved = read || (peer.took != took && peer.manner == Manner::Silent);
        let deadline = flow.deadline();
        match (progress, deadline) {
            (Progress::Finished(_), _) => break,
            (Progress::Again, _) => {}
            (Progress::Blocked, _) if moved => {}
            // Only time moves it on: the peer waits as long as it is let.
            (Progress::Blocked, Some(deadline)) => {
                driver.clock.advance_to(deadline.at.min(driver.clock.now() + peer.patience()));
            }
            (Progress::Blocked, None) => turns = peer.max_turns(),
        }
        if turns >= peer.max_turns() {
            match peer.manner {
                Manner::Silent => break,
                Manner::Closing => flow.abort(AbortReason::Requested),
            }
        }
    }
    if connected.peer.manner == Manner::Silent {
        driver.part(&mut connected);
    }
    let Connected { flow, peer, .. } = connected;
    let [peak, held] = [peak() - alone, held].map(|bytes| usize::try_from(bytes).unwrap_or(0));
    drop((flow, jobs));
    assert_eq!(peer.budget.held(), 0, "{}: charges are left of it", peer.stream.name);
    drop(driver);
    assert_eq!(live() - before, 0, "{}: bytes are left of it", peer.stream.name);
    Played { peak, held, charged: peer.charged, read: peer.sent }
}
