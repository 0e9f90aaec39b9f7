//! A configuration file: `serve --config FILE`, and `check FILE`, which says what it amounts to or all that is wrong with it.
//!
//! ```text
//!   file ─► read ─► check ─┬─► flags that the command line does not give ─► `serve`
//!    (its keys: schema)    └─► effective ─► `check` prints it
//! ```
//!
//! A file is flags written down: each key ([`schema`]) stands for a flag of `serve`, and its value goes through that flag's
//! own parser ([`value`]), so that a file can say what flags can, in the same units, with the same limits and the same words
//! when it is wrong. Lanes of other names than `default` are the one thing that only a file can say.

use core::fmt;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

pub mod check;
pub mod effective;
pub mod fault;
pub mod nearest;
pub mod read;
pub mod schema;
pub mod value;

#[cfg(test)]
mod tests;

use clap::Parser;

use crate::args::{Arguments, Command, ServeArguments};
use check::CommandLine;
use fault::Faults;
use read::{Reading, Settings};

/// Bytes of a file at most.
const MAX_BYTES: u64 = 1 << 20;

/// Why a file does not count.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read {file}: {error}\n  remedy: name a file that is there and that this user may read")]
    Unreadable {
        /// Its name.
        file: String,
        /// Why.
        error: io::Error,
    },
    /// It is no configuration.
    #[error(
        "{file} is longer than {MAX_BYTES} bytes\n  remedy: name a configuration file; examples/anabranch.toml is one"
    )]
    TooLong {
        /// Its name.
        file: String,
    },
    /// It is no text.
    #[error("{file} is not UTF-8 from line {line} on\n  remedy: save it as UTF-8; TOML is nothing else")]
    NotText {
        /// Its name.
        file: String,
        /// Where that begins.
        line: usize,
    },
    /// What it says is wrong.
    #[error("{}\n{}", Sum(.0), .0)]
    Faults(Faults),
}

/// A file that may be used: what it says, and what is worth a warning.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Loaded {
    /// What it says and no flag does.
    pub settings: Settings,
    /// What of it is not used.
    pub warnings: Faults,
}

/// Reads a file beside a command line.
///
/// # Errors
/// When it cannot be read, or with everything that is wrong in it.
pub fn load(path: &Path, line: &CommandLine) -> Result<Loaded, ConfigError> {
    let file = path.display().to_string();
    let text = text(path, &file)?;
    let Reading { settings, faults, warnings } = check::check(&text, line);
    if !faults.is_empty() {
        return Err(ConfigError::Faults(Faults::new(&file, &text, faults)));
    }
    Ok(Loaded { settings, warnings: Faults::new(&file, &text, warnings) })
}

/// What `serve` is told by a command line, where `serve` is its second word, and by a file for the rest.
///
/// # Errors
/// When a flag is not understood; a file that was [loaded](load) adds none that is not.
pub fn arguments(words: &[OsString], settings: &Settings) -> Result<ServeArguments, clap::Error> {
    match Arguments::try_parse_from(with_settings(words, settings))?.command {
        Command::Serve(serve) => Ok(ServeArguments { pipelines: settings.pipelines.clone(), ..*serve }),
        _ => Err(clap::Error::new(clap::error::ErrorKind::InvalidSubcommand)),
    }
}

/// The command line with what the file says before its flags.
fn with_settings(words: &[OsString], settings: &Settings) -> Vec<OsString> {
    let (program, flags) = words.split_at(words.len().min(2));
    let said = settings.flags.iter().filter_map(|(flag, setting)| match (*flag, setting.text.as_str()) {
        ("verbose", "0") => None,
        ("verbose", "1") => Some("-v".to_owned()),
        ("verbose", _) => Some("-vv".to_owned()),
        (flag, text) => Some(format!("--{flag}={text}")),
    });
    program.iter().cloned().chain(said.map(OsString::from)).chain(flags.iter().cloned()).collect()
}

fn text(path: &Path, file: &str) -> Result<String, ConfigError> {
    let unreadable = |error| ConfigError::Unreadable { file: file.to_owned(), error };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|opened| opened.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(ConfigError::TooLong { file: file.to_owned() });
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        ConfigError::NotText { file: file.to_owned(), line }
    })
}

/// How much is wrong.
struct Sum<'a>(&'a Faults);

impl fmt::Display for Sum<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("the configuration has a fault"),
            count => write!(f, "the configuration has {count} faults"),
        }
    }
}
