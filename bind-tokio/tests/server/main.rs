//! Servers of tasks under tokio, over sockets of the loopback.

mod laws;
