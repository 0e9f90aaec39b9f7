//! A waker that counts.

use core::task::Waker;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

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

#[derive(Debug, Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
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
        self.count.0.load(Ordering::SeqCst)
    }
}
