//! The workers of model `reactor-pool`: they take turns with connections that a loop owns.
//!
//! ```text
//!   loop ── Work ──► ring ──► worker: turn, turn, … ── blocked, finished ──► mailbox ──► loop
//!                      ▲                 │
//!                      └── budget spent ─┘
//! ```
//!
//! A connection that comes back with nothing to do but wait for its peer to speak need not wake the loop: see
//! [`Mailbox::leave`].

use std::sync::Arc;
use std::task::Waker;

use anabranch_core::drive::Progress;
use anabranch_std::host::{Host, Ring, Stop, Workspace};

use crate::connection::{Connection, TURNS_IN_A_ROW};
use crate::reactor::Mail;
use crate::table::Place;
use crate::wakers::OwnState;

#[cfg(doc)]
use crate::mailbox::Mailbox;

/// A connection on its way to a worker.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) place: Place,
    pub(crate) connection: Connection,
    pub(crate) own: Arc<OwnState>,
}

/// A worker's life: until the ring is closed.
pub(crate) fn work(host: &Host, ring: &Ring<Work>, read_bytes: usize) {
    let mut workspace = Workspace::new(read_bytes);
    let mut taker = ring.taker();
    while let Some(work) = taker.take() {
        let Work { place, mut connection, own } = work;
        let waker = Waker::from(own.clone());
        let now = host.clock().now();
        workspace.anchor_dates(now);
        let mut progress = Progress::Again;
        for _ in 0..TURNS_IN_A_ROW {
            own.begin();
            progress = connection.turn(host, &mut workspace, now, &waker, &mut |job| host.exec(job));
            if !own.end() || progress != Progress::Blocked {
                break;
            }
            progress = Progress::Again;
        }
        let outlook = connection.driven.outlook();
        // Output that did not fit is heard of only once the loop has asked for that.
        let only_listens = progress == Progress::Blocked && !outlook.writes();
        let mail = Mail::Returned(place, connection, progress);
        if only_listens && host.stop() == Stop::Running {
            own.mailbox().leave(mail, outlook.due);
            // In this order: either the loop finds the mail when it looks for what it noted, or it is woken for it.
            if own.was_noted() {
                own.mailbox().rouse();
            }
        } else {
            own.mailbox().post(mail);
        }
    }
}
