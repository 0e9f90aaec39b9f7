//! What carries the server: a model of one of the bindings, with its numbers, as flags or a configuration file ask for it.

use core::num::NonZeroUsize;
use std::io;
use std::sync::Arc;

use anabranch_mio::{Ownership, Pinning};
use anabranch_std::host::{Binding, Host};
use anabranch_std::{Config, Listener};
use clap::ValueEnum;

use crate::models::ModelName;

/// A model of some binding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Carrier {
    /// Blocking threads.
    Std(anabranch_std::Model),
    /// The reactor family.
    Mio(anabranch_mio::Model),
    /// Tasks under tokio.
    Tokio(anabranch_tokio::Model),
    /// Tasks under smol and async-std.
    Async(anabranch_async_std::Model),
}

impl Binding for Carrier {
    fn start(&self, host: &Arc<Host>, config: &Config<Self>, listeners: Vec<Listener>) -> io::Result<()> {
        match *self {
            Self::Std(model) => model.start(host, &config.clone().with_model(model), listeners),
            Self::Mio(model) => model.start(host, &config.clone().with_model(model), listeners),
            Self::Tokio(model) => model.start(host, &config.clone().with_model(model), listeners),
            Self::Async(model) => model.start(host, &config.clone().with_model(model), listeners),
        }
    }
}

/// How many threads a model has, and what they do; what is `None` is the model's own default.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Threads {
    /// Workers, loops, or threads of the network.
    pub threads: Option<NonZeroUsize>,
    /// Connections that may wait for a worker of model `pool`.
    pub queue: Option<usize>,
    /// Threads that accept.
    pub acceptors: Option<NonZeroUsize>,
    /// Whose connections are.
    pub ownership: Option<OwnershipName>,
    /// Whether loops stay on their processors.
    pub pin: Option<PinName>,
}

/// Whose a connection is under model `staged`.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum OwnershipName {
    /// One network thread's, from beginning to end
    Pinned,
    /// Whichever network thread is idle takes the next event (Linux)
    Shared,
}

/// Whether the loops of model `multi-reactor` stay on a processor each.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum PinName {
    /// The system moves them as it likes
    Off,
    /// Each stays on its own
    On,
}

/// A number that means nothing to the model.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "{what} is for model {for_models}, and this is model {model}\n  remedy: leave it out, or choose another model"
)]
pub struct NotThisModel {
    /// What was given.
    pub what: &'static str,
    for_models: &'static str,
    model: &'static str,
}

impl Carrier {
    /// The model of that name, with these numbers.
    ///
    /// # Errors
    /// When one of them means nothing to it.
    pub fn new(name: ModelName, threads: Threads) -> Result<Self, NotThisModel> {
        threads.check(name)?;
        let Threads { threads, queue, acceptors, ownership, pin } = threads;
        let mut carrier = Self::named(name);
        if let Some(threads) = threads {
            carrier = carrier.with_threads(threads);
        }
        match &mut carrier {
            Self::Std(anabranch_std::Model::Pool { workers, queue: waiting }) => {
                *waiting = queue.unwrap_or(*workers);
            }
            Self::Mio(anabranch_mio::Model::MultiReactor { pinning, .. }) => {
                *pinning = if pin == Some(PinName::On) { Pinning::Pinned } else { Pinning::Free };
            }
            Self::Mio(anabranch_mio::Model::Staged { acceptors: accepting, ownership: whose, .. }) => {
                *accepting = acceptors.unwrap_or(*accepting);
                *whose = match ownership {
                    Some(OwnershipName::Shared) => Ownership::Shared,
                    Some(OwnershipName::Pinned) | None => Ownership::Pinned,
                };
            }
            _ => {}
        }
        Ok(carrier)
    }

    /// The model of that name, with its own defaults.
    fn named(name: ModelName) -> Self {
        match name {
            ModelName::Single => Self::Std(anabranch_std::Model::Single),
            ModelName::Threads => Self::Std(anabranch_std::Model::Threads),
            ModelName::Pool => Self::Std(anabranch_std::Model::pool()),
            ModelName::Reactor => Self::Mio(anabranch_mio::Model::Reactor),
            ModelName::MultiReactor => Self::Mio(anabranch_mio::Model::multi_reactor()),
            ModelName::ReactorPool => Self::Mio(anabranch_mio::Model::reactor_pool()),
            ModelName::Staged => Self::Mio(anabranch_mio::Model::staged()),
            ModelName::Tokio => Self::Tokio(anabranch_tokio::Model::tokio()),
            ModelName::TokioLocal => Self::Tokio(anabranch_tokio::Model::tokio_local()),
            ModelName::Smol => Self::Async(anabranch_async_std::Model::smol()),
            ModelName::AsyncStd => Self::Async(anabranch_async_std::Model::AsyncStd),
        }
    }

    /// The same with so many threads that serve connections, where their number is the model's to say.
    const fn with_threads(self, threads: NonZeroUsize) -> Self {
        match self {
            Self::Std(model) => Self::Std(model.with_threads(threads)),
            Self::Mio(model) => Self::Mio(model.with_threads(threads)),
            Self::Tokio(model) => Self::Tokio(model.with_threads(threads)),
            Self::Async(model) => Self::Async(model.with_threads(threads)),
        }
    }

    /// How many threads serve connections, where their number is the model's to say.
    #[must_use]
    pub const fn threads(self) -> Option<NonZeroUsize> {
        match self {
            Self::Std(model) => model.threads(),
            Self::Mio(model) => model.threads(),
            Self::Tokio(model) => model.threads(),
            Self::Async(model) => model.threads(),
        }
    }

    /// Whether several listeners share its address, each with a queue of its own.
    #[must_use]
    pub const fn shares_port(self) -> bool {
        matches!(
            self,
            Self::Mio(anabranch_mio::Model::MultiReactor { .. })
                | Self::Tokio(anabranch_tokio::Model::TokioLocal { .. })
        )
    }

    /// Open files of a connection: its socket, and what a thread of its own is woken with.
    #[must_use]
    pub const fn files_a_connection(self) -> u64 {
        match self {
            Self::Std(_) => 2,
            Self::Mio(_) | Self::Tokio(_) | Self::Async(_) => 1,
        }
    }
}

impl Threads {
    fn check(&self, model: ModelName) -> Result<(), NotThisModel> {
        let given = [
            ("--threads", self.threads.is_some()),
            ("--queue", self.queue.is_some()),
            ("--acceptors", self.acceptors.is_some()),
            ("--ownership", self.ownership.is_some()),
            ("--pin", self.pin.is_some()),
        ];
        for (what, is_given) in given {
            let Some(number) = Number::of(&what[2..]) else { continue };
            if is_given && !number.is_for(model) {
                return Err(NotThisModel { what, for_models: number.for_models, model: model.name() });
            }
        }
        Ok(())
    }
}

/// A flag that means something to some models only.
#[derive(Clone, Copy, Debug)]
pub struct Number {
    /// Without its dashes.
    flag: &'static str,
    /// Which models, as a text.
    pub for_models: &'static str,
    /// Which models.
    pub models: &'static [ModelName],
}

const NUMBERS: &[Number] = &[
    Number {
        flag: "threads",
        for_models: "pool, multi-reactor, reactor-pool, staged, tokio, tokio-local or smol",
        models: &[
            ModelName::Pool,
            ModelName::MultiReactor,
            ModelName::ReactorPool,
            ModelName::Staged,
            ModelName::Tokio,
            ModelName::TokioLocal,
            ModelName::Smol,
        ],
    },
    Number { flag: "queue", for_models: "pool", models: &[ModelName::Pool] },
    Number { flag: "acceptors", for_models: "staged", models: &[ModelName::Staged] },
    Number { flag: "ownership", for_models: "staged", models: &[ModelName::Staged] },
    Number { flag: "pin", for_models: "multi-reactor", models: &[ModelName::MultiReactor] },
];

impl Number {
    /// That flag's row; none for a flag that means something to every model.
    #[must_use]
    pub fn of(flag: &str) -> Option<&'static Self> {
        NUMBERS.iter().find(|number| number.flag == flag)
    }

    /// Whether it means anything to that model.
    #[must_use]
    pub fn is_for(&self, model: ModelName) -> bool {
        self.models.contains(&model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_that_means_nothing_to_the_model_is_an_error() {
        let two = NonZeroUsize::new(2);
        let threads = Threads { threads: two, ..Threads::default() };
        for model in [ModelName::Single, ModelName::Threads, ModelName::Reactor] {
            let error = Carrier::new(model, threads).unwrap_err().to_string();
            assert!(error.contains("--threads") && error.contains(model.name()), "{error}");
        }
        let acceptors = Threads { acceptors: two, ..Threads::default() };
        assert_eq!(Carrier::new(ModelName::Pool, acceptors).unwrap_err().what, "--acceptors");
    }

    #[test]
    fn number_of_threads_is_for_the_models_that_have_one() {
        let number = Number::of("threads").unwrap();
        for model in ModelName::value_variants() {
            assert_eq!(number.is_for(*model), Carrier::named(*model).threads().is_some(), "{}", model.name());
        }
    }

    #[test]
    fn numbers_reach_the_model() {
        let two = NonZeroUsize::new(2).unwrap();
        let threads = Threads { threads: Some(two), acceptors: Some(two), ..Threads::default() };
        let ownership = Ownership::Pinned;
        assert_eq!(
            Carrier::new(ModelName::Staged, threads),
            Ok(Carrier::Mio(anabranch_mio::Model::Staged { acceptors: two, network: two, ownership }))
        );
        let threads = Threads { threads: Some(two), ..Threads::default() };
        assert_eq!(
            Carrier::new(ModelName::Pool, threads),
            Ok(Carrier::Std(anabranch_std::Model::Pool { workers: 2, queue: 2 }))
        );
    }
}
