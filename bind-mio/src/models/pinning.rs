//! Threads that stay on a processor.

use crate::config::Pinning;

/// Keeps this thread on one of the processors it may use: the one of that number, counted round.
pub(super) fn pin(pinning: Pinning, number: usize) {
    if pinning == Pinning::Free {
        return;
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
        let Ok(allowed) = sched_getaffinity(None) else { return };
        let processors: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).collect();
        let Some(processor) = processors.get(number % processors.len().max(1)) else { return };
        let mut one = CpuSet::new();
        one.set(*processor);
        // Where that is not allowed the thread runs as it did.
        let _ = sched_setaffinity(None, &one);
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = number;
}
