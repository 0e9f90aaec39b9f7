//! The machine itself: what happened goes in, what to do comes out.

use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;
use std::collections::VecDeque;

use super::accept::{AcceptErrorKind, Exhaustion};
use super::config::{AtLimit, ServerConfig};
use super::event::{Alarm, Counters, DropCause, Event, EventKind};
use super::phase::{Cause, Phase};
use super::roster::Roster;
use crate::flow::{AbortReason, CloseReason};
use crate::info::ConnectionId;
use crate::time::Instant;

/// A listener's number, chosen by the binding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ListenerId(pub usize);

impl fmt::Display for ListenerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "l{}", self.0)
    }
}

/// What to do with a connection that was just accepted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[must_use = "an admitted connection counts until handle_closed"]
pub enum Admission {
    /// Serve it ([`Protocol::connect`](crate::Protocol::connect)), and say [`Server::handle_closed`] when it ended.
    Serve(ConnectionId),
    /// Tell it that there is no room ([`Protocol::refuse`](crate::Protocol::refuse)), and say
    /// [`Server::handle_closed`] when that is done.
    Refuse(ConnectionId),
    /// Keep it as it is, with whoever waits in the kernel's queue: it was accepted while another took the last place. Ask again,
    /// before any other of its listener, once that [accepts](Server::is_accepting), and close it when that is closed. Nobody
    /// heard of it, and it counts for nothing.
    Wait,
    /// Close it at once. It has no number; nothing more need be said.
    Drop,
}

/// What the machine wants done.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[must_use = "an action is given once"]
pub enum Action {
    /// Accept connections on this listener.
    StartAccepting(ListenerId),
    /// Accept none for the time being; leave the socket open, so that the kernel keeps newcomers waiting.
    PauseAccepting(ListenerId),
    /// Close this listener's socket.
    CloseListener(ListenerId),
    /// [`drain`](crate::Flow::drain) every connection that is open.
    Drain,
    /// [`abort`](crate::Flow::abort) every connection that is open, and close it.
    Abort(AbortReason),
    /// All is over. The last action.
    Stopped,
}

/// A server's life. See the [module](super) for the states and for how a binding uses it.
///
/// Calls that come too late, twice or for an id that is unknown are harmless: threads may race.
#[derive(Debug)]
pub struct Server {
    config: ServerConfig,
    phase: Phase,
    listeners: Vec<Listener>,
    connections: Roster<Connection>,
    exhaustion: Exhaustion,
    last_id: u64,
    /// The latest of Drain and Abort that was not yet given out: an abort makes a drain pointless.
    order: Option<Action>,
    /// Whether [`Action::Stopped`] was given out.
    over: bool,
    counters: Counters,
    events: VecDeque<Event>,
}

#[derive(Clone, Copy, Debug)]
struct Listener {
    id: ListenerId,
    state: ListenerState,
}

/// What the binding was last told about a listener, or that it is to be told to close it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ListenerState {
    Paused,
    Accepting,
    Closing,
}

/// When a connection was opened, in nanoseconds, and in the lowest bit whether it is refused: there is one of these for
/// each connection.
#[derive(Clone, Copy, Debug)]
struct Connection(u64);

impl Connection {
    const fn new(kind: ConnectionKind, opened_at: Instant) -> Self {
        Self(opened_at.as_nanos() & !1 | matches!(kind, ConnectionKind::Refused) as u64)
    }

    const fn kind(self) -> ConnectionKind {
        if self.0 & 1 == 0 { ConnectionKind::Served } else { ConnectionKind::Refused }
    }

    const fn opened_at(self) -> Instant {
        Instant::from_nanos(self.0 & !1)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ConnectionKind {
    Served,
    Refused,
}

impl Server {
    /// A server that runs and has no listener yet.
    #[must_use]
    pub fn new(config: ServerConfig) -> Self {
        Self {
            config,
            phase: Phase::Running,
            listeners: Vec::new(),
            connections: Roster::new(),
            exhaustion: Exhaustion::Clear,
            last_id: 0,
            order: None,
            over: false,
            counters: Counters::default(),
            events: VecDeque::new(),
        }
    }

    // ---- inputs ----

    /// *Input.* A socket listens under this number. It is told to start when [`poll_action`](Self::poll_action) says so;
    /// once the server stops, to close. After [`Action::Stopped`] the call is ignored: the caller closes what it bound.
    pub fn handle_bound(&mut self, id: ListenerId, address: Option<SocketAddr>, now: Instant) {
        if self.over || self.listeners.iter().any(|listener| listener.id == id) {
            return;
        }
        let state = if self.phase.is_stopping() { ListenerState::Closing } else { ListenerState::Paused };
        self.listeners.push(Listener { id, state });
        if state != ListenerState::Closing {
            self.record(EventKind::Listening { listener: id, address }, now);
        }
    }

    /// *Input.* A connection was accepted: says what to do with it.
    ///
    /// Never serves more than [`max_connections`](ServerConfig::max_connections). A connection that was accepted in a race
    /// with a pause is served if there is room. If there is none it waits, under [`AtLimit::Pause`]: the kernel takes nobody
    /// back, so that whoever accepted it keeps it. One accepted in a race with a stop is dropped.
    pub fn handle_accepted(&mut self, listener: ListenerId, now: Instant) -> Admission {
        let has_room = self.counters.open < self.config.max_connections;
        if !has_room && self.config.at_limit == AtLimit::Pause && !self.phase.is_stopping() {
            return Admission::Wait;
        }
        self.counters.accepted += 1;
        if self.exhaustion.end() {
            self.record(EventKind::AcceptRecovered, now);
        }
        if self.phase.is_stopping() {
            return self.drop_connection(listener, DropCause::Stopping, now);
        }
        if has_room {
            return self.serve(listener, now);
        }
        if self.counters.refusing < self.config.max_refusals {
            return self.refuse(listener, now);
        }
        self.drop_connection(listener, DropCause::NoRoom, now)
    }

    /// *Input.* A connection, served or refused, was closed. Its descriptor must be closed by then: the next connection may
    /// need it.
    pub fn handle_closed(&mut self, connection: ConnectionId, reason: CloseReason, now: Instant) {
        let Some(closed) = self.connections.remove(connection.0) else { return };
        self.counters.closed += 1;
        let lasted = now - closed.opened_at();
        self.record(EventKind::Closed { connection, reason, lasted }, now);
        match closed.kind() {
            ConnectionKind::Refused => self.counters.refusing -= 1,
            ConnectionKind::Served => {
                let was_full = self.counters.open == self.config.max_connections;
                self.counters.open -= 1;
                if was_full {
                    self.record(EventKind::LimitLeft, now);
                }
            }
        }
        self.stop_if_nothing_is_open(now);
    }

    /// *Input.* `accept` failed. [`AcceptErrorKind::of`] says how; `WouldBlock` is not a failure.
    ///
    /// Transient: go on. Exhausted: all listeners pause, longer each time until one connection was accepted again.
    /// Fatal: the listener is closed, and the server stops when it was the last.
    pub fn handle_accept_error(&mut self, id: ListenerId, kind: AcceptErrorKind, now: Instant) {
        self.counters.accept_errors.count(kind);
        self.record(EventKind::AcceptFailed { listener: id, kind }, now);
        if self.phase.is_stopping() {
            return;
        }
        match kind {
            AcceptErrorKind::Transient => {}
            AcceptErrorKind::Exhausted => {
                if let Some(pause) = self.exhaustion.begin(self.config.accept_backoff, now) {
                    self.record(EventKind::Alarm(Alarm::Exhausted { pause }), now);
                }
            }
            AcceptErrorKind::Fatal => self.fail_listener(id, now),
        }
    }

    /// *Input.* A thread that the listeners need is lost and cannot be had again: some who knock would never be heard. All
    /// listeners count as failed ([`AcceptErrorKind::Fatal`]), and the server stops.
    pub fn handle_accepting_lost(&mut self, now: Instant) {
        let open: Vec<ListenerId> = self.listening().collect();
        for id in open {
            self.handle_accept_error(id, AcceptErrorKind::Fatal, now);
        }
    }

    /// *Input.* [`deadline`](Self::deadline) has passed. Harmless when it has not.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.exhaustion.handle_timeout(now);
        if let Phase::Draining { until } = self.phase
            && until <= now
        {
            self.begin_abort(AbortReason::GraceExpired, now);
        }
    }

    // ---- commands ----

    /// *Command.* Accept nobody until [`resume`](Self::resume); go on serving. Does nothing once the server stops.
    pub fn suspend(&mut self, now: Instant) {
        if self.enter(Cause::Suspend) {
            self.record(EventKind::Suspended, now);
        }
    }

    /// *Command.* Accept again. Does nothing unless suspended.
    pub fn resume(&mut self, now: Instant) {
        if self.enter(Cause::Resume) {
            self.record(EventKind::Resumed, now);
        }
    }

    /// *Command.* Stop: close the listeners, finish what has begun within `grace`, abort what is open then. Given again, it
    /// may shorten the grace and never lengthens it.
    pub fn stop(&mut self, grace: Duration, now: Instant) {
        let (until, was_stopping) = (now + grace, self.phase.is_stopping());
        if self.enter(Cause::Stop { until }) && !was_stopping {
            self.order = Some(Action::Drain);
            let open = self.connections.len();
            self.record(EventKind::Draining { until, open }, now);
            self.close_listeners(now);
            self.stop_if_nothing_is_open(now);
        }
    }

    /// *Command.* End every connection now, in whatever phase, and stop.
    pub fn abort(&mut self, now: Instant) {
        self.begin_abort(AbortReason::Requested, now);
    }

    // ---- outputs ----

    /// *Output.* The next thing to do; poll until it gives `None`, after every call. What changed back before it was
    /// polled is not mentioned.
    pub fn poll_action(&mut self) -> Option<Action> {
        if let Some(at) = self.listeners.iter().position(|listener| listener.state == ListenerState::Closing)
        {
            return Some(Action::CloseListener(self.listeners.remove(at).id));
        }
        let wanted = if self.accepts() { ListenerState::Accepting } else { ListenerState::Paused };
        if let Some(listener) = self.listeners.iter_mut().find(|listener| listener.state != wanted) {
            listener.state = wanted;
            return Some(match wanted {
                ListenerState::Accepting => Action::StartAccepting(listener.id),
                ListenerState::Paused | ListenerState::Closing => Action::PauseAccepting(listener.id),
            });
        }
        if let Some(order) = self.order.take() {
            return Some(order);
        }
        if self.phase == Phase::Stopped && !self.over {
            self.over = true;
            return Some(Action::Stopped);
        }
        None
    }

    /// *Output.* The oldest event that was not yet taken. Whoever has no use for events may leave them: they are bounded by
    /// [`max_events`](ServerConfig::max_events).
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    // ---- questions ----

    /// *Question.* When [`handle_timeout`](Self::handle_timeout) is due; `None` while nothing waits for time.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Running | Phase::Suspended => self.exhaustion.deadline(),
            Phase::Draining { until } => Some(until),
            Phase::Aborting | Phase::Stopped => None,
        }
    }

    /// *Question.* Where the server is in its life.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// *Question.* Whether `accept` may be called on this listener. True at once when the last action polled would say so,
    /// whether or not it was polled.
    #[must_use]
    pub fn is_accepting(&self, id: ListenerId) -> bool {
        self.accepts() && self.is_listening(id)
    }

    /// *Question.* Whether this listener joined and is not to be closed: an acceptor thread ends when it is not.
    #[must_use]
    pub fn is_listening(&self, id: ListenerId) -> bool {
        self.listening().any(|listening| listening == id)
    }

    /// *Question.* The sums so far.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// *Question.* The numbers of all connections that are open, refused ones included, oldest first.
    pub fn open_connections(&self) -> impl Iterator<Item = ConnectionId> + '_ {
        self.connections.numbers().map(ConnectionId)
    }

    // ---- within ----

    fn serve(&mut self, listener: ListenerId, now: Instant) -> Admission {
        let connection = self.open(ConnectionKind::Served, now);
        self.counters.served += 1;
        self.counters.open += 1;
        self.counters.peak = self.counters.peak.max(self.counters.open);
        self.record(EventKind::Opened { connection, listener }, now);
        let max_connections = self.config.max_connections;
        if self.counters.open == max_connections {
            self.record(EventKind::LimitReached { max_connections }, now);
        }
        Admission::Serve(connection)
    }

    fn refuse(&mut self, listener: ListenerId, now: Instant) -> Admission {
        let connection = self.open(ConnectionKind::Refused, now);
        self.counters.refused += 1;
        self.counters.refusing += 1;
        self.record(EventKind::Refused { connection, listener }, now);
        Admission::Refuse(connection)
    }

    fn drop_connection(&mut self, listener: ListenerId, cause: DropCause, now: Instant) -> Admission {
        self.counters.dropped += 1;
        self.record(EventKind::Dropped { listener, cause }, now);
        Admission::Drop
    }

    fn open(&mut self, kind: ConnectionKind, now: Instant) -> ConnectionId {
        self.last_id += 1;
        self.connections.push(self.last_id, Connection::new(kind, now));
        ConnectionId(self.last_id)
    }

    fn fail_listener(&mut self, id: ListenerId, now: Instant) {
        let Some(listener) = self.listeners.iter_mut().find(|listener| listener.id == id) else { return };
        if listener.state == ListenerState::Closing {
            return;
        }
        listener.state = ListenerState::Closing;
        self.record(EventKind::Alarm(Alarm::ListenerFailed { listener: id }), now);
        self.record(EventKind::ListenerClosed { listener: id }, now);
        if self.listening().next().is_none() {
            self.record(EventKind::Alarm(Alarm::NoListenerLeft), now);
            self.stop(self.config.grace, now);
        }
    }

    fn begin_abort(&mut self, reason: AbortReason, now: Instant) {
        if self.enter(Cause::Abort) {
            self.order = Some(Action::Abort(reason));
            let open = self.connections.len();
            self.record(EventKind::Aborting { reason, open }, now);
            self.close_listeners(now);
            self.stop_if_nothing_is_open(now);
        }
    }

    fn close_listeners(&mut self, now: Instant) {
        for at in 0..self.listeners.len() {
            let listener = &mut self.listeners[at];
            if listener.state != ListenerState::Closing {
                listener.state = ListenerState::Closing;
                let id = listener.id;
                self.record(EventKind::ListenerClosed { listener: id }, now);
            }
        }
    }

    fn stop_if_nothing_is_open(&mut self, now: Instant) {
        if self.connections.is_empty()
            && let Some(phase) = self.phase.next(Cause::NothingOpen)
        {
            // The last event, and a stopped server keeps none.
            self.record(EventKind::Stopped, now);
            self.phase = phase;
        }
    }

    /// Moves on to the phase that `cause` leads to. Says whether it leads anywhere.
    fn enter(&mut self, cause: Cause) -> bool {
        let next = self.phase.next(cause);
        self.phase = next.unwrap_or(self.phase);
        next.is_some()
    }

    /// Keeps an event, the newest rather than the oldest; none after [`EventKind::Stopped`].
    fn record(&mut self, kind: EventKind, now: Instant) {
        if self.phase == Phase::Stopped {
            return;
        }
        if self.events.len() >= self.config.max_events {
            self.counters.events_lost += 1;
            if self.events.pop_front().is_none() {
                return;
            }
        }
        self.events.push_back(Event { at: now, kind });
    }

    /// The listeners that joined and are not to be closed, in the order in which they joined.
    fn listening(&self) -> impl Iterator<Item = ListenerId> + '_ {
        let open = self.listeners.iter().filter(|listener| listener.state != ListenerState::Closing);
        open.map(|listener| listener.id)
    }

    /// Whether listeners may accept, whichever they are.
    fn accepts(&self) -> bool {
        let held = self.exhaustion.deadline().is_some();
        let full = self.counters.open >= self.config.max_connections;
        self.phase == Phase::Running && !held && !(full && self.config.at_limit == AtLimit::Pause)
    }
}
