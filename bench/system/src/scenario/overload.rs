//! Twice the load that the lanes bear: what is refused, how soon, and what those notice who ask for nothing slow.
//!
//! They are compared with themselves twice: alone, and while another server of the same kind bears the load, on the same
//! processors. On a machine that lets idle processors sleep deeply they are slower alone than in company.

use std::io;
use std::time::Duration;

use super::Setting;
use crate::load::{Ask, LoadProcess, Pace, Spec};
use crate::metric::{self, Turn};
use crate::process::Server;
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
    let start = || super::start(engine, setting, FAST_CONNECTIONS + SLOW_CONNECTIONS);
    let server = start()?;
    let spec = |server: &Server, ask, connections, rate| Spec {
        address: server.address(),
        source: None,
        connections,
        active: connections,
        ask,
        pace: Pace::Rate(rate),
    };
    let slow_for = |server: &Server| {
        let mut slow = LoadProcess::ready(&spec(server, Ask::Work, SLOW_CONNECTIONS, SLOW_RATE))?;
        slow.run(Duration::from_millis(300))?;
        io::Result::Ok(slow)
    };
    let mut fast =
        LoadProcess::ready(&spec(&server, Ask::Get { pipelined: 1 }, FAST_CONNECTIONS, FAST_RATE))?;
    fast.run(setting.window / 5)?;
    let mut both = |slow: &mut LoadProcess| {
        slow.begin(setting.window)?;
        fast.begin(setting.window)?;
        io::Result::Ok((fast.done()?, slow.done()?))
    };

    let (elsewhere, _) = {
        let other = start()?;
        both(&mut slow_for(&other)?)?
    };
    let mut slow = slow_for(&server)?;
    let before = server.memory()?;
    let (beside, work) = both(&mut slow)?;
    let grown = server.memory()?.saturating_sub(before);
    drop(slow);
    let alone = fast.run(setting.window)?;
    let unloaded = alone.latency.p99.min(elsewhere.latency.p99).max(1.0);
    Ok(vec![
        (metric::P99_ALONE, alone.latency.p99),
        (metric::P99_ELSEWHERE, elsewhere.latency.p99),
        (metric::P99_BESIDE, beside.latency.p99),
        (metric::P99_RATIO, beside.latency.p99 / unloaded),
        (metric::SERVED, work.requests as f64 / work.seconds),
        (metric::REFUSED, work.refused as f64 / work.seconds),
        (metric::REFUSED_P99, work.refused_latency.p99),
        (metric::GROWTH, grown as f64 / f64::from(1 << 20)),
        (metric::ERRORS, (alone.errors + elsewhere.errors + beside.errors + work.errors) as f64),
    ])
}
