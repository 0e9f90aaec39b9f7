//! An upgraded connection as a stream: code that reads and writes, on a lane's thread, under any model.
//!
//! ```text
//! cargo run -p anabranch-examples --example 04_stream
//! printf 'GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: shout\r\n\r\nhello\n' | nc -q 1 127.0.0.1 8080
//! ```
//!
//! The thread blocks as it likes: it is none of those that drive connections. While it does not read, the peer is held up
//! by its own socket; where all of the lane's threads have a stream already, the next upgrade is answered with 503.

use std::io::{BufRead, BufReader, Write};
use std::time::Duration;

use anabranch_std::core::Lane;
use anabranch_std::core::app::{Context, Duplex, DuplexStream, Outcome, Request, Response, service_fn};
use anabranch_std::{Config, LaneConfig, Listener, serve};

const STREAMS: Lane = Lane("streams");

fn upgrade(request: &mut Request, _: &mut Context<'_>) -> Outcome {
    if !request.offers_protocol(b"shout") {
        return Response::upgrade_required("shout").into();
    }
    let duplex = Duplex::new(64 * 1024).with_idle(Some(Duration::from_secs(60)));
    Outcome::duplex(Response::switching_to("shout"), duplex.on_lane(STREAMS, shout))
}

/// Sends each line back in capitals, until the peer has shut its half or is gone.
fn shout(stream: DuplexStream) {
    let (reader, mut writer) = stream.split();
    for line in BufReader::new(reader).lines() {
        let Ok(line) = line else { return };
        if writeln!(writer, "{}", line.to_uppercase()).is_err() {
            return;
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut config = Config::default();
    config.lanes.push(LaneConfig::new(STREAMS, 64, 1));
    let handle = serve(&config, [Listener::bind("127.0.0.1:8080")?], service_fn(upgrade))?;
    println!("http://{}", handle.local_addrs()[0]);
    handle.wait();
    Ok(())
}
