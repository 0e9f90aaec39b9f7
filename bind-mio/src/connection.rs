//! A connection on its way through turns: all there is of it, so that it can move between threads by value.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

use anabranch_core::drive::{Budget, Driven, Progress, Readiness};
use anabranch_core::{AbortReason, CloseReason, Flow, Instant, Job, Outlook, Turn};
use anabranch_std::Connection as Accepted;
use anabranch_std::host::{Host, Permit, Workspace};
use socket2::Socket;

use crate::socket::SocketWire;

/// A connection whose application wakes it in mid-turn has so many turns before others have theirs.
pub(crate) const TURNS_IN_A_ROW: usize = 4;

/// How a turn with a connection ended: all that whoever owns it has to know.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Turned {
    /// Nothing moves before what this says.
    Blocked(Outlook),
    /// There may be more to do.
    Again,
    /// It is to be closed.
    Finished(CloseReason),
}

/// A flow, its socket, and its place in the server.
pub(crate) struct Connection {
    pub(crate) driven: Driven,
    socket: Socket,
    /// Behind the socket: that is closed before this says so.
    permit: Permit,
}

impl Connection {
    pub(crate) fn new(flow: Box<dyn Flow>, accepted: Accepted, permit: Permit) -> Self {
        let mut readiness = Readiness::ready();
        // Otherwise what comes is reported by the first event, and not asked for by a read that may be for nothing.
        readiness.readable = accepted.has_input;
        Self { driven: Driven::new(flow, readiness), socket: accepted.socket, permit }
    }

    pub(crate) const fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Everything that can be done now, within the budget of one turn: what the server wants of it included.
    ///
    /// A flow that panics breaks a law; that costs its own connection and nobody else's. What it was lent is dropped with it.
    #[inline]
    pub(crate) fn turn(
        &mut self,
        host: &Host,
        workspace: &mut Workspace,
        now: Instant,
        waker: &Waker,
        exec: &mut dyn FnMut(Job) -> Result<(), Job>,
    ) -> Turned {
        let Self { driven, socket, .. } = self;
        let read_bytes = workspace.scratch.capacity();
        let budget = Budget::default();
        let turned = catch_unwind(AssertUnwindSafe(|| {
            let Workspace { scratch, pool, dates, .. } = &mut *workspace;
            let mut turn = Turn::new(now, dates, waker, pool);
            let mut wire = SocketWire { socket };
            match driven.turn(host.stop(), &mut wire, scratch, &mut turn, exec, budget) {
                Progress::Blocked => Turned::Blocked(driven.outlook()),
                Progress::Again => Turned::Again,
                Progress::Finished(reason) => Turned::Finished(reason),
            }
        }));
        turned.unwrap_or_else(|_| {
            *workspace = Workspace::new(read_bytes);
            Turned::Finished(CloseReason::Aborted(AbortReason::Driver))
        })
    }

    /// Closes it, for that reason.
    pub(crate) fn close(self, reason: CloseReason) {
        let Self { driven, socket, permit } = self;
        drop(socket);
        // What the application left with it may panic too. It is gone before its place is given to another.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(driven)));
        permit.end(reason);
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("permit", &self.permit).finish_non_exhaustive()
    }
}
