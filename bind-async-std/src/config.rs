//! The models of tasks over async-io.

use std::fmt;
use std::num::NonZeroUsize;

#[cfg(feature = "smol")]
use anabranch_std::host::processors;

/// Everything a server is started with: as for any binding, with a [`Model`] of this one.
pub type Config = anabranch_std::Config<Model>;

/// What carries the connections: a task each, under each of these. What differs is whose threads poll them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Model {
    /// An executor of the server's own, smol's.
    #[cfg(feature = "smol")]
    Smol {
        /// How many threads poll its tasks.
        threads: NonZeroUsize,
    },
    /// async-std's executor, which is one for the process: the environment says how many threads it has,
    /// `ASYNC_STD_THREAD_COUNT`. For those who still run async-std, which is discontinued: take [`Smol`](Self::Smol).
    #[cfg(feature = "async-std")]
    AsyncStd,
}

impl Model {
    /// smol, with a thread for each processor.
    #[cfg(feature = "smol")]
    #[must_use]
    pub fn smol() -> Self {
        Self::Smol { threads: processors() }
    }

    /// The same with so many threads that serve connections, where their number is the model's to say: async-std asks the
    /// environment.
    #[cfg(feature = "smol")]
    #[must_use]
    pub const fn with_threads(mut self, threads: NonZeroUsize) -> Self {
        match &mut self {
            Self::Smol { threads: count } => *count = threads,
            #[cfg(feature = "async-std")]
            Self::AsyncStd => {}
        }
        self
    }

    /// How many threads serve connections, where their number is the model's to say.
    #[must_use]
    pub const fn threads(self) -> Option<NonZeroUsize> {
        match self {
            #[cfg(feature = "smol")]
            Self::Smol { threads } => Some(threads),
            #[cfg(feature = "async-std")]
            Self::AsyncStd => None,
        }
    }

    /// Its name, as in `--model`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            #[cfg(feature = "smol")]
            Self::Smol { .. } => "smol",
            #[cfg(feature = "async-std")]
            Self::AsyncStd => "async-std",
        }
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
        for model in [Model::smol(), Model::AsyncStd] {
            assert_eq!(model.with_threads(three).threads(), model.threads().and(Some(three)), "{model}");
            assert_eq!(model.with_threads(three).name(), model.name());
        }
        assert_eq!(Model::smol().with_threads(three), Model::Smol { threads: three });
        assert_eq!(Model::AsyncStd.threads(), None);
    }
}
