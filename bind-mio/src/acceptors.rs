//! Threads that only accept: each blocks on all listeners, and hands on what it took.

use std::io;
use std::sync::Arc;

use anabranch_std::Listener;
use anabranch_std::host::{Acceptor, AcceptorBell, Host, Placement};

/// Starts `count` of them, numbered from 1, each with a placement of its own.
pub(crate) fn start<P: Placement + Send + 'static>(
    host: &Arc<Host>,
    listeners: &[Arc<Listener>],
    count: usize,
    placement: impl Fn(usize) -> P,
) -> io::Result<()> {
    for number in 1..=count {
        let bell = Arc::new(AcceptorBell::new()?);
        host.hang(bell.clone());
        let acceptor = Acceptor::new(host, listeners.iter().cloned(), bell, placement(number));
        host.spawn(format_args!("accept{number}"), move || acceptor.run())?;
    }
    Ok(())
}
