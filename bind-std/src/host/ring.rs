//! A bounded ring of work between threads, which wakes for a batch and not for each item.
//!
//! ```text
//!   push ─► ring ─► is anybody asleep, and nobody being woken? ─ yes ─► wake one ──┐
//!             │                                                                    ▼
//!             └───────────────────────────────► take ─► is there more? ─ yes ─► wake the next
//! ```
//!
//! Waking a thread that sleeps costs more than most work does, to the one that wakes it too. So of those who wait at most
//! one is being woken at any time: it wakes the next itself if it leaves something behind. A thread that is awake comes
//! by for more before it sleeps, and is never woken.
//!
//! # No work is left lying
//!
//! What is pushed is in the ring before `push` asks whether anybody sleeps; whoever goes to sleep says so before it looks
//! into the ring for the last time. Of the two, one sees the other. A push that finds somebody being woken already leaves
//! it at that: whoever is woken says that it came before it looks into the ring.

use std::fmt;

use crate::sync::{
    ArrayQueue, AtomicBool, AtomicUsize, Condvar, Mutex, MutexGuard, Ordering, PoisonError, fence,
};

/// A bounded queue that many threads push to and many take from.
pub struct Ring<T> {
    queue: ArrayQueue<T>,
    /// How many threads are asleep or about to be.
    sleepers: AtomicUsize,
    /// One of them is being woken and has not come yet.
    waking: AtomicBool,
    closed: AtomicBool,
    bed: Mutex<()>,
    bell: Condvar,
}

impl<T> Ring<T> {
    /// Room for so many; at least one.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            queue: ArrayQueue::new(capacity.max(1)),
            sleepers: AtomicUsize::new(0),
            waking: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            bed: Mutex::new(()),
            bell: Condvar::new(),
        }
    }

    /// Puts `item` in, and sees to it that somebody comes for it. Never waits.
    ///
    /// # Errors
    /// The item, when there is no room, or the ring is closed.
    pub fn push(&self, item: T) -> Result<(), T> {
        if self.closed.load(Ordering::Acquire) {
            return Err(item);
        }
        self.queue.push(item)?;
        self.call();
        Ok(())
    }

    /// Puts in as many of `items` as there is room for, from the front, and wakes somebody for all of them at once; those
    /// that are left found no room.
    pub fn push_all(&self, items: &mut Vec<T>) {
        if items.is_empty() || self.closed.load(Ordering::Acquire) {
            return;
        }
        let mut left = None;
        let mut waiting = std::mem::take(items).into_iter();
        for item in waiting.by_ref() {
            if let Err(item) = self.queue.push(item) {
                left = Some(item);
                break;
            }
        }
        items.extend(left);
        items.extend(waiting);
        self.call();
    }

    /// The next item, waited for. `None` once the ring is closed and empty.
    pub fn take(&self) -> Option<T> {
        loop {
            if let Some(item) = self.try_take() {
                return Some(item);
            }
            if self.closed.load(Ordering::Acquire) {
                // What was pushed before it was closed.
                return self.try_take();
            }
            self.sleep();
        }
    }

    /// The next item, if there is one.
    pub fn try_take(&self) -> Option<T> {
        let item = self.queue.pop()?;
        if !self.queue.is_empty() {
            self.call();
        }
        Some(item)
    }

    /// How many items wait at the moment.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether none waits at the moment.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Nothing more is taken in; those who wait, and those who come, find what is left and then the end.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        // Under the lock: whoever is about to sleep either sees that it is closed, or is asleep by now.
        let _bed = self.lock();
        self.bell.notify_all();
    }

    /// Wakes somebody for what is in the ring, if anybody sleeps and nobody is being woken.
    fn call(&self) {
        fence(Ordering::SeqCst);
        if self.sleepers.load(Ordering::Relaxed) == 0 || self.waking.swap(true, Ordering::SeqCst) {
            return;
        }
        let bed = self.lock();
        if self.sleepers.load(Ordering::Relaxed) == 0 {
            // They came by themselves, and look before they sleep again.
            self.waking.store(false, Ordering::SeqCst);
            return;
        }
        drop(bed);
        self.bell.notify_one();
    }

    fn sleep(&self) {
        let mut bed = self.lock();
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if self.queue.is_empty() && !self.closed.load(Ordering::SeqCst) {
            bed = self.bell.wait(bed).unwrap_or_else(PoisonError::into_inner);
        }
        // Both within the lock, where `call` looks: a sleeper that it counts is asleep.
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
        self.waking.store(false, Ordering::SeqCst);
        drop(bed);
        // Said before the ring is looked into again.
        fence(Ordering::SeqCst);
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        // Nothing happens under this lock that could panic.
        self.bed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> fmt::Debug for Ring<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring").field("waiting", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;
    use std::thread;

    #[test]
    fn full_ring_gives_back_and_closed_ring_takes_nothing_and_ends() {
        let ring = Ring::new(2);
        assert_eq!((ring.push(1), ring.push(2), ring.push(3)), (Ok(()), Ok(()), Err(3)));
        ring.close();
        assert_eq!(ring.push(4), Err(4));
        assert_eq!((ring.take(), ring.take(), ring.take()), (Some(1), Some(2), None));
    }

    #[test]
    fn batch_wakes_one_after_another_as_many_as_there_is_work_for() {
        use std::sync::Barrier;
        use std::sync::mpsc::channel;
        use std::time::Duration;

        let ring = Arc::new(Ring::<Arc<Barrier>>::new(8));
        let (met, has_met) = channel();
        let takers: Vec<_> = (0..3)
            .map(|_| {
                let (ring, met) = (ring.clone(), met.clone());
                thread::spawn(move || {
                    while let Some(barrier) = ring.take() {
                        barrier.wait();
                        met.send(()).unwrap();
                    }
                })
            })
            .collect();
        while ring.sleepers.load(Ordering::SeqCst) < 3 {
            thread::yield_now();
        }
        // Each of them is through only once all three are at work.
        let barrier = Arc::new(Barrier::new(3));
        ring.push_all(&mut (0..3).map(|_| barrier.clone()).collect());
        for _ in 0..3 {
            has_met.recv_timeout(Duration::from_secs(10)).expect("work was left lying while a thread slept");
        }
        ring.close();
        takers.into_iter().for_each(|taker| taker.join().unwrap());
    }

    /// Items come one at a time and in batches, to more threads than there is work for; each is waited for before the
    /// next comes, so a lost wake stands still for ever (and the test's own time limit ends it).
    #[test]
    fn no_item_is_left_lying_under_stress() {
        const ROUNDS: u64 = 10_000;
        let ring = Arc::new(Ring::new(8));
        let done = Arc::new(AtomicU64::new(0));
        let takers: Vec<_> = (0..4)
            .map(|_| {
                let (ring, done) = (ring.clone(), done.clone());
                thread::spawn(move || {
                    while let Some(count) = ring.take() {
                        done.fetch_add(count, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        let mut pushed = 0;
        for round in 0..ROUNDS {
            for _ in 0..=round % 3 {
                ring.push(1).unwrap();
                pushed += 1;
            }
            while done.load(Ordering::SeqCst) < pushed {
                thread::yield_now();
            }
        }
        ring.close();
        takers.into_iter().for_each(|taker| taker.join().unwrap());
    }
}
