//! The connection's end of a request's body.

use core::fmt;
use core::task::Waker;
use std::sync::Arc;

use bytes::Bytes;

use super::{Appetite, Incoming, Pipe, State};
use crate::app::body::BodyError;
use crate::app::memory::MemoryBudget;
use crate::fields::Fields;

/// The connection's end of a request's body.
pub(crate) struct Feed {
    pipe: Arc<Pipe>,
}

impl Feed {
    pub(crate) fn new(capacity: usize, length: Option<u64>) -> (Self, Incoming) {
        let pipe = Pipe::new(capacity, length);
        (Self { pipe: Arc::clone(&pipe) }, Incoming::through(pipe))
    }

    /// Passes data on. The queue may be overshot: the connection stops reading when its reader is full.
    pub(crate) fn push(&self, data: Bytes, own: &Waker) {
        let state = self.pipe.lock();
        if state.reader_gone || state.end.is_some() {
            return;
        }
        self.pipe.push(state, data, Some(own));
    }

    /// Ends the body, well or badly.
    pub(crate) fn end(&self, end: Result<Option<Fields>, BodyError>, own: Option<&Waker>) {
        self.pipe.end(end, own);
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
        incoming.comes_through(&self.pipe)
    }

    /// Whether `incoming` is this feed's reader, and nothing waits in between: only the peer can move it.
    pub(crate) fn starves(&self, incoming: &Incoming) -> bool {
        self.feeds(incoming) && {
            let state = self.pipe.lock();
            state.queue.is_empty() && state.end.is_none()
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
