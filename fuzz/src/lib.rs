//! What each fuzz target checks, as plain functions of bytes: a target calls its own, and a test replays the kept corpus
//! through all of them.
//!
//! | target | input | what must hold |
//! |---|---|---|
//! | [`conversation`] | cuts and limits, then what a peer sends | the same answers and the same end as uncut (law 9) |
//! | [`operations`] | a sequence of a driver's calls | no panic, and the rig's laws at every step |
//! | [`head`] | a request head | what httparse and http-net make of it, but for listed differences |
//! | [`chunked`] | a chunked body | the data and the verdict of a simple decoder |
//! | [`etx`] | what an ETX-ack peer sends | no panic, the laws, the same answers as uncut |
//! | [`duplex`] | what both ends of a stream do | bytes once, in order, within the bound; who can go on is woken |
//! | [`lifecycle`] | a sequence of a server's events | its promises: limits, order, an end that is the end |

pub mod application;
pub mod chunked;
pub mod conversation;
pub mod duplex;
mod end;
pub mod etx;
pub mod head;
pub mod lifecycle;
pub mod operations;

/// A target's name, and its check.
pub type Check = (&'static str, fn(&[u8]));

/// All checks.
pub const CHECKS: [Check; 7] = [
    ("conversation", conversation::check),
    ("operations", operations::check),
    ("head", head::check),
    ("chunked", chunked::check),
    ("etx", etx::check),
    ("duplex", duplex::check),
    ("lifecycle", lifecycle::check),
];
