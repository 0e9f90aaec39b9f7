//! What spans crates: one conformance suite and one set of recorded conversations for every model, two tiny drivers that keep
//! the shape of `Flow` honest beside the bindings proper, and deliberate faults.

pub mod axum_app;
pub mod book;
pub mod faults;
pub mod kit;
pub mod poll_driver;
pub mod poll_server;
pub mod task_server;
pub mod transcripts;

#[cfg(test)]
mod client;
#[cfg(test)]
mod conformance;
