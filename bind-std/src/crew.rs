//! All threads of a server, so that none is left behind.
//!
//! A thread that ends joins the one that ended before it, and leaves its own handle for the next: no list of ended
//! threads grows, and none is ended without having been joined. The last is joined by whoever waits for them all.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The threads that run, and the one that ended last.
#[derive(Debug)]
pub(crate) struct Crew {
    name: String,
    stack_bytes: usize,
    state: Mutex<State>,
    left: Condvar,
}

#[derive(Debug, Default)]
struct State {
    running: HashMap<u64, JoinHandle<()>>,
    ended: Option<JoinHandle<()>>,
    last_number: u64,
}

impl Crew {
    /// A crew whose threads' names begin with `name`, each with so much stack.
    pub(crate) fn new(name: &str, stack_bytes: usize) -> Self {
        Self { name: name.to_owned(), stack_bytes, state: Mutex::default(), left: Condvar::new() }
    }

    /// What a thread in that role is called.
    pub(crate) fn thread_name(&self, role: impl fmt::Display) -> String {
        format!("{}-{role}", self.name)
    }

    /// Starts a thread.
    ///
    /// # Errors
    /// When the system gives none: `work` is then dropped.
    pub(crate) fn spawn(
        self: &Arc<Self>,
        role: impl fmt::Display,
        work: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        // Held until the handle is entered: a thread that ends at once waits for that to take it out again.
        let mut state = self.lock();
        state.last_number += 1;
        let number = state.last_number;
        let builder = thread::Builder::new().name(self.thread_name(role)).stack_size(self.stack_bytes);
        let crew = self.clone();
        let handle = builder.spawn(move || {
            // Made here and not before: a thread that cannot be started was never a member, and the lock is held.
            let _member = Member { crew, number };
            work();
        });
        state.running.insert(number, handle?);
        Ok(())
    }

    /// Waits for all threads to end, `at_most` so long; says how many still run.
    pub(crate) fn wait(&self, at_most: Duration) -> usize {
        let until = Instant::now().checked_add(at_most);
        let mut state = self.lock();
        while !state.running.is_empty() {
            let left = until
                .map_or(Duration::from_secs(3600), |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return state.running.len();
            }
            state = self.left.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let ended = state.ended.take();
        drop(state);
        join(ended);
        0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Held by a thread while it works.
#[derive(Debug)]
struct Member {
    crew: Arc<Crew>,
    number: u64,
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut state = self.crew.lock();
        // Entered before the lock was first released.
        let own = state.running.remove(&self.number);
        let before = std::mem::replace(&mut state.ended, own);
        let is_last = state.running.is_empty();
        drop(state);
        join(before);
        if is_last {
            self.crew.left.notify_all();
        }
    }
}

/// It is at its end already, or waits there for the one that ended before it.
fn join(thread: Option<JoinHandle<()>>) {
    if let Some(thread) = thread {
        // Its panic, if it had one, was reported by the panic hook.
        let _ = thread.join();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn all_threads_are_waited_for_and_joined() {
        let crew = Arc::new(Crew::new("test", 64 * 1024));
        let count = Arc::new(AtomicUsize::new(0));
        for _ in 0..50 {
            let count = count.clone();
            let work = move || {
                count.fetch_add(1, Ordering::SeqCst);
            };
            crew.spawn("t", work).unwrap();
        }
        assert_eq!(crew.wait(Duration::from_secs(10)), 0);
        assert_eq!(count.load(Ordering::SeqCst), 50);
        assert_eq!(Arc::strong_count(&crew), 1);
    }

    #[test]
    fn thread_that_does_not_end_is_counted_and_not_waited_for() {
        let crew = Arc::new(Crew::new("test", 64 * 1024));
        let (release, held) = std::sync::mpsc::channel::<()>();
        let work = move || {
            let _ = held.recv();
        };
        crew.spawn("t", work).unwrap();
        assert_eq!(crew.wait(Duration::from_millis(10)), 1);
        drop(release);
        assert_eq!(crew.wait(Duration::from_secs(10)), 0);
    }
}
