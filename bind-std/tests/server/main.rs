//! Servers over loopback, under each model.

mod common;
mod models;
mod stopping;
mod waiting;
