//! Answers: sent whole, begun, cut off, or given in the application's stead.

use core::hint::cold_path;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use http::StatusCode;

use super::body::Inner;
use super::exchange::Stage;
use super::failure::Failure;
use super::observer::RequestEnd;
use super::response::Response;
use super::serve::Serve;
use super::service::Service;
use crate::fields::Fields;
use crate::http1::{AnswerLength, Sends};
use crate::info::ExchangeId;
use crate::turn::Turn;

impl<S: Service> Serve<S> {
    /// Sends the handler's answer, or begins to.
    pub(super) fn answer(&mut self, response: Response, turn: &mut Turn<'_>) {
        let Some(id) = self.connection.open_exchange() else { return };
        let Response { status, fields, body } = response;
        match body.0 {
            Inner::Whole(data) => self.answer_whole(id, status, &fields, data, turn),
            Inner::Incoming(_) | Inner::Source(_) => {
                let Ok(length) = catch_unwind(AssertUnwindSafe(|| body.length())) else {
                    return self.fail(Failure::Panicked, turn);
                };
                let length = length.map_or(AnswerLength::Unknown, AnswerLength::Known);
                if let Some(exchange) = &mut self.exchange
                    && let Err(refusal) = exchange.hold_room_for(&body, &self.shared.memory)
                {
                    return self.fail(Failure::Refused(refusal), turn);
                }
                if !self.connection.sends_body(status) {
                    // Nobody asks the answer's body for anything, and it nothing of the request's: declined before the answer
                    // is framed, which says what becomes of the connection.
                    self.decline_body(id, turn);
                } else if self.exchange.as_ref().is_some_and(|exchange| exchange.may_read_body()) {
                    // Somebody holds the request's body and may read it while the answer goes out: asked for before the
                    // answer begins, since `100 Continue` cannot come after.
                    let _ = self.connection.want_body(id, turn);
                }
                match self.connection.respond(id, status, &fields, length, turn) {
                    Ok(sends) => {
                        if let Some(track) = &mut self.track {
                            track.status = Some(status);
                        }
                        if sends == Sends::Nothing {
                            self.finish(id, None, turn);
                        } else if let Some(exchange) = &mut self.exchange {
                            exchange.stage = Stage::Sending(body);
                        }
                    }
                    Err(misuse) => self.fail(Failure::Unsendable(misuse), turn),
                }
            }
        }
    }

    /// Sends an answer that is whole.
    #[inline(always)]
    pub(super) fn answer_whole(
        &mut self,
        id: ExchangeId,
        status: StatusCode,
        fields: &Fields,
        data: Bytes,
        turn: &mut Turn<'_>,
    ) {
        if self.exchange.is_some() {
            cold_path();
            self.decline_body(id, turn);
        }
        let sent = data.len() as u64;
        match self.connection.reply(id, status, fields, data, turn) {
            Ok(sends) => {
                self.count_sent(if sends == Sends::Body { sent } else { 0 });
                self.end(Some(status), RequestEnd::Answered, None, turn);
            }
            Err(misuse) => {
                cold_path();
                self.fail(Failure::Unsendable(misuse), turn);
            }
        }
    }

    /// Ends an answer's body in order.
    pub(super) fn finish(&mut self, id: ExchangeId, trailers: Option<&Fields>, turn: &mut Turn<'_>) {
        match self.connection.finish(id, trailers, turn) {
            Ok(()) => self.end(None, RequestEnd::Answered, None, turn),
            Err(_) => self.cut(turn),
        }
    }

    /// The answer's body failed half-way.
    pub(super) fn cut(&mut self, turn: &mut Turn<'_>) {
        if let Some(id) = self.connection.open_exchange() {
            self.connection.cut(id, turn);
        }
        self.end(None, RequestEnd::Cut, None, turn);
    }

    /// Answers for the application, as the application likes it.
    pub(super) fn fail(&mut self, failure: Failure, turn: &mut Turn<'_>) {
        if self.connection.has_begun() {
            if let Some(track) = &mut self.track {
                track.failure = Some(failure);
            }
            return self.cut(turn);
        }
        let Some(id) = self.connection.open_exchange() else { return };
        if failure.ends_connection() {
            self.connection.end_after(id);
        }
        self.decline_body(id, turn);
        let service = &self.shared.service;
        let shaped =
            catch_unwind(AssertUnwindSafe(|| service.error(&failure))).unwrap_or_else(|_| failure.response());
        for response in [shaped, failure.response()] {
            let Response { status, fields, body } = response;
            let data = match body.0 {
                Inner::Whole(data) => data,
                // A failure's answer is whole: nothing is left to make the rest of it.
                Inner::Incoming(_) | Inner::Source(_) => continue,
            };
            let sent = data.len() as u64;
            if let Ok(sends) = self.connection.reply(id, status, &fields, data, turn) {
                self.count_sent(if sends == Sends::Body { sent } else { 0 });
                return self.end(Some(status), RequestEnd::Answered, Some(failure), turn);
            }
        }
        self.connection.fail();
        self.end(None, RequestEnd::Cut, Some(failure), turn);
    }

    /// Before a whole answer: a body that the application did not see the end of is declined, so that what becomes of the
    /// connection does not depend on how much of it happened to have come.
    #[inline]
    pub(super) fn decline_body(&mut self, id: ExchangeId, turn: &mut Turn<'_>) {
        let Some(exchange) = &mut self.exchange else { return };
        let unseen = match (&exchange.feed, &exchange.stage) {
            (Some(feed), _) => !feed.reader_took_end(),
            (None, Stage::Collecting { .. } | Stage::Parsing(_)) => true,
            _ => false,
        };
        exchange.feed = None;
        if unseen {
            // The exchange is open, so its body can be declined.
            let _ = self.connection.drop_body(id, turn);
        }
    }

    /// The exchange is over, as far as the application is concerned.
    #[inline]
    pub(super) fn end(
        &mut self,
        status: Option<StatusCode>,
        end: RequestEnd,
        failure: Option<Failure>,
        turn: &mut Turn<'_>,
    ) {
        if self.exchange.is_some() || self.track.is_some() {
            cold_path();
            self.wind_up(status, end, failure, turn);
        }
    }

    #[inline(never)]
    fn wind_up(
        &mut self,
        status: Option<StatusCode>,
        end: RequestEnd,
        failure: Option<Failure>,
        turn: &mut Turn<'_>,
    ) {
        if let Some(exchange) = self.exchange.take() {
            exchange.give_back(turn.pool);
        }
        if let (Some(mut track), Some(observer)) = (self.track.take(), self.shared.observer.as_deref()) {
            track.status = status.or(track.status);
            track.failure = failure.or(track.failure);
            let id = ExchangeId(self.connection.exchanges());
            track.tell(observer, &self.info, id, end, turn.now);
        }
    }

    #[inline]
    pub(super) fn count_sent(&mut self, bytes: u64) {
        if let Some(track) = &mut self.track {
            cold_path();
            track.response_body_bytes += bytes;
        }
    }
}
