//! However what a peer sends is cut into reads, and what it is sent into writes, the conversation is the same.

use std::time::Duration;

use anabranch_core::testing::Rig;
use anabranch_core::{CloseReason, Flow, Protocol, ReadOperation};

use crate::application::{Echo, Width, limited};

/// The first byte says how reads are cut and how narrow the limits of heads are, the second how writes are cut and how
/// narrow the limits of bodies and answers are: the two highest bits are the [`Width`], the others the cut. The rest is what
/// the peer sends before it shuts its half down.
pub fn check(data: &[u8]) {
    let [read, write, sent @ ..] = data else { return };
    let protocol = |echo| limited(echo, Width::chosen_by(*read), Width::chosen_by(*write));
    let (read, write) = (cut(*read), cut(*write));
    let whole = converse(&protocol(Echo::Whole), sent, usize::MAX, usize::MAX);
    let cut = converse(&protocol(Echo::Whole), sent, read, write);
    assert_eq!(
        (String::from_utf8_lossy(&cut.0), cut.1),
        (String::from_utf8_lossy(&whole.0), whole.1),
        "cut into reads of {read} and writes of {write}, left; whole, right"
    );
    let _ = converse(&protocol(Echo::Streamed), sent, read, write);
}

/// The six lower bits, at least one byte.
fn cut(byte: u8) -> usize {
    usize::from(byte & 0x3f).max(1)
}

/// Plays a whole conversation, with every job run and all time passed that it asks for.
pub fn converse(
    protocol: &impl Protocol,
    sent: &[u8],
    read: usize,
    write: usize,
) -> (Vec<u8>, Option<CloseReason>) {
    let mut rig = Rig::connect(protocol);
    rig.feed(sent, read);
    let mut received = Vec::new();
    let mut ended = false;
    for _ in 0..100_000 {
        if rig.is_finished() {
            return (received, rig.close_reason());
        }
        let written = rig.write_at_most(write);
        // A run for no job would look once more at what has just come to rest.
        let moved = !written.is_empty() | (!rig.jobs().is_empty() && rig.run_jobs() > 0);
        received.extend(written);
        if moved || rig.is_finished() {
            continue;
        }
        if !ended && rig.unread() == 0 && rig.next_read_operation() == ReadOperation::Read {
            ended = true;
            rig.eof();
        } else {
            advance(&mut rig);
        }
    }
    panic!("the conversation does not end: it waits on {}", rig.waiting_on());
}

/// Lets the time pass until the next deadline.
fn advance<F: Flow>(rig: &mut Rig<F>) {
    let until = rig.deadline().map_or(Duration::from_secs(1), |deadline| deadline.at - rig.now());
    rig.advance(until);
}
