//! What all threads of a server share, and the one place where its lifecycle's orders are carried out.
//!
//! ```text
//!   acceptor   accepted, accept failed ─┐                      ┌─► the acceptor's bell: look which listeners accept
//!   any thread closed ──────────────────┼─► lifecycle::Server ─┼─► Control: drain, abort
//!   Handle     suspend, resume, stop ───┤     (one lock)       ├─► Hub: events
//!   keeper     time ────────────────────┘                      └─► the keeper: its deadline moved, or all is over
//! ```

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anabranch_core::lifecycle::{Action, Counters, ListenerId, Server};
use anabranch_core::{AbortReason, CloseReason, ConnectionId, ConnectionInfo, Instant, Protocol};

use crate::config::Config;
use crate::connection::{Environment, carry};
use crate::control::{Control, event, ring};
use crate::crew::Crew;
use crate::events::Hub;
use crate::lanes::Lanes;
use crate::listener::Connection;
use crate::parker::Parker;
use crate::workspace::{Clock, Stash};

/// One a server.
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) control: Control,
    pub(crate) hub: Hub,
    pub(crate) crew: Arc<Crew>,
    pub(crate) lanes: Lanes,
    /// Rung when listeners may have to be started, paused or closed, and when a worker has room.
    pub(crate) acceptor_bell: OwnedFd,
    stash: Stash,
    protocol: Box<dyn Protocol>,
    patience: Duration,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    server: Server,
    /// The lifecycle said so.
    stopped: bool,
    /// When what is still open is given up.
    give_up: Option<Instant>,
    summary: Option<Summary>,
}

/// How a server ended. From [`Handle::wait`](crate::Handle::wait).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Summary {
    /// The server's sums at its end.
    pub counters: Counters,
    /// Why connections were aborted, if they were told to.
    pub aborted: Option<AbortReason>,
    /// Threads that had not ended when [`Config::patience`] was over: each still runs a handler or a job.
    pub left_behind: usize,
    /// How long the server ran.
    pub lasted: Duration,
}

impl Shared {
    pub(crate) fn new(config: &Config, protocol: Box<dyn Protocol>) -> io::Result<Self> {
        let crew = Arc::new(Crew::new(&config.name, config.stack_bytes));
        Ok(Self {
            clock: Clock::start(),
            control: Control::new()?,
            hub: Hub::new(config.server.max_events),
            lanes: Lanes::new(&config.lanes, crew.clone()),
            crew,
            acceptor_bell: event()?,
            stash: Stash::new(config.read_bytes),
            protocol,
            patience: config.patience,
            state: Mutex::new(State {
                server: Server::new(config.server.clone()),
                stopped: false,
                give_up: None,
                summary: None,
            }),
            changed: Condvar::new(),
        })
    }

    /// Tells the lifecycle something, and carries out what it says to that before anybody else may speak to it: orders
    /// are obeyed in the order in which they were given.
    pub(crate) fn with_server<T>(&self, tell: impl FnOnce(&mut Server, Instant) -> T) -> T {
        let mut state = self.lock();
        let before = state.server.deadline();
        // Read under the lock: the lifecycle's time never goes backwards.
        let answer = tell(&mut state.server, self.clock.now());
        self.obey(&mut state);
        if state.server.deadline() != before || state.stopped || state.give_up.is_some() {
            self.changed.notify_all();
        }
        answer
    }

    /// Asks the lifecycle something.
    pub(crate) fn ask_server<T>(&self, ask: impl FnOnce(&Server) -> T) -> T {
        ask(&self.lock().server)
    }

    /// The keeper's life: tells the lifecycle the time, and ends the server when that is over.
    pub(crate) fn keep(&self) {
        let mut state = self.lock();
        while !state.stopped {
            let now = self.clock.now();
            if state.give_up.is_some_and(|at| at <= now) {
                break;
            }
            if state.server.deadline().is_some_and(|at| at <= now) {
                state.server.handle_timeout(now);
                self.obey(&mut state);
                continue;
            }
            let until = [state.server.deadline(), state.give_up].into_iter().flatten().min();
            state = match until {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let waited = self.changed.wait_timeout(state, until - now);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        let given_up = state.give_up.is_some_and(|at| at <= self.clock.now());
        drop(state);

        self.lanes.close();
        let left_behind = self.crew.wait(if given_up { Duration::ZERO } else { self.patience });
        self.hub.close();
        let mut state = self.lock();
        state.summary = Some(Summary {
            counters: *state.server.counters(),
            aborted: self.control.abort_reason(),
            left_behind,
            lasted: self.clock.now() - Instant::ORIGIN,
        });
        self.changed.notify_all();
    }

    /// Waits for the keeper's end.
    pub(crate) fn wait(&self, at_most: Option<Duration>) -> Option<Summary> {
        let until = at_most.map(|at_most| self.clock.now() + at_most);
        let mut state = self.lock();
        while state.summary.is_none() {
            state = match until {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left = until - self.clock.now();
                    if left.is_zero() {
                        return None;
                    }
                    self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        state.summary
    }

    fn obey(&self, state: &mut State) {
        while let Some(action) = state.server.poll_action() {
            match action {
                Action::StartAccepting(_) | Action::PauseAccepting(_) | Action::CloseListener(_) => {
                    ring(&self.acceptor_bell);
                }
                Action::Drain => self.control.drain(),
                Action::Abort(reason) => {
                    self.control.abort(reason);
                    state.give_up = Some(self.clock.now() + self.patience);
                }
                Action::Stopped => state.stopped = true,
            }
        }
        while let Some(event) = state.server.poll_event() {
            self.hub.tell(event);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The lifecycle's calls do not panic; should one, what it last held is still the best there is.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("control", &self.control).finish_non_exhaustive()
    }
}

/// A connection that the lifecycle admitted, on its way to the thread that carries it. Wherever that way ends, the
/// lifecycle is told that it is closed, after its descriptor was.
#[derive(Debug)]
pub(crate) struct Admitted {
    connection: Connection,
    welcome: Welcome,
    listener: ListenerId,
    permit: Permit,
}

/// How an admitted connection is met.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Welcome {
    Serve,
    Refuse,
}

#[derive(Debug)]
struct Permit {
    shared: Arc<Shared>,
    id: ConnectionId,
    reason: CloseReason,
}

impl Admitted {
    pub(crate) fn new(
        shared: Arc<Shared>,
        connection: Connection,
        welcome: Welcome,
        listener: ListenerId,
        id: ConnectionId,
    ) -> Self {
        // What stands if nobody gets as far as to say better.
        let reason = CloseReason::Aborted(AbortReason::Driver);
        Self { connection, welcome, listener, permit: Permit { shared, id, reason } }
    }

    /// Where it came in.
    pub(crate) const fn listener(&self) -> ListenerId {
        self.listener
    }

    /// Carries the connection to its end on this thread.
    pub(crate) fn carry(self, parker: &Arc<Parker>, attend: &mut dyn FnMut()) {
        let Self { connection: Connection { socket, local, peer }, welcome, mut permit, .. } = self;
        let shared = permit.shared.clone();
        let info = ConnectionInfo::new(permit.id).with_addresses(local, peer);
        // A flow that panics breaks a law; that must cost its own connection and nobody else's. What it was lent is
        // dropped with it.
        let reason = catch_unwind(AssertUnwindSafe(|| {
            let now = shared.clock.now();
            let mut flow = match welcome {
                Welcome::Serve => shared.protocol.connect(info, now),
                Welcome::Refuse => shared.protocol.refuse(info, now)?,
            };
            let environment = Environment {
                clock: shared.clock,
                control: &shared.control,
                stash: &shared.stash,
                exec: &|job| shared.lanes.exec(job),
            };
            Some(carry(&mut *flow, socket, environment, parker, attend))
        }));
        if let Ok(Some(reason)) = reason {
            permit.reason = reason;
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let (id, reason) = (self.id, self.reason);
        self.shared.with_server(|server, now| server.handle_closed(id, reason, now));
    }
}
