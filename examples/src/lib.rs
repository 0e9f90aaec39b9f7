//! What the numbered examples stand on: flows and services that they run, and what every loop lends its flows.
//!
//! Run one with `cargo run -p anabranch-examples --example 02_ticker`.
#![forbid(unsafe_code)]

pub mod agenda;
pub mod completion;
pub mod lent;
pub mod outside;
pub mod ticker;
pub mod websocket;
