//! What both tiny drivers lend their flows: a clock, a lane for jobs, dates, a pool and a buffer.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use anabranch_core::drive::{self, Alarm, Budget, PollWire, Polled, Progress, Readiness, Stop, Wire};
use anabranch_core::{CloseReason, Dates, Flow, Instant, Job, Pool, Turn};
use bytes::BytesMut;
use socket2::SockRef;

/// A clock whose origin lies a second back, so that no instant is its origin.
#[derive(Clone, Copy, Debug)]
pub struct Clock(std::time::Instant);

impl Clock {
    /// A clock that begins now.
    pub fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// What it shows.
    pub fn now(self) -> Instant {
        Instant::ORIGIN + Duration::from_secs(1) + self.0.elapsed()
    }

    /// What the system's clock shows at `instant`.
    pub fn to_std(self, instant: Instant) -> std::time::Instant {
        self.0 + Duration::from_nanos(instant.as_nanos()).saturating_sub(Duration::from_secs(1))
    }
}

/// Listens on a port of the loopback. The kernel is told to take no more output than it soon sends: else a peer that reads
/// slowly looks, for megabytes, like one that does not read.
///
/// # Errors
/// When no socket is to be had.
pub fn listen() -> io::Result<TcpListener> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    SockRef::from(&listener).set_tcp_notsent_lowat(64 * 1024)?;
    Ok(listener)
}

/// A thread for jobs behind a bounded queue; ends with the last sender.
pub fn lane() -> SyncSender<Job> {
    let (lane, jobs) = mpsc::sync_channel::<Job>(64);
    std::thread::spawn(move || jobs.into_iter().for_each(Job::run));
    lane
}

/// What a driver lends its flows.
#[derive(Debug)]
pub struct Lent {
    /// What it counts time by.
    pub clock: Clock,
    lane: SyncSender<Job>,
    dates: Dates,
    pool: Pool,
    scratch: BytesMut,
}

impl Lent {
    /// Everything new, but the clock and the lane.
    pub fn new(clock: Clock, lane: SyncSender<Job>) -> Self {
        let since_epoch = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let dates = Dates::anchored(clock.now(), since_epoch);
        Self { clock, lane, dates, pool: Pool::default(), scratch: BytesMut::with_capacity(16 * 1024) }
    }

    /// Takes a turn with `flow`.
    pub fn turn(
        &mut self,
        flow: &mut dyn Flow,
        wire: &mut impl Wire,
        readiness: &mut Readiness,
        waker: &Waker,
    ) -> Progress {
        let mut turn = Turn::new(self.clock.now(), &mut self.dates, waker, &mut self.pool);
        let lane = &self.lane;
        let mut exec = |job| exec(lane, job);
        drive::turn(flow, wire, readiness, &mut self.scratch, &mut turn, &mut exec, Budget::default())
    }

    /// Takes a turn as a task.
    pub fn poll<W: PollWire, A: Alarm>(
        &mut self,
        polled: &mut Polled<W, A>,
        context: &mut Context<'_>,
        stop: Stop,
    ) -> Poll<CloseReason> {
        let mut turn = Turn::new(self.clock.now(), &mut self.dates, context.waker(), &mut self.pool);
        let lane = &self.lane;
        polled.poll(
            context,
            stop,
            &mut self.scratch,
            &mut turn,
            &mut |job| exec(lane, job),
            Budget::default(),
        )
    }

    /// Tells `flow` to drain.
    pub fn drain(&mut self, flow: &mut dyn Flow, waker: &Waker) {
        flow.drain(&mut Turn::new(self.clock.now(), &mut self.dates, waker, &mut self.pool));
    }
}

fn exec(lane: &SyncSender<Job>, job: Job) -> Result<(), Job> {
    lane.try_send(job).map_err(|error| match error {
        TrySendError::Full(job) | TrySendError::Disconnected(job) => job,
    })
}

/// A socket as a wire; it waits or not, as it was set.
#[derive(Debug)]
pub struct Socket<'a>(pub &'a TcpStream);

impl Wire for Socket<'_> {
    fn read(&mut self, into: &mut BytesMut, max: usize) -> io::Result<usize> {
        fill(into, max, |room| self.0.read(room))
    }
    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write_vectored(slices)
    }
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.0.shutdown(Shutdown::Write)
    }
    fn reset(&mut self) -> io::Result<()> {
        SockRef::from(self.0).set_linger(Some(Duration::ZERO))
    }
}

/// Lets `read` append at most `max` bytes to `into`, and keeps what it says it appended.
pub fn fill<E>(
    into: &mut BytesMut,
    max: usize,
    read: impl FnOnce(&mut [u8]) -> Result<usize, E>,
) -> Result<usize, E> {
    let start = into.len();
    into.resize(start + max, 0);
    let result = read(&mut into[start..]);
    into.truncate(start + result.as_ref().copied().unwrap_or(0));
    result
}

/// What tasks may be told from elsewhere.
#[derive(Debug, Default)]
pub struct Control(Mutex<(Stop, Option<Waker>)>);

impl Control {
    /// Tells the connection to stop.
    pub fn tell(&self, stop: Stop) {
        let mut control = self.0.lock().unwrap();
        control.0 = stop;
        if let Some(waker) = control.1.take() {
            waker.wake();
        }
    }

    /// What it was told. The next change wakes `waker`.
    pub(crate) fn stop(&self, waker: &Waker) -> Stop {
        let mut control = self.0.lock().unwrap();
        control.1 = Some(waker.clone());
        control.0
    }
}
