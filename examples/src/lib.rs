//! Flows and services that the numbered examples run, with their tests.
//!
//! Run one with `cargo run -p anabranch-examples --example 02_ticker`.
#![forbid(unsafe_code)]

pub mod ticker;
