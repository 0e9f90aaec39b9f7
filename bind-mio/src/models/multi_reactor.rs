//! A loop a core. Where a listener can have siblings (SO_REUSEPORT), each loop has its own and the kernel shares
//! connections out among them; otherwise all loops accept from the one, and whoever comes first has the connection.

use std::io;
use std::sync::Arc;

use anabranch_std::Listener;
use anabranch_std::host::Host;

use super::Doorway;
use super::pinning::pin;
use super::supervise::supervise;
use crate::config::{Config, Pinning};
use crate::reactor::Hands;

pub(super) fn start(
    host: &Arc<Host>,
    config: &Config,
    listeners: &[Arc<Listener>],
    loops: usize,
    pinning: Pinning,
) -> io::Result<()> {
    // All are bound before the first loop runs: what is bound later would take from the queues of those before it.
    let mut doorways = vec![Doorway::new(listeners.to_vec())];
    for _ in 1..loops {
        let own = |listener: &Arc<Listener>| {
            if listener.is_shared() { listener.sibling().map(Arc::new) } else { Ok(listener.clone()) }
        };
        doorways.push(Doorway::new(listeners.iter().map(own).collect::<io::Result<_>>()?));
    }
    for (number, doors) in doorways.into_iter().enumerate() {
        supervise(
            host,
            format_args!("loop{}", number + 1),
            config.read_bytes,
            move || pin(pinning, number),
            move || (doors.source(), Hands::Own),
        )?;
    }
    Ok(())
}
