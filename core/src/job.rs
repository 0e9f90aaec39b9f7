//! Work for another thread, and the slot through which its result comes back.
//!
//! ```text
//!   job(lane, work) ──► Job ─── run ───────────► result ─┐
//!                        │ ├─── refuse ───────► Refused ─┤──► slot ──► wakes the flow ──► Pending::poll
//!                        │ └─── drop, panic ──► Lost ────┘
//!   Pending dropped ─────┘ the work is told (Cancelled); a late result vanishes
//! ```
//!
//! No routing: the result lands in the slot wherever the job ran, and the flow that waits is woken. A job can stream:
//! what it sends through other channels (a body) is its own affair.

use core::fmt;
use core::task::{Poll, Waker};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};

use crate::sync::{AtomicBool, Mutex, MutexGuard, Ordering};

/// The name of a group of threads that run jobs behind one bounded queue: a slow path kept apart from the others.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Lane(pub &'static str);

impl Lane {
    /// The lane every binding has, whatever else is configured.
    pub const DEFAULT: Self = Self("default");
}

impl Default for Lane {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Makes `work` into a job for `lane`, and the handle under which its result is awaited.
///
/// ```
/// use anabranch_core::job::{Lane, job};
/// use core::task::{Poll, Waker};
///
/// let (job, mut pending) = job(Lane::DEFAULT, |_cancelled| 6 * 7);
/// assert!(pending.poll(Waker::noop()).is_pending());
/// job.run();
/// assert_eq!(pending.poll(Waker::noop()), Poll::Ready(Ok(42)));
/// ```
pub fn job<T: Send + 'static>(
    lane: Lane,
    work: impl FnOnce(&Cancelled) -> T + Send + 'static,
) -> (Job, Pending<T>) {
    job_with(lane, move |completion: Completion<T>| {
        if completion.is_cancelled() {
            return;
        }
        let result = work(&completion.cancelled());
        completion.complete(result);
    })
}

/// As [`job`], for work that gives its result before it is through: it completes when it likes and goes on.
///
/// A `completion` that is dropped without a result, by a panic too, counts as lost.
pub fn job_with<T: Send + 'static>(
    lane: Lane,
    work: impl FnOnce(Completion<T>) + Send + 'static,
) -> (Job, Pending<T>) {
    let cell = Arc::new(Cell { slot: Slot::new(), work: Mutex::new(Some(work)) });
    (Job { lane, work: Some(cell.clone()) }, Pending { place: cell })
}

/// A slot by itself, for work that is no job: one end completes it, the other waits.
pub fn slot<T: Send + 'static>() -> (Completion<T>, Pending<T>) {
    let place = Arc::new(Slot::new());
    (Completion { place: place.clone(), done: false }, Pending { place })
}

/// Work to be run once, on a thread of its lane.
#[must_use = "a job that is dropped counts as lost"]
pub struct Job {
    lane: Lane,
    /// Until it is run or refused.
    work: Option<Arc<dyn Work>>,
}

impl Job {
    /// The lane it belongs on.
    #[must_use]
    pub const fn lane(&self) -> Lane {
        self.lane
    }

    /// Runs the work here, and wakes the flow that waits for it. A panic in the work ends here: the flow learns that the
    /// job was lost.
    pub fn run(mut self) {
        if let Some(work) = self.work.take() {
            work.run();
        }
    }

    /// Says that the lane is full or gone. The flow learns it and tells its peer (in HTTP: 503 with `Retry-After`).
    pub fn refuse(mut self) {
        if let Some(work) = self.work.take() {
            work.end(JobError::Refused);
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            work.end(JobError::Lost);
        }
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("lane", &self.lane).finish_non_exhaustive()
    }
}

/// Tells work on another thread that nobody waits for its result any more.
#[derive(Clone)]
pub struct Cancelled {
    flag: Arc<dyn Flag>,
}

impl Cancelled {
    /// Whether the connection or the exchange that asked for the work is gone. Long work looks now and then.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.flag.is_set()
    }
}

impl fmt::Debug for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cancelled").field(&self.is_cancelled()).finish()
    }
}

/// Why a job has no result.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// Its lane had no room.
    #[error("the job's lane is full")]
    Refused,
    /// It panicked, or was dropped unrun.
    #[error("the job panicked or was dropped")]
    Lost,
}

/// The waiting end of a job. Dropping it cancels the job.
#[must_use = "dropping this cancels the job"]
pub struct Pending<T> {
    place: Arc<dyn Place<T>>,
}

impl<T> Pending<T> {
    /// The result, once; until then `waker` is kept and woken when it is there. Polled again after that, it says `Lost`.
    pub fn poll(&mut self, waker: &Waker) -> Poll<Result<T, JobError>> {
        let mut state = self.place.slot().lock();
        match &mut *state {
            State::Waiting(Some(kept)) if kept.will_wake(waker) => Poll::Pending,
            State::Waiting(kept) => {
                *kept = Some(waker.clone());
                Poll::Pending
            }
            State::Done(result) => Poll::Ready(result.take().unwrap_or(Err(JobError::Lost))),
        }
    }
}

impl<T> Drop for Pending<T> {
    fn drop(&mut self) {
        let slot = self.place.slot();
        slot.cancelled.store(true, Ordering::Release);
        // A result that came too late is dropped here and not with the job's thread.
        let late = core::mem::replace(&mut *slot.lock(), State::Waiting(None));
        drop(late);
    }
}

impl<T> fmt::Debug for Pending<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").finish_non_exhaustive()
    }
}

/// A job's work, and the slot of its result: one allocation for both threads.
struct Cell<T, W> {
    slot: Slot<T>,
    /// Until it is run or refused.
    work: Mutex<Option<W>>,
}

impl<T, W> Cell<T, W> {
    fn take_work(&self) -> Option<W> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Work whose kind of result nobody has to know: how a [`Job`] has it.
trait Work: Send + Sync {
    fn run(self: Arc<Self>);

    /// It will not be run.
    fn end(&self, error: JobError);
}

impl<T: Send + 'static, W: FnOnce(Completion<T>) + Send + 'static> Work for Cell<T, W> {
    fn run(self: Arc<Self>) {
        if let Some(work) = self.take_work() {
            let completion = Completion { place: self, done: false };
            // The work is consumed, panicked or not, and what it captured with it: nothing half-done is seen again.
            let _ = catch_unwind(AssertUnwindSafe(|| work(completion)));
        }
    }

    fn end(&self, error: JobError) {
        let captured = self.take_work();
        self.slot.finish(Err(error));
        drop(captured);
    }
}

/// Where a result is left, whatever is beside it.
trait Place<T>: Flag {
    fn slot(&self) -> &Slot<T>;
}

impl<T: Send> Place<T> for Slot<T> {
    fn slot(&self) -> &Self {
        self
    }
}

impl<T: Send, W: Send> Place<T> for Cell<T, W> {
    fn slot(&self) -> &Slot<T> {
        &self.slot
    }
}

struct Slot<T> {
    state: Mutex<State<T>>,
    cancelled: AtomicBool,
}

enum State<T> {
    Waiting(Option<Waker>),
    Done(Option<Result<T, JobError>>),
}

impl<T> Slot<T> {
    fn new() -> Self {
        Self { state: Mutex::new(State::Waiting(None)), cancelled: AtomicBool::new(false) }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // No code of anyone else's runs under this lock, so a poisoned one still holds a whole state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

trait Flag: Send + Sync {
    fn is_set(&self) -> bool;
}

impl<T: Send> Flag for Slot<T> {
    fn is_set(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }
}

impl<T: Send, W: Send> Flag for Cell<T, W> {
    fn is_set(&self) -> bool {
        self.slot.is_set()
    }
}

/// The completing end of a slot. Dropping it without a result counts as [`JobError::Lost`].
#[must_use = "dropping this loses the job"]
pub struct Completion<T: Send + 'static> {
    place: Arc<dyn Place<T>>,
    done: bool,
}

impl<T: Send + 'static> Completion<T> {
    /// Gives the result, and wakes whoever waits for it. A result nobody waits for any more vanishes.
    pub fn complete(self, result: T) {
        self.finish(Ok(result));
    }

    /// Whether nobody waits for the result any more.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.place.is_set()
    }

    /// The same question, to be asked by others.
    #[must_use]
    pub fn cancelled(&self) -> Cancelled {
        Cancelled { flag: self.place.clone() }
    }

    fn finish(mut self, result: Result<T, JobError>) {
        self.done = true;
        self.place.slot().finish(result);
    }
}

impl<T: Send + 'static> Drop for Completion<T> {
    fn drop(&mut self) {
        if !self.done {
            self.place.slot().finish(Err(JobError::Lost));
        }
    }
}

impl<T: Send + 'static> fmt::Debug for Completion<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completion").finish_non_exhaustive()
    }
}

impl<T> Slot<T> {
    fn finish(&self, result: Result<T, JobError>) {
        let waker = {
            let mut state = self.lock();
            if self.cancelled.load(Ordering::Acquire) {
                return;
            }
            match core::mem::replace(&mut *state, State::Done(Some(result))) {
                State::Waiting(waker) => waker,
                State::Done(_) => None,
            }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn pending_job<T: Send + 'static>(
        work: impl FnOnce(&Cancelled) -> T + Send + 'static,
    ) -> (Job, Pending<T>, Arc<Count>) {
        let (job, mut pending) = job(Lane::DEFAULT, work);
        let count = Arc::new(Count::default());
        assert!(pending.poll(&Waker::from(count.clone())).is_pending());
        (job, pending, count)
    }

    #[test]
    fn result_wakes_once_and_is_given_once() {
        let (job, mut pending, count) = pending_job(|_| 5);
        job.run();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert_eq!(pending.poll(Waker::noop()), Poll::Ready(Ok(5)));
        assert_eq!(pending.poll(Waker::noop()), Poll::Ready(Err(JobError::Lost)));
    }

    #[test]
    fn refused_dropped_and_panicked_jobs_are_told_apart_from_results() {
        let (job, mut pending, count) = pending_job(|_| ());
        job.refuse();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert_eq!(pending.poll(Waker::noop()), Poll::Ready(Err(JobError::Refused)));

        let (job, mut pending, count) = pending_job(|_| ());
        drop(job);
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert_eq!(pending.poll(Waker::noop()), Poll::Ready(Err(JobError::Lost)));

        let (job, mut pending, count) = pending_job(|_| panic!("the work fails"));
        job.run();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert_eq!(pending.poll(Waker::noop()), Poll::Ready(Err(JobError::Lost)));
    }

    #[test]
    fn what_a_job_captured_goes_with_it_and_not_with_who_waits() {
        let ends: [fn(Job); 3] = [Job::run, Job::refuse, drop];
        for end in ends {
            let captured = Arc::new(());
            let (job, pending, _) = pending_job({
                let captured = captured.clone();
                move |_| drop(captured)
            });
            assert_eq!(Arc::strong_count(&captured), 2);
            end(job);
            assert_eq!(Arc::strong_count(&captured), 1);
            drop(pending);
        }
    }

    #[test]
    fn job_nobody_waits_for_is_not_run() {
        let ran = Arc::new(AtomicBool::new(false));
        let (job, pending, count) = pending_job({
            let ran = ran.clone();
            move |_| ran.store(true, Ordering::Relaxed)
        });
        drop(pending);
        job.run();
        assert!(!ran.load(Ordering::Relaxed));
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn running_work_sees_its_cancellation() {
        let keep: Arc<Mutex<Option<Pending<bool>>>> = Arc::default();
        let (job, pending, _) = pending_job({
            let keep = keep.clone();
            move |cancelled| {
                assert!(!cancelled.is_cancelled());
                drop(keep.lock().unwrap().take());
                assert!(cancelled.is_cancelled());
                true
            }
        });
        *keep.lock().unwrap() = Some(pending);
        job.run();
    }
}
