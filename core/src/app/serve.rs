//! The application behind a connection: [`http1::Connection`](crate::http1::Connection) joined with a [`Service`] into a
//! [`Flow`].
//!
//! ```text
//!   Request ──► service.call ──► Outcome ─┬─ Reply ────────────────────────────► answer, in place
//!                                         ├─ Collect ── body whole ──► then ──►┐
//!                                         ├─ Stream ─── body begins ─► then ──►┤ Outcome again
//!                                         ├─ After ──── time passed ─► then ──►┤
//!                                         ├─ Await ──── future ───────────────►┘
//!                                         ├─ Defer ──── job ──► slot ──────────► answer
//!                                         └─ Upgrade ── 101, 200 ──────────────► another flow
//! ```

use core::fmt;
use core::hint::cold_path;
use std::io::IoSlice;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::Extensions;

use super::exchange::Exchange;
use super::http::Shared;
use super::memory::Charge;
use super::observer::RequestEnd;
use super::outcome::MakeFlow;
use super::service::Service;
use super::track::Track;
use crate::flow::{
    AbortReason, CloseKind, CloseReason, Deadline, DeadlineKind, Flow, InputEnd, ReadOperation, Waiting,
    WriteOperation, WriteResult,
};
use crate::http1::{Connection, Refusal};
use crate::info::{ConnectionInfo, ExchangeId};
use crate::job::Job;
use crate::layers::switch::{Next, Switchable};
use crate::outlook::Outlook;
use crate::time::Instant;
use crate::turn::Turn;

/// A connection with an application behind it.
pub(crate) struct Serve<S> {
    pub(super) connection: Connection,
    pub(super) shared: Arc<Shared<S>>,
    pub(super) info: ConnectionInfo,
    pub(super) state: Extensions,
    pub(super) exchange: Option<Box<Exchange>>,
    pub(super) track: Option<Box<Track>>,
    pub(super) output_charge: Option<Charge>,
    pub(super) offered: Offered,
    /// Makes the flow that takes over, once the switch is flushed. Boxed once more: a connection that never switches, as most
    /// do not, has one word for it.
    pub(super) next: Option<Box<MakeFlow>>,
    pub(super) opening: Opening,
}

/// How a connection begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Opening {
    /// With its first request.
    Open,
    /// With a refusal, at the first run or read: the server has as many connections as it may.
    Overloaded,
}

/// What became of the output that was offered to the driver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Offered {
    /// It was taken, or there was none.
    Nothing,
    /// It waits for the peer.
    Waits,
    /// It waits, and the process's budget has no room for it.
    OverBudget,
}

/// A handler, a future or a body source panicked.
pub(super) struct Panicked;

impl<S: Service> Serve<S> {
    pub(crate) fn new(shared: Arc<Shared<S>>, info: ConnectionInfo, opening: Opening, now: Instant) -> Self {
        let mut state = Extensions::new();
        if opening == Opening::Open {
            // A panic here must not take the driver along; the service finds its connection without state.
            let _ = catch_unwind(AssertUnwindSafe(|| shared.service.open(&info, &mut state)));
        }
        let mut connection = Connection::new(Arc::clone(&shared.settings), now);
        connection.grant_output(0, 0);
        Self {
            connection,
            shared,
            info,
            state,
            exchange: None,
            track: None,
            output_charge: None,
            offered: Offered::Nothing,
            next: None,
            opening,
        }
    }

    /// Whether the connection stands between two requests, with nothing to be done for either: as most runs find it.
    #[inline]
    const fn is_at_rest(&self) -> bool {
        self.connection.is_at_rest()
            && self.exchange.is_none()
            && self.output_charge.is_none()
            && matches!(self.opening, Opening::Open)
    }

    /// Refuses a connection that there is no room for, before anything of it is looked at.
    fn open(&mut self, turn: &mut Turn<'_>) {
        if self.opening == Opening::Overloaded {
            cold_path();
            self.opening = Opening::Open;
            self.connection.refuse_connection(Refusal::Overloaded, turn);
        }
    }
}

impl<S: Service> Flow for Serve<S> {
    fn next_read_operation(&self) -> ReadOperation {
        self.connection.next_read_operation()
    }

    fn next_write_operation(&self) -> WriteOperation {
        self.connection.next_write_operation()
    }

    fn waiting_on(&self) -> Waiting {
        let mut waiting = Waiting::NOTHING;
        if self.connection.next_read_operation() == ReadOperation::Read {
            waiting = waiting | Waiting::PEER_READ;
        }
        if self.connection.pending_output() > 0 {
            waiting = waiting | Waiting::PEER_WRITE;
        }
        let held_back = self.opening == Opening::Overloaded || self.connection.is_held_back();
        if held_back || self.exchange.as_ref().is_some_and(|exchange| exchange.waits_for_application()) {
            waiting = waiting | Waiting::APPLICATION;
        }
        if self.deadline().is_some() {
            waiting = waiting | Waiting::DEADLINE;
        }
        waiting
    }

    fn deadline(&self) -> Option<Deadline> {
        let connection = self.connection.deadline();
        let Some(at) = self.exchange.as_ref().and_then(|exchange| exchange.deadline()) else {
            return connection;
        };
        match connection {
            Some(deadline) if deadline.at <= at => connection,
            _ => Some(Deadline { at, kind: DeadlineKind::Application }),
        }
    }

    #[inline(always)]
    fn outlook(&self) -> Outlook {
        if self.is_at_rest()
            && let Some(outlook) = self.connection.outlook_at_rest()
        {
            return outlook;
        }
        self.outlook_while_busy()
    }

    fn write_slices<'a>(&'a self, out: &mut [IoSlice<'a>]) -> usize {
        self.connection.write_slices(out)
    }

    fn ending(&self) -> Option<CloseKind> {
        self.connection.ending()
    }

    fn close_reason(&self) -> Option<CloseReason> {
        self.connection.close_reason()
    }

    #[inline(always)]
    fn read(&mut self, input: &mut BytesMut, turn: &mut Turn<'_>) {
        self.open(turn);
        self.pump(input, turn);
        while !input.is_empty() && self.makes_room(input.len()) {
            self.pump(input, turn);
        }
        self.connection.keep(input, turn);
    }

    fn close_input(&mut self, end: InputEnd, turn: &mut Turn<'_>) {
        if self.is_streaming() {
            // What came before the end is the application's, however soon the end came behind it (law 9).
            self.progress(turn);
        }
        self.connection.close_input(end);
        self.pump(&mut BytesMut::new(), turn);
        self.abandon_if_closed(turn);
    }

    #[inline(always)]
    fn report_write_result(&mut self, result: WriteResult, turn: &mut Turn<'_>) {
        self.connection.report_write_result(result, turn);
        if self.connection.pending_output() == 0 {
            self.offered = Offered::Nothing;
        }
        if result == WriteResult::Closed {
            cold_path();
            self.abandon_if_closed(turn);
        }
    }

    fn handle_timeout(&mut self, turn: &mut Turn<'_>) {
        self.connection.handle_timeout(turn);
        self.pump(&mut BytesMut::new(), turn);
        self.abandon_if_closed(turn);
    }

    #[inline(always)]
    fn run(&mut self, turn: &mut Turn<'_>) {
        if self.is_at_rest() {
            cold_path();
            self.offered = Offered::Nothing;
            return;
        }
        self.open(turn);
        let mut pending = self.connection.pending_output();
        self.tend_output(pending);
        if self.exchange.is_some() || self.connection.has_kept_input() {
            cold_path();
            self.progress(turn);
            pending = self.connection.pending_output();
        }
        self.offered = match self.offered {
            _ if pending == 0 => Offered::Nothing,
            Offered::Nothing => Offered::Waits,
            waiting => waiting,
        };
    }

    fn drain(&mut self, turn: &mut Turn<'_>) {
        self.connection.drain();
        self.pump(&mut BytesMut::new(), turn);
        self.connection.keep(&mut BytesMut::new(), turn);
    }

    fn abort(&mut self, reason: AbortReason) {
        self.connection.abort(reason);
        self.exchange = None;
        self.output_charge = None;
        if let (Some(track), Some(observer)) = (self.track.take(), self.shared.observer.as_deref()) {
            let id = ExchangeId(self.connection.exchanges());
            track.tell(observer, &self.info, id, RequestEnd::Cut, track.latest);
        }
    }

    fn poll_job(&mut self) -> Option<Job> {
        let exchange = self.exchange.as_mut()?;
        cold_path();
        exchange.job.take()
    }

    fn take_output(&mut self, max: usize, out: &mut Vec<Bytes>) {
        self.connection.take_output(max, out);
    }
}

impl<S: Service> Switchable for Serve<S> {
    #[inline]
    fn poll_switch(&mut self, turn: &mut Turn<'_>) -> Option<Next> {
        self.next.as_ref()?;
        self.make_next(turn)
    }
}

impl<S: Service> Serve<S> {
    #[inline(never)]
    fn outlook_while_busy(&self) -> Outlook {
        Outlook { max_read_bytes: self.connection.max_read_bytes(), ..Outlook::of(self) }
    }

    #[cold]
    fn make_next(&mut self, turn: &Turn<'_>) -> Option<Next> {
        if self.connection.pending_output() > 0 {
            return None;
        }
        let make = self.next.take()?;
        if !self.connection.is_switched() {
            // It ended before its answer was out: nothing is left to hand over.
            return None;
        }
        let leftover = self.connection.take_leftover();
        let (info, now) = (self.info.clone(), turn.now);
        let flow = catch_unwind(AssertUnwindSafe(|| make(info, now)));
        match flow {
            Ok(flow) => Some(Next { flow, leftover }),
            Err(_) => {
                self.connection.fail();
                None
            }
        }
    }
}

impl<S> fmt::Debug for Serve<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve")
            .field("info", &self.info)
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}
