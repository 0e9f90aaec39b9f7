//! The deadlines of a connection: what each bounds, when it is set, and what is concluded when it has passed.
//!
//! ```text
//!   receiving   first byte ─► head ─► body (progress, rate; not while paused) ─► idle ─► linger       one at a time
//!   sending     write stall: output waits and the peer takes none of it
//!   answer      handler: the application is waited for, and has not answered
//! ```

use core::time::Duration;

use super::connection::Connection;
use super::receive::is_only_line_ends;
use super::refusal::Refusal;
use super::state::{Receiving, Sending};
use super::work::Taking;
use crate::flow::{CloseReason, Deadline, DeadlineKind};
use crate::time::Instant;
use crate::turn::Turn;

/// What a body is given on top of its least rate where [`Deadlines::body`](super::limits::Deadlines::body) gives nothing.
const RATE_GRACE: Duration = Duration::from_secs(10);

impl Connection {
    /// *Input.* A deadline may have passed.
    pub fn handle_timeout(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now;
        if self.write_deadline() <= now {
            self.close(CloseReason::TimedOut(DeadlineKind::WriteStall));
        } else if self.receive_deadline() <= now {
            match self.state.receiving {
                Receiving::Idle => self.finish_idle(CloseReason::TimedOut(self.receive_kind()), now),
                // No request has begun: an answer now would be taken for the next one's.
                Receiving::Head if self.work.as_ref().is_none_or(|work| is_only_line_ends(&work.inbox)) => {
                    self.finish_idle(CloseReason::TimedOut(DeadlineKind::Head), now);
                }
                Receiving::Head => self.time_out_head(now),
                Receiving::Body if self.body_is_dropped() => {
                    self.lose_dropped(CloseReason::TimedOut(DeadlineKind::Body), now);
                }
                Receiving::Body => self.refuse(Refusal::BodyTimeout, now),
                Receiving::Lingering => {
                    self.state.input_closed();
                    self.receive_deadline = Instant::NEVER;
                }
                Receiving::Done | Receiving::Switched | Receiving::Closed => {
                    self.receive_deadline = Instant::NEVER;
                }
            }
        } else if self.handler_deadline <= now {
            self.handler_deadline = Instant::NEVER;
            if self.state.sending == Sending::Owed {
                self.refuse(Refusal::HandlerTimeout, now);
            }
        }
        self.release(turn.pool);
    }

    /// *Question.* The nearest deadline; of two at one instant, the one that [`handle_timeout`](Self::handle_timeout) goes by.
    #[must_use]
    pub fn deadline(&self) -> Option<Deadline> {
        let (write, receive) = (self.write_deadline(), self.receive_deadline());
        let at = write.min(receive).min(self.handler_deadline);
        let kind = match at {
            Instant::NEVER => return None,
            at if at == write => DeadlineKind::WriteStall,
            at if at == receive => self.receive_kind(),
            _ => DeadlineKind::Handler,
        };
        Some(Deadline { at, kind })
    }

    pub(super) const fn receive_kind(&self) -> DeadlineKind {
        match self.state.receiving {
            Receiving::Idle if self.exchanges == 0 => DeadlineKind::FirstByte,
            Receiving::Head => DeadlineKind::Head,
            Receiving::Body => DeadlineKind::Body,
            Receiving::Lingering => DeadlineKind::Linger,
            _ => DeadlineKind::Idle,
        }
    }

    #[inline]
    fn receive_deadline(&self) -> Instant {
        if self.state.receiving == Receiving::Body { self.body_deadline() } else { self.receive_deadline }
    }

    /// Asked for when somebody waits: most bodies are all there with their heads, and never have a deadline.
    #[inline(never)]
    fn body_deadline(&self) -> Instant {
        let deadlines = &self.settings.deadlines;
        let Some(body) = self.work.as_ref().map(|work| work.body) else { return Instant::NEVER };
        if matches!(body.taking, Taking::Held | Taking::Paused) {
            return Instant::NEVER;
        }
        let progress = after(body.latest, deadlines.body);
        let rate = match deadlines.min_body_rate {
            Some(rate) if rate > 0 => {
                let (seconds, rest) = (body.received / u64::from(rate), body.received % u64::from(rate));
                // Less than a second, for the rest is less than the rate.
                let nanos = (rest * 1_000_000_000 / u64::from(rate)) as u32;
                let grace = deadlines.body.unwrap_or(RATE_GRACE);
                body.since + grace.saturating_add(Duration::new(seconds, nanos))
            }
            _ => Instant::NEVER,
        };
        progress.min(rate)
    }

    /// The application is waited for, and has not answered.
    #[inline]
    pub(super) fn arm_handler(&mut self, now: Instant) {
        if self.state.sending == Sending::Owed {
            self.handler_deadline = after(now, self.settings.deadlines.handler);
        }
    }

    /// There may be output: the peer has been given it now at the latest.
    #[inline]
    pub(super) fn arm_write(&mut self, now: Instant) {
        if self.pending_output() > 0 {
            self.write_since = self.write_since.min(now);
        }
    }

    /// Asked for when somebody waits: most output is taken at once, and never has a deadline.
    #[inline]
    fn write_deadline(&self) -> Instant {
        if self.write_since == Instant::NEVER {
            return Instant::NEVER;
        }
        after(self.write_since, self.settings.deadlines.write_stall)
    }
}

/// `duration` after `now`, or never where there is no bound.
#[inline]
pub(super) fn after(now: Instant, duration: Option<Duration>) -> Instant {
    duration.map_or(Instant::NEVER, |duration| now + duration)
}
