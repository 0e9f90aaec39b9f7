//! An end that the peer cannot take for an orderly one, whatever the socket.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;

/// Has `socket` end with a reset once it is closed: what was not sent by then is not sent any more.
///
/// # Errors
/// As setsockopt(2) says.
pub fn reset(socket: impl AsFd) -> io::Result<()> {
    Ok(set_socket_linger(socket, Some(Duration::ZERO))?)
}
