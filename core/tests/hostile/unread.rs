//! A peer that asks and never reads: whatever it asks for, between two turns its connection holds 64 KiB at most, as the
//! limits are by default and reads are in the bindings.

use anabranch_core::app::{Http, MemoryBudget};

use super::application::Application;
use super::peer::{Cut, Manner, Peer};
use super::playing::play;
use super::streams::{Stream, Taking, chunk, chunked, get, head, large_field};
use super::{AMPLE, KIBIBYTE, MEBIBYTE};

/// What a connection may hold, all of it.
const HELD_BYTES: usize = 64 * KIBIBYTE;

/// What the bindings read at once by default.
const READ_BYTES: usize = 64 * KIBIBYTE;

/// What the transport takes before it is full, as kernels do.
const TAKINGS: [Taking; 6] = [
    Taking::Nothing,
    Taking::First(1),
    Taking::First(20_000),
    Taking::First(100_000),
    Taking::First(3_000_000),
    Taking::Little,
];

/// What is asked for by requests in a row.
fn requests() -> Vec<Stream> {
    let post = |target: &str| chunked(target) + &chunk(1) + &chunk(20_000) + "0\r\n\r\n";
    [
        ("small answers", "", get("/")),
        ("answers that are copied", "", get("/copied")),
        ("answers that are whole and static", "", get("/huge")),
        ("answers without a body", "", head("HEAD", "/") + "\r\n"),
        ("an answer that is made as it is taken", "", get("/filling")),
        ("an answer in pieces of its own", "", get("/crumbs")),
        ("interim answers", "", get("/hints")),
        ("refusals", "BAD\r\n\r\n", "x".into()),
        ("small answers, behind a body", &*post("/ignore"), get("/")),
        ("small answers, behind a body that is sent back", &*post("/echo"), get("/")),
        ("small answers, to bodies", "", post("/count")),
        ("small answers, to large heads", "", head("GET", "/") + &large_field(10_000) + "\r\n"),
    ]
    .map(|(what, beginning, repeated)| Stream::new(what, beginning, repeated))
    .into()
}

#[test]
fn connection_of_a_peer_that_never_reads_holds_64_kibibytes_at_most() {
    let budget = MemoryBudget::new(AMPLE);
    let http = Http::new(Application).with_memory(budget.clone());
    let mut over = Vec::new();
    for stream in &requests() {
        for taking in TAKINGS {
            // A thousand requests, or the first alone.
            for (cut, until) in [(Cut::Reads, 2 * MEBIBYTE), (Cut::Odd, 256 * KIBIBYTE), (Cut::Reads, 40)] {
                let peer = Peer::new(stream, taking, Manner::Silent, &budget).sending(cut, until);
                let played = play(&http, peer, READ_BYTES);
                let line = format!(
                    "{:>7} held, {:>7} read: {}, to a peer that takes {taking:?}",
                    played.held, played.read, stream.name
                );
                println!("{line}");
                if played.held > HELD_BYTES {
                    over.push(line);
                }
            }
        }
    }
    assert!(over.is_empty(), "more than {HELD_BYTES} bytes were held:\n{}", over.join("\n"));
}
