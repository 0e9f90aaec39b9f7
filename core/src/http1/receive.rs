//! The receiving side of a connection: heads and bodies out of bytes, and what becomes of a body.
//!
//! ```text
//!   body    Held ── want_body ──► Wanted ◄── pause_body, want_body ──► Paused
//!             └──── drop_body ──────┴──► Dropped (declared short: read on, the connection lives)
//!                                  └──► lingering (anything else: the connection ends with the answer)
//! ```

use core::hint::cold_path;

use bytes::{Buf, Bytes, BytesMut};
use http::StatusCode;

use super::chunk::Decoded;
use super::connection::{Connection, Drain};
use super::deadline::after;
use super::encode;
use super::event::Event;
use super::framing::BodyLength;
use super::head::{RequestHead, Trailers};
use super::limits::Limits;
use super::misuse::Misuse;
use super::parse;
use super::refusal::Refusal;
use super::scan::{Found, Scan, Section};
use super::state::{Receiving, Sending};
use super::work::{BodyRest, BodyState, RequestFacts, Taking, Work};
use crate::fields::Fields;
use crate::flow::{CloseReason, DeadlineKind};
use crate::info::ExchangeId;
use crate::time::Instant;
use crate::turn::Turn;

impl Connection {
    // ---- commands: the request ----

    /// *Command.* Asks for the request's body: it comes as events. The first time, `100 Continue` is sent to a peer that
    /// waits for it (RFC 9110 §10.1.1). Also resumes after [`pause_body`](Self::pause_body).
    ///
    /// # Errors
    /// [`Misuse::StaleExchange`].
    pub fn want_body(&mut self, id: ExchangeId, turn: &mut Turn<'_>) -> Result<(), Misuse> {
        // Whose request was refused meanwhile is not told to go on.
        let is_read = self.state.receiving == Receiving::Body;
        let work = self.exchange(id)?;
        match work.body.taking {
            Taking::Held => {
                work.body.since = turn.now;
                if work.request.expects_continue && !work.request.continued && is_read {
                    work.request.continued = true;
                    encode::interim(work.output.buffer(), StatusCode::CONTINUE, &Fields::new());
                }
            }
            Taking::Paused => work.body.since += turn.now - work.body.paused_at,
            Taking::Wanted | Taking::Dropped => return Ok(()),
        }
        work.body.taking = Taking::Wanted;
        work.body.latest = turn.now;
        if is_read {
            self.handler_deadline = Instant::NEVER;
        }
        self.arm_write(turn.now);
        Ok(())
    }

    /// *Command.* No more body events until [`want_body`](Self::want_body): nothing is read, and the peer is slowed down by
    /// its own transport. The pause counts against no deadline.
    ///
    /// # Errors
    /// [`Misuse::StaleExchange`].
    pub fn pause_body(&mut self, id: ExchangeId, turn: &mut Turn<'_>) -> Result<(), Misuse> {
        let work = self.exchange(id)?;
        if work.body.taking == Taking::Wanted {
            work.body.taking = Taking::Paused;
            work.body.paused_at = turn.now;
            if self.state.receiving == Receiving::Body {
                self.arm_handler(turn.now);
            }
        }
        Ok(())
    }

    /// *Command.* The application does not want the rest of the body, or did not see its end. Whether the connection
    /// outlives the exchange is decided by what the head declared, never by what has arrived: a length of at most
    /// `limits.max_discard_bytes` is read and dropped, anything else ends the connection after the answer.
    ///
    /// # Errors
    /// [`Misuse::StaleExchange`].
    pub fn drop_body(&mut self, id: ExchangeId, turn: &mut Turn<'_>) -> Result<(), Misuse> {
        let limit = self.settings.limits.max_discard_bytes;
        let receiving = self.state.receiving;
        let work = self.exchange(id)?;
        if work.body.taking == Taking::Dropped {
            return Ok(());
        }
        let before = core::mem::replace(&mut work.body.taking, Taking::Dropped);
        let waits = work.request.expects_continue && !work.request.continued;
        match work.body.declared {
            BodyLength::Empty => {}
            BodyLength::Known(length) if length <= limit && !waits => {
                if receiving == Receiving::Body {
                    match before {
                        Taking::Held => work.body.since = turn.now,
                        Taking::Paused => work.body.since += turn.now - work.body.paused_at,
                        Taking::Wanted | Taking::Dropped => {}
                    }
                    work.body.latest = turn.now;
                }
            }
            BodyLength::Known(_) | BodyLength::Chunked => {
                self.state.drop_rest();
                self.receive_deadline = Instant::NEVER;
            }
        }
        Ok(())
    }

    /// *Command.* The request's body, if all of it has come already, it has at most `most` bytes, and nothing about it
    /// could still be decided otherwise: a length was declared, one that would be [read and dropped](Self::drop_body), and
    /// nobody waits to be told to go on. Then it is complete, as if it had been wanted and told by events. If not, nothing
    /// has happened. `input` is what [`poll_event`](Self::poll_event) left of the driver's buffer; `take` takes so many bytes
    /// from the front of where they stand.
    pub(crate) fn take_body(
        &mut self,
        id: ExchangeId,
        most: usize,
        input: &mut BytesMut,
        turn: &Turn<'_>,
        take: impl FnOnce(&mut BytesMut, usize) -> Bytes,
    ) -> Option<Bytes> {
        let discarded = self.settings.limits.max_discard_bytes;
        let may_take = self.state.receiving == Receiving::Body && self.drain == Drain::No;
        let work = self.exchange(id).ok()?;
        let BodyRest::Length(length) = work.body.rest else { return None };
        let count = usize::try_from(length).ok().filter(|count| *count <= most && length <= discarded)?;
        let has_come = work.inbox.len() + input.len() >= count;
        if !has_come || !may_take || work.body.taking != Taking::Held || work.request.expects_continue {
            return None;
        }
        let (source, _, body) = work.source(input);
        let data = take(source, count);
        body.taking = Taking::Wanted;
        body.rest = BodyRest::End;
        body.received = length;
        work.hand_over(&data);
        work.part_inbox();
        self.body_is_complete(turn.now);
        Some(data)
    }

    // ---- private: receiving ----

    #[inline]
    fn body_is_complete(&mut self, now: Instant) {
        self.state.request_complete();
        self.receive_deadline = Instant::NEVER;
        self.arm_handler(now);
        self.settle(now);
    }

    pub(super) fn poll_head(
        &mut self,
        input: &mut BytesMut,
        turn: &mut Turn<'_>,
    ) -> Result<Option<Box<RequestHead>>, Refusal> {
        if input.is_empty() && self.work.as_ref().is_none_or(|work| work.inbox.is_empty()) {
            cold_path();
            if self.input_ended {
                self.finish_idle(CloseReason::PeerClosed, turn.now);
            } else if self.drain != Drain::No {
                self.finish_idle(CloseReason::Drained, turn.now);
            }
            return Ok(None);
        }
        if self.drain != Drain::No && !self.head_came_before() {
            cold_path();
            self.finish_idle(CloseReason::Drained, turn.now);
            return Ok(None);
        }
        let work = self.work.get_or_insert_with(|| Work::lend(turn.pool));
        let mut head = work.spare_head.take().unwrap_or_else(RequestHead::boxed);
        let (source, scan, _) = work.source(input);
        match parse::request_head(source, &mut head, scan, &self.settings.limits) {
            Ok(true) => {}
            Ok(false) => {
                cold_path();
                work.spare_head = Some(head);
                return self.partial_head(input, turn.now);
            }
            Err(refusal) => {
                cold_path();
                work.request = RequestFacts::of_refused(source, refusal);
                return Err(refusal);
            }
        }
        if !scan.is_fresh() {
            cold_path();
            *scan = Scan::new(Section::Head);
        }
        work.request = RequestFacts::of(&head);
        work.body = BodyState::declared(head.body_length(), turn.now);
        work.part_inbox();
        self.exchanges += 1;
        self.state.request_begun(head.body_length() != BodyLength::Empty);
        if !head.wants_persistence() {
            cold_path();
            self.state.peer_ends();
        }
        if self.settings.limits.max_requests.is_some_and(|max| self.exchanges >= max) {
            cold_path();
            self.state.we_end();
        }
        self.receive_deadline = Instant::NEVER;
        self.arm_handler(turn.now);
        turn.allowance = turn.allowance.saturating_sub(1);
        Ok(Some(head))
    }

    /// Whether enough of a head to answer or refuse it had come before the drain.
    fn head_came_before(&self) -> bool {
        self.work.as_ref().is_some_and(|work| {
            let found = Scan::new(Section::Head).resume(work.came_before(), &self.settings.limits);
            found != Ok(Found::Partial)
        })
    }

    /// Part of a head is there, and no more of it yet.
    #[cold]
    pub(super) fn partial_head(
        &mut self,
        input: &mut BytesMut,
        now: Instant,
    ) -> Result<Option<Box<RequestHead>>, Refusal> {
        if self.input_ended {
            let Some(work) = &mut self.work else { return Ok(None) };
            let (source, ..) = work.source(input);
            if is_only_line_ends(source) {
                self.finish_idle(CloseReason::PeerClosed, now);
                return Ok(None);
            }
            work.request = RequestFacts::of_refused(source, Refusal::TruncatedHead);
            return Err(Refusal::TruncatedHead);
        }
        if self.state.receiving == Receiving::Idle {
            self.state.head_begun();
            self.receive_deadline = after(now, self.settings.deadlines.head);
        }
        Ok(None)
    }

    /// A head has begun and is not complete in time.
    pub(super) fn time_out_head(&mut self, now: Instant) {
        self.exchanges += 1;
        if let Some(work) = &mut self.work {
            work.request = RequestFacts::of_refused(&work.inbox, Refusal::HeadTimeout);
        }
        self.refuse(Refusal::HeadTimeout, now);
    }

    pub(super) fn poll_body(&mut self, input: &mut BytesMut, turn: &Turn<'_>) -> Result<Step, Refusal> {
        let id = self.exchange_id();
        let input_ended = self.input_ended;
        let Some(work) = &mut self.work else { return Ok(Step::Wait) };
        if matches!(work.body.taking, Taking::Held | Taking::Paused) {
            return Ok(Step::Wait);
        }
        let (source, scan, body) = work.source(input);
        let dropped = body.taking == Taking::Dropped;
        let step = poll_rest(body, source, scan, &self.settings.limits)?;
        if matches!(step, RestStep::End(_)) {
            work.part_inbox();
        } else {
            work.free_inbox();
        }
        match step {
            RestStep::Partial if input_ended => Err(Refusal::TruncatedBody),
            RestStep::Partial => Ok(Step::Wait),
            RestStep::Data(data) => {
                work.body.latest = turn.now;
                Ok(if dropped { Step::Again } else { Step::Event(Event::Body { id, data }) })
            }
            RestStep::Moved => Ok(Step::Again),
            RestStep::End(trailers) => {
                self.body_is_complete(turn.now);
                Ok(if dropped { Step::Again } else { Step::Event(Event::BodyEnd { id, trailers }) })
            }
        }
    }

    pub(super) fn linger(&mut self, input: &mut BytesMut, turn: &Turn<'_>) {
        let kept = self.work.as_mut().map_or(0, |work| core::mem::take(&mut work.inbox).len());
        self.lingered = self.lingered.saturating_add((kept + input.len()) as u64);
        input.clear();
        if self.input_ended || self.lingered > self.settings.limits.max_linger_bytes {
            self.state.input_closed();
            self.receive_deadline = Instant::NEVER;
        }
        self.flushed(turn.now);
    }

    /// A body that nobody wants does not come as it was declared: that harms no answer, but the connection ends with it.
    pub(super) fn lose_dropped(&mut self, reason: CloseReason, now: Instant) {
        self.reason.get_or_insert(reason);
        self.state.lose_rest();
        if self.input_ended {
            self.state.input_closed();
        }
        self.receive_deadline = Instant::NEVER;
        self.settle(now);
    }

    pub(super) fn refuse(&mut self, refusal: Refusal, now: Instant) {
        self.reason.get_or_insert(match refusal {
            Refusal::HeadTimeout => CloseReason::TimedOut(DeadlineKind::Head),
            Refusal::BodyTimeout => CloseReason::TimedOut(DeadlineKind::Body),
            Refusal::HandlerTimeout => CloseReason::TimedOut(DeadlineKind::Handler),
            Refusal::TruncatedHead | Refusal::TruncatedBody => CloseReason::Truncated,
            _ => CloseReason::Refused(refusal.status().as_u16()),
        });
        // What goes wrong after the answer is told to nobody: the connection just ends.
        let told = matches!(self.state.sending, Sending::Idle | Sending::Owed | Sending::Body);
        let fresh = self.state.sending == Sending::Idle;
        self.state.refuse();
        if self.input_ended {
            self.state.input_closed();
        }
        self.receive_deadline = Instant::NEVER;
        self.handler_deadline = Instant::NEVER;
        if told {
            self.refused = Some(refusal);
            if fresh && let Some(work) = &mut self.work {
                work.body = BodyState::default();
            }
        } else {
            self.settle(now);
        }
    }
}

/// Whether nothing but what may stand before a request line has come (RFC 9112 §2.2): no request has begun.
pub(super) fn is_only_line_ends(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n'))
}

/// What polling a body came to.
pub(super) enum Step {
    Event(Event),
    /// Something moved that nobody need hear of.
    Again,
    Wait,
}

enum RestStep {
    Data(Bytes),
    /// The body's data has ended; something follows.
    Moved,
    End(Option<Box<Trailers>>),
    Partial,
}

/// Where the body that is being received ends in what had come before the drain, if it does.
pub(super) fn body_end(work: &Work, limits: &Limits) -> Option<usize> {
    let mut body = BodyState { taking: Taking::Dropped, ..work.body };
    // Trailers are looked through anew: what came after the drain may have been looked through already.
    let (mut rest, mut scan) = (BytesMut::from(work.came_before()), Scan::new(Section::Trailers));
    loop {
        match poll_rest(&mut body, &mut rest, &mut scan, limits).ok()? {
            RestStep::Data(_) | RestStep::Moved => {}
            RestStep::End(_) => return Some(work.came_before().len() - rest.len()),
            RestStep::Partial => return None,
        }
    }
}

/// Takes the next step in a body's rest.
fn poll_rest(
    body: &mut BodyState,
    source: &mut BytesMut,
    scan: &mut Scan,
    limits: &Limits,
) -> Result<RestStep, Refusal> {
    let dropped = body.taking == Taking::Dropped;
    match &mut body.rest {
        BodyRest::End | BodyRest::Length(0) => Ok(RestStep::End(None)),
        BodyRest::Length(_) if source.is_empty() => Ok(RestStep::Partial),
        BodyRest::Length(left) => {
            let count = usize::try_from(*left).map_or(source.len(), |left| left.min(source.len()));
            *left -= count as u64;
            body.received += count as u64;
            if dropped {
                source.advance(count);
                return Ok(RestStep::Data(Bytes::new()));
            }
            Ok(RestStep::Data(source.split_to(count).freeze()))
        }
        BodyRest::Chunks(decoder) => match decoder.decode(source, limits)? {
            Decoded::Data(data) => {
                body.received += data.len() as u64;
                Ok(RestStep::Data(data))
            }
            Decoded::Trailers => {
                body.rest = BodyRest::Trailers;
                *scan = Scan::new(Section::Trailers);
                Ok(RestStep::Moved)
            }
            Decoded::Partial => Ok(RestStep::Partial),
        },
        BodyRest::Trailers => match parse::trailers(source, scan, limits)? {
            Some(trailers) => {
                body.rest = BodyRest::End;
                *scan = Scan::new(Section::Head);
                Ok(RestStep::End((!trailers.is_empty()).then(|| Box::new(trailers))))
            }
            None => Ok(RestStep::Partial),
        },
    }
}
