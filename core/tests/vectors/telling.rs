//! A conversation with `http1::Connection` alone, and what it tells.

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use anabranch_core::http1::{AnswerLength, BodyLength, Connection, Event, Misuse, Refusal, RequestHead};
use anabranch_core::testing::escaped;
use anabranch_core::{
    Dates, ExchangeId, Fields, InputEnd, Instant, Pool, ReadOperation, Turn, WriteOperation, WriteResult,
};
use bytes::{Bytes, BytesMut};
use http::header::{HeaderValue, UPGRADE};
use http::{Method, StatusCode, Version};

use super::application::{AFTER, Deed};
use super::text;
use super::vector::{Server, Step};

/// The events, and how it ends.
pub(crate) fn tell(server: &Server, steps: &[Step]) -> (Vec<String>, String) {
    let mut teller = Teller::new(server);
    for step in steps {
        match step {
            Step::Bytes(bytes) => teller.read(bytes),
            Step::Eof => teller.close_input(),
            Step::Wait(duration) => teller.wait(*duration),
            Step::StopTaking => teller.peer = Peer::TakesNothing,
            Step::TakeAgain => {
                teller.peer = Peer::Takes;
                teller.go_on(BytesMut::new());
            }
            Step::RunJobs => teller.run_job(),
            Step::Drain => {
                teller.connection.drain();
                teller.go_on(BytesMut::new());
            }
        }
    }
    teller.told()
}

struct Teller {
    connection: Connection,
    now: Instant,
    dates: Dates,
    pool: Pool,
    told: Vec<Told>,
    /// What went to the other protocol.
    switched: Option<Vec<u8>>,
    /// The exchange whose body is passed on.
    passing: Option<ExchangeId>,
    /// An answer that the application gives later.
    later: Option<(ExchangeId, Later)>,
    peer: Peer,
    /// Whether anything can be kept beyond a turn, and whether a job finds room.
    memory: Room,
    lane: Room,
}

/// What an answer waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Later {
    Time(Instant),
    Job,
    /// The rest of the body.
    Body,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Peer {
    Takes,
    TakesNothing,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Room {
    Some,
    None,
}

impl Room {
    const fn of(count: usize) -> Self {
        if count == 0 { Self::None } else { Self::Some }
    }
}

enum Told {
    Line(String),
    /// Data, joined: how it was cut is no matter.
    Data(u64, Vec<u8>),
}

impl Teller {
    fn new(server: &Server) -> Self {
        let now = Instant::ORIGIN;
        let mut teller = Self {
            connection: Connection::new(Arc::new(server.settings.clone()), now),
            now,
            dates: Dates::none(),
            pool: Pool::default(),
            told: Vec::new(),
            switched: None,
            passing: None,
            later: None,
            peer: Peer::Takes,
            memory: Room::of(server.memory_bytes),
            lane: Room::of(server.lane_jobs),
        };
        if server.max_connections == 0 {
            teller.with(|connection, turn| connection.refuse_connection(Refusal::Overloaded, turn));
            teller.go_on(BytesMut::new());
        }
        teller
    }

    fn read(&mut self, bytes: &[u8]) {
        if let Some(switched) = &mut self.switched {
            switched.extend_from_slice(bytes);
        } else if self.connection.next_read_operation() != ReadOperation::Close {
            self.go_on(BytesMut::from(bytes));
        }
    }

    fn close_input(&mut self) {
        if self.switched.is_none() {
            self.connection.close_input(InputEnd::Eof);
            self.go_on(BytesMut::new());
        }
    }

    /// Lets time pass, and fires each deadline at its very instant on the way.
    fn wait(&mut self, duration: Duration) {
        let until = self.now + duration;
        loop {
            let deadline = self.connection.deadline().map(|deadline| deadline.at);
            let own = match self.later {
                Some((_, Later::Time(at))) => Some(at),
                _ => None,
            };
            let Some(at) = deadline.into_iter().chain(own).min().filter(|at| *at <= until) else { break };
            self.now = at;
            if deadline == Some(at) {
                self.with(|connection, turn| connection.handle_timeout(turn));
            } else {
                self.answer_later(StatusCode::OK);
            }
            self.go_on(BytesMut::new());
        }
        self.now = until;
    }

    /// Gives the answer that was to be given later.
    fn answer_later(&mut self, status: StatusCode) {
        if let Some((id, _)) = self.later.take() {
            self.reply(id, status);
        }
    }

    fn run_job(&mut self) {
        if matches!(self.later, Some((_, Later::Job))) {
            self.answer_later(StatusCode::OK);
            self.go_on(BytesMut::new());
        }
    }

    /// What waits for more is kept, if there is memory for it.
    fn keep_body(&mut self) {
        let came = matches!(self.told.last(), Some(Told::Data(..)));
        if self.memory == Room::None
            && came
            && let Some((id, Later::Body)) = self.later
        {
            self.refuse_for_memory(id);
        }
    }

    fn refuse_for_memory(&mut self, id: ExchangeId) {
        self.later = None;
        self.connection.end_after(id);
        self.with(|connection, turn| connection.drop_body(id, turn)).expect("the exchange is in progress");
        self.reply(id, Refusal::OutOfMemory.status());
    }

    /// Takes events and writes answers until nothing moves.
    fn go_on(&mut self, mut input: BytesMut) {
        loop {
            while let Some(event) = self.with(|connection, turn| connection.poll_event(&mut input, turn)) {
                self.take(event);
            }
            self.keep_body();
            self.with(|connection, turn| connection.keep(&mut input, turn));
            if self.peer == Peer::TakesNothing {
                return;
            }
            let mut output = Vec::new();
            self.connection.take_output(usize::MAX, &mut output);
            let count: usize = output.iter().map(Bytes::len).sum();
            if let Some(switched) = &mut self.switched {
                switched.extend_from_slice(&self.connection.take_leftover());
            }
            if count == 0 {
                return;
            }
            self.with(|connection, turn| connection.report_write_result(WriteResult::Wrote(count), turn));
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Request { id, head } => {
                self.told.push(Told::Line(format!("{} {}", id.0, head_line(&head))));
                self.deal(id, &head);
                self.connection.recycle(head);
            }
            Event::Body { id, data } => {
                if self.passing == Some(id) {
                    self.with(|connection, turn| connection.send_data(id, data.clone(), turn))
                        .expect("the answer has begun");
                }
                match self.told.last_mut() {
                    Some(Told::Data(of, all)) if *of == id.0 => all.extend_from_slice(&data),
                    _ => self.told.push(Told::Data(id.0, data.to_vec())),
                }
            }
            Event::BodyEnd { id, trailers } => {
                let fields = trailers.map_or(String::new(), |trailers| field_list(trailers.fields()));
                self.told.push(Told::Line(format!("{} end{fields}", id.0)));
                self.body_ended(id);
            }
            Event::Refused { id, refusal } => {
                self.told.push(Told::Line(format!("{} refused, {refusal}", id.0)));
                self.later = None;
                if self.connection.has_begun() {
                    self.with(|connection, turn| connection.cut(id, turn));
                } else {
                    self.reply(id, refusal.status());
                }
            }
            other => panic!("an event that vectors do not know: {other:?}"),
        }
    }

    /// Does what the application does.
    fn deal(&mut self, id: ExchangeId, head: &RequestHead) {
        match Deed::of(head.method(), head.target(), head.path(), head.offers_upgrade()) {
            Deed::Repeat if head.body_length() == BodyLength::Empty => self.reply(id, StatusCode::OK),
            Deed::Repeat => {
                self.later = Some((id, Later::Body));
                self.with(|connection, turn| connection.want_body(id, turn))
                    .expect("the exchange is in progress");
            }
            Deed::After => self.later = Some((id, Later::Time(self.now + AFTER))),
            Deed::Job if self.memory == Room::None => self.refuse_for_memory(id),
            Deed::Job if self.lane == Room::None => self.reply(id, StatusCode::SERVICE_UNAVAILABLE),
            Deed::Job => self.later = Some((id, Later::Job)),
            Deed::Ignore => self.reply(id, StatusCode::OK),
            Deed::Pass => {
                let length = AnswerLength::Unknown;
                self.with(|connection, turn| {
                    connection.want_body(id, turn)?;
                    connection.respond(id, StatusCode::OK, &Fields::new(), length, turn)
                })
                .map(drop)
                .expect("the exchange is in progress");
                self.passing = Some(id);
                if head.body_length() == BodyLength::Empty {
                    self.body_ended(id);
                }
            }
            Deed::Break => {
                let half = Bytes::from_static(b"half");
                self.with(|connection, turn| {
                    let _ = connection.respond(
                        id,
                        StatusCode::OK,
                        &Fields::new(),
                        AnswerLength::Unknown,
                        turn,
                    )?;
                    connection.send_data(id, half, turn)?;
                    connection.cut(id, turn);
                    Ok::<_, Misuse>(())
                })
                .expect("an answer is owed");
            }
            Deed::Switch => {
                let mut fields = Fields::new();
                let status = if *head.method() == Method::CONNECT {
                    StatusCode::OK
                } else {
                    fields.append(UPGRADE, HeaderValue::from_static("other"));
                    StatusCode::SWITCHING_PROTOCOLS
                };
                self.with(|connection, turn| connection.switch(id, status, &fields, turn))
                    .expect("a switch was offered");
                self.switched = Some(Vec::new());
            }
            Deed::Forbid => self.reply(id, StatusCode::FORBIDDEN),
        }
    }

    fn body_ended(&mut self, id: ExchangeId) {
        if self.passing.take_if(|passing| *passing == id).is_some() {
            self.with(|connection, turn| connection.finish(id, None, turn)).expect("the answer has begun");
        } else if self.later == Some((id, Later::Body)) {
            self.answer_later(StatusCode::OK);
        }
    }

    fn reply(&mut self, id: ExchangeId, status: StatusCode) {
        let (fields, body) = (Fields::new(), Bytes::new());
        self.with(|connection, turn| connection.reply(id, status, &fields, body, turn))
            .map(drop)
            .expect("an answer is owed");
    }

    fn with<T>(&mut self, act: impl FnOnce(&mut Connection, &mut Turn<'_>) -> T) -> T {
        let mut turn = Turn::new(self.now, &mut self.dates, Waker::noop(), &mut self.pool);
        act(&mut self.connection, &mut turn)
    }

    fn told(mut self) -> (Vec<String>, String) {
        if let Some(bytes) = &self.switched {
            self.told.push(Told::Line(format!("switched, \"{}\"", escaped(bytes))));
        }
        let end = self.end();
        let lines = self.told.into_iter().map(|told| match told {
            Told::Line(line) => line,
            Told::Data(id, data) => format!("{id} data \"{}\"", escaped(&data)),
        });
        (lines.collect(), end)
    }

    fn end(&mut self) -> String {
        if self.switched.is_some() {
            return "switched".to_owned();
        }
        let lingers = matches!(self.connection.next_write_operation(), WriteOperation::Close(_));
        if lingers && self.connection.next_read_operation() == ReadOperation::Read {
            // A peer that was told of the end closes its half.
            self.close_input();
        }
        match self.connection.close_reason() {
            Some(reason) => text::closed(self.connection.next_write_operation(), reason),
            None if self.connection.open_exchange().is_none() && !self.connection.has_kept_input() => {
                "idle".to_owned()
            }
            None => "waits".to_owned(),
        }
    }
}

/// A head in a line; `Host: a`, which nearly every request has, is left out.
fn head_line(head: &RequestHead) -> String {
    let version = match head.version() {
        Version::HTTP_10 => "HTTP/1.0",
        _ => "HTTP/1.1",
    };
    let mut line = format!("{} {} {version}{}", head.method(), head.target(), field_list(head.fields()));
    match head.body_length() {
        BodyLength::Empty => {}
        BodyLength::Known(length) => line += &format!(", body of {length}"),
        BodyLength::Chunked => line += ", chunked body",
    }
    for (said, text) in [
        (head.expects_continue(), ", expects 100"),
        (head.offers_upgrade(), ", offers an upgrade"),
        (!head.wants_persistence(), ", last"),
    ] {
        if said {
            line += text;
        }
    }
    line
}

fn field_list<'a>(fields: impl Iterator<Item = (&'a str, &'a [u8])>) -> String {
    fields
        .filter(|field| *field != ("Host", &b"a"[..]))
        .map(|(name, value)| format!(" [{name}: {}]", escaped(value)))
        .collect()
}
