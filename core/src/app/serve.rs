//! The application behind a connection: [`http1::Connection`](crate::http1::Connection) joined with a [`Service`] into a
//! [`Flow`].
//!
//! ```text
//!   Request ──► service.call ──► Outcome ─┬─ Reply ────────────────────────────► answer, in place
//!                                         ├─ Collect ── body whole ──► then ──►┐
//!                                         ├─ Stream ─── body begins ─► then ──►┤ Outcome again
//!                                         ├─ After ──── time passed ─► then ──►┘
//!                                         ├─ Defer ──── job ──► slot ──────────► answer
//!                                         ├─ Await ──── future ────────────────► answer
//!                                         └─ Upgrade ── 101, 200 ──────────────► another flow
//! ```

use core::fmt;
use core::task::{Context as TaskContext, Poll};
use std::io::IoSlice;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{Extensions, HeaderName, HeaderValue, Method, StatusCode};

use super::body::{Body, BodyError, Frame, Inner};
use super::clock::Clock;
use super::exchange::{Collected, Exchange, Stage};
use super::failure::Failure;
use super::http::Shared;
use super::observer::RequestEnd;
use super::outcome::{Deferred, MakeFlow, Outcome, Reply, Upgrade};
use super::pipe::{Appetite, Feed, Incoming};
use super::request::Request;
use super::response::Response;
use super::service::{Context, Service, send_interim};
use super::track::Track;
use crate::fields::Fields;
use crate::flow::{
    AbortReason, CloseReason, Deadline, DeadlineKind, Flow, InputEnd, ReadOperation, Waiting, WriteOperation,
    WriteResult,
};
use crate::http1::{AnswerLength, BodyLength, Connection, Event, Refusal, RequestHead, Sends, Trailers};
use crate::info::{ConnectionInfo, ExchangeId};
use crate::job::{Job, JobError, job_with};
use crate::layers::switch::{Next, Switchable};
use crate::time::Instant;
use crate::turn::Turn;

/// A connection with an application behind it.
pub(crate) struct Serve<S> {
    connection: Connection,
    shared: Arc<Shared<S>>,
    info: ConnectionInfo,
    state: Extensions,
    exchange: Option<Box<Exchange>>,
    track: Option<Box<Track>>,
    /// Makes the flow that takes over, once the switch is flushed.
    next: Option<MakeFlow>,
    opening: Opening,
}

/// How a connection begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Opening {
    /// With its first request.
    Open,
    /// With a refusal, at the first run: the server has as many connections as it may.
    Overloaded,
}

/// A handler, a future or a body source panicked.
struct Panicked;

impl<S: Service> Serve<S> {
    pub(crate) fn new(shared: Arc<Shared<S>>, info: ConnectionInfo, opening: Opening, now: Instant) -> Self {
        let mut state = Extensions::new();
        if opening == Opening::Open {
            // A panic here must not take the driver along; the service finds its connection without state.
            let _ = catch_unwind(AssertUnwindSafe(|| shared.service.open(&info, &mut state)));
        }
        Self {
            connection: Connection::new(Arc::clone(&shared.settings), now),
            shared,
            info,
            state,
            exchange: None,
            track: None,
            next: None,
            opening,
        }
    }

    /// Takes every event there is, and answers what can be answered in place. Says whether there were any.
    fn pump(&mut self, input: &mut BytesMut, turn: &mut Turn<'_>) -> bool {
        let mut any = false;
        while let Some(event) = self.connection.poll_event(input, turn) {
            any = true;
            match event {
                Event::Request { id, head } => self.request(id, head, turn),
                Event::Body { data, .. } => self.body(data, turn),
                Event::BodyEnd { trailers, .. } => self.body_end(trailers, turn),
                Event::Refused { id, refusal } => self.refused(id, refusal, turn),
            }
        }
        any
    }

    // ---- events ----

    fn request(&mut self, id: ExchangeId, head: RequestHead, turn: &mut Turn<'_>) {
        self.track = Track::begin(self.shared.observer.as_deref(), Some(&head), turn.now);
        let mut request = Request::new(head, id, &self.info);
        if *request.method() == Method::OPTIONS && request.target() == "*" {
            return self.answer(Response::new(StatusCode::NO_CONTENT), turn);
        }
        let mut clock = None;
        let outcome = self.call(id, &mut clock, turn, |service, context| {
            if *request.method() == Method::CONNECT {
                service.connect(&mut request, context)
            } else {
                service.call(&mut request, context)
            }
        });
        match outcome {
            Ok(Outcome::Reply(response)) if matches!(response.body.0, Inner::Empty | Inner::Full(_)) => {
                self.answer(response, turn);
            }
            Ok(outcome) => {
                self.exchange = Some(Box::new(Exchange::new(id, request, clock)));
                self.proceed(outcome, turn);
            }
            Err(Panicked) => self.fail(Failure::Panicked, turn),
        }
    }

    fn body(&mut self, data: Bytes, turn: &mut Turn<'_>) {
        if let Some(track) = &mut self.track {
            track.request_body_bytes += data.len() as u64;
        }
        let Some(exchange) = &mut self.exchange else { return };
        if let Stage::Collecting { collected, max_bytes, .. } = &mut exchange.stage {
            if collected.len() + data.len() > *max_bytes {
                let limit = *max_bytes as u64;
                return self.fail(Failure::Refused(Refusal::BodyTooLarge { limit }), turn);
            }
            if let Err(refusal) = collected.push(data, &self.shared.memory) {
                self.fail(Failure::Refused(refusal), turn);
            }
        } else if let Some(feed) = &exchange.feed {
            feed.push(data, turn.waker);
        }
    }

    fn body_end(&mut self, trailers: Option<Trailers>, turn: &mut Turn<'_>) {
        let Some(exchange) = &mut self.exchange else { return };
        if let Some(feed) = &exchange.feed {
            feed.end(Ok(trailers.map(|trailers| to_fields(&trailers))), Some(turn.waker));
            return;
        }
        match core::mem::replace(&mut exchange.stage, Stage::Calling) {
            Stage::Collecting { collected, then, .. } => self.collected(collected.finish(), then, turn),
            other => exchange.stage = other,
        }
    }

    fn refused(&mut self, id: ExchangeId, refusal: Refusal, turn: &mut Turn<'_>) {
        if self.track.is_none() && self.exchange.is_none() && self.connection.open_exchange() == Some(id) {
            self.track = Track::begin(self.shared.observer.as_deref(), None, turn.now);
        }
        if let Some(feed) = self.exchange.as_ref().and_then(|exchange| exchange.feed.as_ref()) {
            feed.end(Err(BodyError::Broken), Some(turn.waker));
        }
        self.fail(Failure::Refused(refusal), turn);
    }

    // ---- outcomes ----

    /// Calls the application. Whatever it does, the connection stands.
    fn call(
        &mut self,
        id: ExchangeId,
        clock: &mut Option<Clock>,
        turn: &mut Turn<'_>,
        handler: impl FnOnce(&S, &mut Context<'_>) -> Outcome,
    ) -> Result<Outcome, Panicked> {
        let mut interim = Vec::new();
        let mut context = Context {
            info: &self.info,
            state: &mut self.state,
            connection: &mut self.connection,
            exchange: id,
            clock,
            now: turn.now,
            interim: &mut interim,
        };
        let service = &self.shared.service;
        let outcome = catch_unwind(AssertUnwindSafe(|| handler(service, &mut context))).map_err(|_| Panicked);
        if !interim.is_empty() {
            send_interim(&mut self.connection, id, &mut interim, turn);
        }
        outcome
    }

    /// Calls a handler of the exchange in progress again, and goes on with what it says.
    fn call_again(
        &mut self,
        turn: &mut Turn<'_>,
        handler: impl FnOnce(&mut Request, &mut Context<'_>) -> Outcome,
    ) -> Option<Outcome> {
        let mut exchange = self.exchange.take()?;
        let mut clock = exchange.clock.take();
        let outcome =
            self.call(exchange.id, &mut clock, turn, |_, context| handler(&mut exchange.request, context));
        exchange.clock = clock;
        self.exchange = Some(exchange);
        match outcome {
            Ok(outcome) => Some(outcome),
            Err(Panicked) => {
                self.fail(Failure::Panicked, turn);
                None
            }
        }
    }

    /// Does what a handler of the exchange in progress wants done.
    fn proceed(&mut self, mut outcome: Outcome, turn: &mut Turn<'_>) {
        loop {
            let Some(exchange) = &mut self.exchange else { return };
            let next = match outcome {
                Outcome::Reply(response) => return self.answer(response, turn),
                Outcome::Collect(collect) => {
                    let declared = exchange.request.body_length();
                    if exchange.body_given || declared == BodyLength::Empty {
                        exchange.body_given = true;
                        self.call_again(turn, |request, context| {
                            (collect.then)(request, Bytes::new(), context)
                        })
                    } else {
                        let limit = collect.max_bytes;
                        if matches!(declared, BodyLength::Known(length) if length > limit as u64) {
                            let refusal = Refusal::BodyTooLarge { limit: limit as u64 };
                            return self.fail(Failure::Refused(refusal), turn);
                        }
                        exchange.body_given = true;
                        exchange.stage = Stage::Collecting {
                            collected: Collected::default(),
                            max_bytes: limit,
                            then: collect.then,
                        };
                        // The exchange is open, so it can ask for its body.
                        let _ = self.connection.want_body(exchange.id, turn);
                        return;
                    }
                }
                Outcome::Stream(then) => {
                    let incoming = self.incoming();
                    self.call_again(turn, |request, context| then(request, incoming, context))
                }
                Outcome::Defer(defer) => {
                    let body = self.incoming();
                    let Some(exchange) = &mut self.exchange else { return };
                    let request = exchange.request.detach();
                    exchange.detached = true;
                    let (job, pending) = job_with(defer.lane, move |completion| {
                        (defer.work)(Deferred { request, body, reply: Reply::new(completion) });
                    });
                    exchange.job = Some(job);
                    exchange.stage = Stage::Deferred(pending);
                    return;
                }
                Outcome::After(after) => {
                    exchange.stage = Stage::Waiting { until: turn.now + after.duration, then: after.then };
                    return;
                }
                Outcome::Await(future) => {
                    exchange.stage = Stage::Awaiting(future);
                    return;
                }
                Outcome::Upgrade(upgrade) => return self.upgrade(*upgrade, turn),
            };
            match next {
                Some(next) => outcome = next,
                None => return,
            }
        }
    }

    /// The request's body as a stream, once.
    fn incoming(&mut self) -> Incoming {
        let Some(exchange) = &mut self.exchange else { return Incoming::empty() };
        let length = match exchange.request.body_length() {
            _ if exchange.body_given => return Incoming::empty(),
            BodyLength::Empty => return Incoming::empty(),
            BodyLength::Known(length) => Some(length),
            BodyLength::Chunked => None,
        };
        exchange.body_given = true;
        let (feed, incoming) = Feed::new(self.shared.settings.limits.max_window_bytes, length);
        exchange.feed = Some(feed);
        incoming
    }

    fn collected(&mut self, body: Bytes, then: super::outcome::CollectHandler, turn: &mut Turn<'_>) {
        if let Some(outcome) = self.call_again(turn, |request, context| then(request, body, context)) {
            self.proceed(outcome, turn);
        }
    }

    fn upgrade(&mut self, upgrade: Upgrade, turn: &mut Turn<'_>) {
        let Upgrade { response, into } = upgrade;
        let Some(exchange) = &self.exchange else { return };
        let status = match (exchange.request.method(), response.status) {
            (&Method::CONNECT, status) => status,
            _ => StatusCode::SWITCHING_PROTOCOLS,
        };
        match self.connection.switch(exchange.id, status, &response.fields, turn) {
            Ok(()) => {
                self.next = Some(into);
                self.end(Some(status), RequestEnd::Switched, None, turn);
            }
            Err(misuse) => self.fail(Failure::Unsendable(misuse), turn),
        }
    }

    // ---- answers ----

    /// Sends the handler's answer, or begins to.
    fn answer(&mut self, response: Response, turn: &mut Turn<'_>) {
        let Some(id) = self.connection.open_exchange() else { return };
        let Response { status, fields, body } = response;
        let length = body.length();
        match body.0 {
            Inner::Empty | Inner::Full(_) => {
                self.decline_body(id, turn);
                let data = if let Inner::Full(data) = body.0 { data } else { Bytes::new() };
                let sent = data.len() as u64;
                match self.connection.reply(id, status, &fields, data, turn) {
                    Ok(()) => {
                        self.count_sent(sent);
                        self.end(Some(status), RequestEnd::Answered, None, turn);
                    }
                    Err(misuse) => self.fail(Failure::Unsendable(misuse), turn),
                }
            }
            Inner::Incoming(_) | Inner::Source(_) => {
                let length = length.map_or(AnswerLength::Unknown, AnswerLength::Known);
                if self.exchange.as_ref().is_some_and(|exchange| exchange.may_read_body()) {
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
                            self.decline_body(id, turn);
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

    /// Ends an answer's body in order.
    fn finish(&mut self, id: ExchangeId, trailers: Option<&Fields>, turn: &mut Turn<'_>) {
        match self.connection.finish(id, trailers, turn) {
            Ok(()) => self.end(None, RequestEnd::Answered, None, turn),
            Err(_) => self.cut(turn),
        }
    }

    /// The answer's body failed half-way.
    fn cut(&mut self, turn: &mut Turn<'_>) {
        if let Some(id) = self.connection.open_exchange() {
            self.connection.cut(id, turn);
        }
        self.end(None, RequestEnd::Cut, None, turn);
    }

    /// Answers for the application, as the application likes it.
    fn fail(&mut self, failure: Failure, turn: &mut Turn<'_>) {
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
                Inner::Full(data) => data,
                Inner::Empty => Bytes::new(),
                // A failure's answer is whole: nothing is left to make the rest of it.
                Inner::Incoming(_) | Inner::Source(_) => continue,
            };
            let sent = data.len() as u64;
            if self.connection.reply(id, status, &fields, data, turn).is_ok() {
                self.count_sent(sent);
                return self.end(Some(status), RequestEnd::Answered, Some(failure), turn);
            }
        }
        self.connection.fail();
        self.end(None, RequestEnd::Cut, Some(failure), turn);
    }

    /// Before a whole answer: a body that the application did not see the end of is declined, so that what becomes of the
    /// connection does not depend on how much of it happened to have come.
    fn decline_body(&mut self, id: ExchangeId, turn: &mut Turn<'_>) {
        let Some(exchange) = &mut self.exchange else { return };
        let unseen = match (&exchange.feed, &exchange.stage) {
            (Some(feed), _) => !feed.reader_took_end(),
            (None, Stage::Collecting { .. }) => true,
            _ => false,
        };
        exchange.feed = None;
        if unseen {
            // The exchange is open, so its body can be declined.
            let _ = self.connection.drop_body(id, turn);
        }
    }

    /// The exchange is over, as far as the application is concerned.
    fn end(
        &mut self,
        status: Option<StatusCode>,
        end: RequestEnd,
        failure: Option<Failure>,
        turn: &Turn<'_>,
    ) {
        self.exchange = None;
        if let (Some(mut track), Some(observer)) = (self.track.take(), self.shared.observer.as_deref()) {
            track.status = status.or(track.status);
            track.failure = failure.or(track.failure);
            let id = ExchangeId(self.connection.exchanges());
            track.tell(observer, &self.info, id, end, turn.now);
        }
    }

    fn count_sent(&mut self, bytes: u64) {
        if let Some(track) = &mut self.track {
            track.response_body_bytes += bytes;
        }
    }

    // ---- progress ----

    /// Moves the exchange on as far as the application lets it. Says whether anything moved.
    fn advance(&mut self, turn: &mut Turn<'_>) -> bool {
        let Some(exchange) = &mut self.exchange else { return false };
        if let Some(clock) = &exchange.clock {
            clock.advance(turn.now);
        }
        match core::mem::replace(&mut exchange.stage, Stage::Calling) {
            Stage::Waiting { until, then } if until <= turn.now => {
                if let Some(outcome) = self.call_again(turn, then) {
                    self.proceed(outcome, turn);
                }
                true
            }
            Stage::Awaiting(mut future) => {
                let mut context = TaskContext::from_waker(turn.waker);
                match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut context))) {
                    Ok(Poll::Ready(response)) => {
                        // What the future still held of the body is given up before the answer is framed.
                        drop(future);
                        self.answer(response, turn);
                        true
                    }
                    Ok(Poll::Pending) => {
                        exchange.stage = Stage::Awaiting(future);
                        false
                    }
                    Err(_) => {
                        self.fail(Failure::Panicked, turn);
                        true
                    }
                }
            }
            Stage::Deferred(mut pending) => {
                match pending.poll(turn.waker) {
                    Poll::Ready(Ok(response)) => self.answer(response, turn),
                    Poll::Ready(Err(JobError::Refused)) => self.fail(Failure::LaneFull, turn),
                    Poll::Ready(Err(JobError::Lost)) => self.fail(Failure::JobLost, turn),
                    Poll::Pending => {
                        exchange.stage = Stage::Deferred(pending);
                        return false;
                    }
                }
                true
            }
            Stage::Sending(body) => self.send_body(body, turn),
            other => {
                exchange.stage = other;
                false
            }
        }
    }

    /// Moves an answer's body into the output while there is room.
    fn send_body(&mut self, mut body: Body, turn: &mut Turn<'_>) -> bool {
        let Some(exchange) = &mut self.exchange else { return false };
        let id = exchange.id;
        let echo = exchange.is_echo(&body);
        let limit = self.shared.settings.limits.max_output_bytes;
        let mut moved = false;
        loop {
            let room = limit.saturating_sub(self.connection.pending_output());
            if room == 0 {
                break;
            }
            let mut context = TaskContext::from_waker(turn.waker);
            let Ok(polled) = catch_unwind(AssertUnwindSafe(|| body.poll_frame(&mut context, room))) else {
                self.cut(turn);
                return true;
            };
            let frame = match polled {
                Poll::Pending => break,
                Poll::Ready(frame) => frame,
            };
            moved = true;
            let sent = match frame {
                Some(Ok(Frame::Data(data))) => {
                    self.count_sent(data.len() as u64);
                    if echo {
                        self.connection.send_lent_data(id, data, turn)
                    } else {
                        self.connection.send_data(id, data, turn)
                    }
                }
                Some(Ok(Frame::Trailers(trailers))) => {
                    self.close_body(id, body, turn);
                    self.finish(id, Some(&trailers), turn);
                    return true;
                }
                None => {
                    self.close_body(id, body, turn);
                    self.finish(id, None, turn);
                    return true;
                }
                Some(Err(_)) => {
                    self.cut(turn);
                    return true;
                }
            };
            if sent.is_err() {
                self.cut(turn);
                return true;
            }
        }
        if let Some(exchange) = &mut self.exchange {
            exchange.stage = Stage::Sending(body);
        }
        moved
    }

    /// The answer's body is complete: what is left of the request's is declined.
    fn close_body(&mut self, id: ExchangeId, body: Body, turn: &mut Turn<'_>) {
        drop(body);
        self.decline_body(id, turn);
    }

    /// Asks for the request's body, pauses or declines it, as its reader likes. Says whether that may bring events.
    fn tend_feed(&mut self, turn: &mut Turn<'_>) -> bool {
        let Some(exchange) = &mut self.exchange else { return false };
        let Some(feed) = &exchange.feed else { return false };
        let id = exchange.id;
        // The exchange is open as long as its feed is: none of these can be misuse.
        match feed.appetite(turn.waker) {
            Appetite::None => false,
            Appetite::Hungry => {
                let flows = self.connection.next_read_operation() == ReadOperation::Read;
                let _ = self.connection.want_body(id, turn);
                !flows && self.connection.has_kept_input()
            }
            Appetite::Full => {
                let _ = self.connection.pause_body(id, turn);
                false
            }
            Appetite::Gone => {
                exchange.feed = None;
                let _ = self.connection.drop_body(id, turn);
                true
            }
            Appetite::Sated => {
                exchange.feed = None;
                false
            }
        }
    }

    /// After input that may have closed the connection under the application.
    fn abandon_if_closed(&mut self, turn: &Turn<'_>) {
        if self.connection.open_exchange().is_none() && (self.exchange.is_some() || self.track.is_some()) {
            self.end(None, RequestEnd::Cut, None, turn);
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

    fn write_slices<'a>(&'a self, out: &mut [IoSlice<'a>]) -> usize {
        self.connection.write_slices(out)
    }

    fn close_reason(&self) -> Option<CloseReason> {
        self.connection.close_reason()
    }

    fn read(&mut self, input: &mut BytesMut, turn: &mut Turn<'_>) {
        self.pump(input, turn);
        self.connection.keep(input, turn);
    }

    fn close_input(&mut self, end: InputEnd, turn: &mut Turn<'_>) {
        self.connection.close_input(end);
        self.pump(&mut BytesMut::new(), turn);
        self.abandon_if_closed(turn);
    }

    fn report_write_result(&mut self, result: WriteResult, turn: &mut Turn<'_>) {
        self.connection.report_write_result(result, turn);
        if result == WriteResult::Closed {
            self.abandon_if_closed(turn);
        }
    }

    fn handle_timeout(&mut self, turn: &mut Turn<'_>) {
        self.connection.handle_timeout(turn);
        self.pump(&mut BytesMut::new(), turn);
        self.abandon_if_closed(turn);
    }

    fn run(&mut self, turn: &mut Turn<'_>) {
        if self.opening == Opening::Overloaded {
            self.opening = Opening::Open;
            self.connection.refuse_connection(Refusal::Overloaded, turn);
        }
        if self.exchange.is_none() && !self.connection.has_kept_input() {
            return;
        }
        self.connection.detach_output();
        loop {
            let events = self.connection.has_kept_input() && self.pump(&mut BytesMut::new(), turn);
            let moved = self.advance(turn);
            let tended = self.tend_feed(turn);
            if !events && !moved && !tended {
                break;
            }
        }
        if let Some(exchange) = &mut self.exchange
            && let Err(refusal) = exchange.detach(&self.shared.memory)
        {
            self.fail(Failure::Refused(refusal), turn);
        }
        self.connection.keep(&mut BytesMut::new(), turn);
    }

    fn drain(&mut self, turn: &mut Turn<'_>) {
        self.connection.drain();
        self.pump(&mut BytesMut::new(), turn);
        self.connection.keep(&mut BytesMut::new(), turn);
    }

    fn abort(&mut self, reason: AbortReason) {
        self.connection.abort(reason);
        self.exchange = None;
        self.track = None;
    }

    fn poll_job(&mut self) -> Option<Job> {
        self.exchange.as_mut()?.job.take()
    }

    fn take_output(&mut self, max: usize, out: &mut Vec<Bytes>) {
        self.connection.take_output(max, out);
    }
}

impl<S: Service> Switchable for Serve<S> {
    fn poll_switch(&mut self, turn: &mut Turn<'_>) -> Option<Next> {
        if self.next.is_none() || self.connection.pending_output() > 0 {
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

/// Trailer fields as an application sees them. They were judged when they were read: all of them fit.
fn to_fields(trailers: &Trailers) -> Fields {
    trailers
        .fields()
        .filter_map(|(name, value)| {
            Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_bytes(value).ok()?))
        })
        .collect()
}
