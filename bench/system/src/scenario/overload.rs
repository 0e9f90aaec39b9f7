//! Twice the load that the lanes bear: what is refused, how soon, and what those notice who ask for nothing slow.

use std::io;
use std::time::Duration;

use super::Setting;
use crate::load::{Ask, LoadProcess, Pace, Spec};
use crate::metric::{self, Turn};
use crate::servers::Engine;

/// Threads of the lane, what may wait for them, and for how long a request holds one, in microseconds: it sleeps, as work
/// does that waits for something else, so that the lane is short of threads and not of a processor that all share.
pub const LANE_THREADS: usize = 4;
pub const LANE_QUEUE: usize = 64;
pub const WORK: u64 = 1_000;

/// Of those that ask for nothing slow.
const FAST_RATE: u32 = 2_000;
/// Twice what the threads can do if each did nothing else.
const SLOW_RATE: u32 = (2 * LANE_THREADS as u64 * 1_000_000 / WORK) as u32;
const FAST_CONNECTIONS: usize = 64;
/// More than the lane takes, at a time.
const SLOW_CONNECTIONS: usize = 512;

pub(super) fn measure(engine: &Engine, setting: &Setting) -> io::Result<Turn> {
    let server = super::start(engine, setting, FAST_CONNECTIONS + SLOW_CONNECTIONS)?;
    let spec = |ask, connections, rate| Spec {
        address: server.address(),
        source: None,
        connections,
        active: connections,
        ask,
        pace: Pace::Rate(rate),
    };
    let mut fast = LoadProcess::ready(&spec(Ask::Get { pipelined: 1 }, FAST_CONNECTIONS, FAST_RATE))?;
    let mut slow = LoadProcess::ready(&spec(Ask::Work, SLOW_CONNECTIONS, SLOW_RATE))?;
    fast.run(setting.window / 5)?;
    let alone = fast.run(setting.window)?;

    slow.run(Duration::from_millis(300))?;
    let before = server.memory()?;
    slow.begin(setting.window)?;
    fast.begin(setting.window)?;
    let (beside, work) = (fast.done()?, slow.done()?);
    let grown = server.memory()?.saturating_sub(before);
    Ok(vec![
        (metric::P99_ALONE, alone.latency.p99),
        (metric::P99_BESIDE, beside.latency.p99),
        (metric::P99_RATIO, beside.latency.p99 / alone.latency.p99.max(1.0)),
        (metric::SERVED, work.requests as f64 / work.seconds),
        (metric::REFUSED, work.refused as f64 / work.seconds),
        (metric::REFUSED_P99, work.refused_latency.p99),
        (metric::GROWTH, grown as f64 / f64::from(1 << 20)),
        (metric::ERRORS, (alone.errors + beside.errors + work.errors) as f64),
    ])
}
