//! A conversation with the whole flow, and what it sends.

use std::time::Duration;

use anabranch_core::app::{Http, MemoryBudget};
use anabranch_core::testing::{ManualClock, Rig, Take};
use anabranch_core::{
    ConnectionId, ConnectionInfo, Flow, Protocol, ReadOperation, WriteOperation, WriteResult,
};

use super::application::Application;
use super::text;
use super::vector::{Server, Step};

/// What was sent, the date left out, and how it ended. Output is taken like this, in turn, and then as the last time.
pub(crate) fn talk(server: &Server, steps: &[Step], takes: &[Take]) -> (Vec<u8>, Option<String>) {
    let mut rig = connect(server);
    let mut output = Vec::new();
    let mut taking = Taking::new(takes);
    taking.take(&mut rig, &mut output);
    for step in steps {
        match step {
            Step::Bytes(bytes) => rig.feed(bytes, usize::MAX),
            Step::Eof => rig.eof(),
            Step::Wait(duration) => pass(&mut rig, *duration, &mut taking, &mut output),
            Step::StopTaking => taking.stopped = true,
            Step::TakeAgain => taking.stopped = false,
            Step::RunJobs => drop(rig.run_jobs()),
            Step::Drain => rig.drain(),
        }
        taking.take(&mut rig, &mut output);
    }
    let lingers = matches!(rig.next_write_operation(), WriteOperation::Close(_))
        && rig.next_read_operation() == ReadOperation::Read;
    if lingers {
        // A peer that was told of the end closes its half.
        rig.eof();
        taking.take(&mut rig, &mut output);
    }
    (
        without_dates(&output),
        rig.close_reason().map(|reason| text::closed(rig.next_write_operation(), reason)),
    )
}

fn connect(server: &Server) -> Rig<Box<dyn Flow>> {
    let http = Http::new(Application)
        .with_settings(server.settings.clone())
        .with_memory(MemoryBudget::new(server.memory_bytes));
    let clock = ManualClock::default();
    let info = ConnectionInfo::new(ConnectionId(1));
    let flow = if server.max_connections == 0 {
        http.refuse(info, clock.now()).expect("HTTP says that it is overloaded")
    } else {
        http.connect(info, clock.now())
    };
    let mut rig = Rig::with_clock(flow, clock);
    rig.jobs().set_capacity(server.lane_jobs);
    rig
}

/// Lets time pass; what is sent meanwhile is taken when it is sent.
fn pass(rig: &mut Rig<Box<dyn Flow>>, duration: Duration, taking: &mut Taking, output: &mut Vec<u8>) {
    let until = rig.now() + duration;
    while let Some(due) = rig.deadline().filter(|due| due.at <= until && !rig.is_finished()) {
        rig.advance(due.at - rig.now());
        taking.take(rig, output);
    }
    rig.advance(until - rig.now());
}

/// How the peer takes what is sent to it.
struct Taking {
    takes: Vec<Take>,
    next: usize,
    stopped: bool,
}

impl Taking {
    fn new(takes: &[Take]) -> Self {
        let takes = if takes.is_empty() { vec![Take::Write(usize::MAX)] } else { takes.to_vec() };
        Self { takes, next: 0, stopped: false }
    }

    fn take(&mut self, rig: &mut Rig<Box<dyn Flow>>, output: &mut Vec<u8>) {
        while !self.stopped && rig.next_write_operation() == WriteOperation::Write {
            let take = self.takes[self.next.min(self.takes.len() - 1)];
            self.next += 1;
            match take {
                Take::Write(max) => output.extend(rig.write_at_most(max)),
                Take::Owned(max) => {
                    let chunks = rig.take_output(max).concat();
                    rig.run();
                    rig.report_write_result(WriteResult::Wrote(chunks.len()));
                    output.extend(chunks);
                }
            }
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
