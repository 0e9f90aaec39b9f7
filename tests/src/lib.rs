//! What spans crates: two tiny drivers that keep the shape of `Flow` honest, beside the bindings proper.

pub mod axum_app;
pub mod book;
pub mod faults;
pub mod kit;
pub mod poll_driver;
pub mod poll_server;
pub mod task_driver;
pub mod task_server;

#[cfg(test)]
mod client;
#[cfg(test)]
mod conformance;
