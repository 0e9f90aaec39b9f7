//! How a server is carried: its model, its lanes, and the sizes and times of its threads.

use std::fmt;
use std::num::NonZeroUsize;
use std::time::Duration;

use anabranch_core::Lane;
use anabranch_core::app::Settings;
use anabranch_core::lifecycle::ServerConfig;

use crate::host::processors;

/// What carries the connections. The conversation is the same under each; what differs is who waits for whom.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum Model {
    /// One connection at a time, on the thread that accepts; the others wait in the kernel's queue. For tools, tests and
    /// services with one client: a slow client stops everybody, until its deadline.
    Single,
    /// A thread a connection, as many as [`ServerConfig::max_connections`] says. For some thousand connections and
    /// handlers that block as they like: a slow client costs its own thread and nobody else anything.
    #[default]
    Threads,
    /// A fixed number of threads, each with one connection at a time until that ends, behind a queue of those accepted.
    /// For short connections and a bounded machine: so many slow clients as there are workers stop everybody, until
    /// their deadlines.
    Pool {
        /// How many threads. At least one: none counts as one.
        workers: usize,
        /// How many accepted connections may wait for one. Beyond that nobody is accepted: newcomers wait in the
        /// kernel's queue.
        queue: usize,
    },
}

impl Model {
    /// A pool with two workers a processor, and as many connections waiting.
    #[must_use]
    pub fn pool() -> Self {
        let workers = 2 * processors().get();
        Self::Pool { workers, queue: workers }
    }

    /// The same with so many threads that serve connections, where their number is the model's to say: the workers of a
    /// pool, whose queue stays as it is.
    #[must_use]
    pub const fn with_threads(mut self, threads: NonZeroUsize) -> Self {
        if let Self::Pool { workers, .. } = &mut self {
            *workers = threads.get();
        }
        self
    }

    /// How many threads serve connections, where their number is the model's to say.
    #[must_use]
    pub const fn threads(self) -> Option<NonZeroUsize> {
        match self {
            Self::Single | Self::Threads => None,
            Self::Pool { workers: 0, .. } => Some(NonZeroUsize::MIN),
            Self::Pool { workers, .. } => NonZeroUsize::new(workers),
        }
    }

    /// Its name, as in `--model`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Threads => "threads",
            Self::Pool { .. } => "pool",
        }
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A group of threads for work that would hold a connection's thread up, behind a bounded queue of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct LaneConfig {
    /// Its name, by which jobs ask for it.
    pub lane: Lane,
    /// Threads at most, started when there is work for them. At least one.
    pub threads: usize,
    /// Jobs that may wait for a thread; the next is refused (in HTTP: 503). At least one.
    pub queue: usize,
}

impl LaneConfig {
    /// A lane of that name, with so many threads and so many jobs waiting.
    #[must_use]
    pub const fn new(lane: Lane, threads: usize, queue: usize) -> Self {
        Self { lane, threads, queue }
    }
}

impl Default for LaneConfig {
    /// The default lane: two threads a processor, 1,024 jobs waiting.
    fn default() -> Self {
        Self::new(Lane::DEFAULT, 2 * processors().get(), 1_024)
    }
}

/// Everything a server is started with.
///
/// ```
/// use anabranch_std::{Config, Model};
///
/// let mut config = Config::new(Model::Pool { workers: 8, queue: 16 });
/// config.server.max_connections = 100;
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config<M = Model> {
    /// What the names of the server's threads begin with, as `top -H` shows them (15 bytes at most). Default `anabranch`.
    pub name: String,
    /// What carries the connections: a model of this binding, or of another. Default [`Model::Threads`].
    pub model: M,
    /// Limits on connections, and what happens at them.
    pub server: ServerConfig,
    /// Limits and deadlines of HTTP, for [`serve`](crate::serve); other protocols bring their own.
    pub http: Settings,
    /// The lanes that jobs run on. A job that asks for one that is not here runs on [`Lane::DEFAULT`], which is always
    /// there: as configured, else as [`LaneConfig::default`].
    pub lanes: Vec<LaneConfig>,
    /// Bytes read at once; a thread that has work holds two buffers of this size. Default 64 KiB.
    pub read_bytes: usize,
    /// Bytes of stack for each thread that runs handlers or jobs. Memory is used as the stack is, not as it is sized.
    /// Default 512 KiB.
    pub stack_bytes: usize,
    /// How long a server that was aborted, or has stopped, waits for threads that do not end: a handler that blocks, a
    /// job that does not look whether it is cancelled. Beyond that they are left behind, and
    /// [`Summary::left_behind`](crate::Summary::left_behind) counts them. Default 5 s.
    pub patience: Duration,
}

impl<M> Config<M> {
    /// `model`, and defaults.
    #[must_use]
    pub fn new(model: M) -> Self {
        Self {
            name: "anabranch".into(),
            model,
            server: ServerConfig::default(),
            http: Settings::default(),
            lanes: Vec::new(),
            read_bytes: 64 * 1024,
            stack_bytes: 512 * 1024,
            patience: Duration::from_secs(5),
        }
    }

    /// The same, for another model.
    #[must_use]
    pub fn with_model<N>(self, model: N) -> Config<N> {
        let Self { name, model: _, server, http, lanes, read_bytes, stack_bytes, patience } = self;
        Config { name, model, server, http, lanes, read_bytes, stack_bytes, patience }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::new(Model::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_of_threads_is_set_where_there_is_one() {
        let three = NonZeroUsize::new(3).unwrap();
        for model in [Model::Single, Model::Threads, Model::pool()] {
            assert_eq!(model.with_threads(three).threads(), model.threads().and(Some(three)), "{model}");
            assert_eq!(model.with_threads(three).name(), model.name());
        }
        let pool = Model::Pool { workers: 1, queue: 7 };
        assert_eq!(pool.with_threads(three), Model::Pool { workers: 3, queue: 7 });
        assert_eq!(Model::Pool { workers: 0, queue: 7 }.threads(), Some(NonZeroUsize::MIN));
        assert_eq!(Model::Threads.threads(), None);
    }
}
