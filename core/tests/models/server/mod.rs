//! `lifecycle::Server` against its model: every answer, action, event, sum and deadline, whatever happens in whatever order.

mod model;

use std::collections::BTreeSet;
use std::time::Duration;

use anabranch_core::lifecycle::{
    AcceptErrorKind, Action, Admission, AtLimit, Backoff, EventKind, ListenerId, Phase, Server, ServerConfig,
};
use anabranch_core::{CloseReason, ConnectionId};
use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};

use crate::OneLine;
use model::{Answer, Input, Model};

prop_state_machine! {
    #![proptest_config(crate::cases(1_000))]

    #[test]
    fn server_does_as_its_model_says(sequential 1..100 => Binding);
}

struct Reference;

impl ReferenceStateMachine for Reference {
    type State = Model;
    type Transition = OneLine<Input>;

    fn init_state() -> BoxedStrategy<Model> {
        let at_limit = prop_oneof![Just(AtLimit::Pause), Just(AtLimit::Refuse)];
        let max_events = prop_oneof![Just(0_usize), Just(4), Just(1_000)];
        (0..4_usize, 0..3_usize, at_limit, max_events)
            .prop_map(|(max_connections, max_refusals, at_limit, max_events)| {
                let mut config = ServerConfig::default();
                config.max_connections = max_connections;
                config.max_refusals = max_refusals;
                config.at_limit = at_limit;
                config.max_events = max_events;
                config.accept_backoff = Backoff { first: millis(50), most: millis(150) };
                config.grace = millis(400);
                Model::new(config)
            })
            .boxed()
    }

    fn transitions(model: &Model) -> BoxedStrategy<OneLine<Input>> {
        let listener = || (0..3_usize).prop_map(ListenerId);
        let kind = prop_oneof![
            2 => Just(AcceptErrorKind::Transient),
            6 => Just(AcceptErrorKind::Exhausted),
            1 => Just(AcceptErrorKind::Fatal),
        ];
        // What is open, and now and then what is not.
        let mut closable: Vec<_> = model.open_connections().collect();
        closable.push(ConnectionId(1_000));
        // Up to the deadline, and to the last moment before it: that is where clocks go wrong.
        let due = model.deadline().map_or(Duration::ZERO, |at| at - model.now);
        let time = prop_oneof![
            3 => Just(due),
            1 => Just(due.saturating_sub(Duration::from_nanos(1))),
            2 => (0..200_u64).prop_map(millis),
        ];
        prop_oneof![
            4 => listener().prop_map(Input::Bound),
            20 => listener().prop_map(Input::Accepted),
            12 => prop::sample::select(closable).prop_map(Input::Closed),
            5 => (listener(), kind).prop_map(|(listener, kind)| Input::AcceptError(listener, kind)),
            1 => Just(Input::AcceptingLost),
            6 => time.prop_map(Input::Passes),
            6 => Just(Input::Timeout),
            2 => Just(Input::Suspend),
            3 => Just(Input::Resume),
            1 => (0..500_u64).prop_map(|grace| Input::Stop(millis(grace))),
            1 => Just(Input::Abort),
            5 => Just(Input::PollAction),
            15 => Just(Input::PollActions),
            5 => Just(Input::PollEvents),
        ]
        .prop_map(OneLine)
        .boxed()
    }

    fn apply(mut model: Model, input: &OneLine<Input>) -> Model {
        model.apply(input);
        model
    }
}

/// A server, and what whoever drives it was told: the order of a stop is held to here, apart from the model.
struct Binding {
    server: Server,
    listeners: BTreeSet<ListenerId>,
    accepting: BTreeSet<ListenerId>,
    open: BTreeSet<ConnectionId>,
    numbers: BTreeSet<ConnectionId>,
    told: Told,
}

/// How far a stop has come, as it was told.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Told {
    Nothing,
    Drain,
    Abort,
    Stopped,
}

impl StateMachineTest for Binding {
    type SystemUnderTest = Self;
    type Reference = Reference;

    fn init_test(model: &Model) -> Self {
        Self {
            server: Server::new(model.config.clone()),
            listeners: BTreeSet::new(),
            accepting: BTreeSet::new(),
            open: BTreeSet::new(),
            numbers: BTreeSet::new(),
            told: Told::Nothing,
        }
    }

    fn apply(mut binding: Self, model: &Model, input: OneLine<Input>) -> Self {
        assert_eq!(binding.give(model, &input), model.answer, "{input:?}");
        binding
    }

    fn check_invariants(binding: &Self, model: &Model) {
        let server = &binding.server;
        assert_eq!(server.phase(), model.phase);
        assert_eq!(*server.counters(), model.counters());
        assert_eq!(server.deadline(), model.deadline());
        assert!(server.open_connections().eq(model.open_connections()));
        for id in (0..3).map(ListenerId) {
            assert_eq!(server.is_listening(id), model.is_listening(id), "{id} listens");
            assert_eq!(server.is_accepting(id), model.is_accepting(id), "{id} accepts");
        }
        assert!(server.counters().peak <= model.config.max_connections, "the limit is hard");
        assert!(server.counters().refusing <= model.config.max_refusals, "refusals are bounded");
    }

    /// However it went so far, a stop brings it to its end, and then the whole life adds up.
    fn teardown(mut binding: Self, mut model: Model) {
        let mut inputs = vec![Input::Stop(millis(100)), Input::PollActions, Input::Passes(millis(100))];
        inputs.extend([Input::Timeout, Input::PollActions]);
        inputs.extend(model.open_connections().map(Input::Closed));
        inputs.extend([Input::PollActions, Input::PollEvents, Input::Passes(millis(1_000)), Input::Timeout]);
        inputs.extend([Input::Bound(ListenerId(2)), Input::Accepted(ListenerId(2)), Input::PollEvents]);
        for input in inputs {
            model.apply(&input);
            binding = <Self as StateMachineTest>::apply(binding, &model, OneLine(input));
            Self::check_invariants(&binding, &model);
        }
        assert_eq!(binding.told, Told::Stopped);
        assert_eq!(binding.server.poll_action(), None, "Stopped is the last action");
        assert!(model.ledger.is_sorted_by_key(|event| event.at), "time never goes back");
        let (mut opened, mut closed, mut stops) = (Vec::new(), Vec::new(), 0);
        for event in &model.ledger {
            match event.kind {
                EventKind::Opened { connection, .. } | EventKind::Refused { connection, .. } => {
                    opened.push(connection);
                }
                EventKind::Closed { connection, .. } => closed.push(connection),
                EventKind::Stopped => stops += 1,
                _ => {}
            }
        }
        closed.sort_unstable();
        assert_eq!(opened, closed, "each that was admitted is closed once");
        assert_eq!(stops, 1);
    }
}

impl Binding {
    fn give(&mut self, model: &Model, input: &Input) -> Answer {
        let (server, now) = (&mut self.server, model.now);
        match *input {
            Input::Bound(id) => {
                server.handle_bound(id, None, now);
                if self.told != Told::Stopped {
                    self.listeners.insert(id);
                }
            }
            Input::Accepted(id) => {
                let admission = server.handle_accepted(id, now);
                if let Admission::Serve(id) | Admission::Refuse(id) = admission {
                    assert!(self.told == Told::Nothing, "{id} is admitted after a stop");
                    assert!(self.numbers.insert(id) && self.open.insert(id), "{id} was there before");
                }
                return Answer::Admission(admission);
            }
            Input::Closed(id) => {
                server.handle_closed(id, CloseReason::Finished, now);
                self.open.remove(&id);
            }
            Input::AcceptError(id, kind) => server.handle_accept_error(id, kind, now),
            Input::AcceptingLost => server.handle_accepting_lost(now),
            Input::Passes(_) => {}
            Input::Timeout => {
                server.handle_timeout(now);
                assert!(server.deadline().is_none_or(|at| at > now), "a deadline that was handled is over");
            }
            Input::Suspend => server.suspend(now),
            Input::Resume => server.resume(now),
            Input::Stop(grace) => server.stop(grace, now),
            Input::Abort => server.abort(now),
            Input::PollAction => {
                let action = server.poll_action();
                return Answer::Actions(action.into_iter().inspect(|action| self.obey(*action)).collect());
            }
            Input::PollActions => {
                let mut actions = Vec::new();
                while let Some(action) = self.server.poll_action() {
                    self.obey(action);
                    actions.push(action);
                }
                return Answer::Actions(actions);
            }
            Input::PollEvents => {
                return Answer::Events(std::iter::from_fn(|| server.poll_event()).collect());
            }
        }
        Answer::Nothing
    }

    /// Does what it is told, where its order makes sense.
    fn obey(&mut self, action: Action) {
        let before = self.told;
        assert!(before < Told::Stopped, "{action:?} after Stopped");
        match action {
            Action::StartAccepting(id) => {
                assert!(
                    before == Told::Nothing && self.server.phase() == Phase::Running,
                    "{action:?} in a stop"
                );
                assert!(self.listeners.contains(&id) && self.accepting.insert(id), "{action:?}");
            }
            Action::PauseAccepting(id) => assert!(self.accepting.remove(&id), "{action:?}"),
            Action::CloseListener(id) => {
                assert!(self.listeners.remove(&id), "{action:?}");
                self.accepting.remove(&id);
            }
            Action::Drain => self.told = Told::Drain,
            Action::Abort(_) => self.told = Told::Abort,
            Action::Stopped => {
                assert!(self.open.is_empty(), "stopped with connections open");
                self.told = Told::Stopped;
            }
        }
        if self.told != before {
            assert!(self.told > before, "{action:?} after {before:?}");
            assert!(self.listeners.is_empty(), "listeners close first");
        }
    }
}

const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}
