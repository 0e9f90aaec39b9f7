//! The turn as a task takes it: over a transport that is polled, with one alarm, under any executor.
//!
//! ```text
//!            ┌────────────────── woken: by the transport, the application, the alarm, the server ──────────────────┐
//!            ▼                                                                                                     │
//!   poll ─► turn ─► Blocked ─► is a deadline nearer than the alarm? set it ─► neither reads nor writes? ─► Pending ─┘
//!              ├──► Again ──► wake the task behind the others ───────────────► Pending
//!              └──► Finished ────────────────────────────────────────────────► Ready
//! ```
//!
//! # Cancel safety
//!
//! Nothing is held across `Pending` but the flow, its transport and its alarm: buffers are lent for the poll. A task that
//! is dropped loses what its flow holds, as a closed connection does, and nothing else.

use core::task::{Context, Poll, Waker};
use std::io::{self, ErrorKind, IoSlice};

use bytes::BytesMut;

use super::{Budget, Driven, Progress, Readiness, Stop, Wire};
use crate::flow::{CloseKind, CloseReason, Flow};
use crate::job::Job;
use crate::time::Instant;
use crate::turn::Turn;

/// A transport that says `Pending` where others block, and then wakes the task that asked last in that direction.
///
/// The methods are those of [`Wire`], and mean the same.
pub trait PollWire {
    /// Appends what can be had to `into`, at most `max` bytes: see [`Wire::read`].
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        into: &mut BytesMut,
        max: usize,
    ) -> Poll<io::Result<usize>>;

    /// Sends from the front of `slices`: see [`Wire::write`].
    fn poll_write(&mut self, context: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>>;

    /// As [`poll_write`](Self::poll_write), where these are the last: see [`Wire::write_last`].
    fn poll_write_last(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
        end: CloseKind,
    ) -> Poll<io::Result<usize>> {
        let _ = end;
        self.poll_write(context, slices)
    }

    /// Shuts the sending half down: see [`Wire::shutdown_write`].
    fn poll_shutdown_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// See [`Wire::reset`].
    ///
    /// # Errors
    /// Ignored.
    fn reset(&mut self) -> io::Result<()>;

    /// The next read is to ask the system, whatever is believed of the transport: what came before a drain is read before
    /// it (law 7), though no event may have told of it. A transport whose reads always ask has nothing to do here.
    fn ask_again(&mut self) {}

    /// Ready once the transport failed or hung up both ways, for a flow that neither reads nor writes and would not hear
    /// of it: its job is then cancelled. A transport that cannot know says `Pending` for ever, as this does by default:
    /// the flow learns of it when it next reads or writes.
    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let _ = context;
        Poll::Pending
    }
}

/// A runtime's timer, one a connection.
pub trait Alarm {
    /// It is to ring at that time, and at no other it was set to before.
    fn set(&mut self, at: Instant);

    /// Ready once it is time; registers the waker until then.
    fn poll_ring(&mut self, context: &mut Context<'_>) -> Poll<()>;
}

/// A flow that is driven by a task.
#[derive(Debug)]
pub struct Polled<W, A> {
    driven: Driven,
    wire: W,
    alarm: A,
    /// When the alarm rings; never, while it is not set. It may ring too early for the flow, whose deadline moved later
    /// meanwhile: that costs a turn then, and saves setting it with every request.
    armed: Instant,
    /// Whom the alarm and the server wake.
    waker: Option<Waker>,
}

impl<W: PollWire, A: Alarm> Polled<W, A> {
    /// `flow` over `wire`, neither of which was used before.
    #[must_use]
    pub const fn new(flow: Box<dyn Flow>, wire: W, alarm: A) -> Self {
        let driven = Driven::new(flow, Readiness::polled());
        Self { driven, wire, alarm, armed: Instant::NEVER, waker: None }
    }

    /// Whether `waker` is the one that the last poll came with. If not, whoever else is to wake the task has to be told.
    #[must_use]
    pub fn is_woken_by(&self, waker: &Waker) -> bool {
        self.waker.as_ref().is_some_and(|known| known.will_wake(waker))
    }

    /// Takes a turn; ready when the connection is over and [its transport](Self::into_parts) is to be closed. `stop` is
    /// what the server wants: a change of it has to wake the task. `turn` comes with the context's waker.
    pub fn poll(
        &mut self,
        context: &mut Context<'_>,
        stop: Stop,
        scratch: &mut BytesMut,
        turn: &mut Turn<'_>,
        exec: &mut dyn FnMut(Job) -> Result<(), Job>,
        budget: Budget,
    ) -> Poll<CloseReason> {
        let renewed = !self.is_woken_by(context.waker());
        if renewed {
            self.waker = Some(context.waker().clone());
        }
        if self.armed <= turn.now {
            // It rang, or is about to.
            self.armed = Instant::NEVER;
        }
        if stop == Stop::Draining && !self.driven.is_draining() {
            self.wire.ask_again();
        }
        loop {
            let mut wire = Now { wire: &mut self.wire, context };
            match self.driven.turn(stop, &mut wire, scratch, turn, exec, budget) {
                Progress::Finished(reason) => return Poll::Ready(reason),
                Progress::Again => {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Progress::Blocked => {}
            }
            if !self.loses_peer(context) {
                break;
            }
        }
        let due = self.driven.outlook().due;
        if due < self.armed {
            self.armed = due;
            self.alarm.set(due);
        } else if !renewed || self.armed == Instant::NEVER {
            return Poll::Pending;
        }
        if self.alarm.poll_ring(context).is_ready() {
            // It is later than when the turn began.
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Whether the flow is to be told that its peer is gone: in one more turn.
    fn loses_peer(&mut self, context: &mut Context<'_>) -> bool {
        let driven = &mut self.driven;
        let outlook = driven.outlook();
        if outlook.reads() || outlook.writes() || driven.readiness.gone || driven.readiness.has_ended() {
            return false;
        }
        driven.readiness.gone = self.wire.poll_gone(context).is_ready();
        driven.readiness.gone
    }
}

impl<W, A> Polled<W, A> {
    /// What it was made of, to be closed in an order of the caller's.
    pub fn into_parts(self) -> (Driven, W, A) {
        let Self { driven, wire, alarm, .. } = self;
        (driven, wire, alarm)
    }
}

/// A transport during one poll: `WouldBlock` is `Pending`.
struct Now<'a, 'c, W> {
    wire: &'a mut W,
    context: &'a mut Context<'c>,
}

impl<W: PollWire> Wire for Now<'_, '_, W> {
    fn read(&mut self, into: &mut BytesMut, max: usize) -> io::Result<usize> {
        or_would_block(self.wire.poll_read(self.context, into, max))
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        or_would_block(self.wire.poll_write(self.context, slices))
    }

    fn write_last(&mut self, slices: &[IoSlice<'_>], end: CloseKind) -> io::Result<usize> {
        or_would_block(self.wire.poll_write_last(self.context, slices, end))
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        or_would_block(self.wire.poll_shutdown_write(self.context))
    }

    fn reset(&mut self) -> io::Result<()> {
        self.wire.reset()
    }
}

fn or_would_block<T>(polled: Poll<io::Result<T>>) -> io::Result<T> {
    match polled {
        Poll::Ready(result) => result,
        Poll::Pending => Err(ErrorKind::WouldBlock.into()),
    }
}
