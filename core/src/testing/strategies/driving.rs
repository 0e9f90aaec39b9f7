//! What a driver may do: how it cuts, and in which order it calls.

use core::ops::Range;
use core::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;

use crate::flow::InputEnd;
use crate::testing::{Cuts, Pace, Step, Take};

/// How a conversation is cut: reads and writes of any size, taken at once or late, by writes or as owned chunks.
pub fn cuts() -> impl Strategy<Value = Cuts> {
    let size = || prop_oneof![4 => 1..8_usize, 4 => 8..100_usize, 1 => Just(usize::MAX)];
    let take = (size(), any::<bool>())
        .prop_map(|(size, owned)| if owned { Take::Owned(size) } else { Take::Write(size) });
    let pace = prop_oneof![3 => Just(Pace::AtOnce), 1 => Just(Pace::Late)];
    (prop::collection::vec(size(), 0..6), prop::collection::vec(take, 0..4), pace)
        .prop_map(|(reads, writes, pace)| Cuts { reads, writes, pace })
}

/// What may happen to a connection, in any order: `count` steps, among which the peer sends `input` in pieces.
///
/// Time passes by up to 20 seconds a step: the default deadlines of a head, a body, a write and a linger all come within
/// a few of them.
pub fn steps(
    input: impl Strategy<Value = Vec<u8>> + 'static,
    count: Range<usize>,
) -> impl Strategy<Value = Vec<Step>> {
    let end = select(&[InputEnd::Eof, InputEnd::Reset, InputEnd::TlsTruncated, InputEnd::Error][..]);
    let step = prop_oneof![
        12 => (input, 1..100_usize).prop_map(|(bytes, cut)| Step::Feed(bytes, cut)),
        8 => (1..400_usize).prop_map(Step::Write),
        4 => (1..400_usize).prop_map(Step::Take),
        6 => (1..400_usize).prop_map(Step::Report),
        4 => (0..20_000_u64).prop_map(|millis| Step::Advance(Duration::from_millis(millis))),
        2 => Just(Step::Timeout),
        2 => Just(Step::Run),
        4 => Just(Step::RunJobs),
        1 => Just(Step::LoseJobs),
        1 => Just(Step::Drain),
        1 => end.prop_map(Step::End),
        1 => Just(Step::WriteClosed),
        1 => Just(Step::Abort),
    ];
    prop::collection::vec(step, count)
}
