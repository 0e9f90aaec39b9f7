//! A conversation with the whole flow, and what it sends.

use anabranch_core::app::{Http, MemoryBudget};
use anabranch_core::testing::{ManualClock, Rig, Take};
use anabranch_core::{
    ConnectionId, ConnectionInfo, DeadlineKind, Flow, Protocol, ReadOperation, WriteOperation, WriteResult,
};

use super::application::Application;
use super::text;
use super::vector::{Admission, Stage, Step};

/// What was sent, the date left out, and how it stands at the end.
pub(crate) fn talk(stage: &Stage, steps: &[Step], takes: &[Take]) -> (Vec<u8>, String) {
    let mut talker = Talker::new(stage, takes);
    talker.take();
    for step in steps {
        talker.step(step);
        talker.take();
    }
    let rig = &mut talker.rig;
    let lingers = matches!(rig.next_write_operation(), WriteOperation::Close(_))
        && rig.next_read_operation() == ReadOperation::Read;
    if lingers {
        // A peer that was told of the end closes its half.
        rig.eof();
        talker.take();
    }
    let end = talker.end();
    (without_dates(&talker.output), end)
}

struct Talker {
    rig: Rig<Box<dyn Flow>>,
    output: Vec<u8>,
    takes: Vec<Take>,
    taken: usize,
    /// Bytes that the peer still takes.
    room: usize,
}

impl Talker {
    fn new(stage: &Stage, takes: &[Take]) -> Self {
        let http = Http::new(Application)
            .with_settings(stage.settings.clone())
            .with_memory(MemoryBudget::new(stage.memory_bytes));
        let clock = ManualClock::default();
        let info = ConnectionInfo::new(ConnectionId(1));
        let flow = match stage.admission {
            Admission::Served => http.connect(info, clock.now()),
            Admission::Refused => http.refuse(info, clock.now()).expect("HTTP has a word for it"),
        };
        let mut rig = Rig::with_clock(flow, clock);
        rig.jobs().set_capacity(stage.jobs);
        let takes = if takes.is_empty() { vec![Take::Write(usize::MAX)] } else { takes.to_vec() };
        Self { rig, output: Vec::new(), takes, taken: 0, room: usize::MAX }
    }

    fn step(&mut self, step: &Step) {
        let rig = &mut self.rig;
        match step {
            Step::Bytes(bytes) => rig.feed(bytes, usize::MAX),
            Step::Eof => rig.eof(),
            Step::Wait(duration) => rig.advance(*duration),
            Step::Stall => self.room = 0,
            Step::TakeBytes(bytes) => self.room = *bytes,
            Step::TakeAll => self.room = usize::MAX,
            Step::Drain => rig.drain(),
            Step::RunJobs => drop(rig.run_jobs()),
            Step::LoseJobs => rig.lose_jobs(),
        }
    }

    /// Takes what the peer takes, one way after another.
    fn take(&mut self) {
        while self.rig.next_write_operation() == WriteOperation::Write && self.room > 0 {
            let take = self.takes[self.taken.min(self.takes.len() - 1)];
            self.taken += 1;
            let piece = match take {
                Take::Write(max) => self.rig.write_at_most(max.min(self.room)),
                Take::Owned(max) => {
                    let piece = self.rig.take_output(max.min(self.room)).concat();
                    self.rig.run();
                    self.rig.report_write_result(WriteResult::Wrote(piece.len()));
                    piece
                }
            };
            self.room = self.room.saturating_sub(if self.room == usize::MAX { 0 } else { piece.len() });
            self.output.extend(piece);
        }
    }

    fn end(&self) -> String {
        match (self.rig.close_reason(), self.rig.deadline()) {
            (Some(reason), _) => text::closed(self.rig.next_write_operation(), reason),
            (None, Some(deadline))
                if matches!(deadline.kind, DeadlineKind::Idle | DeadlineKind::FirstByte)
                    && self.rig.next_write_operation() == WriteOperation::Yield =>
            {
                "idle".to_owned()
            }
            (None, _) => "waits".to_owned(),
        }
    }
}

/// Time moves the date on, and it is the same in every answer: it stays out of the files.
fn without_dates(output: &[u8]) -> Vec<u8> {
    const NAME: &[u8] = b"date: ";
    const LEN: usize = "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n".len();
    let mut rest = output;
    let mut kept = Vec::new();
    while let Some(at) = rest.windows(NAME.len()).position(|window| window == NAME) {
        kept.extend_from_slice(&rest[..at]);
        rest = &rest[(at + LEN).min(rest.len())..];
    }
    kept.extend_from_slice(rest);
    kept
}
