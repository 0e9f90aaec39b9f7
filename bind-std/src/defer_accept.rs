//! TCP_DEFER_ACCEPT: connections that are accepted with their first bytes, which no library knows how to ask for.

use std::io;
use std::time::Duration;

use socket2::Socket;

/// Has the kernel keep connections that have sent nothing, `at_most` so long, in whole seconds. Says whether it does; not
/// where that is zero, or the system has nothing of the kind.
///
/// # Errors
/// When the kernel refuses.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[expect(unsafe_code, reason = "neither socket2 nor rustix has this option")]
pub(crate) fn defer_accept(listener: &Socket, at_most: Duration) -> io::Result<bool> {
    use std::os::fd::AsRawFd;
    use std::ptr;

    if at_most.is_zero() {
        return Ok(false);
    }
    let seconds = at_most.as_secs().saturating_add(u64::from(at_most.subsec_nanos() > 0));
    // The kernel counts retransmissions, 255 at most, and takes less for more than that.
    let seconds = libc::c_int::try_from(seconds).unwrap_or(libc::c_int::MAX);
    let size = size_of_val(&seconds) as libc::socklen_t;
    let value = ptr::from_ref(&seconds).cast();
    // SAFETY: the descriptor is open, and `value` points to an int, which is what the option takes, of that size.
    let result = unsafe {
        libc::setsockopt(listener.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, value, size)
    };
    if result == 0 { Ok(true) } else { Err(io::Error::last_os_error()) }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn defer_accept(_: &Socket, _: Duration) -> io::Result<bool> {
    Ok(false)
}
