//! A source address without a port of its own (`IP_BIND_ADDRESS_NO_PORT`), for which no safe call is to be had.
#![expect(unsafe_code, reason = "a socket option that neither rustix nor socket2 knows")]

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// Has `bind` choose the address alone, and `connect` a port: one that is free for that peer. A port that is bound beforehand
/// is taken from everything else on the machine, whichever peer that wants to reach.
pub(super) fn leave_port_open(socket: &OwnedFd) -> io::Result<()> {
    let on: libc::c_int = 1;
    let length = size_of_val(&on) as libc::socklen_t;
    // SAFETY: the descriptor is open, and the kernel reads `length` bytes of an integer that outlives the call.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const on).cast(),
            length,
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
