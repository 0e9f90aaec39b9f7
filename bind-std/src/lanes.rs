//! The slow paths: named groups of threads that run jobs, each behind a bounded queue.
//!
//! ```text
//!   exec(job) ── lane by name, else default ──► ring (bounded) ──►  threads, started as there is work
//!        └────── full, or no thread to be had, or closed: the job comes back, and is refused
//! ```

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anabranch_core::{Job, Lane};

use crate::config::LaneConfig;
use crate::crew::Crew;
use crate::host::Ring;

/// The lanes of a server.
#[derive(Debug)]
pub(crate) struct Lanes {
    lanes: Vec<Arc<OneLane>>,
    crew: Arc<Crew>,
}

#[derive(Debug)]
struct OneLane {
    lane: Lane,
    max_threads: usize,
    /// Jobs queued or running, at most: one for each thread, and those that wait for one.
    max_load: usize,
    threads: AtomicUsize,
    starting: Mutex<()>,
    /// Jobs queued or running.
    load: AtomicUsize,
    ring: Ring<Job>,
    closed: AtomicBool,
}

impl Lanes {
    /// `configured`, and the default lane if it is not among them. The first one configured counts for each name.
    pub(crate) fn new(configured: &[LaneConfig], crew: Arc<Crew>) -> Self {
        let mut lanes: Vec<Arc<OneLane>> = Vec::with_capacity(configured.len() + 1);
        for config in configured.iter().copied().chain([LaneConfig::default()]) {
            if lanes.iter().all(|lane| lane.lane != config.lane) {
                lanes.push(Arc::new(OneLane::new(config)));
            }
        }
        Self { lanes, crew }
    }

    /// Hands `job` to its lane, or gives it back when there is no room.
    pub(crate) fn exec(&self, job: Job) -> Result<(), Job> {
        let lane = self.put_in_lane(job)?;
        lane.ring.call();
        Ok(())
    }

    /// As [`exec`](Self::exec), but wakes nobody: [`call`](Self::call) is to follow.
    pub(crate) fn put(&self, job: Job) -> Result<(), Job> {
        self.put_in_lane(job).map(drop)
    }

    /// Sees to it that somebody comes for what was put in.
    pub(crate) fn call(&self) {
        self.lanes.iter().filter(|lane| !lane.ring.is_empty()).for_each(|lane| lane.ring.call());
    }

    fn put_in_lane(&self, job: Job) -> Result<&OneLane, Job> {
        let named = |name| self.lanes.iter().find(|lane| lane.lane == name);
        let Some(lane) = named(job.lane()).or_else(|| named(Lane::DEFAULT)) else { return Err(job) };
        let load = lane.load.fetch_add(1, Ordering::AcqRel) + 1;
        let lacks_thread = lane.threads.load(Ordering::Acquire) < load.min(lane.max_threads);
        if load > lane.max_load || (lacks_thread && !self.start_thread(lane)) {
            lane.load.fetch_sub(1, Ordering::AcqRel);
            return Err(job);
        }
        lane.ring.put(job).map(|()| &**lane).inspect_err(|_| {
            lane.load.fetch_sub(1, Ordering::AcqRel);
        })
    }

    /// Nothing more is run: what is queued is dropped, and counts as lost with those who wait for it.
    pub(crate) fn close(&self) {
        for lane in &self.lanes {
            lane.closed.store(true, Ordering::Release);
            lane.ring.close();
        }
    }

    /// Starts one more thread, unless others did so meanwhile. False when the lane has none at all.
    fn start_thread(&self, lane: &Arc<OneLane>) -> bool {
        // One at a time: nobody is to count on a thread that cannot be had. Nothing is held that could be left half done.
        let _starting = lane.starting.lock().unwrap_or_else(PoisonError::into_inner);
        let threads = lane.threads.load(Ordering::Acquire);
        if threads >= lane.max_threads {
            return true;
        }
        let work = {
            let lane = lane.clone();
            move || lane.work()
        };
        if self.crew.spawn(lane.lane, work).is_err() {
            return threads > 0;
        }
        lane.threads.store(threads + 1, Ordering::Release);
        true
    }
}

impl OneLane {
    fn new(config: LaneConfig) -> Self {
        let max_threads = config.threads.max(1);
        // What a thread is about to take is in the ring as well, and waits for nobody.
        let max_load = max_threads.saturating_add(config.queue.max(1));
        Self {
            lane: config.lane,
            max_threads,
            max_load,
            threads: AtomicUsize::new(0),
            starting: Mutex::new(()),
            load: AtomicUsize::new(0),
            ring: Ring::new(max_load),
            closed: AtomicBool::new(false),
        }
    }

    fn work(&self) {
        let mut taker = self.ring.taker();
        while let Some(job) = taker.take() {
            if !self.closed.load(Ordering::Acquire) {
                // The work's own panics end within the job. What is left is what the work gave back being dropped: not
                // a reason for a lane to lose a thread.
                let _ = catch_unwind(AssertUnwindSafe(|| job.run()));
            }
            self.load.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anabranch_core::job::{JobError, Pending, job};
    use std::sync::mpsc;
    use std::task::{Poll, Waker};
    use std::thread;
    use std::time::{Duration, Instant};

    fn lanes(configured: &[LaneConfig]) -> Lanes {
        Lanes::new(configured, Arc::new(Crew::new("lane", 128 * 1024)))
    }

    fn result<T>(pending: &mut Pending<T>) -> Result<T, JobError> {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            if let Poll::Ready(result) = pending.poll(Waker::noop()) {
                return result;
            }
            assert!(Instant::now() < until, "the job has no end");
            thread::yield_now();
        }
    }

    #[test]
    fn unknown_lane_is_the_default_one_and_threads_start_with_work() {
        let lanes = lanes(&[]);
        assert_eq!(lanes.lanes[0].threads.load(Ordering::SeqCst), 0);
        let (job, mut pending) = job(Lane("nowhere"), |_| thread::current().name().map(str::to_owned));
        lanes.exec(job).unwrap();
        assert_eq!(result(&mut pending).unwrap().as_deref(), Some("lane-default"));
        assert_eq!(lanes.lanes[0].threads.load(Ordering::SeqCst), 1);
        lanes.close();
        assert_eq!(lanes.crew.wait(Duration::from_secs(10)), 0);
    }

    #[test]
    fn full_lane_gives_the_job_back_at_once_and_others_go_on() {
        let lanes = lanes(&[LaneConfig::new(Lane("narrow"), 1, 1)]);
        let (started, has_started) = mpsc::channel();
        let (release, held) = mpsc::channel::<()>();
        let (running, mut running_pending) = job(Lane("narrow"), move |_| {
            started.send(()).unwrap();
            let _ = held.recv();
            1
        });
        lanes.exec(running).unwrap();
        has_started.recv().unwrap();
        let (queued, mut queued_pending) = job(Lane("narrow"), |_| 2);
        lanes.exec(queued).unwrap();
        let (refused, _pending) = job(Lane("narrow"), |_| 3);
        assert!(lanes.exec(refused).is_err());
        let (elsewhere, mut elsewhere_pending) = job(Lane::DEFAULT, |_| 4);
        lanes.exec(elsewhere).unwrap();
        assert_eq!(result(&mut elsewhere_pending), Ok(4));
        drop(release);
        assert_eq!(result(&mut running_pending), Ok(1));
        assert_eq!(result(&mut queued_pending), Ok(2));
        lanes.close();
        assert_eq!(lanes.crew.wait(Duration::from_secs(10)), 0);
    }

    #[test]
    fn job_is_not_refused_while_a_thread_is_idle() {
        const THREADS: usize = 8;
        let lanes = lanes(&[LaneConfig::new(Lane::DEFAULT, THREADS, 1)]);
        let all_run = Arc::new(std::sync::Barrier::new(THREADS + 1));
        for burst in 0..100 {
            let mut pendings: Vec<_> = (0..THREADS)
                .map(|_| {
                    let all_run = all_run.clone();
                    let (job, pending) = job(Lane::DEFAULT, move |_| {
                        all_run.wait();
                        all_run.wait();
                    });
                    assert!(lanes.put(job).is_ok(), "burst {burst}");
                    pending
                })
                .collect();
            lanes.call();
            all_run.wait();
            let (queued, mut queued_pending) = job(Lane::DEFAULT, |_| ());
            lanes.exec(queued).unwrap();
            let (refused, _pending) = job(Lane::DEFAULT, |_| ());
            assert!(lanes.exec(refused).is_err(), "one waits, all threads are busy");
            all_run.wait();
            for pending in pendings.iter_mut().chain([&mut queued_pending]) {
                assert_eq!(result(pending), Ok(()));
            }
            while lanes.lanes[0].load.load(Ordering::SeqCst) > 0 {
                thread::yield_now();
            }
        }
        lanes.close();
        assert_eq!(lanes.crew.wait(Duration::from_secs(10)), 0);
    }

    #[test]
    fn job_is_refused_where_no_thread_can_be_had_whoever_else_tries() {
        const NO_SUCH_STACK: usize = 1 << 46;
        for _ in 0..200 {
            let lanes = Lanes::new(&[], Arc::new(Crew::new("lane", NO_SUCH_STACK)));
            let together = std::sync::Barrier::new(4);
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        let (job, _pending) = job(Lane::DEFAULT, |_| ());
                        together.wait();
                        assert!(lanes.exec(job).is_err(), "nobody comes for it");
                    });
                }
            });
        }
    }

    #[test]
    fn closed_lane_loses_what_is_queued_and_takes_nothing_more() {
        let lanes = lanes(&[LaneConfig::new(Lane::DEFAULT, 1, 8)]);
        let (started, has_started) = mpsc::channel();
        let (release, held) = mpsc::channel::<()>();
        let (running, mut running_pending) = job(Lane::DEFAULT, move |_| {
            started.send(()).unwrap();
            let _ = held.recv();
        });
        lanes.exec(running).unwrap();
        has_started.recv().unwrap();
        let (queued, mut queued_pending) = job(Lane::DEFAULT, |_| ());
        lanes.exec(queued).unwrap();
        lanes.close();
        drop(release);
        assert_eq!(result(&mut running_pending), Ok(()));
        assert_eq!(result(&mut queued_pending), Err(JobError::Lost));
        let (late, _pending) = job(Lane::DEFAULT, |_| ());
        assert!(lanes.exec(late).is_err());
        assert_eq!(lanes.crew.wait(Duration::from_secs(10)), 0);
    }

    #[test]
    fn two_jobs_at_once_have_two_threads() {
        let lanes = lanes(&[LaneConfig::new(Lane::DEFAULT, 2, 8)]);
        let barrier = Arc::new(std::sync::Barrier::new(2));
        let mut pendings: Vec<_> = (0..2)
            .map(|_| {
                let barrier = barrier.clone();
                let (job, pending) = job(Lane::DEFAULT, move |_| {
                    barrier.wait();
                });
                lanes.exec(job).unwrap();
                pending
            })
            .collect();
        for pending in &mut pendings {
            assert_eq!(result(pending), Ok(()));
        }
        lanes.close();
        assert_eq!(lanes.crew.wait(Duration::from_secs(10)), 0);
    }
}
