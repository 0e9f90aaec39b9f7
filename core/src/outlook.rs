//! All that a driver asks of a flow between two calls, answered at once.

use crate::flow::{CloseKind, Flow, ReadOperation, Waiting, WriteOperation};
use crate::time::Instant;

/// What lies ahead of a flow: its answers to the four questions that a driver asks after each call, and how much it wants read.
/// See [`Flow::outlook`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[must_use]
pub struct Outlook {
    /// [`Flow::next_read_operation`].
    pub read: ReadOperation,
    /// [`Flow::next_write_operation`].
    pub write: WriteOperation,
    /// [`Flow::waiting_on`].
    pub waiting: Waiting,
    /// When [`Flow::deadline`] is; [`Instant::NEVER`], if there is none.
    pub due: Instant,
    /// So many bytes are to be read, at most, before the flow is asked again: more could not be used yet, and would be kept.
    /// The peer's transport keeps them as well, and holds the peer up. Never zero; [`u32::MAX`], if there is no bound.
    pub max_read_bytes: u32,
    /// Nothing but its peer or the clock moves it: a [`Flow::run`] would do nothing, not even keep the waker, and may be left
    /// out. Never wrong to deny.
    pub rests: bool,
}

impl Outlook {
    /// The questions, asked one by one.
    #[inline(never)]
    pub fn of<F: Flow + ?Sized>(flow: &F) -> Self {
        Self {
            read: flow.next_read_operation(),
            write: flow.next_write_operation(),
            waiting: flow.waiting_on(),
            due: flow.deadline().map_or(Instant::NEVER, |deadline| deadline.at),
            max_read_bytes: u32::MAX,
            rests: false,
        }
    }

    /// Between two messages: the peer may speak until `due`, and nothing is owed to it.
    #[inline]
    pub const fn at_rest(due: Instant) -> Self {
        let never = due.as_nanos() == Instant::NEVER.as_nanos();
        Self {
            read: ReadOperation::Read,
            write: WriteOperation::Yield,
            waiting: if never { Waiting::PEER_READ } else { Waiting::PEER_READ.with(Waiting::DEADLINE) },
            due,
            max_read_bytes: u32::MAX,
            rests: true,
        }
    }

    /// Whether bytes from the peer will help.
    #[must_use]
    #[inline]
    pub fn reads(self) -> bool {
        self.read == ReadOperation::Read
    }

    /// How many bytes are to be read of the `room` that there is for them.
    #[must_use]
    #[inline]
    pub fn read_size(self, room: usize) -> usize {
        usize::try_from(self.max_read_bytes).map_or(room, |max| max.min(room))
    }

    /// Whether there are bytes that the peer has not taken.
    #[must_use]
    #[inline]
    pub fn writes(self) -> bool {
        self.write == WriteOperation::Write
    }

    /// Whether the application may have something for it, and has to know whom to wake.
    #[must_use]
    #[inline]
    pub const fn waits_for_application(self) -> bool {
        self.waiting.contains(Waiting::APPLICATION)
    }

    /// Whether both sides say `Close`: the transport may be closed.
    #[must_use]
    #[inline]
    pub fn is_finished(self) -> bool {
        self.read == ReadOperation::Close && matches!(self.write, WriteOperation::Close(_))
    }

    /// Whether the transport is to be closed with a [reset](CloseKind::Reset).
    #[must_use]
    #[inline]
    pub fn is_reset(self) -> bool {
        self.write == WriteOperation::Close(CloseKind::Reset)
    }
}
