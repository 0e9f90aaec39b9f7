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
    listeners: Vec<Listener>,
    loops: usize,
    pinning: Pinning,
) -> io::Result<()> {
    for (number, own) in Host::share_out(listeners, loops)?.into_iter().enumerate() {
        let doors = Doorway::new(own);
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
