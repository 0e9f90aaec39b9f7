//! Servers of every model of the family, over real sockets.

mod fairness;
mod lifecycle;
mod memory;
mod models;
