//! A flow on its way through turns, and what its server wants of it told in the order that the laws ask for.
//!
//! ```text
//!              Running                  Draining, the first time                   Aborting
//!                 │             readable? ─► turn ─► flow.drain                    flow.abort
//!                 │                                      │                             │
//!                 └──────────────► turn ◄────────────────┘               turn, the last one: it resets
//! ```

use core::fmt;
use core::hint::cold_path;

use bytes::BytesMut;

use super::{Budget, Progress, Readiness, Wire};
use crate::flow::{AbortReason, CloseReason, Flow, ReadOperation};
use crate::job::Job;
use crate::outlook::Outlook;
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
/// what is beneath is [`turn`](super::turn).
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
    /// [`drive::turn`](super::turn). The time, the buffers and the waker are the driver's.
    pub fn turn<W: Wire>(
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
                cold_path();
                *drained = true;
                // Law 7: what arrived before the drain is read before the flow learns of it. A peer that sends faster than
                // it is read must not hold the drain up: one budget's worth, and no more.
                readiness.readable |= !readiness.has_ended();
                if let finished @ Progress::Finished(_) =
                    flow.take_turn(wire, readiness, scratch, lent, exec, budget)
                {
                    return finished;
                }
                flow.drain(lent);
            }
            Stop::Aborting(reason) => {
                cold_path();
                flow.abort(reason);
                // One turn more: it resets the transport, where an orderly end would say too much.
                return match flow.take_turn(wire, readiness, scratch, lent, exec, budget) {
                    finished @ Progress::Finished(_) => finished,
                    Progress::Blocked | Progress::Again => Progress::Finished(CloseReason::Aborted(reason)),
                };
            }
        }
        flow.take_turn(wire, readiness, scratch, lent, exec, budget)
    }

    /// Whether it was told to drain.
    #[must_use]
    pub const fn is_draining(&self) -> bool {
        self.drained
    }

    /// What lies ahead of it, for whoever waits: a peer whose bytes have ended is not read from.
    #[inline]
    pub fn outlook(&self) -> Outlook {
        let mut outlook = self.flow.outlook();
        if self.readiness.has_ended() && outlook.reads() {
            outlook.read = ReadOperation::Yield;
        }
        outlook
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
