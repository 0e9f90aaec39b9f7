//! A server's life, walked: everything that can happen, in every state that is ever reached, held to the laws of a stop.
//!
//! The server is small, one connection served and one refused, so that all of its states are seen. Two states are the
//! same when whoever drives the server could not tell them apart by its answers.

mod diagrams;

use core::time::Duration;
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, VecDeque};

use anabranch_core::lifecycle::{
    AcceptErrorKind, Action, Admission, AtLimit, ListenerId, Phase, Server, ServerConfig,
};
use anabranch_core::{AbortReason, CloseReason, Instant};

const LISTENER: ListenerId = ListenerId(0);

type Happen = fn(&mut Walker);

/// What can happen. All of it may happen at any time: threads race.
const ALL: &[(&str, Happen)] = &[
    ("bound", |walker| walker.server.handle_bound(LISTENER, None, walker.now)),
    ("accepted", Walker::accept),
    ("closed", Walker::close),
    ("transient error", |walker| walker.fail(AcceptErrorKind::Transient)),
    ("out of descriptors", |walker| walker.fail(AcceptErrorKind::Exhausted)),
    ("listener failed", |walker| walker.fail(AcceptErrorKind::Fatal)),
    ("accepting lost", |walker| walker.server.handle_accepting_lost(walker.now)),
    ("timeout", Walker::time_out),
    ("early timeout", |walker| walker.server.handle_timeout(walker.now)),
    ("suspend", |walker| walker.server.suspend(walker.now)),
    ("resume", |walker| walker.server.resume(walker.now)),
    ("stop", |walker| walker.server.stop(Duration::from_secs(15), walker.now)),
    ("abort", |walker| walker.server.abort(walker.now)),
];

/// From which phase, to which, by what.
type Move = (&'static str, &'static str, &'static str);

/// A server, and what it was seen to do.
struct Walker {
    server: Server,
    at_limit: AtLimit,
    now: Instant,
    open: Vec<anabranch_core::ConnectionId>,
    /// What the listener was last told, once it was told anything.
    accepting: Option<bool>,
    drained: bool,
    aborted: bool,
    stopped: bool,
    /// The last admission, where the last step was one.
    admission: Option<Admission>,
}

/// What whoever drives it can tell.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Seen {
    phase: &'static str,
    served: usize,
    refused: usize,
    listening: bool,
    accepting: bool,
    waits: bool,
    stopped: bool,
}

impl Walker {
    fn new(at_limit: AtLimit) -> Self {
        let mut config = ServerConfig::default();
        config.at_limit = at_limit;
        config.max_connections = 1;
        config.max_refusals = 1;
        Self {
            server: Server::new(config),
            at_limit,
            now: Instant::ORIGIN,
            open: Vec::new(),
            accepting: None,
            drained: false,
            aborted: false,
            stopped: false,
            admission: None,
        }
    }

    /// Goes through `steps`, and looks at the laws on the way.
    fn through(at_limit: AtLimit, steps: &[usize]) -> Self {
        let mut walker = Self::new(at_limit);
        for step in steps {
            walker.step(*step);
        }
        walker
    }

    fn step(&mut self, step: usize) {
        self.now += Duration::from_millis(1);
        self.admission = None;
        let before = self.seen();
        ALL[step].1(self);
        self.obey();
        self.check(before, ALL[step].0);
    }

    fn accept(&mut self) {
        let admission = self.server.handle_accepted(LISTENER, self.now);
        if let Admission::Serve(id) | Admission::Refuse(id) = admission {
            self.open.push(id);
        }
        self.admission = Some(admission);
    }

    fn close(&mut self) {
        if !self.open.is_empty() {
            let id = self.open.remove(0);
            self.server.handle_closed(id, CloseReason::Finished, self.now);
        }
    }

    fn fail(&mut self, kind: AcceptErrorKind) {
        self.server.handle_accept_error(LISTENER, kind, self.now);
    }

    fn time_out(&mut self) {
        if let Some(deadline) = self.server.deadline() {
            self.now = self.now.max(deadline);
        }
        self.server.handle_timeout(self.now);
    }

    /// Does what it says, in its order.
    fn obey(&mut self) {
        while let Some(action) = self.server.poll_action() {
            assert!(!self.stopped, "{action:?} after Stopped");
            match action {
                Action::StartAccepting(_) => {
                    assert_ne!(self.accepting, Some(true), "told twice");
                    self.accepting = Some(true);
                }
                Action::PauseAccepting(_) => {
                    assert_eq!(self.accepting, Some(true), "told to pause what did not run");
                    self.accepting = Some(false);
                }
                Action::CloseListener(_) => {
                    assert!(
                        !self.drained && !self.aborted || self.accepting.is_none(),
                        "listeners close first"
                    );
                    self.accepting = None;
                }
                Action::Drain => {
                    assert!(!self.drained && !self.aborted, "a drain comes once, and before an abort");
                    self.drained = true;
                }
                Action::Abort(reason) => {
                    assert!(!self.aborted, "an abort comes once");
                    assert!(
                        reason != AbortReason::GraceExpired || self.drained,
                        "the grace is that of a drain"
                    );
                    self.aborted = true;
                }
                Action::Stopped => self.stopped = true,
            }
        }
    }

    fn check(&self, before: Seen, step: &str) {
        let after = self.seen();
        let context = || format!("{step}: {before:?} -> {after:?}");
        let is_stopping = |seen: Seen| matches!(seen.phase, "Draining" | "Aborting" | "Stopped");
        assert!(before.phase != "Stopped" || after.phase == "Stopped", "Stopped is final; {}", context());
        assert!(!is_stopping(before) || is_stopping(after), "a stop is not taken back; {}", context());
        assert!(before.phase != "Aborting" || after.phase != "Draining", "nor is an abort; {}", context());
        assert!(after.served <= 1 && after.refused <= 1, "limits hold; {}", context());
        assert!(!after.accepting || after.phase == "Running", "who runs accepts; {}", context());
        assert!(!(is_stopping(after) && after.listening), "who stops does not listen; {}", context());
        assert_eq!(
            after.accepting,
            self.accepting == Some(true),
            "what was told is what holds; {}",
            context()
        );
        assert_eq!(after.stopped, after.phase == "Stopped", "Stopped is told at once; {}", context());
        assert!(!after.stopped || after.served + after.refused == 0, "nobody is left behind; {}", context());
        let waits = match after.phase {
            "Draining" => true,
            "Aborting" | "Stopped" => false,
            _ => after.waits,
        };
        assert_eq!(after.waits, waits, "a drain has its end in time; {}", context());
        if let Some(admission) = self.admission {
            let expected = match (is_stopping(before), before.served, before.refused) {
                (true, ..) => matches!(admission, Admission::Drop),
                (false, 0, _) => matches!(admission, Admission::Serve(_)),
                (false, ..) if self.at_limit == AtLimit::Pause => matches!(admission, Admission::Wait),
                (false, _, 0) => matches!(admission, Admission::Refuse(_)),
                _ => matches!(admission, Admission::Drop),
            };
            assert!(expected, "{admission:?}; {}", context());
        }
    }

    fn seen(&self) -> Seen {
        let counters = self.server.counters();
        Seen {
            phase: name(self.server.phase()),
            served: counters.open,
            refused: counters.refusing,
            listening: self.server.is_listening(LISTENER),
            accepting: self.server.is_accepting(LISTENER),
            waits: self.server.deadline().is_some(),
            stopped: self.stopped,
        }
    }
}

const fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::Running => "Running",
        Phase::Suspended => "Suspended",
        Phase::Draining { .. } => "Draining",
        Phase::Aborting => "Aborting",
        Phase::Stopped => "Stopped",
    }
}

/// Every state that is reached with the steps that lead there, and every move.
fn walk(at_limit: AtLimit) -> (HashMap<Seen, Vec<usize>>, BTreeSet<Move>) {
    let start = Walker::new(at_limit).seen();
    let (mut reached, mut moves) = (HashMap::from([(start, Vec::new())]), BTreeSet::new());
    let mut open = VecDeque::from([start]);
    while let Some(from) = open.pop_front() {
        for (step, (name, _)) in ALL.iter().enumerate() {
            let mut steps = reached[&from].clone();
            steps.push(step);
            let to = Walker::through(at_limit, &steps).seen();
            if from.phase != to.phase {
                moves.insert((from.phase, to.phase, *name));
            }
            if let Entry::Vacant(entry) = reached.entry(to) {
                entry.insert(steps);
                open.push_back(to);
            }
        }
    }
    (reached, moves)
}

#[test]
fn laws_of_a_stop_hold_in_every_state_and_every_state_can_be_stopped() {
    for at_limit in [AtLimit::Pause, AtLimit::Refuse] {
        let (reached, _) = walk(at_limit);
        assert!(reached.len() > 15, "the walk saw {} states only", reached.len());
        for steps in reached.values() {
            for (how, last) in [("stop", "timeout"), ("abort", "early timeout")] {
                let mut walker = Walker::through(at_limit, steps);
                for name in [how, last, "closed", "closed"] {
                    walker.step(ALL.iter().position(|(other, _)| *other == name).expect("it can happen"));
                }
                assert!(walker.stopped, "{how} does not end {:?} after {steps:?}", walker.seen());
            }
        }
    }
}

#[test]
fn phases_move_by_these_causes_and_no_others() {
    let (_, moves) = walk(AtLimit::Refuse);
    let expected = BTreeSet::from([
        ("Running", "Suspended", "suspend"),
        ("Suspended", "Running", "resume"),
        ("Running", "Draining", "stop"),
        ("Running", "Draining", "listener failed"),
        ("Running", "Draining", "accepting lost"),
        ("Suspended", "Draining", "stop"),
        ("Suspended", "Draining", "listener failed"),
        ("Suspended", "Draining", "accepting lost"),
        ("Running", "Aborting", "abort"),
        ("Suspended", "Aborting", "abort"),
        ("Draining", "Aborting", "abort"),
        ("Draining", "Aborting", "timeout"),
        ("Draining", "Stopped", "closed"),
        ("Aborting", "Stopped", "closed"),
        // Nothing was open: the phase between is passed at once.
        ("Running", "Stopped", "stop"),
        ("Running", "Stopped", "listener failed"),
        ("Running", "Stopped", "accepting lost"),
        ("Running", "Stopped", "abort"),
        ("Suspended", "Stopped", "stop"),
        ("Suspended", "Stopped", "listener failed"),
        ("Suspended", "Stopped", "accepting lost"),
        ("Suspended", "Stopped", "abort"),
    ]);
    assert_eq!(moves, expected);
    assert_eq!(walk(AtLimit::Pause).1, expected, "what becomes of newcomers is no matter of phases");
}

#[test]
fn book_shows_every_phase_by_all_that_can_happen() {
    diagrams::hold("docs/state-machines.md", "<!-- server -->\n", "<!-- end -->\n", &table());
}

/// The phases that are seen next, for each phase and all that can happen in it.
fn table() -> String {
    const PHASES: [&str; 5] = ["Running", "Suspended", "Draining", "Aborting", "Stopped"];
    let (_, moves) = walk(AtLimit::Refuse);
    let mut text = format!("| | {} |\n|---|{}\n", PHASES.join(" | "), "---|".repeat(PHASES.len()));
    for (name, _) in ALL {
        let cells = PHASES.map(|from| {
            let next =
                moves.iter().filter(|(before, _, by)| *before == from && by == name).map(|(_, to, _)| *to);
            let next: Vec<_> = next.collect();
            if next.is_empty() { "·".to_owned() } else { format!("→ {}", next.join(", ")) }
        });
        text += &format!("| {name} | {} |\n", cells.join(" | "));
    }
    text
}
