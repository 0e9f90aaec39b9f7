//! What a server promises, as a ledger of what happened to it.
//!
//! The model writes down everything and derives the rest: its sums are counted anew from the ledger each time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::time::Duration;

use anabranch_core::lifecycle::{
    AcceptErrorKind, Action, Admission, Alarm, AtLimit, Counters, DropCause, Event, EventKind, ListenerId,
    Phase, ServerConfig,
};
use anabranch_core::{AbortReason, CloseReason, ConnectionId, Instant};

/// Something that happens to a server, or is asked of it.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    Bound(ListenerId),
    Accepted(ListenerId),
    Closed(ConnectionId),
    AcceptError(ListenerId, AcceptErrorKind),
    AcceptingLost,
    Passes(Duration),
    Timeout,
    Suspend,
    Resume,
    Stop(Duration),
    Abort,
    PollAction,
    PollActions,
    PollEvents,
}

/// What an input gives back.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) enum Answer {
    #[default]
    Nothing,
    Admission(Admission),
    Actions(Vec<Action>),
    Events(Vec<Event>),
}

/// A listener, and what its owner knows of it.
#[derive(Clone, Copy, Debug)]
struct Listener {
    id: ListenerId,
    told_to_accept: bool,
    to_close: bool,
}

/// The latest pause after descriptors ran out.
#[derive(Clone, Copy, Debug)]
struct Pause {
    length: Duration,
    until: Instant,
    over: bool,
}

#[derive(Clone)]
pub(crate) struct Model {
    pub(crate) config: ServerConfig,
    pub(crate) now: Instant,
    pub(crate) phase: Phase,
    /// All that ever happened.
    pub(crate) ledger: Vec<Event>,
    pub(crate) answer: Answer,
    untold: VecDeque<Event>,
    lost: u64,
    listeners: Vec<Listener>,
    /// Whether each is served; the others are told that there is no room.
    open: BTreeMap<ConnectionId, (bool, Instant)>,
    pause: Option<Pause>,
    order: Option<Action>,
    told_stopped: bool,
}

/// All that a failure is to show of it.
impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.config)
    }
}

impl Model {
    pub(crate) fn new(config: ServerConfig) -> Self {
        Self {
            config,
            now: Instant::ORIGIN,
            phase: Phase::Running,
            ledger: Vec::new(),
            answer: Answer::Nothing,
            untold: VecDeque::new(),
            lost: 0,
            listeners: Vec::new(),
            open: BTreeMap::new(),
            pause: None,
            order: None,
            told_stopped: false,
        }
    }

    pub(crate) fn apply(&mut self, input: &Input) {
        self.answer = Answer::Nothing;
        match *input {
            Input::Bound(id) => self.bound(id),
            Input::Accepted(id) => self.answer = Answer::Admission(self.accepted(id)),
            Input::Closed(id) => self.closed(id),
            Input::AcceptError(id, kind) => self.accept_error(id, kind),
            Input::AcceptingLost => {
                for Listener { id, .. } in
                    self.listeners.clone().into_iter().filter(|listener| !listener.to_close)
                {
                    self.accept_error(id, AcceptErrorKind::Fatal);
                }
            }
            Input::Passes(time) => self.now += time,
            Input::Timeout => self.timeout(),
            Input::Suspend if self.phase == Phase::Running => {
                self.phase = Phase::Suspended;
                self.note(EventKind::Suspended);
            }
            Input::Resume if self.phase == Phase::Suspended => {
                self.phase = Phase::Running;
                self.note(EventKind::Resumed);
            }
            Input::Suspend | Input::Resume => {}
            Input::Stop(grace) => self.stop(grace),
            Input::Abort => self.abort(AbortReason::Requested),
            Input::PollAction => self.answer = Answer::Actions(self.next_action().into_iter().collect()),
            Input::PollActions => {
                self.answer = Answer::Actions(std::iter::from_fn(|| self.next_action()).collect());
            }
            Input::PollEvents => self.answer = Answer::Events(self.untold.drain(..).collect()),
        }
    }

    // ---- what is known of it ----

    pub(crate) fn open_connections(&self) -> impl Iterator<Item = ConnectionId> + '_ {
        self.open.keys().copied()
    }

    /// Whoever accepts does so while the server runs, has room or says that it has none, and is not out of descriptors.
    pub(crate) fn is_accepting(&self, id: ListenerId) -> bool {
        let has_room = self.served() < self.config.max_connections || self.config.at_limit == AtLimit::Refuse;
        self.phase == Phase::Running && has_room && !self.is_pausing() && self.is_listening(id)
    }

    pub(crate) fn is_listening(&self, id: ListenerId) -> bool {
        self.listeners.iter().any(|listener| listener.id == id && !listener.to_close)
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Running | Phase::Suspended => {
                self.pause.filter(|pause| !pause.over).map(|pause| pause.until)
            }
            Phase::Draining { until } => Some(until),
            Phase::Aborting | Phase::Stopped => None,
        }
    }

    /// Counted from the ledger.
    pub(crate) fn counters(&self) -> Counters {
        let mut sums = Counters::default();
        let mut served = BTreeSet::new();
        for event in &self.ledger {
            match event.kind {
                EventKind::Opened { connection, .. } => {
                    sums.served += 1;
                    served.insert(connection);
                    sums.peak = sums.peak.max(served.len());
                }
                EventKind::Refused { .. } => sums.refused += 1,
                EventKind::Dropped { .. } => sums.dropped += 1,
                EventKind::Closed { connection, .. } => {
                    sums.closed += 1;
                    served.remove(&connection);
                }
                EventKind::AcceptFailed { kind, .. } => {
                    *match kind {
                        AcceptErrorKind::Transient => &mut sums.accept_errors.transient,
                        AcceptErrorKind::Exhausted => &mut sums.accept_errors.exhausted,
                        AcceptErrorKind::Fatal => &mut sums.accept_errors.fatal,
                    } += 1;
                }
                _ => {}
            }
        }
        sums.accepted = sums.served + sums.refused + sums.dropped;
        sums.open = served.len();
        sums.refusing = (sums.served + sums.refused - sums.closed) as usize - served.len();
        sums.events_lost = self.lost;
        sums
    }

    // ---- what happens ----

    fn bound(&mut self, id: ListenerId) {
        if self.told_stopped || self.listeners.iter().any(|listener| listener.id == id) {
            return;
        }
        let to_close = self.is_stopping();
        self.listeners.push(Listener { id, told_to_accept: false, to_close });
        if !to_close {
            self.note(EventKind::Listening { listener: id, address: None });
        }
    }

    fn accepted(&mut self, listener: ListenerId) -> Admission {
        let has_room = self.served() < self.config.max_connections;
        if !has_room && !self.is_stopping() && self.config.at_limit == AtLimit::Pause {
            return Admission::Wait;
        }
        if self.pause.is_some_and(|pause| pause.over) {
            self.pause = None;
            self.note(EventKind::AcceptRecovered);
        }
        let connection = ConnectionId(self.opened() + 1);
        let refusing = self.open.len() - self.served();
        if self.is_stopping() {
            self.note(EventKind::Dropped { listener, cause: DropCause::Stopping });
            Admission::Drop
        } else if has_room {
            self.open.insert(connection, (true, self.now));
            self.note(EventKind::Opened { connection, listener });
            if self.served() == self.config.max_connections {
                self.note(EventKind::LimitReached { max_connections: self.config.max_connections });
            }
            Admission::Serve(connection)
        } else if refusing < self.config.max_refusals {
            self.open.insert(connection, (false, self.now));
            self.note(EventKind::Refused { connection, listener });
            Admission::Refuse(connection)
        } else {
            self.note(EventKind::Dropped { listener, cause: DropCause::NoRoom });
            Admission::Drop
        }
    }

    fn closed(&mut self, connection: ConnectionId) {
        let was_full = self.served() == self.config.max_connections;
        let Some((served, since)) = self.open.remove(&connection) else { return };
        // Of when it was opened, the last nanosecond is not kept.
        let lasted = self.now - Instant::from_nanos(since.as_nanos() & !1);
        self.note(EventKind::Closed { connection, reason: CloseReason::Finished, lasted });
        if served && was_full {
            self.note(EventKind::LimitLeft);
        }
        self.stop_if_empty();
    }

    fn accept_error(&mut self, id: ListenerId, kind: AcceptErrorKind) {
        self.note(EventKind::AcceptFailed { listener: id, kind });
        match kind {
            _ if self.is_stopping() => {}
            AcceptErrorKind::Transient => {}
            // Acceptors side by side report one exhaustion several times.
            AcceptErrorKind::Exhausted if self.is_pausing() => {}
            AcceptErrorKind::Exhausted => {
                let backoff = self.config.accept_backoff;
                let length = self.pause.map_or(backoff.first, |pause| 2 * pause.length).min(backoff.most);
                self.pause = Some(Pause { length, until: self.now + length, over: false });
                self.note(EventKind::Alarm(Alarm::Exhausted { pause: length }));
            }
            AcceptErrorKind::Fatal if self.is_listening(id) => {
                self.note(EventKind::Alarm(Alarm::ListenerFailed { listener: id }));
                self.close_listeners(|listener| listener == id);
                if self.listeners.iter().all(|listener| listener.to_close) {
                    self.note(EventKind::Alarm(Alarm::NoListenerLeft));
                    self.stop(self.config.grace);
                }
            }
            AcceptErrorKind::Fatal => {}
        }
    }

    fn timeout(&mut self) {
        if let Some(pause) = &mut self.pause {
            pause.over |= pause.until <= self.now;
        }
        if let Phase::Draining { until } = self.phase
            && until <= self.now
        {
            self.abort(AbortReason::GraceExpired);
        }
    }

    fn stop(&mut self, grace: Duration) {
        let until = self.now + grace;
        match self.phase {
            Phase::Running | Phase::Suspended => {
                self.phase = Phase::Draining { until };
                self.order = Some(Action::Drain);
                self.note(EventKind::Draining { until, open: self.open.len() });
                self.close_listeners(|_| true);
                self.stop_if_empty();
            }
            Phase::Draining { until: before } if until < before => self.phase = Phase::Draining { until },
            Phase::Draining { .. } | Phase::Aborting | Phase::Stopped => {}
        }
    }

    fn abort(&mut self, reason: AbortReason) {
        if !matches!(self.phase, Phase::Aborting | Phase::Stopped) {
            self.phase = Phase::Aborting;
            self.order = Some(Action::Abort(reason));
            self.note(EventKind::Aborting { reason, open: self.open.len() });
            self.close_listeners(|_| true);
            self.stop_if_empty();
        }
    }

    /// Listeners are closed, those that stay are told what changed, connections are told to end, and then all is over.
    fn next_action(&mut self) -> Option<Action> {
        if let Some(at) = self.listeners.iter().position(|listener| listener.to_close) {
            return Some(Action::CloseListener(self.listeners.remove(at).id));
        }
        for at in 0..self.listeners.len() {
            let Listener { id, told_to_accept, .. } = self.listeners[at];
            let accepts = self.is_accepting(id);
            if accepts != told_to_accept {
                self.listeners[at].told_to_accept = accepts;
                return Some(if accepts { Action::StartAccepting(id) } else { Action::PauseAccepting(id) });
            }
        }
        if self.order.is_some() {
            return self.order.take();
        }
        let stopped = self.phase == Phase::Stopped && !self.told_stopped;
        self.told_stopped |= stopped;
        stopped.then_some(Action::Stopped)
    }

    fn close_listeners(&mut self, which: impl Fn(ListenerId) -> bool) {
        for at in 0..self.listeners.len() {
            let listener = self.listeners[at].id;
            if which(listener) && !std::mem::replace(&mut self.listeners[at].to_close, true) {
                self.note(EventKind::ListenerClosed { listener });
            }
        }
    }

    fn stop_if_empty(&mut self) {
        if self.is_stopping() && self.phase != Phase::Stopped && self.open.is_empty() {
            self.note(EventKind::Stopped);
            self.phase = Phase::Stopped;
        }
    }

    /// Writes it down; it is told to whoever asks in time, up to the end of the server.
    fn note(&mut self, kind: EventKind) {
        let event = Event { at: self.now, kind };
        self.ledger.push(event);
        if self.phase != Phase::Stopped {
            self.untold.push_back(event);
            if self.untold.len() > self.config.max_events {
                self.untold.pop_front();
                self.lost += 1;
            }
        }
    }

    // ---- sums ----

    fn served(&self) -> usize {
        self.open.values().filter(|(served, _)| *served).count()
    }

    /// Connections that were ever given a number.
    fn opened(&self) -> u64 {
        let numbered =
            |event: &&Event| matches!(event.kind, EventKind::Opened { .. } | EventKind::Refused { .. });
        self.ledger.iter().filter(numbered).count() as u64
    }

    fn is_pausing(&self) -> bool {
        self.pause.is_some_and(|pause| !pause.over)
    }

    fn is_stopping(&self) -> bool {
        !matches!(self.phase, Phase::Running | Phase::Suspended)
    }
}
