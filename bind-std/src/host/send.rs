//! Sending what fits at once, whatever the socket.

use std::io::{self, IoSlice};
use std::os::fd::AsFd;

use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};

/// Sends from the front of `slices` by one system call, and says how many bytes that were. Never waits, blocking socket or
/// not, and raises no SIGPIPE.
///
/// # Errors
/// `WouldBlock` when nothing can be taken now; otherwise as send(2) says.
#[inline]
pub fn send(socket: impl AsFd, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    const FLAGS: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);
    let count = match slices {
        // The shorter call, for what most answers are.
        [slice] => rustix::net::send(socket, slice, FLAGS)?,
        slices => sendmsg(socket, slices, &mut SendAncillaryBuffer::default(), FLAGS)?,
    };
    Ok(count)
}
