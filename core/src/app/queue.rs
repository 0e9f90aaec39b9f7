//! Data that waits in a pipe, held in proportion to its bytes however small the pieces are that it comes in.
//!
//! ```text
//!   push ──► │ piece │ block: small pieces joined │ piece │ ──► pop
//! ```
//!
//! A piece has a cost of its own: a place in the queue and an allocation. A peer that sends a body in chunks of one byte
//! would make that a hundred times what its limit says, so small pieces that follow one another are joined.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::memory::{Charge, MemoryBudget};

/// Pieces smaller than this are joined with their neighbours.
const SMALL_BYTES: usize = 512;

/// The allocation that small pieces are joined in.
const BLOCK_BYTES: usize = 1024;

/// Pieces in order.
///
/// The first has a place of its own: where the reader keeps up, which is the common case, nothing is allocated to queue it.
#[derive(Default)]
pub(crate) struct Queue {
    first: Option<Piece>,
    rest: VecDeque<Piece>,
    bytes: usize,
}

struct Piece {
    data: Data,
    /// What it holds of the process's budget, once it is detached.
    charge: Option<Charge>,
}

enum Data {
    /// As it came.
    Whole(Bytes),
    /// Small pieces, and room for more of them.
    Block(BytesMut),
}

impl Queue {
    /// Appends `data`.
    pub(crate) fn push(&mut self, data: Bytes) {
        self.bytes += data.len();
        if data.len() < SMALL_BYTES
            && let Some(last) = self.rest.back_mut().or(self.first.as_mut())
            && last.join(&data)
        {
            return;
        }
        let piece = Piece { data: Data::Whole(data), charge: None };
        if self.is_empty() {
            self.first = Some(piece);
        } else {
            self.rest.push_back(piece);
        }
    }

    /// Takes up to `max` bytes, at least one, from the front.
    pub(crate) fn pop(&mut self, max: usize) -> Option<Bytes> {
        let mut piece = self.first.take().or_else(|| self.rest.pop_front())?;
        let data = match piece.data {
            Data::Whole(ref mut data) if data.len() > max => {
                let part = data.split_to(max.max(1));
                self.first = Some(piece);
                part
            }
            Data::Block(ref mut block) if block.len() > max => {
                let part = block.split_to(max.max(1)).freeze();
                self.first = Some(piece);
                part
            }
            Data::Whole(data) => data,
            Data::Block(block) => block.freeze(),
        };
        self.bytes -= data.len();
        Some(data)
    }

    /// Copies what came into allocations of its own size, so that no read buffer is held by it, and takes that from the
    /// budget; says whether there was room for it.
    pub(crate) fn detach(&mut self, memory: &MemoryBudget) -> bool {
        let mut pieces = self.first.iter_mut().chain(&mut self.rest);
        pieces.all(|piece| piece.charge.is_some() || piece.detach(memory))
    }

    /// Bytes of data.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none() && self.rest.is_empty()
    }

    /// Allocations that hold the data.
    #[cfg(test)]
    fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.len()
    }
}

impl Piece {
    /// Takes `data` in, if both are small enough.
    fn join(&mut self, data: &[u8]) -> bool {
        match &mut self.data {
            Data::Block(block) => {
                let fits = block.len() + data.len() <= block.capacity();
                if fits {
                    block.extend_from_slice(data);
                }
                fits
            }
            Data::Whole(first) if first.len() < SMALL_BYTES => {
                let mut block = BytesMut::with_capacity(BLOCK_BYTES);
                block.extend_from_slice(first);
                block.extend_from_slice(data);
                // The charge was for the first piece's own allocation; the block's is taken when it is detached.
                *self = Self { data: Data::Block(block), charge: None };
                true
            }
            Data::Whole(_) => false,
        }
    }

    fn detach(&mut self, memory: &MemoryBudget) -> bool {
        self.charge = match &mut self.data {
            Data::Block(block) => memory.charge(block.capacity()),
            Data::Whole(data) => {
                let charge = memory.charge(data.len());
                if charge.is_some() {
                    *data = Bytes::copy_from_slice(data);
                }
                charge
            }
        };
        self.charge.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn order_is_kept_and_bytes_are_counted(
            steps in prop::collection::vec((any::<u8>(), prop_oneof![1..40_usize, 500..1100_usize], 0..4_u8), 0..80),
        ) {
            let memory = MemoryBudget::new(1 << 20);
            let (mut queue, mut expected, mut popped) = (Queue::default(), Vec::new(), Vec::new());
            for (byte, len, step) in steps {
                let data = vec![byte; len];
                expected.extend_from_slice(&data);
                queue.push(Bytes::from(data));
                match step {
                    0 => popped.extend(queue.pop(usize::MAX).unwrap()),
                    1 if !queue.is_empty() => popped.extend(queue.pop(len).unwrap()),
                    2 => prop_assert!(queue.detach(&memory)),
                    _ => {}
                }
                prop_assert_eq!(queue.bytes(), expected.len() - popped.len());
            }
            while let Some(data) = queue.pop(usize::MAX) {
                popped.extend(data);
            }
            prop_assert!(queue.is_empty());
            prop_assert_eq!(memory.held(), 0);
            prop_assert_eq!(popped, expected);
        }
    }

    #[test]
    fn single_bytes_cost_little_more_than_a_byte_each() {
        let memory = MemoryBudget::new(1 << 20);
        let mut queue = Queue::default();
        for _ in 0..65_536 {
            queue.push(Bytes::from_static(b"x"));
            assert!(queue.detach(&memory));
        }
        assert_eq!((queue.bytes(), queue.len()), (65_536, 64));
        assert!(memory.held() <= 65_536, "{}", memory.held());
    }

    #[test]
    fn data_that_fills_its_allocation_is_passed_on_as_it_came() {
        let mut queue = Queue::default();
        let data = Bytes::from(vec![7; SMALL_BYTES]);
        queue.push(data.clone());
        queue.push(data.clone());
        assert_eq!(queue.pop(usize::MAX).unwrap().as_ptr(), data.as_ptr());
    }
}
