//! A connection as a stream: an upgraded (or `CONNECT`ed) connection in the hands of whoever wants to read and write it.
//!
//! ```text
//!             ┌── incoming: at most `capacity`, then the connection reads no more ──►┐
//!   peer ◄──► DuplexFlow                                                  DuplexStream ── a lane's thread: Read + Write
//!             └◄── outgoing: at most `capacity`, then writes wait ───────────────────┘ ── a future: poll_read, poll_write
//!                                                                                      ── whoever it is handed to
//! ```
//!
//! The stream's owner may block or await; the connection's driver does neither, whichever model it is of. Either wakes the
//! other.

mod flow;
#[cfg(feature = "futures-io")]
mod futures;
mod nonblocking;
mod pipe;
mod stream;

use core::fmt;
use core::future::Future;
use core::time::Duration;
use std::sync::Arc;

pub(crate) use self::flow::DuplexFlow;
use self::flow::Task;
pub use self::nonblocking::NonblockingStream;
use self::pipe::{Outgoing, Pipe};
pub use self::stream::{DuplexReader, DuplexStream, DuplexWriter};
use super::memory::Charge;
use crate::flow::Flow;
use crate::info::ConnectionInfo;
use crate::job::{Completion, Job, Lane, Pending, job_with};
use crate::time::Instant;

/// How a connection is made into a [`DuplexStream`]: so many bytes each way, and who gets it.
///
/// ```
/// use anabranch_core::Lane;
/// use anabranch_core::app::{Duplex, Http, Outcome, Request, Response, service_fn};
/// use anabranch_core::testing::Rig;
/// use std::io::Write;
///
/// let http = Http::new(service_fn(|request: &mut Request, _| {
///     if !request.offers_protocol(b"greeting") {
///         return Response::upgrade_required("greeting").into();
///     }
///     // On a lane's thread, which may block: the stream is a `Read` and a `Write`.
///     let greeting = Duplex::new(64 * 1024).on_lane(Lane::DEFAULT, |mut stream| {
///         let _ = writeln!(stream, "welcome");
///     });
///     Outcome::duplex(Response::switching_to("greeting"), greeting)
/// }));
///
/// let mut rig = Rig::connect(&http);
/// rig.read("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: greeting\r\n\r\n");
/// rig.run_jobs();
/// assert!(rig.written().ends_with(b"\r\n\r\nwelcome\n"));
/// ```
///
/// # Bounds
///
/// Each direction holds at most `capacity` bytes, and the incoming one may be overshot by one of the driver's reads. Twice
/// the capacity is taken from the server's memory budget for as long as the connection lives; where that is spent the
/// request is answered with 503. While the stream is not read the connection does not read either, so that a peer that
/// goes on sending is held up by its own socket; while the peer takes nothing, writes wait.
///
/// # Ends
///
/// | what happens | the stream | the peer |
/// |---|---|---|
/// | the peer shuts its half | reads the rest, then `Ok(0)`; may write on | reads on |
/// | the stream is [shut](DuplexStream::shutdown), or its writer dropped | reads on | reads the rest, then the end |
/// | the stream is dropped | | reads the rest, then the end; what it sends is dropped, for the linger's time |
/// | its lane's job or its future panics, or it is [reset](DuplexStream::reset) | | reads a reset |
/// | the peer resets the connection | reads the rest, then `ConnectionReset` | |
/// | a deadline passes | reads the rest, then `TimedOut` | reads a reset |
/// | the server aborts | reads the rest, then `ConnectionAborted` | reads a reset |
/// | the server drains | see [`WhenDrained`] | reads the end when the stream is through |
///
/// Once the connection is lost, writes fail with `BrokenPipe`. Nothing but the stream knows whether what was said is whole,
/// so whatever else ends the connection resets it: see [`CloseKind::Reset`](crate::CloseKind::Reset).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "it says how, and somebody has to get the stream"]
pub struct Duplex {
    capacity: usize,
    idle: Option<Duration>,
    write_stall: Option<Duration>,
    linger: Option<Duration>,
    when_drained: WhenDrained,
}

/// What a server's drain means to a stream.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum WhenDrained {
    /// The stream reads what was received, and then the end, as if the peer had shut its half; it may still write. What
    /// the peer sends after that is dropped. Whoever reads to the end thus comes to one, without knowing of drains.
    #[default]
    EndInput,
    /// Nothing, but that [`DuplexStream::is_draining`] says so: for protocols that are soon through. What is not at its
    /// end when the server's grace is over is aborted.
    LetRun,
    /// As [`LetRun`](Self::LetRun), and whoever reads is told: a read that waits, or would, fails with
    /// [`Interrupted`](std::io::ErrorKind::Interrupted), once and behind what was received. The stream goes on as before:
    /// for protocols that part in words of their own, and read the peer's. Whatever passes an interrupted read over, as
    /// [`read_to_end`](std::io::Read::read_to_end) does, reads on undisturbed. With `futures-io` reads are not interrupted:
    /// the task that waits is woken, and asks [`DuplexStream::is_draining`].
    Interrupt,
}

impl Duplex {
    /// At most `capacity` bytes each way, at least one.
    ///
    /// No idle deadline; a peer that takes nothing of what is written is cut off after 10 s; one that does not close
    /// after the end, after 2 s.
    pub const fn new(capacity: usize) -> Self {
        Self {
            capacity: if capacity == 0 { 1 } else { capacity },
            idle: None,
            write_stall: Some(Duration::from_secs(10)),
            linger: Some(Duration::from_secs(2)),
            when_drained: WhenDrained::EndInput,
        }
    }

    /// Ends a connection on which no byte has moved, either way, for so long; `None`: never.
    pub const fn with_idle(mut self, idle: Option<Duration>) -> Self {
        self.idle = idle;
        self
    }

    /// Ends a connection whose peer has taken nothing of what waits for it for so long; `None`: never.
    pub const fn with_write_stall(mut self, write_stall: Option<Duration>) -> Self {
        self.write_stall = write_stall;
        self
    }

    /// How long a peer may take to close its half once the stream is gone; `None`: as long as it likes.
    pub const fn with_linger(mut self, linger: Option<Duration>) -> Self {
        self.linger = linger;
        self
    }

    /// What a drain means to the stream.
    pub const fn with_drain(mut self, when_drained: WhenDrained) -> Self {
        self.when_drained = when_drained;
        self
    }

    /// The stream goes to `work` on a thread of `lane`, which it may block, and which it has until it is through: a lane
    /// for streams has as many threads as there are to be streams at once. The peer is told of the switch once a thread is
    /// at work, and waits as long as the job waits in the lane's queue; where the lane is full it is answered with 503
    /// instead. Should `work` panic, the connection is reset.
    pub fn on_lane(self, lane: Lane, work: impl FnOnce(DuplexStream) + Send + 'static) -> Takeover {
        Takeover { options: self, taker: Taker::Lane(lane, Box::new(work)) }
    }

    /// The stream goes to a future, polled on the connection's thread under every model. It must not block, nor use the
    /// blocking side of its stream. The connection is over when the stream is: a future that goes on after that is
    /// dropped. Should it panic, the connection is reset.
    pub fn with_future<T>(self, make: impl FnOnce(DuplexStream) -> T + Send + 'static) -> Takeover
    where
        T: Future<Output = ()> + Send + 'static,
    {
        Takeover { options: self, taker: Taker::Future(Box::new(|stream| Box::pin(make(stream)))) }
    }

    /// The stream goes to `take`, which is called on the connection's thread and carries it elsewhere: to a thread, a
    /// task, a queue. It must not block.
    pub fn hand_over(self, take: impl FnOnce(DuplexStream) + Send + 'static) -> Takeover {
        Takeover { options: self, taker: Taker::Elsewhere(Box::new(take)) }
    }
}

/// A [`Duplex`] and who gets its stream: for [`Outcome::duplex`](super::Outcome::duplex), or for a protocol of one's own.
#[must_use = "nobody gets the stream until a connection is made into it"]
pub struct Takeover {
    options: Duplex,
    taker: Taker,
}

enum Taker {
    Lane(Lane, TakeStream),
    Future(Box<dyn FnOnce(DuplexStream) -> Task + Send>),
    Elsewhere(TakeStream),
}

type TakeStream = Box<dyn FnOnce(DuplexStream) + Send>;

impl Takeover {
    /// A flow for a connection that is to be a stream from its first byte on, without any HTTP: for
    /// [`Protocol::connect`](crate::Protocol::connect). Where its lane is full the connection is reset.
    #[must_use]
    pub fn into_flow(self, info: ConnectionInfo, now: Instant) -> Box<dyn Flow> {
        Box::new(self.take_over(info, None).begin(now))
    }

    /// The bytes that it may hold, both ways.
    pub(crate) const fn max_bytes(&self) -> usize {
        self.options.capacity.saturating_mul(2)
    }

    pub(crate) const fn is_on_lane(&self) -> bool {
        matches!(self.taker, Taker::Lane(..))
    }

    pub(crate) fn take_over(self, info: ConnectionInfo, charge: Option<Charge>) -> DuplexFlow {
        let (stream, flow) = self.options.open(info, charge);
        match self.taker {
            Taker::Lane(lane, work) => flow.with_job(assign(lane, work, stream).0),
            Taker::Future(make) => flow.with_task(make(stream)),
            Taker::Elsewhere(take) => {
                take(stream);
                flow
            }
        }
    }

    /// As [`take_over`](Self::take_over), for a lane: the job apart, and a word when it is at work.
    pub(crate) fn begin_on_lane(
        self,
        info: ConnectionInfo,
        charge: Option<Charge>,
    ) -> Option<(DuplexFlow, Job, Pending<()>)> {
        let Taker::Lane(lane, work) = self.taker else { return None };
        let (stream, flow) = self.options.open(info, charge);
        let (job, at_work) = assign(lane, work, stream);
        Some((flow, job, at_work))
    }
}

impl Duplex {
    fn open(self, info: ConnectionInfo, charge: Option<Charge>) -> (DuplexStream, DuplexFlow) {
        let pipe = Arc::new(Pipe::new(self.capacity, info));
        let flow = DuplexFlow::new(Arc::clone(&pipe), self, charge);
        (DuplexStream::new(pipe), flow)
    }
}

/// A stream in the hands of a job. A job that does not come to its end, for it was refused, lost or panicked, resets the
/// connection: `stream` is dropped first, and `watch` says what that means.
struct Assigned {
    stream: DuplexStream,
    watch: Watch,
}

struct Watch {
    pipe: Arc<Pipe>,
    way: Outgoing,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.pipe.end_work(self.way);
    }
}

fn assign(lane: Lane, work: TakeStream, stream: DuplexStream) -> (Job, Pending<()>) {
    let pipe = stream.pipe();
    pipe.begin_work();
    let assigned = Assigned { stream, watch: Watch { pipe, way: Outgoing::Reset } };
    job_with(lane, move |at_work: Completion<()>| {
        let Assigned { stream, mut watch } = assigned;
        at_work.complete(());
        work(stream);
        watch.way = Outgoing::Shut;
    })
}

impl fmt::Debug for Takeover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let taker = match self.taker {
            Taker::Lane(..) => "lane",
            Taker::Future(_) => "future",
            Taker::Elsewhere(_) => "elsewhere",
        };
        f.debug_struct("Takeover").field("options", &self.options).field("taker", &taker).finish()
    }
}
