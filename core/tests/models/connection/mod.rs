//! `http1::Connection` against its model: every event, every command's result, every byte, every question and deadline.

mod answers;
mod conversation;
mod model;
mod peer;
mod steps;

use std::fmt;
use std::io::IoSlice;
use std::sync::Arc;
use std::task::Waker;

use anabranch_core::http1::{BodyLength, Connection, Event, FieldLines, Misuse, Refusal, RequestHead};
use anabranch_core::{
    AbortReason, CloseReason, Dates, Deadline, ExchangeId, Fields, InputEnd, Instant, Pool, Turn, WriteResult,
};
use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, StatusCode};
use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};

use crate::OneLine;
use answers::{Lines, Said};
use model::{Model, Told};
use peer::Request;
use steps::{Body, Step};

prop_state_machine! {
    #![proptest_config(crate::cases(2_500))]

    #[test]
    fn connection_does_as_its_model_says(sequential 1..80 => Machine);
}

/// The model, and what its last step came to.
#[derive(Clone)]
struct Reference {
    model: Model,
    came: Came,
}

/// All that a failure is to show of it.
impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.model.settings)
    }
}

/// What a step gives back.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Came {
    Nothing,
    Told(Option<Told>),
    /// Bytes that are read by the machine, sent by it, or left over.
    Bytes(Vec<u8>),
    Said(Said<Option<anabranch_core::http1::Sends>>),
}

impl ReferenceStateMachine for Reference {
    type State = Self;
    type Transition = OneLine<Step>;

    fn init_state() -> BoxedStrategy<Self> {
        steps::any_settings()
            .prop_map(|settings| Self { model: Model::new(settings), came: Came::Nothing })
            .boxed()
    }

    fn transitions(state: &Self) -> BoxedStrategy<OneLine<Step>> {
        steps::any_step(&state.model).prop_map(OneLine).boxed()
    }

    fn preconditions(state: &Self, step: &OneLine<Step>) -> bool {
        step.is_allowed(&state.model)
    }

    fn apply(mut state: Self, step: &OneLine<Step>) -> Self {
        let model = &mut state.model;
        let nothing = |said: Said<()>| Came::Said(said.map(|()| None));
        let (rests, polled_dry) = (model.rests, model.polled_dry);
        (model.rests, model.polled_dry) = (false, false);
        state.came = match &**step {
            Step::Poll | Step::PollWithoutAllowance => {
                let told = model.poll(matches!(**step, Step::Poll));
                model.polled_dry = told.is_none();
                model.rests = model.polled_dry && matches!(**step, Step::Poll);
                Came::Told(told)
            }
            Step::Read(count) => Came::Bytes(model.read(*count)),
            Step::Write(count) => {
                let count = (*count).min(model.output.len());
                let bytes = model.output[..count].to_vec();
                model.wrote(count);
                Came::Bytes(bytes)
            }
            Step::Take(count) => Came::Bytes(model.take(*count)),
            Step::TakeLeftover => Came::Bytes(model.take_leftover()),
            Step::Respond(id, status, lines, length) => {
                Came::Said(model.respond(*id, *status, lines, *length).map(Some))
            }
            Step::Reply(id, status, lines, body) => {
                Came::Said(model.reply(*id, *status, lines, &body.bytes()).map(Some))
            }
            Step::SendData(id, data) | Step::SendLentData(id, data) => {
                nothing(model.send_data(*id, &data.bytes()))
            }
            Step::Finish(id, trailers) => nothing(model.finish(*id, trailers.as_ref())),
            Step::Inform(id, status, lines) => nothing(model.inform(*id, *status, lines)),
            Step::Switch(id, status, lines) => nothing(model.switch(*id, *status, lines)),
            Step::WantBody(id) => nothing(model.want_body(*id)),
            Step::PauseBody(id) => nothing(model.pause_body(*id)),
            Step::DropBody(id) => nothing(model.drop_body(*id)),
            other => {
                match other {
                    Step::Send(_) | Step::Keep | Step::Passes(_) | Step::Recycle | Step::Detach => {
                        (model.rests, model.polled_dry) = (rests, polled_dry);
                    }
                    _ => {}
                }
                model.happen(other);
                Came::Nothing
            }
        };
        state
    }
}

impl Model {
    /// A step that gives nothing back.
    fn happen(&mut self, step: &Step) {
        match *step {
            Step::Send(message) => self.send(message),
            Step::Keep => self.keep(),
            Step::CloseInput(InputEnd::Reset) => self.close_input_by(CloseReason::PeerReset),
            Step::CloseInput(InputEnd::Error) => self.close_input_by(CloseReason::TransportFailed),
            Step::CloseInput(_) => self.close_input(),
            Step::Passes(time) => self.now += time,
            Step::Timeout => self.timeout(),
            Step::Report(count) => self.wrote(count),
            Step::WriteFails => self.close(CloseReason::PeerReset),
            Step::Drain => self.drain(),
            Step::Abort => self.close(CloseReason::Aborted(AbortReason::Requested)),
            Step::Fail => self.close(CloseReason::ApplicationFailed),
            Step::RefuseConnection if self.is_idle() => self.refuse(Refusal::Overloaded),
            Step::Cut(id) => self.cut(id),
            Step::EndAfter(id) => self.end_after(id),
            _ => {}
        }
    }

    fn close_input_by(&mut self, reason: CloseReason) {
        self.close_input();
        self.close(reason);
    }
}

/// The machine, and what its driver lends to it.
struct Machine {
    connection: Connection,
    dates: Dates,
    pool: Pool,
    buffer: BytesMut,
    /// The latest, to be given back for the next one.
    head: Option<Box<RequestHead>>,
}

impl StateMachineTest for Machine {
    type SystemUnderTest = Self;
    type Reference = Reference;

    fn init_test(state: &Reference) -> Self {
        let Model { settings, now, .. } = &state.model;
        let connection = || Connection::new(Arc::new(settings.clone()), *now);
        let (dates, pool) = (Dates::none(), Pool::default());
        let mut former = Self { connection: connection(), dates, pool, buffer: BytesMut::new(), head: None };
        former.converse(*now);
        // What is lent was another connection's before.
        Self { connection: connection(), ..former }
    }

    fn apply(mut machine: Self, state: &Reference, step: OneLine<Step>) -> Self {
        machine.take(state, step.0);
        machine
    }

    fn check_invariants(machine: &Self, Reference { model, .. }: &Reference) {
        let connection = &machine.connection;
        assert_eq!(connection.next_read_operation(), model.read_operation(), "read");
        assert_eq!(connection.next_write_operation(), model.write_operation(), "write");
        assert_eq!(connection.close_reason(), model.reason.filter(|_| model.is_finished()), "reason");
        let open = model.exchange.as_ref().filter(|exchange| exchange.answer != model::Answer::Done);
        assert_eq!(connection.open_exchange(), open.map(|_| ExchangeId(model.exchanges)), "open exchange");
        let begun = open.is_some_and(|exchange| exchange.answer != model::Answer::Owed);
        assert_eq!(connection.has_begun(), begun, "has begun");
        assert_eq!(connection.is_switched(), model.input == model::Input::Switched, "is switched");
        assert_eq!(connection.pending_output(), model.pending(), "pending output");
        assert_eq!(connection.exchanges(), model.exchanges, "exchanges");
        assert_eq!(machine.offered(), model.output.escape_ascii().to_string(), "output");
        assert_eq!(machine.buffer.is_empty(), model.lent == 0, "the driver's buffer");
        match (connection.deadline(), model.deadline()) {
            (None, None) => {}
            (Some(Deadline { at, kind }), Some((nearest, kinds))) => {
                assert_eq!(at, nearest, "deadline: {kind:?}, not {kinds:?}");
                assert!(kinds.contains(&kind), "deadline: {kind:?}, not {kinds:?}");
            }
            (found, expected) => panic!("deadline: {found:?}, not {expected:?}"),
        }
    }
}

impl Machine {
    fn take(&mut self, Reference { model, came }: &Reference, step: Step) {
        let Self { connection, dates, pool, buffer, head } = self;
        let turn = &mut Turn::new(model.now, dates, Waker::noop(), pool);
        let said: Result<_, Misuse> = match step {
            Step::Read(_) => return buffer.extend_from_slice(came.bytes()),
            Step::Poll | Step::PollWithoutAllowance => {
                turn.allowance = u32::from(matches!(step, Step::Poll));
                let told = connection.poll_event(buffer, turn).map(|event| tell(event, head));
                return assert_eq!(Came::Told(told), *came, "{step:?}");
            }
            Step::Write(_) => {
                assert!(self.offered().starts_with(&came.bytes().escape_ascii().to_string()));
                return self.report(came.bytes().len(), model.now);
            }
            Step::Report(count) => return self.report(count, model.now),
            Step::Take(count) => {
                let mut chunks = Vec::new();
                connection.take_output(count, &mut chunks);
                return assert_eq!(Came::Bytes(chunks.concat()), *came, "{step:?}");
            }
            Step::TakeLeftover => {
                return assert_eq!(Came::Bytes(connection.take_leftover().to_vec()), *came, "{step:?}");
            }
            Step::Respond(id, code, ref lines, length) => {
                connection.respond(id, status(code), &fields(lines), length, turn).map(Some)
            }
            Step::Reply(id, code, ref lines, body) => {
                connection.reply(id, status(code), &fields(lines), body.bytes(), turn).map(Some)
            }
            Step::SendData(id, data) => connection.send_data(id, data.bytes(), turn).map(|()| None),
            Step::SendLentData(id, data) => connection.send_lent_data(id, data.bytes(), turn).map(|()| None),
            Step::Finish(id, ref lines) => {
                connection.finish(id, lines.as_ref().map(fields).as_ref(), turn).map(|()| None)
            }
            Step::Inform(id, code, ref lines) => {
                connection.inform(id, status(code), &fields(lines), turn).map(|()| None)
            }
            Step::Switch(id, code, ref lines) => {
                connection.switch(id, status(code), &fields(lines), turn).map(|()| None)
            }
            Step::WantBody(id) => connection.want_body(id, turn).map(|()| None),
            Step::PauseBody(id) => connection.pause_body(id, turn).map(|()| None),
            Step::DropBody(id) => connection.drop_body(id, turn).map(|()| None),
            Step::Send(_) | Step::Passes(_) => return,
            Step::Keep => return connection.keep(buffer, turn),
            Step::CloseInput(end) => return connection.close_input(end),
            Step::Timeout => return connection.handle_timeout(turn),
            Step::WriteFails => return connection.report_write_result(WriteResult::Closed, turn),
            Step::Detach => return connection.detach_output(),
            Step::Drain => return connection.drain(),
            Step::Abort => return connection.abort(AbortReason::Requested),
            Step::Fail => return connection.fail(),
            Step::RefuseConnection => return connection.refuse_connection(Refusal::Overloaded, turn),
            Step::Cut(id) => return connection.cut(id, turn),
            Step::EndAfter(id) => return connection.end_after(id),
            Step::Recycle => return head.take().into_iter().for_each(|head| connection.recycle(head)),
        };
        let Came::Said(expected) = came else { panic!("{step:?} is not said") };
        let fits = match (&said, expected) {
            (Ok(said), Ok(expected)) => said == expected,
            (Err(misuse), Err(misuses)) => misuses.contains(misuse),
            _ => false,
        };
        assert!(fits, "{step:?}: {said:?}, not {expected:?}");
    }

    /// A conversation that leaves as much as one can in what was lent for it.
    fn converse(&mut self, now: Instant) {
        let Self { connection, dates, pool, .. } = self;
        let turn = &mut Turn::new(now, dates, Waker::noop(), pool);
        let mut input = BytesMut::from("POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\nabcde");
        let Some(Event::Request { id, head }) = connection.poll_event(&mut input, turn) else { return };
        connection.recycle(head);
        connection.want_body(id, turn).expect("it is in progress");
        while connection.poll_event(&mut input, turn).is_some() {}
        let length = anabranch_core::http1::AnswerLength::Unknown;
        let _ = connection.respond(id, status(200), &Fields::new(), length, turn).expect("it is owed");
        connection.send_data(id, Body(5_000, b'a').bytes(), turn).expect("it has begun");
        connection.finish(id, None, turn).expect("it has begun");
        let count = connection.pending_output();
        connection.report_write_result(WriteResult::Wrote(count), turn);
        connection.close_input(InputEnd::Eof);
        connection.keep(&mut input, turn);
        assert_eq!(connection.close_reason(), Some(CloseReason::Finished));
    }

    fn report(&mut self, count: usize, now: Instant) {
        let Self { connection, dates, pool, .. } = self;
        let turn = &mut Turn::new(now, dates, Waker::noop(), pool);
        connection.report_write_result(WriteResult::Wrote(count), turn);
    }

    /// What is to be sent.
    fn offered(&self) -> String {
        let mut slices = [IoSlice::new(&[]); 64];
        let count = self.connection.write_slices(&mut slices);
        slices[..count].iter().map(|slice| slice.escape_ascii().to_string()).collect()
    }
}

/// An event in the model's words.
fn tell(event: Event, latest: &mut Option<Box<RequestHead>>) -> Told {
    match event {
        Event::Request { id, head } => {
            let request = request(&head);
            *latest = Some(head);
            Told::Request(id, request)
        }
        Event::Body { id, data } => Told::Body(id, data.to_vec()),
        Event::BodyEnd { id, trailers } => {
            Told::BodyEnd(id, trailers.map_or_else(Vec::new, |trailers| lines(trailers.fields())))
        }
        Event::Refused { id, refusal } => Told::Refused(id, refusal),
        other => panic!("the model does not know of {other:?}"),
    }
}

fn request(head: &RequestHead) -> Request {
    let known = |names: &[&'static str], name: &str| names.iter().copied().find(|known| *known == name);
    let method = known(&["GET", "POST", "HEAD", "CONNECT"], head.method().as_str());
    let target = known(&["/a?b", "/c", "/h", "a:1"], head.target());
    let length = head.field("content-length").and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
    assert_eq!(head.field("host"), Some(&b"a:1"[..]));
    assert_eq!(length, if let BodyLength::Known(length) = head.body_length() { Some(length) } else { None });
    Request {
        method: method.expect("a method that was sent"),
        target: target.expect("a target that was sent"),
        http11: head.version() == http::Version::HTTP_11,
        persists: head.wants_persistence(),
        expects: head.expects_continue(),
        upgrades: head.offers_upgrade(),
        body: head.body_length(),
    }
}

fn lines(fields: FieldLines<'_>) -> Vec<(String, String)> {
    fields.map(|(name, value)| (name.to_owned(), value.escape_ascii().to_string())).collect()
}

fn fields(lines: &Lines) -> Fields {
    lines
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect()
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).expect("three digits")
}

impl Body {
    fn bytes(self) -> Bytes {
        peer::text(self.0, self.1).into()
    }
}

impl Came {
    fn bytes(&self) -> &[u8] {
        if let Self::Bytes(bytes) = self { bytes } else { &[] }
    }
}
