//! A connection's alarm: one of tokio's sleeps, made when it is first set.

use std::pin::Pin;
use std::task::{Context, Poll};

use anabranch_core::Instant;
use anabranch_core::drive::Alarm;
use anabranch_std::host::Clock;
use tokio::time::{Sleep, sleep_until};

/// One a connection.
#[derive(Debug)]
pub struct SleepAlarm {
    clock: Clock,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl SleepAlarm {
    /// Not set. `clock` is the server's.
    #[must_use]
    pub const fn new(clock: Clock) -> Self {
        Self { clock, sleep: None }
    }
}

impl Alarm for SleepAlarm {
    fn set(&mut self, at: Instant) {
        // A time beyond what the system's clock can show never comes.
        let Some(at) = self.clock.to_std(at).map(tokio::time::Instant::from_std) else { return };
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().reset(at),
            None => self.sleep = Some(Box::pin(sleep_until(at))),
        }
    }

    fn poll_ring(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().poll(context),
            None => Poll::Pending,
        }
    }
}
