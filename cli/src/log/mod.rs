//! What the program tells on standard error, as text or JSON.

use std::io::{self, IsTerminal};
use std::panic;
use std::thread;

use anabranch_core::lifecycle::{Event, EventKind};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::args::{LogArguments, LogFormat};

mod access;
mod lines;

pub use access::AccessLog;

/// The log, for as long as the program runs. What waits is written when it is dropped.
#[derive(Debug)]
#[must_use = "the last lines are written when it is dropped"]
pub struct Log {
    lines: lines::Lines,
}

impl Log {
    /// Sets up the log. Without flags it tells warnings and errors; `RUST_LOG`, where set, decides instead.
    ///
    /// # Errors
    /// When its thread cannot be started.
    pub fn start(arguments: LogArguments) -> io::Result<Self> {
        let lines = lines::Lines::start(io::stderr())?;
        let filter =
            EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(directives(arguments)));
        let builder = fmt().with_env_filter(filter).with_writer(lines.clone());
        // Fails only where a program that embeds this one has set up its own, which then stays.
        let _ = match arguments.log_format {
            LogFormat::Text => builder.with_ansi(io::stderr().is_terminal()).try_init(),
            LogFormat::Json => builder.json().flatten_event(true).with_ansi(false).try_init(),
        };
        // A handler that panics is answered with 500; its line is to look like any other.
        panic::set_hook(Box::new(|panicked| {
            let thread = thread::current();
            let location = panicked.location().map(tracing::field::display);
            let message = panicked.payload_as_str().unwrap_or("no message");
            tracing::error!(target: "panic", thread = thread.name(), location, "panicked: {message}");
        }));
        Ok(Self { lines })
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.lines.flush();
    }
}

fn directives(arguments: LogArguments) -> String {
    let level = match arguments.verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let access = if arguments.access_log { "info" } else { "off" };
    format!("warn,server={level},connection={level},access={access}")
}

/// Writes one event of the server's life: trouble as a warning, a closed connection at `-v`, the rest at `-vv`.
pub fn event(event: &Event) {
    match event.kind {
        EventKind::Closed { connection, reason, lasted } => tracing::info!(
            target: "connection",
            %connection,
            %reason,
            milliseconds = lasted.as_micros() as f64 / 1e3,
            "closed: {}", reason.explain()
        ),
        EventKind::Alarm(alarm) => tracing::error!(target: "server", "{alarm}"),
        EventKind::LimitReached { .. } | EventKind::AcceptFailed { .. } | EventKind::Aborting { .. } => {
            tracing::warn!(target: "server", "{event}");
        }
        EventKind::Draining { .. }
        | EventKind::Stopped
        | EventKind::LimitLeft
        | EventKind::AcceptRecovered => {
            tracing::info!(target: "server", "{event}");
        }
        _ => tracing::debug!(target: "server", "{event}"),
    }
}

/// Whether events that come with each connection are told.
#[must_use]
pub fn tells_connections() -> bool {
    tracing::enabled!(target: "connection", tracing::Level::INFO)
        || tracing::enabled!(target: "server", tracing::Level::DEBUG)
}

/// Whether an event does not come with each connection.
#[must_use]
pub const fn is_rare(event: &EventKind) -> bool {
    !matches!(event, EventKind::Opened { .. } | EventKind::Closed { .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_is_told_the_more_is_asked_for() {
        let arguments =
            |verbose, access_log| LogArguments { verbose, access_log, log_format: LogFormat::Text };
        assert_eq!(directives(arguments(0, false)), "warn,server=warn,connection=warn,access=off");
        assert_eq!(directives(arguments(1, true)), "warn,server=info,connection=info,access=info");
        assert!(directives(arguments(2, false)).contains("server=debug"));
    }
}
