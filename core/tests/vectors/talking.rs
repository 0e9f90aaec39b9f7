//! A conversation with the whole flow, and what it sends.

use std::time::Duration;

use anabranch_core::app::{Http, MemoryBudget};
use anabranch_core::testing::{ManualClock, Rig};
use anabranch_core::{ConnectionId, ConnectionInfo, Flow, Protocol, ReadOperation, WriteOperation};

use super::application::Application;
use super::text;
use super::vector::{Server, Step};

/// What was sent, the date left out, and how it ended.
pub(crate) fn talk(server: &Server, steps: &[Step], max_write: usize) -> (Vec<u8>, Option<String>) {
    let mut rig = connect(server);
    let mut output = Vec::new();
    let mut max_taken = max_write;
    take(&mut rig, max_taken, &mut output);
    for step in steps {
        match step {
            Step::Bytes(bytes) => rig.feed(bytes, usize::MAX),
            Step::Eof => rig.eof(),
            Step::Wait(duration) => pass(&mut rig, *duration, max_taken, &mut output),
            Step::StopTaking => max_taken = 0,
            Step::TakeAgain => max_taken = max_write,
            Step::RunJobs => drop(rig.run_jobs()),
            Step::Drain => rig.drain(),
        }
        take(&mut rig, max_taken, &mut output);
    }
    let lingers = matches!(rig.next_write_operation(), WriteOperation::Close(_))
        && rig.next_read_operation() == ReadOperation::Read;
    if lingers {
        // A peer that was told of the end closes its half.
        rig.eof();
        take(&mut rig, max_taken, &mut output);
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
fn pass(rig: &mut Rig<Box<dyn Flow>>, duration: Duration, max: usize, output: &mut Vec<u8>) {
    let until = rig.now() + duration;
    while let Some(due) = rig.deadline().filter(|due| due.at <= until && !rig.is_finished()) {
        rig.advance(due.at - rig.now());
        take(rig, max, output);
    }
    rig.advance(until - rig.now());
}

fn take(rig: &mut Rig<Box<dyn Flow>>, max: usize, output: &mut Vec<u8>) {
    while max > 0 && rig.next_write_operation() == WriteOperation::Write {
        output.extend(rig.write_at_most(max));
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
