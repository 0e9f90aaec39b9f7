//! What a connection and its stream share: two bounded queues of bytes, how each of them stands, and who waits for it.
//!
//! ```text
//!   incoming   Open ◄─ half is read ─ Full        bytes from the peer: as long as it is Open the connection reads
//!                └─────────┴──► Ended             the peer's end, or a drain's: what was received, then the end
//!                          ├──► Broken            the connection is lost: what was received, then the error
//!                          └──► Declined          the reader was dropped: whatever comes is too
//!   outgoing   Open ──► Shut                      the writer is done: what was written goes out, then the end
//!                ├────► Dropped ──► Shut          it was dropped: the same, once its job has ended in order
//!                ├────► Reset                     it, or its job, broke off
//!                └────► Broken                    the connection is lost
//! ```
//!
//! No code of anyone else's runs under the lock; wakers are woken when it is released.

use core::task::{Context, Poll, Waker};
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::sync::PoisonError;

use super::WhenDrained;
use crate::info::ConnectionInfo;
use crate::sync::{Condvar, Mutex, MutexGuard};

pub(super) struct Pipe {
    pub(super) info: ConnectionInfo,
    state: Mutex<State>,
    /// For ends that block: something moved.
    moved: Condvar,
}

struct State {
    capacity: usize,
    incoming: Incoming,
    received: VecDeque<u8>,
    outgoing: Outgoing,
    /// What the connection has not taken yet.
    written: Vec<u8>,
    /// All that was written and did not reach the transport.
    unsent: usize,
    work: Work,
    drain: Drain,
    /// Ends that block at present.
    blocked: usize,
    flow: Option<Waker>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// How bytes from the peer stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Incoming {
    Open,
    Full,
    Ended,
    Broken(ErrorKind),
    Declined,
}

/// How bytes to the peer stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outgoing {
    Open,
    Dropped,
    Shut,
    Reset,
    Broken,
}

/// The job that has the stream, where one was made for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Work {
    None,
    /// It has not ended: what it drops may yet turn out to have been dropped by a panic.
    Pending,
}

/// Whether the server drains.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Drain {
    No,
    /// It does, and the next read that would wait is interrupted.
    Interrupts,
    Known,
}

/// What the connection finds in its turn.
pub(super) struct Collected {
    pub(super) written: Vec<u8>,
    pub(super) incoming: Incoming,
    pub(super) outgoing: Outgoing,
}

/// Who is to be told, once the lock is released.
#[derive(Default)]
struct Tell {
    waker: Option<Waker>,
    blocked: bool,
}

/// A queue that was read empty keeps no more than this.
const KEPT_CAPACITY: usize = 1024;

impl Pipe {
    /// A pipe for `capacity` bytes each way, at least one.
    pub(super) fn new(capacity: usize, info: ConnectionInfo) -> Self {
        let state = State {
            capacity: capacity.max(1),
            incoming: Incoming::Open,
            received: VecDeque::new(),
            outgoing: Outgoing::Open,
            written: Vec::new(),
            unsent: 0,
            work: Work::None,
            drain: Drain::No,
            blocked: 0,
            flow: None,
            reader: None,
            writer: None,
        };
        Self { info, state: Mutex::new(state), moved: Condvar::new() }
    }

    // ---- the stream's side ----

    pub(super) fn poll_read(&self, context: &Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut state = self.lock();
        match state.read(into) {
            Some(result) => {
                let tell = state.tell_flow_of_room();
                self.release(state, tell, None);
                Poll::Ready(result)
            }
            None => {
                register(&mut state.reader, context.waker());
                Poll::Pending
            }
        }
    }

    pub(super) fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        let mut state = self.lock();
        loop {
            if let Some(result) = state.read(into) {
                let tell = state.tell_flow_of_room();
                self.release(state, tell, None);
                return result;
            }
            state = self.block(state);
        }
    }

    pub(super) fn poll_write(&self, context: &Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.lock();
        match state.write(data) {
            Some(result) => {
                let tell = state.tell_flow();
                self.release(state, tell, None);
                Poll::Ready(result)
            }
            None => {
                register(&mut state.writer, context.waker());
                Poll::Pending
            }
        }
    }

    pub(super) fn write(&self, data: &[u8]) -> io::Result<usize> {
        let mut state = self.lock();
        loop {
            if let Some(result) = state.write(data) {
                let tell = state.tell_flow();
                self.release(state, tell, None);
                return result;
            }
            state = self.block(state);
        }
    }

    /// Whether what was written is on its way, or can be.
    pub(super) fn flush(&self) -> io::Result<()> {
        match self.lock().outgoing {
            Outgoing::Reset | Outgoing::Broken => Err(ErrorKind::BrokenPipe.into()),
            Outgoing::Open | Outgoing::Dropped | Outgoing::Shut => Ok(()),
        }
    }

    /// The writer is done, in this way. The first way counts, but that a reset overtakes what has not gone out.
    pub(super) fn end_output(&self, way: Outgoing) {
        let mut state = self.lock();
        let counts = match state.outgoing {
            Outgoing::Open => true,
            Outgoing::Dropped | Outgoing::Shut => way == Outgoing::Reset,
            Outgoing::Reset | Outgoing::Broken => false,
        };
        if counts {
            state.outgoing = way;
            let tell = state.tell_flow();
            self.release(state, tell, None);
        }
    }

    /// The reader is gone.
    pub(super) fn decline_input(&self) {
        let mut state = self.lock();
        state.received = VecDeque::new();
        if matches!(state.incoming, Incoming::Open | Incoming::Full | Incoming::Ended) {
            state.incoming = Incoming::Declined;
            let tell = state.tell_flow();
            self.release(state, tell, None);
        }
    }

    pub(super) fn is_draining(&self) -> bool {
        self.lock().drain != Drain::No
    }

    // ---- the job's side ----

    /// A job has the stream, from here to [`end_work`](Self::end_work).
    pub(super) fn begin_work(&self) {
        self.lock().work = Work::Pending;
    }

    /// The job has ended in order, or broke off, which resets what it had not shut.
    pub(super) fn end_work(&self, way: Outgoing) {
        let mut state = self.lock();
        state.work = Work::None;
        if way == Outgoing::Reset && matches!(state.outgoing, Outgoing::Open | Outgoing::Dropped) {
            state.outgoing = Outgoing::Reset;
        }
        let tell = state.tell_flow();
        self.release(state, tell, None);
    }

    // ---- the connection's side; `own` is its waker: it looks again by itself ----

    /// Takes what was written, says how both directions stand, and keeps the waker.
    pub(super) fn collect(&self, waker: &Waker) -> Collected {
        let mut state = self.lock();
        register(&mut state.flow, waker);
        let outgoing = match (state.outgoing, state.work) {
            (Outgoing::Dropped, Work::Pending) => Outgoing::Open,
            (Outgoing::Dropped, Work::None) => Outgoing::Shut,
            (outgoing, _) => outgoing,
        };
        Collected { written: core::mem::take(&mut state.written), incoming: state.incoming, outgoing }
    }

    /// Bytes came; the queue may be overshot by one read. Says how it stands then.
    pub(super) fn receive(&self, bytes: &[u8], own: &Waker) -> Incoming {
        let mut state = self.lock();
        if !matches!(state.incoming, Incoming::Open | Incoming::Full) {
            return state.incoming;
        }
        let (length, capacity) = (state.received.len() + bytes.len(), state.received.capacity());
        if length > capacity {
            let wanted = length.max(state.capacity.min(2 * capacity));
            let more = wanted - state.received.len();
            state.received.reserve_exact(more);
        }
        state.received.extend(bytes);
        if state.received.len() >= state.capacity {
            state.incoming = Incoming::Full;
        }
        let incoming = state.incoming;
        let tell = state.tell_reader();
        self.release(state, tell, Some(own));
        incoming
    }

    /// Nothing more comes; `None`: in order.
    pub(super) fn end_input(&self, error: Option<ErrorKind>, own: &Waker) {
        let mut state = self.lock();
        if matches!(state.incoming, Incoming::Open | Incoming::Full) {
            state.incoming = error.map_or(Incoming::Ended, Incoming::Broken);
            let tell = state.tell_reader();
            self.release(state, tell, Some(own));
        }
    }

    /// The server drains: whoever waits for bytes is interrupted, if that is wanted, once.
    pub(super) fn drain(&self, when_drained: WhenDrained, own: &Waker) {
        let mut state = self.lock();
        if state.drain != Drain::No {
            return;
        }
        state.drain = Drain::Known;
        if when_drained == WhenDrained::Interrupt {
            state.drain = Drain::Interrupts;
            let tell = state.tell_reader();
            self.release(state, tell, Some(own));
        }
    }

    /// `count` of the bytes that were written reached the transport.
    pub(super) fn sent(&self, count: usize, own: &Waker) {
        let mut state = self.lock();
        state.unsent = state.unsent.saturating_sub(count);
        let tell = state.tell_writer();
        self.release(state, tell, Some(own));
    }

    /// The connection is over, for this reason as a reader sees it.
    pub(super) fn break_off(&self, error: ErrorKind) {
        let mut state = self.lock();
        state.flow = None;
        if matches!(state.incoming, Incoming::Open | Incoming::Full) {
            state.incoming = Incoming::Broken(error);
        }
        state.outgoing = Outgoing::Broken;
        state.written = Vec::new();
        let (reader, writer) = (state.tell_reader(), state.tell_writer());
        self.release(state, reader, None);
        self.wake(writer, None);
    }

    // ---- within ----

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code of anyone else's runs under this lock, so a poisoned one still holds a whole state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn block<'a>(&self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        state.blocked += 1;
        let mut state = self.moved.wait(state).unwrap_or_else(PoisonError::into_inner);
        state.blocked -= 1;
        state
    }

    fn release(&self, state: MutexGuard<'_, State>, tell: Tell, own: Option<&Waker>) {
        drop(state);
        self.wake(tell, own);
    }

    fn wake(&self, tell: Tell, own: Option<&Waker>) {
        if tell.blocked {
            self.moved.notify_all();
        }
        if let Some(waker) = tell.waker
            && !own.is_some_and(|own| own.will_wake(&waker))
        {
            waker.wake();
        }
    }
}

impl State {
    /// What there is to be read; `None`: nothing yet.
    fn read(&mut self, into: &mut [u8]) -> Option<io::Result<usize>> {
        if into.is_empty() {
            return Some(Ok(0));
        }
        if self.received.is_empty() {
            return match self.incoming {
                Incoming::Open | Incoming::Full if self.drain == Drain::Interrupts => {
                    self.drain = Drain::Known;
                    Some(Err(ErrorKind::Interrupted.into()))
                }
                Incoming::Open | Incoming::Full => None,
                Incoming::Ended | Incoming::Declined => Some(Ok(0)),
                Incoming::Broken(kind) => Some(Err(kind.into())),
            };
        }
        let (first, second) = self.received.as_slices();
        let of_first = first.len().min(into.len());
        into[..of_first].copy_from_slice(&first[..of_first]);
        let of_second = second.len().min(into.len() - of_first);
        into[of_first..of_first + of_second].copy_from_slice(&second[..of_second]);
        self.received.drain(..of_first + of_second);
        if self.received.is_empty() && self.received.capacity() > KEPT_CAPACITY {
            self.received = VecDeque::new();
        }
        Some(Ok(of_first + of_second))
    }

    /// Takes as much of `data` as there is room for; `None`: there is none.
    fn write(&mut self, data: &[u8]) -> Option<io::Result<usize>> {
        if self.outgoing != Outgoing::Open {
            return Some(Err(ErrorKind::BrokenPipe.into()));
        }
        let count = data.len().min(self.capacity.saturating_sub(self.unsent));
        if count == 0 {
            return if data.is_empty() { Some(Ok(0)) } else { None };
        }
        let (length, capacity) = (self.written.len() + count, self.written.capacity());
        if length > capacity {
            // Doubled, so that many small writes are not copied for each of them, and never beyond what may wait.
            let wanted = length.max(self.capacity.min(2 * capacity));
            self.written.reserve_exact(wanted - self.written.len());
        }
        self.written.extend_from_slice(&data[..count]);
        self.unsent += count;
        Some(Ok(count))
    }

    /// Half of a full queue is read: the connection reads again. Not at once, or a slow reader would cost a wake a read.
    fn tell_flow_of_room(&mut self) -> Tell {
        if self.incoming == Incoming::Full && self.received.len() <= self.capacity / 2 {
            self.incoming = Incoming::Open;
            return self.tell_flow();
        }
        Tell::default()
    }

    fn tell_flow(&mut self) -> Tell {
        Tell { waker: self.flow.take(), blocked: false }
    }

    fn tell_reader(&mut self) -> Tell {
        Tell { waker: self.reader.take(), blocked: self.blocked > 0 }
    }

    fn tell_writer(&mut self) -> Tell {
        Tell { waker: self.writer.take(), blocked: self.blocked > 0 }
    }
}

fn register(slot: &mut Option<Waker>, waker: &Waker) {
    if !slot.as_ref().is_some_and(|kept| kept.will_wake(waker)) {
        *slot = Some(waker.clone());
    }
}
