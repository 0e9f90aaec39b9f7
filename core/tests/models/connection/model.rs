//! What a connection promises: exchanges one after another, and an end with a reason.
//!
//! ```text
//!   the peer's pieces ─► arrived ─► exchange in progress ─► output ─► flushed ─► next exchange, or the end
//! ```
//!
//! Where the machine has two halves that move on their own, the model has one exchange with its facts. What is said in it
//! is in [`answers`](super::answers).

use std::collections::VecDeque;
use std::time::Duration;

use anabranch_core::http1::{BodyLength, Refusal, Settings};
use anabranch_core::{
    CloseKind, CloseReason, DeadlineKind, ExchangeId, Instant, ReadOperation, WriteOperation,
};

use super::peer::{Meaning, Message, Piece, Request};

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
    head_begun: bool,
    pub(crate) drains: Option<Drain>,
    refusal: Option<Refusal>,
    pub(crate) end: Option<End>,
    pub(crate) reason: Option<CloseReason>,
    dropped: u64,

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
    received: u64,
    pub(crate) since: Instant,
    pub(crate) paused_at: Instant,
    pub(crate) last: Last,
    pub(crate) answer: Answer,
}

impl Exchange {
    fn new(request: Request, now: Instant) -> Self {
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
            output: Vec::new(),
            in_flight: 0,
            receive_by: None,
            write_by: None,
            answer_by: None,
        };
        model.receive_within(model.settings.deadlines.first_byte, DeadlineKind::FirstByte);
        model
    }

    // ---- the peer, and the driver ----

    pub(crate) fn send(&mut self, message: Message) {
        self.stream.extend(message.pieces());
    }

    pub(crate) fn unsent(&self) -> usize {
        self.stream.iter().map(|piece| piece.bytes.len()).sum::<usize>() - self.arrived
    }

    pub(crate) fn read(&mut self, count: usize) -> Vec<u8> {
        let count = count.min(self.unsent());
        let bytes = self.stream.iter().flat_map(|piece| &piece.bytes).copied();
        let read = bytes.skip(self.arrived).take(count).collect();
        self.arrived += count;
        self.lent = count;
        read
    }

    /// The driver's buffer is taken back: where nothing is read any more, the peer sent more than is answered, and gets time
    /// to read the answer.
    pub(crate) fn keep(&mut self) {
        if self.lent > 0 && self.input == Input::Shut {
            self.use_up(self.lent);
            if self.end == Some(End { kind: CloseKind::Immediate, flushed: false }) {
                self.end_by(CloseKind::Linger);
            }
        }
        self.lent = 0;
    }

    pub(crate) fn poll(&mut self, allowance: bool) -> Option<Told> {
        loop {
            let id = ExchangeId(self.exchanges);
            if let Some(refusal) = self.refusal.take() {
                return Some(Told::Refused(id, refusal));
            }
            let before = (self.stream.len(), self.arrived, self.exchanges, self.input);
            let told = match (self.input, &self.exchange) {
                (Input::Read, None) if allowance && !self.is_full() => self.poll_head(),
                (Input::Read, Some(exchange)) if !exchange.complete => self.poll_body(),
                (Input::Dropped, _) => {
                    self.drop_input();
                    return None;
                }
                _ => None,
            };
            if told.is_some() || before == (self.stream.len(), self.arrived, self.exchanges, self.input) {
                return told;
            }
        }
    }

    fn poll_head(&mut self) -> Option<Told> {
        if self.arrived == 0 || self.drains == Some(Drain::AfterCurrent) {
            if self.arrived == 0 && self.ended {
                self.end_idle(CloseReason::PeerClosed);
            } else if self.drains.is_some() {
                self.end_idle(CloseReason::Drained);
            }
            return None;
        }
        self.join();
        match self.front() {
            Some(Meaning::Head(request)) => Some(self.begin(request)),
            Some(Meaning::Refused(refusal)) => {
                self.refuse(refusal);
                None
            }
            _ if self.drains.is_some() => {
                self.end_idle(CloseReason::Drained);
                None
            }
            _ if self.ended && self.is_blank() => {
                self.end_idle(CloseReason::PeerClosed);
                None
            }
            _ if self.ended => {
                self.refuse(Refusal::TruncatedHead);
                None
            }
            _ => {
                if !std::mem::replace(&mut self.head_begun, true) {
                    self.receive_within(self.settings.deadlines.head, DeadlineKind::Head);
                }
                None
            }
        }
    }

    fn begin(&mut self, request: Request) -> Told {
        self.use_up(self.stream.front().map_or(0, |head| head.bytes.len()));
        self.exchanges += 1;
        let most = self.settings.limits.max_requests.is_some_and(|most| self.exchanges >= most);
        self.exchange = Some(Exchange {
            complete: request.body == BodyLength::Empty,
            last: match request.persists {
                _ if most => Last::ForUs,
                true => Last::No,
                false => Last::ForPeer,
            },
            ..Exchange::new(request, self.now)
        });
        self.head_begun = false;
        self.receive_by = None;
        self.await_answer();
        Told::Request(ExchangeId(self.exchanges), request)
    }

    fn poll_body(&mut self) -> Option<Told> {
        let id = ExchangeId(self.exchanges);
        let exchange = self.exchange.as_mut()?;
        let dropped = match exchange.body {
            Taking::Held | Taking::Paused => return None,
            Taking::Wanted => false,
            Taking::Dropped => true,
        };
        self.join();
        let (means, length) = match self.stream.front() {
            Some(front) => (front.means.clone(), front.bytes.len()),
            None => (Meaning::Nothing, 0),
        };
        let here = length.min(self.arrived);
        match means {
            Meaning::Data if here > 0 => {
                let data = self.arrived_bytes().take(here).collect();
                self.use_up(here);
                self.exchange.as_mut()?.received += here as u64;
                self.receive_body();
                (!dropped).then_some(Told::Body(id, data))
            }
            Meaning::Framing if here > 0 => {
                self.use_up(here);
                None
            }
            Meaning::End(trailers) if here == length => {
                self.use_up(here);
                if here == 0 {
                    self.stream.pop_front();
                }
                self.exchange.as_mut()?.complete = true;
                self.receive_by = None;
                self.await_answer();
                self.settle();
                (!dropped).then_some(Told::BodyEnd(id, trailers))
            }
            Meaning::Refused(refusal) if here == length => {
                self.refuse(refusal);
                None
            }
            _ if self.ended && dropped => {
                self.lose_dropped(CloseReason::Truncated);
                None
            }
            _ if self.ended => {
                self.refuse(Refusal::TruncatedBody);
                None
            }
            _ => None,
        }
    }

    /// What still comes behind the last answer is dropped, up to a limit.
    fn drop_input(&mut self) {
        self.dropped += self.arrived as u64;
        self.use_up(self.arrived);
        if self.ended || self.dropped > self.settings.limits.max_linger_bytes {
            self.shut_input();
        }
    }

    pub(crate) fn close_input(&mut self) {
        self.ended = true;
        self.truncate();
        if self.input == Input::Dropped {
            self.shut_input();
        }
    }

    pub(crate) fn wrote(&mut self, count: usize) {
        let reported = count.min(self.in_flight);
        self.in_flight -= reported;
        self.output.drain(..count - reported);
        self.write_by = None;
        self.await_write();
        self.flushed();
    }

    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        let taken: Vec<u8> = self.output.drain(..count.min(self.output.len())).collect();
        self.in_flight += taken.len();
        taken
    }

    /// Who does not take is not told why; of the others, the peer comes before the application.
    pub(crate) fn timeout(&mut self) {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= self.now);
        if due(self.write_by) {
            self.close(CloseReason::TimedOut(DeadlineKind::WriteStall));
        } else if let Some((_, kind)) = self.receive_by.filter(|(at, _)| due(Some(*at))) {
            self.receive_timed_out(kind);
        } else if due(self.answer_by) {
            self.answer_by = None;
            self.refuse(Refusal::HandlerTimeout);
        }
    }

    fn receive_timed_out(&mut self, kind: DeadlineKind) {
        match kind {
            DeadlineKind::Head if !self.is_blank() => self.refuse(Refusal::HeadTimeout),
            DeadlineKind::Body if self.exchange.as_ref().is_some_and(|it| it.body == Taking::Dropped) => {
                self.lose_dropped(CloseReason::TimedOut(kind));
            }
            DeadlineKind::Body => self.refuse(Refusal::BodyTimeout),
            DeadlineKind::Linger => self.shut_input(),
            _ => self.end_idle(CloseReason::TimedOut(kind)),
        }
    }

    pub(crate) fn drain(&mut self) {
        let current = if self.reads_body() { Drain::AfterCurrent } else { Drain::AfterComplete };
        self.drains.get_or_insert(current);
    }

    // ---- ends ----

    pub(crate) fn refuse(&mut self, refusal: Refusal) {
        let reason = match refusal {
            Refusal::HeadTimeout => CloseReason::TimedOut(DeadlineKind::Head),
            Refusal::BodyTimeout => CloseReason::TimedOut(DeadlineKind::Body),
            Refusal::HandlerTimeout => CloseReason::TimedOut(DeadlineKind::Handler),
            Refusal::TruncatedHead | Refusal::TruncatedBody => CloseReason::Truncated,
            other => CloseReason::Refused(other.status().as_u16()),
        };
        self.reason.get_or_insert(reason);
        let is_head = self.arrived_bytes().take(5).eq(*b"HEAD ");
        if self.exchange.is_none() {
            self.exchanges += 1;
        }
        let exchange =
            self.exchange.get_or_insert_with(|| Exchange::new(Request::of_refused(is_head), self.now));
        exchange.last = Last::ForUs;
        // Behind a complete answer there is nobody to be told.
        let told = exchange.answer != Answer::Done;
        self.drop_rest();
        if self.ended {
            self.shut_input();
        }
        self.answer_by = None;
        if told {
            self.refusal = Some(refusal);
        } else {
            self.settle();
        }
    }

    fn lose_dropped(&mut self, reason: CloseReason) {
        self.reason.get_or_insert(reason);
        self.drop_rest();
        if self.ended {
            self.shut_input();
        }
        self.settle();
    }

    /// The rest of the request is dropped, and its answer is the last.
    pub(crate) fn drop_rest(&mut self) {
        if let Some(exchange) = &mut self.exchange {
            exchange.last = Last::ForUs;
        }
        if self.input == Input::Read {
            self.input = Input::Dropped;
        }
        self.head_begun = false;
        self.receive_by = None;
    }

    fn shut_input(&mut self) {
        self.input = Input::Shut;
        self.receive_by = None;
        if let Some(end) = &mut self.end {
            end.kind = CloseKind::Immediate;
        }
    }

    /// The next exchange, or the end, once request and answer are both through.
    pub(crate) fn settle(&mut self) {
        if let Some(exchange) = &self.exchange
            && exchange.answer == Answer::Done
            && (exchange.complete || self.input != Input::Read)
        {
            let more = self.arrived > self.lent;
            match (self.input, exchange.last) {
                (Input::Read, Last::No) => self.exchange = None,
                (Input::Read, Last::ForPeer) if !more => self.end_by(CloseKind::Immediate),
                (Input::Read | Input::Dropped, _) => self.end_by(CloseKind::Linger),
                _ => self.end_by(CloseKind::Immediate),
            }
        }
        self.flushed();
    }

    fn end_idle(&mut self, reason: CloseReason) {
        self.reason.get_or_insert(reason);
        self.use_up(self.arrived - self.lent);
        self.end_by(CloseKind::Immediate);
        self.flushed();
    }

    /// What is queued is the last.
    pub(crate) fn end_by(&mut self, kind: CloseKind) {
        self.exchange = None;
        self.head_begun = false;
        self.receive_by = None;
        self.end = Some(End { kind, flushed: false });
        self.input = if kind == CloseKind::Linger { Input::Dropped } else { Input::Shut };
    }

    pub(crate) fn flushed(&mut self) {
        if self.pending() > 0 {
            return;
        }
        if let Some(end) = self.end.as_mut().filter(|end| !end.flushed) {
            end.flushed = true;
            let reason = if self.drains.is_some() { CloseReason::Drained } else { CloseReason::Finished };
            self.reason.get_or_insert(reason);
            if self.input == Input::Dropped {
                self.receive_within(self.settings.deadlines.linger, DeadlineKind::Linger);
            }
        } else if self.is_idle() && !self.head_begun && self.exchanges > 0 {
            self.receive_within(self.settings.deadlines.idle, DeadlineKind::Idle);
        }
    }

    /// All of it, at once.
    pub(crate) fn close(&mut self, reason: CloseReason) {
        if !self.is_finished() && (self.reason.is_none() || self.pending() > 0) {
            self.reason = Some(reason);
        }
        self.use_up(self.arrived - self.lent);
        self.end_by(CloseKind::Immediate);
        self.end = Some(End { kind: CloseKind::Immediate, flushed: true });
        self.refusal = None;
        self.output.clear();
        self.in_flight = 0;
        (self.write_by, self.answer_by) = (None, None);
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

    fn is_full(&self) -> bool {
        self.pending() > self.settings.limits.max_output_bytes
    }

    /// Nothing but line ends has arrived.
    fn is_blank(&self) -> bool {
        self.arrived_bytes().all(|byte| matches!(byte, b'\r' | b'\n'))
    }

    pub(crate) fn arrived_bytes(&self) -> impl Iterator<Item = u8> + '_ {
        self.stream.iter().flat_map(|piece| &piece.bytes).copied().take(self.arrived)
    }

    // ---- time ----

    fn receive_within(&mut self, time: Option<Duration>, kind: DeadlineKind) {
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
        let rate = deadlines.body.zip(deadlines.min_body_rate).map(|(grace, rate)| {
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
    fn front(&self) -> Option<Meaning> {
        let front = self.stream.front()?;
        (front.bytes.len() <= self.arrived).then(|| front.means.clone())
    }

    /// What was kept and what came are used together.
    fn join(&mut self) {
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
    fn truncate(&mut self) {
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
