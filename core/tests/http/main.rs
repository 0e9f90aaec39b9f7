//! HTTP through the rig: what a peer sends, what it gets, and how the connection ends.
//!
//! No socket, no thread that sleeps, no clock that runs: the rig plays peer, time and job threads, and holds the flow to
//! its laws at every call. `kit` holds one conversation in every way it can be cut (law 9).

mod kit;

mod answering;
mod application;
mod deadlines;
mod deadlines_hold;
mod draining;
mod drains_hold;
mod early;
mod expectation;
mod failures;
mod lanes;
mod limits;
mod machine;
mod memory;
mod persistence;
mod pipelining;
mod polling;
mod properties;
mod requirements;
mod routing;
mod streaming;
mod strictness;
mod switching;
mod until_close;
