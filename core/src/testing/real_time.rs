//! The real clock and real threads: the one place where `testing` touches them, for those parts that hold whole servers.

use core::time::Duration;
use std::thread::JoinHandle;
use std::time::Instant;

/// Another thread, as peers, applications and sentries are.
#[expect(
    clippy::disallowed_methods,
    reason = "whoever talks to a server from outside has a thread of its own"
)]
pub(super) fn spawn(work: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    std::thread::spawn(work)
}

/// Time for the driver to do wrong.
#[expect(clippy::disallowed_methods, reason = "a driver's clock is the real one")]
pub(super) fn sleep(duration: Duration) {
    std::thread::sleep(duration);
}

/// The real clock.
#[expect(clippy::disallowed_methods, reason = "a driver's clock is the real one")]
pub(super) fn now() -> Instant {
    Instant::now()
}
