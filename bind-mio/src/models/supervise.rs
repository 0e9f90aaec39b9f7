//! A loop that dies is started anew, with the listeners it had.
//!
//! A flow's panic does not come this far: see [`Connection::turn`](crate::connection::Connection::turn). What does is a
//! fault of the loop's own. Its connections die with it; the server goes on, unless it happens again and again.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use anabranch_core::lifecycle::{AcceptErrorKind, ListenerId};
use anabranch_std::host::Host;

use crate::reactor::{Hands, Reactor, Source};

/// At most so many times within [`WITHIN`]; once more, and the server is given up.
const RESTARTS: usize = 5;
const WITHIN: Duration = Duration::from_secs(10);

/// Starts a thread that, once it has called `enter`, runs a loop of what `parts` gives, and another should that die.
///
/// # Errors
/// When the system gives no thread or descriptor to begin with.
pub(super) fn supervise(
    host: &Arc<Host>,
    role: impl std::fmt::Display,
    read_bytes: usize,
    enter: impl FnOnce() + Send + 'static,
    mut parts: impl FnMut() -> (Source, Hands) + Send + 'static,
) -> io::Result<()> {
    let mut make = {
        let host = host.clone();
        move || {
            let (source, hands) = parts();
            Reactor::new(&host, read_bytes, source, hands)
        }
    };
    let mut reactor = make()?;
    let keeper = host.clone();
    host.spawn(role, move || {
        enter();
        let mut deaths = Vec::new();
        while catch_unwind(AssertUnwindSafe(|| reactor.run())).is_err() {
            let now = keeper.clock().now();
            deaths.retain(|death| now - *death < WITHIN);
            deaths.push(now);
            match make() {
                Ok(next) if deaths.len() <= RESTARTS => reactor = next,
                _ => {
                    // Without this loop, some who knock would never be heard: better that the server says that it stops.
                    keeper.accept_failed_as(ListenerId(0), AcceptErrorKind::Fatal);
                    return;
                }
            }
        }
    })
}
