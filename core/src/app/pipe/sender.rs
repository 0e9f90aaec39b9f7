//! The writing end of a body that the application makes.

use core::fmt;
use core::future::poll_fn;
use core::task::Poll;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::{Pipe, State};
use crate::app::body::BodyError;
use crate::fields::Fields;
use crate::sync::MutexGuard;

/// The writing end of a body that the application makes as it goes: see [`Body::channel`](crate::app::Body::channel).
///
/// Dropping it without [`finish`](Self::finish) cuts the body off: the peer sees that it is incomplete.
pub struct Sender {
    pub(super) pipe: Arc<Pipe>,
}

impl Sender {
    /// Sends now, or gives the data back when there is no room.
    ///
    /// # Errors
    /// [`TrySendError::Full`] and [`TrySendError::Closed`], with the data.
    pub fn try_send(&mut self, data: Bytes) -> Result<(), TrySendError> {
        let state = self.pipe.lock();
        if state.reader_gone {
            return Err(TrySendError::Closed(data));
        }
        if !state.has_room() {
            return Err(TrySendError::Full(data));
        }
        self.push(state, data);
        Ok(())
    }

    /// Sends once there is room.
    ///
    /// # Errors
    /// [`BodyError::Cancelled`] when nobody takes the body any more.
    pub async fn send(&mut self, data: Bytes) -> Result<(), BodyError> {
        poll_fn(|context| {
            let mut state = self.pipe.lock();
            if state.reader_gone {
                return Poll::Ready(Err(BodyError::Cancelled));
            }
            if !state.has_room() {
                State::register(&mut state.writer, context.waker());
                return Poll::Pending;
            }
            Poll::Ready(Ok(()))
        })
        .await?;
        self.push(self.pipe.lock(), data);
        Ok(())
    }

    /// Sends once there is room, blocking: only on a thread that may, such as a lane's.
    ///
    /// # Errors
    /// [`BodyError::Cancelled`] when nobody takes the body any more.
    pub fn send_blocking(&mut self, data: Bytes) -> Result<(), BodyError> {
        self.push(self.wait_for_room()?, data);
        Ok(())
    }

    /// Ends the body in order.
    pub fn finish(self) {
        self.pipe.end(Ok(None), None);
    }

    /// Ends the body in order, with trailer fields for peers that take them.
    pub fn finish_with_trailers(self, trailers: Fields) {
        self.pipe.end(Ok(Some(trailers)), None);
    }

    /// Whether nobody takes the body any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.pipe.lock().reader_gone
    }

    fn wait_for_room(&self) -> Result<MutexGuard<'_, State>, BodyError> {
        let mut state = self.pipe.lock();
        loop {
            if state.reader_gone {
                return Err(BodyError::Cancelled);
            }
            if state.has_room() {
                return Ok(state);
            }
            state = self.pipe.wait(state);
        }
    }

    fn push(&self, state: MutexGuard<'_, State>, data: Bytes) {
        if !data.is_empty() {
            self.pipe.push(state, data, None);
        }
    }
}

impl io::Write for Sender {
    /// Blocks until there is room, and sends a copy of as much of `data` as fits.
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if data.is_empty() {
            return Ok(0);
        }
        let state = self.wait_for_room()?;
        let count = data.len().min(state.room());
        self.push(state, Bytes::copy_from_slice(&data[..count]));
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.pipe.end(Err(BodyError::Aborted), None);
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("closed", &self.is_closed()).finish()
    }
}

/// Why [`Sender::try_send`] sent nothing.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TrySendError {
    /// There is no room.
    #[error("the body's buffer is full")]
    Full(Bytes),
    /// Nobody takes the body any more.
    #[error("nobody takes the body any more")]
    Closed(Bytes),
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::task::{Context, Poll, Waker};

    use super::super::channel;
    use crate::app::Frame;

    #[test]
    fn what_is_written_waits_within_the_capacity_however_much_it_is() {
        let (mut sender, mut reader) = channel(1000);
        assert_eq!(sender.write(&[7; 5000]).unwrap(), 1000);
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(Some(Ok(Frame::Data(data)))) = reader.poll_frame(&mut context) else { panic!() };
        assert_eq!(data.len(), 1000);
        assert_eq!(sender.write(&[]).unwrap(), 0);
        assert_eq!(sender.write(&[7; 400]).unwrap(), 400);
        assert_eq!(sender.write(&[7; 5000]).unwrap(), 600);
    }
}
