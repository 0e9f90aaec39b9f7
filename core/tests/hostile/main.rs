//! Law 8 against hostile streams: whatever a peer sends, a connection holds what its limits say and no more, counted by
//! the allocator at every moment, and nothing is left when it ends.
//!
//! ```text
//!   stream ──► wire ──► drive::turn ──► app::Http ──► application
//!   10 MiB     16 KiB or a byte a read      └── most live bytes ≤ bounds::connection(limits); at the end none
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
mod playing;
mod streams;

use anabranch_core::app::{Http, Limits, MemoryBudget, Settings};
use anabranch_core::flow::is_finished;
use application::Application;
use counting::live;
use playing::{Cut, Driver, Hostile, Jobs, Played, play};
use streams::{Aim, STREAM_BYTES, Stream, Taking};

/// Bytes of a stream that are played one a read.
const SINGLE_BYTES: usize = 64 * 1024;

fn small() -> Limits {
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
    limits
}

fn http(limits: &Limits, memory: &MemoryBudget) -> Http<Application> {
    let mut settings = Settings::default();
    settings.limits = limits.clone();
    Http::new(Application).with_settings(settings).with_memory(memory.clone())
}

/// Plays every stream, and fails with the list of those under which more was held than their bound.
fn hold(limits: &Limits, (cut, until): (Cut, usize)) {
    let memory = MemoryBudget::default();
    let http = http(limits, &memory);
    let mut over = Vec::new();
    for stream in streams::all() {
        let bound = bounds::connection(limits, stream.aim);
        let played = play(&http, &stream, (cut, until));
        assert_eq!(memory.held(), 0, "{}: charges are left of it", stream.name);
        assert!(played.read > 0, "{}: nothing was read", stream.name);
        let Played { peak, read } = played;
        let line = format!("{peak:>9} held at most, bound {bound}, {read:>9} read: {}", stream.name);
        println!("{line}");
        if peak > bound as isize {
            over.push(line);
        }
    }
    assert!(over.is_empty(), "more than the limits say was held:\n{}", over.join("\n"));
}

#[test]
fn hostile_streams_are_held_within_the_default_limits() {
    hold(&Limits::default(), (Cut::Reads, STREAM_BYTES));
}

#[test]
fn hostile_streams_are_held_within_small_limits() {
    hold(&small(), (Cut::Reads, STREAM_BYTES));
}

#[test]
fn hostile_bytes_one_a_read_are_held_within_the_default_limits() {
    hold(&Limits::default(), (Cut::Bytes, SINGLE_BYTES));
}

#[test]
fn hostile_bytes_one_a_read_are_held_within_small_limits() {
    hold(&small(), (Cut::Bytes, SINGLE_BYTES));
}

/// Plays `stream` to so many connections of one driver at once, under one budget, until none of them moves; says how much
/// they hold together beyond it.
fn crowd(limits: &Limits, memory: &MemoryBudget, stream: &Stream, count: usize) -> usize {
    let http = http(limits, memory);
    let (mut driver, mut jobs) = (Driver::new(), Jobs::default());
    let alone = live();
    let mut crowd: Vec<_> =
        (0..count).map(|_| (driver.connect(&http), Hostile::new(stream, Cut::Reads, STREAM_BYTES))).collect();
    for _ in 0..MAX_ROUNDS {
        let before: usize = crowd.iter().map(|(_, wire)| wire.moved().0).sum();
        for (flow, wire) in &mut crowd {
            if !is_finished(&**flow) {
                let _ = driver.turn(&mut **flow, wire, &mut jobs);
            }
            assert!(memory.held() <= memory.limit());
        }
        if crowd.iter().map(|(_, wire)| wire.moved().0).sum::<usize>() == before {
            break;
        }
    }
    let held = usize::try_from(live() - alone).unwrap_or(0);
    drop(crowd);
    assert_eq!(memory.held(), 0, "{}: charges are left of it", stream.name);
    held.saturating_sub(memory.limit())
}

/// Rounds of turns, each of up to 256 KiB a connection: many times what any of them may hold.
const MAX_ROUNDS: usize = 4;

#[test]
fn crowd_holds_the_process_budget_and_a_turn_each() {
    const CROWD: usize = 25;
    let limits = Limits::default();
    let mut over = Vec::new();
    let streams = streams::all();
    for stream in streams.iter().filter(|stream| stream.aim == Aim::Body || stream.taking == Taking::Nothing)
    {
        let memory = MemoryBudget::new(256 * 1024);
        let each = crowd(&limits, &memory, stream, CROWD) / CROWD;
        let bound = bounds::beyond_budget(&limits, stream.aim);
        if each > bound {
            over.push(format!("{each:>9} each beyond the budget, bound {bound}: {}", stream.name));
        }
    }
    assert!(over.is_empty(), "more than the budget says was held:\n{}", over.join("\n"));
}
