//! The program as a library: what it is told ([`args`]), and what it does ([`serve`], [`models`], [`etx_client`]).
#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

pub mod args;
pub mod carrier;
pub mod demo;
pub mod etx_client;
pub mod limits;
pub mod log;
pub mod models;
pub mod open_files;
pub mod serve;
pub mod signals;
pub mod units;

use args::{Arguments, Command};

/// Reads the command line, does what it says, and tells how that went: 0 done, 1 failed, 2 not understood.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nowhere is left to say that this cannot be said.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let done = match arguments.command {
        Command::Serve(serve) => serve::run(&serve).map_err(|error| error.to_string()),
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
