//! From events to what the application wants done: handlers are called, and their outcomes begun.

use core::hint::cold_path;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Method, StatusCode};

use super::body::{Body, BodyError, Inner};
use super::clock::Clock;
use super::exchange::{Collected, Exchange, Stage};
use super::failure::Failure;
use super::outcome::{Collect, CollectHandler, Deferred, Outcome, Reply};
use super::parse::{Parse, ParseEnd, ParseError, Parsing};
use super::pipe::{Feed, Incoming};
use super::request::Request;
use super::response::Response;
use super::serve::{Panicked, Serve};
use super::service::{Context, Service};
use super::track::Track;
use crate::fields::Fields;
use crate::http1::{BodyLength, Event, Refusal, RequestHead, Trailers};
use crate::info::ExchangeId;
use crate::job::job_with;
use crate::turn::Turn;

impl<S: Service> Serve<S> {
    /// Takes every event there is, and answers what can be answered in place. Says whether there were any.
    ///
    /// A body that is streamed is taken a piece at a time, so that the application has had its chance with each before what
    /// follows is judged: how far it came when a body breaks off must not depend on how the bytes were cut (law 9).
    pub(super) fn pump(&mut self, input: &mut BytesMut, turn: &mut Turn<'_>) -> bool {
        let mut any = false;
        while let Some(event) = self.connection.poll_event(input, turn) {
            any = true;
            match event {
                Event::Request { id, head } => self.request(id, head, input, turn),
                Event::Body { data, .. } => {
                    self.body(data, turn);
                    if self.is_streaming() && !self.connection.body_has_come() {
                        break;
                    }
                }
                Event::BodyEnd { trailers, .. } => self.body_end(trailers, turn),
                Event::Refused { id, refusal } => self.refused(id, refusal, turn),
            }
        }
        any
    }

    pub(super) fn is_streaming(&self) -> bool {
        self.exchange.as_ref().is_some_and(|exchange| exchange.feed.is_some())
    }

    // ---- events ----

    pub(super) fn request(
        &mut self,
        id: ExchangeId,
        head: Box<RequestHead>,
        input: &mut BytesMut,
        turn: &mut Turn<'_>,
    ) {
        debug_assert!(self.track.is_none(), "a request is told of before the next begins");
        if let Some(track) = Track::begin(self.shared.observer.as_deref(), Some(&head), turn.now) {
            self.track = Some(track);
        }
        let mut request = Request::new(head, id, &self.info);
        if *request.method() == Method::OPTIONS && request.target() == "*" {
            cold_path();
            return self.answer(Response::new(StatusCode::NO_CONTENT), turn);
        }
        let mut clock = None;
        let outcome = self.call(id, &mut clock, turn, |service, context| {
            if *request.method() == Method::CONNECT {
                cold_path();
                service.connect(&mut request, context)
            } else {
                service.call(&mut request, context)
            }
        });
        match outcome {
            Ok(Outcome::Reply(Response { status, fields, body: Body(Inner::Whole(data)) })) => {
                self.answer_whole(id, status, &fields, data, turn);
                self.connection.recycle(request.into_head());
            }
            Ok(outcome) => {
                cold_path();
                self.begin(outcome, request, clock, input, turn);
            }
            Err(Panicked) => {
                cold_path();
                self.fail(Failure::Panicked, turn);
            }
        }
    }

    /// Begins what takes more than an answer. If all of that is a body which is there already, it is done: what waits for
    /// nothing needs no exchange.
    #[inline(never)]
    fn begin(
        &mut self,
        mut outcome: Outcome,
        mut request: Request,
        mut clock: Option<Clock>,
        input: &mut BytesMut,
        turn: &mut Turn<'_>,
    ) {
        let (id, declared) = (request.exchange_id(), request.body_length());
        let mut given = None;
        if let Some(body) = self.body_at_hand(id, declared, &outcome, input, turn) {
            // Nobody else is given one.
            let Some(taker) = outcome.into_taker() else { return };
            given = Some(body.len());
            let taken = self.call(id, &mut clock, turn, |_, context| taker.take(body, &mut request, context));
            outcome = match taken {
                Ok(Outcome::Reply(Response { status, fields, body: Body(Inner::Whole(data)) })) => {
                    self.answer_whole(id, status, &fields, data, turn);
                    return self.connection.recycle(request.into_head());
                }
                Ok(outcome) => outcome,
                Err(Panicked) => return self.fail(Failure::Panicked, turn),
            };
        }
        let (exchange, spare_head) = Exchange::lend(id, request, given, clock, turn.pool);
        self.exchange = Some(exchange);
        if let Some(head) = spare_head {
            self.connection.recycle(head);
        }
        self.proceed(outcome, input, turn);
    }

    pub(super) fn body(&mut self, data: Bytes, turn: &mut Turn<'_>) {
        if let Some(track) = &mut self.track {
            track.request_body_bytes += data.len() as u64;
        }
        let Some(exchange) = &mut self.exchange else { return };
        if let Some(feed) = &exchange.feed {
            return feed.push(data, turn.waker);
        }
        match &mut exchange.stage {
            Stage::Collecting { collected, max_bytes, .. } => {
                if collected.len() + data.len() > *max_bytes {
                    let limit = *max_bytes;
                    return self.fail(Failure::Refused(Refusal::BodyOverHandlerLimit { limit }), turn);
                }
                if let Err(refusal) = collected.push(data, &self.shared.memory) {
                    self.fail(Failure::Refused(refusal), turn);
                }
            }
            Stage::Parsing(parsing) => match parsing.feed(&data, &self.shared.memory) {
                Ok(()) => {}
                Err(ParseEnd::Malformed(error)) => self.parsed(Some(error), turn),
                Err(ParseEnd::Refused(refusal)) => self.fail(Failure::Refused(refusal), turn),
                Err(ParseEnd::Panicked) => self.fail(Failure::Panicked, turn),
            },
            _ => {}
        }
    }

    pub(super) fn body_end(&mut self, trailers: Option<Box<Trailers>>, turn: &mut Turn<'_>) {
        let Some(exchange) = &mut self.exchange else { return };
        if let Some(feed) = &exchange.feed {
            feed.end(Ok(trailers.map(|trailers| to_fields(&trailers))), Some(turn.waker));
            return;
        }
        match core::mem::replace(&mut exchange.stage, Stage::Calling) {
            Stage::Collecting { collected, then, .. } => self.collected(collected.finish(), then, turn),
            Stage::Parsing(parsing) => {
                exchange.stage = Stage::Parsing(parsing);
                self.parsed(None, turn);
            }
            other => exchange.stage = other,
        }
    }

    pub(super) fn refused(&mut self, id: ExchangeId, refusal: Refusal, turn: &mut Turn<'_>) {
        if self.track.is_none() && self.exchange.is_none() && self.connection.open_exchange() == Some(id) {
            self.track = Track::begin(self.shared.observer.as_deref(), None, turn.now);
        }
        if let Some(feed) = self.exchange.as_ref().and_then(|exchange| exchange.feed.as_ref()) {
            feed.end(Err(BodyError::Broken), Some(turn.waker));
            if self.connection.has_begun() && !feed.is_drained() && !self.has_room() {
                // What came before is still to go out, once the peer makes room: `progress` cuts the answer off then.
                if let Some(track) = &mut self.track {
                    track.failure = Some(Failure::Refused(refusal));
                }
                return;
            }
        }
        self.fail(Failure::Refused(refusal), turn);
    }

    // ---- outcomes ----

    /// Calls the application. Whatever it does, the connection stands.
    pub(super) fn call(
        &mut self,
        id: ExchangeId,
        clock: &mut Option<Clock>,
        turn: &mut Turn<'_>,
        handler: impl FnOnce(&S, &mut Context<'_>) -> Outcome,
    ) -> Result<Outcome, Panicked> {
        let mut context = Context {
            info: &self.info,
            state: &mut self.state,
            connection: &mut self.connection,
            exchange: id,
            clock,
            now: turn.now,
            waker: turn.waker,
            pool: turn.pool,
        };
        let service = &self.shared.service;
        catch_unwind(AssertUnwindSafe(|| handler(service, &mut context))).map_err(|_| Panicked)
    }

    /// Calls a handler of the exchange in progress again, and goes on with what it says.
    pub(super) fn call_again(
        &mut self,
        turn: &mut Turn<'_>,
        handler: impl FnOnce(&mut Request, &mut Context<'_>) -> Outcome,
    ) -> Option<Outcome> {
        let mut exchange = self.exchange.take()?;
        let request = exchange.request.as_mut()?;
        let mut clock = exchange.clock.take();
        let outcome = self.call(exchange.id, &mut clock, turn, |_, context| handler(request, context));
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

    /// Does what a handler of the exchange in progress wants done. `input` is what is left of the driver's buffer.
    pub(super) fn proceed(&mut self, mut outcome: Outcome, input: &mut BytesMut, turn: &mut Turn<'_>) {
        loop {
            let Some(exchange) = &mut self.exchange else { return };
            let (id, declared) = (exchange.id, exchange.body_to_give());
            if let Some(body) = self.body_at_hand(id, declared, &outcome, input, turn) {
                if let Some(exchange) = &mut self.exchange {
                    exchange.given.get_or_insert(body.len());
                }
                let Some(taker) = outcome.into_taker() else { return };
                match self.call_again(turn, |request, context| taker.take(body, request, context)) {
                    Some(next) => outcome = next,
                    None => return,
                }
                continue;
            }
            let Some(exchange) = &mut self.exchange else { return };
            let next = match outcome {
                Outcome::Reply(response) => return self.answer(response, turn),
                Outcome::Collect(Collect { max_bytes: limit, .. })
                | Outcome::Parse(Parse { max_bytes: limit, .. })
                    if matches!(declared, BodyLength::Known(length) if length > limit as u64) =>
                {
                    let refusal = Refusal::BodyOverHandlerLimit { limit };
                    return self.fail(Failure::Refused(refusal), turn);
                }
                Outcome::Collect(Collect { max_bytes, then }) => {
                    return self.wait_for_body(
                        Stage::Collecting { collected: Collected::default(), max_bytes, then },
                        turn,
                    );
                }
                Outcome::Parse(parse) if declared == BodyLength::Empty => {
                    self.call_again(turn, |request, context| parse.work.conclude(None, request, context))
                }
                Outcome::Parse(parse) => {
                    return self.wait_for_body(Stage::Parsing(Box::new(Parsing::new(parse))), turn);
                }
                Outcome::Stream(then) => {
                    let incoming = self.feed(declared);
                    self.call_again(turn, |request, context| then(request, incoming, context))
                }
                Outcome::Defer(defer) => {
                    // A body that is there waits, with the job, until a thread has time for it.
                    let whole = self.take_body(id, self.small_body_bytes(), input, turn, copy);
                    let length = whole.as_ref().map_or(0, Bytes::len);
                    let body = whole.map_or_else(|| self.feed(declared), Incoming::whole);
                    let Some(exchange) = &mut self.exchange else { return };
                    exchange.given.get_or_insert(length);
                    if let Err(refusal) = exchange.count_request(&self.shared.memory) {
                        return self.fail(Failure::Refused(refusal), turn);
                    }
                    let Some(request) = exchange.request.take() else { return };
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
                    // A body that was looked for already comes with the bytes that are being read: they need not be kept,
                    // and the future finds it at its first poll.
                    self.tend_feed(turn);
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

    /// Waits for the body, to collect or to parse it.
    fn wait_for_body(&mut self, stage: Stage, turn: &mut Turn<'_>) {
        let Some(exchange) = &mut self.exchange else { return };
        exchange.given = Some(0);
        exchange.stage = stage;
        // The exchange is open, so it can ask for its body.
        let _ = self.connection.want_body(exchange.id, turn);
    }

    /// The body that is collected or streamed, if all of it has come already. It is a part of the driver's buffer: who streams is
    /// given so much at most as may be copied too.
    #[inline]
    fn body_at_hand(
        &mut self,
        id: ExchangeId,
        declared: BodyLength,
        wish: &Outcome,
        input: &mut BytesMut,
        turn: &mut Turn<'_>,
    ) -> Option<Bytes> {
        let most = match wish {
            Outcome::Collect(collect) => collect.max_bytes,
            Outcome::Stream(_) => self.small_body_bytes(),
            _ => return None,
        };
        match declared {
            BodyLength::Empty => Some(Bytes::new()),
            BodyLength::Known(length) if length <= SMALL_BODY_BYTES as u64 && turn.pool.is_to_copy() => {
                let body = self.take_body(id, most, input, turn, copy)?;
                turn.pool.has_copied();
                Some(body)
            }
            BodyLength::Known(_) => self.take_body(id, most, input, turn, split),
            BodyLength::Chunked => None,
        }
    }

    /// A body of so many bytes is given as it is, if it has come, to whoever would otherwise be given pieces.
    fn small_body_bytes(&self) -> usize {
        self.shared.settings.limits.max_window_bytes.min(SMALL_BODY_BYTES)
    }

    /// The request's body, at most `most` bytes of it, where all of it has come already.
    fn take_body(
        &mut self,
        id: ExchangeId,
        most: usize,
        input: &mut BytesMut,
        turn: &Turn<'_>,
        take: impl FnOnce(&mut BytesMut, usize) -> Bytes,
    ) -> Option<Bytes> {
        let body = self.connection.take_body(id, most, input, turn, take)?;
        if let Some(track) = &mut self.track {
            track.request_body_bytes += body.len() as u64;
        }
        Some(body)
    }

    /// The request's body as it comes.
    fn feed(&mut self, declared: BodyLength) -> Incoming {
        let window = self.shared.settings.limits.max_window_bytes;
        let length = match declared {
            BodyLength::Empty => return Incoming::empty(),
            BodyLength::Known(length) => Some(length),
            BodyLength::Chunked => None,
        };
        let Some(exchange) = &mut self.exchange else { return Incoming::empty() };
        let (feed, incoming) = Feed::new(window, length);
        exchange.given = Some(0);
        exchange.feed = Some(feed);
        incoming
    }

    pub(super) fn collected(&mut self, body: Bytes, then: CollectHandler, turn: &mut Turn<'_>) {
        if let Some(outcome) = self.call_again(turn, |request, context| then(request, body, context)) {
            self.proceed(outcome, &mut BytesMut::new(), turn);
        }
    }

    /// Calls the handler that waits for the parser: with its error, or at the body's end with what it makes.
    pub(super) fn parsed(&mut self, error: Option<ParseError>, turn: &mut Turn<'_>) {
        let Some(exchange) = &mut self.exchange else { return };
        let id = exchange.id;
        let stage = core::mem::replace(&mut exchange.stage, Stage::Calling);
        let work = match stage {
            Stage::Parsing(parsing) => parsing.work,
            other => return exchange.stage = other,
        };
        if error.is_some() {
            // The rest is not looked at, so what comes of it does not depend on how much of it came with the error. The
            // exchange is open, so its body can be declined.
            let _ = self.connection.drop_body(id, turn);
        }
        if let Some(outcome) =
            self.call_again(turn, |request, context| work.conclude(error, request, context))
        {
            self.proceed(outcome, &mut BytesMut::new(), turn);
        }
    }
}

/// A body of so many bytes is copied, where the application keeps what it is lent: beyond, what that would pin is not much more.
const SMALL_BODY_BYTES: usize = 4 * 1024;

/// A part of the driver's buffer, which is held as long as this is.
fn split(source: &mut BytesMut, count: usize) -> Bytes {
    source.split_to(count).freeze()
}

/// A copy, which holds nothing of the driver's buffer.
#[cold]
fn copy(source: &mut BytesMut, count: usize) -> Bytes {
    let body = Bytes::copy_from_slice(&source[..count]);
    if count == source.len() {
        source.clear();
    } else {
        source.advance(count);
    }
    body
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
