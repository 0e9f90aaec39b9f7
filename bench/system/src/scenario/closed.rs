//! Each connection asks as soon as it was answered: what a request costs when there is always another.

use std::io;
use std::time::Duration;

use super::Setting;
use crate::load::{Ask, Done, LoadProcess, Pace, Spec};
use crate::metric::{self, Turn};
use crate::process::{Server, Used};
use crate::servers::Engine;
use crate::syscalls::Counter;

pub(super) fn measure(ask: Ask, connections: usize, engine: &Engine, setting: &Setting) -> io::Result<Turn> {
    let (server, mut load) = begin(ask, connections, engine, setting)?;
    load.run(setting.window / 5)?;
    let before = server.usage()?;
    let done = load.run(setting.window)?;
    let used = server.usage()?.since(before);
    let mut turn = costs(&done, used);
    turn.extend([
        (metric::MEMORY, server.memory()? as f64 / f64::from(1 << 20)),
        (metric::CLIENT, done.cpu_micros / done.requests.max(1) as f64),
        (metric::CLIENT_BUSY, done.cpu_micros / 1e6 / done.seconds),
        (metric::ERRORS, done.errors as f64),
    ]);
    Ok(turn)
}

/// The same, under a tool that counts system calls.
pub(super) fn count(
    ask: Ask,
    connections: usize,
    engine: &Engine,
    setting: &Setting,
    counter: Counter,
) -> io::Result<Turn> {
    let (server, mut load) = begin(ask, connections, engine, setting)?;
    load.run(Duration::from_millis(100))?;
    let counting = counter.begin(&server.pids())?;
    let done = load.run(setting.window.min(Duration::from_millis(500)))?;
    let calls = counting.end()?;
    Ok(vec![(metric::CALLS, calls as f64 / done.requests.max(1) as f64)])
}

fn begin(
    ask: Ask,
    connections: usize,
    engine: &Engine,
    setting: &Setting,
) -> io::Result<(Server, LoadProcess)> {
    let server = super::start(engine, setting, connections)?;
    let address = server.address();
    let load = LoadProcess::ready(&Spec {
        address,
        source: None,
        connections,
        active: connections,
        ask,
        pace: Pace::Closed,
    })?;
    Ok((server, load))
}

/// What each request cost the server.
pub(super) fn costs(done: &Done, used: Used) -> Turn {
    let requests = (done.requests + done.refused).max(1) as f64;
    let micros = |time: Duration| time.as_secs_f64() * 1e6 / requests;
    vec![
        (metric::REQUESTS, done.requests as f64 / done.seconds),
        (metric::CPU, micros(used.cpu)),
        (metric::USER, micros(used.user)),
        (metric::KERNEL, micros(used.cpu.saturating_sub(used.user))),
        (metric::SWITCHES, used.switches as f64 / requests),
    ]
}
