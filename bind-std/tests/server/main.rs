//! Servers over loopback, under each model.

mod common;
mod http;
mod models;
mod stopping;
mod waiting;
