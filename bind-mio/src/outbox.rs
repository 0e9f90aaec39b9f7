//! What a loop hands over to its workers: no more than there is room for, and all of it at once.
//!
//! ```text
//!              has room                         send
//!   connection ────────► put ─► put ─► put ──────────────► ring ─► workers
//!        └── has none: it waits in the loop, which is stalled until a worker is back
//! ```

use std::sync::Arc;

use anabranch_std::host::Ring;

use crate::workers::Work;

/// A loop's side of the ring that its workers take from. Nobody else puts in.
#[derive(Debug)]
pub(crate) struct Outbox {
    ring: Arc<Ring<Work>>,
    works: Vec<Work>,
    /// So many more may certainly be put in: by then there may be room for others, and never for fewer.
    room: usize,
    /// There is no room, and none of the workers has come back since.
    stalled: bool,
}

/// How many connections may wait for a worker.
pub(crate) const WAITING: usize = if cfg!(test) { 4 } else { 1024 };

impl Outbox {
    /// For the workers that take from `ring`.
    pub(crate) const fn new(ring: Arc<Ring<Work>>) -> Self {
        Self { ring, works: Vec::new(), room: 0, stalled: false }
    }

    /// A ring for a loop and its workers. It has twice the room that is used: so the loop never waits for a worker that lost
    /// its processor while it took out what was there before.
    pub(crate) fn ring() -> Arc<Ring<Work>> {
        Arc::new(Ring::new(2 * WAITING))
    }

    /// Whether another may be put in. If not, the workers are behind, and it stays so until one of them is back.
    pub(crate) fn has_room(&mut self) -> bool {
        if self.room == 0 && !self.stalled {
            self.room = WAITING.saturating_sub(self.ring.len() + self.works.len());
            self.stalled = self.room == 0;
        }
        self.room > 0
    }

    /// Whether nothing can be put in before one of the workers is back.
    pub(crate) const fn is_stalled(&self) -> bool {
        self.stalled
    }

    /// One of the workers is back.
    pub(crate) const fn hear_back(&mut self) {
        self.stalled = false;
    }

    /// Puts `work` in, for which there [is room](Self::has_room).
    pub(crate) fn put(&mut self, work: Work) {
        self.room = self.room.saturating_sub(1);
        self.works.push(work);
    }

    /// Hands over what was put in, and wakes somebody for it. What is left found no room after all: the workers are gone.
    pub(crate) fn send(&mut self) -> Vec<Work> {
        self.ring.push_all(&mut self.works);
        if self.works.is_empty() {
            return Vec::new();
        }
        self.stalled = true;
        std::mem::take(&mut self.works)
    }
}
