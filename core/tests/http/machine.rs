//! The machine by itself: events and commands in the wrong order are refused, and nothing is written then.

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use anabranch_core::http1::{AnswerLength, Connection, Event, Misuse, Refusal, Sends, Settings};
use anabranch_core::testing::ManualClock;
use anabranch_core::{
    CloseKind, Dates, Deadline, DeadlineKind, ExchangeId, Fields, Pool, Turn, WriteOperation, WriteResult,
};
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderValue};

use crate::kit::one_answer;

/// A machine and what is lent to it.
struct Machine {
    connection: Connection,
    dates: Dates,
    pool: Pool,
}

impl Machine {
    fn new() -> Self {
        Self::of(Settings::default())
    }

    fn of(settings: Settings) -> Self {
        let now = ManualClock::default().now();
        let (dates, pool) = (Dates::anchored(now, Duration::ZERO), Pool::default());
        Self { connection: Connection::new(Arc::new(settings), now), dates, pool }
    }

    fn with<T>(&mut self, call: impl FnOnce(&mut Connection, &mut Turn<'_>) -> T) -> T {
        self.after(Duration::ZERO, call)
    }

    /// As `with`, so long after the beginning.
    fn after<T>(&mut self, time: Duration, call: impl FnOnce(&mut Connection, &mut Turn<'_>) -> T) -> T {
        let Self { connection, dates, pool } = self;
        call(connection, &mut Turn::new(ManualClock::default().now() + time, dates, Waker::noop(), pool))
    }

    /// Gives it `input`, and takes one event.
    fn event(&mut self, input: &str) -> Option<Event> {
        let mut input = BytesMut::from(input);
        self.with(|connection, turn| {
            let event = connection.poll_event(&mut input, turn);
            connection.keep(&mut input, turn);
            event
        })
    }

    /// Gives it a request, and says which exchange that is.
    #[track_caller]
    fn request(&mut self, input: &str) -> ExchangeId {
        match self.event(input) {
            Some(Event::Request { id, .. }) => id,
            other => panic!("expected a request: {other:?}"),
        }
    }

    fn respond(&mut self, id: ExchangeId, length: AnswerLength) -> Result<Sends, Misuse> {
        self.with(|connection, turn| connection.respond(id, StatusCode::OK, &Fields::new(), length, turn))
    }

    fn send(&mut self, id: ExchangeId, data: &'static str) -> Result<(), Misuse> {
        self.with(|connection, turn| connection.send_data(id, Bytes::from_static(data.as_bytes()), turn))
    }

    fn finish(&mut self, id: ExchangeId) -> Result<(), Misuse> {
        self.with(|connection, turn| connection.finish(id, None, turn))
    }

    fn output(&mut self) -> Vec<u8> {
        let mut chunks = Vec::new();
        self.connection.take_output(usize::MAX, &mut chunks);
        chunks.concat()
    }
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n";

#[test]
fn exchange_that_is_over_takes_no_commands() {
    let mut machine = Machine::new();
    let id = machine.request(GET);
    assert_eq!(machine.respond(id, AnswerLength::Known(0)), Ok(Sends::Body));
    assert_eq!(machine.finish(id), Ok(()));
    let before = machine.output();
    assert_eq!(machine.respond(id, AnswerLength::Known(0)), Err(Misuse::StaleExchange));
    assert_eq!(machine.send(id, "x"), Err(Misuse::StaleExchange));
    assert_eq!(machine.finish(id), Err(Misuse::StaleExchange));
    machine.with(|connection, turn| {
        assert_eq!(connection.want_body(id, turn), Err(Misuse::StaleExchange));
        assert_eq!(connection.pause_body(id, turn), Err(Misuse::StaleExchange));
        assert_eq!(connection.drop_body(id, turn), Err(Misuse::StaleExchange));
        connection.cut(id, turn);
        connection.end_after(id);
    });
    assert!(machine.output().is_empty());
    assert!(one_answer(&before).whole);
    // The next exchange is another, and the old name does not reach it.
    let next = machine.request(GET);
    assert_ne!(next, id);
    assert_eq!(machine.respond(id, AnswerLength::Known(0)), Err(Misuse::StaleExchange));
    assert_eq!(machine.respond(next, AnswerLength::Known(0)), Ok(Sends::Body));
}

#[test]
fn answer_begins_once_and_before_its_body() {
    let mut machine = Machine::new();
    let id = machine.request(GET);
    assert_eq!(machine.send(id, "x"), Err(Misuse::NotBegun));
    assert_eq!(machine.finish(id), Err(Misuse::NotBegun));
    machine.with(|connection, turn| connection.cut(id, turn));
    assert_eq!(machine.respond(id, AnswerLength::Unknown), Ok(Sends::Body));
    assert_eq!(machine.respond(id, AnswerLength::Unknown), Err(Misuse::AlreadyBegun));
    let informed =
        machine.with(|connection, turn| connection.inform(id, StatusCode::EARLY_HINTS, &Fields::new(), turn));
    assert_eq!(informed, Err(Misuse::AlreadyBegun));
    assert_eq!(machine.send(id, ""), Ok(()));
    assert_eq!(machine.send(id, "abc"), Ok(()));
    assert_eq!(machine.finish(id), Ok(()));
    assert_eq!(one_answer(&machine.output()).text(), "abc");
}

#[test]
fn announced_length_is_held_to() {
    let mut machine = Machine::new();
    let id = machine.request(GET);
    assert_eq!(machine.respond(id, AnswerLength::Known(5)), Ok(Sends::Body));
    assert_eq!(machine.send(id, "abc"), Ok(()));
    assert_eq!(machine.finish(id), Err(Misuse::TooShort));
    assert_eq!(machine.send(id, "def"), Err(Misuse::TooLong));
    assert_eq!(machine.send(id, "de"), Ok(()));
    assert_eq!(machine.send(id, "f"), Err(Misuse::TooLong));
    assert_eq!(machine.finish(id), Ok(()));
    assert_eq!(one_answer(&machine.output()).text(), "abcde");
}

#[test]
fn head_that_is_not_sent_leaves_the_exchange_as_it_was() {
    let mut machine = Machine::new();
    let id = machine.request(GET);
    let mut fields = Fields::new();
    fields.append(CONNECTION, HeaderValue::from_static("keep-alive"));
    let reply = |status, fields: &Fields, machine: &mut Machine| {
        machine.with(|connection, turn| {
            connection.reply(id, status, fields, Bytes::from_static(b"x"), turn).map(|_| ())
        })
    };
    assert_eq!(reply(StatusCode::OK, &fields, &mut machine), Err(Misuse::FramingField));
    assert_eq!(reply(StatusCode::CONTINUE, &Fields::new(), &mut machine), Err(Misuse::Status));
    assert_eq!(reply(StatusCode::NO_CONTENT, &Fields::new(), &mut machine), Err(Misuse::TooLong));
    assert!(machine.output().is_empty());
    assert_eq!(reply(StatusCode::OK, &Fields::new(), &mut machine), Ok(()));
    let answer = one_answer(&machine.output());
    assert!(!answer.says_close(), "{answer:?}");
}

#[test]
fn body_is_told_when_it_is_asked_for_and_not_while_it_is_paused() {
    let mut machine = Machine::new();
    let id = machine.request(&format!("{POST}abc"));
    assert!(machine.event("").is_none());
    machine.with(|connection, turn| connection.want_body(id, turn)).unwrap();
    machine.with(|connection, turn| connection.pause_body(id, turn)).unwrap();
    assert!(machine.event("").is_none());
    machine.with(|connection, turn| connection.want_body(id, turn)).unwrap();
    assert!(matches!(machine.event(""), Some(Event::Body { data, .. }) if data == "abc"));
    assert!(matches!(machine.event(""), Some(Event::BodyEnd { trailers: None, .. })));
    assert!(machine.event("").is_none());
}

#[test]
fn pause_does_not_count_against_a_body_that_is_dropped_behind_it() {
    let mut machine = Machine::new();
    let id = machine.request(POST);
    machine.with(|connection, turn| connection.want_body(id, turn)).unwrap();
    machine.with(|connection, turn| connection.pause_body(id, turn)).unwrap();
    let (pause, grace) = (Duration::from_secs(60), Settings::default().deadlines.body.unwrap());
    machine.after(pause, |connection, turn| connection.drop_body(id, turn)).unwrap();
    let due = ManualClock::default().now() + pause + grace;
    assert_eq!(machine.connection.deadline(), Some(Deadline { at: due, kind: DeadlineKind::Body }));
}

#[test]
fn peer_that_was_refused_is_not_told_to_continue() {
    let mut settings = Settings::default();
    settings.deadlines.handler = Some(Duration::from_secs(1));
    let mut machine = Machine::of(settings);
    let id =
        machine.request("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    machine.after(Duration::from_secs(1), |connection, turn| connection.handle_timeout(turn));
    assert!(matches!(machine.event(""), Some(Event::Refused { refusal: Refusal::HandlerTimeout, .. })));
    machine.with(|connection, turn| connection.want_body(id, turn)).unwrap();
    assert!(machine.output().is_empty());
}

#[test]
fn asking_for_the_body_of_a_request_without_one_changes_nothing() {
    let mut machine = Machine::new();
    let id = machine.request(GET);
    machine.with(|connection, turn| connection.want_body(id, turn)).unwrap();
    assert_eq!(machine.connection.deadline(), None);
    assert!(machine.event("").is_none());
    assert_eq!(machine.respond(id, AnswerLength::Known(0)), Ok(Sends::Body));
}

#[test]
fn only_what_was_offered_is_switched_to() {
    let mut machine = Machine::new();
    let id = machine.request(GET);
    let switch = |machine: &mut Machine, id, status| {
        machine.with(|connection, turn| connection.switch(id, status, &Fields::new(), turn))
    };
    assert_eq!(switch(&mut machine, id, StatusCode::SWITCHING_PROTOCOLS), Err(Misuse::NotOffered));
    assert_eq!(machine.respond(id, AnswerLength::Known(0)), Ok(Sends::Body));
    assert_eq!(switch(&mut machine, id, StatusCode::SWITCHING_PROTOCOLS), Err(Misuse::AlreadyBegun));
    machine.finish(id).unwrap();
    let id =
        machine.request("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nleft over");
    assert_eq!(switch(&mut machine, id, StatusCode::OK), Err(Misuse::Status));
    // A 101 names what is switched to (RFC 9110 §15.2.2).
    assert_eq!(switch(&mut machine, id, StatusCode::SWITCHING_PROTOCOLS), Err(Misuse::NotOffered));
    let fields = Fields::of_one(http::header::UPGRADE, HeaderValue::from_static("x"));
    let status = StatusCode::SWITCHING_PROTOCOLS;
    assert_eq!(machine.with(|connection, turn| connection.switch(id, status, &fields, turn)), Ok(()));
    assert!(machine.connection.is_switched());
    assert_eq!(machine.connection.take_leftover(), "left over");
}

/// Every kind of request, status and field that has a part in framing an answer.
fn kinds_of_answers() -> impl Iterator<Item = (String, StatusCode, Fields)> {
    const METHODS: [&str; 4] = ["GET", "HEAD", "POST", "DELETE"];
    const VERSIONS: [&str; 3] =
        ["HTTP/1.1", "HTTP/1.1\r\nConnection: close", "HTTP/1.0\r\nConnection: keep-alive"];
    const STATUSES: [u16; 8] = [199, 200, 201, 204, 205, 304, 404, 999];
    const FIELDS: [&[(&str, &str)]; 12] = [
        &[],
        &[("content-type", "text/plain")],
        &[("x-one", "1"), ("x-two", "2")],
        &[("date", "then")],
        &[("server", "other")],
        &[("upgrade", "h2c")],
        &[("connection", "close")],
        &[("x-one", "1"), ("connection", "close")],
        &[("connection", "keep-alive")],
        &[("content-length", "5")],
        &[("content-length", "6")],
        &[("x-one", "1"), ("transfer-encoding", "chunked")],
    ];
    METHODS.into_iter().flat_map(|method| {
        VERSIONS.into_iter().flat_map(move |version| {
            STATUSES.into_iter().flat_map(move |status| {
                FIELDS.into_iter().map(move |lines| {
                    let request = format!("{method} / {version}\r\nHost: a\r\n\r\n");
                    let fields = lines
                        .iter()
                        .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
                        .collect();
                    (request, StatusCode::from_u16(status).unwrap(), fields)
                })
            })
        })
    })
}

#[test]
fn answer_given_whole_is_the_answer_given_in_parts() {
    const BODY: &str = "hello";
    for (request, status, fields) in kinds_of_answers() {
        let mut whole = Machine::new();
        let id = whole.request(&request);
        let at_once = whole.with(|connection, turn| {
            connection.reply(id, status, &fields, Bytes::from_static(BODY.as_bytes()), turn)
        });

        let mut parts = Machine::new();
        let id = parts.request(&request);
        let length = AnswerLength::Known(BODY.len() as u64);
        let begun = parts.with(|connection, turn| connection.respond(id, status, &fields, length, turn));
        if begun.is_ok() {
            parts.send(id, BODY).unwrap();
            parts.finish(id).unwrap();
        }

        let case = format!("{request:?} {status} {fields:?}");
        assert_eq!(at_once, begun, "{case}");
        for machine in [&whole, &parts] {
            assert_eq!(machine.connection.pending_output() > 0, begun.is_ok(), "{case}");
        }
        assert_eq!(
            String::from_utf8(whole.output()).unwrap(),
            String::from_utf8(parts.output()).unwrap(),
            "{case}"
        );
        let standing = |machine: &Machine| {
            let connection = &machine.connection;
            (connection.next_read_operation(), connection.next_write_operation(), connection.deadline())
        };
        assert_eq!(standing(&whole), standing(&parts), "{case}");
    }
}

#[test]
fn answer_to_head_says_no_other_length_than_its_body_has() {
    for (body, said, right) in [("hello", "5", true), ("hello", "3", false), ("", "3", true)] {
        let mut machine = Machine::new();
        let id = machine.request("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
        let fields: Fields = [(CONTENT_LENGTH, HeaderValue::from_static(said))].into_iter().collect();
        let body = Bytes::from_static(body.as_bytes());
        let told = machine.with(|connection, turn| connection.reply(id, StatusCode::OK, &fields, body, turn));
        assert_eq!(told, if right { Ok(Sends::Nothing) } else { Err(Misuse::ContradictingLength) });
        let text = String::from_utf8(machine.output()).unwrap();
        assert_eq!(text.contains(&format!("content-length: {said}\r\n")), right, "{text:?}");
    }
}

#[test]
fn answer_cut_off_before_unread_input_lets_the_peer_read_it_wherever_that_input_is() {
    let cut_off = |machine: &mut Machine, id| {
        machine.respond(id, AnswerLength::Unknown).map(drop).unwrap();
        machine.send(id, "half").unwrap();
        machine.with(|connection, turn| connection.cut(id, turn));
    };
    let ends = |mut machine: Machine| {
        let count = machine.output().len();
        machine.with(|connection, turn| connection.report_write_result(WriteResult::Wrote(count), turn));
        assert!(machine.event("").is_none());
        machine.connection.next_write_operation()
    };
    // Behind it, kept; behind it, in the driver's buffer; nothing.
    let mut kept = Machine::new();
    let id = kept.request(&format!("{GET}{GET}"));
    cut_off(&mut kept, id);
    assert_eq!(ends(kept), WriteOperation::Close(CloseKind::Linger));

    let (mut lent, mut input) = (Machine::new(), BytesMut::from(&*format!("{GET}{GET}")));
    let event = lent.with(|connection, turn| connection.poll_event(&mut input, turn));
    let Some(Event::Request { id, .. }) = event else { panic!("expected a request: {event:?}") };
    cut_off(&mut lent, id);
    lent.with(|connection, turn| connection.keep(&mut input, turn));
    assert_eq!(ends(lent), WriteOperation::Close(CloseKind::Linger));

    let mut alone = Machine::new();
    let id = alone.request(GET);
    cut_off(&mut alone, id);
    assert_eq!(ends(alone), WriteOperation::Close(CloseKind::Immediate));
}

/// The search for the trailers' end has come farther than the drain by the time the answer asks what had come before that.
#[test]
fn drain_within_trailers_is_asked_about_after_more_of_them_came() {
    let mut machine = Machine::new();
    let id = machine.request("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n");
    machine.with(|connection, turn| connection.want_body(id, turn)).unwrap();
    assert!(machine.event("").is_none());
    machine.with(|connection, _| connection.drain());
    assert!(machine.event("x-late: and more of it than had come\r\nx-last: ").is_none());
    assert_eq!(machine.respond(id, AnswerLength::Known(0)), Ok(Sends::Body));
}
