//! Deadlines, foretold: over generated conversations with generated gaps, each fires exactly when a small model of its own
//! says that it is due, and none fires otherwise.
//!
//! ```text
//!   peer      sends some bytes · takes some bytes · the job is run          at any time
//!   model     knows what each byte of the conversation is, and what time counts against
//!   flow      deadline() is the model's nearest; a nanosecond before it nothing happens, and then it does
//! ```

use std::time::Duration;

use anabranch_core::app::{Context, Deadlines, Http, Outcome, Request, Settings, service_fn};
use anabranch_core::testing::Rig;
use anabranch_core::{CloseReason, Deadline, DeadlineKind, Flow, Instant, Lane, WriteOperation};
use proptest::prelude::*;

/// How long the application takes of itself, where it does.
const DELAY: Duration = Duration::from_millis(700);

const NANO: Duration = Duration::from_nanos(1);

/// What a byte of the conversation is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Byte {
    /// Of a head.
    Head,
    /// Of a body, and nothing that gets it on.
    Framing,
    /// Of a body's data.
    Data,
}

/// What a request comes to when its last byte is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    /// An answer at once.
    Answer,
    /// An answer after [`DELAY`].
    After,
    /// An answer when the job is run.
    Defer,
    /// A refusal, and the end.
    Refuse,
}

/// A request, byte by byte.
#[derive(Clone, Debug)]
struct Spoken {
    bytes: Vec<(u8, Byte)>,
    end: End,
}

fn spoken(pieces: &[(&[u8], Byte)], end: End) -> Spoken {
    let each = |(bytes, kind): &(&[u8], Byte)| bytes.iter().map(|byte| (*byte, *kind)).collect::<Vec<_>>();
    Spoken { bytes: pieces.iter().flat_map(each).collect(), end }
}

fn request() -> impl Strategy<Value = Spoken> {
    let bare = |target: &'static str, end| {
        Just(spoken(&[(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes(), Byte::Head)], end))
    };
    let sized = (1..30_usize).prop_map(|len| {
        let head = format!("POST /collect HTTP/1.1\r\nHost: a\r\nContent-Length: {len}\r\n\r\n");
        spoken(&[(head.as_bytes(), Byte::Head), (&vec![b'x'; len], Byte::Data)], End::Answer)
    });
    let chunked = prop::collection::vec(1..9_usize, 0..4).prop_map(|chunks| {
        let head = b"POST /collect HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut request = spoken(&[(head, Byte::Head)], End::Answer);
        for len in chunks {
            let pieces: [(&[u8], Byte); 3] = [
                (&format!("{len}\r\n").into_bytes(), Byte::Framing),
                (&vec![b'x'; len], Byte::Data),
                (b"\r\n", Byte::Framing),
            ];
            request.bytes.extend(spoken(&pieces, End::Answer).bytes);
        }
        request.bytes.extend(spoken(&[(b"0\r\n\r\n", Byte::Framing)], End::Answer).bytes);
        request
    });
    prop_oneof![
        2 => bare("/", End::Answer),
        2 => bare("/after", End::After),
        2 => bare("/defer", End::Defer),
        3 => sized,
        3 => chunked,
        1 => Just(spoken(&[(b"BAD\r\n", Byte::Head)], End::Refuse)),
    ]
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Send(usize),
    Take(usize),
    RunJobs,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (1..60_usize).prop_map(Act::Send),
        3 => prop_oneof![1..100_usize, Just(usize::MAX)].prop_map(Act::Take),
        1 => Just(Act::RunJobs),
    ]
}

fn deadlines() -> impl Strategy<Value = Deadlines> {
    let time = || prop::option::weighted(0.8, (1..4000_u64).prop_map(Duration::from_millis));
    let rate = prop::option::of(1..50_u32);
    ([time(), time(), time(), time(), time(), time(), time()], rate).prop_map(|(times, rate)| {
        let mut deadlines = Deadlines::default();
        let [first_byte, head, body, idle, write_stall, linger, handler] = times;
        (deadlines.first_byte, deadlines.head, deadlines.body) = (first_byte, head, body);
        (deadlines.idle, deadlines.write_stall, deadlines.linger) = (idle, write_stall, linger);
        (deadlines.handler, deadlines.min_body_rate) = (handler, rate);
        deadlines
    })
}

/// What time counts against, as the documentation of [`Deadlines`] has it.
struct Model {
    deadlines: Deadlines,
    /// What the peer sends, and whether a request ends with it.
    bytes: Vec<(Byte, Option<End>)>,
    sent: usize,
    /// Bytes that were looked at.
    used: usize,
    requests: usize,
    /// When the present head's first byte came.
    head_since: Option<Instant>,
    /// When the present body began, and when it last got on.
    body: Option<(Instant, Instant)>,
    received: u64,
    /// What the application does: until when, or until its job is run.
    application: Option<Option<Instant>>,
    waits_since: Instant,
    /// Since when output waits, or was last taken of.
    output_since: Option<Instant>,
    /// Since when nothing waits and nothing goes on.
    quiet_since: Instant,
    /// It has ended but for what is still to be sent, and for the peer to close its half.
    ending: bool,
}

impl Model {
    fn new(deadlines: Deadlines, conversation: &[Spoken], now: Instant) -> Self {
        let mut bytes = Vec::new();
        for request in conversation {
            bytes.extend(request.bytes.iter().map(|(_, kind)| (*kind, None)));
            if let Some((_, end)) = bytes.last_mut() {
                *end = Some(request.end);
            }
        }
        Self {
            deadlines,
            bytes,
            sent: 0,
            used: 0,
            requests: 0,
            head_since: None,
            body: None,
            received: 0,
            application: None,
            waits_since: now,
            output_since: None,
            quiet_since: now,
            ending: false,
        }
    }

    /// Looks at what the peer has sent, as far as nothing is in the way.
    fn look(&mut self, now: Instant) {
        while self.used < self.sent && self.application.is_none() && !self.ending {
            let (kind, end) = self.bytes[self.used];
            self.used += 1;
            match kind {
                Byte::Head => {
                    self.head_since.get_or_insert(now);
                    if end.is_some() || self.bytes[self.used].0 != Byte::Head {
                        self.head_since = None;
                        self.requests += 1;
                        self.received = 0;
                        self.body = end.is_none().then_some((now, now));
                    }
                }
                Byte::Data => {
                    self.received += 1;
                    self.body = self.body.map(|(since, _)| (since, now));
                }
                Byte::Framing => {}
            }
            let Some(end) = end else { continue };
            self.body = None;
            self.waits_since = now;
            match end {
                End::Answer => {}
                End::After => self.application = Some(Some(now + DELAY)),
                End::Defer => self.application = Some(None),
                End::Refuse => self.ending = true,
            }
        }
    }

    /// The application is done, or was too slow.
    fn answered(&mut self, now: Instant) {
        self.application = None;
        self.look(now);
    }

    /// Whether output waits after something happened, and whether some of it was taken.
    fn output(&mut self, waits: bool, taken: bool, now: Instant) {
        let waited = self.output_since.is_some();
        self.output_since = match (waits, self.output_since) {
            (true, Some(since)) if !taken => Some(since),
            (true, _) => Some(now),
            (false, _) => None,
        };
        if waited && !waits {
            self.quiet_since = now;
        }
    }

    fn nearest(&self) -> Option<Deadline> {
        let Deadlines { first_byte, head, body, min_body_rate, idle, write_stall, linger, handler, .. } =
            self.deadlines;
        let quiet = self.output_since.is_none() && self.application.is_none();
        let mut due = Vec::new();
        let mut bound = |since: Instant, time: Option<Duration>, kind| {
            due.extend(time.map(|time| Deadline { at: since + time, kind }));
        };
        if self.ending {
            if quiet {
                bound(self.quiet_since, linger, DeadlineKind::Linger);
            }
        } else if let Some(since) = self.head_since {
            bound(since, head, DeadlineKind::Head);
        } else if let Some((since, latest)) = self.body {
            bound(latest, body, DeadlineKind::Body);
            if let (Some(grace), Some(rate)) = (body, min_body_rate) {
                let earned = Duration::from_nanos(self.received * 1_000_000_000 / u64::from(rate));
                bound(since, Some(grace + earned), DeadlineKind::Body);
            }
        } else if self.requests == 0 {
            bound(self.quiet_since, first_byte, DeadlineKind::FirstByte);
        } else if quiet {
            bound(self.quiet_since, idle, DeadlineKind::Idle);
        }
        if let Some(since) = self.output_since {
            bound(since, write_stall, DeadlineKind::WriteStall);
        }
        if let Some(until) = self.application {
            bound(self.waits_since, handler, DeadlineKind::Handler);
            due.extend(until.map(|at| Deadline { at, kind: DeadlineKind::Application }));
        }
        due.into_iter().min_by_key(|deadline| deadline.at)
    }
}

/// A flow and the model of it, side by side.
struct Pair {
    rig: Rig<Box<dyn Flow>>,
    model: Model,
    input: Vec<u8>,
    fired: Option<DeadlineKind>,
}

impl Pair {
    fn waits(&self) -> bool {
        self.rig.next_write_operation() == WriteOperation::Write
    }

    /// After something happened: both see the same deadline.
    fn agree(&mut self, taken: bool) {
        let waits = self.waits();
        self.model.output(waits, taken, self.rig.now());
        let (said, meant) = (self.rig.deadline(), self.model.nearest());
        let at = |deadline: Option<Deadline>| deadline.map(|deadline| deadline.at);
        assert_eq!(at(said), at(meant), "the flow says {said:?}, the model {meant:?}");
        // Two may be due at once: either may be named.
    }

    fn act(&mut self, act: Act) {
        let now = self.rig.now();
        match act {
            Act::Send(count) => {
                let from = self.model.sent;
                let until = self.input.len().min(from + count);
                self.model.sent = until;
                self.model.look(now);
                self.rig.feed(&self.input[from..until], usize::MAX);
                self.agree(false);
            }
            Act::Take(max) => {
                let taken = !self.rig.write_at_most(max).is_empty();
                self.agree(taken);
            }
            Act::RunJobs => {
                if self.rig.run_jobs() > 0 && self.model.application == Some(None) {
                    self.model.answered(now);
                }
                self.agree(false);
            }
        }
    }

    /// Time passes. What is due comes at its very instant, and nothing else does.
    fn pass(&mut self, gap: Duration) {
        let until = self.rig.now() + gap;
        while let Some(due) = self.model.nearest().filter(|due| due.at <= until) {
            if self.rig.is_finished() {
                return;
            }
            if due.at > self.rig.now() {
                self.stand_still(due.at - self.rig.now() - NANO);
                self.rig.advance(NANO);
            } else {
                self.rig.advance(Duration::ZERO);
            }
            self.fire(due.kind);
        }
        if !self.rig.is_finished() {
            self.stand_still(until - self.rig.now());
        }
    }

    /// Nothing happens, though the flow is told that time has come.
    fn stand_still(&mut self, time: Duration) {
        let before = (self.rig.deadline(), self.rig.next_read_operation(), self.waits());
        self.rig.advance(time);
        self.rig.handle_timeout();
        assert!(!self.rig.is_finished(), "it ended when nothing was due: {:?}", self.rig.close_reason());
        let after = (self.rig.deadline(), self.rig.next_read_operation(), self.waits());
        assert_eq!(after, before, "something came when nothing was due");
    }

    /// A deadline came: what it ends has ended.
    fn fire(&mut self, kind: DeadlineKind) {
        let now = self.rig.now();
        if kind != DeadlineKind::Application {
            self.fired.get_or_insert(kind);
        }
        match kind {
            DeadlineKind::FirstByte
            | DeadlineKind::Idle
            | DeadlineKind::Linger
            | DeadlineKind::WriteStall => {
                assert!(self.rig.is_finished(), "{kind} was due, and it goes on: {:?}", self.rig);
                if kind != DeadlineKind::Linger {
                    assert_eq!(self.rig.close_reason(), Some(CloseReason::TimedOut(kind)));
                }
            }
            DeadlineKind::Head | DeadlineKind::Body | DeadlineKind::Handler => {
                assert!(self.waits(), "{kind} was due, and nothing is said of it");
                (self.model.ending, self.model.application) = (true, None);
                self.agree(false);
            }
            DeadlineKind::Application => {
                self.model.answered(now);
                self.agree(false);
            }
            _ => unreachable!("HTTP has no other deadlines"),
        }
    }
}

fn service() -> impl anabranch_core::app::Service {
    service_fn(|request: &mut Request, _: &mut Context<'_>| match request.path() {
        "/after" => Outcome::after(DELAY, |_, _| "later"),
        "/defer" => Outcome::defer(Lane::DEFAULT, |_| "deferred"),
        "/collect" => Outcome::collect(1000, |_, _, _| "collected"),
        _ => "at once".into(),
    })
}

proptest! {
    #[test]
    fn deadlines_fire_exactly_when_they_are_due_and_never_otherwise(
        deadlines in deadlines(),
        conversation in prop::collection::vec(request(), 0..6),
        acts in prop::collection::vec((0..2500_u64, act()), 0..40),
    ) {
        let mut settings = Settings::default();
        settings.deadlines = deadlines.clone();
        let rig = Rig::connect(&Http::new(service()).with_settings(settings));
        let model = Model::new(deadlines, &conversation, rig.now());
        let input = conversation.iter().flat_map(|request| request.bytes.iter().map(|(byte, _)| *byte)).collect();
        let mut pair = Pair { rig, model, input, fired: None };
        pair.agree(false);
        for (gap, act) in acts {
            pair.pass(Duration::from_millis(gap));
            if pair.rig.is_finished() {
                break;
            }
            pair.act(act);
        }
        pair.pass(Duration::from_secs(20));
        // What ended it is what came first.
        if let (Some(kind), Some(CloseReason::TimedOut(reason))) = (pair.fired, pair.rig.close_reason()) {
            prop_assert!(kind == reason || reason == DeadlineKind::WriteStall, "{kind} fired, {reason} is told");
        }
    }
}
