//! The answering side of a connection: commands that become bytes.
//!
//! ```text
//!   Owed ── inform ──► Owed ── respond ──► Body ── send_data ──► Body ── finish ──► Done
//!     │                                      └──── cut ────────────────────────────► the connection ends
//!     ├── reply: all of these at once
//!     └── switch: another protocol
//! ```

use bytes::{Bytes, BytesMut};
use http::StatusCode;

use super::chunk;
use super::connection::{Connection, Drain, Sends};
use super::encode::{self, AnswerLength, ConnectionOption, Framing, Head};
use super::misuse::Misuse;
use super::receive::body_end;
use super::scan::{Found, Scan, Section};
use super::state::{Persistence, Receiving, Sending, State};
use super::work::{AnswerBody, RequestFacts, Taking, Work};
use crate::buf::Output;
use crate::fields::Fields;
use crate::flow::CloseReason;
use crate::info::ExchangeId;
use crate::time::Instant;
use crate::turn::Turn;

impl Connection {
    // ---- commands: the answer ----

    /// *Command.* The whole answer at once. Says whether the body was sent, or was none to send.
    ///
    /// # Errors
    /// As [`respond`](Self::respond). Nothing was written then.
    #[inline]
    pub fn reply(
        &mut self,
        id: ExchangeId,
        status: StatusCode,
        fields: &Fields,
        body: Bytes,
        turn: &mut Turn<'_>,
    ) -> Result<Sends, Misuse> {
        if self.is_plain(id, status) && !encode::says_something(fields) {
            return Ok(self.reply_plainly(status, fields, body, turn));
        }
        self.reply_at_length(id, status, fields, body, turn)
    }

    /// Answers with everything decided.
    #[inline(never)]
    fn reply_at_length(
        &mut self,
        id: ExchangeId,
        status: StatusCode,
        fields: &Fields,
        body: Bytes,
        turn: &mut Turn<'_>,
    ) -> Result<Sends, Misuse> {
        let sends = self.respond(id, status, fields, AnswerLength::Known(body.len() as u64), turn)?;
        if sends == Sends::Body
            && let Some(work) = &mut self.work
        {
            work.push_whole(body);
        }
        self.complete_answer(id, turn)?;
        Ok(sends)
    }

    /// Whether nothing is to be decided about an answer that is whole: it has a body, whose length frames it, and the
    /// connection lives on without a word.
    #[inline]
    fn is_plain(&self, id: ExchangeId, status: StatusCode) -> bool {
        self.work.as_ref().is_some_and(|work| work.request.is_plain)
            && self.state == State::OWED
            && self.drain == Drain::No
            && id == self.exchange_id()
            && has_body(status)
    }

    /// What [`respond`](Self::respond) comes to where everything [is plain](Self::is_plain).
    #[inline]
    fn reply_plainly(
        &mut self,
        status: StatusCode,
        fields: &Fields,
        body: Bytes,
        turn: &mut Turn<'_>,
    ) -> Sends {
        if let Some(work) = &mut self.work {
            let server = self.settings.server.as_ref();
            encode::plain_head(work.output.buffer(), status, server, fields, body.len() as u64, turn);
            work.push_whole(body);
        }
        self.handler_deadline = Instant::NEVER;
        self.receive_deadline = Instant::NEVER;
        self.write_since = self.write_since.min(turn.now);
        self.state.answered_plainly();
        Sends::Body
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
        let request = self.owed(id)?.request;
        let said = encode::inspect(fields)?;
        if status.as_u16() < 200 || (request.is_connect && status.is_success()) {
            return Err(Misuse::Status);
        }
        let (framing, answer) = answer_framing(request, status, length, said)?;
        if said.close || answer == AnswerBody::UntilClose || self.is_last() {
            self.state.we_end();
        }
        if self.state.receiving == Receiving::Body && self.owed(id)?.body.taking == Taking::Held {
            self.drop_body(id, turn)?;
        }
        if request.is_connect {
            // What a peer sends behind a refused CONNECT may be meant for the tunnel it did not get.
            self.state.we_end();
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
            date: turn.dates.line(turn.now),
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

    /// *Command.* As [`send_data`](Self::send_data), for data of a [`Event::Body`](super::Event::Body) passed on as it came: what cannot be sent
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
        let work = self.begun(id)?;
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
        let work = self.begun(id)?;
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
    /// end, so that the peer knows it for incomplete. A body that ends with the connection (HTTP/1.0, no length) has no end
    /// to be missed: there the connection ends with a [reset](crate::CloseKind::Reset) (RFC 9112 §8).
    pub fn cut(&mut self, id: ExchangeId, turn: &mut Turn<'_>) {
        if let Ok(work) = self.begun(id) {
            let ends_with_connection = work.answer == AnswerBody::UntilClose;
            let has_unread = !work.inbox.is_empty();
            self.reason.get_or_insert(CloseReason::ApplicationFailed);
            if ends_with_connection {
                self.state.reset();
            } else {
                self.state.end();
                if has_unread {
                    self.state.linger_instead();
                }
            }
            self.receive_deadline = Instant::NEVER;
            self.flushed(turn.now);
        }
    }

    /// *Command.* After this exchange the connection ends, whatever the peer asked for.
    pub fn end_after(&mut self, id: ExchangeId) {
        if id == self.exchange_id() && matches!(self.state.sending, Sending::Owed | Sending::Body) {
            self.state.we_end();
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
        self.inform_at(id, status, fields, turn.now)
    }

    pub(crate) fn inform_at(
        &mut self,
        id: ExchangeId,
        status: StatusCode,
        fields: &Fields,
        now: Instant,
    ) -> Result<(), Misuse> {
        let work = self.owed(id)?;
        let said = encode::inspect(fields)?;
        if !(102..200).contains(&status.as_u16()) {
            return Err(Misuse::Status);
        }
        if said.close || said.upgrade || said.content_length.is_some() {
            return Err(Misuse::FramingField);
        }
        if !work.request.http11 {
            return Err(Misuse::InterimToHttp10);
        }
        encode::interim(work.output.buffer(), status, fields);
        self.arm_write(now);
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
        let request = self.owed(id)?.request;
        let said = encode::inspect(fields)?;
        if said.close || said.content_length.is_some() {
            return Err(Misuse::FramingField);
        }
        let option = if request.is_connect && status.is_success() {
            ConnectionOption::Unsaid
        } else if request.is_connect || !request.offers_upgrade {
            return Err(Misuse::NotOffered);
        } else if status == StatusCode::SWITCHING_PROTOCOLS && said.upgrade {
            ConnectionOption::Upgrade
        } else if status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Misuse::NotOffered);
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
            date: turn.dates.line(turn.now),
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

    // ---- private: sending ----

    /// Whether an answer of this status to the open request would send its body.
    pub(crate) fn sends_body(&self, status: StatusCode) -> bool {
        has_body(status) && self.work.as_ref().is_some_and(|work| !work.request.is_head)
    }

    /// The answer is complete. A body that the application left unread is dropped by the same rule as one it declined.
    #[inline]
    pub(super) fn complete_answer(&mut self, id: ExchangeId, turn: &mut Turn<'_>) -> Result<(), Misuse> {
        if self.state.receiving == Receiving::Body {
            self.drop_body(id, turn)?;
        }
        self.state.answer_complete();
        self.settle(turn.now);
        Ok(())
    }

    /// Whether the answer about to begin is the last.
    #[inline]
    pub(super) fn is_last(&self) -> bool {
        match self.drain {
            Drain::No => false,
            Drain::Begun => !self.next_head_came_before(),
        }
    }

    /// Whether the next head was complete when the drain began, be it behind a body that nobody has looked at yet.
    fn next_head_came_before(&self) -> bool {
        let (Some(work), limits) = (&self.work, &self.settings.limits) else { return false };
        let came = work.came_before();
        let behind = match self.state.receiving {
            Receiving::Done => Some(came),
            Receiving::Body => body_end(work, limits).map(|end| &came[end..]),
            _ => None,
        };
        behind.is_some_and(|behind| {
            matches!(Scan::new(Section::Head).resume(behind, limits), Ok(Found::Complete(_)))
        })
    }

    #[inline]
    pub(super) fn owed(&mut self, id: ExchangeId) -> Result<&mut Work, Misuse> {
        match self.state.sending {
            Sending::Body if id == self.exchange_id() => Err(Misuse::AlreadyBegun),
            _ => self.exchange(id),
        }
    }

    pub(super) fn begun(&mut self, id: ExchangeId) -> Result<&mut Work, Misuse> {
        match self.state.sending {
            Sending::Owed if id == self.exchange_id() => Err(Misuse::NotBegun),
            _ => self.exchange(id),
        }
    }

    #[inline]
    pub(super) fn exchange(&mut self, id: ExchangeId) -> Result<&mut Work, Misuse> {
        if id == self.exchange_id() && matches!(self.state.sending, Sending::Owed | Sending::Body) {
            self.work.as_deref_mut().ok_or(Misuse::StaleExchange)
        } else {
            Err(Misuse::StaleExchange)
        }
    }
}

/// How an answer is framed, given its request, status and body (RFC 9112 §6.3, RFC 9110 §8.6).
#[inline]
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
    if !has_body(status) {
        if !(matches!(length, AnswerLength::Known(0)) || request.is_head) {
            return Err(Misuse::TooLong);
        }
        return Ok(match (status, said.content_length) {
            (StatusCode::RESET_CONTENT, _) => (Framing::ContentLength(0), AnswerBody::Nothing),
            // The length a 200 would have had (RFC 9110 §8.6).
            (StatusCode::NOT_MODIFIED, Some(said)) => (Framing::ContentLength(said), AnswerBody::Nothing),
            _ => (Framing::Unsaid, AnswerBody::Nothing),
        });
    }
    if request.is_head {
        let framing = match (length, said.content_length) {
            // A handler of HEAD may say the length of what it does not make.
            (AnswerLength::Known(0), Some(said)) => Framing::ContentLength(said),
            // One that does make it is held to what GET would be.
            (AnswerLength::Known(length), Some(said)) if said != length => {
                return Err(Misuse::ContradictingLength);
            }
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

/// Whether answers of this status have a body, be it an empty one (RFC 9110 §6.4.1).
#[inline]
fn has_body(status: StatusCode) -> bool {
    status.as_u16() >= 200
        && !matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED)
}
