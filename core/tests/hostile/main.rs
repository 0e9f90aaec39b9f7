//! Law 8 against hostile streams: whatever a peer sends, a connection holds what its limits say and no more, counted by
//! the allocator at every moment, and nothing is left when it ends.
//!
//! ```text
//!   stream ──► peer ─────────► drive::turn ──► app::Http ──► application
//!   10 MiB     takes all       most live bytes of this thread ≤ bounds::connection, ≤ Limits::connection_bytes
//!              a little        bytes charged                  ≤ MemoryBudget::limit
//!              nothing         at the end                     none
//! ```
//!
//! `cargo test -p anabranch-core --all-features --test hostile -- --nocapture` says what each stream came to.
#![expect(
    clippy::disallowed_macros,
    reason = "each test's thread counts what is its own, and says what came of it to whoever asks for the figures"
)]

mod application;
mod bounds;
mod counting;
mod peer;
mod playing;
mod streams;
mod unread;

use anabranch_core::app::{Http, Limits, MemoryBudget, Settings};
use anabranch_core::flow::is_finished;
use application::Application;
use bounds::Bounds;
use counting::live;
use peer::{Cut, Manner, Peer};
use playing::{Driver, Jobs, READ_BYTES, play};
use streams::{Aim, STREAM_BYTES, Stream, Taking};

const KIBIBYTE: usize = 1024;
const MEBIBYTE: usize = 1024 * KIBIBYTE;

/// What streams are played under.
struct Setting {
    limits: Limits,
    budget: MemoryBudget,
}

impl Setting {
    /// The limits as they are by default, under a budget of so many bytes.
    fn default_limits(budget: usize) -> Self {
        Self { limits: Limits::default(), budget: MemoryBudget::new(budget) }
    }

    /// Every limit small, under a budget of so many bytes.
    fn small_limits(budget: usize) -> Self {
        let mut limits = Limits::default();
        limits.max_request_line_bytes = 256;
        limits.max_fields = 8;
        limits.max_header_bytes = 1024;
        limits.max_field_line_bytes = 512;
        limits.max_body_bytes = 4096;
        limits.max_chunk_line_bytes = 16;
        limits.max_chunk_extension_bytes = 64;
        limits.max_discard_bytes = 1024;
        limits.max_linger_bytes = 4096;
        limits.max_output_bytes = 1024;
        limits.max_window_bytes = 1024;
        Self { limits, budget: MemoryBudget::new(budget) }
    }

    /// Small limits, with bodies of more bytes than the budget has.
    fn small_limits_and_large_bodies(budget: usize) -> Self {
        let mut setting = Self::small_limits(budget);
        setting.limits.max_body_bytes = 40_000;
        setting
    }

    fn http(&self) -> Http<Application> {
        let mut settings = Settings::default();
        settings.limits = self.limits.clone();
        Http::new(Application).with_settings(settings).with_memory(self.budget.clone())
    }

    /// Plays every stream to connections whose peers have this manner, and fails with the list of those under which more
    /// was held than their bounds.
    fn hold(&self, manner: Manner, cut: Cut, until: usize) {
        let http = self.http();
        let mut over = Vec::new();
        for stream in &streams::all() {
            let takings = match manner {
                Manner::Silent => stream.takings(),
                Manner::Closing => &Taking::EACH,
            };
            for &taking in takings {
                let peer = Peer::new(stream, taking, manner, &self.budget).sending(cut, until);
                let played = play(&http, peer, READ_BYTES);
                assert!(played.read > 0, "{}: nothing was read", stream.name);
                let bound = Bounds { limits: &self.limits, budget: self.budget.limit(), stream, taking }
                    .connection(played.charged);
                let line = format!(
                    "{:>9} held at most, bound {bound:>9}, {:>8} read: {}, to a peer that takes {taking:?}",
                    played.peak, played.read, stream.name
                );
                println!("{line}");
                if played.peak > bound {
                    over.push(line);
                }
            }
        }
        assert!(over.is_empty(), "more than the limits say was held:\n{}", over.join("\n"));
    }
}

/// More than any connection comes to: its limits alone hold it.
const AMPLE: usize = 1024 * MEBIBYTE;

/// Less than some streams would fill.
const SCARCE: usize = MEBIBYTE;

/// Less than many streams would fill under small limits.
const TINY: usize = 16 * KIBIBYTE;

#[test]
fn streams_of_silent_peers_are_held_within_the_default_limits() {
    Setting::default_limits(AMPLE).hold(Manner::Silent, Cut::Reads, STREAM_BYTES);
}

#[test]
fn streams_of_silent_peers_are_held_within_small_limits() {
    Setting::small_limits(AMPLE).hold(Manner::Silent, Cut::Reads, STREAM_BYTES);
}

#[test]
fn streams_of_closing_peers_are_held_within_the_default_limits_and_a_scarce_budget() {
    Setting::default_limits(SCARCE).hold(Manner::Closing, Cut::Reads, STREAM_BYTES);
}

#[test]
fn streams_of_closing_peers_are_held_within_small_limits_and_a_tiny_budget() {
    Setting::small_limits_and_large_bodies(TINY).hold(Manner::Closing, Cut::Reads, STREAM_BYTES);
}

#[test]
fn streams_in_odd_cuts_are_held_within_small_limits_and_a_tiny_budget() {
    Setting::small_limits_and_large_bodies(TINY).hold(Manner::Closing, Cut::Odd, 512 * KIBIBYTE);
}

#[test]
fn bytes_one_a_read_of_silent_peers_are_held_within_the_default_limits() {
    Setting::default_limits(AMPLE).hold(Manner::Silent, Cut::Bytes, 64 * KIBIBYTE);
}

#[test]
fn bytes_one_a_read_of_silent_peers_are_held_within_small_limits() {
    Setting::small_limits(AMPLE).hold(Manner::Silent, Cut::Bytes, 64 * KIBIBYTE);
}

#[test]
fn bytes_one_a_read_of_closing_peers_are_held_within_the_default_limits_and_a_scarce_budget() {
    Setting::default_limits(SCARCE).hold(Manner::Closing, Cut::Bytes, 20_000);
}

#[test]
fn bytes_one_a_read_of_closing_peers_are_held_within_small_limits_and_a_tiny_budget() {
    Setting::small_limits_and_large_bodies(TINY).hold(Manner::Closing, Cut::Bytes, 20_000);
}

/// Plays `stream` to so many connections of one driver at once, under one budget, until none of them moves; says how much
/// they hold together beyond it.
fn crowd(setting: &Setting, stream: &Stream, taking: Taking, count: usize) -> usize {
    let Setting { budget, .. } = setting;
    let http = setting.http();
    let (mut driver, mut jobs) = (Driver::new(READ_BYTES), Jobs::default());
    let alone = live();
    let mut crowd: Vec<_> = (0..count)
        .map(|_| driver.connect(&http, Peer::new(stream, taking, Manner::Silent, budget)))
        .collect();
    for _ in 0..MAX_ROUNDS {
        let before: usize = crowd.iter().map(|connected| connected.peer.sent).sum();
        for connected in &mut crowd {
            if !is_finished(&*connected.flow) {
                let _ = driver.turn(connected, &mut jobs);
            }
        }
        if crowd.iter().map(|connected| connected.peer.sent).sum::<usize>() == before {
            break;
        }
    }
    let held = usize::try_from(live() - alone).unwrap_or(0);
    drop(crowd);
    assert_eq!(budget.held(), 0, "{}: charges are left of it", stream.name);
    held.saturating_sub(budget.limit())
}

/// Rounds of turns, each of up to 256 KiB a connection: many times what any of them may hold.
const MAX_ROUNDS: usize = 4;

#[test]
fn crowd_holds_the_process_budget_and_a_turn_each() {
    const CROWD: usize = 25;
    let setting = Setting::default_limits(256 * KIBIBYTE);
    let mut over = Vec::new();
    // What is answered is not taken; of sections, each connection has its own beside the budget.
    for stream in streams::all().iter().filter(|stream| stream.aim != Aim::Section) {
        let Some(&taking) = stream.takings().last() else { continue };
        let each = crowd(&setting, stream, taking, CROWD) / CROWD;
        let budget = setting.budget.limit();
        let bound = Bounds { limits: &setting.limits, budget, stream, taking }.beyond_budget();
        if each > bound {
            over.push(format!("{each:>9} each beyond the budget, bound {bound}: {}", stream.name));
        }
    }
    assert!(over.is_empty(), "more than the budget says was held:\n{}", over.join("\n"));
}
