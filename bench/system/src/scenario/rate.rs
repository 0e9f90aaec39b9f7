//! So many requests a second, whether answers come or not: how long a request takes when the server is not saturated.
//! Latency counts from the time at which a request should have gone out, so that a server that is late for one is late for
//! those that waited behind it.

use std::io;
use std::time::Duration;

use super::{Setting, closed};
use crate::load::{Ask, LoadProcess, Pace, Spec};
use crate::metric::{self, Turn};
use crate::servers::Engine;

pub(super) fn measure(rate: u32, connections: usize, engine: &Engine, setting: &Setting) -> io::Result<Turn> {
    let server = super::start(engine, setting, connections)?;
    let mut load = LoadProcess::ready(&Spec {
        address: server.address(),
        source: None,
        connections,
        active: connections,
        ask: Ask::Get { pipelined: 1 },
        pace: Pace::Rate(rate),
    })?;
    load.run(setting.window / 5)?;
    let before = server.usage()?;
    let done = load.run(setting.window)?;
    let used = server.usage()?.since(before);
    // What it was asked for is no finding.
    let mut turn: Turn =
        closed::costs(&done, used).into_iter().filter(|(metric, _)| *metric != metric::REQUESTS).collect();
    let latency = done.latency;
    turn.splice(0..0, [(metric::P50, latency.p50), (metric::P99, latency.p99), (metric::P999, latency.p999)]);
    turn.extend([
        (metric::LAG, done.lag.p99),
        (
            metric::CLIENT_BUSY,
            done.cpu_micros / 1e6 / done.seconds.max(Duration::from_millis(1).as_secs_f64()),
        ),
        (metric::ERRORS, done.errors as f64),
    ]);
    Ok(turn)
}
