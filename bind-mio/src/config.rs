//! The models of the reactor family.

use std::fmt;
use std::num::NonZeroUsize;

use anabranch_std::host::processors;

/// Everything a server is started with: as for any binding, with a [`Model`] of this one.
pub type Config = anabranch_std::Config<Model>;

/// What carries the connections. The conversation is the same under each; what differs is who waits for whom.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum Model {
    /// One event loop serves everything, and handlers run in it. A slow client costs nobody anything; a handler that
    /// blocks or computes stops everybody: such work is for a lane.
    #[default]
    Reactor,
    /// A loop a core, each with a listener of its own, which share nothing. A handler that blocks stops the connections
    /// of its own loop.
    MultiReactor {
        /// How many loops.
        loops: NonZeroUsize,
        /// Whether each stays on a processor of its own.
        pinning: Pinning,
    },
    /// One loop waits for all connections; what comes is read, handled and answered by a pool of workers. A thread a
    /// request and not a connection: handlers may block, as many at once as there are workers.
    ReactorPool {
        /// How many workers.
        workers: NonZeroUsize,
    },
    /// Threads that accept, threads for the network, and lanes for slow work: each stage has its own, and queues of a
    /// bounded length lie between them.
    Staged {
        /// Threads that accept.
        acceptors: NonZeroUsize,
        /// Threads that read, answer and write.
        network: NonZeroUsize,
        /// Whose a connection is.
        ownership: Ownership,
    },
}

/// Whether a loop stays on one processor.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Pinning {
    /// The system moves it as it likes.
    #[default]
    Free,
    /// It stays: for machines that do nothing else.
    Pinned,
}

/// Whose a connection is in [`Model::Staged`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Ownership {
    /// One network thread's, from its first byte to its last.
    #[default]
    Pinned,
    /// Nobody's: whichever network thread is idle takes the next event, from one epoll instance that gives each event to
    /// one thread only (EPOLLONESHOT). Linux only.
    Shared,
}

impl Model {
    /// A loop for each processor.
    #[must_use]
    pub fn multi_reactor() -> Self {
        Self::MultiReactor { loops: processors(), pinning: Pinning::default() }
    }

    /// Two workers for each processor.
    #[must_use]
    pub fn reactor_pool() -> Self {
        Self::ReactorPool { workers: processors().saturating_mul(TWO) }
    }

    /// One thread that accepts, and a network thread for each processor, which keep their connections.
    #[must_use]
    pub fn staged() -> Self {
        Self::Staged { acceptors: NonZeroUsize::MIN, network: processors(), ownership: Ownership::default() }
    }

    /// The same with so many threads that serve connections, where their number is the model's to say: loops, workers, or
    /// threads of the network.
    #[must_use]
    pub const fn with_threads(mut self, threads: NonZeroUsize) -> Self {
        match &mut self {
            Self::Reactor => {}
            Self::MultiReactor { loops: count, .. }
            | Self::ReactorPool { workers: count }
            | Self::Staged { network: count, .. } => *count = threads,
        }
        self
    }

    /// How many threads serve connections, where their number is the model's to say.
    #[must_use]
    pub const fn threads(self) -> Option<NonZeroUsize> {
        match self {
            Self::Reactor => None,
            Self::MultiReactor { loops: count, .. }
            | Self::ReactorPool { workers: count }
            | Self::Staged { network: count, .. } => Some(count),
        }
    }

    /// Its name, as in `--model`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reactor => "reactor",
            Self::MultiReactor { .. } => "multi-reactor",
            Self::ReactorPool { .. } => "reactor-pool",
            Self::Staged { .. } => "staged",
        }
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

const TWO: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_of_threads_is_set_where_there_is_one() {
        let three = NonZeroUsize::new(3).unwrap();
        for model in [Model::Reactor, Model::multi_reactor(), Model::reactor_pool(), Model::staged()] {
            assert_eq!(model.with_threads(three).threads(), model.threads().and(Some(three)), "{model}");
            assert_eq!(model.with_threads(three).name(), model.name());
        }
        let Model::Staged { acceptors, ownership, .. } = Model::staged() else { unreachable!() };
        assert_eq!(
            Model::staged().with_threads(three),
            Model::Staged { acceptors, network: three, ownership }
        );
        assert_eq!(Model::Reactor.threads(), None);
    }
}
