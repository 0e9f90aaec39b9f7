//! What a connection does with what comes, and how it ends.

use anabranch_core::http1::{BodyLength, Refusal};
use anabranch_core::{CloseKind, CloseReason, DeadlineKind, ExchangeId, Instant};

use super::model::{Answer, End, Exchange, Input, Last, Model, Taking, Told};
use super::peer::{Meaning, Message, Request};

impl Model {
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
        let came = |came| self.stream.front().is_some_and(|front| front.is_request_within(came));
        if self.arrived == 0 && self.ended {
            self.end_idle(CloseReason::PeerClosed);
            return None;
        }
        if self.drains.is_some_and(|count| !came(count)) {
            self.end_idle(CloseReason::Drained);
            return None;
        }
        if self.arrived == 0 {
            return None;
        }
        self.join();
        match self.front() {
            Some(Meaning::Head(request)) => Some(self.begin(request)),
            Some(Meaning::Refused(refusal)) => {
                self.refuse(refusal);
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
        self.drains.get_or_insert(self.arrived - self.lent);
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
        let is_head = self.arrived_bytes().skip_while(|byte| b"\r\n".contains(byte)).take(5).eq(*b"HEAD ");
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
        // The answer may have begun, or not: it says nothing of the end in either case.
        self.stop_reading();
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
        self.stop_reading();
    }

    fn stop_reading(&mut self) {
        if self.input == Input::Read {
            self.input = Input::Dropped;
        }
        self.head_begun = false;
        self.receive_by = None;
    }

    fn shut_input(&mut self) {
        self.input = Input::Shut;
        self.receive_by = None;
        if let Some(end) = self.end.as_mut().filter(|end| end.kind == CloseKind::Linger) {
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

    /// All of it, at once. An answer that ends where the connection does is not to seem complete (RFC 9112 §8).
    pub(crate) fn close(&mut self, reason: CloseReason) {
        if !self.is_finished() {
            let resets = self.end == Some(End { kind: CloseKind::Reset, flushed: false });
            let begun = self.exchange.as_ref().is_some_and(|it| it.answer != Answer::Done);
            let seems_complete = self.until_close && (begun || self.pending() > 0);
            if self.reason.is_none() || self.pending() > 0 {
                self.reason = Some(reason);
            }
            let kind = if resets || seems_complete { CloseKind::Reset } else { CloseKind::Immediate };
            self.end_by(kind);
            self.end = Some(End { kind, flushed: true });
        }
        self.use_up(self.arrived - self.lent);
        self.refusal = None;
        self.output.clear();
        self.in_flight = 0;
        (self.write_by, self.answer_by) = (None, None);
    }
}
