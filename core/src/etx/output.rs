//! Answers on their way out: offered in place or taken as owned chunks, and owed until they were reported written.

use std::io::IoSlice;

use bytes::{Bytes, BytesMut};

use crate::time::Instant;

#[derive(Debug)]
pub(super) struct Output {
    /// Not yet written, nor taken.
    bytes: BytesMut,
    /// Taken by the driver and not yet reported.
    taken: usize,
    /// When the peer last took something, or the oldest byte was put here.
    moved: Instant,
}

impl Output {
    pub(super) fn new(now: Instant) -> Self {
        Self { bytes: BytesMut::new(), taken: 0, moved: now }
    }

    pub(super) fn push(&mut self, answer: &[u8], now: Instant) {
        if self.owed() == 0 {
            self.moved = now;
        }
        self.bytes.extend_from_slice(answer);
    }

    pub(super) fn take(&mut self, max: usize, out: &mut Vec<Bytes>) {
        let count = self.bytes.len().min(max);
        if count > 0 {
            out.push(self.bytes.split_to(count).freeze());
            self.taken += count;
        }
    }

    pub(super) fn wrote(&mut self, count: usize, now: Instant) {
        debug_assert!(count <= self.owed(), "a driver reports no more than it was offered");
        let from_taken = count.min(self.taken);
        self.taken -= from_taken;
        let in_place = (count - from_taken).min(self.bytes.len());
        // What the split leaves is the same bytes, so what is still offered stays as it was.
        let _ = self.bytes.split_to(in_place);
        if self.bytes.is_empty() {
            self.bytes = BytesMut::new();
        }
        if count > 0 {
            self.moved = now;
        }
    }

    pub(super) fn clear(&mut self) {
        self.bytes = BytesMut::new();
        self.taken = 0;
    }

    /// Bytes to offer.
    pub(super) fn is_offering(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// Bytes not yet reported written.
    pub(super) fn owed(&self) -> usize {
        self.bytes.len() + self.taken
    }

    pub(super) const fn moved(&self) -> Instant {
        self.moved
    }

    pub(super) fn slices<'a>(&'a self, out: &mut [IoSlice<'a>]) -> usize {
        match out.first_mut() {
            Some(slot) if !self.bytes.is_empty() => {
                *slot = IoSlice::new(&self.bytes);
                1
            }
            _ => 0,
        }
    }
}
