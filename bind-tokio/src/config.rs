//! The models of tasks under tokio.

use std::fmt;
use std::num::NonZeroUsize;

use anabranch_std::host::processors;

/// Everything a server is started with: as for any binding, with a [`Model`] of this one.
pub type Config = anabranch_std::Config<Model>;

/// What carries the connections: a task each, under each of these. What differs is whose threads poll them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Model {
    /// A multi-thread runtime of the server's own. A task goes to whichever worker is idle.
    Tokio {
        /// How many workers.
        workers: NonZeroUsize,
    },
    /// A current-thread runtime for each of so many threads, each with a listener of its own, which share nothing. A task
    /// stays where it was accepted.
    TokioLocal {
        /// How many threads.
        threads: NonZeroUsize,
    },
    /// The runtime that [`serve`](crate::serve) is called in, whatever it is, beside whatever else it runs. It needs its
    /// I/O and its timer, and has to live until the server stopped.
    Current,
}

impl Model {
    /// A worker for each processor.
    #[must_use]
    pub fn tokio() -> Self {
        Self::Tokio { workers: processors() }
    }

    /// A runtime for each processor.
    #[must_use]
    pub fn tokio_local() -> Self {
        Self::TokioLocal { threads: processors() }
    }

    /// The same with so many threads that serve connections, where their number is the model's to say and not the
    /// caller's runtime's.
    #[must_use]
    pub const fn with_threads(mut self, threads: NonZeroUsize) -> Self {
        match &mut self {
            Self::Tokio { workers: count } | Self::TokioLocal { threads: count } => *count = threads,
            Self::Current => {}
        }
        self
    }

    /// How many threads serve connections, where their number is the model's to say.
    #[must_use]
    pub const fn threads(self) -> Option<NonZeroUsize> {
        match self {
            Self::Tokio { workers: count } | Self::TokioLocal { threads: count } => Some(count),
            Self::Current => None,
        }
    }

    /// Its name, as in `--model`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tokio { .. } => "tokio",
            Self::TokioLocal { .. } => "tokio-local",
            Self::Current => "tokio-current",
        }
    }
}

impl Default for Model {
    fn default() -> Self {
        Self::tokio()
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_of_threads_is_set_where_there_is_one() {
        let three = NonZeroUsize::new(3).unwrap();
        for model in [Model::tokio(), Model::tokio_local(), Model::Current] {
            assert_eq!(model.with_threads(three).threads(), model.threads().and(Some(three)), "{model}");
            assert_eq!(model.with_threads(three).name(), model.name());
        }
        assert_eq!(Model::tokio().with_threads(three), Model::Tokio { workers: three });
        assert_eq!(Model::Current.threads(), None);
    }
}
