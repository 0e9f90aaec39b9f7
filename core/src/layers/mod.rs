//! Flows around flows.

pub mod switch;

pub use switch::{Next, Switch, Switchable};
