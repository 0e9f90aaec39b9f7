//! A protocol of one's own, served by the same call as HTTP: it speaks first and goes on speaking.
//!
//! ```text
//! cargo run -p anabranch-examples --example 02_ticker
//! nc 127.0.0.1 8080
//! ```
//!
//! The flow is in `examples/src/ticker.rs`. Nothing there knows that threads carry it.

use std::time::Duration;

use anabranch_examples::ticker::Ticker;
use anabranch_std::{Config, Listener, Model, serve_protocol};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = Listener::bind("127.0.0.1:8080")?;
    let ticker = Ticker { period: Duration::from_secs(1) };
    let handle = serve_protocol(&Config::new(Model::Threads), [listener], ticker)?;
    println!("a tick a second on {}", handle.local_addrs()[0]);
    handle.wait();
    Ok(())
}
