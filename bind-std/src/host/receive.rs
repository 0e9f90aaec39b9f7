//! Receiving into memory that was never written: the crate's only unsafe code.

use std::io;
use std::os::fd::AsFd;

use bytes::{BufMut, BytesMut};
use rustix::net::{RecvFlags, recv};

/// Appends what one recv(2) gives, at most `max` bytes and the spare capacity of `into`, and says how many bytes that were: zero
/// at the end.
///
/// # Errors
/// As recv(2) says.
#[expect(unsafe_code, reason = "filling 64 KiB with zeroes before each read would cost more than the read")]
pub fn receive(socket: impl AsFd, into: &mut BytesMut, max: usize, flags: RecvFlags) -> io::Result<usize> {
    let spare = into.spare_capacity_mut();
    let room = max.min(spare.len());
    let ((filled, _), _) = recv(socket, &mut spare[..room], flags)?;
    let count = filled.len();
    // SAFETY: `recv` gives back the front of the spare capacity that the kernel has written, as initialised bytes; so that
    // many bytes behind the length are initialised and within the capacity.
    unsafe { into.advance_mut(count) };
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    #[test]
    fn received_bytes_are_appended_within_capacity_and_bound() {
        let (mut near, far) = UnixStream::pair().unwrap();
        near.write_all(b"0123456789").unwrap();
        let mut buffer = BytesMut::with_capacity(8);
        buffer.extend_from_slice(b"ab");
        assert_eq!(receive(&far, &mut buffer, 4, RecvFlags::empty()).unwrap(), 4);
        let room = buffer.capacity() - buffer.len();
        assert_eq!(receive(&far, &mut buffer, usize::MAX, RecvFlags::empty()).unwrap(), room.min(6));
        assert_eq!(&buffer[..8], b"ab012345");
        drop(near);
    }
}
