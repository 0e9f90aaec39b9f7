//! What the connections of a running server are to do.
//!
//! ```text
//!   Running ── drain ──► Draining ── abort ──► Aborting(reason)
//!      └──────────────── abort ────────────────────┘
//! ```

use std::sync::atomic::{AtomicU8, Ordering};

use anabranch_core::AbortReason;
use anabranch_core::drive::Stop;

/// One a server, to be looked at by its threads as often as they like.
#[derive(Debug, Default)]
pub(super) struct StopState(AtomicU8);

const RUNNING: u8 = 0;
const DRAINING: u8 = 1;
const ABORTING_REQUESTED: u8 = 2;
const ABORTING_GRACE: u8 = 3;

impl StopState {
    /// Every connection is to finish.
    pub(super) fn drain(&self) {
        let _ = self.0.compare_exchange(RUNNING, DRAINING, Ordering::SeqCst, Ordering::SeqCst);
    }

    /// Every connection is to end.
    pub(super) fn abort(&self, reason: AbortReason) {
        let state = if reason == AbortReason::GraceExpired { ABORTING_GRACE } else { ABORTING_REQUESTED };
        self.0.store(state, Ordering::SeqCst);
    }

    pub(super) fn get(&self) -> Stop {
        match self.0.load(Ordering::Acquire) {
            RUNNING => Stop::Running,
            DRAINING => Stop::Draining,
            ABORTING_GRACE => Stop::Aborting(AbortReason::GraceExpired),
            _ => Stop::Aborting(AbortReason::Requested),
        }
    }
}
