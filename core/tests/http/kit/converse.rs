//! One conversation, held in every way it can be cut: law 9.
//!
//! ```text
//!   input    whole · at every point in two · byte by byte · with a further request behind it
//!   output   all a write · 7 bytes · 1 byte · taken as owned chunks
//! ```

use anabranch_core::app::{Http, Service, Settings};
use anabranch_core::flow::is_reset;
use anabranch_core::testing::Rig;
use anabranch_core::{CloseReason, DeadlineKind, Flow, ReadOperation, WriteOperation, WriteResult};

use super::answer::{Answer, answers};
use super::recorder::{Recorder, Seen};
use super::site::Site;

/// A conversation: what the peer sends, and to whom.
pub(crate) struct Conversation<S: Service + Clone = Site> {
    service: S,
    settings: Settings,
    input: Vec<u8>,
    end: End,
    behind: Behind,
}

/// How the peer's bytes end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    /// The peer keeps its half open.
    Open,
    /// It closes its half after its last byte.
    Eof,
}

/// What may come behind it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Behind {
    /// A further request of the site's.
    Request,
    /// Nothing: it would be part of this conversation, or mean something else to this service.
    Nothing,
}

/// What came of a conversation.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Held {
    pub(crate) answers: Vec<Answer>,
    pub(crate) requests: Vec<Seen>,
    /// Why it ended; `None` while the connection lives.
    pub(crate) closed: Option<CloseReason>,
    /// What the reading side wants at the end.
    pub(crate) reading: ReadOperation,
}

impl Held {
    pub(crate) fn statuses(&self) -> Vec<u16> {
        self.answers.iter().map(|answer| answer.status).collect()
    }

    /// The body of the last answer.
    pub(crate) fn text(&self) -> &str {
        self.answers.last().expect("there is an answer").text()
    }

    #[track_caller]
    pub(crate) fn assert_lives(&self) {
        assert_eq!((self.closed, self.reading), (None, ReadOperation::Read), "{:?}", self.answers);
        assert!(self.answers.iter().all(|answer| !answer.says_close()), "{:?}", self.answers);
    }

    /// Ended in order, and the last answer said so.
    #[track_caller]
    pub(crate) fn assert_closed(&self, reason: CloseReason) {
        assert_eq!(self.closed, Some(reason), "{:?}", self.answers);
        let last = self.answers.iter().rfind(|answer| answer.status >= 200);
        assert!(last.is_none_or(Answer::says_close), "{:?}", self.answers);
    }
}

/// How output is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Taking {
    /// So many bytes a write.
    Writes(usize),
    /// As owned chunks of so many bytes.
    Owned(usize),
}

impl Conversation {
    /// With the site.
    pub(crate) fn new(input: impl AsRef<[u8]>) -> Self {
        Self::with(Site, input)
    }
}

impl<S: Service + Clone> Conversation<S> {
    /// With a service of one's own.
    pub(crate) fn with(service: S, input: impl AsRef<[u8]>) -> Self {
        Self {
            service,
            settings: Settings::default(),
            input: input.as_ref().to_vec(),
            end: End::Open,
            behind: Behind::Request,
        }
    }

    /// The peer closes its half after its last byte.
    pub(crate) fn then_eof(mut self) -> Self {
        self.end = End::Eof;
        self
    }

    /// Without trying a further request behind it.
    pub(crate) fn without_more(mut self) -> Self {
        self.behind = Behind::Nothing;
        self
    }

    /// Under other settings.
    pub(crate) fn under(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// Holds it in every way, fails unless all come out the same, and says how.
    #[track_caller]
    pub(crate) fn hold(self) -> Held {
        let whole = self.hold_once(&[&self.input], Taking::Writes(usize::MAX));
        let bytes: Vec<&[u8]> = self.input.chunks(1).collect();
        for taking in [Taking::Writes(7), Taking::Writes(1), Taking::Owned(5), Taking::Owned(usize::MAX)] {
            self.compare(&whole, &[&self.input], taking, "whole");
        }
        for taking in [Taking::Writes(usize::MAX), Taking::Writes(7), Taking::Owned(1)] {
            self.compare(&whole, &bytes, taking, "byte by byte");
        }
        for at in 1..self.input.len() {
            let (before, after) = self.input.split_at(at);
            let taking = if at % 4 == 0 { Taking::Writes(50) } else { Taking::Writes(usize::MAX) };
            self.compare(&whole, &[before, after], taking, "cut in two");
        }
        if self.end == End::Open && self.behind == Behind::Request {
            self.hold_with_more(&whole);
        }
        whole
    }

    /// As [`hold`](Self::hold), but whole and byte by byte only.
    #[track_caller]
    pub(crate) fn hold_briefly(&self) -> Held {
        let taking = Taking::Writes(usize::MAX);
        let whole = self.hold_once(&[&self.input], taking);
        let bytes: Vec<&[u8]> = self.input.chunks(1).collect();
        self.compare(&whole, &bytes, taking, "byte by byte");
        whole
    }

    /// A further request behind it changes nothing of what came before, and is answered if the connection lives.
    #[track_caller]
    fn hold_with_more(&self, whole: &Held) {
        let more = b"GET /who?trailing HTTP/1.1\r\nHost: a\r\n\r\n";
        let input = [&self.input[..], more].concat();
        for cut in [0, self.input.len(), self.input.len() + 1] {
            let (before, after) = input.split_at(cut);
            let held = self.hold_once(&[before, after], Taking::Writes(usize::MAX));
            let count = whole.answers.len();
            let shown = input.escape_ascii();
            assert!(held.answers.len() >= count, "an answer is lost: {held:?}\nof {whole:?}\nto {shown}");
            if whole.closed.is_none() && whole.reading == ReadOperation::Read && count > 0 {
                assert_eq!(held.answers[..count], whole.answers, "more changed what was, at {cut}: {shown}");
                assert_eq!(held.text(), "GET /who?trailing", "what came behind is not answered: {shown}");
            } else {
                assert_eq!(held.answers, whole.answers, "more changed what was, at {cut}: {shown}");
                assert_eq!(held.closed, whole.closed, "more changed the end, at {cut}: {shown}");
            }
        }
    }

    #[track_caller]
    fn compare(&self, whole: &Held, pieces: &[&[u8]], taking: Taking, how: &str) {
        let held = self.hold_once(pieces, taking);
        if held != *whole {
            let shown: Vec<String> =
                pieces.iter().take(2).map(|piece| piece.escape_ascii().to_string()).collect();
            panic!("{how}, output {taking:?}: {held:#?}\nwhole: {whole:#?}\npieces: {shown:#?}");
        }
    }

    #[track_caller]
    fn hold_once(&self, pieces: &[&[u8]], taking: Taking) -> Held {
        let recorder = Recorder::default();
        let http = Http::new(self.service.clone())
            .with_settings(self.settings.clone())
            .with_observer(recorder.observer());
        let mut rig = Rig::connect(&http);
        let mut output = Vec::new();
        for piece in pieces {
            rig.feed(piece, usize::MAX);
            take_all(&mut rig, taking, &mut output);
        }
        if self.end == End::Eof {
            rig.eof();
            take_all(&mut rig, taking, &mut output);
        }
        // A peer that was told of the end closes its half.
        let lingers = matches!(
            (rig.flow().next_read_operation(), rig.flow().next_write_operation()),
            (ReadOperation::Read, WriteOperation::Close(_))
        );
        if lingers {
            rig.eof();
        }
        let requests: Vec<Seen> = recorder
            .seen()
            .into_iter()
            // How much of a declined body had come depends on the cuts.
            .map(|seen| Seen { request_body_bytes: 0, ..seen })
            .collect();
        let methods: Vec<&str> = requests.iter().map(Seen::method).collect();
        let mut answers = answers(&output, &methods);
        if let Some(last) = answers.last_mut() {
            // What ends with the connection is whole unless that is reset.
            last.whole &= !is_reset(rig.flow());
        }
        let told: Vec<_> = requests.iter().filter_map(|seen| seen.status).collect();
        let given: Vec<_> = answers
            .iter()
            .map(|answer| answer.status)
            .filter(|status| *status == 101 || *status >= 200)
            .collect();
        // An answer that is still going out is told of when it ends.
        let open = given.len() - told.len().min(given.len());
        assert!(given.starts_with(&told) && open <= 1, "told of {told:?}, given {given:?}");
        Held { answers, closed: rig.close_reason(), reading: rig.flow().next_read_operation(), requests }
    }
}

/// Takes output, runs jobs and lets the application's time pass, until nothing moves.
#[track_caller]
fn take_all(rig: &mut Rig<Box<dyn Flow>>, taking: Taking, output: &mut Vec<u8>) {
    loop {
        match taking {
            Taking::Writes(max) => {
                while rig.flow().next_write_operation() == WriteOperation::Write {
                    output.extend(rig.write_at_most(max));
                }
            }
            Taking::Owned(max) => {
                while rig.flow().next_write_operation() == WriteOperation::Write {
                    let chunks = rig.take_output(max).concat();
                    rig.run();
                    output.extend_from_slice(&chunks);
                    rig.report_write_result(WriteResult::Wrote(chunks.len()));
                }
            }
        }
        if rig.run_jobs() > 0 {
            continue;
        }
        match rig.deadline() {
            Some(deadline) if deadline.kind == DeadlineKind::Application => {
                rig.advance(deadline.at - rig.now());
            }
            _ if rig.flow().next_write_operation() == WriteOperation::Write => {}
            _ => return,
        }
    }
}
