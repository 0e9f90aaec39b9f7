//! Servers over loopback, under each model.

mod common;
mod laws;
mod models;
mod stopping;
mod waiting;
