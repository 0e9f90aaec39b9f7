//! What may happen to a connection, and which of it is tried when.

use std::time::Duration;

use anabranch_core::http1::{AnswerLength, Settings};
use anabranch_core::{ExchangeId, InputEnd};
use proptest::prelude::*;
use proptest::strategy::Union;

use super::answers::Lines;
use super::model::{Input, Model, Taking};
use super::peer::{MAX_BODY_BYTES, Message, any_message};

/// One thing that happens, or is asked for.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// The peer sends: it is on its way.
    Send(Message),
    /// So many bytes come into the driver's buffer.
    Read(usize),
    Poll,
    PollWithoutAllowance,
    Keep,
    CloseInput(InputEnd),
    Passes(Duration),
    Timeout,
    /// So many of the bytes offered went out.
    Write(usize),
    Take(usize),
    Report(usize),
    WriteFails,
    Detach,
    Drain,
    Abort,
    Fail,
    RefuseConnection,
    Respond(ExchangeId, u16, Lines, AnswerLength),
    Reply(ExchangeId, u16, Lines, Body),
    SendData(ExchangeId, Body),
    SendLentData(ExchangeId, Body),
    Finish(ExchangeId, Option<Lines>),
    Cut(ExchangeId),
    EndAfter(ExchangeId),
    Inform(ExchangeId, u16, Lines),
    Switch(ExchangeId, u16, Lines),
    WantBody(ExchangeId),
    PauseBody(ExchangeId),
    DropBody(ExchangeId),
    TakeLeftover,
    Recycle,
}

/// So many bytes, of which the first is this.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Body(pub(crate) usize, pub(crate) u8);

impl Step {
    /// What a driver and an application may do: whoever calls in another order gets no answer from the contracts.
    pub(crate) fn is_allowed(&self, model: &Model) -> bool {
        use anabranch_core::ReadOperation::Read;
        match self {
            Self::Send(_) => !model.ended && model.unsent() < 200,
            Self::Read(_) => {
                model.lent == 0 && model.rests && model.read_operation() == Read && model.unsent() > 0
            }
            Self::Keep => model.polled_dry,
            // The driver's buffer is lent for one input at a time.
            Self::CloseInput(_) | Self::Timeout | Self::Drain => model.lent == 0,
            Self::Write(_) => model.lent == 0 && model.in_flight == 0 && !model.output.is_empty(),
            Self::Take(_) => model.lent == 0 && !model.output.is_empty(),
            Self::Report(count) => model.lent == 0 && *count <= model.in_flight,
            Self::WriteFails => model.lent == 0 && model.pending() > 0,
            Self::RefuseConnection => model.arrived == 0 && model.exchanges == 0,
            _ => true,
        }
    }
}

/// Limits and times, small enough to be met.
pub(crate) fn any_settings() -> impl Strategy<Value = Settings> {
    let most = prop_oneof![3 => Just(None), 1 => (1..4_u64).prop_map(Some)];
    let handler = prop_oneof![Just(None), Just(Some(seconds(4)))];
    let output = prop_oneof![3 => Just(4_096_usize), 1 => Just(50)];
    let times = prop::bool::weighted(0.8);
    let server = prop_oneof![Just(None), Just(Some(http::HeaderValue::from_static("model")))];
    (most, handler, output, times, server).prop_map(|(most, handler, output, times, server)| {
        let mut settings = Settings::default();
        settings.limits.max_requests = most;
        settings.limits.max_body_bytes = MAX_BODY_BYTES;
        settings.limits.max_discard_bytes = 10;
        settings.limits.max_linger_bytes = 60;
        settings.limits.max_output_bytes = output;
        let deadlines = &mut settings.deadlines;
        deadlines.first_byte = times.then_some(seconds(5));
        deadlines.head = times.then_some(seconds(3));
        deadlines.body = times.then_some(seconds(2));
        deadlines.min_body_rate = times.then_some(3);
        deadlines.idle = times.then_some(seconds(6));
        deadlines.write_stall = times.then_some(seconds(7));
        deadlines.linger = times.then_some(seconds(1));
        deadlines.handler = handler;
        settings.server = server;
        settings
    })
}

/// Mostly what moves a connection on from where the model stands; the rest now and then.
pub(crate) fn any_step(model: &Model) -> BoxedStrategy<Step> {
    let mut choice = of_peer_and_driver(model);
    choice.extend(of_application(model));
    // What has no sense at all where the model stands has no weight.
    choice.retain(|(weight, _)| *weight > 0);
    Union::new_weighted(choice).boxed()
}

type Choice = Vec<(u32, BoxedStrategy<Step>)>;

fn of_peer_and_driver(model: &Model) -> Choice {
    let allowed = |step: Step, weight: u32| if step.is_allowed(model) { weight } else { 0 };
    let due = model.deadline().map_or(Duration::ZERO, |(at, _)| at - model.now.min(at));
    // Up to the deadline, and to the last moment before it: that is where clocks go wrong.
    let time = prop_oneof![
        2 => Just(due),
        2 => Just(due.saturating_sub(Duration::from_nanos(1))),
        3 => (0..2_500_u64).prop_map(Duration::from_millis),
    ];
    let end = prop_oneof![
        4 => Just(InputEnd::Eof),
        2 => Just(InputEnd::TlsTruncated),
        1 => Just(InputEnd::Reset),
        1 => Just(InputEnd::Error),
    ];
    let timeout = if model.deadline().is_some_and(|(at, _)| at <= model.now) { 120 } else { 10 };
    let abort = if model.end.is_some_and(|end| !end.flushed) { 15 } else { 1 };
    // Within a body, what comes next is another matter.
    let drain = if model.reads_body() { 15 } else { 3 };
    let (sent, polled) = (model.unsent() > 60, model.rests);
    vec![
        (if sent || model.ended { 0 } else { 40 }, any_message().prop_map(Step::Send).boxed()),
        (allowed(Step::Read(1), 80), up_to(model.unsent()).prop_map(Step::Read).boxed()),
        (if polled { 1 } else { 150 }, Just(Step::Poll).boxed()),
        (4, Just(Step::PollWithoutAllowance).boxed()),
        (if model.lent > 0 { allowed(Step::Keep, 150) } else { 0 }, Just(Step::Keep).boxed()),
        (20, time.prop_map(Step::Passes).boxed()),
        (allowed(Step::Timeout, timeout), Just(Step::Timeout).boxed()),
        (allowed(Step::Write(1), 50), up_to(model.output.len()).prop_map(Step::Write).boxed()),
        (allowed(Step::Take(1), 20), up_to(model.output.len()).prop_map(Step::Take).boxed()),
        (allowed(Step::Report(1), 80), up_to(model.in_flight).prop_map(Step::Report).boxed()),
        (allowed(Step::Write(1), 4), Just(Step::Detach).boxed()),
        (allowed(Step::RefuseConnection, 2), Just(Step::RefuseConnection).boxed()),
        // These end it, and there is little to see behind an end.
        (allowed(Step::CloseInput(InputEnd::Eof), 3), end.prop_map(Step::CloseInput).boxed()),
        (allowed(Step::Drain, drain), Just(Step::Drain).boxed()),
        (allowed(Step::WriteFails, 1), Just(Step::WriteFails).boxed()),
        (abort, prop_oneof![Just(Step::Abort), Just(Step::Fail)].boxed()),
    ]
}

fn of_application(model: &Model) -> Choice {
    // Mostly the exchange in progress; also the one before, and one that is still to come.
    let this = model.exchanges;
    let id = prop_oneof![
        18 => Just(ExchangeId(this)),
        1 => Just(ExchangeId(this.saturating_sub(1))),
        1 => Just(ExchangeId(this + 1)),
    ];
    let small = (0..40_usize, b'0'..=b'9').prop_map(|(length, first)| Body(length, first));
    // Passed on instead of copied.
    let large = (4_000..9_000_usize, b'A'..=b'F').prop_map(|(length, first)| Body(length, first));
    let data = (id.clone(), prop_oneof![8 => small, 1 => large]);
    let head = (id.clone(), any_status(), any_lines());
    let respond = (head.clone(), any_length())
        .prop_map(|((id, status, lines), length)| Step::Respond(id, status, lines, length));
    let reply = (head.clone(), data.clone())
        .prop_map(|((id, status, lines), (_, body))| Step::Reply(id, status, lines, body));
    let finish = (id.clone(), prop::option::of(any_lines()));
    let accepted = prop_oneof![3 => Just(101), 3 => Just(200), 1 => any_status()];
    let upgrade = prop_oneof![3 => Just(vec![("upgrade", "etx")]), 1 => any_lines()];
    let switch = (id.clone(), accepted, upgrade);
    let busy = if model.exchange.is_some() { 15 } else { 1 };
    let body = model.exchange.as_ref().filter(|_| model.reads_body()).map(|exchange| exchange.body);
    let (want, pause, drop) = match body {
        Some(Taking::Held) => (80, 3, 15),
        Some(Taking::Wanted) => (5, 40, 20),
        Some(Taking::Paused) => (40, 3, 20),
        Some(Taking::Dropped) | None => (4, 2, 2),
    };
    let leftover = if model.input == Input::Switched { 40 } else { 1 };
    vec![
        (busy, respond.boxed()),
        (busy, reply.boxed()),
        (busy * 2, data.clone().prop_map(|(id, data)| Step::SendData(id, data)).boxed()),
        (busy, data.prop_map(|(id, data)| Step::SendLentData(id, data)).boxed()),
        (busy * 2, finish.prop_map(|(id, lines)| Step::Finish(id, lines)).boxed()),
        (2, id.clone().prop_map(Step::Cut).boxed()),
        (3, id.clone().prop_map(Step::EndAfter).boxed()),
        (busy, head.prop_map(|(id, status, lines)| Step::Inform(id, status, lines)).boxed()),
        (busy, switch.prop_map(|(id, status, lines)| Step::Switch(id, status, lines)).boxed()),
        (want, id.clone().prop_map(Step::WantBody).boxed()),
        (pause, id.clone().prop_map(Step::PauseBody).boxed()),
        (drop, id.prop_map(Step::DropBody).boxed()),
        (leftover, Just(Step::TakeLeftover).boxed()),
        (8, Just(Step::Recycle).boxed()),
    ]
}

/// Mostly all there is.
fn up_to(most: usize) -> BoxedStrategy<usize> {
    prop_oneof![4 => Just(most), 3 => 0..=most, 1 => 1..=2_usize]
        .prop_map(move |count| count.clamp(1, most.max(1)))
        .boxed()
}

fn any_status() -> impl Strategy<Value = u16> + Clone {
    prop_oneof![6 => Just(200_u16), 6 => prop::sample::select(vec![100, 101, 102, 103, 204, 205, 304, 404, 503, 599])]
}

fn any_length() -> impl Strategy<Value = AnswerLength> + Clone {
    prop_oneof![
        (0..40_u64).prop_map(AnswerLength::Known),
        Just(AnswerLength::Known(0)),
        Just(AnswerLength::Unknown)
    ]
}

fn any_lines() -> impl Strategy<Value = Lines> + Clone {
    let line = prop::sample::select(vec![
        ("content-type", "text/plain"),
        ("x-a", "b"),
        ("x-a", "c"),
        ("server", "own"),
        ("connection", "close"),
        ("upgrade", "etx"),
        ("content-length", "5"),
        ("content-length", "0"),
        ("content-length", "-1"),
        ("connection", "x-a"),
        ("transfer-encoding", "chunked"),
        ("keep-alive", "timeout=5"),
    ]);
    prop_oneof![
        4 => Just(Vec::new()),
        2 => Just(vec![("content-type", "text/plain")]),
        1 => prop::collection::vec(line, 0..3),
    ]
}

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}
