//! Event counters: what a thread sleeps on to be woken by others.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};

/// An event counter that nobody blocks on.
pub(crate) fn event() -> io::Result<OwnedFd> {
    Ok(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)
}

/// Makes an event counter readable. It fails only when it is so already.
pub(crate) fn ring(event: &OwnedFd) {
    let _ = rustix::io::write(event, &1_u64.to_ne_bytes());
}

/// Takes back what [`ring`] did. It fails only when there is nothing to take.
pub(crate) fn hush(event: impl AsFd) {
    let _ = rustix::io::read(event, &mut [0_u8; 8]);
}
