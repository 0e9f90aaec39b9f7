//! A flow on its way through turns, and what its server wants of it told in the order that the laws ask for.
//!
//! ```text
//!              Running                  Draining, the first time                   Aborting
//!                 │             readable? ─► turn ─► flow.drain                    flow.abort
//!                 │                                      │                             │
//!                 └──────────────► turn ◄────────────────┘               turn, the last one: it resets
//! ```

use core::fmt;

use bytes::BytesMut;

use super::{Budget, Progress, Readiness, Wire, turn};
use crate::flow::{AbortReason, CloseReason, Flow, ReadOperation, Waiting, WriteOperation};
use crate::job::Job;
use crate::time::Instant;
use crate::turn::Turn;

/// What a server's connections are to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Stop {
    /// Go on.
    #[default]
    Running,
    /// Finish what has begun.
    Draining,
    /// End at once.
    Aborting(AbortReason),
}

/// A connection's flow, with what its driver knows of it between two turns. For drivers of servers that stop in order;
/// what is beneath is [`turn`].
pub struct Driven {
    flow: Box<dyn Flow>,
    /// What is known of its transport. Drivers that hear events set it.
    pub readiness: Readiness,
    /// It was told to drain.
    drained: bool,
}

impl Driven {
    /// A flow that was never driven, over a transport of which so much is known.
    #[must_use]
    pub const fn new(flow: Box<dyn Flow>, readiness: Readiness) -> Self {
        Self { flow, readiness, drained: false }
    }

    /// Everything that can be done now, within the budget of one turn, what the server wants of it included: see
    /// [`drive::turn`](turn). The time, the buffers and the waker are the driver's.
    pub fn turn<W: Wire + ?Sized>(
        &mut self,
        stop: Stop,
        wire: &mut W,
        scratch: &mut BytesMut,
        lent: &mut Turn<'_>,
        exec: &mut dyn FnMut(Job) -> Result<(), Job>,
        budget: Budget,
    ) -> Progress {
        let Self { flow, readiness, drained } = self;
        let flow = &mut **flow;
        match stop {
            Stop::Running => {}
            Stop::Draining if *drained => {}
            Stop::Draining => {
                *drained = true;
                // Law 7: what arrived before the drain is read before the flow learns of it. A peer that sends faster than
                // it is read must not hold the drain up: one budget's worth, and no more.
                readiness.readable |= !readiness.has_ended();
                if let finished @ Progress::Finished(_) =
                    turn(flow, wire, readiness, scratch, lent, exec, budget)
                {
                    return finished;
                }
                flow.drain(lent);
            }
            Stop::Aborting(reason) => {
                flow.abort(reason);
                // One turn more: it resets the transport, where an orderly end would say too much.
                return match turn(flow, wire, readiness, scratch, lent, exec, budget) {
                    finished @ Progress::Finished(_) => finished,
                    Progress::Blocked | Progress::Again => Progress::Finished(CloseReason::Aborted(reason)),
                };
            }
        }
        turn(flow, wire, readiness, scratch, lent, exec, budget)
    }

    /// Whether it was told to drain.
    #[must_use]
    pub const fn is_draining(&self) -> bool {
        self.drained
    }

    /// When it wants to be told the time; [`Instant::NEVER`], if it does not.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.flow.deadline().map_or(Instant::NEVER, |deadline| deadline.at)
    }

    /// Whether bytes from its peer will help it, and may still come.
    #[must_use]
    pub fn wants_read(&self) -> bool {
        self.flow.next_read_operation() == ReadOperation::Read && !self.readiness.has_ended()
    }

    /// Whether it has bytes that its peer has not taken.
    #[must_use]
    pub fn wants_write(&self) -> bool {
        self.flow.next_write_operation() == WriteOperation::Write
    }

    /// Whether its application may have something for it, and has to know whom to wake.
    #[must_use]
    pub fn waits_for_application(&self) -> bool {
        self.flow.waiting_on().contains(Waiting::APPLICATION)
    }
}

impl fmt::Debug for Driven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driven")
            .field("readiness", &self.readiness)
            .field("drained", &self.drained)
            .finish_non_exhaustive()
    }
}
