//! Heads that come a byte at a time: the cost of a byte must not grow with the head.

use crate::engine::{Sink, ours};
use crate::time::{cpu_time, median};

const ROUNDS: usize = 7;
const LINE_BYTES: usize = 1000;

/// What a byte costs in a head of this size.
pub struct Trickle {
    pub head_bytes: usize,
    pub nanoseconds: f64,
}

pub fn trickles() -> Vec<Trickle> {
    [1, 4, 16, 64].map(|kib| trickle(kib * 1024)).into()
}

fn trickle(head_bytes: usize) -> Trickle {
    let head = head(head_bytes);
    let protocol = ours::protocol();
    let mut thread = ours::Thread::new();
    let mut flow = thread.connect(&protocol);
    let repeats = (64 * 1024 / head.len()).max(1);
    let mut samples: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = cpu_time();
            for _ in 0..repeats {
                let mut sink = Sink::default();
                for byte in head.chunks(1) {
                    thread.exchange(&mut *flow, byte, &mut sink);
                }
                assert!(sink.take_count() > 0, "the head was complete, and was answered");
            }
            (cpu_time() - start).as_nanos() as f64 / (repeats * head.len()) as f64
        })
        .collect();
    Trickle { head_bytes: head.len(), nanoseconds: median(&mut samples) }
}

/// A head of `bytes`, in field lines of at most a thousand.
fn head(bytes: usize) -> Vec<u8> {
    let mut head = b"GET /plaintext HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n".to_vec();
    // The whole of it is a little over the largest header section: the request line does not belong to that.
    let mut left = bytes - head.len() - 2;
    while left > 0 {
        let line = if left < 2 * LINE_BYTES { left } else { LINE_BYTES };
        head.extend_from_slice(b"x-filler: ");
        head.resize(head.len() + line - 12, b'v');
        head.extend_from_slice(b"\r\n");
        left -= line;
    }
    head.extend_from_slice(b"\r\n");
    head
}
