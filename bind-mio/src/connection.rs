//! A connection on its way through turns: all there is of it, so that it can move between threads by value.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

#[cfg(target_os = "linux")]
use anabranch_core::ReadOperation;
use anabranch_core::drive::{self, Budget, Progress, Readiness};
use anabranch_core::{AbortReason, CloseReason, Flow, Instant, Turn, Waiting, WriteOperation};
use anabranch_std::host::{Host, Permit, Stop, Workspace};
use socket2::Socket;

use crate::socket::SocketWire;

/// A connection whose application wakes it in mid-turn has so many turns before others have theirs.
pub(crate) const TURNS_IN_A_ROW: usize = 4;

/// A flow, its socket, and what is known of that.
pub(crate) struct Connection {
    flow: Box<dyn Flow>,
    socket: Socket,
    pub(crate) readiness: Readiness,
    /// The flow was told to drain.
    drained: bool,
    /// Behind the socket: that is closed before this says so.
    permit: Permit,
}

impl Connection {
    pub(crate) fn new(flow: Box<dyn Flow>, socket: Socket, permit: Permit) -> Self {
        let mut readiness = Readiness::ready();
        // What has come is reported by the first event, and not asked for by a read that may be for nothing.
        readiness.readable = false;
        Self { flow, socket, readiness, drained: false, permit }
    }

    pub(crate) const fn socket(&self) -> &Socket {
        &self.socket
    }

    /// When its flow wants to be told the time; never, if it does not.
    pub(crate) fn deadline(&self) -> Instant {
        self.flow.deadline().map_or(Instant::NEVER, |deadline| deadline.at)
    }

    /// Whether bytes from its peer will help it.
    #[cfg(target_os = "linux")]
    pub(crate) fn wants_read(&self) -> bool {
        self.flow.next_read_operation() == ReadOperation::Read && !self.readiness.has_ended()
    }

    /// Whether it has bytes that its peer has not taken.
    pub(crate) fn wants_write(&self) -> bool {
        self.flow.next_write_operation() == WriteOperation::Write
    }

    /// Whether its application may have something for it, and has to know whom to wake.
    pub(crate) fn waits_for_application(&self) -> bool {
        self.flow.waiting_on().contains(Waiting::APPLICATION)
    }

    /// Everything that can be done now, within the budget of one turn: what the server wants of it included.
    ///
    /// A flow that panics breaks a law; that costs its own connection and nobody else's. What it was lent is dropped with it.
    pub(crate) fn turn(
        &mut self,
        host: &Host,
        workspace: &mut Workspace,
        now: Instant,
        waker: &Waker,
    ) -> Progress {
        let read_bytes = workspace.scratch.capacity();
        let turned = catch_unwind(AssertUnwindSafe(|| self.take_turn(host, workspace, now, waker)));
        turned.unwrap_or_else(|_| {
            *workspace = Workspace::new(read_bytes);
            Progress::Finished(CloseReason::Aborted(AbortReason::Driver))
        })
    }

    fn take_turn(&mut self, host: &Host, workspace: &mut Workspace, now: Instant, waker: &Waker) -> Progress {
        match host.stop() {
            Stop::Running => {}
            Stop::Draining if self.drained => {}
            Stop::Draining => {
                self.drained = true;
                // Law 7: what arrived before the drain is read before the flow learns of it; one budget's worth.
                self.readiness.readable |= !self.readiness.has_ended();
                let progress = self.drive(host, workspace, now, waker);
                if matches!(progress, Progress::Finished(_)) {
                    return progress;
                }
                let Workspace { pool, dates, .. } = workspace;
                self.flow.drain(&mut Turn::new(now, dates, waker, pool));
            }
            Stop::Aborting(reason) => {
                self.flow.abort(reason);
                // One turn more: it resets the transport, where an orderly end would say too much.
                return match self.drive(host, workspace, now, waker) {
                    finished @ Progress::Finished(_) => finished,
                    Progress::Blocked | Progress::Again => Progress::Finished(CloseReason::Aborted(reason)),
                };
            }
        }
        self.drive(host, workspace, now, waker)
    }

    fn drive(&mut self, host: &Host, workspace: &mut Workspace, now: Instant, waker: &Waker) -> Progress {
        let Workspace { scratch, pool, dates, .. } = workspace;
        let mut turn = Turn::new(now, dates, waker, pool);
        drive::turn(
            &mut *self.flow,
            &mut SocketWire(&self.socket),
            &mut self.readiness,
            scratch,
            &mut turn,
            &mut |job| host.exec(job),
            Budget::default(),
        )
    }

    /// Closes it, for that reason.
    pub(crate) fn close(self, reason: CloseReason) {
        let Self { flow, socket, permit, .. } = self;
        drop(socket);
        permit.end(reason);
        // What the application left with it may panic too.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(flow)));
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("permit", &self.permit).finish_non_exhaustive()
    }
}
