//! A bounded queue of body data between a connection and an application, whoever of them writes.
//!
//! ```text
//!   Sender ── send ──► │ data │ data │ end ──► Receiver        Body::channel: the application writes an answer's body
//!   Feed   ── push ──► │ data │ data │ end ──► Incoming        a request's body, written by its connection
//!             ◄── room, wanted, abandoned ──
//! ```
//!
//! Either end may sit in the connection's own thread (polled with its waker), in a future, or in a thread that blocks.

use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};
use std::io;
use std::sync::{Arc, PoisonError};

use bytes::Bytes;

use super::body::{BodyError, Frame};
use super::memory::MemoryBudget;
use super::queue::Queue;
use crate::fields::Fields;
use crate::sync::{Condvar, Mutex, MutexGuard};

struct Pipe {
    /// The body's length, where it is known beforehand.
    length: Option<u64>,
    state: Mutex<State>,
    /// For ends that block: the other end moved.
    moved: Condvar,
}

#[derive(Default)]
struct State {
    queue: Queue,
    capacity: usize,
    end: Option<Result<Option<Fields>, BodyError>>,
    /// The reader took the end, good or bad.
    end_taken: bool,
    /// The reader has asked at least once.
    wanted: bool,
    reader_gone: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Pipe {
    fn new(capacity: usize, length: Option<u64>) -> Arc<Self> {
        let state = State { capacity: capacity.max(1), ..State::default() };
        Arc::new(Self { length, state: Mutex::new(state), moved: Condvar::new() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code of anyone else's runs under this lock, so a poisoned one still holds a whole state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.moved.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the other end, outside the lock. `own` is the waker of whoever is running: it looks again by itself.
    fn tell(&self, waker: Option<Waker>, own: Option<&Waker>) {
        self.moved.notify_all();
        if let Some(waker) = waker
            && !own.is_some_and(|own| own.will_wake(&waker))
        {
            waker.wake();
        }
    }
}

impl State {
    const fn has_room(&self) -> bool {
        self.queue.bytes() < self.capacity
    }

    fn register(slot: &mut Option<Waker>, waker: &Waker) {
        if !slot.as_ref().is_some_and(|kept| kept.will_wake(waker)) {
            *slot = Some(waker.clone());
        }
    }

    /// The next frame, of at most `max` bytes, for the reading end. The flag says whether the writer is to be told.
    fn take(&mut self, max: usize) -> (Option<Result<Option<Frame>, BodyError>>, bool) {
        let first = !core::mem::replace(&mut self.wanted, true);
        let was_full = !self.has_room();
        if let Some(data) = self.queue.pop(max) {
            return (Some(Ok(Some(Frame::Data(data)))), first || (was_full && self.has_room()));
        }
        let frame = match &mut self.end {
            None => None,
            Some(Ok(trailers)) => {
                self.end_taken = true;
                Some(Ok(trailers.take().map(Frame::Trailers)))
            }
            Some(Err(error)) => {
                self.end_taken = true;
                Some(Err(*error))
            }
        };
        (frame, first)
    }
}

/// The reading end of a body: the chunks of a request's body as they come, or what a [`Sender`] sends.
///
/// Poll it, await [`next`](Self::next), or read it from a thread that may block (it is a [`io::Read`]). A request's body is
/// asked of the peer when it is first read, not before (`100 Continue` goes out then), and is paused while what has come
/// is not taken. Dropping it declines the rest.
pub struct Incoming {
    pipe: Arc<Pipe>,
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
        let writer = if tell { state.writer.clone() } else { None };
        drop(state);
        if tell {
            self.pipe.tell(writer, Some(context.waker()));
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
                drop(state);
                self.pipe.tell(writer, None);
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
        drop(state);
        drop(queue);
        self.pipe.tell(writer, None);
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("length", &self.length()).finish_non_exhaustive()
    }
}

/// The connection's end of a request's body.
pub(crate) struct Feed {
    pipe: Arc<Pipe>,
}

/// How a feed's reader stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Appetite {
    /// It has not asked yet.
    None,
    /// It wants more.
    Hungry,
    /// It has enough for now.
    Full,
    /// It is gone, and did not take the end.
    Gone,
    /// It took the end.
    Sated,
}

impl Feed {
    pub(crate) fn new(capacity: usize, length: Option<u64>) -> (Self, Incoming) {
        let pipe = Pipe::new(capacity, length);
        (Self { pipe: Arc::clone(&pipe) }, Incoming { pipe })
    }

    /// Passes data on. The queue may be overshot: the connection stops reading when its reader is full.
    pub(crate) fn push(&self, data: Bytes, own: &Waker) {
        let mut state = self.pipe.lock();
        if state.reader_gone || state.end.is_some() {
            return;
        }
        state.queue.push(data);
        let reader = state.reader.take();
        drop(state);
        self.pipe.tell(reader, Some(own));
    }

    /// Ends the body, well or badly.
    pub(crate) fn end(&self, end: Result<Option<Fields>, BodyError>, own: Option<&Waker>) {
        let mut state = self.pipe.lock();
        if state.end.is_some() {
            return;
        }
        state.end = Some(end);
        let reader = state.reader.take();
        drop(state);
        self.pipe.tell(reader, own);
    }

    /// How the reader stands; `waker` is woken when that changes.
    pub(crate) fn appetite(&self, waker: &Waker) -> Appetite {
        let mut state = self.pipe.lock();
        State::register(&mut state.writer, waker);
        state.appetite()
    }

    /// Lets go of the driver's read buffers: see [`Queue::detach`]. Says whether the budget had room for that.
    pub(crate) fn detach(&self, memory: &MemoryBudget) -> bool {
        self.pipe.lock().queue.detach(memory)
    }

    pub(crate) fn has_reader(&self) -> bool {
        !self.pipe.lock().reader_gone
    }

    pub(crate) fn reader_took_end(&self) -> bool {
        self.pipe.lock().end_taken
    }

    /// Whether nothing waits for the reader, or nobody is there to read it.
    pub(crate) fn is_drained(&self) -> bool {
        self.pipe.lock().queue.is_empty()
    }

    /// Whether the body broke off.
    pub(crate) fn is_broken(&self) -> bool {
        matches!(self.pipe.lock().end, Some(Err(_)))
    }

    /// Whether `incoming` is this feed's reader.
    pub(crate) fn feeds(&self, incoming: &Incoming) -> bool {
        Arc::ptr_eq(&self.pipe, &incoming.pipe)
    }

    /// Whether `incoming` is this feed's reader, and nothing waits in between: only the peer can move it.
    pub(crate) fn starves(&self, incoming: &Incoming) -> bool {
        self.feeds(incoming) && {
            let state = self.pipe.lock();
            state.queue.is_empty() && state.end.is_none()
        }
    }
}

impl State {
    const fn appetite(&self) -> Appetite {
        if self.end_taken {
            Appetite::Sated
        } else if self.reader_gone {
            Appetite::Gone
        } else if !self.has_room() {
            Appetite::Full
        } else if self.wanted {
            Appetite::Hungry
        } else {
            Appetite::None
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.end(Err(BodyError::Cancelled), None);
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("appetite", &self.pipe.lock().appetite()).finish()
    }
}

/// The writing end of a body that the application makes as it goes: see [`Body::channel`](super::Body::channel).
///
/// Dropping it without [`finish`](Self::finish) cuts the body off: the peer sees that it is incomplete.
pub struct Sender {
    pipe: Arc<Pipe>,
}

/// Makes both ends of a bounded body.
pub(crate) fn channel(capacity: usize) -> (Sender, Incoming) {
    let pipe = Pipe::new(capacity, None);
    (Sender { pipe: Arc::clone(&pipe) }, Incoming { pipe })
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
        self.finish_with(None);
    }

    /// Ends the body in order, with trailer fields for peers that take them.
    pub fn finish_with_trailers(self, trailers: Fields) {
        self.finish_with(Some(trailers));
    }

    /// Whether nobody takes the body any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.pipe.lock().reader_gone
    }

    fn finish_with(self, trailers: Option<Fields>) {
        self.close(Ok(trailers));
    }

    fn push(&self, mut state: MutexGuard<'_, State>, data: Bytes) {
        if data.is_empty() {
            return;
        }
        state.queue.push(data);
        let reader = state.reader.take();
        drop(state);
        self.pipe.tell(reader, None);
    }

    fn close(&self, end: Result<Option<Fields>, BodyError>) {
        let mut state = self.pipe.lock();
        if state.end.is_some() {
            return;
        }
        state.end = Some(end);
        let reader = state.reader.take();
        drop(state);
        self.pipe.tell(reader, None);
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
        self.close(Err(BodyError::Aborted));
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
