//! The life of a server, scene by scene, and then in any order at all.

use core::time::Duration;
use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::flow::{AbortReason, CloseReason};
use crate::info::ConnectionId;
use crate::time::Instant;

const L0: ListenerId = ListenerId(0);
const L1: ListenerId = ListenerId(1);
const T0: Instant = Instant::ORIGIN;
const GRACE: Duration = Duration::from_secs(15);

fn config(max_connections: usize, at_limit: AtLimit) -> ServerConfig {
    ServerConfig { max_connections, at_limit, max_refusals: 2, ..ServerConfig::default() }
}

/// A server with the listeners 0 and 1, told to accept.
fn running(config: ServerConfig) -> Server {
    let mut server = Server::new(config);
    server.handle_bound(L0, None, T0);
    server.handle_bound(L1, None, T0);
    assert_eq!(actions(&mut server), [Action::StartAccepting(L0), Action::StartAccepting(L1)]);
    server
}

fn actions(server: &mut Server) -> Vec<Action> {
    core::iter::from_fn(|| server.poll_action()).collect()
}

fn events(server: &mut Server) -> Vec<EventKind> {
    core::iter::from_fn(|| server.poll_event()).map(|event| event.kind).collect()
}

fn serve(server: &mut Server, listener: ListenerId) -> ConnectionId {
    match server.handle_accepted(listener, T0) {
        Admission::Serve(id) => id,
        other => panic!("expected to serve, got {other:?}"),
    }
}

#[test]
fn at_the_limit_all_listeners_pause_and_one_close_starts_them_again() {
    let mut server = running(config(2, AtLimit::Pause));
    let first = serve(&mut server, L0);
    assert_eq!(actions(&mut server), []);
    let _second = serve(&mut server, L1);
    assert_eq!(actions(&mut server), [Action::PauseAccepting(L0), Action::PauseAccepting(L1)]);
    assert!(!server.is_accepting(L0));
    server.handle_closed(first, CloseReason::PeerClosed, T0);
    assert!(server.is_accepting(L0));
    assert_eq!(actions(&mut server), [Action::StartAccepting(L0), Action::StartAccepting(L1)]);
}

#[test]
fn pause_that_ended_before_it_was_polled_is_not_mentioned() {
    let mut server = running(config(1, AtLimit::Pause));
    let only = serve(&mut server, L0);
    server.handle_closed(only, CloseReason::PeerClosed, T0);
    assert_eq!(actions(&mut server), []);
}

#[test]
fn connection_accepted_in_a_race_with_the_pause_waits_for_a_place() {
    let mut server = running(config(1, AtLimit::Pause));
    let first = serve(&mut server, L0);
    events(&mut server);
    let before = *server.counters();
    for _ in 0..3 {
        assert_eq!(server.handle_accepted(L1, T0), Admission::Wait);
    }
    assert_eq!((events(&mut server), *server.counters()), (vec![], before), "nobody heard of it");
    server.handle_closed(first, CloseReason::Finished, T0);
    assert!(server.is_accepting(L1));
    serve(&mut server, L1);
    assert_eq!(server.counters().accepted, 2);
    // While the server is suspended it waits too; once it stops there is nothing to wait for.
    server.suspend(T0);
    assert_eq!(server.handle_accepted(L1, T0), Admission::Wait);
    server.stop(Duration::ZERO, T0);
    assert_eq!(server.handle_accepted(L1, T0), Admission::Drop);
}

#[test]
fn with_refusal_at_the_limit_listeners_go_on_accepting() {
    let mut server = running(config(1, AtLimit::Refuse));
    serve(&mut server, L0);
    let Admission::Refuse(refused) = server.handle_accepted(L0, T0) else { panic!("there is no room") };
    assert!(matches!(server.handle_accepted(L0, T0), Admission::Refuse(_)));
    assert_eq!(server.handle_accepted(L0, T0), Admission::Drop);
    assert_eq!(actions(&mut server), []);
    assert!(server.is_accepting(L0));
    // A refusal that ended makes room for a refusal, not for a connection.
    server.handle_closed(refused, CloseReason::Finished, T0);
    assert!(matches!(server.handle_accepted(L0, T0), Admission::Refuse(_)));
    assert_eq!(server.counters().peak, 1);
}

#[test]
fn limit_of_zero_serves_nobody() {
    let mut server = Server::new(config(0, AtLimit::Pause));
    server.handle_bound(L0, None, T0);
    assert_eq!(actions(&mut server), []);
    assert_eq!(server.handle_accepted(L0, T0), Admission::Wait);
}

#[test]
fn exhaustion_pauses_all_listeners_alarms_and_recovers() {
    let mut server = running(config(9, AtLimit::Pause));
    events(&mut server);
    server.handle_accept_error(L0, AcceptErrorKind::Exhausted, T0);
    server.handle_accept_error(L1, AcceptErrorKind::Exhausted, T0);
    assert_eq!(actions(&mut server), [Action::PauseAccepting(L0), Action::PauseAccepting(L1)]);
    let pause = Backoff::default().first;
    assert_eq!(server.deadline(), Some(T0 + pause));
    let failed = |listener| EventKind::AcceptFailed { listener, kind: AcceptErrorKind::Exhausted };
    let alarm = EventKind::Alarm(Alarm::Exhausted { pause });
    assert_eq!(events(&mut server), [failed(L0), alarm, failed(L1)]);

    server.handle_timeout(T0);
    assert!(!server.is_accepting(L0), "the time has not come");
    server.handle_timeout(T0 + pause);
    assert_eq!(actions(&mut server), [Action::StartAccepting(L0), Action::StartAccepting(L1)]);
    assert_eq!(server.deadline(), None);

    server.handle_accept_error(L0, AcceptErrorKind::Exhausted, T0 + pause);
    assert_eq!(server.deadline(), Some(T0 + pause + 2 * pause), "it did not help: twice as long");
    server.handle_timeout(T0 + 3 * pause);
    serve(&mut server, L0);
    assert!(events(&mut server).contains(&EventKind::AcceptRecovered));
    assert_eq!(server.counters().accept_errors.exhausted, 3);
}

#[test]
fn transient_error_changes_nothing() {
    let mut server = running(config(9, AtLimit::Pause));
    server.handle_accept_error(L0, AcceptErrorKind::Transient, T0);
    assert_eq!(actions(&mut server), []);
    assert!(server.is_accepting(L0));
}

#[test]
fn failed_listener_is_closed_and_the_last_one_stops_the_server() {
    let mut server = running(config(9, AtLimit::Pause));
    let connection = serve(&mut server, L0);
    server.handle_accept_error(L0, AcceptErrorKind::Fatal, T0);
    assert_eq!(actions(&mut server), [Action::CloseListener(L0)]);
    assert_eq!(server.phase(), Phase::Running);
    assert!(!server.is_listening(L0));
    server.handle_accept_error(L1, AcceptErrorKind::Fatal, T0);
    assert_eq!(actions(&mut server), [Action::CloseListener(L1), Action::Drain]);
    assert_eq!(server.deadline(), Some(T0 + GRACE));
    assert!(events(&mut server).contains(&EventKind::Alarm(Alarm::NoListenerLeft)));
    server.handle_closed(connection, CloseReason::Drained, T0);
    assert_eq!(actions(&mut server), [Action::Stopped]);
}

#[test]
fn server_that_lost_who_accepts_fails_every_listener_that_is_open() {
    let mut server = running(config(9, AtLimit::Pause));
    let connection = serve(&mut server, L0);
    server.handle_accept_error(L0, AcceptErrorKind::Fatal, T0);
    server.handle_accepting_lost(T0);
    assert_eq!(actions(&mut server), [Action::CloseListener(L0), Action::CloseListener(L1), Action::Drain]);
    assert_eq!(server.counters().accept_errors.fatal, 2);
    assert!(events(&mut server).contains(&EventKind::Alarm(Alarm::NoListenerLeft)));
    server.handle_accepting_lost(T0);
    assert_eq!(server.counters().accept_errors.fatal, 2);
    server.handle_closed(connection, CloseReason::Drained, T0);
    assert_eq!(actions(&mut server), [Action::Stopped]);
}

#[test]
fn suspended_server_serves_on_and_accepts_nobody() {
    let mut server = running(config(9, AtLimit::Pause));
    let connection = serve(&mut server, L0);
    server.suspend(T0);
    assert_eq!(actions(&mut server), [Action::PauseAccepting(L0), Action::PauseAccepting(L1)]);
    assert_eq!(server.deadline(), None);
    server.handle_closed(connection, CloseReason::PeerClosed, T0);
    assert_eq!(actions(&mut server), []);
    server.resume(T0);
    assert_eq!(actions(&mut server), [Action::StartAccepting(L0), Action::StartAccepting(L1)]);
}

#[test]
fn stop_closes_listeners_then_drains_then_aborts_at_the_end_of_the_grace() {
    let mut server = running(config(1, AtLimit::Pause));
    let connection = serve(&mut server, L0);
    server.stop(GRACE, T0);
    assert_eq!(actions(&mut server), [Action::CloseListener(L0), Action::CloseListener(L1), Action::Drain]);
    assert_eq!(server.handle_accepted(L0, T0), Admission::Drop, "accepted in a race with the stop");
    server.handle_timeout(T0 + GRACE / 2);
    assert_eq!(actions(&mut server), []);
    server.handle_timeout(T0 + GRACE);
    assert_eq!(actions(&mut server), [Action::Abort(AbortReason::GraceExpired)]);
    assert_eq!(server.deadline(), None);
    server.handle_closed(connection, CloseReason::Aborted(AbortReason::GraceExpired), T0 + GRACE);
    assert_eq!(actions(&mut server), [Action::Stopped]);
    assert_eq!(events(&mut server).last(), Some(&EventKind::Stopped));
}

#[test]
fn second_stop_shortens_the_grace_and_never_lengthens_it() {
    let mut server = running(config(1, AtLimit::Pause));
    serve(&mut server, L0);
    server.stop(GRACE, T0);
    server.stop(GRACE * 2, T0);
    assert_eq!(server.deadline(), Some(T0 + GRACE));
    server.stop(GRACE / 3, T0);
    assert_eq!(server.deadline(), Some(T0 + GRACE / 3));
    assert_eq!(actions(&mut server).iter().filter(|action| **action == Action::Drain).count(), 1);
}

#[test]
fn stop_with_nothing_open_is_over_at_once() {
    let mut server = running(config(1, AtLimit::Pause));
    server.stop(GRACE, T0);
    let expected = [Action::CloseListener(L0), Action::CloseListener(L1), Action::Drain, Action::Stopped];
    assert_eq!(actions(&mut server), expected);
}

#[test]
fn abort_needs_no_drain_first() {
    let mut server = running(config(2, AtLimit::Pause));
    let connection = serve(&mut server, L0);
    server.stop(GRACE, T0);
    server.abort(T0);
    server.abort(T0);
    let close = [Action::CloseListener(L0), Action::CloseListener(L1)];
    assert_eq!(actions(&mut server), [close[0], close[1], Action::Abort(AbortReason::Requested)]);
    server.handle_closed(connection, CloseReason::Aborted(AbortReason::Requested), T0);
    assert_eq!(actions(&mut server), [Action::Stopped]);
    server.abort(T0);
    server.stop(GRACE, T0);
    assert_eq!(actions(&mut server), []);
}

#[test]
fn listener_bound_during_a_stop_is_closed() {
    let mut server = running(config(2, AtLimit::Pause));
    serve(&mut server, L0);
    server.stop(GRACE, T0);
    actions(&mut server);
    server.handle_bound(ListenerId(2), None, T0);
    assert_eq!(actions(&mut server), [Action::CloseListener(ListenerId(2))]);
}

#[test]
fn connection_closed_twice_counts_once() {
    let mut server = running(config(2, AtLimit::Pause));
    let connection = serve(&mut server, L0);
    serve(&mut server, L0);
    server.handle_closed(connection, CloseReason::PeerClosed, T0);
    server.handle_closed(connection, CloseReason::PeerClosed, T0);
    assert_eq!((server.counters().open, server.counters().closed), (1, 1));
}

#[test]
fn events_are_bounded_and_the_newest_are_kept() {
    let mut server = Server::new(ServerConfig { max_events: 3, ..config(2, AtLimit::Pause) });
    server.handle_bound(L0, None, T0);
    for _ in 0..10 {
        let connection = serve(&mut server, L0);
        server.handle_closed(connection, CloseReason::PeerClosed, T0);
    }
    server.stop(GRACE, T0);
    let kept = events(&mut server);
    assert_eq!(kept.len(), 3);
    assert_eq!(kept.last(), Some(&EventKind::Stopped));
    // Listening, ten times Opened and Closed, Draining, ListenerClosed, Stopped.
    assert_eq!(server.counters().events_lost, 1 + 20 + 3 - 3);
}

#[test]
fn events_read_as_lines_for_a_log() {
    let mut server = running(config(2, AtLimit::Pause));
    let connection = serve(&mut server, L0);
    server.handle_closed(connection, CloseReason::PeerClosed, T0 + Duration::from_millis(1500));
    let lines: Vec<String> =
        core::iter::from_fn(|| server.poll_event()).map(|event| event.to_string()).collect();
    let expected = [
        "listener l0 listens",
        "listener l1 listens",
        "connection c1 opened on listener l0",
        "connection c1 closed: peer-closed after 1.500s",
    ];
    assert_eq!(lines, expected);
}

/// Anything that can be told to a server.
#[derive(Clone, Copy, Debug)]
enum Input {
    Bound(usize),
    Accepted(usize),
    /// Closes one of the open connections, or one that is not open.
    Closed(usize),
    AcceptError(usize, AcceptErrorKind),
    Advance(u64),
    Timeout,
    Suspend,
    Resume,
    Stop(u64),
    Abort,
    /// Whether actions are polled between two inputs is up to the threads' luck.
    Poll,
}

fn any_input() -> impl Strategy<Value = Input> {
    let kind = prop_oneof![
        6 => Just(AcceptErrorKind::Transient),
        6 => Just(AcceptErrorKind::Exhausted),
        1 => Just(AcceptErrorKind::Fatal),
    ];
    prop_oneof![
        4 => (0..3_usize).prop_map(Input::Bound),
        20 => (0..4_usize).prop_map(Input::Accepted),
        14 => (0..8_usize).prop_map(Input::Closed),
        4 => (0..3_usize, kind).prop_map(|(listener, kind)| Input::AcceptError(listener, kind)),
        6 => (0..2_000_u64).prop_map(Input::Advance),
        6 => Just(Input::Timeout),
        2 => Just(Input::Suspend),
        3 => Just(Input::Resume),
        1 => (0..5_000_u64).prop_map(Input::Stop),
        1 => Just(Input::Abort),
        20 => Just(Input::Poll),
    ]
}

/// What a binding would know: it does as it is told, and holds the machine to its word.
#[derive(Debug)]
struct Binding {
    server: Server,
    config: ServerConfig,
    now: Instant,
    accepting: BTreeSet<ListenerId>,
    listening: BTreeSet<ListenerId>,
    open: Vec<ConnectionId>,
    served: BTreeSet<ConnectionId>,
    seen: BTreeSet<ConnectionId>,
    /// Set by the first stop or abort that was asked for, or by a listener's failure.
    stop_polled: bool,
    abort_polled: bool,
    stopped: bool,
    grace_end: Option<Instant>,
}

impl Binding {
    fn new(config: ServerConfig) -> Self {
        Self {
            server: Server::new(config.clone()),
            config,
            now: T0,
            accepting: BTreeSet::new(),
            listening: BTreeSet::new(),
            open: Vec::new(),
            served: BTreeSet::new(),
            seen: BTreeSet::new(),
            stop_polled: false,
            abort_polled: false,
            stopped: false,
            grace_end: None,
        }
    }

    fn apply(&mut self, input: Input) {
        let now = self.now;
        match input {
            Input::Bound(id) => {
                self.server.handle_bound(ListenerId(id), None, now);
                if !self.stopped {
                    self.listening.insert(ListenerId(id));
                }
            }
            Input::Accepted(id) => self.accepted(ListenerId(id)),
            Input::Closed(which) => {
                let unknown = ConnectionId(1_000_000);
                let id = self.open.get(which).copied().unwrap_or(unknown);
                self.closed(id);
            }
            Input::AcceptError(id, kind) => self.server.handle_accept_error(ListenerId(id), kind, now),
            Input::Advance(milliseconds) => self.now += Duration::from_millis(milliseconds),
            Input::Timeout => self.server.handle_timeout(now),
            Input::Suspend => self.server.suspend(now),
            Input::Resume => self.server.resume(now),
            Input::Stop(milliseconds) => self.server.stop(Duration::from_millis(milliseconds), now),
            Input::Abort => self.server.abort(now),
            Input::Poll => self.poll(),
        }
        self.check();
    }

    fn accepted(&mut self, listener: ListenerId) {
        match self.server.handle_accepted(listener, self.now) {
            Admission::Serve(id) => {
                assert!(self.seen.insert(id), "an id is given once");
                assert!(!self.stop_polled, "nobody is served after a stop");
                self.open.push(id);
                self.served.insert(id);
            }
            Admission::Refuse(id) => {
                assert!(self.seen.insert(id), "an id is given once");
                self.open.push(id);
            }
            Admission::Wait => assert!(!self.stop_polled, "nobody waits for a place after a stop"),
            Admission::Drop => {}
        }
    }

    fn closed(&mut self, id: ConnectionId) {
        self.open.retain(|open| *open != id);
        self.served.remove(&id);
        self.server.handle_closed(id, CloseReason::Finished, self.now);
    }

    fn poll(&mut self) {
        while let Some(action) = self.server.poll_action() {
            assert!(!self.stopped, "{action:?} after Stopped");
            match action {
                Action::StartAccepting(id) => {
                    assert!(!self.stop_polled, "{action:?} after the stop began");
                    assert!(self.listening.contains(&id), "{action:?} for a listener that is closed");
                    assert!(self.accepting.insert(id), "{action:?} twice");
                }
                Action::PauseAccepting(id) => assert!(self.accepting.remove(&id), "{action:?} twice"),
                Action::CloseListener(id) => {
                    assert!(self.listening.remove(&id), "{action:?} twice");
                    self.accepting.remove(&id);
                }
                Action::Drain => {
                    assert!(!self.stop_polled, "drained twice, or after an abort");
                    assert!(self.listening.is_empty(), "listeners are closed before connections are drained");
                    self.stop_polled = true;
                }
                Action::Abort(_) => {
                    assert!(!self.abort_polled, "aborted twice");
                    assert!(self.listening.is_empty(), "listeners are closed before connections are aborted");
                    self.stop_polled = true;
                    self.abort_polled = true;
                }
                Action::Stopped => {
                    assert!(self.open.is_empty(), "stopped with connections open");
                    assert!(self.listening.is_empty(), "stopped with listeners open");
                    self.stopped = true;
                }
            }
        }
        for id in (0..3).map(ListenerId) {
            assert_eq!(self.server.is_accepting(id), self.accepting.contains(&id), "{id} once all is polled");
            assert_eq!(self.server.is_listening(id), self.listening.contains(&id), "{id} once all is polled");
        }
    }

    fn check(&mut self) {
        let counters = *self.server.counters();
        assert!(counters.open <= self.config.max_connections, "never over the limit");
        assert!(counters.peak <= self.config.max_connections, "never over the limit");
        assert!(counters.refusing <= self.config.max_refusals, "refusals are bounded");
        assert_eq!(counters.open, self.served.len());
        assert_eq!(counters.open + counters.refusing, self.open.len());
        assert_eq!(counters.accepted, counters.served + counters.refused + counters.dropped);
        let current = (counters.open + counters.refusing) as u64;
        assert_eq!(counters.served + counters.refused, current + counters.closed);
        assert!(self.server.open_connections().eq(self.open.iter().copied()));
        match self.server.phase() {
            Phase::Draining { until } => {
                assert!(self.grace_end.is_none_or(|before| until <= before), "the grace was lengthened");
                self.grace_end = Some(until);
                assert_eq!(self.server.deadline(), Some(until));
            }
            Phase::Aborting => assert_eq!(self.server.deadline(), None),
            Phase::Stopped => {
                assert_eq!(self.server.deadline(), None);
                assert!(self.open.is_empty());
            }
            Phase::Running | Phase::Suspended => {}
        }
    }

    /// A deadline that came is gone once it was handled.
    fn settle_time(&mut self) {
        while let Some(at) = self.server.deadline() {
            self.now = self.now.max(at);
            self.server.handle_timeout(self.now);
            assert!(self.server.deadline().is_none_or(|next| next > self.now), "a deadline that does not go");
        }
    }

    /// However it went so far: a stop, time and closed connections bring it to its end.
    fn finish(mut self) {
        self.server.stop(Duration::from_secs(1), self.now);
        self.poll();
        self.settle_time();
        self.poll();
        assert!(self.open.is_empty() || self.abort_polled, "what is open at the end of the grace is aborted");
        for id in self.open.clone() {
            self.closed(id);
        }
        self.poll();
        assert!(self.stopped);
        let events: Vec<_> = core::iter::from_fn(|| self.server.poll_event()).collect();
        assert_eq!(events.last().map(|event| event.kind), Some(EventKind::Stopped));
        let stops = events.iter().filter(|event| event.kind == EventKind::Stopped).count();
        assert_eq!(stops, 1);
        assert!(events.is_sorted_by_key(|event| event.at));
        let opened = |kind: &EventKind| matches!(kind, EventKind::Opened { .. } | EventKind::Refused { .. });
        let opened = events.iter().filter(|event| opened(&event.kind)).count();
        let closed = events.iter().filter(|event| matches!(event.kind, EventKind::Closed { .. })).count();
        assert_eq!(opened, closed, "every connection that was opened was closed");
        self.apply(Input::Bound(2));
        self.apply(Input::Accepted(2));
        self.apply(Input::Poll);
        assert_eq!(self.server.poll_event(), None, "nothing after Stopped");
    }
}

proptest! {
    #[test]
    fn any_life_keeps_within_its_bounds_and_comes_to_its_end(
        max_connections in 0..4_usize,
        max_refusals in 0..3_usize,
        at_limit in prop_oneof![Just(AtLimit::Pause), Just(AtLimit::Refuse)],
        inputs in proptest::collection::vec(any_input(), 0..120),
    ) {
        let config = ServerConfig { max_connections, max_refusals, at_limit, ..ServerConfig::default() };
        let mut binding = Binding::new(config);
        for input in inputs {
            binding.apply(input);
        }
        binding.finish();
    }
}
