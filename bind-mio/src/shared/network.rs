//! A network thread: whatever comes next, whosever it is.

use std::sync::Arc;

use anabranch_std::host::Workspace;

use super::pool::{BELL, END, Pool};

/// Events that a thread takes from the poll at once: few, for those it has taken no other thread can.
const EVENTS: usize = 8;

/// Serves until everything is over.
pub(super) fn run(pool: &Arc<Pool>, read_bytes: usize) {
    let mut workspace = Workspace::new(read_bytes);
    let mut events = Vec::with_capacity(EVENTS);
    while !pool.is_over() {
        pool.sleep(&mut events);
        if events.len() > 1 && events.iter().any(|event| event.data.u64() == BELL) {
            // However long the turns before it take: others are to hear of what waits, and it may be rung again.
            pool.pass_on();
            events.retain(|event| event.data.u64() != BELL);
        }
        for event in events.drain(..) {
            // The kernel's structure is packed: its fields are copied out.
            let (flags, token) = (event.flags, event.data.u64());
            match token {
                BELL => pool.heard(),
                END => {}
                token => pool.handle_event(token, flags, &mut workspace),
            }
        }
        // As many as there were events for, so that neither starves the other.
        for _ in 0..EVENTS {
            let Some(number) = pool.next_wanted() else { break };
            pool.serve(number, &mut workspace);
        }
    }
}
