//! What a connection promises: exchanges one after another, and an end with a reason.
//!
//! ```text
//!   the peer's pieces ─► arrived ─► exchange in progress ─► output ─► flushed ─► next exchange, or the end
//! ```
//!
//! Where the machine has two halves that move on their own, the model has one exchange with its facts. How it comes to them
//! is in [`conversation`](super::conversation), what is said in it in [`answers`](super::answers).

use std::collections::VecDeque;
use std::time::Duration;

use anabranch_core::http1::{Refusal, Settings};
use anabranch_core::{
    CloseKind, CloseReason, DeadlineKind, ExchangeId, Instant, ReadOperation, WriteOperation,
};

use super::peer::{Meaning, Piece, Request};

#[derive(Clone)]
pub(crate) struct Model {
    pub(crate) settings: Settings,
    pub(crate) now: Instant,
    /// What the peer sent, from the first byte that was not used.
    pub(crate) stream: VecDeque<Piece>,
    /// How much of that has arrived, and how much of the latter is still in the driver's buffer.
    pub(crate) arrived: usize,
    pub(crate) lent: usize,
    /// Nothing more arrives.
    pub(crate) ended: bool,
    /// The last poll gave nothing; and nothing happened since that could have changed that.
    pub(crate) polled_dry: bool,
    pub(crate) rests: bool,

    pub(crate) exchanges: u64,
    pub(crate) exchange: Option<Exchange>,
    pub(crate) input: Input,
    pub(crate) head_begun: bool,
    pub(crate) drains: Option<Drain>,
    pub(crate) refusal: Option<Refusal>,
    pub(crate) end: Option<End>,
    pub(crate) reason: Option<CloseReason>,
    pub(crate) dropped: u64,
    /// The last answer ends where the connection does.
    pub(crate) until_close: bool,

    /// What the driver may take, and how much it took and did not report.
    pub(crate) output: Vec<u8>,
    pub(crate) in_flight: usize,

    pub(crate) receive_by: Option<(Instant, DeadlineKind)>,
    pub(crate) write_by: Option<Instant>,
    pub(crate) answer_by: Option<Instant>,
}

/// A request, and what became of it so far.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) request: Request,
    pub(crate) complete: bool,
    pub(crate) body: Taking,
    pub(crate) continued: bool,
    pub(crate) received: u64,
    pub(crate) since: Instant,
    pub(crate) paused_at: Instant,
    pub(crate) last: Last,
    pub(crate) answer: Answer,
}

impl Exchange {
    pub(crate) fn new(request: Request, now: Instant) -> Self {
        Self {
            request,
            complete: true,
            body: Taking::Held,
            continued: false,
            received: 0,
            since: now,
            paused_at: now,
            last: Last::No,
            answer: Answer::Owed,
        }
    }
}

/// What becomes of the request's body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Taking {
    Held,
    Wanted,
    Paused,
    Dropped,
}

/// Whether the exchange is the last, and whose wish that is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Last {
    No,
    ForPeer,
    ForUs,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    Owed,
    /// With so much to come, where that is known.
    Begun(Rest),
    Done,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rest {
    Nothing,
    Length(u64),
    Chunks,
    UntilClose,
}

/// What becomes of the peer's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Input {
    Read,
    Dropped,
    Switched,
    Shut,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Drain {
    AfterComplete,
    AfterCurrent,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct End {
    pub(crate) kind: CloseKind,
    pub(crate) flushed: bool,
}

/// An event, in the model's words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Told {
    Request(ExchangeId, Request),
    Body(ExchangeId, Vec<u8>),
    BodyEnd(ExchangeId, Vec<(String, String)>),
    Refused(ExchangeId, Refusal),
}

impl Model {
    pub(crate) fn new(settings: Settings) -> Self {
        let now = Instant::from_nanos(1_000_000_000);
        let mut model = Self {
            settings,
            now,
            stream: VecDeque::new(),
            arrived: 0,
            lent: 0,
            ended: false,
            polled_dry: true,
            rests: true,
            exchanges: 0,
            exchange: None,
            input: Input::Read,
            head_begun: false,
            drains: None,
            refusal: None,
            end: None,
            reason: None,
            dropped: 0,
            until_close: false,
            output: Vec::new(),
            in_flight: 0,
            receive_by: None,
            write_by: None,
            answer_by: None,
        };
        model.receive_within(model.settings.deadlines.first_byte, DeadlineKind::FirstByte);
        model
    }

    // ---- what is asked ----

    pub(crate) fn read_operation(&self) -> ReadOperation {
        let kept = self.arrived - self.lent;
        let reads = match (self.input, &self.exchange) {
            (Input::Shut, _) => return ReadOperation::Close,
            _ if self.ended => false,
            // What was kept moves first.
            (Input::Read, None) => !self.is_full() && (self.head_begun || kept == 0),
            (Input::Read, Some(exchange)) => {
                !exchange.complete && matches!(exchange.body, Taking::Wanted | Taking::Dropped)
            }
            // Kept for when there is an answer that a reset could destroy.
            (Input::Dropped, exchange) => exchange.as_ref().is_none_or(|it| it.answer != Answer::Owed),
            (Input::Switched, _) => false,
        };
        if reads { ReadOperation::Read } else { ReadOperation::Yield }
    }

    pub(crate) fn write_operation(&self) -> WriteOperation {
        match self.end {
            _ if !self.output.is_empty() => WriteOperation::Write,
            Some(End { kind, flushed: true }) => WriteOperation::Close(kind),
            _ => WriteOperation::Yield,
        }
    }

    /// The nearest, and all that are due then.
    pub(crate) fn deadline(&self) -> Option<(Instant, Vec<DeadlineKind>)> {
        let mut all: Vec<_> = self.receive_by.into_iter().collect();
        all.extend(self.write_by.map(|at| (at, DeadlineKind::WriteStall)));
        all.extend(self.answer_by.map(|at| (at, DeadlineKind::Handler)));
        let nearest = all.iter().map(|(at, _)| *at).min()?;
        Some((nearest, all.iter().filter(|(at, _)| *at == nearest).map(|(_, kind)| *kind).collect()))
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.input == Input::Shut && self.end.is_some_and(|end| end.flushed)
    }

    pub(crate) fn pending(&self) -> usize {
        self.output.len() + self.in_flight
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.input == Input::Read && self.exchange.is_none() && self.end.is_none()
    }

    pub(crate) fn reads_body(&self) -> bool {
        self.input == Input::Read && self.exchange.as_ref().is_some_and(|exchange| !exchange.complete)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.pending() > self.settings.limits.max_output_bytes
    }

    /// Nothing but line ends has arrived.
    pub(crate) fn is_blank(&self) -> bool {
        self.arrived_bytes().all(|byte| matches!(byte, b'\r' | b'\n'))
    }

    pub(crate) fn arrived_bytes(&self) -> impl Iterator<Item = u8> + '_ {
        self.stream.iter().flat_map(|piece| &piece.bytes).copied().take(self.arrived)
    }

    // ---- time ----

    pub(crate) fn receive_within(&mut self, time: Option<Duration>, kind: DeadlineKind) {
        self.receive_by = time.map(|time| (self.now + time, kind));
    }

    /// A body has to move, and to come at a rate, with the time without progress as its grace.
    pub(crate) fn receive_body(&mut self) {
        if !self.reads_body() {
            return;
        }
        let Some(exchange) = &self.exchange else { return };
        let deadlines = &self.settings.deadlines;
        let progress = deadlines.body.map(|time| self.now + time);
        let grace = deadlines.body.unwrap_or(Duration::from_secs(10));
        let rate = deadlines.min_body_rate.map(|rate| {
            exchange.since + grace + Duration::from_nanos(exchange.received * 1_000_000_000 / u64::from(rate))
        });
        let at = progress.into_iter().chain(rate).min();
        self.receive_by = at.map(|at| (at, DeadlineKind::Body));
    }

    pub(crate) fn await_answer(&mut self) {
        if self.exchange.as_ref().is_some_and(|exchange| exchange.answer == Answer::Owed) {
            self.answer_by = self.settings.deadlines.handler.map(|time| self.now + time);
        }
    }

    pub(crate) fn await_write(&mut self) {
        if self.write_by.is_none() && self.pending() > 0 {
            self.write_by = self.settings.deadlines.write_stall.map(|time| self.now + time);
        }
    }

    // ---- the stream ----

    /// What the next piece means, once all of it has arrived.
    pub(crate) fn front(&self) -> Option<Meaning> {
        let front = self.stream.front()?;
        (front.bytes.len() <= self.arrived).then(|| front.means.clone())
    }

    /// What was kept and what came are used together.
    pub(crate) fn join(&mut self) {
        if self.arrived > self.lent {
            self.lent = 0;
        }
    }

    pub(crate) fn use_up(&mut self, mut count: usize) {
        self.arrived -= count;
        self.lent = self.lent.min(self.arrived);
        while count > 0
            && let Some(front) = self.stream.front_mut()
        {
            let used = count.min(front.bytes.len());
            front.bytes.drain(..used);
            count -= used;
            if front.bytes.is_empty() {
                self.stream.pop_front();
            }
        }
    }

    /// What has not arrived never does.
    pub(crate) fn truncate(&mut self) {
        let mut left = Some(self.arrived);
        self.stream.retain_mut(|piece| {
            let Some(here) = left else { return false };
            left = here.checked_sub(piece.bytes.len());
            if left.is_none() && !matches!(piece.means, Meaning::Data | Meaning::Framing) {
                piece.means = Meaning::Nothing;
            }
            piece.bytes.truncate(here);
            left.is_some() || here > 0
        });
    }
}
