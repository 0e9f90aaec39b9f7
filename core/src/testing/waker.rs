//! A waker that counts.

use core::task::Waker;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;
use std::thread::{self, ThreadId};

/// A waker that counts how often it was woken.
///
/// ```
/// use anabranch_core::testing::CountingWaker;
///
/// let counting = CountingWaker::default();
/// counting.waker().wake();
/// assert_eq!(counting.wakes(), 1);
/// ```
#[derive(Clone, Debug, Default)]
pub struct CountingWaker {
    count: Arc<Count>,
}

#[derive(Debug)]
struct Count {
    all: AtomicUsize,
    /// Those of other threads than the one that made the waker.
    foreign: AtomicUsize,
    home: ThreadId,
}

impl Default for Count {
    fn default() -> Self {
        Self { all: AtomicUsize::new(0), foreign: AtomicUsize::new(0), home: this_thread() }
    }
}

#[expect(clippy::disallowed_methods, reason = "a test's own threads are told apart, and none is made")]
fn this_thread() -> ThreadId {
    thread::current().id()
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        if this_thread() != self.home {
            self.foreign.fetch_add(1, Ordering::SeqCst);
        }
        self.all.fetch_add(1, Ordering::SeqCst);
    }
}

impl CountingWaker {
    /// The waker that is counted.
    #[must_use]
    pub fn waker(&self) -> Waker {
        Waker::from(self.count.clone())
    }

    /// How often it was woken so far.
    #[must_use]
    pub fn wakes(&self) -> usize {
        self.count.all.load(Ordering::SeqCst)
    }

    /// How often by a thread other than the one that made it.
    #[must_use]
    pub fn foreign_wakes(&self) -> usize {
        self.count.foreign.load(Ordering::SeqCst)
    }
}
