//! What may happen to a connection, a step at a time and in any order.

use core::time::Duration;

use super::rig::Rig;
use crate::flow::{AbortReason, Flow, InputEnd, WriteOperation, WriteResult};

/// What may happen to a connection. What a driver or a peer could not do where it stands does nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// The peer sends these bytes, so many a read. Nothing after its end.
    Feed(Vec<u8>, usize),
    /// A write takes at most so many bytes. Nothing while owned chunks are unreported.
    Write(usize),
    /// At most so many bytes are taken as owned chunks.
    Take(usize),
    /// At most so many of the bytes taken as owned chunks are reported as written.
    Report(usize),
    /// Time passes, and each deadline fires at its very instant.
    Advance(Duration),
    /// The driver says that time has come, due or not.
    Timeout,
    /// The application is looked at, for no reason.
    Run,
    /// The jobs that wait are run.
    RunJobs,
    /// The jobs that wait are lost.
    LoseJobs,
    /// The server drains.
    Drain,
    /// The peer's bytes end like this.
    End(InputEnd),
    /// The peer takes nothing more.
    WriteClosed,
    /// The connection is ended at once.
    Abort,
}

/// Takes steps, and remembers what a driver would.
pub(super) struct Steps<'a, F: Flow> {
    rig: &'a mut Rig<F>,
    /// Output that was taken and not reported.
    in_flight: usize,
}

impl<'a, F: Flow> Steps<'a, F> {
    pub(super) const fn new(rig: &'a mut Rig<F>) -> Self {
        Self { rig, in_flight: 0 }
    }

    #[track_caller]
    pub(super) fn take(&mut self, step: &Step) {
        let rig = &mut *self.rig;
        let writes = rig.next_write_operation() == WriteOperation::Write;
        match step {
            Step::Feed(bytes, cut) if !rig.input_ended() => rig.feed(bytes, (*cut).max(1)),
            Step::Write(max) if self.in_flight == 0 => drop(rig.write_at_most(*max)),
            Step::Take(max) if writes => {
                self.in_flight += rig.take_output(*max).iter().map(bytes::Bytes::len).sum::<usize>();
                rig.run();
            }
            Step::Report(max) => {
                let written = self.in_flight.min(*max);
                if written > 0 && !rig.is_finished() {
                    self.in_flight -= written;
                    rig.report_write_result(WriteResult::Wrote(written));
                }
            }
            Step::Advance(duration) => rig.advance(*duration),
            Step::Timeout => rig.handle_timeout(),
            Step::Run => rig.run(),
            Step::RunJobs => drop(rig.run_jobs()),
            Step::LoseJobs => rig.lose_jobs(),
            Step::Drain => rig.drain(),
            Step::End(end) if !rig.input_ended() => rig.close_input(*end),
            Step::WriteClosed if writes => rig.report_write_result(WriteResult::Closed),
            Step::Abort => rig.abort(AbortReason::Requested),
            Step::Feed(..) | Step::Write(_) | Step::Take(_) | Step::End(_) | Step::WriteClosed => {}
        }
    }

    /// What was taken went out after all.
    #[track_caller]
    pub(super) fn report_all(&mut self) {
        self.take(&Step::Report(usize::MAX));
    }
}
