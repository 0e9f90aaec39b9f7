//! Model `staged` with shared ownership: connections belong to no thread, and whichever is idle takes the next event.
//!
//! ```text
//!   accept ─► a place, and one epoll instance for all (EPOLLONESHOT) ──► any idle network thread: a turn
//!                 ▲                                                          │
//!                 └── armed again, for what the flow waits for ──────────────┤
//!   lanes, wakers ─► the queue of those that are wanted ─────────────────────┤
//!   clock ── deadlines ─► the queue ─────────────────────────────────────────┘
//! ```
//!
//! That an event is given to one thread and no more until it is asked for again is what keeps two threads from one
//! connection; the price is a system call more a turn. What comes otherwise (a wake, a deadline, a drain) goes through the
//! place's claim: see [`entry`].

mod entry;
mod network;
mod pool;

use std::io;
use std::sync::Arc;

use anabranch_std::host::{Admitted, Host, Placement};
use anabranch_std::{Blocking, Listener};

use crate::acceptors;
use crate::config::Config;
use pool::Pool;

pub(crate) fn start(
    host: &Arc<Host>,
    config: &Config,
    listeners: &[Arc<Listener>],
    accepting: usize,
    network: usize,
) -> io::Result<()> {
    let admitted = config.server.max_connections.saturating_add(config.server.max_refusals);
    // A connection's end is told before its place is free: each thread may be about to free one.
    let most = admitted.saturating_add(network);
    let pool = Arc::new(Pool::new(host.clone(), most)?);
    host.hang(pool.clone());
    // Gone with the last acceptor: no more connections come.
    let inlet = Arc::new(Inlet(pool.clone()));
    for number in 1..=network {
        let (pool, read_bytes) = (pool.clone(), config.read_bytes);
        host.spawn(format_args!("net{number}"), move || network::run(&pool, read_bytes))?;
    }
    host.spawn("clock", move || pool.keep_time())?;
    acceptors::start(host, listeners, accepting, |_| Put(inlet.clone()))
}

struct Inlet(Arc<Pool>);

impl Drop for Inlet {
    fn drop(&mut self) {
        self.0.close();
    }
}

struct Put(Arc<Inlet>);

impl Placement for Put {
    const BLOCKING: Blocking = Blocking::No;

    fn place(&mut self, admitted: Admitted, _: &mut dyn FnMut()) {
        self.0.0.put(admitted);
    }
}
