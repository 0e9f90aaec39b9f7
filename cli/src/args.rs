//! What the program can be told, and the help that teaches it.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::carrier::{OwnershipName, PinName};
use crate::config_file::read::Pipeline;
use crate::limits::{DeadlineFlags, LimitFlags};
use crate::models::ModelName;
use crate::units::{Bound, Count, Delay, Size, Time};

/// One HTTP server logic under every concurrency model.
#[derive(Parser, Debug)]
#[command(
    name = "anabranch",
    version,
    max_term_width = 110,
    after_help = "\
Begin with:
  anabranch serve                  the demo application on http://127.0.0.1:8080
  anabranch models                 which concurrency models there are, and which to take
  anabranch serve --help           every limit and deadline
  anabranch check FILE.toml        what a configuration file amounts to, or what is wrong with it"
)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Serve the demo application, or ETX-ack, under one concurrency model
    Serve(Box<ServeArguments>),
    /// Say what a configuration file amounts to, or everything that is wrong with it
    Check(CheckArguments),
    /// Explain the concurrency models
    Models,
    /// Run concurrent ETX-ack clients and show who waited for whom
    EtxClient(EtxClientArguments),
}

/// What `serve` can be told.
#[derive(Args, Debug)]
#[command(
    allow_negative_numbers = true,
    after_help = "\
Examples:
  anabranch serve                                          then: curl -i http://127.0.0.1:8080/
  anabranch serve --model pool --threads 5 --port 0        port 0 picks a free one and prints it
  anabranch serve --bind 0.0.0.0 --head-timeout 2s --idle-timeout 3s --max-connections 1000
  anabranch serve --max-body-bytes 1MiB --handler-timeout 30s --access-log
  anabranch serve --protocol etx --etx-delay 500ms -v      then: anabranch etx-client 4
  anabranch serve --config anabranch.toml --port 9000      the file, but for the port

A configuration file has a key for each flag, of the same name with `_` for `-`, in the same units:
  model = \"staged\"
  [limits]
  max_body_bytes = \"1MiB\"
  [deadlines]
  head_timeout = \"2s\"
Flags override the file. `anabranch check FILE` prints every key, and explains what is wrong.

Sizes are bytes, or end in k, M, G (1,024s; also KiB, MiB, GiB) or kB, MB, GB (1,000s).
Times end in ms, s, m or h. `off` lifts a bound where that can be done; 0 never does.

SIGTERM or SIGINT: nothing new is accepted, requests in flight finish within --grace, exit code 0.
A second signal, or the end of the grace time, ends what is left at once."
)]
pub struct ServeArguments {
    /// Configuration file (TOML): what no flag says is read from it; `anabranch check` explains it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How connections share the machine; `anabranch models` explains
    #[arg(long, value_enum, default_value_t = ModelName::Threads, value_name = "MODEL")]
    pub model: ModelName,
    /// What is spoken
    #[arg(long, value_enum, default_value_t = ProtocolName::Http)]
    pub protocol: ProtocolName,
    /// Address to listen on; 0.0.0.0 or :: for every interface
    #[arg(long, value_name = "ADDRESS", value_parser = address, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub bind: IpAddr,
    /// Port to listen on; 0 picks a free one
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
    /// How long a connection is left to the kernel while its client has sent nothing (Linux; in whole seconds): cheaper where
    /// most connections serve one request; limits, deadlines and a drain know nothing of it meanwhile. 0: not at all
    #[arg(long, value_name = "TIME", default_value_t = Delay(Duration::ZERO))]
    pub defer_accept: Delay,
    /// Workers of models `pool` and `reactor-pool` [default: two for each processor], loops of `multi-reactor`, network
    /// threads of `staged`, workers of `tokio`, threads of `tokio-local` and `smol` [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = thread_count)]
    pub threads: Option<Count>,
    /// Accepted connections that may wait for a worker of model `pool` [default: as many as there are workers]
    #[arg(long, value_name = "N", value_parser = queue_length)]
    pub queue: Option<Count>,
    /// Threads of model `staged` that accept [default: 1]
    #[arg(long, value_name = "N", value_parser = thread_count)]
    pub acceptors: Option<Count>,
    /// Whose connections are under model `staged` [default: pinned]
    #[arg(long, value_enum, value_name = "WHOSE")]
    pub ownership: Option<OwnershipName>,
    /// Whether loops of model `multi-reactor` stay on a processor each [default: off]
    #[arg(long, value_enum, value_name = "ON|OFF")]
    pub pin: Option<PinName>,
    /// Threads for slow work, apart from those that serve connections [default: two for each processor]
    #[arg(long, value_name = "N", value_parser = thread_count)]
    pub lane_threads: Option<Count>,
    /// Slow work that may wait for such a thread; more is refused (HTTP: 503) [default: 1024]
    #[arg(long, value_name = "N", value_parser = queue_length)]
    pub lane_queue: Option<Count>,
    /// How long ETX-ack holds back each answer; 0 answers at once
    #[arg(long, value_name = "TIME", default_value_t = Delay(Duration::from_secs(2)), help_heading = "ETX-ack")]
    pub etx_delay: Delay,
    /// Bytes of an ETX-ack message
    #[arg(long, value_name = "SIZE", default_value_t = Size(1024), help_heading = "ETX-ack")]
    pub etx_max_message_bytes: Size,
    /// Lanes of other names than `default`, which only a configuration file can give.
    #[arg(skip)]
    pub pipelines: Vec<Pipeline>,
    /// Sizes and numbers.
    #[command(flatten)]
    pub limits: LimitFlags,
    /// Times.
    #[command(flatten)]
    pub deadlines: DeadlineFlags,
    /// What is written where.
    #[command(flatten)]
    pub log: LogArguments,
}

/// What is written to standard error.
#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Logging (to standard error)")]
pub struct LogArguments {
    /// -v: a line for each closed connection, with its reason; -vv: every event of the server
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,
    /// A line for each request; `=false` where a configuration file asks for it
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          default_value_t = false, hide_possible_values = true, value_name = "true|false")]
    pub access_log: bool,
    /// How lines look
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// What is spoken.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProtocolName {
    /// HTTP/1.1 and HTTP/1.0: the demo application
    Http,
    /// ASCII messages ended by 0x03, each answered with `ack` after --etx-delay
    Etx,
}

impl ProtocolName {
    /// As it is written on the command line, and as the scheme of an address.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Etx => "etx",
        }
    }
}

/// How log lines look.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// For people
    Text,
    /// For machines: a JSON object a line
    Json,
}

/// What `check` can be told.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Prints the configuration that `serve --config FILE` would run with, as a file: every key, and
whether its value is the default. Where something is wrong: each fault with its line and remedy,
and exit code 1.

Examples:
  anabranch check anabranch.toml
  anabranch check /dev/null > anabranch.toml      a file to begin with: every key, with its default

WeaselDB's [http] and [http.pipelines.NAME] are understood as they stand: see docs/operate.md.")]
pub struct CheckArguments {
    /// The file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// What `etx-client` can be told.
#[derive(Args, Clone, Copy, Debug)]
#[command(after_help = "\
Example: the nature of a model, with two terminals.
  anabranch serve --protocol etx --etx-delay 500ms --model single
  anabranch etx-client 4
Each client sends 5 messages one after another. With delay d that takes
  single             4·5·d   one client after another
  pool --threads 2   2·5·d   two at a time
  threads            5·d     all at once")]
pub struct EtxClientArguments {
    /// How many clients run at once
    #[arg(value_name = "N")]
    pub clients: Count,
    /// Where the server listens
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = address_and_port,
          default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)))]
    pub addr: SocketAddr,
    /// Messages each client sends, the last of them `goodbye`
    #[arg(long, value_name = "N", default_value_t = Count(5))]
    pub messages: Count,
    /// The server's delay, if known; otherwise it is taken from the quickest answer
    #[arg(long, value_name = "TIME")]
    pub delay: Option<Delay>,
    /// How long to wait for any one answer
    #[arg(long, value_name = "TIME", default_value_t = Bound::At(Time(Duration::from_secs(300))))]
    pub timeout: Bound<Time>,
}

/// A queue is made at its full length when the server starts.
const MAX_QUEUE: u64 = 1 << 20;

/// Linux gives a process some 65,000 mappings, and a thread takes four: where they end, so does the process.
const MAX_THREADS: u64 = 10_000;

fn queue_length(text: &str) -> Result<Count, String> {
    at_most(MAX_QUEUE, "a queue is made at its full length", text)
}

fn thread_count(text: &str) -> Result<Count, String> {
    at_most(MAX_THREADS, "a process has no room for many more threads", text)
}

fn at_most(most: u64, why: &str, text: &str) -> Result<Count, String> {
    match text.parse::<Count>() {
        Ok(count) if count.0 > most => Err(format!("at most {most}: {why}")),
        Ok(count) => Ok(count),
        Err(error) => Err(error.to_string()),
    }
}

fn address(text: &str) -> Result<IpAddr, &'static str> {
    let refused =
        "not an IP address, such as 127.0.0.1 or ::1; names are not looked up, and the port is given apart";
    text.parse().map_err(|_| refused)
}

fn address_and_port(text: &str) -> Result<SocketAddr, &'static str> {
    let refused =
        "not an IP address with its port, such as 127.0.0.1:8080 or [::1]:8080; names are not looked up";
    text.parse().map_err(|_| refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn serve(arguments: &str) -> Result<ServeArguments, String> {
        let words = ["anabranch", "serve"].into_iter().chain(arguments.split_whitespace());
        match Arguments::try_parse_from(words).map_err(|error| error.to_string())?.command {
            Command::Serve(serve) => Ok(*serve),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn commands_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn serve_needs_nothing_to_be_told() {
        let serve = serve("").unwrap();
        assert_eq!((serve.bind.to_string().as_str(), serve.port), ("127.0.0.1", 8080));
        assert_eq!((serve.model, serve.protocol), (ModelName::Threads, ProtocolName::Http));
    }

    #[test]
    fn bad_flag_is_told_with_its_remedy() {
        for (arguments, says) in [
            ("--head-timeout 0", "write `off` for no bound"),
            ("--head-timeout 5", "`5s` or `5ms`"),
            ("--max-body-bytes 0", "write `off` for no bound"),
            ("--max-header-bytes off", "cannot be `off`"),
            ("--max-connections 0", "at least 1"),
            ("--model thread", "possible values"),
            ("--bind localhost", "names are not looked up"),
            ("--bind 127.0.0.1:80", "the port is given apart"),
            ("--model pool --threads 10001", "at most 10000"),
            ("--lane-threads 10001", "at most 10000"),
            ("--max-body-bytes -1", "`-1` is not a number"),
            ("--port 70000", "0..=65535"),
            ("--lane-queue 99999999999", "at most 1048576"),
            ("--model pool --queue 0", "at least 1"),
        ] {
            let error = serve(arguments).unwrap_err();
            assert!(error.contains(says), "{arguments}: {error}");
        }
    }

    #[test]
    fn help_shows_every_default_and_an_example() {
        let mut command = Arguments::command();
        let serve = command.find_subcommand_mut("serve").unwrap();
        let help = serve.render_long_help().to_string();
        for shown in ["[default: 8080]", "[default: 10s]", "[default: 64MiB]", "[default: off]", "curl -i"] {
            assert!(help.contains(shown), "{shown}");
        }
    }
}
