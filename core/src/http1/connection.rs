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

use std::io::IoSlice;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use http::StatusCode;

use super::chunk::{self, Decoded};
use super::encode::{self, AnswerLength, ConnectionOption, Framing, Head};
use super::event::Event;
use super::framing::BodyLength;
use super::head::{RequestHead, Trailers};
use super::limits::{Limits, Settings};
use super::misuse::Misuse;
use super::parse;
use super::refusal::Refusal;
use super::scan::{Found, Scan, Section};
use super::state::{Persistence, Receiving, Sending, State};
use super::work::{AnswerBody, BodyRest, BodyState, RequestFacts, Taking, Work};
use crate::buf::{Output, keep_tail};
use crate::fields::Fields;
use crate::flow::{
    AbortReason, CloseKind, CloseReason, Deadline, DeadlineKind, InputEnd, ReadOperation, WriteOperation,
    WriteResult,
};
use crate::info::ExchangeId;
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
/// connection.reply(id, http::StatusCode::OK, &Fields::new(), body, &mut turn).unwrap();
///
/// let mut output = Vec::new();
/// connection.take_output(usize::MAX, &mut output);
/// assert_eq!(output.concat(), b"HTTP/1.1 200 OK\r\nserver: anabranch\r\ncontent-length: 5\r\n\r\nhello");
/// ```
#[derive(Debug)]
pub struct Connection {
    settings: Arc<Settings>,
    work: Option<Box<Work>>,
    exchanges: u64,
    lingered: u64,
    receive_deadline: Instant,
    write_deadline: Instant,
    handler_deadline: Instant,
    state: State,
    refused: Option<Refusal>,
    reason: Option<CloseReason>,
    drain: Drain,
    input_ended: bool,
}

/// How far a drain has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Drain {
    No,
    /// Requests whose heads are complete are still answered.
    AfterComplete,
    /// The request in progress is the last: its body was not complete when the drain began.
    AfterCurrent,
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
            settings,
            work: None,
            exchanges: 0,
            lingered: 0,
            receive_deadline,
            write_deadline: Instant::NEVER,
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
    pub fn poll_event(&mut self, input: &mut BytesMut, turn: &mut Turn<'_>) -> Option<Event> {
        loop {
            if let Some(refusal) = self.refused.take() {
                return Some(Event::Refused { id: self.exchange_id(), refusal });
            }
            match self.state.receiving {
                Receiving::Idle | Receiving::Head => {
                    if !self.may_begin(turn) {
                        return None;
                    }
                    match self.poll_head(input, turn) {
                        Ok(Some((id, head))) => return Some(Event::Request { id, head }),
                        Ok(None) => return None,
                        Err(refusal) => {
                            self.exchanges += 1;
                            self.refuse(refusal, turn.now);
                        }
                    }
                }
                Receiving::Body => match self.poll_body(input, turn) {
                    Ok(Step::Event(event)) => return Some(event),
                    Ok(Step::Again) => {}
                    Ok(Step::Wait) => return None,
                    Err(refusal) => self.refuse(refusal, turn.now),
                },
                Receiving::Lingering => {
                    self.linger(input, turn);
                    return None;
                }
                Receiving::Done | Receiving::Switched | Receiving::Closed => return None,
            }
        }
    }

    /// *Input.* Takes what is left of the driver's buffer after the events: an exact-size copy of what may be used later.
    pub fn keep(&mut self, input: &mut BytesMut, turn: &mut Turn<'_>) {
        if !input.is_empty() {
            match self.state.receiving {
                Receiving::Closed => {
                    input.clear();
                    // The peer sent more than we answer: let it read the answer before it sees a reset.
                    self.state.linger_instead();
                }
                _ => keep_tail(&mut self.work(turn.pool).inbox, input),
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
    pub fn report_write_result(&mut self, result: WriteResult, turn: &mut Turn<'_>) {
        match result {
            WriteResult::Closed => self.close(CloseReason::PeerReset),
            WriteResult::Wrote(mut count) => {
                let Some(work) = &mut self.work else { return };
                let taken = work.in_flight.min(count);
                work.in_flight -= taken;
                count -= taken;
                if count > 0 {
                    work.output.advance(count);
                }
                self.write_deadline = Instant::NEVER;
                self.arm_write(turn.now);
                self.flushed(turn.now);
            }
        }
        self.release(turn.pool);
    }

    /// *Input.* A deadline may have passed.
    pub fn handle_timeout(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now;
        if self.write_deadline <= now {
            self.close(CloseReason::TimedOut(DeadlineKind::WriteStall));
        } else if self.receive_deadline <= now {
            match self.state.receiving {
                Receiving::Idle => self.finish_idle(CloseReason::TimedOut(self.receive_kind()), now),
                Receiving::Head => {
                    self.exchanges += 1;
                    self.refuse(Refusal::HeadTimeout, now);
                }
                Receiving::Body if self.body_is_dropped() => {
                    self.reason.get_or_insert(CloseReason::TimedOut(DeadlineKind::Body));
                    self.state.drop_rest();
                    self.receive_deadline = Instant::NEVER;
                    self.settle(now);
                }
                Receiving::Body => self.refuse(Refusal::BodyTimeout, now),
                Receiving::Lingering => {
                    self.state.input_closed();
                    self.receive_deadline = Instant::NEVER;
                }
                Receiving::Done | Receiving::Switched | Receiving::Closed => {
                    self.receive_deadline = Instant::NEVER;
                }
            }
        } else if self.handler_deadline <= now {
            self.handler_deadline = Instant::NEVER;
            if self.state.sending == Sending::Owed {
                self.refuse(Refusal::HandlerTimeout, now);
            }
        }
        self.release(turn.pool);
    }

    // ---- commands: the request ----

    /// *Command.* Asks for the request's body: it comes as events. The first time, `100 Continue` is sent to a peer that
    /// waits for it (RFC 9110 §10.1.1). Also resumes after [`pause_body`](Self::pause_body).
    ///
    /// # Errors
    /// [`Misuse::StaleExchange`].
    pub fn want_body(&mut self, id: ExchangeId, turn: &mut Turn<'_>) -> Result<(), Misuse> {
        let may_continue = self.state.sending == Sending::Owed;
        let work = self.exchange(id)?;
        match work.body.taking {
            Taking::Held => {
                work.body.since = turn.now;
                if work.request.expects_continue && !work.request.continued && may_continue {
                    work.request.continued = true;
                    encode::interim(work.output.buffer(), StatusCode::CONTINUE, &Fields::new());
                }
            }
            Taking::Paused => work.body.since += turn.now - work.body.paused_at,
            Taking::Wanted | Taking::Dropped => return Ok(()),
        }
        work.body.taking = Taking::Wanted;
        self.arm_body(turn.now);
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
                self.receive_deadline = Instant::NEVER;
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
        let was_held = work.body.taking == Taking::Held;
        work.body.taking = Taking::Dropped;
        let waits = work.request.expects_continue && !work.request.continued;
        match work.body.declared {
            BodyLength::Empty => {}
            BodyLength::Known(length) if length <= limit && !waits => {
                if receiving == Receiving::Body {
                    if was_held {
                        work.body.since = turn.now;
                    }
                    self.arm_body(turn.now);
                }
            }
            BodyLength::Known(_) | BodyLength::Chunked => {
                self.state.drop_rest();
                self.receive_deadline = Instant::NEVER;
            }
        }
        Ok(())
    }

    // ---- commands: the answer ----

    /// *Command.* The whole answer at once.
    ///
    /// # Errors
    /// As [`respond`](Self::respond). Nothing was written then.
    pub fn reply(
        &mut self,
        id: ExchangeId,
        status: StatusCode,
        fields: &Fields,
        body: Bytes,
        turn: &mut Turn<'_>,
    ) -> Result<(), Misuse> {
        let sends = self.respond(id, status, fields, AnswerLength::Known(body.len() as u64), turn)?;
        let work = self.exchange(id)?;
        if sends == Sends::Body && !body.is_empty() {
            work.output.push(body);
        }
        self.complete_answer(id, turn)
    }

    /// *Command.* Begins the answer. The framing fields are written here, and only here: by `length`, the status, and the
    /// request's method and version (RFC 9112 §6).
    ///
    /// # Errors
    /// [`Misuse::StaleExchange`], [`Misuse::AlreadyBegun`], [`Misuse::Status`], [`Misuse::FramingField`],
    /// [`Misuse::ContradictingLength`]; [`Misuse::TooLong`] for a body with a status that has none. Nothing was written then.
    pub fn respond(
        &mut self,
        id: ExchangeId,
        status: StatusCode,
        fields: &Fields,
        length: AnswerLength,
        turn: &mut Turn<'_>,
    ) -> Result<Sends, Misuse> {
        self.owed(id)?;
        let said = encode::inspect(fields)?;
        let request = self.exchange(id)?.request;
        if status.as_u16() < 200 || (request.is_connect && status.is_success()) {
            return Err(Misuse::Status);
        }
        let (framing, answer) = answer_framing(request, status, length, said)?;
        if said.close || answer == AnswerBody::UntilClose || self.is_last() {
            self.state.persistence = Persistence::WeEnd;
        }
        if self.state.receiving == Receiving::Body && self.exchange(id)?.body.taking == Taking::Held {
            self.drop_body(id, turn)?;
        }
        if request.is_connect {
            // What a peer sends behind a refused CONNECT may be meant for the tunnel it did not get.
            self.state.persistence = Persistence::WeEnd;
        }
        let option = match self.state.persistence {
            Persistence::Persist if request.http11 => ConnectionOption::Unsaid,
            Persistence::Persist => ConnectionOption::KeepAlive,
            Persistence::PeerEnds | Persistence::WeEnd => ConnectionOption::Close,
        };
        let Some(work) = &mut self.work else { return Err(Misuse::StaleExchange) };
        let head = Head {
            status,
            fields,
            said,
            date: turn.dates.at(turn.now),
            server: self.settings.server.as_ref(),
            framing,
            option,
        };
        head.encode(work.output.buffer());
        work.answer = answer;
        self.state.answer_begun();
        self.handler_deadline = Instant::NEVER;
        self.arm_write(turn.now);
        Ok(if answer == AnswerBody::Nothing { Sends::Nothing } else { Sends::Body })
    }

    /// *Command.* Part of the answer's body. Empty data does nothing.
    ///
    /// # Errors
    /// [`Misuse::StaleExchange`], [`Misuse::NotBegun`]; [`Misuse::TooLong`]: nothing of `data` was written, and the answer
    /// can only be [`cut`](Self::cut).
    pub fn send_data(&mut self, id: ExchangeId, data: Bytes, turn: &mut Turn<'_>) -> Result<(), Misuse> {
        self.send(id, data, turn, Output::push)
    }

    /// *Command.* As [`send_data`](Self::send_data), for data of a [`Event::Body`] passed on as it came: what cannot be sent
    /// at once is copied by [`detach_output`](Self::detach_output), so that no read buffer is held for a slow peer.
    ///
    /// # Errors
    /// As [`send_data`](Self::send_data).
    pub fn send_lent_data(&mut self, id: ExchangeId, data: Bytes, turn: &mut Turn<'_>) -> Result<(), Misuse> {
        self.send(id, data, turn, Output::push_lent)
    }

    fn send(
        &mut self,
        id: ExchangeId,
        data: Bytes,
        turn: &Turn<'_>,
        push: fn(&mut Output, Bytes),
    ) -> Result<(), Misuse> {
        self.begun(id)?;
        let work = self.exchange(id)?;
        match &mut work.answer {
            AnswerBody::Nothing => {}
            AnswerBody::Length(left) => {
                *left = left.checked_sub(data.len() as u64).ok_or(Misuse::TooLong)?;
                push(&mut work.output, data);
            }
            AnswerBody::UntilClose => push(&mut work.output, data),
            AnswerBody::Chunks if data.is_empty() => {}
            AnswerBody::Chunks => {
                chunk::begin_chunk(work.output.buffer(), data.len());
                push(&mut work.output, data);
                work.output.buffer().extend_from_slice(chunk::CHUNK_END);
            }
        }
        self.arm_write(turn.now);
        Ok(())
    }

    /// *Command.* The answer is complete. `trailers` go out where the body is chunked, and are dropped elsewhere
    /// (RFC 9110 §6.5.1).
    ///
    /// # Errors
    /// [`Misuse::StaleExchange`], [`Misuse::NotBegun`]; [`Misuse::TooShort`]: the answer can only be [`cut`](Self::cut).
    pub fn finish(
        &mut self,
        id: ExchangeId,
        trailers: Option<&Fields>,
        turn: &mut Turn<'_>,
    ) -> Result<(), Misuse> {
        self.begun(id)?;
        let work = self.exchange(id)?;
        match work.answer {
            AnswerBody::Length(left) if left > 0 => return Err(Misuse::TooShort),
            AnswerBody::Chunks => {
                work.output.buffer().extend_from_slice(chunk::LAST_CHUNK);
                encode::trailer_section(work.output.buffer(), trailers);
            }
            AnswerBody::Nothing | AnswerBody::Length(_) | AnswerBody::UntilClose => {}
        }
        self.arm_write(turn.now);
        self.complete_answer(id, turn)
    }

    /// *Command.* The answer's body failed half-way: what is queued goes out, and the connection ends without the body's
    /// end, so that the peer knows it for incomplete.
    pub fn cut(&mut self, id: ExchangeId, turn: &mut Turn<'_>) {
        if self.begun(id).is_ok() {
            self.reason.get_or_insert(CloseReason::ApplicationFailed);
            self.state.end(CloseKind::Immediate);
            self.receive_deadline = Instant::NEVER;
            self.flushed(turn.now);
        }
    }

    /// *Command.* After this exchange the connection ends, whatever the peer asked for.
    pub fn end_after(&mut self, id: ExchangeId) {
        if id == self.exchange_id() && matches!(self.state.sending, Sending::Owed | Sending::Body) {
            self.state.persistence = Persistence::WeEnd;
        }
    }

    /// *Command.* An interim answer, such as `103 Early Hints` (RFC 8297), before the final one. `100 Continue` is sent by
    /// [`want_body`](Self::want_body) and by nothing else.
    ///
    /// # Errors
    /// [`Misuse::StaleExchange`], [`Misuse::AlreadyBegun`], [`Misuse::Status`], [`Misuse::FramingField`],
    /// [`Misuse::InterimToHttp10`].
    pub fn inform(
        &mut self,
        id: ExchangeId,
        status: StatusCode,
        fields: &Fields,
        turn: &mut Turn<'_>,
    ) -> Result<(), Misuse> {
        self.owed(id)?;
        let said = encode::inspect(fields)?;
        if !(102..200).contains(&status.as_u16()) {
            return Err(Misuse::Status);
        }
        if said.close || said.content_length.is_some() {
            return Err(Misuse::FramingField);
        }
        let work = self.exchange(id)?;
        if !work.request.http11 {
            return Err(Misuse::InterimToHttp10);
        }
        encode::interim(work.output.buffer(), status, fields);
        self.arm_write(turn.now);
        Ok(())
    }

    /// *Command.* Accepts an `Upgrade` (101) or a `CONNECT` (2xx): once the output is flushed, the connection belongs to
    /// another protocol, which begins with [`take_leftover`](Self::take_leftover).
    ///
    /// # Errors
    /// [`Misuse::StaleExchange`], [`Misuse::AlreadyBegun`], [`Misuse::NotOffered`], [`Misuse::Status`],
    /// [`Misuse::FramingField`].
    pub fn switch(
        &mut self,
        id: ExchangeId,
        status: StatusCode,
        fields: &Fields,
        turn: &mut Turn<'_>,
    ) -> Result<(), Misuse> {
        self.owed(id)?;
        let said = encode::inspect(fields)?;
        if said.close || said.content_length.is_some() {
            return Err(Misuse::FramingField);
        }
        let request = self.exchange(id)?.request;
        let option = if request.is_connect && status.is_success() {
            ConnectionOption::Unsaid
        } else if request.is_connect || !request.offers_upgrade {
            return Err(Misuse::NotOffered);
        } else if status == StatusCode::SWITCHING_PROTOCOLS {
            ConnectionOption::Upgrade
        } else {
            return Err(Misuse::Status);
        };
        if self.state.receiving != Receiving::Done {
            return Err(Misuse::NotOffered);
        }
        let Some(work) = &mut self.work else { return Err(Misuse::StaleExchange) };
        let head = Head {
            status,
            fields,
            said,
            date: turn.dates.at(turn.now),
            server: self.settings.server.as_ref(),
            framing: Framing::Unsaid,
            option,
        };
        head.encode(work.output.buffer());
        self.state.switch();
        self.handler_deadline = Instant::NEVER;
        self.arm_write(turn.now);
        Ok(())
    }

    /// *Command.* What the peer sent behind the request that was switched.
    pub fn take_leftover(&mut self) -> BytesMut {
        match &mut self.work {
            Some(work) if self.state.receiving == Receiving::Switched => core::mem::take(&mut work.inbox),
            _ => BytesMut::new(),
        }
    }

    // ---- commands: the connection ----

    /// *Command.* Finish what has begun and begin nothing more (law 7 of [`Flow`](crate::Flow)). Poll for events afterwards.
    pub fn drain(&mut self) {
        if self.drain == Drain::No {
            self.drain = if self.state.receiving == Receiving::Body {
                Drain::AfterCurrent
            } else {
                Drain::AfterComplete
            };
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

    // ---- output ----

    /// *Command.* Lets go of the driver's read buffers: to be called when output was left after a write.
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
    pub fn write_slices<'a>(&'a self, out: &mut [IoSlice<'a>]) -> usize {
        self.work.as_ref().map_or(0, |work| work.output.slices(out))
    }

    // ---- questions ----

    /// *Question.* What the reading side wants.
    pub fn next_read_operation(&self) -> ReadOperation {
        match self.state.receiving {
            Receiving::Closed => ReadOperation::Close,
            _ if self.input_ended => ReadOperation::Yield,
            Receiving::Idle | Receiving::Head if self.stalled() || self.is_held_back() => {
                ReadOperation::Yield
            }
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

    /// *Question.* The nearest deadline.
    #[must_use]
    pub fn deadline(&self) -> Option<Deadline> {
        let mut nearest = Deadline { at: self.receive_deadline, kind: self.receive_kind() };
        for (at, kind) in
            [(self.write_deadline, DeadlineKind::WriteStall), (self.handler_deadline, DeadlineKind::Handler)]
        {
            if at < nearest.at {
                nearest = Deadline { at, kind };
            }
        }
        (nearest.at != Instant::NEVER).then_some(nearest)
    }

    /// *Question.* Why the conversation ended.
    #[must_use]
    pub const fn close_reason(&self) -> Option<CloseReason> {
        if self.state.is_finished() { self.reason } else { None }
    }

    /// *Question.* The exchange that is in progress: an answer is owed, or being sent.
    #[must_use]
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
    pub fn has_kept_input(&self) -> bool {
        let kept = self.work.as_ref().is_some_and(|work| !work.inbox.is_empty());
        let waits = matches!(
            self.state.receiving,
            Receiving::Idle | Receiving::Head | Receiving::Body | Receiving::Lingering
        );
        self.refused.is_some() || (waits && (kept || self.input_ended || self.drain != Drain::No))
    }

    /// *Question.* Whether a request that was read waits for a turn with a fresh allowance.
    #[must_use]
    pub fn is_held_back(&self) -> bool {
        self.state.receiving == Receiving::Idle
            && self.work.as_ref().is_some_and(|work| !work.inbox.is_empty())
            && self.state.sending == Sending::Idle
            && !self.output_is_full()
    }

    /// *Question.* Bytes of output waiting to be sent, those taken and not reported included.
    #[must_use]
    pub fn pending_output(&self) -> usize {
        self.work.as_ref().map_or(0, |work| work.output.len() + work.in_flight)
    }

    /// *Question.* Requests begun on this connection so far.
    #[must_use]
    pub const fn exchanges(&self) -> u64 {
        self.exchanges
    }

    // ---- private: receiving ----

    fn poll_head(
        &mut self,
        input: &mut BytesMut,
        turn: &mut Turn<'_>,
    ) -> Result<Option<(ExchangeId, RequestHead)>, Refusal> {
        if input.is_empty() && self.work.as_ref().is_none_or(|work| work.inbox.is_empty()) {
            if self.input_ended {
                self.finish_idle(CloseReason::PeerClosed, turn.now);
            } else if self.drain != Drain::No {
                self.finish_idle(CloseReason::Drained, turn.now);
            }
            return Ok(None);
        }
        if self.drain == Drain::AfterCurrent {
            self.finish_idle(CloseReason::Drained, turn.now);
            return Ok(None);
        }
        let settings = Arc::clone(&self.settings);
        let work = self.work(turn.pool);
        let (source, scan) = work.source(input);
        let Some(head) = parse::request_head(source, scan, &settings.limits)? else {
            return self.partial_head(input, turn.now);
        };
        *scan = Scan::new(Section::Head);
        work.request = RequestFacts::of(&head);
        work.body = BodyState::declared(head.body_length(), turn.now);
        work.free_inbox();
        self.exchanges += 1;
        self.state.request_begun(head.body_length() != BodyLength::Empty);
        if !head.wants_persistence() {
            self.state.persistence = Persistence::PeerEnds;
        }
        if settings.limits.max_requests.is_some_and(|max| self.exchanges >= max) {
            self.state.persistence = Persistence::WeEnd;
        }
        self.receive_deadline = Instant::NEVER;
        self.handler_deadline = after(turn.now, settings.deadlines.handler);
        turn.allowance = turn.allowance.saturating_sub(1);
        Ok(Some((self.exchange_id(), head)))
    }

    /// Part of a head is there, and no more of it yet.
    fn partial_head(
        &mut self,
        input: &mut BytesMut,
        now: Instant,
    ) -> Result<Option<(ExchangeId, RequestHead)>, Refusal> {
        if self.drain != Drain::No {
            self.finish_idle(CloseReason::Drained, now);
            return Ok(None);
        }
        if self.input_ended {
            let Some(work) = &mut self.work else { return Ok(None) };
            let (source, _) = work.source(input);
            if source.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
                self.finish_idle(CloseReason::PeerClosed, now);
                return Ok(None);
            }
            return Err(Refusal::TruncatedHead);
        }
        if self.state.receiving == Receiving::Idle {
            self.state.receiving = Receiving::Head;
            self.receive_deadline = after(now, self.settings.deadlines.head);
        }
        Ok(None)
    }

    fn poll_body(&mut self, input: &mut BytesMut, turn: &Turn<'_>) -> Result<Step, Refusal> {
        let id = self.exchange_id();
        let settings = Arc::clone(&self.settings);
        let input_ended = self.input_ended;
        let Some(work) = &mut self.work else { return Ok(Step::Wait) };
        if matches!(work.body.taking, Taking::Held | Taking::Paused) {
            return Ok(Step::Wait);
        }
        let mut body = work.body;
        let (source, scan) = work.source(input);
        let step = poll_rest(&mut body, source, scan, &settings.limits)?;
        work.body = body;
        work.free_inbox();
        let dropped = body.taking == Taking::Dropped;
        match step {
            RestStep::Partial if input_ended => Err(Refusal::TruncatedBody),
            RestStep::Partial => Ok(Step::Wait),
            RestStep::Data(data) => {
                self.arm_body(turn.now);
                Ok(if dropped { Step::Again } else { Step::Event(Event::Body { id, data }) })
            }
            RestStep::Moved => Ok(Step::Again),
            RestStep::End(trailers) => {
                self.state.request_complete();
                self.receive_deadline = Instant::NEVER;
                self.settle(turn.now);
                Ok(if dropped { Step::Again } else { Step::Event(Event::BodyEnd { id, trailers }) })
            }
        }
    }

    fn linger(&mut self, input: &mut BytesMut, turn: &Turn<'_>) {
        let kept = self.work.as_mut().map_or(0, |work| core::mem::take(&mut work.inbox).len());
        self.lingered = self.lingered.saturating_add((kept + input.len()) as u64);
        input.clear();
        if self.input_ended || self.lingered > self.settings.limits.max_linger_bytes {
            self.state.input_closed();
            self.receive_deadline = Instant::NEVER;
        }
        self.flushed(turn.now);
    }

    fn refuse(&mut self, refusal: Refusal, now: Instant) {
        self.reason.get_or_insert(match refusal {
            Refusal::HeadTimeout => CloseReason::TimedOut(DeadlineKind::Head),
            Refusal::BodyTimeout => CloseReason::TimedOut(DeadlineKind::Body),
            Refusal::HandlerTimeout => CloseReason::TimedOut(DeadlineKind::Handler),
            Refusal::TruncatedHead | Refusal::TruncatedBody => CloseReason::Truncated,
            _ => CloseReason::Refused(refusal.status().as_u16()),
        });
        // A discarded body that turns out malformed after its answer is told to nobody: the connection just ends.
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
                // Nothing is known of a head that is refused; its answer is framed as any HTTP/1.1 answer.
                work.request = RequestFacts { http11: true, ..RequestFacts::default() };
                work.body = BodyState::default();
            }
        } else {
            self.settle(now);
        }
    }

    // ---- private: sending ----

    /// The answer is complete. A body that the application left unread is dropped by the same rule as one it declined.
    fn complete_answer(&mut self, id: ExchangeId, turn: &mut Turn<'_>) -> Result<(), Misuse> {
        if self.state.receiving == Receiving::Body {
            self.drop_body(id, turn)?;
        }
        self.state.answer_complete();
        self.settle(turn.now);
        Ok(())
    }

    /// Whether the answer about to begin is the last.
    fn is_last(&self) -> bool {
        match self.drain {
            Drain::No => false,
            Drain::AfterCurrent => true,
            Drain::AfterComplete => !self.next_head_is_complete(),
        }
    }

    fn next_head_is_complete(&self) -> bool {
        let Some(work) = &self.work else { return false };
        self.state.receiving == Receiving::Done
            && matches!(
                Scan::new(Section::Head).resume(&work.inbox, &self.settings.limits),
                Ok(Found::Complete(_))
            )
    }

    fn owed(&self, id: ExchangeId) -> Result<(), Misuse> {
        match self.state.sending {
            Sending::Owed if id == self.exchange_id() => Ok(()),
            Sending::Body if id == self.exchange_id() => Err(Misuse::AlreadyBegun),
            _ => Err(Misuse::StaleExchange),
        }
    }

    fn begun(&self, id: ExchangeId) -> Result<(), Misuse> {
        match self.state.sending {
            Sending::Body if id == self.exchange_id() => Ok(()),
            Sending::Owed if id == self.exchange_id() => Err(Misuse::NotBegun),
            _ => Err(Misuse::StaleExchange),
        }
    }

    fn exchange(&mut self, id: ExchangeId) -> Result<&mut Work, Misuse> {
        if id == self.exchange_id() && matches!(self.state.sending, Sending::Owed | Sending::Body) {
            self.work.as_deref_mut().ok_or(Misuse::StaleExchange)
        } else {
            Err(Misuse::StaleExchange)
        }
    }

    // ---- private: the connection ----

    /// After either half of an exchange ended: the next exchange, or the end.
    fn settle(&mut self, now: Instant) {
        let leftover = self.work.as_ref().is_some_and(|work| !work.inbox.is_empty());
        if self.state.settle(leftover) {
            self.receive_deadline = after(now, self.settings.deadlines.idle);
        }
        self.flushed(now);
    }

    /// Closes what was waiting for the output to be flushed, and looks after the deadlines of what comes then.
    fn flushed(&mut self, now: Instant) {
        if self.pending_output() > 0 {
            return;
        }
        match self.state.sending {
            Sending::Ending(_) => {
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
    fn finish_idle(&mut self, reason: CloseReason, now: Instant) {
        self.reason.get_or_insert(reason);
        self.state.end(CloseKind::Immediate);
        self.receive_deadline = Instant::NEVER;
        if let Some(work) = &mut self.work {
            work.inbox = BytesMut::new();
        }
        self.flushed(now);
    }

    fn close(&mut self, reason: CloseReason) {
        if !self.state.is_finished() {
            self.reason.get_or_insert(reason);
        }
        self.state.close();
        self.refused = None;
        self.work = None;
        self.receive_deadline = Instant::NEVER;
        self.write_deadline = Instant::NEVER;
        self.handler_deadline = Instant::NEVER;
    }

    fn may_begin(&self, turn: &Turn<'_>) -> bool {
        if self.state.sending != Sending::Idle || self.output_is_full() {
            return false;
        }
        if turn.allowance == 0 {
            // Others first: whoever drives us calls `run` again.
            turn.waker.wake_by_ref();
            return false;
        }
        true
    }

    /// Whether what was kept must move before more can be used.
    fn stalled(&self) -> bool {
        self.state.sending != Sending::Idle || self.output_is_full()
    }

    fn output_is_full(&self) -> bool {
        self.pending_output() > self.settings.limits.max_output_bytes
    }

    fn output_len(&self) -> usize {
        self.work.as_ref().map_or(0, |work| work.output.len())
    }

    fn body_is_dropped(&self) -> bool {
        self.work.as_ref().is_some_and(|work| work.body.taking == Taking::Dropped)
    }

    const fn exchange_id(&self) -> ExchangeId {
        ExchangeId(self.exchanges)
    }

    const fn receive_kind(&self) -> DeadlineKind {
        match self.state.receiving {
            Receiving::Idle if self.exchanges == 0 => DeadlineKind::FirstByte,
            Receiving::Head => DeadlineKind::Head,
            Receiving::Body => DeadlineKind::Body,
            Receiving::Lingering => DeadlineKind::Linger,
            _ => DeadlineKind::Idle,
        }
    }

    fn arm_body(&mut self, now: Instant) {
        let deadlines = &self.settings.deadlines;
        let Some(work) = &self.work else { return };
        let progress = after(now, deadlines.body);
        let rate = match deadlines.min_body_rate {
            Some(rate) if rate > 0 => {
                let earned = core::time::Duration::from_secs_f64(work.body.received as f64 / f64::from(rate));
                after(work.body.since, deadlines.body.map(|grace| grace.saturating_add(earned)))
            }
            _ => Instant::NEVER,
        };
        self.receive_deadline = progress.min(rate);
    }

    fn arm_write(&mut self, now: Instant) {
        if self.write_deadline == Instant::NEVER && self.pending_output() > 0 {
            self.write_deadline = after(now, self.settings.deadlines.write_stall);
        }
    }

    fn work(&mut self, pool: &mut Pool) -> &mut Work {
        self.work.get_or_insert_with(|| Work::lend(pool))
    }

    /// Gives the busy part back when nothing is left in it.
    fn release(&mut self, pool: &mut Pool) {
        let spare = self.state.is_idle() || self.state.is_finished();
        if spare
            && self.refused.is_none()
            && let Some(work) = self.work.take_if(|work| work.is_spare())
        {
            work.give_back(pool);
        }
    }
}

/// What polling a body came to.
#[expect(clippy::large_enum_variant, reason = "an event is handed through once")]
enum Step {
    Event(Event),
    /// Something moved that nobody need hear of.
    Again,
    Wait,
}

#[expect(clippy::large_enum_variant, reason = "trailers are handed through once a body at most")]
enum RestStep {
    Data(Bytes),
    /// The body's data has ended; something follows.
    Moved,
    End(Option<Trailers>),
    Partial,
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
                Ok(RestStep::End((!trailers.is_empty()).then_some(trailers)))
            }
            None => Ok(RestStep::Partial),
        },
    }
}

/// How an answer is framed, given its request, status and body (RFC 9112 §6.3, RFC 9110 §8.6).
fn answer_framing(
    request: RequestFacts,
    status: StatusCode,
    length: AnswerLength,
    said: encode::Said,
) -> Result<(Framing, AnswerBody), Misuse> {
    let length = match (length, said.content_length) {
        (AnswerLength::Unknown, Some(said)) => AnswerLength::Known(said),
        (length, _) => length,
    };
    match status {
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED | StatusCode::RESET_CONTENT => {
            if !(matches!(length, AnswerLength::Known(0)) || request.is_head || said.content_length.is_some())
            {
                return Err(Misuse::TooLong);
            }
            return Ok(match (status, said.content_length) {
                (StatusCode::RESET_CONTENT, _) => (Framing::ContentLength(0), AnswerBody::Length(0)),
                // The length a 200 would have had (RFC 9110 §8.6).
                (StatusCode::NOT_MODIFIED, Some(said)) => (Framing::ContentLength(said), AnswerBody::Nothing),
                _ => (Framing::Unsaid, AnswerBody::Nothing),
            });
        }
        _ => {}
    }
    if request.is_head {
        let framing = match (length, said.content_length) {
            // A handler of HEAD may say the length of what it does not make.
            (AnswerLength::Known(0), Some(said)) => Framing::ContentLength(said),
            (AnswerLength::Known(length), _) => Framing::ContentLength(length),
            (AnswerLength::Unknown, _) if request.http11 => Framing::Chunked,
            (AnswerLength::Unknown, _) => Framing::Unsaid,
        };
        return Ok((framing, AnswerBody::Nothing));
    }
    match length {
        AnswerLength::Known(length) if said.content_length.is_some_and(|said| said != length) => {
            Err(Misuse::ContradictingLength)
        }
        AnswerLength::Known(length) => Ok((Framing::ContentLength(length), AnswerBody::Length(length))),
        AnswerLength::Unknown if request.http11 => Ok((Framing::Chunked, AnswerBody::Chunks)),
        AnswerLength::Unknown => Ok((Framing::Unsaid, AnswerBody::UntilClose)),
    }
}

/// `duration` after `now`, or never where there is no bound.
fn after(now: Instant, duration: Option<core::time::Duration>) -> Instant {
    duration.map_or(Instant::NEVER, |duration| now + duration)
}
