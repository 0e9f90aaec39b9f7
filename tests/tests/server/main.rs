//! Servers of every model that carries more than one connection at a time, over real sockets.

mod busy;
mod deferring;
mod ending;
mod fairness;
mod lifecycle;
mod memory;
mod models;
