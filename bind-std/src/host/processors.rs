//! How many threads can run at once.

use std::num::NonZeroUsize;
use std::thread::available_parallelism;

/// How many processors this process may use; one where the system does not say.
#[must_use]
pub fn processors() -> NonZeroUsize {
    available_parallelism().unwrap_or(NonZeroUsize::MIN)
}
