//! Holds a driver of yours to the laws: flows that judge it from inside, and peers that talk to it from outside.
//!
//! ```text
//!            ┌────────────────────── the suite ──────────────────────┐
//!            │                                                       │
//!          Peer ── bytes ── transport ── your driver ── calls ── a Flow that judges
//!            │         (sockets, pipes)      ▲                       │
//!            └── "it should answer in time"  │   "read was called while I said Yield"
//!                                  wakes, jobs, deadlines,
//!                                  drain, abort
//! ```
//!
//! The suite knows nothing of how a driver works: blocking threads, a poll loop, an edge-triggered reactor, a completion
//! ring and a set of tasks are all started with a [`Protocol`] and reached by a [`Peer`]. It opens one
//! connection at a time, so that a driver that serves one at a time passes too.
//!
//! ```no_run
//! use anabranch_core::Protocol;
//! use anabranch_core::testing::driver_suite::{self, Peer, Subject};
//! use std::{io, net, sync::Arc};
//!
//! /// A server of yours, started on a port of the loopback.
//! struct Mine {
//!     address: net::SocketAddr,
//!     // ... whatever stops it when this is dropped
//! }
//!
//! impl Subject for Mine {
//!     fn connect(&self) -> io::Result<Peer> {
//!         Peer::tcp(net::TcpStream::connect(self.address)?)
//!     }
//!     fn drain(&self) { /* tell it to drain its connections */ }
//!     fn abort(&self) { /* tell it to abort them */ }
//! }
//!
//! # fn start_mine(protocol: Arc<dyn Protocol>) -> Mine { unimplemented!() }
//! driver_suite::run(|protocol| Box::new(start_mine(protocol))).assert_all();
//! ```

mod ending;
mod moving;
mod peer;
mod stage;
mod time;
mod waking;

use core::fmt;
use core::time::Duration;
use std::io;
use std::sync::Arc;

pub use peer::Peer;
use stage::{Stage, Start};

use crate::flow::Protocol;

/// A driver under test: a server that was started with the suite's protocol. Dropping it stops the server.
pub trait Subject: Send {
    /// A new connection to it.
    ///
    /// # Errors
    /// Whatever keeps it from being made; the case fails with it.
    fn connect(&self) -> io::Result<Peer>;

    /// Drains every connection it has. Must not wait for them.
    fn drain(&self);

    /// Aborts every connection it has. Must not wait for them.
    fn abort(&self);
}

/// Runs every case against the driver that `start` starts, anew for each, with a tolerance of a second.
pub fn run(start: impl Fn(Arc<dyn Protocol>) -> Box<dyn Subject> + Send + Sync + 'static) -> Report {
    DriverSuite::new(start).run()
}

/// The suite, to be set before it runs.
#[must_use = "a suite does nothing until it is run"]
pub struct DriverSuite {
    start: Start,
    tolerance: Duration,
    only: Option<&'static str>,
}

impl DriverSuite {
    /// The suite for the driver that `start` starts.
    pub fn new(start: impl Fn(Arc<dyn Protocol>) -> Box<dyn Subject> + Send + Sync + 'static) -> Self {
        Self { start: Arc::new(start), tolerance: Duration::from_secs(1), only: None }
    }

    /// How late a driver may be: with a deadline, a wake, a drain, a close. By default a second. What the machine stood still
    /// for is not counted (see [`StallWatch`](super::StallWatch)).
    pub const fn tolerance(mut self, tolerance: Duration) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Runs but the cases whose name contains `part`.
    pub const fn only(mut self, part: &'static str) -> Self {
        self.only = Some(part);
        self
    }

    /// Runs the cases, one after the other. Takes some seconds, most of them asleep.
    pub fn run(self) -> Report {
        let cases = [moving::CASES, waking::CASES, time::CASES, ending::CASES].concat();
        let wanted = |case: &Case| self.only.is_none_or(|part| case.name.contains(part));
        let results = cases.into_iter().filter(wanted).map(|case| {
            let result = Stage::run(case, self.start.clone(), self.tolerance);
            (case.name, result)
        });
        Report { results: results.collect() }
    }
}

impl fmt::Debug for DriverSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DriverSuite").field("tolerance", &self.tolerance).finish_non_exhaustive()
    }
}

/// What came of each case. `Display` gives a line a case.
#[derive(Clone, Debug)]
#[must_use = "a report says whether the driver passed"]
pub struct Report {
    /// The name of each case, and what went wrong if anything did.
    pub results: Vec<(&'static str, Result<(), String>)>,
}

impl Report {
    /// Whether every case passed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.results.iter().all(|(_, result)| result.is_ok())
    }

    /// # Panics
    /// When a case failed, or none was run; the message has a line for each that did.
    #[track_caller]
    pub fn assert_all(&self) {
        assert!(!self.results.is_empty(), "no case was run");
        assert!(self.passed(), "the driver does not keep the laws:\n{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, result) in &self.results {
            match result {
                Ok(()) => writeln!(f, "  ok      {name}")?,
                Err(what) => writeln!(f, "  FAILED  {name}: {what}")?,
            }
        }
        let failed = self.results.iter().filter(|(_, result)| result.is_err()).count();
        write!(f, "  {} of {} cases passed", self.results.len() - failed, self.results.len())
    }
}

/// A scene between a peer and a flow.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    play: fn(&Stage) -> Outcome,
}

/// `Err` says what went wrong.
type Outcome = Result<(), String>;

/// A list of cases, each named as its function.
macro_rules! cases {
    ($($name:ident),+ $(,)?) => {
        &[$(super::Case { name: stringify!($name), play: $name }),+]
    };
}
use cases;
