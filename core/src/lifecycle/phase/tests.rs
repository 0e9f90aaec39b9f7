//! All phases by all causes.

use core::time::Duration;

use super::*;
use crate::diagrams;

const UNTIL: Instant = Instant::from_nanos(1_000);
const DRAINING: Phase = Phase::Draining { until: UNTIL };

const PHASES: [(&str, Phase); 5] = [
    ("Running", Phase::Running),
    ("Suspended", Phase::Suspended),
    ("Draining", DRAINING),
    ("Aborting", Phase::Aborting),
    ("Stopped", Phase::Stopped),
];

fn causes() -> [(&'static str, Cause); 6] {
    [
        ("suspend", Cause::Suspend),
        ("resume", Cause::Resume),
        ("stop", Cause::Stop { until: UNTIL }),
        ("stop sooner", Cause::Stop { until: Instant::from_nanos(999) }),
        ("abort", Cause::Abort),
        ("nothing open", Cause::NothingOpen),
    ]
}

/// From where, by what, whereto.
fn moves() -> impl Iterator<Item = (&'static str, Phase, &'static str, Phase)> {
    PHASES.into_iter().flat_map(|(name, from)| {
        causes().into_iter().filter_map(move |(by, cause)| Some((name, from, by, from.next(cause)?)))
    })
}

/// How far a stop has come: its way is one way.
const fn stage(phase: Phase) -> u8 {
    match phase {
        Phase::Running | Phase::Suspended => 0,
        Phase::Draining { .. } => 1,
        Phase::Aborting => 2,
        Phase::Stopped => 3,
    }
}

#[test]
fn a_stop_goes_one_way_and_ends_for_good() {
    for (_, from, by, to) in moves() {
        assert!(stage(from) <= stage(to), "{by}: {from:?} -> {to:?}");
        assert_ne!(from, to, "{by} moves nothing in {from:?}");
        assert_eq!(from.is_stopping(), stage(from) > 0);
        assert_ne!(from, Phase::Stopped, "{by}");
    }
}

#[test]
fn every_phase_but_the_last_can_be_aborted_or_is() {
    for (_, phase) in PHASES {
        let aborted = phase.next(Cause::Abort).unwrap_or(phase);
        assert!(matches!(aborted, Phase::Aborting | Phase::Stopped), "{phase:?}");
        assert_eq!(aborted.next(Cause::NothingOpen).unwrap_or(aborted), Phase::Stopped, "{phase:?}");
    }
}

#[test]
fn what_is_open_is_nobodys_concern_before_a_stop() {
    for (_, phase) in PHASES {
        assert_eq!(phase.next(Cause::NothingOpen).is_some(), matches!(stage(phase), 1 | 2), "{phase:?}");
    }
}

#[test]
fn grace_is_shortened_and_never_lengthened() {
    for difference in -2_i64..=2 {
        let until = Instant::from_nanos(UNTIL.as_nanos().saturating_add_signed(difference));
        let after = DRAINING.next(Cause::Stop { until }).unwrap_or(DRAINING);
        assert_eq!(after, Phase::Draining { until: until.min(UNTIL) });
    }
    let later = UNTIL + Duration::from_secs(1);
    assert_eq!(Phase::Running.next(Cause::Stop { until: later }), Some(Phase::Draining { until: later }));
}

#[test]
fn page_shows_every_move_there_is() {
    let mut drawn = String::new();
    for (name, _, by, to) in moves() {
        let to = PHASES.iter().find(|(_, phase)| stage(*phase) == stage(to) && phase_is(*phase, to));
        let (to, _) = to.expect("every phase has its name");
        // Sooner or later, a stop is one from where nothing stops yet.
        if by != "stop sooner" || name == "Draining" {
            drawn += &format!("//!   {name:<9} ──► {to:<9}  {by}\n");
        }
    }
    diagrams::hold("core/src/lifecycle/phase.rs", "//! ```text\n", "//! ```\n", &drawn);
}

fn phase_is(one: Phase, other: Phase) -> bool {
    core::mem::discriminant(&one) == core::mem::discriminant(&other)
}
