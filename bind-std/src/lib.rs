//! Under way.
#![deny(unsafe_code)]

mod connection;
mod control;
mod parker;
mod receive;
mod transport;
mod watch;
mod workspace;
