//! The program as a library: what it is told ([`args`]), and what it does ([`serve`], [`models`], [`etx_client`]).
#![forbid(unsafe_code)]

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

pub mod args;
pub mod carrier;
pub mod config_file;
pub mod demo;
pub mod etx_client;
pub mod limits;
pub mod log;
pub mod models;
pub mod open_files;
pub mod protocols;
pub mod serve;
pub mod signals;
pub mod units;

use args::{Arguments, CheckArguments, Command, ServeArguments};
use config_file::Loaded;
use config_file::check::CommandLine;
use config_file::fault::Faults;

/// Reads the command line, does what it says, and tells how that went: 0 done, 1 failed, 2 not understood.
#[must_use]
pub fn main() -> ExitCode {
    let words: Vec<OsString> = env::args_os().collect();
    let understood = Arguments::command().try_get_matches_from(&words).and_then(|matches| {
        let arguments = Arguments::from_arg_matches(&matches)?;
        Ok((arguments, matches))
    });
    let (arguments, matches) = match understood {
        Ok(understood) => understood,
        Err(error) => {
            // Nowhere is left to say that this cannot be said.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let done = match arguments.command {
        Command::Serve(serve) => configured(*serve, &matches, &words)
            .and_then(|serve| serve::run(&serve).map_err(|error| error.to_string())),
        Command::Check(check) => effective(&check),
        Command::Models => print(&models::table()).map(|()| ExitCode::SUCCESS),
        Command::EtxClient(client) => etx_client::run(&client).map_err(|error| error.to_string()),
    };
    match done {
        Ok(code) => code,
        Err(message) => {
            let _ = writeln!(io::stderr(), "error: {message}");
            ExitCode::FAILURE
        }
    }
}

/// `serve` with what its configuration file says, where it has one, and no flag that means nothing to its protocol.
fn configured(
    serve: ServeArguments,
    matches: &clap::ArgMatches,
    words: &[OsString],
) -> Result<ServeArguments, String> {
    let Some((_, flags)) = matches.subcommand() else { return Ok(serve) };
    let line = CommandLine::of(flags, serve.model, serve.protocol);
    let serve = match &serve.config {
        None => serve,
        Some(file) => {
            let Loaded { settings, warnings } =
                config_file::load(file, &line).map_err(|error| error.to_string())?;
            warn(&warnings);
            config_file::arguments(words, &settings).map_err(|error| error.to_string())?
        }
    };
    protocols::check(&line.flags, serve.protocol).map_err(|error| error.to_string())?;
    Ok(serve)
}

/// `check`.
fn effective(check: &CheckArguments) -> Result<ExitCode, String> {
    let loaded =
        config_file::load(&check.file, &CommandLine::default()).map_err(|error| error.to_string())?;
    warn(&loaded.warnings);
    print(&config_file::effective::effective(&loaded.settings)).map(|()| ExitCode::SUCCESS)
}

fn warn(warnings: &Faults) {
    if !warnings.is_empty() {
        let _ = writeln!(io::stderr(), "warning: not everything in the configuration is used\n{warnings}");
    }
}

/// To stdout, at once. A reader that has seen enough (`anabranch models | head -1`) is no failure.
pub(crate) fn print(text: &str) -> Result<(), String> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("cannot write to standard output: {error}"))
        }
        _ => Ok(()),
    }
}
