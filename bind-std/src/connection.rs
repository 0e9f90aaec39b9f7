//! The blocking driver: one thread carries one flow from its first turn to its last.
//!
//! ```text
//!            ┌───────────────────────────────────────────────────────────────┐
//!            ▼                                                               │
//!   stop? ─► turn ─ Finished ─► close                                        │
//!              │                                                             │
//!              └─ Blocked, on the peer's bytes only ─► recv(2), a tick long ─┤
//!                       │                                   │ silence        │
//!                       │                                   ▼                │
//!                       └─ on anything else ─────────────► poll(2) ──────────┘
//!                                  socket (in, out, or only its failure) · bell · drain · abort · deadline
//! ```
//!
//! A busy keep-alive connection costs a recv(2) and a send(2) a message. One that falls silent moves to a poll(2)
//! without a tick, and gives its buffers back meanwhile: it wakes for a byte, its deadline, a drain or an abort, and for
//! nothing else. What is waited for is always all of it: the peer, the application, the clock and the server together.

use std::hint::cold_path;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use anabranch_core::drive::{Budget, Driven, Progress, Stop};
use anabranch_core::{CloseReason, Instant, Job, Outlook, Turn};
use rustix::event::PollFlags;
use socket2::Socket;

use crate::host::{Clock, Workspace};
use crate::parker::{Bell, Parker};
use crate::signals::Signals;
use crate::stash::{Outfit, Stash};
use crate::transport::{Transport, Wait};
use crate::watch::Watch;

/// What a connection needs of its server.
#[derive(Clone, Copy)]
pub(crate) struct Environment<'a> {
    pub(crate) clock: Clock,
    pub(crate) signals: &'a Signals,
    /// What connections are to do.
    pub(crate) stop: &'a dyn Fn() -> Stop,
    pub(crate) stash: &'a Stash,
    /// Hands a job to its lane, or gives it back.
    pub(crate) exec: &'a dyn Fn(Job) -> Result<(), Job>,
}

/// Carries `driven` over `socket` until one of them is at its end. `attend` is called once, when the server begins to
/// stop: for a thread that has duties besides this connection.
pub(crate) fn carry(
    driven: &mut Driven,
    socket: Socket,
    environment: Environment<'_>,
    parker: &Arc<Parker>,
    attend: &mut dyn FnMut(),
) -> CloseReason {
    Carrier::new(driven, socket, environment, parker).carry(attend)
}

/// So much a turn moves before the clock is read again and a stop is noticed: a peer that sends without end is served
/// without end, but not blindly.
const BUDGET: Budget = Budget::new(1024 * 1024, 1024);

/// To a deadline as far as that the time is counted from the turn's beginning: what the turn itself took is then slept too
/// long, but never more than a tick of it, and each request saves a look at the clock.
const FAR: Duration = Duration::from_secs(1);

/// How often to look for a wake when there is no descriptor left to be woken by.
const WITHOUT_BELL: Duration = Duration::from_millis(5);

struct Carrier<'a> {
    driven: &'a mut Driven,
    transport: Transport,
    environment: Environment<'a>,
    parker: &'a Arc<Parker>,
    waker: Waker,
    /// `None` only while asleep in poll(2).
    outfit: Option<Outfit>,
    /// When the last turn began.
    turned_at: Instant,
    /// A tick went by without a byte: the next wait is a poll.
    silent: bool,
}

impl<'a> Carrier<'a> {
    fn new(
        driven: &'a mut Driven,
        socket: Socket,
        environment: Environment<'a>,
        parker: &'a Arc<Parker>,
    ) -> Self {
        // The first read is a wait like any other, and not a system call to hear that nothing has come yet.
        driven.readiness.readable = false;
        Self {
            driven,
            transport: Transport::new(socket),
            environment,
            parker,
            waker: Waker::from(parker.clone()),
            outfit: Some(environment.stash.take()),
            turned_at: Instant::ORIGIN,
            silent: false,
        }
    }

    fn carry(&mut self, attend: &mut dyn FnMut()) -> CloseReason {
        let reason = loop {
            let stop = (self.environment.stop)();
            if stop == Stop::Draining && !self.driven.is_draining() {
                cold_path();
                attend();
            }
            match self.turn(stop) {
                Progress::Finished(reason) => break reason,
                Progress::Again => cold_path(),
                Progress::Blocked if self.parker.is_notified() => {}
                Progress::Blocked => self.wait(),
            }
        };
        if let Some(outfit) = self.outfit.take() {
            self.environment.stash.give(outfit);
        }
        reason
    }

    /// Everything that can be done without waiting.
    fn turn(&mut self, stop: Stop) -> Progress {
        let Environment { clock, stash, exec, .. } = self.environment;
        let Outfit { workspace, inbox } = outfit(&mut self.outfit, stash);
        let now = clock.now();
        self.turned_at = now;
        workspace.anchor_dates(now);
        let Workspace { scratch, pool, dates, .. } = workspace;
        // A flow may keep what it was lent; a turn takes the capacity that is left for the size of a read.
        scratch.reserve(stash.read_size());
        self.parker.begin_turn();
        let mut turn = Turn::new(now, dates, &self.waker, pool);
        let mut wire = self.transport.lend(inbox);
        self.driven.turn(stop, &mut wire, scratch, &mut turn, &mut |job| exec(job), BUDGET)
    }

    /// Sleeps until something may have changed. May return for nothing; the turn that follows is then for nothing too.
    fn wait(&mut self) {
        let outlook = self.driven.outlook();
        let due = outlook.due;
        let listens =
            outlook.reads() && !outlook.writes() && !outlook.waits_for_application() && !self.silent;
        let since_turn = due.saturating_since(self.turned_at);
        let left = if listens && since_turn > FAR {
            since_turn
        } else {
            cold_path();
            due.saturating_since(self.environment.clock.now())
        };
        if left.is_zero() {
            cold_path();
            return;
        }
        let left = (due != Instant::NEVER).then_some(left);
        if listens {
            match self.receive(outlook, left) {
                Wait::Arrived => self.driven.readiness.readable = true,
                Wait::Silent => self.silent = true,
                Wait::Interrupted => cold_path(),
                Wait::TooShort => self.poll(outlook, left),
            }
        } else {
            self.poll(outlook, left);
        }
    }

    fn receive(&mut self, outlook: Outlook, left: Option<Duration>) -> Wait {
        let stash = self.environment.stash;
        let Outfit { inbox, .. } = outfit(&mut self.outfit, stash);
        self.transport.receive_blocking(inbox, outlook.read_size(stash.read_size()), left)
    }

    /// Sleeps on everything at once.
    #[cold]
    fn poll(&mut self, outlook: Outlook, left: Option<Duration>) {
        let (signals, parker) = (self.environment.signals, self.parker);
        let (reads, writes) = (outlook.reads(), outlook.writes());
        let mut left = left;
        let bell = if outlook.waits_for_application() {
            parker.bell().inspect_err(|_| left = Some(left.unwrap_or(WITHOUT_BELL).min(WITHOUT_BELL))).ok()
        } else {
            parker.existing_bell()
        };
        if bell.is_some() && !parker.prepare() {
            return;
        }
        if let Some(outfit) = self.outfit.take() {
            self.environment.stash.give(outfit);
        }
        #[cfg(test)]
        {
            self.transport.calls.poll += 1;
        }

        let mut interest = PollFlags::empty();
        interest.set(PollFlags::IN, reads);
        interest.set(PollFlags::OUT, writes);
        let watch = Watch {
            socket: (!self.driven.readiness.gone || reads || writes)
                .then(|| (self.transport.as_fd(), interest)),
            bell,
            drain: (!self.driven.is_draining()).then(|| signals.drain_fd()),
            abort: signals.abort_fd(),
        };
        let woken = watch.sleep(left);
        if bell.is_some() {
            parker.finish(if woken.bell { Bell::Rang } else { Bell::Silent });
        }

        let failed = woken.socket.intersects(PollFlags::ERR | PollFlags::HUP);
        if reads && (failed || woken.socket.contains(PollFlags::IN)) {
            self.driven.readiness.readable = true;
            self.silent = false;
        }
        if writes && (failed || woken.socket.contains(PollFlags::OUT)) {
            self.driven.readiness.writable = true;
        }
        // A peer that has only shut its sending half down raises neither of the two flags.
        self.driven.readiness.gone |= failed;
    }
}

/// What a turn works with: held since the last one, unless the thread slept in poll(2) meanwhile.
#[inline]
fn outfit<'a>(held: &'a mut Option<Outfit>, stash: &Stash) -> &'a mut Outfit {
    match held {
        Some(outfit) => outfit,
        none => {
            cold_path();
            none.insert(stash.take())
        }
    }
}

#[cfg(test)]
mod tests;
