//! A lane without threads: jobs wait until they are run by hand.

use std::collections::VecDeque;

use crate::job::Job;

/// Jobs that wait until they are run by hand. One queue for all lanes.
#[derive(Debug)]
pub struct ManualJobs {
    queue: VecDeque<Job>,
    capacity: usize,
}

impl ManualJobs {
    /// At most `capacity` jobs wait; whoever brings one more gets it back. Zero takes none.
    #[must_use]
    pub const fn with_capacity(capacity: usize) -> Self {
        Self { queue: VecDeque::new(), capacity }
    }

    /// Queues `job`.
    ///
    /// # Errors
    /// Gives it back when there is no room.
    pub fn exec(&mut self, job: Job) -> Result<(), Job> {
        if self.queue.len() >= self.capacity {
            return Err(job);
        }
        self.queue.push_back(job);
        Ok(())
    }

    /// Changes how many may wait; those that wait stay.
    pub const fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity;
    }

    /// The oldest job, to be run, refused or dropped.
    pub fn take(&mut self) -> Option<Job> {
        self.queue.pop_front()
    }

    /// Runs the jobs that wait, and says how many that were.
    pub fn run_all(&mut self) -> usize {
        let jobs = core::mem::take(&mut self.queue);
        let count = jobs.len();
        jobs.into_iter().for_each(Job::run);
        count
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

impl Default for ManualJobs {
    /// Room for any number.
    fn default() -> Self {
        Self::with_capacity(usize::MAX)
    }
}
