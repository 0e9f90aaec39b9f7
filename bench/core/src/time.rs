//! Nanoseconds: short rounds of every engine in turn, so that whatever else the machine does falls on all of them.

use std::hint::black_box;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::engine::{Engine, EngineKind};
use crate::scenario::Scenario;

const ROUNDS: usize = 31;
const ROUND: Duration = Duration::from_millis(4);

/// The median nanoseconds a request, of each engine.
pub fn nanoseconds(scenario: &Scenario, engines: &[EngineKind]) -> Vec<f64> {
    let mut running: Vec<_> = engines.iter().map(|kind| Running::new(*kind, scenario)).collect();
    for _ in 0..ROUNDS {
        for engine in &mut running {
            let taken = engine.round(scenario).as_nanos() as f64;
            engine.samples.push(taken / (engine.count * scenario.requests) as f64);
        }
    }
    running.iter_mut().map(|engine| median(&mut engine.samples)).collect()
}

struct Running {
    engine: Box<dyn Engine>,
    count: usize,
    samples: Vec<f64>,
}

impl Running {
    fn new(kind: EngineKind, scenario: &Scenario) -> Self {
        let mut running = Self { engine: kind.start(), count: 1, samples: Vec::with_capacity(ROUNDS) };
        // As many conversations as fill a round.
        while running.round(scenario) < ROUND {
            running.count *= 2;
        }
        running
    }

    fn round(&mut self, scenario: &Scenario) -> Duration {
        let start = cpu_time();
        for _ in 0..self.count {
            black_box(self.engine.converse(black_box(scenario)));
        }
        cpu_time() - start
    }
}

/// The processor time of this thread: what others do on the machine meanwhile is no part of it.
pub fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    // A thread's processor time is never negative.
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

pub fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}
