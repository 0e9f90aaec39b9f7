//! Stages with threads of their own: those that accept, those of the network, and the lanes.
//!
//! ```text
//!   accept ── by mail, round robin ──► network: a loop that keeps its connections ── jobs ──► lane (a ring, threads)
//!                                          ▲                                                     │
//!                                          └────────────── by mail, one wake for a batch ────────┘
//! ```

use std::io;
use std::sync::Arc;

use anabranch_std::host::{Admitted, Host, Placement};
use anabranch_std::{Blocking, Listener};

use super::supervise::supervise;
use crate::acceptors;
use crate::config::Config;
use crate::inlet::Inlet;
use crate::reactor::{Hands, Source};

pub(super) fn start(
    host: &Arc<Host>,
    config: &Config,
    listeners: &[Arc<Listener>],
    accepting: usize,
    network: usize,
) -> io::Result<()> {
    let stage = Arc::new(Stage((0..network).map(|_| Arc::default()).collect()));
    for (number, inlet) in stage.0.iter().enumerate() {
        let inlet: Arc<Inlet> = inlet.clone();
        supervise(
            host,
            format_args!("net{}", number + 1),
            config.read_bytes,
            || {},
            move || (Source::Mail(inlet.clone()), Hands::Own),
        )?;
    }
    acceptors::start(host, listeners, accepting, |number| Spread { stage: stage.clone(), next: number })
}

/// The ways into the network threads. Closed with the last acceptor.
struct Stage(Vec<Arc<Inlet>>);

impl Drop for Stage {
    fn drop(&mut self) {
        self.0.iter().for_each(|inlet| inlet.close());
    }
}

/// Gives each network thread its turn.
struct Spread {
    stage: Arc<Stage>,
    next: usize,
}

impl Placement for Spread {
    const BLOCKING: Blocking = Blocking::No;

    fn place(&mut self, admitted: Admitted, _: &mut dyn FnMut()) {
        self.next = (self.next + 1) % self.stage.0.len();
        self.stage.0[self.next].put(admitted);
    }
}
