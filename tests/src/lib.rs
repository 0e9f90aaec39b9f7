//! What spans crates: two tiny drivers that keep the shape of `Flow` honest, beside the bindings proper.

pub mod kit;
pub mod book;
pub mod poll_driver;
pub mod task_driver;
pub mod task_server;
