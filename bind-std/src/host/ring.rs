//! A bounded ring of work between threads, which wakes for a batch and not for each item.
//!
//! ```text
//!   push ─► ring ─► will those who are awake soon be through with it? ─ no ─► is anybody being woken? ─ no ─► wake one
//!             │         ▲                                │ yes                                             │
//!             │         └───────── is there more? ◄──────┼────────── take ◄────────────────────────────────┘
//!             │                                          ▼
//!             └──── one of those asleep looks, every now and then, whether that came true ◄─ the watch
//! ```
//!
//! Waking a thread that sleeps costs more than most work does, to the one that wakes it too. So nobody is woken for what
//! those who are awake will be through with before a wake would pay: judged by how long items took so far. And of those who
//! wait at most one is being woken at any time: it wakes the next itself if it leaves something behind. A thread that is
//! awake comes by for more before it sleeps, and is never woken.
//!
//! # No work is left lying
//!
//! What is pushed is in the ring before `call` asks whether anybody sleeps; whoever goes to sleep says so before it looks
//! into the ring for the last time. Of the two, one sees the other. A push that finds somebody being woken already leaves
//! it at that: whoever is woken says that it came before it looks into the ring.
//!
//! What is left to those who are awake is somebody's to watch: see [`trust`].

mod trust;

use std::fmt;
use std::time::{Duration, Instant};

use self::trust::Trust;
use crate::sync::{
    ArrayQueue, AtomicBool, AtomicUsize, Condvar, Mutex, MutexGuard, Ordering, PoisonError, fence,
};

/// A bounded queue that many threads push to and many take from.
pub struct Ring<T> {
    queue: ArrayQueue<T>,
    /// How many threads take from it, and how many of them are asleep or about to be.
    takers: AtomicUsize,
    sleepers: AtomicUsize,
    /// One of them is being woken and has not come yet. Exchanged and never just stored: all agree on the order of exchanges.
    waking: AtomicBool,
    /// Items taken so far, as the watch compares it.
    taken: AtomicUsize,
    trust: Trust,
    closed: AtomicBool,
    bed: Mutex<()>,
    bell: Condvar,
}

/// How often the watch looks.
const WATCH: Duration = Duration::from_millis(1);

/// A thread that takes from a ring. What passes between two of its takes is how long an item took.
pub struct Taker<'a, T> {
    ring: &'a Ring<T>,
    began: Option<Instant>,
}

impl<T> Ring<T> {
    /// Room for so many; at least one.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            queue: ArrayQueue::new(capacity.max(1)),
            takers: AtomicUsize::new(0),
            sleepers: AtomicUsize::new(0),
            waking: AtomicBool::new(false),
            taken: AtomicUsize::new(0),
            trust: Trust::new(),
            closed: AtomicBool::new(false),
            bed: Mutex::new(()),
            bell: Condvar::new(),
        }
    }

    /// The same, where each item is known to take that long, and a sleeper to be relied on: for loom, which knows no time.
    #[cfg(loom)]
    #[must_use]
    pub fn of_items_taking(each: Duration, capacity: usize) -> Self {
        Self { trust: Trust::in_items_taking(each), ..Self::new(capacity) }
    }

    /// Puts `item` in, and sees to it that somebody comes for it. Never waits.
    ///
    /// # Errors
    /// The item, when there is no room, or the ring is closed.
    pub fn push(&self, item: T) -> Result<(), T> {
        self.put(item)?;
        self.call();
        Ok(())
    }

    /// Puts `item` in and wakes nobody: whoever has put in all that it has for now is to [`call`](Self::call).
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn put(&self, item: T) -> Result<(), T> {
        if self.closed.load(Ordering::Acquire) {
            return Err(item);
        }
        self.queue.push(item)
    }

    /// Puts in as many of `items` as there is room for, from the front, and wakes somebody for all of them at once; those
    /// that are left found no room.
    pub fn push_all(&self, items: &mut Vec<T>) {
        if items.is_empty() {
            return;
        }
        let mut left = Vec::new();
        let mut waiting = items.drain(..);
        for item in waiting.by_ref() {
            if let Err(item) = self.put(item) {
                left.push(item);
                break;
            }
        }
        left.extend(waiting);
        items.append(&mut left);
        self.call();
    }

    /// Takes from the ring on this thread, from now on.
    pub fn taker(&self) -> Taker<'_, T> {
        self.takers.fetch_add(1, Ordering::Relaxed);
        Taker { ring: self, began: None }
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

    /// Sees to it that somebody comes for what is in the ring.
    pub fn call(&self) {
        fence(Ordering::SeqCst);
        let asleep = self.sleepers.load(Ordering::Relaxed);
        let waiting = self.queue.len();
        if asleep == 0 || waiting == 0 || self.trust.suffices(waiting, self.awake(asleep)) {
            return;
        }
        if self.waking.swap(true, Ordering::SeqCst) {
            return;
        }
        let bed = self.lock();
        if self.sleepers.load(Ordering::Relaxed) == 0 {
            // They came by themselves, and look before they sleep again.
            self.waking.swap(false, Ordering::SeqCst);
            return;
        }
        drop(bed);
        self.bell.notify_one();
    }

    fn try_take(&self) -> Option<T> {
        let item = self.queue.pop()?;
        self.taken.fetch_add(1, Ordering::Relaxed);
        if !self.queue.is_empty() {
            self.call();
        }
        Some(item)
    }

    /// How many are not asleep, where so many are.
    fn awake(&self, asleep: usize) -> usize {
        self.takers.load(Ordering::Relaxed).saturating_sub(asleep)
    }

    fn sleep(&self) {
        let mut bed = self.lock();
        let asleep = self.sleepers.fetch_add(1, Ordering::SeqCst) + 1;
        fence(Ordering::SeqCst);
        if self.queue.is_empty() && !self.closed.load(Ordering::SeqCst) {
            if self.awake(asleep) == 0 {
                self.trust.forget_stuck();
            }
            bed = if self.trust.takes_watch() { self.watch(bed) } else { self.rest(bed) };
        }
        // Both within the lock, where `call` looks: a sleeper that it counts is asleep.
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
        self.waking.swap(false, Ordering::SeqCst);
        drop(bed);
        // Said before the ring is looked into again.
        fence(Ordering::SeqCst);
    }

    fn rest<'a>(&self, bed: MutexGuard<'a, ()>) -> MutexGuard<'a, ()> {
        self.bell.wait(bed).unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps on watch, until it is woken or steps in; once nobody relies on it any more it just sleeps.
    fn watch<'a>(&'a self, mut bed: MutexGuard<'a, ()>) -> MutexGuard<'a, ()> {
        loop {
            let before = self.taken.load(Ordering::Relaxed);
            let is_tick;
            (bed, is_tick) = self.bell.wait_for(&self.bed, bed, WATCH);
            let lies = !self.queue.is_empty();
            // What was sent while it was not asleep, but here, reached nobody.
            let is_called = self.waking.load(Ordering::SeqCst) || self.closed.load(Ordering::SeqCst);
            if !is_tick || is_called {
                self.trust.leave_watch();
                return bed;
            }
            if lies && self.taken.load(Ordering::Relaxed) == before {
                self.trust.found_stuck(self.awake(self.sleepers.load(Ordering::Relaxed)));
                self.trust.leave_watch();
                return bed;
            }
            if !lies && self.trust.stands_down() {
                return if self.queue.is_empty() { self.rest(bed) } else { bed };
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        // Nothing happens under this lock that could panic.
        self.bed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Taker<'_, T> {
    /// The next item, waited for. `None` once the ring is closed and empty.
    pub fn take(&mut self) -> Option<T> {
        let mut now = Instant::now();
        if let Some(began) = self.began.take() {
            self.ring.trust.learn(began, now);
        }
        loop {
            if let Some(item) = self.ring.try_take() {
                self.began = Some(now);
                return Some(item);
            }
            if self.ring.closed.load(Ordering::Acquire) {
                // What was pushed before it was closed.
                return self.ring.try_take();
            }
            self.ring.sleep();
            now = Instant::now();
        }
    }
}

impl<T> Drop for Taker<'_, T> {
    fn drop(&mut self) {
        self.ring.takers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<T> fmt::Debug for Taker<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ring.fmt(f)
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
        let mut taker = ring.taker();
        assert_eq!((taker.take(), taker.take(), taker.take()), (Some(1), Some(2), None));
    }

    #[test]
    fn batch_wakes_one_after_another_as_many_as_there_is_work_for() {
        use std::sync::Barrier;
        use std::sync::mpsc::channel;

        let ring = Arc::new(Ring::<Arc<Barrier>>::new(8));
        let (met, has_met) = channel();
        let takers: Vec<_> = (0..3)
            .map(|_| {
                let (ring, met) = (ring.clone(), met.clone());
                thread::spawn(move || {
                    let mut taker = ring.taker();
                    while let Some(barrier) = taker.take() {
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

    /// Three threads: quick items first, so that more of the same would be left to whoever is awake; then three that each
    /// need the other two to be taken.
    #[test]
    fn watch_steps_in_where_an_item_takes_longer_than_those_before_it() {
        use std::sync::Barrier;
        use std::sync::mpsc::channel;

        let ring = Arc::new(Ring::<Option<Arc<Barrier>>>::new(8));
        let (done, is_done) = channel();
        let takers: Vec<_> = (0..3)
            .map(|_| {
                let (ring, done) = (ring.clone(), done.clone());
                thread::spawn(move || {
                    let mut taker = ring.taker();
                    while let Some(item) = taker.take() {
                        if let Some(barrier) = item {
                            barrier.wait();
                        }
                        done.send(()).unwrap();
                    }
                })
            })
            .collect();
        let finished = |items| {
            for _ in 0..items {
                is_done
                    .recv_timeout(Duration::from_secs(10))
                    .expect("work was left lying while a thread slept");
            }
        };
        for _ in 0..20 {
            for _ in 0..100 {
                ring.push(None).unwrap();
                finished(1);
            }
            let barrier = Arc::new(Barrier::new(3));
            ring.push_all(&mut (0..3).map(|_| Some(barrier.clone())).collect());
            finished(3);
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
                    let mut taker = ring.taker();
                    while let Some(count) = taker.take() {
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
