//! Connections that are there and ask nothing: what each of them takes of memory, and what the others then cost.
//!
//! One process may not open files without end: servers and loads are as many processes as it takes, the servers on one port
//! that they share, the loads each from an address of its own (127.0.0.2, 127.0.0.3, …), which has ports of its own.

use std::io;
use std::net::Ipv4Addr;
use std::thread;
use std::time::Duration;

use super::{Setting, closed};
use crate::load::{Ask, Done, LoadProcess, Pace, Spec};
use crate::metric::{self, Turn};
use crate::process::{Server, open_files};
use crate::servers::Engine;

pub(super) fn measure_idle(connections: usize, engine: &Engine, setting: &Setting) -> io::Result<Turn> {
    let server = super::start(engine, setting, connections)?;
    let _warm = warm(&server)?;
    let before = server.memory()?;
    let mut loads = hold(&server, connections, 0)?;
    settle();
    let grown = server.memory()?.saturating_sub(before);
    let mut lost = 0;
    for load in &mut loads {
        lost += load.run(Duration::from_millis(100))?.errors;
    }
    Ok(vec![(metric::CONNECTION, grown as f64 / connections as f64), (metric::LOST, lost as f64)])
}

pub(super) fn measure_held(engine: &Engine, setting: &Setting) -> io::Result<Turn> {
    let &Setting { held, active, threads, .. } = setting;
    // The kernel shares connections out by chance: some processes have more than others.
    let processes = held.div_ceil(open_files() / 5 * 4).max(1);
    let server = Server::start(engine, threads, held, processes)?;
    let _warm = warm(&server)?;
    let before = server.memory()?;
    let mut loads = hold(&server, held, active)?;
    settle();
    let grown = server.memory()?.saturating_sub(before);

    let mut all = |window: Duration| -> io::Result<Vec<Done>> {
        for load in &mut loads {
            load.begin(window)?;
        }
        loads.iter_mut().map(LoadProcess::done).collect()
    };
    all(setting.window / 5)?;
    let usage = server.usage()?;
    let dones = all(setting.window)?;
    let used = server.usage()?.since(usage);

    let mut sum = Done::default();
    for done in dones {
        sum.requests += done.requests;
        sum.errors += done.errors;
        sum.cpu_micros += done.cpu_micros;
        sum.seconds = sum.seconds.max(done.seconds);
    }
    let mut turn = vec![(metric::CONNECTION, grown as f64 / held as f64)];
    turn.extend(closed::costs(&sum, used));
    turn.extend([
        (metric::CLIENT_BUSY, sum.cpu_micros / 1e6 / sum.seconds),
        (metric::LOST, sum.errors as f64),
    ]);
    Ok(turn)
}

/// A few connections first: what a server allots once is no connection's.
fn warm(server: &Server) -> io::Result<LoadProcess> {
    let mut load = LoadProcess::ready(&Spec {
        address: server.address(),
        source: None,
        connections: 64,
        active: 64,
        ask: Ask::Get { pipelined: 1 },
        pace: Pace::Closed,
    })?;
    load.run(Duration::from_millis(200))?;
    Ok(load)
}

/// So many connections, each of which has asked once.
fn hold(server: &Server, connections: usize, active: usize) -> io::Result<Vec<LoadProcess>> {
    let processes = connections.div_ceil(open_files().min(28_000) / 10 * 9).max(1);
    let mut loads = Vec::new();
    for number in 0..processes {
        let share = |all: usize| all * (number + 1) / processes - all * number / processes;
        let mut load = LoadProcess::start(&Spec {
            address: server.address(),
            source: u8::try_from(number + 2).ok().map(|last| Ipv4Addr::new(127, 0, 0, last)),
            connections: share(connections),
            active: share(active),
            ask: Ask::Get { pipelined: 1 },
            pace: Pace::Closed,
        })?;
        // One after another: together they would be more than a server lets wait.
        load.await_ready()?;
        loads.push(load);
    }
    Ok(loads)
}

/// Long enough to give back what was lent.
fn settle() {
    thread::sleep(Duration::from_millis(500));
}
