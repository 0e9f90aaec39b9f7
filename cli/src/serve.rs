//! `serve`: from flags to a running server, and from a signal to its end.
//!
//! ```text
//!   flags ─► open files ─► listener ─► threads ─► "listening on …" ─► wait ─► exit code
//!                                          ▲                            ▲
//!                        first signal: drain(grace), second: abort ─────┘
//! ```

use core::net::SocketAddr;
use core::time::Duration;
use std::io;
use std::process::{self, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anabranch_core::Lane;
use anabranch_core::app::{Http, MemoryBudget};
use anabranch_core::lifecycle::AtLimit;
use anabranch_std::{
    Config, Handle, LaneConfig, ListenError, ListenOptions, Listener, Reuse, serve_protocol,
};
use rustix::io::Errno;

use crate::args::{ProtocolName, ServeArguments};
use crate::carrier::{Carrier, NotThisModel, Threads};
use crate::config_file::read::Pipeline;
use crate::demo::Demo;
use crate::limits::{self, AtLimitName};
use crate::log::{self, AccessLog, Log};
use crate::open_files::{self, TooFewFiles};
use crate::signals::{self, Stop};
use crate::units::{Count, Size};

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be had.
    #[error("{0}")]
    Listen(#[from] ListenError),
    /// The process may not open files enough.
    #[error("{0}")]
    TooFewFiles(#[from] TooFewFiles),
    /// A flag that means nothing to the model.
    #[error("{0}")]
    NotThisModel(#[from] NotThisModel),
    /// No thread, descriptor or signal handler.
    #[error("cannot start: {}{}", .0, remedy(.0))]
    Start(#[from] io::Error),
    /// The server came to an end that nobody asked for.
    #[error("the server stopped by itself: its listening socket became unusable; the log says why")]
    StoppedByItself,
}

/// Serves until a signal says otherwise.
///
/// # Errors
/// When the server cannot start, or stops though no signal told it to.
pub fn run(arguments: &ServeArguments) -> Result<ExitCode, ServeError> {
    let _log = Log::start(arguments.log)?;
    let config = config(arguments)?;
    let files = config.model.files_a_connection();
    open_files::make_room("--max-connections", arguments.limits.max_connections.0, files)?;
    let mut options = ListenOptions::default();
    options.defer_accept = arguments.defer_accept.0;
    if config.model.shares_port() {
        options.reuse_port = Reuse::Allowed;
    }
    let listener = Listener::bind_with(SocketAddr::new(arguments.bind, arguments.port), &options)?;
    let handle = start(arguments, &config, listener)?;

    let asked = Arc::new(AtomicBool::new(false));
    let grace = arguments.deadlines.grace.duration().unwrap_or(Duration::MAX);
    signals::watch({
        let (handle, asked) = (handle.clone(), asked.clone());
        move |signal, stop| {
            asked.store(true, Ordering::SeqCst);
            match stop {
                Stop::Drain => {
                    tracing::info!(target: "server", "{signal}: draining");
                    handle.drain(grace);
                }
                Stop::Abort => {
                    tracing::warn!(target: "server", "{signal} again: aborting");
                    handle.abort();
                }
            }
        }
    })?;
    let mut events = handle.events();
    if !log::tells_connections() {
        events = events.only(log::is_rare);
    }
    let teller = thread::Builder::new()
        .name("log".into())
        .spawn(move || events.for_each(|event| log::event(&event)))?;

    announce(arguments, &handle);
    let summary = handle.wait();
    // It ends with the server, after the last event was told.
    let _ = teller.join();
    if summary.left_behind > 0 {
        tracing::warn!(target: "server", "{} threads were still busy and are left behind", summary.left_behind);
    }
    if asked.load(Ordering::SeqCst) { Ok(ExitCode::SUCCESS) } else { Err(ServeError::StoppedByItself) }
}

/// What to do about a system that gives no more of something.
fn remedy(error: &io::Error) -> &'static str {
    match Errno::from_io_error(error) {
        Some(Errno::AGAIN | Errno::NOMEM) => {
            "\n  remedy: fewer --threads, or a higher limit on this user's threads (`ulimit -u`)"
        }
        Some(Errno::MFILE | Errno::NFILE) => {
            "\n  remedy: fewer --threads or --max-connections, or a higher limit (`ulimit -n`)"
        }
        _ => "",
    }
}

fn start(arguments: &ServeArguments, config: &Config<Carrier>, listener: Listener) -> io::Result<Handle> {
    match arguments.protocol {
        ProtocolName::Http => {
            let memory = arguments.limits.max_memory.limit().map_or(usize::MAX, Size::as_usize);
            let mut protocol = Http::new(Demo::new(arguments.model.name()))
                .with_settings(limits::http_settings(&arguments.limits, &arguments.deadlines))
                .with_memory(MemoryBudget::new(memory));
            if arguments.log.access_log {
                protocol = protocol.with_observer(Arc::new(AccessLog));
            }
            serve_protocol(config, [listener], protocol)
        }
        ProtocolName::Etx => {
            let protocol = limits::etx_settings(
                &arguments.limits,
                &arguments.deadlines,
                arguments.etx_delay.0,
                arguments.etx_max_message_bytes.as_usize(),
            );
            serve_protocol(config, [listener], protocol)
        }
    }
}

/// How the server is carried.
fn config(arguments: &ServeArguments) -> Result<Config<Carrier>, ServeError> {
    let mut config = Config::new(carrier(arguments)?);
    config.server.max_connections = arguments.limits.max_connections.as_usize();
    config.server.at_limit = match arguments.limits.at_limit {
        AtLimitName::Pause => AtLimit::Pause,
        AtLimitName::Refuse => AtLimit::Refuse,
    };
    let mut lane = LaneConfig::default();
    lane.lane = Lane::DEFAULT;
    if let Some(threads) = arguments.lane_threads {
        lane.threads = threads.as_usize();
    }
    if let Some(queue) = arguments.lane_queue {
        lane.queue = queue.as_usize();
    }
    config.lanes = vec![lane];
    config.lanes.extend(arguments.pipelines.iter().map(named_lane));
    // Whoever aborts a program wants it gone: what still runs ends with the process.
    config.patience = Duration::from_millis(500);
    Ok(config)
}

/// A lane of its own name, which is needed for as long as the program runs; a file has few, and is read once.
fn named_lane(pipeline: &Pipeline) -> LaneConfig {
    let LaneConfig { threads, queue, .. } = LaneConfig::default();
    let name: &'static str = pipeline.name.clone().leak();
    LaneConfig::new(Lane(name), pipeline.threads.unwrap_or(threads), pipeline.queue.unwrap_or(queue))
}

fn carrier(arguments: &ServeArguments) -> Result<Carrier, NotThisModel> {
    let ServeArguments { threads, queue, acceptors, ownership, pin, .. } = *arguments;
    let threads = Threads {
        threads: threads.map(Count::as_nonzero),
        queue: queue.map(Count::as_usize),
        acceptors: acceptors.map(Count::as_nonzero),
        ownership,
        pin,
    };
    Carrier::new(arguments.model, threads)
}

/// The one line on standard output: where, how, and whom to signal.
fn announce(arguments: &ServeArguments, handle: &Handle) {
    let scheme = arguments.protocol.name();
    let model = arguments.model.name();
    for address in handle.local_addrs() {
        let line = format!("listening on {scheme}://{address} (model {model}, pid {})\n", process::id());
        if let Err(error) = crate::print(&line) {
            tracing::warn!(target: "server", "{error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Arguments, Command};
    use clap::Parser;

    #[test]
    fn want_of_threads_or_descriptors_is_told_with_its_remedy() {
        for (errno, says) in [(Errno::AGAIN, "`ulimit -u`"), (Errno::MFILE, "`ulimit -n`")] {
            let told = ServeError::Start(errno.into()).to_string();
            assert!(
                told.starts_with("cannot start: ") && told.contains("\n  remedy: fewer --threads"),
                "{told}"
            );
            assert!(told.contains(says), "{told}");
        }
        assert!(!ServeError::Start(io::Error::other("no")).to_string().contains("remedy"));
    }

    #[test]
    fn pipelines_of_a_file_are_lanes_beside_the_default_one() {
        let words = ["anabranch", "serve", "--lane-threads", "3", "--lane-queue", "4"];
        let Command::Serve(mut serve) = Arguments::try_parse_from(words).unwrap().command else { panic!() };
        let named = |name: &str| Pipeline { name: name.to_owned(), ..Pipeline::default() };
        let commit = Pipeline { threads: Some(5), queue: Some(6), ..named("commit_status") };
        let other = named("other");
        serve.pipelines = vec![commit, other];
        let LaneConfig { threads, queue, .. } = LaneConfig::default();
        let expected = [
            LaneConfig::new(Lane::DEFAULT, 3, 4),
            LaneConfig::new(Lane("commit_status"), 5, 6),
            LaneConfig::new(Lane("other"), threads, queue),
        ];
        assert_eq!(config(&serve).unwrap().lanes, expected);
    }
}
