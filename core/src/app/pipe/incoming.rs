//! The reading end of a body.

use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::{Pipe, State};
use crate::app::body::{BodyError, Frame};

/// The reading end of a body: the chunks of a request's body as they come, or what a [`Sender`](super::Sender) sends.
///
/// Poll it, await [`next`](Self::next), or read it from a thread that may block (it is a [`io::Read`]). A request's body is
/// asked of the peer when it is first read, not before (`100 Continue` goes out then), and is paused while what has come
/// is not taken. Dropping it declines the rest.
pub struct Incoming(Source);

enum Source {
    /// All of it has come: so much of it is left.
    Whole(Bytes),
    /// It comes through a pipe.
    Pipe(Arc<Pipe>),
}

impl Incoming {
    /// A body that has ended: for a request without one.
    #[must_use]
    pub const fn empty() -> Self {
        Self::whole(Bytes::new())
    }

    /// A body that is all there.
    pub(crate) const fn whole(body: Bytes) -> Self {
        Self(Source::Whole(body))
    }

    /// A body that comes through a pipe, of which this is the end.
    pub(super) const fn through(pipe: Arc<Pipe>) -> Self {
        Self(Source::Pipe(pipe))
    }

    /// Whether this is the end of that pipe.
    pub(super) fn comes_through(&self, other: &Arc<Pipe>) -> bool {
        matches!(&self.0, Source::Pipe(pipe) if Arc::ptr_eq(pipe, other))
    }

    /// What is left of the body, at once, if all of it has come.
    pub(crate) fn into_whole(mut self) -> Result<Bytes, Self> {
        match &mut self.0 {
            Source::Whole(rest) => Ok(core::mem::take(rest)),
            Source::Pipe(_) => Err(self),
        }
    }

    /// How much of the body was not taken yet, where its length was declared: before it is read, that length.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        match &self.0 {
            Source::Whole(rest) => Some(rest.len() as u64),
            Source::Pipe(pipe) => pipe.lock().left,
        }
    }

    /// Bytes that may wait in between.
    pub(crate) fn capacity(&self) -> usize {
        match &self.0 {
            Source::Whole(_) => 0,
            Source::Pipe(pipe) => pipe.lock().capacity,
        }
    }

    /// Asks for the body as the first poll does, and takes nothing of it: a future that asks in its handler finds what came
    /// with the head at its first poll.
    pub fn ask(&mut self, waker: &Waker) {
        let Source::Pipe(pipe) = &self.0 else { return };
        let mut state = pipe.lock();
        State::register(&mut state.reader, waker);
        if !core::mem::replace(&mut state.wanted, true) {
            let writer = state.writer.clone();
            pipe.tell(state, writer, Some(waker));
        }
    }

    /// The next frame; `Ready(None)` at the end. The waker is woken when there may be one.
    pub fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        self.poll_at_most(context, usize::MAX)
    }

    /// As [`poll_frame`](Self::poll_frame), with at most `max` bytes of data.
    pub(crate) fn poll_at_most(
        &mut self,
        context: &Context<'_>,
        max: usize,
    ) -> Poll<Option<Result<Frame, BodyError>>> {
        let pipe = match &mut self.0 {
            Source::Whole(rest) => return Poll::Ready(take_front(rest, max)),
            Source::Pipe(pipe) => pipe,
        };
        let mut state = pipe.lock();
        let (frame, tell) = state.take(max);
        if frame.is_none() {
            State::register(&mut state.reader, context.waker());
        }
        if tell {
            let writer = state.writer.clone();
            pipe.tell(state, writer, Some(context.waker()));
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

    fn next_blocking_at_most(&mut self, max: usize) -> Option<Result<Frame, BodyError>> {
        let pipe = match &mut self.0 {
            Source::Whole(rest) => return take_front(rest, max),
            Source::Pipe(pipe) => pipe,
        };
        let mut state = pipe.lock();
        loop {
            let (frame, tell) = state.take(max);
            if tell {
                let writer = state.writer.clone();
                pipe.tell(state, writer, None);
                state = pipe.lock();
            }
            match frame {
                Some(frame) => return frame.transpose(),
                None if state.queue.is_empty() && state.end.is_none() => state = pipe.wait(state),
                None => {}
            }
        }
    }
}

/// The next frame of a body of which that much is left.
fn take_front(rest: &mut Bytes, max: usize) -> Option<Result<Frame, BodyError>> {
    let count = rest.len().min(max);
    (!rest.is_empty()).then(|| Ok(Frame::Data(rest.split_to(count))))
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

/// Nobody reads what comes through `pipe` any more.
#[cold]
fn leave(pipe: &Pipe) {
    let mut state = pipe.lock();
    state.reader_gone = true;
    let queue = core::mem::take(&mut state.queue);
    let writer = state.writer.take();
    pipe.tell(state, writer, None);
    drop(queue);
}

impl Drop for Incoming {
    #[inline]
    fn drop(&mut self) {
        if let Source::Pipe(pipe) = &self.0 {
            leave(pipe);
        }
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("length", &self.length()).finish_non_exhaustive()
    }
}
