//! What a connection holds that has been served and waits for its next request.

use std::hint::black_box;

use anabranch_core::Protocol;

use crate::alloc::counted;
use crate::engine::{Engine, EngineKind, Sink, axum, ours};
use crate::scenario::Scenario;

const CONNECTIONS: usize = 1000;

/// Bytes a connection, the driver's handle included.
pub struct Idle {
    pub engine: &'static str,
    pub bytes: f64,
}

pub fn idle() -> Vec<Idle> {
    let scenario = &Scenario::all()[0];
    vec![
        ours_idle(scenario, EngineKind::Ours, &ours::protocol()),
        ours_idle(scenario, EngineKind::Tower, &axum::protocol()),
        peer_idle(scenario, EngineKind::HttpNet),
        peer_idle(scenario, EngineKind::Hyper),
        peer_idle(scenario, EngineKind::Axum),
    ]
}

/// Ours borrows what it needs while busy from its driver's thread: that is counted once, not here.
fn ours_idle(scenario: &Scenario, kind: EngineKind, protocol: &impl Protocol) -> Idle {
    let mut thread = ours::Thread::new();
    let mut sink = Sink::default();
    thread.exchange(&mut *thread.connect(protocol), scenario.input(), &mut sink);
    let mut connections = Vec::with_capacity(CONNECTIONS);
    let allocated = counted(|| {
        for _ in 0..CONNECTIONS {
            let mut flow = thread.connect(protocol);
            thread.exchange(&mut *flow, scenario.input(), &mut sink);
            connections.push(flow);
        }
    });
    let handle = size_of_val(&connections[0]);
    black_box(&connections);
    Idle { engine: kind.name(), bytes: allocated.live as f64 / CONNECTIONS as f64 + handle as f64 }
}

fn peer_idle(scenario: &Scenario, kind: EngineKind) -> Idle {
    let mut connections: Vec<Box<dyn Engine>> = Vec::with_capacity(CONNECTIONS);
    let allocated = counted(|| {
        for _ in 0..CONNECTIONS {
            let mut engine = kind.start();
            engine.converse(scenario);
            connections.push(engine);
        }
    });
    black_box(&connections);
    Idle { engine: kind.name(), bytes: allocated.live as f64 / CONNECTIONS as f64 }
}
