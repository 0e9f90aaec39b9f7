//! Deadlines fire exactly when they should and never otherwise: generated conversations with generated gaps, held against
//! a model that knows what was sent, asked for and taken, and nothing of the code.
//!
//! ```text
//!   Fresh ──► Head ──► Application ──► Idle ──► Head ...        one of these at a time, each with its own clock
//!               └────► Body ─────────────┘ └──► Ending          an answer that waits has another besides: write stall
//! ```

use std::time::Duration;

use anabranch_core::app::Deadlines;
use anabranch_core::testing::Rig;
use anabranch_core::{CloseReason, Deadline, DeadlineKind, Instant, ReadOperation, WriteOperation};
use proptest::prelude::*;
use proptest::sample::select;

use crate::kit::{SiteRig, http_with};

/// What `/after` of the site takes.
const AFTER: Duration = Duration::from_millis(50);

/// What the site does with a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Deed {
    Hello,
    Last,
    Defer,
    After,
    Ignore,
    Collect,
    Echo,
}

impl Deed {
    const fn target(self) -> &'static str {
        match self {
            Self::Hello => "/hello",
            Self::Last => "/last",
            Self::Defer => "/defer",
            Self::After => "/after",
            Self::Ignore => "/ignore",
            Self::Collect => "/collect",
            Self::Echo => "/echo",
        }
    }
}

/// A piece that the peer sends, and what it means.
#[derive(Clone, Debug)]
struct Piece {
    bytes: Vec<u8>,
    means: Means,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Means {
    /// Part of a head.
    Head,
    /// The end of a head, and whether a body follows it.
    HeadEnd(Deed, Follows),
    /// So many bytes of a body's data, which are not its end.
    Data(u64),
    /// The end of a body, with so many bytes of data.
    BodyEnd(u64),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Follows {
    Nothing,
    Body,
}

/// What the server waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Fresh(Instant),
    Head(Instant),
    Body {
        since: Instant,
        latest: Instant,
        received: u64,
        reader: Reader,
    },
    /// A request is complete, or its body is not asked for.
    Application {
        since: Instant,
        deed: Deed,
        follows: Follows,
    },
    /// Since the last answer was taken, if it was.
    Idle(Option<Instant>),
    /// The last answer goes out; then, where the peer is waited for, since when that is.
    Ending {
        reason: CloseReason,
        lingering: Option<Instant>,
        lingers: bool,
    },
}

/// Who takes a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reader {
    /// A handler that has not answered.
    Handler,
    /// The answer, which has begun.
    Answer,
    /// Nobody: the answer is given already.
    Nobody,
}

struct Model {
    deadlines: Deadlines,
    stage: Stage,
    /// Since when output waits without any of it being taken.
    stalled: Option<Instant>,
    finished: Option<CloseReason>,
}

impl Model {
    /// The nearest deadline; of two at one instant, what ends more comes first.
    fn due(&self) -> Option<Deadline> {
        if self.finished.is_some() {
            return None;
        }
        let d = &self.deadlines;
        let at = |since: Instant, duration: Option<Duration>| duration.map(|duration| since + duration);
        let mut armed =
            vec![(DeadlineKind::WriteStall, self.stalled.and_then(|since| at(since, d.write_stall)))];
        match self.stage {
            Stage::Fresh(since) => armed.push((DeadlineKind::FirstByte, at(since, d.first_byte))),
            Stage::Head(since) => armed.push((DeadlineKind::Head, at(since, d.head))),
            Stage::Body { since, latest, received, .. } => {
                armed.push((DeadlineKind::Body, at(latest, d.body)));
                if let Some(rate) = d.min_body_rate {
                    let earned = Duration::from_nanos(received * 1_000_000_000 / u64::from(rate));
                    let grace = d.body.unwrap_or(Duration::from_secs(10));
                    armed.push((DeadlineKind::Body, Some(since + earned + grace)));
                }
            }
            Stage::Application { since, deed, .. } => {
                armed.push((DeadlineKind::Handler, at(since, d.handler)));
                let after = (deed == Deed::After).then_some(AFTER);
                armed.push((DeadlineKind::Application, at(since, after)));
            }
            Stage::Idle(since) => {
                armed.push((DeadlineKind::Idle, since.and_then(|since| at(since, d.idle))));
            }
            Stage::Ending { lingering, .. } => {
                armed.push((DeadlineKind::Linger, lingering.and_then(|since| at(since, d.linger))));
            }
        }
        let armed = armed.into_iter().filter_map(|(kind, at)| Some(Deadline { kind, at: at? }));
        armed.min_by_key(|deadline| deadline.at)
    }

    /// The peer sent a piece, at `now`.
    fn sent(&mut self, means: Means, now: Instant) {
        self.stage = match (means, self.stage) {
            (Means::Head, Stage::Head(_)) => self.stage,
            (Means::Head, _) => Stage::Head(now),
            (Means::HeadEnd(deed @ (Deed::Defer | Deed::After), follows), _) => {
                Stage::Application { since: now, deed, follows }
            }
            (Means::HeadEnd(Deed::Collect, Follows::Body), _) => Self::body(Reader::Handler, now),
            (Means::HeadEnd(Deed::Echo, Follows::Body), _) => Self::body(Reader::Answer, now),
            (Means::HeadEnd(deed, follows), _) => return self.answered(deed, follows, now),
            (Means::Data(0), _) => self.stage,
            (Means::Data(count), Stage::Body { since, received, reader, .. }) => {
                Stage::Body { since, latest: now, received: received + count, reader }
            }
            (Means::BodyEnd(_), _) => Stage::Idle(None),
            (Means::Data(_), _) => panic!("data without a body"),
        };
    }

    /// The application has answered at once.
    fn answered(&mut self, deed: Deed, follows: Follows, now: Instant) {
        self.stage = match (deed, follows) {
            (Deed::Last, _) => {
                Stage::Ending { reason: CloseReason::Finished, lingering: None, lingers: true }
            }
            (_, Follows::Nothing) => Stage::Idle(None),
            (_, Follows::Body) => Self::body(Reader::Nobody, now),
        };
    }

    /// A deadline has come.
    fn fired(&mut self, kind: DeadlineKind, now: Instant) {
        let reason = CloseReason::TimedOut(kind);
        match (kind, self.stage) {
            (DeadlineKind::Application, Stage::Application { deed, follows, .. }) => {
                self.answered(deed, follows, now);
            }
            (DeadlineKind::Linger, Stage::Ending { reason, .. }) => self.finished = Some(reason),
            (DeadlineKind::FirstByte | DeadlineKind::Idle | DeadlineKind::WriteStall, _) => {
                self.finished = Some(reason);
            }
            (_, Stage::Body { reader: Reader::Answer, .. }) => {
                self.stage = Stage::Ending { reason, lingering: None, lingers: false };
            }
            _ => self.stage = Stage::Ending { reason, lingering: None, lingers: true },
        }
    }

    /// What was seen of the output after something happened.
    fn saw(&mut self, output: Output, now: Instant) {
        match (output, &mut self.stage) {
            _ if self.finished.is_some() => {}
            (Output::Waits, _) => {
                self.stalled.get_or_insert(now);
                return;
            }
            (Output::Nothing, Stage::Idle(since)) => drop(since.get_or_insert(now)),
            (Output::Nothing, Stage::Ending { reason, lingers: false, .. }) => self.finished = Some(*reason),
            (Output::Nothing, Stage::Ending { lingering, .. }) => drop(lingering.get_or_insert(now)),
            (Output::Nothing, _) => {}
        }
        self.stalled = None;
    }

    const fn body(reader: Reader, now: Instant) -> Stage {
        Stage::Body { since: now, latest: now, received: 0, reader }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Output {
    Nothing,
    Waits,
}

/// A connection and its model, which are asked the same after every step.
struct Pair {
    rig: SiteRig,
    model: Model,
}

impl Pair {
    fn new(deadlines: Deadlines) -> Self {
        let rig = Rig::connect(&http_with(|settings| settings.deadlines = deadlines.clone()));
        let stage = Stage::Fresh(rig.now());
        Self { model: Model { deadlines, stage, stalled: None, finished: None }, rig }
    }

    fn output(&self) -> Output {
        match self.rig.next_write_operation() {
            WriteOperation::Write => Output::Waits,
            _ => Output::Nothing,
        }
    }

    fn check(&mut self) {
        self.model.saw(self.output(), self.rig.now());
        assert_eq!(
            self.rig.deadline(),
            self.model.due(),
            "in {:?} at {:?}",
            self.model.stage,
            self.rig.now()
        );
        assert_eq!(self.rig.is_finished(), self.model.finished.is_some(), "in {:?}", self.model.stage);
        if let Some(reason) = self.model.finished {
            self.rig.assert_finished(reason);
        }
    }

    /// Lets time pass. A nanosecond before a deadline it changes nothing to be told the time.
    fn pass(&mut self, gap: Duration) {
        let until = self.rig.now() + gap;
        while let Some(due) = self.model.due().filter(|due| due.at <= until) {
            let just_before = (due.at - self.rig.now()).checked_sub(Duration::from_nanos(1));
            if let Some(just_before) = just_before {
                let before = (self.output(), self.rig.next_read_operation(), self.rig.waiting_on());
                self.rig.advance(just_before);
                self.rig.handle_timeout();
                let after = (self.output(), self.rig.next_read_operation(), self.rig.waiting_on());
                assert_eq!(after, before, "nothing ends before {due:?}");
                assert_eq!(self.rig.deadline(), Some(due), "nothing fires before it is due");
                self.rig.advance(Duration::from_nanos(1));
            }
            self.model.fired(due.kind, self.rig.now());
            self.check();
        }
        self.rig.advance(until - self.rig.now());
        self.check();
    }

    /// The peer takes up to so many bytes.
    fn take(&mut self, max: usize) {
        if !self.rig.write_at_most(max).is_empty() {
            self.model.stalled = None;
        }
        self.check();
    }

    /// The application does what it still has to do: time passes for it, or its job is run.
    fn wait_for_application(&mut self) {
        while let Stage::Application { deed, follows, .. } = self.model.stage
            && self.model.finished.is_none()
        {
            if deed == Deed::Defer {
                self.rig.run_jobs();
                self.model.answered(deed, follows, self.rig.now());
                self.check();
            } else {
                self.pass(Duration::from_millis(1));
            }
        }
    }

    fn send(&mut self, piece: &Piece) {
        self.wait_for_application();
        if self.rig.next_read_operation() != ReadOperation::Read || self.is_ending() {
            return;
        }
        self.rig.read(&piece.bytes);
        self.model.sent(piece.means, self.rig.now());
        self.check();
    }

    fn is_ending(&self) -> bool {
        self.model.finished.is_some() || matches!(self.model.stage, Stage::Ending { .. })
    }
}

const DEEDS: &[Deed] =
    &[Deed::Hello, Deed::Last, Deed::Defer, Deed::After, Deed::Ignore, Deed::Collect, Deed::Echo];

/// A request with its pieces; the site's `/collect` takes 20 bytes at most.
fn request() -> impl Strategy<Value = Vec<Piece>> {
    let data = prop::collection::vec(1..6_usize, 1..4);
    let cuts = prop::collection::vec(any::<prop::sample::Index>(), 0..3);
    (select(DEEDS), prop::option::of((data, any::<bool>())), cuts).prop_map(|(deed, body, cuts)| {
        // What ends the connection, or drops a body of no declared length, is the end of the conversation: kept simple.
        let body = body.filter(|_| !matches!(deed, Deed::Hello | Deed::Last));
        let chunked = matches!(deed, Deed::Collect | Deed::Echo) && matches!(body, Some((_, true)));
        let data = body.map_or(Vec::new(), |(data, _)| data);
        let framing = match data.iter().sum::<usize>() {
            0 => String::new(),
            _ if chunked => "Transfer-Encoding: chunked\r\n".to_owned(),
            length => format!("Content-Length: {length}\r\n"),
        };
        let head = format!("POST {} HTTP/1.1\r\nHost: a\r\n{framing}\r\n", deed.target());
        let follows = if data.is_empty() { Follows::Nothing } else { Follows::Body };
        let mut pieces = cut(head.as_bytes(), &cuts, Means::HeadEnd(deed, follows));
        pieces.extend(body_pieces(&data, chunked));
        pieces
    })
}

fn cut(bytes: &[u8], cuts: &[prop::sample::Index], last: Means) -> Vec<Piece> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).filter(|cut| *cut > 0).collect();
    cuts.sort_unstable();
    cuts.dedup();
    let (mut pieces, mut from) = (Vec::new(), 0);
    for at in cuts {
        pieces.push(Piece { bytes: bytes[from..at].to_vec(), means: Means::Head });
        from = at;
    }
    pieces.push(Piece { bytes: bytes[from..].to_vec(), means: last });
    pieces
}

/// A body in the pieces its data has; what frames a chunk comes by itself, and is no progress.
fn body_pieces(data: &[usize], chunked: bool) -> Vec<Piece> {
    let piece = |bytes: Vec<u8>, means| Piece { bytes, means };
    let mut pieces = Vec::new();
    for (index, len) in data.iter().enumerate() {
        let bytes = vec![b'x'; *len];
        if chunked {
            pieces.push(piece(format!("{len:x}\r\n").into_bytes(), Means::Data(0)));
            pieces.push(piece(bytes, Means::Data(*len as u64)));
            pieces.push(piece(b"\r\n".to_vec(), Means::Data(0)));
        } else if index + 1 == data.len() {
            pieces.push(piece(bytes, Means::BodyEnd(*len as u64)));
        } else {
            pieces.push(piece(bytes, Means::Data(*len as u64)));
        }
    }
    if chunked && !data.is_empty() {
        pieces.push(piece(b"0\r\n".to_vec(), Means::Data(0)));
        pieces.push(piece(b"\r\n".to_vec(), Means::BodyEnd(0)));
    }
    pieces
}

fn millis() -> impl Strategy<Value = Duration> {
    select(&[1, 2, 5, 10, 20, 49, 50, 51, 100][..]).prop_map(Duration::from_millis)
}

fn deadlines() -> impl Strategy<Value = Deadlines> {
    let some = || prop::option::weighted(0.8, millis());
    let rate = prop::option::of(select(&[100, 333, 1000][..]));
    ((some(), some(), some(), rate), (some(), some(), some(), prop::option::of(millis()))).prop_map(
        |((first_byte, head, body, min_body_rate), (idle, write_stall, linger, handler))| {
            let mut deadlines = Deadlines::default();
            deadlines.first_byte = first_byte;
            deadlines.head = head;
            deadlines.body = body;
            deadlines.min_body_rate = min_body_rate;
            deadlines.idle = idle;
            deadlines.write_stall = write_stall;
            deadlines.linger = linger;
            deadlines.handler = handler;
            deadlines
        },
    )
}

/// Between two pieces: time, and how much of the output is taken.
fn between() -> impl Strategy<Value = (Duration, usize)> {
    let gap = prop_oneof![4 => Just(Duration::ZERO), 4 => millis()];
    (gap, prop_oneof![3 => Just(0), 3 => Just(usize::MAX), 2 => 1..200_usize])
}

proptest! {
    #[test]
    fn deadlines_fire_exactly_when_they_should_and_never_otherwise(
        deadlines in deadlines(),
        requests in prop::collection::vec(request(), 0..4),
        between in prop::collection::vec(between(), 1..40),
    ) {
        let mut pair = Pair::new(deadlines);
        pair.check();
        let mut between = between.into_iter().cycle();
        let mut step = |pair: &mut Pair| {
            let (gap, max) = between.next().unwrap_or_default();
            pair.pass(gap);
            pair.take(max);
        };
        for piece in requests.concat() {
            step(&mut pair);
            if pair.is_ending() {
                break;
            }
            pair.send(&piece);
        }
        for _ in 0..20 {
            step(&mut pair);
        }
    }
}
