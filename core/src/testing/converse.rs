//! One conversation, held in one way or in several, and what came of it.

use super::cuts::{Cuts, Pace, Take};
use super::rig::Rig;
use crate::flow::{CloseReason, DeadlineKind, Flow, ReadOperation, WriteOperation, WriteResult};

/// How the peer's bytes end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// The peer keeps its half open, and closes it when it has been told of the end.
    Open,
    /// It closes its half after its last byte.
    Eof,
}

/// What came of a conversation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transcript {
    /// Everything that was sent to the peer.
    pub output: Vec<u8>,
    /// Why it ended; `None` while the connection lives.
    pub closed: Option<CloseReason>,
    /// What the reading side wants at last.
    pub reading: ReadOperation,
}

/// Sends `input` to the flow in `rig`, cut like this, and takes what it answers. Jobs run in place. The application's time
/// ([`DeadlineKind::Application`]) passes at once; no other deadline comes.
///
/// For what is compared between two ways, see [`check_cuts`](super::check_cuts); this is one way, for tests that look at
/// the transcript themselves.
///
/// ```
/// use anabranch_core::app::{Http, service_fn};
/// use anabranch_core::testing::{Cuts, Ending, Rig, converse};
///
/// let http = Http::new(service_fn(|_, _| "hello"));
/// let transcript =
///     converse(&mut Rig::connect(&http), "GET / HTTP/1.1\r\nHost: a\r\n\r\n", Ending::Open, &Cuts::bytewise());
/// assert!(transcript.output.ends_with(b"\r\n\r\nhello"));
/// assert_eq!(transcript.closed, None);
/// ```
///
/// # Panics
/// When the flow breaks a law, or when the application's time goes on and on without the peer.
#[track_caller]
pub fn converse<F: Flow>(
    rig: &mut Rig<F>,
    input: impl AsRef<[u8]>,
    ending: Ending,
    cuts: &Cuts,
) -> Transcript {
    let (mut takes, mut output) = (cuts.takes(), Vec::new());
    for piece in cuts.pieces(input.as_ref()) {
        rig.feed(piece, usize::MAX);
        if cuts.pace == Pace::AtOnce {
            take_all(rig, &mut takes, &mut output);
        }
    }
    if ending == Ending::Eof {
        rig.eof();
    }
    take_all(rig, &mut takes, &mut output);
    see_end(rig, &mut takes, &mut output);
    Transcript { output, closed: rig.close_reason(), reading: rig.next_read_operation() }
}

/// A peer that was told of the end closes its half.
#[track_caller]
fn see_end<F: Flow>(rig: &mut Rig<F>, takes: &mut impl Iterator<Item = Take>, output: &mut Vec<u8>) {
    let lingers = matches!(rig.next_write_operation(), WriteOperation::Close(_))
        && rig.next_read_operation() == ReadOperation::Read;
    if lingers {
        rig.eof();
        take_all(rig, takes, output);
    }
}

/// Takes output, runs jobs and lets the application's time pass, until nothing moves.
#[track_caller]
pub(super) fn take_all<F: Flow>(
    rig: &mut Rig<F>,
    takes: &mut impl Iterator<Item = Take>,
    output: &mut Vec<u8>,
) {
    for _ in 0..MAX_WAITS {
        while rig.next_write_operation() == WriteOperation::Write {
            match takes.next() {
                Some(Take::Write(max)) => output.extend(rig.write_at_most(max.max(1))),
                Some(Take::Owned(max)) => {
                    let chunks = rig.take_output(max.max(1)).concat();
                    rig.run();
                    output.extend_from_slice(&chunks);
                    rig.report_write_result(WriteResult::Wrote(chunks.len()));
                }
                None => return,
            }
        }
        if rig.run_jobs() > 0 || rig.next_write_operation() == WriteOperation::Write {
            continue;
        }
        match rig.deadline() {
            Some(deadline) if deadline.kind == DeadlineKind::Application => {
                rig.advance(deadline.at - rig.now());
            }
            _ => return,
        }
    }
    panic!("the application's time goes on without the peer: {rig:?}");
}

/// Jobs and application deadlines that come after one read, at most.
const MAX_WAITS: usize = 10_000;
