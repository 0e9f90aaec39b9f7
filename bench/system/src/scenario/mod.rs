//! What is measured: loads of several kinds, each with what a server must be able to do to take part.

mod closed;
mod held;
mod hostile;
pub mod overload;
mod rate;

use std::io;
use std::time::Duration;

use crate::load::Ask;
use crate::metric::{self, Metric, Turn};
use crate::process::Server;
use crate::servers::{Can, Engine};
use crate::syscalls::Counter;

pub struct Scenario {
    pub name: &'static str,
    pub title: &'static str,
    needs: &'static [Can],
    what: What,
    /// Which figures are shown beside those of the best peer and of the limit.
    pub compared: &'static [Metric],
}

enum What {
    /// Each connection asks as soon as it was answered.
    Closed { ask: Ask, connections: usize },
    /// So often a second, whatever comes back.
    Rate { rate: u32, connections: usize },
    /// Connections that ask once.
    Idle { connections: usize },
    /// Many held, some of them active.
    Held,
    /// Lanes that are asked for more than they bear.
    Overload,
    /// Peers that mean no good.
    Hostile,
}

/// How a run is set up.
#[derive(Clone)]
pub struct Setting {
    pub threads: usize,
    pub window: Duration,
    /// Connections of the scenarios that hold many.
    pub idle: usize,
    pub held: usize,
    pub active: usize,
    pub hostile: usize,
    /// How long to wait for those that never read to be cut off: ours are, after 10 s.
    pub cut_off_within: Duration,
    pub rate: u32,
    pub counter: Option<Counter>,
}

const REQUESTS_AND_CPU: &[Metric] = &[metric::REQUESTS, metric::CPU];

pub fn all(setting: &Setting) -> Vec<Scenario> {
    let closed = |name, title, needs, ask, connections| Scenario {
        name,
        title,
        needs,
        what: What::Closed { ask, connections },
        compared: REQUESTS_AND_CPU,
    };
    let other = |name, title, needs, what, compared| Scenario { name, title, needs, what, compared };
    let get = |pipelined| Ask::Get { pipelined };
    let &Setting { idle, rate, .. } = setting;
    vec![
        closed("get", "keep-alive GET, 64 connections", &[], get(1), 64),
        closed("get-varied", "keep-alive GET in three spellings, 64 connections", &[], Ask::Varied, 64),
        closed("get-512", "keep-alive GET, 512 connections", &[], get(1), 512),
        closed("pipelined", "16 pipelined GETs, 64 connections", &[Can::Pipeline, Can::Scale], get(16), 64),
        closed("echo", "POST echo 1 KiB, 64 connections", &[Can::Echo], Ask::Echo { bytes: 1024 }, 64),
        closed(
            "stream",
            "POST echo 1 MiB, streamed, 8 connections",
            &[Can::Stream],
            Ask::Echo { bytes: 1 << 20 },
            8,
        ),
        closed("close", "a connection a request, 64 at a time", &[Can::Close, Can::Scale], Ask::Close, 64),
        other(
            "rate",
            "a fixed rate, 64 connections",
            &[Can::Scale],
            What::Rate { rate, connections: 64 },
            &[metric::P50, metric::P99],
        ),
        other(
            "idle",
            "idle keep-alive connections",
            &[Can::Hold, Can::Scale],
            What::Idle { connections: idle },
            &[metric::CONNECTION],
        ),
        other(
            "held",
            "many connections held, some of them active",
            &[Can::Hold, Can::Share, Can::Scale],
            What::Held,
            &[metric::CONNECTION, metric::CPU],
        ),
        closed(
            "deferred",
            "every request on the slow path, 64 connections",
            &[Can::Defer, Can::Scale],
            Ask::Deferred,
            64,
        ),
        other("overload", "twice the load that the lanes bear", &[Can::Refuse], What::Overload, &[]),
        other("hostile", "peers that mean no good", &[Can::Hold], What::Hostile, &[]),
    ]
}

impl Scenario {
    pub fn takes(&self, engine: &Engine) -> bool {
        self.needs.iter().all(|need| engine.can.contains(need))
    }

    /// One turn: a fresh server, a warm-up, a window.
    pub fn measure(&self, engine: &Engine, setting: &Setting) -> io::Result<Turn> {
        match self.what {
            What::Closed { ask, connections } => closed::measure(ask, connections, engine, setting),
            What::Rate { rate, connections } => rate::measure(rate, connections, engine, setting),
            What::Idle { connections } => held::measure_idle(connections, engine, setting),
            What::Held => held::measure_held(engine, setting),
            What::Overload => overload::measure(engine, setting),
            What::Hostile => hostile::measure(engine, setting),
        }
    }

    /// What is counted in a turn of its own, because counting slows the server down.
    pub fn count(&self, engine: &Engine, setting: &Setting) -> io::Result<Turn> {
        match (&self.what, setting.counter) {
            (What::Closed { ask, connections }, Some(counter)) => {
                closed::count(*ask, *connections, engine, setting, counter)
            }
            _ => Ok(Turn::new()),
        }
    }
}

/// A server for a load of so many connections.
fn start(engine: &Engine, setting: &Setting, connections: usize) -> io::Result<Server> {
    Server::start(engine, setting.threads, connections, 1)
}
