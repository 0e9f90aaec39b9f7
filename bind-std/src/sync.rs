//! What crosses threads is built on these: the standard library's, or loom's, which tries every interleaving.

#[cfg(not(loom))]
pub(crate) use crossbeam_queue::ArrayQueue;
#[cfg(not(loom))]
pub(crate) use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence},
};

#[cfg(loom)]
pub(crate) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence},
};
#[cfg(loom)]
pub(crate) use std::sync::PoisonError;

/// The standard library's, with a wait that says plainly how it ended.
#[cfg(not(loom))]
#[derive(Debug)]
pub(crate) struct Condvar(std::sync::Condvar);

#[cfg(not(loom))]
impl Condvar {
    pub(crate) const fn new() -> Self {
        Self(std::sync::Condvar::new())
    }
    pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> std::sync::LockResult<MutexGuard<'a, T>> {
        self.0.wait(guard)
    }
    /// Waits for that long at most, holding `of` before and after; says whether it was that long.
    pub(crate) fn wait_for<'a, T>(
        &self,
        _of: &'a Mutex<T>,
        guard: MutexGuard<'a, T>,
        most: std::time::Duration,
    ) -> (MutexGuard<'a, T>, bool) {
        let (guard, result) = self.0.wait_timeout(guard, most).unwrap_or_else(PoisonError::into_inner);
        (guard, result.timed_out())
    }
    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }
    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// Wakes all for one: loom goes on counting a thread that woke by itself among those that wait, and would wake that one. All
/// that wait here are alike, and look again whoever woke them.
#[cfg(loom)]
#[derive(Debug)]
pub(crate) struct Condvar(loom::sync::Condvar);

#[cfg(loom)]
impl Condvar {
    pub(crate) fn new() -> Self {
        Self(loom::sync::Condvar::new())
    }
    pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> std::sync::LockResult<MutexGuard<'a, T>> {
        self.0.wait(guard)
    }
    /// Loom knows no time: it has always been that long, as soon as others had their turn.
    pub(crate) fn wait_for<'a, T>(
        &self,
        of: &'a Mutex<T>,
        guard: MutexGuard<'a, T>,
        _: std::time::Duration,
    ) -> (MutexGuard<'a, T>, bool) {
        drop(guard);
        loom::thread::yield_now();
        (of.lock().unwrap_or_else(PoisonError::into_inner), true)
    }
    pub(crate) fn notify_one(&self) {
        self.0.notify_all();
    }
    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// Stands in for the lock-free one, which is its own library's to prove.
#[cfg(loom)]
#[derive(Debug)]
pub(crate) struct ArrayQueue<T> {
    items: Mutex<std::collections::VecDeque<T>>,
    capacity: usize,
}

#[cfg(loom)]
impl<T> ArrayQueue<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { items: Mutex::new(std::collections::VecDeque::new()), capacity }
    }
    pub(crate) fn push(&self, item: T) -> Result<(), T> {
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        if items.len() == self.capacity {
            return Err(item);
        }
        items.push_back(item);
        Ok(())
    }
    pub(crate) fn pop(&self) -> Option<T> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
    pub(crate) fn len(&self) -> usize {
        self.items.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
