//! When `accept` fails: what kind of failure it is, and how long to leave it alone.

use core::time::Duration;
use std::io::{self, ErrorKind};

use super::config::Backoff;
use crate::time::Instant;

/// What a failed `accept` means for the listener.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum AcceptErrorKind {
    /// That one connection is lost; the next may be had at once.
    Transient,
    /// Descriptors, buffers or memory ran out, for all listeners alike: trying again at once would only burn time.
    Exhausted,
    /// The listening socket itself is unusable.
    Fatal,
}

impl AcceptErrorKind {
    /// What `error`, as `accept` gave it, means. `WouldBlock` is no failure and need not be reported; it counts as
    /// transient here.
    ///
    /// Linux hands a new connection's pending network errors to `accept`: those are transient (accept(2)). What is not
    /// known is treated as [`Exhausted`](Self::Exhausted): tried again, but never in a tight loop.
    #[must_use]
    pub fn of(error: &io::Error) -> Self {
        match error.raw_os_error() {
            // EBADF, EFAULT, EINVAL: the same numbers on every Unix.
            Some(9 | 14 | 22 | ENOTSOCK) => return Self::Fatal,
            // EPERM (a firewall said no), EPROTO: this connection only.
            Some(1 | EPROTO) => return Self::Transient,
            _ => {}
        }
        match error.kind() {
            ErrorKind::Interrupted
            | ErrorKind::WouldBlock
            | ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionRefused
            | ErrorKind::TimedOut
            | ErrorKind::NetworkDown
            | ErrorKind::NetworkUnreachable
            | ErrorKind::HostUnreachable => Self::Transient,
            _ => Self::Exhausted,
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
const ENOTSOCK: i32 = 88;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const ENOTSOCK: i32 = 38;
#[cfg(any(target_os = "linux", target_os = "android"))]
const EPROTO: i32 = 71;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const EPROTO: i32 = 100;

/// Whether accepting is left alone after exhaustion, and for how long the next time.
///
/// ```text
///   Clear ── exhausted ──► Held { until } ── timeout ──► Trying ── accepted ──► Clear
///                            ▲                             │
///                            └────── exhausted (doubled) ──┘
/// ```
#[derive(Clone, Copy, Debug)]
pub(super) enum Exhaustion {
    /// All is well.
    Clear,
    /// Nothing is accepted before `until`.
    Held { until: Instant, pause: Duration },
    /// Accepting again after a pause of this length; not known to have helped.
    Trying { pause: Duration },
}

impl Exhaustion {
    /// Descriptors ran out. Gives the pause that begins now; `None` while one lasts already, for acceptors that run side
    /// by side report one exhaustion several times.
    pub(super) fn begin(&mut self, backoff: Backoff, now: Instant) -> Option<Duration> {
        let pause = match *self {
            Self::Held { .. } => return None,
            Self::Clear => backoff.first.min(backoff.most),
            Self::Trying { pause } => pause.saturating_mul(2).min(backoff.most),
        };
        *self = Self::Held { until: now + pause, pause };
        Some(pause)
    }

    /// The pause is over if `now` says so.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if let Self::Held { until, pause } = *self
            && until <= now
        {
            *self = Self::Trying { pause };
        }
    }

    /// A connection was accepted: says whether that ends an exhaustion.
    pub(super) fn end(&mut self) -> bool {
        let recovered = matches!(self, Self::Trying { .. });
        if recovered {
            *self = Self::Clear;
        }
        recovered
    }

    pub(super) const fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Held { until, .. } => Some(*until),
            Self::Clear | Self::Trying { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_one_connection_are_transient() {
        for errno in [1, 4, 11, 103, 104] {
            let error = io::Error::from_raw_os_error(errno);
            assert_eq!(AcceptErrorKind::of(&error), AcceptErrorKind::Transient, "{error}");
        }
    }

    #[test]
    fn want_of_descriptors_or_memory_is_exhaustion_and_so_is_the_unknown() {
        // ENFILE, EMFILE, ENOMEM, ENOBUFS, and one that nobody gives out.
        for errno in [23, 24, 12, 105, 4095] {
            let error = io::Error::from_raw_os_error(errno);
            assert_eq!(AcceptErrorKind::of(&error), AcceptErrorKind::Exhausted, "{error}");
        }
    }

    #[test]
    fn unusable_socket_is_fatal() {
        for errno in [9, 22, ENOTSOCK] {
            let error = io::Error::from_raw_os_error(errno);
            assert_eq!(AcceptErrorKind::of(&error), AcceptErrorKind::Fatal, "{error}");
        }
    }

    #[test]
    fn pause_doubles_up_to_the_most_and_starts_anew_after_success() {
        let backoff = Backoff { first: Duration::from_millis(50), most: Duration::from_millis(150) };
        let mut exhaustion = Exhaustion::Clear;
        let mut now = Instant::ORIGIN;
        for expected in [50, 100, 150, 150] {
            let pause = exhaustion.begin(backoff, now).unwrap();
            assert_eq!(pause, Duration::from_millis(expected));
            assert_eq!(exhaustion.begin(backoff, now), None);
            now += pause;
            exhaustion.handle_timeout(now);
            assert_eq!(exhaustion.deadline(), None);
        }
        assert!(exhaustion.end());
        assert!(!exhaustion.end());
        assert_eq!(exhaustion.begin(backoff, now), Some(Duration::from_millis(50)));
    }
}
