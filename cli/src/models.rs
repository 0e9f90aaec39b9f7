//! The concurrency models: what each is, when to take it, and what a slow client does to the others.

use core::fmt::Write;

use clap::ValueEnum;

/// The models that `serve` can run. A new one is a line here and a line in [`MODELS`].
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum ModelName {
    /// One connection at a time, on one thread
    Single,
    /// A thread for each connection
    Threads,
    /// A fixed number of threads that take connections in turn
    Pool,
    /// One event loop
    Reactor,
    /// An event loop for each processor
    MultiReactor,
    /// One event loop that waits, and workers that handle requests
    ReactorPool,
    /// Threads that accept, threads for the network, threads for slow work
    Staged,
    /// A task for each connection, under tokio
    Tokio,
    /// A tokio runtime for each processor
    TokioLocal,
    /// A task for each connection, under smol
    Smol,
    /// A task for each connection, under async-std, which is discontinued
    AsyncStd,
}

impl ModelName {
    /// As it is written on the command line and in the page that the demo application shows.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Threads => "threads",
            Self::Pool => "pool",
            Self::Reactor => "reactor",
            Self::MultiReactor => "multi-reactor",
            Self::ReactorPool => "reactor-pool",
            Self::Staged => "staged",
            Self::Tokio => "tokio",
            Self::TokioLocal => "tokio-local",
            Self::Smol => "smol",
            Self::AsyncStd => "async-std",
        }
    }
}

/// A row of `anabranch models`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Model {
    /// Which.
    pub name: ModelName,
    /// What it is.
    pub what: &'static str,
    /// When to take it.
    pub when: &'static str,
    /// What a client that is slow, silent or gone costs.
    pub slow_clients: &'static str,
    /// How long one GET waited beside such clients, in deadlines, as `bind-std/examples/slow_clients.rs` measured it.
    pub measured: &'static str,
    /// How long N clients of ETX-ack take that send 5 messages each, with delay d.
    pub etx: &'static str,
}

/// Every model, simplest first.
pub const MODELS: &[Model] = &[
    Model {
        name: ModelName::Single,
        what: "One thread serves one connection from its first byte to its last, then accepts the next.",
        when: "For tools and tests, to see the protocol with nothing in the way, and behind a proxy that opens one \
               connection. Never where clients are not trusted.",
        slow_clients: "Everybody waits behind it until its deadline (first byte, head, body, idle, write or linger) \
                       ends it. Keep-alive counts too: an idle connection holds the server for --idle-timeout.",
        measured: "behind 1, 2, 4 silent clients a GET waited 0.9, 1.9, 3.9 deadlines",
        etx: "N·5·d",
    },
    Model {
        name: ModelName::Threads,
        what: "A thread for each connection, up to --max-connections.",
        when: "The one to begin with: up to some thousands of connections, handlers that block, short and plain code.",
        slow_clients: "It costs its own thread (a stack, mostly untouched) and its place among --max-connections until \
                       its deadline; nobody else waits while there are places.",
        measured: "beside 1, 2, 4 silent clients a GET waited for none of them (0 ms)",
        etx: "5·d",
    },
    Model {
        name: ModelName::Pool,
        what: "--threads workers each serve one connection at a time; accepted ones wait in a bounded queue.",
        when: "When the number of threads has to be fixed and connections are short: behind a proxy, or with \
               keep-alive kept short.",
        slow_clients: "It holds one worker until its deadline. As many slow clients as there are workers hold up \
                       everybody else for that long.",
        measured: "with 2 workers, beside 1, 2, 4 silent clients a GET waited 0, 0.9, 1.9 deadlines",
        etx: "⌈N/threads⌉·5·d",
    },
    Model {
        name: ModelName::Reactor,
        what: "One thread, one event loop: it accepts, reads, handles and answers for all connections in turn.",
        when: "For tens of thousands of connections and quick handlers on one processor, and wherever a thread is all \
               there is. What blocks or computes belongs on a lane.",
        slow_clients: "Its socket and some 400 bytes, until its deadline; nobody waits for it. A handler that blocks \
                       stops everybody.",
        measured: MEASURED_NOT,
        etx: "5·d",
    },
    Model {
        name: ModelName::MultiReactor,
        what: "--threads event loops, each with a listener of its own (SO_REUSEPORT), which share nothing.",
        when: "The fastest for quick handlers on all processors.",
        slow_clients: "As under reactor. A handler that blocks stops the connections of its own loop.",
        measured: MEASURED_NOT,
        etx: "5·d",
    },
    Model {
        name: ModelName::ReactorPool,
        what: "One event loop waits for all connections; --threads workers read, handle and answer what came. A thread \
               a request, and not a connection.",
        when: "When very many connections are open, few of them active, and handlers block.",
        slow_clients: "As under reactor: between two requests, and while a request trickles in, it holds no worker.",
        measured: MEASURED_NOT,
        etx: "5·d",
    },
    Model {
        name: ModelName::Staged,
        what: "--acceptors threads accept, --threads threads serve the network, lanes do slow work; what goes from stage \
               to stage waits in bounded queues.",
        when: "When slow work has to be kept apart from quick answers, and overload is to be told at once (503).",
        slow_clients: "As under multi-reactor.",
        measured: MEASURED_NOT,
        etx: "5·d",
    },
    Model {
        name: ModelName::Tokio,
        what: "A task for each connection, on tokio's multi-thread runtime with --threads workers; a task goes to whichever \
               is idle.",
        when: "For applications that await: tower and axum services, clients of databases and of other servers.",
        slow_clients: "Its socket and some 1.3 KB, until its deadline; nobody waits for it. A handler that blocks stops the \
                       tasks of its worker until others take them over.",
        measured: MEASURED_NOT,
        etx: "5·d",
    },
    Model {
        name: ModelName::TokioLocal,
        what: "--threads current-thread runtimes of tokio, each with a listener of its own (SO_REUSEPORT), which share \
               nothing.",
        when: "As tokio, where every request costs about the same: no task ever changes its processor.",
        slow_clients: "As under tokio. A handler that blocks stops the connections of its own runtime.",
        measured: MEASURED_NOT,
        etx: "5·d",
    },
    Model {
        name: ModelName::Smol,
        what: "A task for each connection, on an executor of smol's with --threads threads.",
        when: "For applications that stand on smol or on async-io.",
        slow_clients: "As under tokio.",
        measured: MEASURED_NOT,
        etx: "5·d",
    },
    Model {
        name: ModelName::AsyncStd,
        what: "A task for each connection, on async-std's executor, with as many threads as ASYNC_STD_THREAD_COUNT says.",
        when: "For applications that still run async-std. It is discontinued (RUSTSEC-2025-0052): smol is its successor.",
        slow_clients: "As under tokio.",
        measured: MEASURED_NOT,
        etx: "5·d",
    },
];

/// What slow clients cost where nobody waits for one connection alone.
const MEASURED_NOT: &str = "nobody waits for a silent client, however many there are";

const WIDTH: usize = 76;

/// What `anabranch models` prints.
#[must_use]
pub fn table() -> String {
    let mut out = String::from("One HTTP server logic; what differs is who carries it.\n");
    for model in MODELS {
        let default = if model.name == ModelName::Threads { "  (default)" } else { "" };
        // Writing to a string does not fail.
        let _ = writeln!(out, "\n{}{default}", model.name.name());
        for (title, text) in [
            ("what", model.what),
            ("when", model.when),
            ("slow clients", model.slow_clients),
            ("measured", model.measured),
            ("5 ETX-ack messages", model.etx),
        ] {
            for (number, line) in wrap(text, WIDTH).iter().enumerate() {
                let title = if number == 0 { title } else { "" };
                let _ = writeln!(out, "  {title:<20}{line}");
            }
        }
    }
    out.push_str(
        "\nMeasured with each deadline at 500 ms; docs/choose-a-model.md has the whole table.\n\
         The last row of each: how long N clients take that send 5 messages one after another to\n\
         `serve --protocol etx --etx-delay d`. See it for yourself with `anabranch etx-client N`.\n",
    );
    out
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        if lines[last].is_empty() {
            lines[last].push_str(word);
        } else if lines[last].chars().count() + 1 + word.chars().count() <= width {
            lines[last].push(' ');
            lines[last].push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_that_can_be_asked_for_is_explained() {
        let table = table();
        for model in ModelName::value_variants() {
            assert!(MODELS.iter().any(|row| row.name == *model), "{model:?}");
            assert!(table.contains(&format!("\n{}", model.name())), "{model:?}");
            assert_eq!(model.to_possible_value().unwrap().get_name(), model.name());
        }
        assert!(table.lines().all(|line| line.chars().count() <= 100));
    }
}
