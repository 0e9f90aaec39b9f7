//! What every binding stands on: a server as its threads share it, and the one place where its lifecycle's orders are
//! carried out. For those who write a binding of their own; whoever only serves needs none of it.
//!
//! ```text
//!   acceptors  accepted, accept failed ─┐                      ┌─► Bells: listeners start, pause or close; drain; abort
//!   permits    closed ──────────────────┼─► lifecycle::Server ─┼─► Host::stop: what connections are to do
//!   Handle     suspend, resume, stop ───┤     (one lock)       ├─► Events
//!   keeper     time ────────────────────┘                      └─► the keeper: its deadline moved, or all is over
//! ```
//!
//! A binding is a [`Binding`]: it starts threads with [`Host::spawn`]. These accept what [`Host::admit`] has a place for,
//! make flows with [`Admitted::connect`], carry them with [`drive::turn`](anabranch_core::drive::turn), hand their jobs to
//! [`Host::exec`], and do what [`Host::stop`] says whenever the [`Bell`] they hung up is rung. A thread ends by itself once
//! its listeners are closed and its connections are done. Everything else is the same for all bindings, and here.

mod acceptor;
mod permit;
mod processors;
mod receive;
mod reset;
mod ring;
mod send;
mod stop;
mod tasks;
mod workspace;

use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use anabranch_core::lifecycle::{AcceptErrorKind, Action, Admission, Counters, ListenerId, Server};
use anabranch_core::{AbortReason, ConnectionInfo, Flow, Instant, Job, Protocol};

use crate::config::Config;
use crate::crew::Crew;
use crate::events::Hub;
use crate::lanes::Lanes;
use crate::listener::{Connection, Listener};

pub use anabranch_core::drive::Stop;

pub use acceptor::{Acceptor, AcceptorBell, Placement};
pub use permit::Permit;
pub use processors::processors;
pub use receive::receive;
pub use reset::reset;
pub use ring::Ring;
pub use send::{send, send_last};
use stop::StopState;
pub use tasks::{Accepting, Carried, PollAccept, Tasks};
pub use workspace::{Clock, Workspace};

/// What starts a server's threads: the model of a [`Config`].
pub trait Binding {
    /// Starts the threads that carry the connections of `listeners`, which are numbered in their order.
    ///
    /// # Errors
    /// When the system gives no descriptor or thread: the server is then aborted, and what was started ends.
    fn start(&self, host: &Arc<Host>, config: &Config<Self>, listeners: Vec<Listener>) -> io::Result<()>
    where
        Self: Sized;
}

/// How a server calls for the attention of a binding's threads.
pub trait Bell: Send + Sync {
    /// Something changed: which listeners accept or are closed, or what connections are to do. Rung from any thread, under
    /// the server's lock: it must not block, nor ask the server.
    fn ring(&self, stop: Stop);
}

/// A running server, as its threads share it.
pub struct Host {
    clock: Clock,
    stop: StopState,
    crew: Arc<Crew>,
    lanes: Lanes,
    protocol: Box<dyn Protocol>,
    patience: Duration,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    server: Server,
    hub: Hub,
    bells: Vec<Arc<dyn Bell>>,
    /// The lifecycle said so.
    stopped: bool,
    /// When what is still open is given up.
    give_up: Option<Instant>,
    summary: Option<Summary>,
    /// Tasks that wait for it.
    waiting: Vec<Waker>,
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

impl Host {
    pub(crate) fn new<B>(config: &Config<B>, protocol: Box<dyn Protocol>) -> Self {
        let crew = Arc::new(Crew::new(&config.name, config.stack_bytes));
        Self {
            clock: Clock::start(),
            stop: StopState::default(),
            lanes: Lanes::new(&config.lanes, crew.clone()),
            crew,
            protocol,
            patience: config.patience,
            state: Mutex::new(State {
                server: Server::new(config.server.clone()),
                hub: Hub::new(config.server.max_events),
                bells: Vec::new(),
                stopped: false,
                give_up: None,
                summary: None,
                waiting: Vec::new(),
            }),
            changed: Condvar::new(),
        }
    }

    /// The server's clock: the same for all of its threads.
    #[must_use]
    pub const fn clock(&self) -> Clock {
        self.clock
    }

    /// What connections are to do. Costs nothing: look as often as you like.
    #[must_use]
    pub fn stop(&self) -> Stop {
        self.stop.get()
    }

    /// Has `bell` rung whenever something changes. Look everything up once after this.
    pub fn hang(&self, bell: Arc<dyn Bell>) {
        self.lock().bells.push(bell);
    }

    /// Starts a thread of the server's, named for its role. The server has not ended before it has.
    ///
    /// # Errors
    /// When the system gives none: `work` is then dropped.
    pub fn spawn(&self, role: impl fmt::Display, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        self.crew.spawn(role, work)
    }

    /// Hands `job` to its lane, or gives it back when there is no room.
    ///
    /// # Errors
    /// The job.
    pub fn exec(&self, job: Job) -> Result<(), Job> {
        self.lanes.exec(job)
    }

    /// As [`exec`](Self::exec), for a thread that has more to do before it waits: nobody is woken for the job before
    /// [`call_lanes`](Self::call_lanes), which is to follow.
    ///
    /// # Errors
    /// The job.
    pub fn put(&self, job: Job) -> Result<(), Job> {
        self.lanes.put(job)
    }

    /// Wakes threads of the lanes for all that was [put](Self::put) there.
    pub fn call_lanes(&self) {
        self.lanes.call();
    }

    /// Whether `accept` may be called on this listener now.
    #[must_use]
    pub fn is_accepting(&self, listener: ListenerId) -> bool {
        self.ask_server(|server| server.is_accepting(listener))
    }

    /// Whether this listener is to stay open.
    #[must_use]
    pub fn is_listening(&self, listener: ListenerId) -> bool {
        self.ask_server(|server| server.is_listening(listener))
    }

    /// `loops` lists of `listeners`, in their order: each loop's own, where the kernel shares connections out among several
    /// (SO_REUSEPORT), and otherwise the same one for all, who accept from it by turns.
    ///
    /// All are bound here, before the first loop runs: what is bound later would take from the queues of those before it.
    ///
    /// # Errors
    /// When one cannot be bound.
    pub fn share_out(listeners: Vec<Listener>, loops: usize) -> io::Result<Vec<Vec<Arc<Listener>>>> {
        let first: Vec<_> = listeners.into_iter().map(Arc::new).collect();
        let own = |listener: &Arc<Listener>| {
            if listener.is_shared() { listener.sibling().map(Arc::new) } else { Ok(listener.clone()) }
        };
        let siblings = (1..loops).map(|_| first.iter().map(own).collect::<io::Result<_>>());
        let siblings = siblings.collect::<io::Result<Vec<_>>>()?;
        Ok(std::iter::once(first).chain(siblings).collect())
    }

    /// Asks for a place for a connection that was just accepted, or that [waits](Admittance::Wait) and whose listener
    /// [accepts](Self::is_accepting) again.
    #[must_use]
    pub fn admit(self: &Arc<Self>, connection: Connection, listener: ListenerId) -> Admittance {
        let (welcome, id) = match self.with_server(|server, now| server.handle_accepted(listener, now)) {
            Admission::Serve(id) => (Welcome::Serve, id),
            Admission::Refuse(id) => (Welcome::Refuse, id),
            Admission::Wait => return Admittance::Wait(connection),
            Admission::Drop => return Admittance::Denied,
        };
        let permit = Permit::new(self.clone(), id);
        Admittance::Granted(Admitted { connection, welcome, listener, permit, host: self.clone() })
    }

    /// `accept` failed with anything but `WouldBlock`. Look up afterwards what the listeners are to do.
    pub fn accept_failed(&self, listener: ListenerId, error: &io::Error) {
        self.accept_failed_as(listener, AcceptErrorKind::of(error));
    }

    /// As [`accept_failed`](Self::accept_failed), where what failed was not `accept` itself but comes to the same.
    pub fn accept_failed_as(&self, listener: ListenerId, kind: AcceptErrorKind) {
        self.with_server(|server, now| server.handle_accept_error(listener, kind, now));
    }

    /// A thread that the listeners need is lost and cannot be had again: all of them count as failed, and the server stops.
    pub fn accepting_lost(&self) {
        self.with_server(Server::handle_accepting_lost);
    }

    fn abort_reason(&self) -> Option<AbortReason> {
        match self.stop() {
            Stop::Aborting(reason) => Some(reason),
            Stop::Running | Stop::Draining => None,
        }
    }

    pub(crate) fn subscribe(&self) -> crate::events::Events {
        let State { server, hub, .. } = &mut *self.lock();
        hub.subscribe(server)
    }

    pub(crate) fn thread_name(&self, role: &str) -> String {
        self.crew.thread_name(role)
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
        let mut state = self.lock();
        state.hub.close();
        state.summary = Some(Summary {
            counters: *state.server.counters(),
            aborted: self.abort_reason(),
            left_behind,
            lasted: self.clock.now() - Instant::ORIGIN,
        });
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        self.changed.notify_all();
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Ready at the keeper's end.
    pub(crate) fn poll_summary(&self, context: &Context<'_>) -> Poll<Summary> {
        let mut state = self.lock();
        if let Some(summary) = state.summary {
            return Poll::Ready(summary);
        }
        if !state.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
            state.waiting.push(context.waker().clone());
        }
        Poll::Pending
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
                Action::StartAccepting(_) | Action::PauseAccepting(_) | Action::CloseListener(_) => {}
                Action::Drain => self.stop.drain(),
                Action::Abort(reason) => {
                    self.stop.abort(reason);
                    state.give_up = Some(self.clock.now() + self.patience);
                }
                Action::Stopped => {
                    state.stopped = true;
                    continue;
                }
            }
            // Whoever is rung looks the state up, which is set by now.
            state.bells.iter().for_each(|bell| bell.ring(self.stop.get()));
        }
        state.hub.tell(&mut state.server);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The lifecycle's calls do not panic; should one, what it last held is still the best there is.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("stop", &self.stop()).finish_non_exhaustive()
    }
}

/// What the lifecycle says to a connection that was accepted.
#[derive(Debug)]
pub enum Admittance {
    /// It is carried.
    Granted(Admitted),
    /// It is to be kept, and asked for again, before any other of its listener, once that accepts again: it was accepted while
    /// another took the last place. When its listener is closed, it is too.
    Wait(Connection),
    /// It is closed already.
    Denied,
}

/// A connection that the lifecycle admitted, on its way to whoever carries it. Wherever that way ends, the lifecycle is
/// told that it is closed, after its descriptor was.
#[derive(Debug)]
pub struct Admitted {
    connection: Connection,
    welcome: Welcome,
    listener: ListenerId,
    permit: Permit,
    host: Arc<Host>,
}

/// How an admitted connection is met.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Welcome {
    /// It is served.
    Serve,
    /// It is told that there is no room, which may take a moment.
    Refuse,
}

impl Admitted {
    /// How it is met.
    #[must_use]
    pub const fn welcome(&self) -> Welcome {
        self.welcome
    }

    /// Where it came in.
    #[must_use]
    pub const fn listener(&self) -> ListenerId {
        self.listener
    }

    /// Its flow, and what it came with; `None` where it is to be refused without a word, and is closed already. `now` is
    /// the time of the thread that carries it.
    #[must_use]
    pub fn connect(self, now: Instant) -> Option<(Box<dyn Flow>, Connection, Permit)> {
        // In this order, should the protocol panic: the descriptor is closed before the permit says so.
        let Self { permit, connection, welcome, host, .. } = self;
        let info = ConnectionInfo::new(permit.id()).with_addresses(connection.local, connection.peer);
        let protocol = &host.protocol;
        let flow = match welcome {
            Welcome::Serve => Some(protocol.connect(info, now)),
            Welcome::Refuse => protocol.refuse(info, now),
        };
        let Some(flow) = flow else {
            drop(connection);
            return None;
        };
        Some((flow, connection, permit))
    }
}
