//! Every state that is ever reached, and all that may be said in it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use super::*;
use crate::diagrams;

const BOOK: &str = "docs/state-machines.md";

/// All that a connection can say, by its name on the page.
const ALL: &[(&str, Said)] = &[
    ("head_begun", Said::HeadBegun),
    ("request_begun", Said::RequestBegun),
    ("request_begun", Said::RequestWithBodyBegun),
    ("peer_ends", Said::PeerEnds),
    ("we_end", Said::WeEnd),
    ("request_complete", Said::RequestComplete),
    ("answer_begun", Said::AnswerBegun),
    ("answer_complete", Said::AnswerComplete),
    ("refuse", Said::Refuse),
    ("drop_rest", Said::DropRest),
    ("lose_rest", Said::LoseRest),
    ("switch", Said::Switch),
    ("settle", Said::Settle),
    ("settle", Said::SettleWithLeftover),
    ("end", Said::End),
    ("reset", Said::Reset),
    ("linger_instead", Said::LingerInstead),
    ("flushed", Said::Flushed),
    ("input_closed", Said::InputClosed),
    ("close", Said::Close),
    ("close", Said::CloseByReset),
];

/// One step: from where, by what, whereto.
type Move = (State, &'static str, State);

/// Walks from a new connection as far as one gets.
fn walk() -> (HashSet<State>, Vec<Move>) {
    let (mut reached, mut moves) = (HashSet::from([State::default()]), Vec::new());
    let mut open = VecDeque::from([State::default()]);
    while let Some(from) = open.pop_front() {
        for (name, said) in ALL {
            if let Some(to) = from.next(*said) {
                moves.push((from, *name, to));
                if reached.insert(to) {
                    open.push_back(to);
                }
            }
        }
    }
    (reached, moves)
}

#[test]
fn finished_is_final() {
    for (from, name, to) in walk().1 {
        assert!(!from.is_finished() || to == from, "{name}: {from:?} -> {to:?}");
    }
}

#[test]
fn what_is_closed_stays_closed_unless_unread_input_asks_for_a_linger() {
    for (from, name, to) in walk().1 {
        let reopened = from.receiving == Receiving::Closed && to.receiving != Receiving::Closed;
        let allowed = name == "linger_instead" && from.sending == Sending::Ending(CloseKind::Immediate);
        assert!(!reopened || allowed, "{name}: {from:?} -> {to:?}");
        if let Sending::Closed(_) = from.sending {
            assert!(matches!(to.sending, Sending::Closed(_)), "{name}: {from:?} -> {to:?}");
        }
    }
}

#[test]
fn an_end_is_never_taken_back() {
    for (from, name, to) in walk().1 {
        let ending = |state: State| matches!(state.sending, Sending::Ending(_) | Sending::Closed(_));
        assert!(!ending(from) || ending(to), "{name}: {from:?} -> {to:?}");
        assert!(from.persistence == Persistence::Persist || to.persistence != Persistence::Persist, "{name}");
        assert!(from.persistence != Persistence::WeEnd || to.persistence == Persistence::WeEnd, "{name}");
    }
}

#[test]
fn a_reset_is_never_taken_back() {
    for (from, name, to) in walk().1 {
        let resets = |state: State| {
            matches!(state.sending, Sending::Ending(CloseKind::Reset) | Sending::Closed(CloseKind::Reset))
        };
        assert!(!resets(from) || resets(to), "{name}: {from:?} -> {to:?}");
        assert!(resets(from) || !resets(to) || matches!(name, "reset" | "close"), "{name}: {from:?}");
    }
}

#[test]
fn halves_are_idle_together_and_only_while_the_connection_persists() {
    for state in walk().0 {
        let between = matches!(state.receiving, Receiving::Idle | Receiving::Head);
        assert_eq!(between, state.sending == Sending::Idle, "{state:?}");
        assert!(!between || state.persistence == Persistence::Persist, "{state:?}");
    }
}

#[test]
fn a_new_exchange_begins_where_both_halves_are_done_and_persist() {
    for (from, name, to) in walk().1 {
        if to.is_idle() && !from.is_idle() {
            let done = State { receiving: Receiving::Done, sending: Sending::Done, ..State::default() };
            assert_eq!((name, from), ("settle", done));
        }
    }
}

#[test]
fn lingering_is_for_a_peer_that_is_owed_an_answer_or_reads_one() {
    for state in walk().0 {
        let owed = matches!(
            state.sending,
            Sending::Owed
                | Sending::Body
                | Sending::Done
                | Sending::Ending(CloseKind::Linger)
                | Sending::Closed(CloseKind::Linger)
        );
        assert!(state.receiving != Receiving::Lingering || owed, "{state:?}");
    }
}

#[test]
fn whoever_is_refused_or_cut_short_has_the_last_answer() {
    let (_, moves) = walk();
    for (_, name, to) in moves.iter().filter(|(_, name, _)| matches!(*name, "refuse" | "drop_rest")) {
        assert_eq!(to.persistence, Persistence::WeEnd, "{name}: {to:?}");
    }
    // Whether or not the answer says so, nothing more is begun.
    for (from, name, to) in moves {
        let over = |state: State| matches!(state.receiving, Receiving::Lingering | Receiving::Closed);
        assert!(!over(from) || over(to), "{name}: {from:?} -> {to:?}");
    }
}

#[test]
fn exchange_ends_immediately_only_where_the_peer_sent_nothing_more() {
    for before in walk().0.into_iter().filter(|state| state.receiving == Receiving::Done) {
        let mut after = before;
        let _: bool = after.settle(true);
        assert!(after.sending != Sending::Ending(CloseKind::Immediate), "{before:?}");
    }
}

#[test]
fn an_end_lingers_exactly_while_input_is_dropped() {
    for state in walk().0 {
        if let Sending::Ending(kind) | Sending::Closed(kind) = state.sending {
            let expected = match kind {
                CloseKind::Linger => Receiving::Lingering,
                CloseKind::Immediate | CloseKind::Reset => Receiving::Closed,
            };
            assert_eq!(state.receiving, expected, "{state:?}");
        }
    }
}

#[test]
fn end_that_turns_out_to_have_unread_input_behind_it_lingers() {
    let ending = walk().0.into_iter().filter(|state| state.sending == Sending::Ending(CloseKind::Immediate));
    let mut count = 0;
    for mut state in ending {
        state.linger_instead();
        assert_eq!(
            (state.receiving, state.sending),
            (Receiving::Lingering, Sending::Ending(CloseKind::Linger))
        );
        count += 1;
    }
    assert!(count > 0);
}

#[test]
fn halves_switch_together_and_only_from_a_whole_request_that_is_owed_an_answer() {
    let (reached, moves) = walk();
    for state in reached {
        let halves = (state.receiving == Receiving::Switched, state.sending == Sending::Switched);
        assert_eq!(halves.0, halves.1, "{state:?}");
    }
    for (from, name, to) in moves {
        if to.sending == Sending::Switched && from.sending != Sending::Switched {
            assert_eq!((name, from.receiving, from.sending), ("switch", Receiving::Done, Sending::Owed));
        }
    }
}

#[test]
fn settling_ends_an_exchange_that_is_through_and_nothing_else() {
    for before in walk().0 {
        for leftover in [false, true] {
            let mut after = before;
            let idle = after.settle(leftover);
            assert_eq!(idle, after.is_idle() && !before.is_idle(), "{before:?}");
            let through = before.sending == Sending::Done && before.receiving != Receiving::Body;
            assert_eq!(after != before, through, "{before:?}");
        }
    }
}

#[test]
fn every_state_leads_to_an_end_without_force() {
    let (reached, moves) = walk();
    let mut back: HashMap<State, Vec<State>> = HashMap::new();
    for (from, _, to) in moves.into_iter().filter(|(_, name, _)| *name != "close") {
        back.entry(to).or_default().push(from);
    }
    let mut open: Vec<State> = reached.iter().copied().filter(|state| state.is_finished()).collect();
    let mut ends: HashSet<State> = open.iter().copied().collect();
    while let Some(to) = open.pop() {
        for from in back.get(&to).into_iter().flatten() {
            if ends.insert(*from) {
                open.push(*from);
            }
        }
    }
    for state in reached {
        assert!(ends.contains(&state) || state.sending == Sending::Switched, "no way out of {state:?}");
    }
}

#[test]
fn page_shows_every_move_there_is() {
    diagrams::hold("core/src/http1/state.rs", "//! ```text\n", "//! ```\n", &drawn());
}

#[test]
fn book_shows_every_state_by_all_that_is_said() {
    diagrams::hold(BOOK, "<!-- halves -->\n", "<!-- end -->\n", &table());
}

/// The moves of each half, as the module's page shows them.
fn drawn() -> String {
    const RECEIVING: [Receiving; 7] = [
        Receiving::Idle,
        Receiving::Head,
        Receiving::Body,
        Receiving::Done,
        Receiving::Lingering,
        Receiving::Switched,
        Receiving::Closed,
    ];
    const SENDING: [&str; 7] = ["Idle", "Owed", "Body", "Done", "Ending", "Switched", "Closed"];
    let mut halves: [BTreeMap<(usize, usize), BTreeSet<&str>>; 2] = Default::default();
    let receiving = |state: State| RECEIVING.iter().position(|half| *half == state.receiving);
    let sending = |state: State| {
        let text = format!("{:?}", state.sending);
        SENDING.iter().position(|half| text.starts_with(half))
    };
    for (from, name, to) in walk().1.into_iter().filter(|(_, name, _)| *name != "close") {
        let ends = [receiving(from).zip(receiving(to)), sending(from).zip(sending(to))];
        for (half, ends) in halves.iter_mut().zip(ends) {
            let ends = ends.expect("every half has its name");
            if ends.0 != ends.1 {
                half.entry(ends).or_default().insert(name);
            }
        }
    }
    let mut text = String::new();
    for (title, half) in ["receiving", "sending"].iter().zip(halves) {
        for (index, ((from, to), names)) in half.into_iter().enumerate() {
            let name = |at: usize| match *title {
                "receiving" => format!("{:?}", RECEIVING[at]),
                _ => SENDING[at].to_owned(),
            };
            let title = if index == 0 { *title } else { "" };
            let names = names.into_iter().collect::<Vec<_>>().join(", ");
            text += &format!("//!   {title:<11} {:<9} ──► {:<9}  {names}\n", name(from), name(to));
        }
    }
    text
}

/// Every state that is reached, by all that may be said in it, as the book shows them.
fn table() -> String {
    let show =
        |state: State| format!("{:?} · {:?} · {:?}", state.receiving, state.sending, state.persistence);
    let mut rows: BTreeMap<String, BTreeMap<String, BTreeSet<&str>>> = BTreeMap::new();
    for (from, name, to) in walk().1.into_iter().filter(|(_, name, _)| *name != "close") {
        let row = rows.entry(show(from)).or_default();
        if from != to {
            row.entry(show(to)).or_default().insert(name);
        }
    }
    let mut text = "| receiving · sending · persistence | moves |\n|---|---|\n".to_owned();
    for (from, moves) in rows {
        let moves: Vec<String> = moves
            .into_iter()
            .map(|(to, names)| format!("{} → {to}", names.into_iter().collect::<Vec<_>>().join(", ")))
            .collect();
        text += &format!(
            "| {from} | {} |\n",
            if moves.is_empty() { "none".to_owned() } else { moves.join("<br>") }
        );
    }
    text
}
