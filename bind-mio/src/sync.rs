//! What a mailbox is built on: the standard library's and crossbeam's, or loom's, which tries every interleaving.

#[cfg(not(loom))]
pub(crate) use crossbeam_queue::SegQueue;
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering, fence};

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering, fence};

/// Stands in for the lock-free one, which is its own library's to prove.
#[cfg(loom)]
#[derive(Debug)]
pub(crate) struct SegQueue<T>(loom::sync::Mutex<std::collections::VecDeque<T>>);

#[cfg(loom)]
impl<T> SegQueue<T> {
    pub(crate) fn new() -> Self {
        Self(loom::sync::Mutex::new(std::collections::VecDeque::new()))
    }
    pub(crate) fn push(&self, item: T) {
        self.items().push_back(item);
    }
    pub(crate) fn pop(&self) -> Option<T> {
        self.items().pop_front()
    }
    pub(crate) fn len(&self) -> usize {
        self.items().len()
    }
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
    fn items(&self) -> loom::sync::MutexGuard<'_, std::collections::VecDeque<T>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
