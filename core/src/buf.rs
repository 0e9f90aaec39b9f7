//! Bytes on their way out: small pieces gathered in one reused buffer, large ones passed on as they are.
//!
//! ```text
//!   buffer   ├─ head ─┼─ "5\r\n" ─┼─ CRLF head ─┤      appended to, sent in order
//!   inserts           ▲ body       ▲ body              Bytes that belong at an offset of the buffer, never copied
//! ```

use core::hint::cold_path;
use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Bytes, BytesMut};

/// A piece of at least this many bytes is passed on without being copied; a smaller one is cheaper to copy.
const INSERT_THRESHOLD: usize = 4096;

/// An empty buffer larger than this gives its memory back.
const KEPT_CAPACITY: usize = 16 * 1024;

/// The rest of an insert is copied when it is no more than this: while more waits, nothing joins it.
const COPIED_BYTES: usize = 24 * 1024;

/// What a buffer that is shrunk has room for, so that what trickles in does not make it grow at once.
const SPARE_BYTES: usize = 1024;

/// Output in order. Appending never moves what was offered by [`slices`](Self::slices) to another place in the order, and
/// nothing is taken from the front but by [`advance`](Self::advance) and [`take`](Self::take).
#[derive(Debug, Default)]
pub(crate) struct Output {
    buffer: Vec<u8>,
    /// How much of `buffer` has been sent.
    sent: usize,
    /// Each belongs after `buffer[..offset]`; offsets never fall.
    inserts: VecDeque<(usize, Bytes)>,
    inserted: usize,
    /// How much of the first insert has been sent. It stays allocated until all of it is.
    sent_of_first: usize,
    /// Some inserts are slices of a driver's read buffer.
    lent: bool,
}

impl Output {
    /// The buffer that small pieces are appended to.
    pub(crate) const fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Appends `data`: copied when small, passed on when large.
    #[inline]
    pub(crate) fn push(&mut self, data: Bytes) {
        if data.len() < INSERT_THRESHOLD {
            self.buffer.extend_from_slice(&data);
        } else {
            self.insert(data);
        }
    }

    fn insert(&mut self, data: Bytes) {
        self.inserted += data.len();
        self.inserts.push_back((self.buffer.len(), data));
    }

    /// As [`push`](Self::push), for data that holds on to a driver's read buffer.
    pub(crate) fn push_lent(&mut self, data: Bytes) {
        self.lent |= data.len() >= INSERT_THRESHOLD;
        self.push(data);
    }

    /// Lets go of read buffers: what could not be sent at once is copied, once.
    #[inline]
    pub(crate) fn detach(&mut self) {
        if self.lent {
            self.copy_lent();
        }
    }

    #[cold]
    #[inline(never)]
    fn copy_lent(&mut self) {
        self.lent = false;
        self.sent_of_first = 0;
        for (_, data) in &mut self.inserts {
            *data = Bytes::copy_from_slice(data);
        }
    }

    /// Gives back what is held of the first insert beyond what waits, unless too much waits of it to be copied.
    pub(crate) fn release_sent(&mut self) {
        if let Some((_, rest)) = self.inserts.front_mut()
            && self.sent_of_first >= INSERT_THRESHOLD
            && rest.len() <= COPIED_BYTES
        {
            *rest = Bytes::copy_from_slice(rest);
            self.sent_of_first = 0;
        }
    }

    /// Gives back what the buffer has room for beyond what waits.
    pub(crate) fn shrink(&mut self) {
        let waits = self.buffer.len() - self.sent;
        if self.buffer.capacity() - waits > 2 * SPARE_BYTES {
            self.compact();
            self.buffer.shrink_to(waits + SPARE_BYTES);
        }
    }

    /// Bytes not sent yet.
    #[inline]
    pub(crate) const fn len(&self) -> usize {
        self.buffer.len() - self.sent + self.inserted
    }

    /// Bytes not sent yet, and those sent of a piece that is not all sent.
    #[inline]
    pub(crate) const fn held(&self) -> usize {
        self.len() + self.sent_of_first
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `out` with what is to be sent, in order.
    #[inline]
    pub(crate) fn slices<'a>(&'a self, out: &mut [IoSlice<'a>]) -> usize {
        if self.inserts.is_empty() {
            let rest = &self.buffer[self.sent..];
            return match out.first_mut() {
                Some(slot) if !rest.is_empty() => {
                    *slot = IoSlice::new(rest);
                    1
                }
                _ => 0,
            };
        }
        self.slices_between(out)
    }

    fn slices_between<'a>(&'a self, out: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        let mut from = self.sent;
        for (offset, data) in &self.inserts {
            if from < *offset {
                if count == out.len() {
                    return count;
                }
                out[count] = IoSlice::new(&self.buffer[from..*offset]);
                count += 1;
                from = *offset;
            }
            if count == out.len() {
                return count;
            }
            out[count] = IoSlice::new(data);
            count += 1;
        }
        if from < self.buffer.len() && count < out.len() {
            out[count] = IoSlice::new(&self.buffer[from..]);
            count += 1;
        }
        count
    }

    /// `count` bytes were sent from the front.
    #[inline]
    pub(crate) fn advance(&mut self, count: usize) {
        // As a rule all of it was sent, and it was small.
        if self.inserts.is_empty()
            && self.sent + count == self.buffer.len()
            && self.buffer.capacity() <= KEPT_CAPACITY
        {
            self.buffer.clear();
            self.sent = 0;
        } else {
            cold_path();
            self.advance_within(count);
        }
    }

    fn advance_within(&mut self, count: usize) {
        self.pass(count);
        if self.is_empty() {
            self.clear();
        } else if self.sent >= KEPT_CAPACITY.max(self.buffer.len() / 2) {
            // Also between pieces that were passed on: of an answer that never stands still, their framing stays behind.
            self.compact();
        }
    }

    fn pass(&mut self, mut count: usize) {
        while let Some((offset, data)) = self.inserts.front_mut() {
            let before = *offset - self.sent;
            if count < before {
                self.sent += count;
                return;
            }
            self.sent = *offset;
            count -= before;
            if count < data.len() {
                bytes::Buf::advance(data, count);
                self.inserted -= count;
                self.sent_of_first += count;
                return;
            }
            count -= data.len();
            self.inserted -= data.len();
            self.sent_of_first = 0;
            self.inserts.pop_front();
        }
        debug_assert!(self.sent + count <= self.buffer.len(), "no more is sent than was offered");
        self.sent = (self.sent + count).min(self.buffer.len());
    }

    /// Moves up to `max` bytes from the front into owned chunks.
    pub(crate) fn take(&mut self, max: usize, out: &mut Vec<Bytes>) {
        let mut left = max.min(self.len());
        while left > 0 {
            let offset = self.inserts.front().map_or(self.buffer.len(), |(offset, _)| *offset);
            let chunk = if self.sent < offset {
                let count = left.min(offset - self.sent);
                if count == self.buffer.len() && self.inserts.is_empty() {
                    Bytes::from(core::mem::take(&mut self.buffer))
                } else {
                    Bytes::copy_from_slice(&self.buffer[self.sent..self.sent + count])
                }
            } else if let Some((_, data)) = self.inserts.front() {
                data.slice(..left.min(data.len()))
            } else {
                return;
            };
            left -= chunk.len();
            if !self.buffer.is_empty() || !self.inserts.is_empty() {
                self.advance(chunk.len());
            }
            out.push(chunk);
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.inserts.clear();
        self.inserted = 0;
        self.sent_of_first = 0;
        self.lent = false;
        self.sent = 0;
        if self.buffer.capacity() > KEPT_CAPACITY {
            self.buffer = Vec::new();
        } else {
            self.buffer.clear();
        }
    }

    /// Drops what was sent from the front of the buffer.
    fn compact(&mut self) {
        self.buffer.drain(..self.sent);
        for (offset, _) in &mut self.inserts {
            *offset -= self.sent;
        }
        self.sent = 0;
    }
}

/// Keeps what is left of a driver's buffer, in an allocation of its own size, and empties that buffer.
pub(crate) fn keep_tail(inbox: &mut BytesMut, input: &mut BytesMut) {
    if inbox.is_empty() {
        *inbox = BytesMut::from(&input[..]);
    } else {
        inbox.extend_from_slice(input);
    }
    input.clear();
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn offered(output: &Output) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 64];
        let count = output.slices(&mut slices);
        slices[..count].iter().flat_map(|slice| slice.to_vec()).collect()
    }

    proptest! {
        #[test]
        fn order_is_kept_however_it_is_sent(
            pieces in prop::collection::vec((any::<u8>(), prop_oneof![0..40_usize, 4000..9000_usize]), 0..12),
            cuts in prop::collection::vec((1..12_000_usize, any::<bool>()), 0..60),
        ) {
            let mut output = Output::default();
            let mut expected = Vec::new();
            let mut sent = Vec::new();
            let mut cuts = cuts.into_iter();
            for (byte, len) in pieces {
                let data = vec![byte; len];
                expected.extend_from_slice(&data);
                output.push(Bytes::from(data));
                if let Some((cut, owned)) = cuts.next() {
                    take_some(&mut output, cut, owned, &mut sent);
                }
            }
            while !output.is_empty() {
                let (cut, owned) = cuts.next().unwrap_or((5000, false));
                take_some(&mut output, cut, owned, &mut sent);
            }
            prop_assert_eq!(sent, expected);
        }
    }

    fn take_some(output: &mut Output, cut: usize, owned: bool, sent: &mut Vec<u8>) {
        let before = output.len();
        let count = cut.min(before);
        if owned {
            let mut chunks = Vec::new();
            output.take(cut, &mut chunks);
            let taken: Vec<u8> = chunks.concat();
            assert_eq!(taken.len(), count);
            sent.extend(taken);
        } else {
            let bytes = offered(output);
            assert_eq!(bytes.len(), before);
            sent.extend_from_slice(&bytes[..count]);
            output.advance(count);
        }
        assert_eq!(output.len(), before - count);
    }

    #[test]
    fn large_pieces_are_not_copied() {
        let mut output = Output::default();
        let data = Bytes::from(vec![7; INSERT_THRESHOLD]);
        output.buffer().extend_from_slice(b"head");
        output.push(data.clone());
        output.buffer().extend_from_slice(b"tail");
        let mut slices = [IoSlice::new(&[]); 4];
        assert_eq!(output.slices(&mut slices), 3);
        assert_eq!(slices[1].as_ptr(), data.as_ptr());
    }

    #[test]
    fn answer_that_is_never_all_out_leaves_nothing_behind() {
        let mut output = Output::default();
        let (mut expected, mut sent) = (Vec::new(), Vec::new());
        let mut more = |output: &mut Output, piece: u32| {
            let (size, data) = (format!("{piece:06x}\r\n"), vec![piece as u8; INSERT_THRESHOLD]);
            output.buffer().extend_from_slice(size.as_bytes());
            output.push(Bytes::from(data.clone()));
            expected.extend([size.into_bytes(), data].concat());
        };
        let count = 8 + INSERT_THRESHOLD;
        more(&mut output, 0);
        for piece in 1..10_000 {
            more(&mut output, piece);
            sent.extend_from_slice(&offered(&output)[..count]);
            output.advance(count);
            assert!(
                output.buffer.capacity() <= 4 * KEPT_CAPACITY,
                "{} after {piece}",
                output.buffer.capacity()
            );
        }
        sent.extend(offered(&output));
        assert!(sent == expected, "what is sent is what was pushed, in its order");
    }
}
