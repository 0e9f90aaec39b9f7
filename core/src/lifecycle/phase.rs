//! Where a server is in its life, and what moves it on.
//!
//! ```text
//!   Running   ──► Suspended  suspend
//!   Running   ──► Draining   stop
//!   Running   ──► Aborting   abort
//!   Suspended ──► Running    resume
//!   Suspended ──► Draining   stop
//!   Suspended ──► Aborting   abort
//!   Draining  ──► Draining   stop sooner
//!   Draining  ──► Aborting   abort
//!   Draining  ──► Stopped    nothing open
//!   Aborting  ──► Stopped    nothing open
//! ```
//!
//! Every move is a row of [`Phase::next`]; a test walks all phases by all causes and draws this page. `server.rs` says what
//! brings a cause about, and what is done when a phase begins.

use crate::time::Instant;

/// Where a server is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// It accepts, as far as limits allow, and serves.
    Running,
    /// It serves, and accepts nobody until it is resumed.
    Suspended,
    /// It finishes what has begun.
    Draining {
        /// The end of the grace time: what is open then is aborted.
        until: Instant,
    },
    /// It waits for its aborted connections to be closed.
    Aborting,
    /// Nothing is left.
    Stopped,
}

/// What moves a server from one phase to another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cause {
    Suspend,
    Resume,
    /// Its owner says so, or the last listener failed.
    Stop {
        until: Instant,
    },
    /// Its owner says so, or the grace is over.
    Abort,
    /// No connection is left.
    NothingOpen,
}

impl Phase {
    /// The table: where a cause leads. `None`: nowhere, here.
    pub(super) fn next(self, cause: Cause) -> Option<Self> {
        match (self, cause) {
            (Self::Running, Cause::Suspend) => Some(Self::Suspended),
            (Self::Suspended, Cause::Resume) => Some(Self::Running),
            (Self::Running | Self::Suspended, Cause::Stop { until }) => Some(Self::Draining { until }),
            // A grace may be shortened, and is never lengthened.
            (Self::Draining { until: before }, Cause::Stop { until }) if until < before => {
                Some(Self::Draining { until })
            }
            (Self::Running | Self::Suspended | Self::Draining { .. }, Cause::Abort) => Some(Self::Aborting),
            (Self::Draining { .. } | Self::Aborting, Cause::NothingOpen) => Some(Self::Stopped),
            _ => None,
        }
    }

    pub(super) const fn is_stopping(self) -> bool {
        matches!(self, Self::Draining { .. } | Self::Aborting | Self::Stopped)
    }
}

#[cfg(test)]
mod tests;
