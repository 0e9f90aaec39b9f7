//! A cap on the bytes a whole process holds for bodies, output and jobs: one shared counter, touched only when something
//! is held beyond the call that brought it.

use core::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A shared budget of bytes. Clones share it.
#[derive(Clone)]
pub struct MemoryBudget {
    ledger: Arc<Ledger>,
}

struct Ledger {
    limit: usize,
    held: AtomicUsize,
}

impl MemoryBudget {
    /// At most `limit` bytes at once.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { ledger: Arc::new(Ledger { limit, held: AtomicUsize::new(0) }) }
    }

    /// The limit, in bytes.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.ledger.limit
    }

    /// Bytes held now.
    #[must_use]
    pub fn held(&self) -> usize {
        self.ledger.held.load(Ordering::Relaxed)
    }

    /// Takes `bytes` from the budget until the charge is dropped; `None` when they are not there.
    #[must_use]
    pub fn charge(&self, bytes: usize) -> Option<Charge> {
        let mut charge = Charge { ledger: Arc::clone(&self.ledger), bytes: 0 };
        charge.grow(bytes).then_some(charge)
    }
}

impl Default for MemoryBudget {
    /// 1 GiB.
    fn default() -> Self {
        Self::new(1 << 30)
    }
}

impl fmt::Debug for MemoryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBudget").field("limit", &self.limit()).field("held", &self.held()).finish()
    }
}

/// Bytes taken from a [`MemoryBudget`]; given back when this is dropped.
pub struct Charge {
    ledger: Arc<Ledger>,
    bytes: usize,
}

impl Charge {
    /// Takes `more` bytes; says whether they were there. Nothing changes when they were not.
    #[must_use]
    pub fn grow(&mut self, more: usize) -> bool {
        let held = &self.ledger.held;
        let taken = held.try_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
            held.checked_add(more).filter(|sum| *sum <= self.ledger.limit)
        });
        if taken.is_ok() {
            self.bytes += more;
        }
        taken.is_ok()
    }

    /// Gives `fewer` bytes back.
    pub fn shrink(&mut self, fewer: usize) {
        let fewer = fewer.min(self.bytes);
        self.bytes -= fewer;
        self.ledger.held.fetch_sub(fewer, Ordering::Relaxed);
    }

    /// Bytes held by this charge.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.ledger.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl fmt::Debug for Charge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Charge").field(&self.bytes).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charges_stay_within_the_limit_and_come_back() {
        let budget = MemoryBudget::new(100);
        let mut first = budget.charge(60).unwrap();
        assert!(budget.charge(41).is_none());
        let second = budget.charge(40).unwrap();
        assert!(!first.grow(1));
        drop(second);
        assert!(first.grow(40));
        first.shrink(30);
        assert_eq!(budget.held(), 70);
        drop(first);
        assert_eq!(budget.held(), 0);
        assert!(budget.charge(usize::MAX).is_none());
    }
}
