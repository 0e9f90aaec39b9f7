//! The servers: ours by model, and their peers. Each answers `/plaintext` and `/deferred`, and echoes what is posted.

mod axum;
mod blocking;
mod events;
mod nginx;
mod ours;
mod raw;

use std::env;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;

use socket2::{Domain, Socket, Type};

/// A server that can be measured.
pub struct Engine {
    pub name: &'static str,
    pub about: &'static str,
    pub kind: Kind,
    /// What it can be asked for.
    pub can: &'static [Can],
    start: Start,
}

enum Start {
    /// Within a process of this program.
    Within(fn(&Place) -> io::Result<()>),
    /// A program of its own.
    Program(fn(&Place, &Path) -> io::Result<Command>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Ours,
    /// A peer whose threads block.
    Blocking,
    /// A peer that waits for events.
    Events,
    /// It parses nothing: what the kernel alone costs.
    Limit,
}

/// What not every server can do, or not within reason.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Can {
    /// Answer a batch that is pipelined.
    Pipeline,
    /// Send a body back.
    Echo,
    /// Send a body back as it comes.
    Stream,
    /// End the connection when it is asked to.
    Close,
    /// Answer from another thread.
    Defer,
    /// Hold many connections, on not many threads.
    Hold,
    /// Run as several processes on one port.
    Share,
    /// Refuse work when its lanes are full.
    Refuse,
    /// Use more than one thread. What cannot is there for our models that do not either.
    Scale,
}

use Can::{Close, Defer, Echo, Hold, Pipeline, Refuse, Scale, Share, Stream};

const EVENTS: &[Can] = &[Pipeline, Echo, Stream, Close, Defer, Hold, Share, Scale];

/// A model of ours joins by a line.
pub static ENGINES: &[Engine] = &[
    within("threads", "ours: a thread a connection", Kind::Ours, BLOCKING_OURS, ours::threads),
    within(
        "pool",
        "ours: a pool of threads, each with one connection at a time",
        Kind::Ours,
        BLOCKING_OURS,
        ours::pool,
    ),
    within("reactor", "ours: one event loop", Kind::Ours, ONE_LOOP, ours::reactor),
    within("multi-reactor", "ours: a loop a thread, nothing shared", Kind::Ours, OURS, ours::multi_reactor),
    within(
        "multi-reactor-deferring",
        "ours: the same, where the kernel gives a connection out with its first bytes",
        Kind::Ours,
        &[Close, Scale],
        ours::multi_reactor_deferring,
    ),
    within(
        "reactor-pool",
        "ours: one loop that waits, workers that handle",
        Kind::Ours,
        OURS,
        ours::reactor_pool,
    ),
    within("staged", "ours: threads accept, threads serve the network", Kind::Ours, OURS, ours::staged),
    within(
        "staged-shared",
        "ours: as staged, but a connection is whichever thread's is idle",
        Kind::Ours,
        OURS,
        ours::staged_shared,
    ),
    within(
        "tokio",
        "ours: a task a connection, on tokio's multi-thread runtime",
        Kind::Ours,
        OURS,
        ours::tokio,
    ),
    within(
        "tokio-local",
        "ours: a current-thread runtime of tokio's a thread, nothing shared",
        Kind::Ours,
        OURS,
        ours::tokio_local,
    ),
    within("smol", "ours: a task a connection, on smol's executor", Kind::Ours, OURS, ours::smol),
    within(
        "async-std",
        "ours: a task a connection, on async-std's executor",
        Kind::Ours,
        OURS,
        ours::async_std,
    ),
    within(
        "tokio-tower",
        "ours: the axum `Router` of `axum`, on tokio's multi-thread runtime",
        Kind::Ours,
        &[Pipeline, Echo, Stream, Close, Hold, Share, Scale],
        axum::tokio_tower,
    ),
    within(
        "tower",
        "ours: the axum `Router` of `axum`, on a loop a thread, without a runtime",
        Kind::Ours,
        &[Pipeline, Echo, Stream, Close, Hold, Share, Scale],
        axum::tower,
    ),
    within(
        "khttp",
        "a thread a connection, SIMD parsing, nothing above HTTP",
        Kind::Blocking,
        &[Echo, Close, Scale],
        blocking::khttp,
    ),
    within(
        "astra",
        "hyper on a pool of blocking threads",
        Kind::Blocking,
        &[Pipeline, Echo, Scale],
        blocking::astra,
    ),
    within(
        "tiny-http",
        "the oldest of the blocking ones",
        Kind::Blocking,
        &[Pipeline, Echo, Close, Scale],
        blocking::tiny_http,
    ),
    within("hyper", "hyper on tokio's multi-thread runtime", Kind::Events, EVENTS, events::hyper),
    within(
        "hyper-local",
        "hyper on a current-thread runtime: one thread",
        Kind::Events,
        &[],
        events::hyper_local,
    ),
    within("actix-http", "actix-http: a loop a core", Kind::Events, EVENTS, events::actix),
    within("axum", "axum, as it comes, on tokio's multi-thread runtime", Kind::Events, EVENTS, axum::axum),
    within(
        "may-minihttp",
        "coroutines on may: fast, and little of HTTP",
        Kind::Events,
        &[Pipeline, Echo, Hold, Share, Scale],
        events::may,
    ),
    Engine {
        name: "nginx",
        about: "nginx with a worker a thread",
        kind: Kind::Events,
        can: &[Pipeline, Close, Hold, Share, Scale],
        start: Start::Program(nginx::command),
    },
    Engine {
        name: "nginx-1",
        about: "nginx with one worker",
        kind: Kind::Events,
        can: &[],
        start: Start::Program(nginx::command_one),
    },
    within(
        "raw",
        "epoll loops that parse nothing: the limit",
        Kind::Limit,
        &[Pipeline, Echo, Stream, Close, Hold, Share, Scale],
        raw::serve,
    ),
];

/// Of ours. One loop alone takes part where no more than that is needed.
const OURS: &[Can] = &[Pipeline, Echo, Stream, Close, Defer, Hold, Share, Refuse, Scale];
const ONE_LOOP: &[Can] = &[Pipeline, Echo, Stream, Close, Defer, Hold, Share, Refuse];
const BLOCKING_OURS: &[Can] = &[Pipeline, Echo, Stream, Close, Defer, Refuse, Scale];

const fn within(
    name: &'static str,
    about: &'static str,
    kind: Kind,
    can: &'static [Can],
    serve: fn(&Place) -> io::Result<()>,
) -> Engine {
    Engine { name, about, kind, can, start: Start::Within(serve) }
}

/// Where and how large a server is.
#[derive(Clone, Copy)]
pub struct Place {
    pub port: u16,
    /// Loops, workers of a runtime.
    pub threads: usize,
    /// Threads of the blocking ones: one a connection, or some wait for ever.
    pub connections: usize,
}

impl Place {
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// A socket that others may share the port of, without delay of small segments.
    fn listen(&self) -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        socket.set_tcp_nodelay(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&self.address().into())?;
        socket.listen(4096)?;
        Ok(socket.into())
    }
}

impl Engine {
    pub fn named(name: &str) -> io::Result<&'static Self> {
        ENGINES.iter().find(|engine| engine.name == name).ok_or_else(|| {
            let names: Vec<_> = ENGINES.iter().map(|engine| engine.name).collect();
            io::Error::other(format!("there is no server `{name}`; there are: {}", names.join(", ")))
        })
    }

    /// Serves until the process is ended.
    pub fn serve(&self, place: &Place) -> io::Result<()> {
        match self.start {
            Start::Within(serve) => serve(place),
            Start::Program(_) => Err(io::Error::other(format!("{} is a program of its own", self.name))),
        }
    }

    /// What to run for a server; `folder` is for its files.
    pub fn command(&self, place: &Place, folder: &Path) -> io::Result<Command> {
        match self.start {
            Start::Program(command) => command(place, folder),
            Start::Within(_) => {
                let numbers = [usize::from(place.port), place.threads, place.connections];
                let mut command = Command::new(env::current_exe()?);
                command.args(["--serve", self.name]).args(numbers.map(|number| number.to_string()));
                // One executor for the process, and no other way to say how many threads it has.
                command.env("ASYNC_STD_THREAD_COUNT", place.threads.to_string());
                Ok(command)
            }
        }
    }

    /// Why it cannot be measured on this machine.
    pub fn is_missing(&self) -> Option<&'static str> {
        let is_program = matches!(self.start, Start::Program(_));
        (is_program && !nginx::is_there()).then_some("nginx is not installed (apt-get install nginx-light)")
    }
}
