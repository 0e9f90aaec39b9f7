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

mod server;

use proptest::test_runner::Config;

/// So many cases, unless `PROPTEST_CASES` says otherwise.
fn cases(by_default: u32) -> Config {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => Config::default(),
        None => Config::with_cases(by_default),
    }
}
