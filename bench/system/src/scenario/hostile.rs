//! Peers that mean no good: heads that never end, answers that nobody reads. What they cost in memory, whether they are cut
//! off, and what those notice who behave.

use std::io;
use std::time::{Duration, Instant};

use super::Setting;
use crate::load::{Ask, LoadProcess, Pace, Spec};
use crate::metric::{self, Turn};
use crate::process::Server;
use crate::servers::Engine;

/// Of those that behave.
const RATE: u32 = 2_000;
const CONNECTIONS: usize = 64;
/// What each half head sends.
const HALF_BYTES: usize = 1_024;
/// GETs in one piece, by a client that reads none of the answers: more than the sockets between them take.
const UNREAD_REQUESTS: usize = 20_000;
/// Clients that never read.
const UNREAD_CLIENTS: usize = 32;
pub(super) fn measure(engine: &Engine, setting: &Setting) -> io::Result<Turn> {
    let server = super::start(engine, setting, CONNECTIONS + setting.hostile + UNREAD_CLIENTS)?;
    let mut good =
        LoadProcess::ready(&spec(&server, Ask::Get { pipelined: 1 }, CONNECTIONS, Pace::Rate(RATE)))?;
    good.run(setting.window / 5)?;
    let alone = good.run(setting.window)?;

    let before = server.memory()?;
    let half = LoadProcess::ready(&spec(
        &server,
        Ask::HalfHead { bytes: HALF_BYTES },
        setting.hostile,
        Pace::Closed,
    ))?;
    let beside_half = good.run(setting.window)?;
    let half_bytes =
        server.memory()?.saturating_sub(before) as f64 / setting.hostile as f64 - HALF_BYTES as f64;
    drop(half);

    let before = server.memory()?;
    let begun = Instant::now();
    let ask = Ask::Unread { requests: UNREAD_REQUESTS };
    let mut unread = LoadProcess::ready(&spec(&server, ask, UNREAD_CLIENTS, Pace::Closed))?;
    let beside_unread = good.run(setting.window)?;
    let unread_bytes = server.memory()?.saturating_sub(before) as f64 / UNREAD_CLIENTS as f64;
    let mut cut_off = 0;
    while cut_off < UNREAD_CLIENTS as u64 && begun.elapsed() < setting.cut_off_within {
        cut_off += unread.run(Duration::from_millis(500))?.cut_off;
    }

    let beside = beside_half.latency.p99.max(beside_unread.latency.p99);
    Ok(vec![
        (metric::HALF, half_bytes.max(0.0)),
        (metric::UNREAD, unread_bytes),
        (metric::CUT_OFF, cut_off as f64 / UNREAD_CLIENTS as f64),
        (metric::P99_ALONE, alone.latency.p99),
        (metric::P99_BESIDE, beside),
        (metric::P99_RATIO, beside / alone.latency.p99.max(1.0)),
        (metric::ERRORS, (alone.errors + beside_half.errors + beside_unread.errors) as f64),
    ])
}

fn spec(server: &Server, ask: Ask, connections: usize, pace: Pace) -> Spec {
    Spec { address: server.address(), source: None, connections, active: connections, ask, pace }
}
