//! A flow that becomes another: learn first, then switch.
//!
//! ```text
//!   First ── poll_switch: flushed, knows what follows ──► Next   (begins with the bytes that were left over)
//! ```
//!
//! An HTTP connection becomes a WebSocket, a PROXY header or a TLS handshake becomes the protocol it announces. The driver
//! sees one flow throughout.

use core::hint::cold_path;
use std::io::IoSlice;

use bytes::{Bytes, BytesMut};

use crate::flow::{
    AbortReason, CloseKind, CloseReason, Deadline, Flow, InputEnd, ReadOperation, Waiting, WriteOperation,
    WriteResult,
};
use crate::job::Job;
use crate::outlook::Outlook;
use crate::turn::Turn;

/// A flow that may hand its connection over.
pub trait Switchable: Flow {
    /// What takes over, once: when all output of this flow is flushed. Asked after every input.
    fn poll_switch(&mut self, turn: &mut Turn<'_>) -> Option<Next>;
}

/// What takes a connection over.
pub struct Next {
    /// The flow.
    pub flow: Box<dyn Flow>,
    /// What the peer sent for it already.
    pub leftover: BytesMut,
}

impl core::fmt::Debug for Next {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Next").field("leftover", &self.leftover.len()).finish_non_exhaustive()
    }
}

/// Is its first flow, until that hands over; then the next.
pub struct Switch<F> {
    stage: Stage<F>,
    /// An end of input that came before the switch, for the next flow.
    ended: Option<InputEnd>,
    draining: bool,
}

enum Stage<F> {
    First(F),
    Next(Box<dyn Flow>),
}

impl<F: Switchable> Switch<F> {
    /// Begins with `first`.
    #[must_use]
    pub const fn new(first: F) -> Self {
        Self { stage: Stage::First(first), ended: None, draining: false }
    }

    #[inline]
    fn switch(&mut self, turn: &mut Turn<'_>) {
        if let Stage::First(first) = &mut self.stage
            && let Some(next) = first.poll_switch(turn)
        {
            self.begin(next, turn);
        }
    }

    #[cold]
    #[inline(never)]
    fn begin(&mut self, next: Next, turn: &mut Turn<'_>) {
        let Next { mut flow, mut leftover } = next;
        if !leftover.is_empty() {
            flow.read(&mut leftover, turn);
        }
        if let Some(end) = self.ended {
            flow.close_input(end, turn);
        }
        if self.draining {
            flow.drain(turn);
        }
        self.stage = Stage::Next(flow);
    }
}

macro_rules! ask {
    ($self:ident, $flow:ident => $call:expr) => {
        match &$self.stage {
            Stage::First($flow) => $call,
            Stage::Next($flow) => {
                cold_path();
                $call
            }
        }
    };
}

macro_rules! tell {
    ($self:ident, $flow:ident => $call:expr) => {
        match &mut $self.stage {
            Stage::First($flow) => $call,
            Stage::Next($flow) => {
                cold_path();
                $call
            }
        }
    };
}

impl<F: Switchable> Flow for Switch<F> {
    fn next_read_operation(&self) -> ReadOperation {
        ask!(self, flow => flow.next_read_operation())
    }

    fn next_write_operation(&self) -> WriteOperation {
        ask!(self, flow => flow.next_write_operation())
    }

    fn waiting_on(&self) -> Waiting {
        ask!(self, flow => flow.waiting_on())
    }

    fn deadline(&self) -> Option<Deadline> {
        ask!(self, flow => flow.deadline())
    }

    #[inline(always)]
    fn outlook(&self) -> Outlook {
        ask!(self, flow => flow.outlook())
    }

    fn ending(&self) -> Option<CloseKind> {
        ask!(self, flow => flow.ending())
    }

    fn write_slices<'a>(&'a self, out: &mut [IoSlice<'a>]) -> usize {
        ask!(self, flow => flow.write_slices(out))
    }

    fn close_reason(&self) -> Option<CloseReason> {
        ask!(self, flow => flow.close_reason())
    }

    #[inline(always)]
    fn read(&mut self, input: &mut BytesMut, turn: &mut Turn<'_>) {
        tell!(self, flow => flow.read(input, turn));
        self.switch(turn);
    }

    fn close_input(&mut self, end: InputEnd, turn: &mut Turn<'_>) {
        self.ended = Some(end);
        tell!(self, flow => flow.close_input(end, turn));
        self.switch(turn);
    }

    #[inline(always)]
    fn report_write_result(&mut self, result: WriteResult, turn: &mut Turn<'_>) {
        tell!(self, flow => flow.report_write_result(result, turn));
        self.switch(turn);
    }

    fn handle_timeout(&mut self, turn: &mut Turn<'_>) {
        tell!(self, flow => flow.handle_timeout(turn));
        self.switch(turn);
    }

    #[inline(always)]
    fn run(&mut self, turn: &mut Turn<'_>) {
        tell!(self, flow => flow.run(turn));
        self.switch(turn);
    }

    fn drain(&mut self, turn: &mut Turn<'_>) {
        self.draining = true;
        tell!(self, flow => flow.drain(turn));
        self.switch(turn);
    }

    fn abort(&mut self, reason: AbortReason) {
        tell!(self, flow => flow.abort(reason));
    }

    fn poll_job(&mut self) -> Option<Job> {
        tell!(self, flow => flow.poll_job())
    }

    fn take_output(&mut self, max: usize, out: &mut Vec<Bytes>) {
        tell!(self, flow => flow.take_output(max, out));
    }
}

impl<F> core::fmt::Debug for Switch<F> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let stage = match self.stage {
            Stage::First(_) => "first",
            Stage::Next(_) => "next",
        };
        f.debug_struct("Switch").field("stage", &stage).finish_non_exhaustive()
    }
}
