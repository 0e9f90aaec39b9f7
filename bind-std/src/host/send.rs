//! Sending what fits at once, whatever the socket.

use std::io::{self, IoSlice};
use std::os::fd::AsFd;

use anabranch_core::CloseKind;
use rustix::net::{SendAncillaryBuffer, SendFlags, Shutdown, sendmsg, shutdown};

/// Sends from the front of `slices` by one system call, and says how many bytes that were. Never waits, blocking socket or
/// not, and raises no SIGPIPE.
///
/// # Errors
/// `WouldBlock` when nothing can be taken now; otherwise as send(2) says.
#[inline]
pub fn send(socket: impl AsFd, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    send_with(socket, slices, SendFlags::empty())
}

/// As [`send`], where the connection's end comes next: TCP keeps what would not fill a segment, and sends it with that end. A
/// segment less to send and to receive, and for the peer a wake-up less. The end is told here, unless it is
/// [`Linger`](CloseKind::Linger), where whoever asked shuts the socket down next. It is not left to close(2), which would lose
/// what was kept if the peer had sent more meanwhile.
///
/// # Errors
/// As [`send`] has them.
#[cold]
pub fn send_last(socket: impl AsFd, slices: &[IoSlice<'_>], end: CloseKind) -> io::Result<usize> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const MORE: SendFlags = SendFlags::MORE;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const MORE: SendFlags = SendFlags::empty();
    let count = send_with(&socket, slices, MORE)?;
    let offered = slices.iter().map(|slice| slice.len()).sum::<usize>();
    if count == offered && end != CloseKind::Linger {
        // A peer that is gone already has nothing to hear.
        let _ = shutdown(socket, Shutdown::Write);
    }
    Ok(count)
}

#[inline]
fn send_with(socket: impl AsFd, slices: &[IoSlice<'_>], flags: SendFlags) -> io::Result<usize> {
    const FLAGS: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);
    let flags = flags.union(FLAGS);
    let count = match slices {
        // The shorter call, for what most answers are.
        [slice] => rustix::net::send(socket, slice, flags)?,
        slices => sendmsg(socket, slices, &mut SendAncillaryBuffer::default(), flags)?,
    };
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::Socket;
    use std::io::{ErrorKind, Read};
    use std::net::{TcpListener, TcpStream};
    use std::time::{Duration, Instant};

    fn pair() -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let socket = Socket::from(listener.accept().unwrap().0);
        socket.set_tcp_nodelay(true).unwrap();
        peer.set_nonblocking(true).unwrap();
        (socket, peer)
    }

    /// What the peer has now; `None` while nothing came.
    fn has(mut peer: &TcpStream) -> Option<Vec<u8>> {
        let mut buffer = [0; 64];
        match peer.read(&mut buffer) {
            Ok(count) => Some(buffer[..count].to_vec()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("{error}"),
        }
    }

    fn slices() -> [IoSlice<'static>; 2] {
        [IoSlice::new(b"the "), IoSlice::new(b"end")]
    }

    #[test]
    #[cfg_attr(not(target_os = "linux"), ignore = "sent at once")]
    fn what_is_sent_last_goes_out_with_the_end() {
        // On a machine that stands still for long enough the kernel sends what it kept: then once more.
        let kept = (0..20).any(|_| {
            let (socket, peer) = pair();
            let started = Instant::now();
            assert_eq!(send_last(&socket, &slices(), CloseKind::Linger).unwrap(), 7);
            let early = has(&peer);
            let in_time = started.elapsed() < Duration::from_millis(100);
            shutdown(&socket, Shutdown::Write).unwrap();
            if early.is_none() {
                assert_eq!(has(&peer), Some(b"the end".to_vec()));
            }
            assert_eq!(has(&peer), Some(Vec::new()), "the end");
            assert!(early.is_none() || !in_time, "it was sent at once");
            early.is_none()
        });
        assert!(kept);
    }

    #[test]
    fn what_is_sent_last_is_out_before_the_close() {
        for end in [CloseKind::Immediate, CloseKind::Linger] {
            let (socket, peer) = pair();
            assert_eq!(send_last(&socket, &slices(), end).unwrap(), 7);
            if end == CloseKind::Linger {
                // Its driver shuts it down next.
                shutdown(&socket, Shutdown::Write).unwrap();
            }
            assert_eq!(has(&peer), Some(b"the end".to_vec()));
            assert_eq!(has(&peer), Some(Vec::new()), "the end");
        }
    }
}
