//! WebSocket, framed by the crate `tungstenite`: one conversation, on a thread that it blocks or on none of its own.
//!
//! ```text
//! cargo run -p anabranch-examples --example 07_websocket -- --model tokio   # threads, reactor, multi-reactor, staged
//! new WebSocket("ws://127.0.0.1:8080/future")                               # in a browser; Enter here drains
//!
//! /thread   a lane's thread blocks on the stream: as many sockets as the lane has threads, 503 beyond
//! /future   the connection polls it: where it would wait it is left, and called again. No thread, however many sockets
//! ```
//!
//! Shown: 101, and what is answered instead (`examples/src/websocket.rs`); frames that came in one piece with the request;
//! one `echo` for both ways; a drain that says 1001 and waits for the peer's close. `docs/embed.md` tells of upgrades,
//! `examples/tests/websocket.rs` holds this under every model.

use std::error::Error as StdError;
use std::future::{Future, poll_fn};
use std::io::{ErrorKind, Read, Write, stdin};
use std::{task::Poll, time::Duration};

use anabranch_core::Lane;
use anabranch_core::app::{self, Duplex, DuplexStream, MemoryBudget, Outcome, Request, Router};
use anabranch_examples::websocket::{accept, over, part};
use anabranch_std::{Config, Handle, LaneConfig, Listener, host::Binding, serve_protocol};
use tungstenite::{Error, WebSocket};

fn main() -> Result<(), Box<dyn StdError>> {
    let model = std::env::args().skip_while(|word| word != "--model").nth(1).unwrap_or("threads".into());
    let handle = serve(&model, Listener::bind("127.0.0.1:8080")?, &MemoryBudget::new(64 << 20))?;
    println!("ws://{0}/thread and ws://{0}/future", handle.local_addrs()[0]);
    if stdin().read_line(&mut String::new())? > 0 {
        handle.drain(Duration::from_secs(10));
    }
    handle.wait();
    Ok(())
}

type Started = Result<Handle, Box<dyn StdError>>;

/// Here another binding's models join.
pub(crate) fn serve(model: &str, listener: Listener, memory: &MemoryBudget) -> Started {
    match model {
        "threads" => start(anabranch_std::Model::Threads, listener, memory),
        "reactor" => start(anabranch_mio::Model::Reactor, listener, memory),
        "multi-reactor" => start(anabranch_mio::Model::multi_reactor(), listener, memory),
        "staged" => start(anabranch_mio::Model::staged(), listener, memory),
        "tokio" => start(anabranch_tokio::Model::tokio(), listener, memory),
        _ => Err("--model is one of threads, reactor, multi-reactor, staged, tokio".into()),
    }
}

fn start(model: impl Binding, listener: Listener, memory: &MemoryBudget) -> Started {
    let mut config = Config::new(model);
    config.lanes.push(LaneConfig::new(SOCKETS, 64, 1));
    Ok(serve_protocol(&config, [listener], app::Http::new(router()?).with_memory(memory.clone()))?)
}

const SOCKETS: Lane = Lane("sockets");

pub(crate) fn router() -> Result<Router, app::RouteError> {
    let duplex = Duplex::new(64 << 10).with_idle(Some(Duration::from_secs(60)));
    let duplex = duplex.with_drain(app::WhenDrained::Interrupt);
    Router::builder()
        .get("/thread", move |request, _| open(request, duplex.on_lane(SOCKETS, block)))
        .get("/future", move |request, _| open(request, duplex.with_future(poll)))
        .build()
}

fn open(request: &Request, takeover: app::Takeover) -> Outcome {
    accept(request).map_or_else(Outcome::from, |head| Outcome::duplex(head, takeover))
}

fn block(stream: DuplexStream) {
    let _ = echo(&mut over(stream));
}

fn poll(stream: DuplexStream) -> impl Future<Output = ()> {
    let mut socket = over(stream.nonblocking());
    poll_fn(move |context| {
        socket.get_mut().set_waker(context.waker());
        match echo(&mut socket) {
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => Poll::Pending,
            _ => Poll::Ready(()),
        }
    })
}

/// Sends messages back until the WebSocket is at its end, which tungstenite calls an error. All that is undone where one says
/// `WouldBlock` is in `socket`.
fn echo(socket: &mut WebSocket<impl Read + Write>) -> tungstenite::Result<()> {
    loop {
        // Whoever takes no answers is read no more. Pongs, and a close for a close, are tungstenite's and go out here too.
        socket.flush()?;
        match socket.read() {
            Ok(data) if (data.is_text() || data.is_binary()) && socket.can_write() => socket.write(data)?,
            Ok(_) => {}
            Err(error) => part(socket, error)?,
        }
    }
}
