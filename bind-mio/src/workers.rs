//! The workers of model `reactor-pool`: they take turns with connections that a loop owns.
//!
//! ```text
//!   loop ── Work ──► ring ──► worker: turn, turn, … ── blocked, budget spent, finished ──► mailbox ──► loop
//! ```
//!
//! A connection that comes back with nothing to do but wait for its peer to speak need not wake the loop: see
//! [`Mailbox::leave`].

use std::sync::Arc;
use std::task::Waker;

use anabranch_std::host::{Host, Ring, Stop, Workspace};

use crate::connection::{Connection, TURNS_IN_A_ROW, Turned};
use crate::reactor::Mail;
use crate::table::Place;
use crate::wakers::Own;

#[cfg(doc)]
use crate::mailbox::Mailbox;

/// A connection on its way to a worker.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) place: Place,
    pub(crate) connection: Connection,
    pub(crate) own: Arc<Own>,
}

/// A connection on its way back. What the loop has to know of it comes with it: its memory is the worker's processor's by now.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) place: Place,
    pub(crate) connection: Connection,
    pub(crate) turned: Turned,
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
        let mut turned = Turned::Again;
        for _ in 0..TURNS_IN_A_ROW {
            own.begin();
            let mut exec = |job| host.exec(job);
            turned = connection.turn(host, &mut workspace, now, &waker, &mut exec);
            if !own.end() || !matches!(turned, Turned::Blocked(_)) {
                break;
            }
            turned = Turned::Again;
        }
        // Output that did not fit is heard of only once the loop has asked for that.
        let listens_until = match turned {
            Turned::Blocked(outlook) if !outlook.writes() && host.stop() == Stop::Running => {
                Some(outlook.due)
            }
            _ => None,
        };
        let mail = Mail::Returned(Done { place, connection, turned });
        if let Some(due) = listens_until {
            own.mailbox().leave(mail, due);
            // In this order: either the loop finds the mail when it looks for what it noted, or it is woken for it.
            if own.was_noted() {
                own.mailbox().rouse();
            }
        } else {
            own.mailbox().post(mail);
        }
    }
}
