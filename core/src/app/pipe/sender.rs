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
        let mut state = self.pipe.lock();
        loop {
            if state.reader_gone {
                return Err(BodyError::Cancelled);
            }
            if state.has_room() {
                self.push(state, data);
                return Ok(());
            }
            state = self.pipe.wait(state);
        }
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

    fn push(&self, state: MutexGuard<'_, State>, data: Bytes) {
        if !data.is_empty() {
            self.pipe.push(state, data, None);
        }
    }
}

impl io::Write for Sender {
    /// Blocks until there is room, and sends a copy of `data`.
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.send_blocking(Bytes::copy_from_slice(data))?;
        Ok(data.len())
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
