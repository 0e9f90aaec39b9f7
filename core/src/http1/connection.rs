//! One HTTP/1.1 connection: input is judged and told as events, commands become bytes.
//!
//! ```text
//!   input ──► poll_event ──► Request · Body · BodyEnd · Refused ──► application
//!                                                                      │
//!   output ◄── slices ◄── reply · respond, send_data, finish · inform ◄┘
//! ```
//!
//! The machine knows nothing of drivers, services or sockets. Methods are of five kinds: inputs (`poll_event`, `keep`,
//! `close_input`, `report_write_result`, `handle_timeout`), commands, questions (`&self`), the events, and the output.

use core::hint::cold_path;
use std::io::IoSlice;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::deadline::after;
use super::event::Event;
use super::framing::BodyLength;
use super::head::RequestHead;
use super::limits::Settings;
use super::receive::Step;
use super::refusal::Refusal;
use super::room::AHEAD_BYTES;
use super::state::{Receiving, Sending, State};
use super::work::{AnswerBody, BodyRest, RequestFacts, Taking, Work};
use crate::flow::{
    AbortReason, CloseKind, CloseReason, InputEnd, ReadOperation, WriteOperation, WriteResult,
};
use crate::info::ExchangeId;
use crate::outlook::Outlook;
use crate::time::Instant;
use crate::turn::{Pool, Turn};

/// The server's side of one HTTP/1.1 connection.
///
/// ```
/// use anabranch_core::http1::{Connection, Event, Settings};
/// use anabranch_core::{Dates, Fields, Instant, Pool, Turn};
/// use bytes::{Bytes, BytesMut};
/// use core::task::Waker;
/// use std::sync::Arc;
///
/// let (mut dates, mut pool) = (Dates::none(), Pool::default());
/// let mut turn = Turn::new(Instant::ORIGIN, &mut dates, Waker::noop(), &mut pool);
/// let mut connection = Connection::new(Arc::new(Settings::default()), turn.now);
///
/// let mut input = BytesMut::from("GET / HTTP/1.1\r\nHost: example.org\r\n\r\n");
/// let Some(Event::Request { id, head }) = connection.poll_event(&mut input, &mut turn) else { panic!() };
/// assert_eq!(head.path(), "/");
/// let body = Bytes::from_static(b"hello");
/// let _ = connection.reply(id, http::StatusCode::OK, &Fields::new(), body, &mut turn).unwrap();
///
/// let mut output = Vec::new();
/// connection.take_output(usize::MAX, &mut output);
/// assert_eq!(output.concat(), b"HTTP/1.1 200 OK\r\nserver: anabranch\r\ncontent-length: 5\r\n\r\nhello");
/// ```
#[derive(Debug)]
pub struct Connection {
    pub(super) settings: Arc<Settings>,
    pub(super) work: Option<Box<Work>>,
    pub(super) exchanges: u64,
    pub(super) lingered: u64,
    /// Output beyond which no request is begun: `limits.max_output_bytes`, or what was [granted](Self::grant_output) of it.
    pub(super) granted_output: usize,
    /// Of everything but a body, whose deadline follows from what came of it.
    pub(super) receive_deadline: Instant,
    /// Since when the peer has taken nothing of the output that waits for it; `NEVER` while none does.
    pub(super) write_since: Instant,
    pub(super) handler_deadline: Instant,
    pub(super) state: State,
    pub(super) refused: Option<Refusal>,
    pub(super) reason: Option<CloseReason>,
    pub(super) drain: Drain,
    pub(super) input_ended: bool,
}

/// Whether the server drains.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Drain {
    No,
    /// Requests whose heads [had come](Work::came_before) are still answered.
    Begun,
}

/// What [`Connection::respond`] lets follow.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[must_use]
pub enum Sends {
    /// The body's data, then [`finish`](Connection::finish).
    Body,
    /// Nothing but [`finish`](Connection::finish): the request was HEAD, or the status has no body.
    Nothing,
}

impl Connection {
    /// A connection that was accepted at `now`.
    #[must_use]
    pub fn new(settings: Arc<Settings>, now: Instant) -> Self {
        let receive_deadline = after(now, settings.deadlines.first_byte);
        Self {
            granted_output: settings.limits.max_output_bytes,
            settings,
            work: None,
            exchanges: 0,
            lingered: 0,
            receive_deadline,
            write_since: Instant::NEVER,
            handler_deadline: Instant::NEVER,
            state: State::default(),
            refused: None,
            reason: None,
            drain: Drain::No,
            input_ended: false,
        }
    }

    // ---- inputs ----

    /// *Input.* The next event from what was kept before and from `input`, which is consumed as far as it is used. Call
    /// until `None`, answering requests as they come, then [`keep`](Self::keep) what is left. Also after
    /// [`close_input`](Self::close_input), [`handle_timeout`](Self::handle_timeout), [`drain`](Self::drain) and whenever an
    /// answer or a write made room: with an empty `input`.
    #[inline]
    pub fn poll_event(&mut self, input: &mut BytesMut, turn: &mut Turn<'_>) -> Option<Event> {
        // As a rule a request comes alone: nothing is behind it. A body may have come to its end all the same.
        if input.is_empty() && self.state.receiving != Receiving::Body && !self.has_kept_input() {
            return None;
        }
        self.next_event(input, turn)
    }

    fn next_event(&mut self, input: &mut BytesMut, turn: &mut Turn<'_>) -> Option<Event> {
        loop {
            if self.refused.is_some()
                && let Some(refusal) = self.refused.take()
            {
                cold_path();
                return Some(Event::Refused { id: self.exchange_id(), refusal });
            }
            match self.state.receiving {
                Receiving::Idle | Receiving::Head => {
                    if !self.may_begin(turn) {
                        return None;
                    }
                    match self.poll_head(input, turn) {
                        Ok(Some(head)) => return Some(Event::Request { id: self.exchange_id(), head }),
                        Ok(None) => return None,
                        Err(refusal) => {
                            cold_path();
                            self.exchanges += 1;
                            self.refuse(refusal, turn.now);
                        }
                    }
                }
                Receiving::Body => match self.poll_body(input, turn) {
                    Ok(Step::Event(event)) => return Some(event),
                    Ok(Step::Again) => {}
                    Ok(Step::Wait) => return None,
                    Err(_) if self.body_is_dropped() => self.lose_dropped(CloseReason::Truncated, turn.now),
                    Err(refusal) => self.refuse(refusal, turn.now),
                },
                Receiving::Lingering => {
                    cold_path();
                    self.linger(input, turn);
                    return None;
                }
                Receiving::Done | Receiving::Switched | Receiving::Closed => return None,
            }
        }
    }

    /// *Input.* Takes what is left of the driver's buffer after the events: an exact-size copy of what may be used later.
    #[inline]
    pub fn keep(&mut self, input: &mut BytesMut, turn: &mut Turn<'_>) {
        if !input.is_empty() {
            match self.state.receiving {
                Receiving::Closed => {
                    input.clear();
                    // The peer sent more than we answer: let it read the answer before it sees a reset.
                    self.state.linger_instead();
                }
                _ => {
                    cold_path();
                    self.work(turn.pool).keep(input);
                }
            }
        }
        self.release(turn.pool);
    }

    /// *Input.* The peer sends no more. What was complete is still answered.
    pub fn close_input(&mut self, end: InputEnd) {
        self.input_ended = true;
        match end {
            InputEnd::Reset | InputEnd::Error => {
                self.close(match end {
                    InputEnd::Reset => CloseReason::PeerReset,
                    _ => CloseReason::TransportFailed,
                });
            }
            InputEnd::Eof | InputEnd::TlsTruncated => {
                if self.state.receiving == Receiving::Lingering {
                    self.state.input_closed();
                    self.receive_deadline = Instant::NEVER;
                }
            }
        }
    }

    /// *Input.* What became of the output.
    #[inline]
    pub fn report_write_result(&mut self, result: WriteResult, turn: &mut Turn<'_>) {
        match result {
            WriteResult::Closed => {
                cold_path();
                self.close(CloseReason::PeerReset);
            }
            WriteResult::Wrote(mut count) => {
                let Some(work) = &mut self.work else { return };
                let taken = work.in_flight.min(count);
                work.in_flight -= taken;
                count -= taken;
                if count > 0 {
                    work.output.advance(count);
                }
                if work.output.len() + work.in_flight > 0 {
                    cold_path();
                    self.write_since = turn.now;
                } else {
                    self.write_since = Instant::NEVER;
                    self.all_is_out(turn.now);
                }
            }
        }
        self.release(turn.pool);
    }

    /// *Command.* Takes the allocation of a head that is done with, for the next one to be read into. Optional: a head may
    /// just as well be dropped.
    #[inline]
    pub fn recycle(&mut self, mut head: Box<RequestHead>) {
        if let Some(work) = &mut self.work {
            head.vacate();
            match &mut work.spare_head {
                place @ None => *place = Some(head),
                Some(_) => {
                    cold_path();
                    drop(head);
                }
            }
        }
    }

    // ---- commands: the connection ----

    /// *Command.* Finish what has begun and begin nothing more (law 7 of [`Flow`](crate::Flow)). Poll for events afterwards.
    pub fn drain(&mut self) {
        if self.drain == Drain::No {
            self.drain = Drain::Begun;
            if let Some(work) = &mut self.work {
                work.drain();
            }
        }
    }

    /// *Command.* Refuses the connection itself, before anything was read: an answer is owed, then it ends.
    pub fn refuse_connection(&mut self, refusal: Refusal, turn: &mut Turn<'_>) {
        if self.state.is_idle() {
            self.exchanges += 1;
            self.work(turn.pool).request = RequestFacts { http11: true, ..RequestFacts::default() };
            self.refuse(refusal, turn.now);
        }
    }

    /// *Command.* Ends the connection now; what was not sent never is.
    pub fn abort(&mut self, reason: AbortReason) {
        self.close(CloseReason::Aborted(reason));
    }

    /// *Command.* Ends the connection now: the application failed and leaves nothing to go on with.
    pub fn fail(&mut self) {
        self.close(CloseReason::ApplicationFailed);
    }

    // ---- output ----

    /// *Command.* Lets go of the driver's read buffers: to be called when output was left after a write.
    #[inline]
    pub fn detach_output(&mut self) {
        if let Some(work) = &mut self.work {
            work.output.detach();
        }
    }

    /// *Output.* Moves up to `max` bytes into owned chunks; see [`Flow::take_output`](crate::Flow::take_output).
    pub fn take_output(&mut self, max: usize, out: &mut Vec<Bytes>) {
        if let Some(work) = &mut self.work {
            let before = work.output.len();
            work.output.take(max, out);
            work.in_flight += before - work.output.len();
        }
    }

    /// *Question.* What is to be sent, in order.
    #[inline]
    pub fn write_slices<'a>(&'a self, out: &mut [IoSlice<'a>]) -> usize {
        self.work.as_ref().map_or(0, |work| work.output.slices(out))
    }

    // ---- questions ----

    /// *Question.* What the reading side wants.
    #[inline]
    pub fn next_read_operation(&self) -> ReadOperation {
        match self.state.receiving {
            Receiving::Closed => ReadOperation::Close,
            _ if self.input_ended => ReadOperation::Yield,
            Receiving::Idle | Receiving::Head if self.stalled() => ReadOperation::Yield,
            // What is read and dropped is bounded: it is kept for when there is an answer that a reset could destroy.
            Receiving::Lingering if self.state.sending == Sending::Owed => ReadOperation::Yield,
            Receiving::Idle | Receiving::Head | Receiving::Lingering => ReadOperation::Read,
            Receiving::Body => match self.work.as_ref().map(|work| work.body.taking) {
                Some(Taking::Wanted | Taking::Dropped) => ReadOperation::Read,
                _ => ReadOperation::Yield,
            },
            Receiving::Done | Receiving::Switched => ReadOperation::Yield,
        }
    }

    /// *Question.* What the writing side wants.
    pub fn next_write_operation(&self) -> WriteOperation {
        if self.output_len() > 0 {
            return WriteOperation::Write;
        }
        match self.state.sending {
            Sending::Closed(kind) => WriteOperation::Close(kind),
            _ => WriteOperation::Yield,
        }
    }

    /// *Question.* How the sending half ends once the output is out, where that is the last: see
    /// [`Flow::ending`](crate::Flow::ending).
    #[must_use]
    #[inline]
    pub fn ending(&self) -> Option<CloseKind> {
        match self.state.sending {
            // Old clients end a body with a line break more than they declared. It resets a connection that is closed before
            // it was read; what had not been sent by then would be lost.
            Sending::Ending(CloseKind::Immediate) if self.had_body() && !self.input_ended => None,
            Sending::Ending(kind) => Some(kind),
            _ => None,
        }
    }

    /// *Question.* Why the conversation ended.
    #[must_use]
    pub const fn close_reason(&self) -> Option<CloseReason> {
        if self.state.is_finished() { self.reason } else { None }
    }

    /// *Question.* The exchange that is in progress: an answer is owed, or being sent.
    #[must_use]
    #[inline]
    pub const fn open_exchange(&self) -> Option<ExchangeId> {
        match self.state.sending {
            Sending::Owed | Sending::Body => Some(ExchangeId(self.exchanges)),
            _ => None,
        }
    }

    /// *Question.* Whether the open exchange's answer has begun.
    #[must_use]
    pub const fn has_begun(&self) -> bool {
        matches!(self.state.sending, Sending::Body)
    }

    /// *Question.* Whether the connection was handed to another protocol.
    #[must_use]
    pub const fn is_switched(&self) -> bool {
        matches!(self.state.sending, Sending::Switched)
    }

    /// *Question.* Whether [`poll_event`](Self::poll_event) may have something without further input: what was kept, an end,
    /// a refusal.
    #[must_use]
    #[inline]
    pub fn has_kept_input(&self) -> bool {
        let kept = self.work.as_ref().is_some_and(|work| !work.inbox.is_empty());
        let waits = matches!(
            self.state.receiving,
            Receiving::Idle | Receiving::Head | Receiving::Body | Receiving::Lingering
        );
        self.refused.is_some() || (waits && (kept || self.input_ended || self.drain != Drain::No))
    }

    /// *Question.* Whether all of the request's body has been given out: its end, at most, is still to be told.
    #[must_use]
    pub fn body_has_come(&self) -> bool {
        self.work.as_ref().is_some_and(|work| matches!(work.body.rest, BodyRest::End | BodyRest::Length(0)))
    }

    /// *Question.* Whether a request that was read waits for a turn with a fresh allowance.
    #[must_use]
    #[inline]
    pub fn is_held_back(&self) -> bool {
        self.state.receiving == Receiving::Idle
            && self.work.as_ref().is_some_and(|work| !work.inbox.is_empty())
            && self.state.sending == Sending::Idle
            && !self.output_is_full()
    }

    /// *Question.* Whether nothing waits for anything but the peer: there is no output, and no event without further input.
    #[must_use]
    #[inline]
    pub(crate) const fn is_at_rest(&self) -> bool {
        self.work.is_none() && self.refused.is_none() && !self.input_ended && matches!(self.drain, Drain::No)
    }

    /// *Question.* What lies ahead of a connection that [is at rest](Self::is_at_rest), unless it ended.
    #[inline]
    pub(crate) fn outlook_at_rest(&self) -> Option<Outlook> {
        debug_assert!(self.is_at_rest() && self.write_since == Instant::NEVER, "nothing waits to be sent");
        let due = self.receive_deadline.min(self.handler_deadline);
        self.state.is_idle().then(|| Outlook { max_read_bytes: AHEAD_BYTES, ..Outlook::at_rest(due) })
    }

    /// *Question.* Bytes of output waiting to be sent, those taken and not reported included.
    #[must_use]
    #[inline]
    pub fn pending_output(&self) -> usize {
        self.work.as_ref().map_or(0, |work| work.output.len() + work.in_flight)
    }

    /// *Question.* Requests begun on this connection so far.
    #[must_use]
    pub const fn exchanges(&self) -> u64 {
        self.exchanges
    }

    // ---- private: the connection ----

    /// After either half of an exchange ended: the next exchange, or the end.
    #[inline]
    pub(super) fn settle(&mut self, now: Instant) {
        let leftover = self.work.as_ref().is_some_and(|work| !work.inbox.is_empty());
        if self.state.settle(leftover) {
            // Idle time begins when the answer is out: see `flushed`.
            self.receive_deadline = Instant::NEVER;
        }
        self.flushed(now);
    }

    /// Closes what was waiting for the output to be flushed, and looks after the deadlines of what comes then.
    #[inline]
    pub(super) fn flushed(&mut self, now: Instant) {
        if self.pending_output() == 0 {
            self.all_is_out(now);
        }
    }

    #[inline]
    fn all_is_out(&mut self, now: Instant) {
        match self.state.sending {
            Sending::Ending(_) => {
                cold_path();
                self.state.flushed();
                let draining = self.drain != Drain::No;
                self.reason.get_or_insert(if draining {
                    CloseReason::Drained
                } else {
                    CloseReason::Finished
                });
                if self.state.receiving == Receiving::Lingering {
                    self.receive_deadline = after(now, self.settings.deadlines.linger);
                }
            }
            Sending::Idle if self.state.receiving == Receiving::Idle && self.exchanges > 0 => {
                self.receive_deadline = after(now, self.settings.deadlines.idle);
            }
            _ => {}
        }
    }

    /// Ends a connection that owes nothing.
    pub(super) fn finish_idle(&mut self, reason: CloseReason, now: Instant) {
        self.reason.get_or_insert(reason);
        self.state.end();
        self.receive_deadline = Instant::NEVER;
        if let Some(work) = &mut self.work {
            work.inbox = BytesMut::new();
        }
        self.flushed(now);
    }

    pub(super) fn close(&mut self, reason: CloseReason) {
        // An end that was under way keeps its reason, unless this keeps the peer from reading what was said.
        if !self.state.is_finished() && (self.reason.is_none() || self.pending_output() > 0) {
            self.reason = Some(reason);
        }
        self.state.close(if self.would_seem_complete() { CloseKind::Reset } else { CloseKind::Immediate });
        self.refused = None;
        self.work = None;
        self.receive_deadline = Instant::NEVER;
        self.write_since = Instant::NEVER;
        self.handler_deadline = Instant::NEVER;
    }

    /// Whether an orderly end, here and now, would make a peer take an answer for complete that is not: one whose end is
    /// the connection's (RFC 9112 §8).
    fn would_seem_complete(&self) -> bool {
        self.work.as_ref().is_some_and(|work| work.answer == AnswerBody::UntilClose)
            && match self.state.sending {
                Sending::Body => true,
                Sending::Done | Sending::Ending(_) => self.pending_output() > 0,
                Sending::Idle | Sending::Owed | Sending::Switched | Sending::Closed(_) => false,
            }
    }

    fn had_body(&self) -> bool {
        self.work.as_ref().is_some_and(|work| work.body.declared != BodyLength::Empty)
    }

    #[inline]
    pub(super) fn may_begin(&self, turn: &Turn<'_>) -> bool {
        if self.state.sending != Sending::Idle || self.output_is_full() {
            return false;
        }
        if turn.allowance == 0 {
            cold_path();
            // Others first: whoever drives us calls `run` again.
            turn.waker.wake_by_ref();
            return false;
        }
        true
    }

    #[inline]
    pub(super) fn output_len(&self) -> usize {
        self.work.as_ref().map_or(0, |work| work.output.len())
    }

    pub(super) fn body_is_dropped(&self) -> bool {
        self.work.as_ref().is_some_and(|work| work.body.taking == Taking::Dropped)
    }

    pub(super) const fn exchange_id(&self) -> ExchangeId {
        ExchangeId(self.exchanges)
    }

    pub(super) fn work(&mut self, pool: &mut Pool) -> &mut Work {
        self.work.get_or_insert_with(|| Work::lend(pool))
    }

    /// Gives the busy part back when nothing is left in it.
    #[inline]
    pub(super) fn release(&mut self, pool: &mut Pool) {
        if (self.state.is_idle() || self.state.is_finished())
            && self.refused.is_none()
            && self.work.as_ref().is_some_and(|work| work.is_spare())
        {
            self.give_back(pool);
        }
    }

    fn give_back(&mut self, pool: &mut Pool) {
        if let Some(work) = self.work.take() {
            work.give_back(pool);
        }
    }
}
