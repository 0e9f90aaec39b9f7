//! One loop that owns all connections, and workers that take their turns.

use std::io;
use std::sync::Arc;

use anabranch_std::Listener;
use anabranch_std::host::{Host, Ring};

use super::Doorway;
use super::supervise::supervise;
use crate::config::Config;
use crate::reactor::Hands;
use crate::workers::{Work, work};

/// How many connections may wait for a worker; beyond that they wait in the loop.
const WAITING: usize = 1024;

pub(super) fn start(
    host: &Arc<Host>,
    config: &Config,
    listeners: Vec<Arc<Listener>>,
    workers: usize,
) -> io::Result<()> {
    let ring = Arc::new(Ring::new(WAITING));
    let read_bytes = config.read_bytes;
    // Gone with the loop's thread: the workers then find the end of the ring.
    let closing = Closing(ring.clone());
    let doors = Doorway::new(listeners);
    let parts = move || (doors.source(), Hands::Workers(closing.0.clone()));
    supervise(host, "loop", read_bytes, || {}, parts)?;
    for number in 1..=workers {
        let (ring, host) = (ring.clone(), host.clone());
        host.clone().spawn(format_args!("w{number}"), move || work(&host, &ring, read_bytes))?;
    }
    Ok(())
}

struct Closing(Arc<Ring<Work>>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}
