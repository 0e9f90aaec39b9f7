//! The reading end of a body.

use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll};
use std::io;
use std::sync::Arc;

use super::{Pipe, State};
use crate::app::body::{BodyError, Frame};

/// The reading end of a body: the chunks of a request's body as they come, or what a [`Sender`](super::Sender) sends.
///
/// Poll it, await [`next`](Self::next), or read it from a thread that may block (it is a [`io::Read`]). A request's body is
/// asked of the peer when it is first read, not before (`100 Continue` goes out then), and is paused while what has come
/// is not taken. Dropping it declines the rest.
pub struct Incoming {
    pub(super) pipe: Arc<Pipe>,
}

impl Incoming {
    /// A body that has ended: for a request without one.
    #[must_use]
    pub fn empty() -> Self {
        let pipe = Pipe::new(1, Some(0));
        pipe.lock().end = Some(Ok(None));
        Self { pipe }
    }

    /// The body's length, where it was declared.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.pipe.length
    }

    /// Bytes that may wait in between.
    pub(crate) fn capacity(&self) -> usize {
        self.pipe.lock().capacity
    }

    /// The next frame; `Ready(None)` at the end. The waker is woken when there may be one.
    pub fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        self.poll_at_most(context, usize::MAX)
    }

    /// As [`poll_frame`](Self::poll_frame), with at most `max` bytes of data.
    pub(crate) fn poll_at_most(
        &self,
        context: &Context<'_>,
        max: usize,
    ) -> Poll<Option<Result<Frame, BodyError>>> {
        let mut state = self.pipe.lock();
        let (frame, tell) = state.take(max);
        if frame.is_none() {
            State::register(&mut state.reader, context.waker());
        }
        if tell {
            let writer = state.writer.clone();
            self.pipe.tell(state, writer, Some(context.waker()));
        }
        match frame {
            Some(frame) => Poll::Ready(frame.transpose()),
            None => Poll::Pending,
        }
    }

    /// The next frame, awaited; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Frame, BodyError>> {
        poll_fn(|context| self.poll_frame(context)).await
    }

    /// The next frame, waited for: only on a thread that may block, such as a lane's. `None` at the end.
    pub fn next_blocking(&mut self) -> Option<Result<Frame, BodyError>> {
        self.next_blocking_at_most(usize::MAX)
    }

    fn next_blocking_at_most(&self, max: usize) -> Option<Result<Frame, BodyError>> {
        let mut state = self.pipe.lock();
        loop {
            let (frame, tell) = state.take(max);
            if tell {
                let writer = state.writer.clone();
                self.pipe.tell(state, writer, None);
                state = self.pipe.lock();
            }
            match frame {
                Some(frame) => return frame.transpose(),
                None if state.queue.is_empty() && state.end.is_none() => state = self.pipe.wait(state),
                None => {}
            }
        }
    }
}

impl io::Read for Incoming {
    /// Blocks until there is data; `Ok(0)` at the end. Trailer fields are passed over.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            match self.next_blocking_at_most(into.len()) {
                None => return Ok(0),
                Some(Ok(Frame::Data(data))) => {
                    into[..data.len()].copy_from_slice(&data);
                    return Ok(data.len());
                }
                Some(Ok(Frame::Trailers(_))) => {}
                Some(Err(error)) => return Err(error.into()),
            }
        }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let mut state = self.pipe.lock();
        state.reader_gone = true;
        let queue = core::mem::take(&mut state.queue);
        let writer = state.writer.take();
        self.pipe.tell(state, writer, None);
        drop(queue);
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("length", &self.length()).finish_non_exhaustive()
    }
}
