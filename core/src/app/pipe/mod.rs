//! A bounded queue of body data between a connection and an application, whoever of them writes.
//!
//! ```text
//!   Sender ── send ──► │ data │ data │ end ──► Receiver        Body::channel: the application writes an answer's body
//!   Feed   ── push ──► │ data │ data │ end ──► Incoming        a request's body, written by its connection
//!             ◄── room, wanted, abandoned ──
//! ```
//!
//! Either end may sit in the connection's own thread (polled with its waker), in a future, or in a thread that blocks.

mod feed;
mod incoming;
mod sender;

use core::task::Waker;
use std::sync::{Arc, PoisonError};

use bytes::Bytes;

pub(crate) use self::feed::Feed;
pub use self::incoming::Incoming;
pub use self::sender::{Sender, TrySendError};
use super::body::{BodyError, Frame};
use super::queue::Queue;
use crate::fields::Fields;
use crate::sync::{Condvar, Mutex, MutexGuard};

struct Pipe {
    state: Mutex<State>,
    /// For ends that block: the other end moved.
    moved: Condvar,
}

#[derive(Default)]
struct State {
    queue: Queue,
    /// How much of the body the reader has not taken, where its length is known beforehand.
    left: Option<u64>,
    capacity: usize,
    end: Option<Result<Option<Fields>, BodyError>>,
    /// The reader took the end, good or bad.
    end_taken: bool,
    /// The reader has asked at least once.
    wanted: bool,
    reader_gone: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// Threads asleep in [`Pipe::wait`].
    blocked: usize,
}

impl Pipe {
    fn new(capacity: usize, length: Option<u64>) -> Arc<Self> {
        let state = State { capacity: capacity.max(1), left: length, ..State::default() };
        Arc::new(Self { state: Mutex::new(state), moved: Condvar::new() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code of anyone else's runs under this lock, so a poisoned one still holds a whole state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        state.blocked += 1;
        let mut state = self.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
        state.blocked -= 1;
        state
    }

    /// Appends data, and tells the reader.
    fn push(&self, mut state: MutexGuard<'_, State>, data: Bytes, own: Option<&Waker>) {
        state.queue.push(data);
        let reader = state.reader.take();
        self.tell(state, reader, own);
    }

    /// Ends the body, well or badly, and tells the reader. The first end stands.
    fn end(&self, end: Result<Option<Fields>, BodyError>, own: Option<&Waker>) {
        let mut state = self.lock();
        if state.end.is_some() {
            return;
        }
        state.end = Some(end);
        let reader = state.reader.take();
        self.tell(state, reader, own);
    }

    /// Tells the other end, outside the lock. `own` is the waker of whoever is running: it looks again by itself. A thread
    /// that is not asleep is not called, which would be a system call.
    fn tell(&self, state: MutexGuard<'_, State>, waker: Option<Waker>, own: Option<&Waker>) {
        let is_blocked = state.blocked > 0;
        drop(state);
        if is_blocked {
            self.moved.notify_all();
        }
        if let Some(waker) = waker
            && !own.is_some_and(|own| own.will_wake(&waker))
        {
            waker.wake();
        }
    }
}

impl State {
    const fn has_room(&self) -> bool {
        self.room() > 0
    }

    /// Bytes that may still wait.
    const fn room(&self) -> usize {
        self.capacity.saturating_sub(self.queue.bytes())
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
            self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
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

/// Makes both ends of a bounded body.
pub(crate) fn channel(capacity: usize) -> (Sender, Incoming) {
    let pipe = Pipe::new(capacity, None);
    (Sender { pipe: Arc::clone(&pipe) }, Incoming::through(pipe))
}
