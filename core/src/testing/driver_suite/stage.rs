//! Where a case is played: it starts the driver, watches the time, and collects the faults.

use core::time::Duration;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use super::peer::Peer;
use super::{Case, Outcome, Subject};
use crate::flow::{Flow, Protocol};
use crate::info::ConnectionInfo;
use crate::testing::StallWatch;
use crate::testing::probe::{Behaviour, Log, Probe, Seen};
use crate::testing::real_time::{sleep, spawn};
use crate::time::Instant;

/// Starts a driver with a protocol.
pub(super) type Start = Arc<dyn Fn(Arc<dyn Protocol>) -> Box<dyn Subject> + Send + Sync>;

/// Where a case is played.
pub(super) struct Stage {
    start: Start,
    /// What the flows of this case saw.
    pub(super) log: Log,
    /// How late a driver may be.
    tolerance: Duration,
    /// What it is not to be blamed for.
    watch: Arc<StallWatch>,
    step: Arc<Mutex<&'static str>>,
}

impl Stage {
    /// Plays `case` in a thread of its own, so that a driver that hangs costs the suite a bounded time.
    pub(super) fn run(case: Case, start: Start, tolerance: Duration) -> Outcome {
        let (log, step) = (Log::default(), Arc::new(Mutex::new("starting")));
        let watch = Arc::new(StallWatch::start());
        let stage = Self { start, log: log.clone(), tolerance, watch: watch.clone(), step: step.clone() };
        let (report, reported) = mpsc::channel();
        spawn(move || {
            let played = catch_unwind(AssertUnwindSafe(|| (case.play)(&stage)));
            let result = played.unwrap_or_else(|panic| Err(format!("panicked: {}", panic_text(&*panic))));
            // Nobody listens when the case took too long.
            let _ = report.send(result);
        });
        let limit = CASE_LIMIT + 4 * tolerance;
        let result = watch.wait_for(limit, |left| reported.recv_timeout(left).ok()).unwrap_or_else(|| {
            let step = *step.lock().unwrap_or_else(PoisonError::into_inner);
            Err(format!("it stood still for {limit:?} while {step}"))
        });
        let faults = log.seen().faults;
        match result {
            Ok(()) if faults.is_empty() => Ok(()),
            Ok(()) => Err(faults.join("; ")),
            Err(what) if faults.is_empty() => Err(what),
            Err(what) => Err(format!("{what}; {}", faults.join("; "))),
        }
    }

    /// Starts the driver with flows that behave as `make` makes them.
    pub(super) fn serve<B: Behaviour>(
        &self,
        make: impl Fn() -> B + Send + Sync + 'static,
    ) -> Box<dyn Subject> {
        (self.start)(Arc::new(Bring { make, log: self.log.clone() }))
    }

    /// A connection to the driver.
    pub(super) fn connect(&self, subject: &dyn Subject) -> Result<Peer, String> {
        self.step("connecting");
        let peer = subject.connect().map_err(|error| format!("could not connect: {error}"));
        self.step("talking");
        peer
    }

    /// Names what goes on, should it never end.
    pub(super) fn step(&self, what: &'static str) {
        *self.step.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }

    /// Waits until the log says so, no longer than the driver may take.
    pub(super) fn comes_about(&self, mut is_so: impl FnMut(&Seen) -> bool) -> bool {
        let attempt = |left| self.log.wait_until(left, &mut is_so).then_some(());
        self.watch.wait_for(self.tolerance, attempt).is_some()
    }

    /// Waits until a flow set this mark.
    pub(super) fn expect_mark(&self, mark: &'static str) -> Outcome {
        if self.comes_about(|seen| seen.marks.contains(&mark)) {
            return Ok(());
        }
        let seen = self.log.seen();
        Err(format!(
            "within {:?} the flow did not come to \"{mark}\"; it saw {:?}",
            self.tolerance, seen.marks
        ))
    }

    /// Waits until no flow is left.
    pub(super) fn expect_all_over(&self) -> Outcome {
        self.step("waiting for the connections' end");
        if self.comes_about(|seen| seen.connected > 0 && seen.alive == 0) {
            return Ok(());
        }
        let seen = self.log.seen();
        let (alive, connected) = (seen.alive, seen.connected);
        Err(format!("after {:?}, {alive} of {connected} connections had not ended", self.tolerance))
    }

    /// Fails if `since` lies longer back than `due` and the tolerance, or less than `due`.
    pub(super) fn expect_elapsed(&self, since: std::time::Instant, due: Duration, what: &str) -> Outcome {
        let elapsed = since.elapsed();
        if elapsed < due {
            return Err(format!("{what} came after {elapsed:?} and was due after {due:?}"));
        }
        if self.watch.running_since(since) > due + self.tolerance {
            return Err(format!("{what} came after {elapsed:?}, was due after {due:?}: too late"));
        }
        Ok(())
    }

    /// Fails if the driver calls its flow more often than now and then while nothing happens.
    pub(super) fn expect_rest(&self, at_least: Duration) -> Outcome {
        let before = self.log.seen().runs;
        sleep(at_least);
        let runs = self.log.seen().runs - before;
        if runs > MAX_IDLE_RUNS {
            return Err(format!(
                "nothing happened, and within {at_least:?} the driver ran the flow {runs} times"
            ));
        }
        Ok(())
    }
}

struct Bring<M> {
    make: M,
    log: Log,
}

impl<B: Behaviour, M: Fn() -> B + Send + Sync + 'static> Protocol for Bring<M> {
    fn connect(&self, _info: ConnectionInfo, now: Instant) -> Box<dyn Flow> {
        Box::new(Probe::new((self.make)(), self.log.clone(), now))
    }
}

fn panic_text(panic: &(dyn core::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("with no message")
}

/// The longest that a case may take beside its tolerances.
const CASE_LIMIT: Duration = Duration::from_secs(10);

/// Runs that a driver may spend on a flow that stands still: enough for one that looks now and then, too few for one
/// that spins.
const MAX_IDLE_RUNS: usize = 20;
