//! A transport that makes trouble for tasks, and none that it may not make.

use core::task::{Context, Poll};
use std::io::{self, IoSlice};

use bytes::BytesMut;

use crate::drive::PollWire;
use crate::flow::CloseKind;

/// Carries what another wire does, a byte at a time: says `Pending` between any two, and wakes the task for nothing. From
/// the 2,048th byte of a direction on it is 2,048 at a time, so that long conversations come to an end.
///
/// Only what a task reads before a drain comes as it is (law 7): who asks there gets what has come.
///
/// ```
/// # use anabranch_core::drive::PollWire;
/// # use anabranch_core::testing::MeanWire;
/// fn make_trouble(wire: impl PollWire) -> impl PollWire {
///     MeanWire::new(wire)
/// }
/// ```
#[derive(Debug)]
pub struct MeanWire<W> {
    wire: W,
    reading: Trouble,
    writing: Trouble,
    /// As long as anything comes: the read before a drain.
    honest: bool,
}

/// One direction.
#[derive(Debug, Default)]
struct Trouble {
    /// The last call went through.
    next_balks: bool,
    moved: usize,
}

/// So many go by one by one, and then together.
const PIECE_BYTES: usize = 2048;

impl Trouble {
    /// Whether this call is one to say `Pending` to; every other is.
    fn balks(&mut self, context: &Context<'_>) -> bool {
        self.next_balks = !self.next_balks;
        if self.next_balks {
            context.waker().wake_by_ref();
        }
        self.next_balks
    }

    /// How many bytes may go by at once.
    const fn piece(&self) -> usize {
        if self.moved < PIECE_BYTES { 1 } else { PIECE_BYTES }
    }

    fn count(&mut self, moved: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(count)) = moved {
            self.moved += count;
        }
    }
}

impl<W> MeanWire<W> {
    /// Over `wire`.
    #[must_use]
    pub fn new(wire: W) -> Self {
        let (reading, writing) = (Trouble::default(), Trouble::default());
        Self { wire, reading, writing, honest: false }
    }
}

impl<W: PollWire> PollWire for MeanWire<W> {
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        into: &mut BytesMut,
        max: usize,
    ) -> Poll<io::Result<usize>> {
        let Self { wire, reading, honest, .. } = self;
        if !*honest && reading.balks(context) {
            return Poll::Pending;
        }
        let read = wire.poll_read(context, into, reading.piece().min(max));
        reading.count(&read);
        *honest &= read.is_ready();
        read
    }

    fn poll_write(&mut self, context: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let Self { wire, writing, .. } = self;
        if writing.balks(context) {
            return Poll::Pending;
        }
        let first = slices.iter().find(|slice| !slice.is_empty()).map_or(&[][..], |slice| slice);
        let piece = writing.piece().min(first.len());
        let wrote = wire.poll_write(context, &[IoSlice::new(&first[..piece])]);
        writing.count(&wrote);
        wrote
    }

    fn poll_write_last(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
        end: CloseKind,
    ) -> Poll<io::Result<usize>> {
        if slices.iter().map(|slice| slice.len()).sum::<usize>() > self.writing.piece() {
            return self.poll_write(context, slices);
        }
        if self.writing.balks(context) {
            return Poll::Pending;
        }
        let wrote = self.wire.poll_write_last(context, slices, end);
        self.writing.count(&wrote);
        wrote
    }

    fn poll_shutdown_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire.poll_shutdown_write(context)
    }

    fn reset(&mut self) -> io::Result<()> {
        self.wire.reset()
    }

    fn ask_again(&mut self) {
        self.honest = true;
        self.wire.ask_again();
    }

    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.wire.poll_gone(context)
    }
}
