//! State machine tests: the machines against small models of what they promise, written from the contracts, not the code.
//!
//! ```text
//!   generated inputs and commands ──┬──► model     what comes next, what is refused, which bytes, when
//!                                   └──► machine   held to that at every step
//! ```
//!
//! A failure is shrunk to the fewest steps that show it, and each step reads as what happened. `PROPTEST_CASES` tries more:
//!
//! ```sh
//! PROPTEST_CASES=100000 cargo test --release -p anabranch-core --test models
//! ```

mod connection;
mod server;

use std::fmt;
use std::ops::Deref;

use proptest::test_runner::Config;

/// So many cases, unless `PROPTEST_CASES` says otherwise. Seeds are not kept: they mean something else as soon as a step
/// joins. What is found is mended with a test of its own.
fn cases(by_default: u32) -> Config {
    let config = Config { failure_persistence: None, ..Config::default() };
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => config,
        None => Config { cases: by_default, ..config },
    }
}

/// Shown on one line, so that a failure reads as a list of what happened.
#[derive(Clone)]
struct OneLine<T>(T);

impl<T: fmt::Debug> fmt::Debug for OneLine<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl<T> Deref for OneLine<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}
