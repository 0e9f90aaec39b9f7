//! Deliberate faults: each breaks one guarantee, and names the command that must notice.
//!
//! ```text
//!   the length is believed beside chunked            what is broken
//!   file: core/src/http1/framing.rs                  where
//!   run: cargo test -p anabranch-core ...            what must fail
//!   was:                                             text that stands there once
//!   becomes:                                         text in its stead
//! ```
//!
//! `docs/guarantees.md` has one beside every guarantee; `cargo run -p anabranch-tests --bin faults` plants them one after
//! another in a copy of the sources and runs what should catch them.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// A fault that can be planted.
#[derive(Debug)]
pub struct Fault {
    /// The name of its file, without the extension.
    pub name: String,
    /// What it breaks, in a line.
    pub what: String,
    /// The file it is planted in, from the root of the workspace.
    pub file: String,
    /// The command that must fail.
    pub run: String,
    was: String,
    becomes: String,
}

impl Fault {
    /// The sources with the fault in them.
    ///
    /// # Errors
    /// When what it replaces does not stand there exactly once.
    pub fn plant(&self, source: &str) -> Result<String, String> {
        match source.matches(&self.was).count() {
            1 => Ok(source.replacen(&self.was, &self.becomes, 1)),
            count => Err(format!("{}: what it replaces stands in {} {count} times", self.name, self.file)),
        }
    }

    fn parse(name: &str, text: &str) -> Result<Self, String> {
        let missing = |part: &str| format!("{name}: there is no `{part}`");
        let (header, rest) = text.split_once("was:\n").ok_or_else(|| missing("was:"))?;
        let (was, becomes) = rest.split_once("becomes:\n").ok_or_else(|| missing("becomes:"))?;
        let mut lines = header.lines();
        let what = lines.next().ok_or_else(|| missing("first line"))?;
        let mut value = |key: &str| {
            let found = lines.next().and_then(|line| line.strip_prefix(key));
            found.map(|value| value.trim().to_owned()).ok_or_else(|| missing(key))
        };
        Ok(Self {
            name: name.to_owned(),
            what: what.to_owned(),
            file: value("file:")?,
            run: value("run:")?,
            was: was.trim_end_matches('\n').to_owned(),
            becomes: becomes.trim_end_matches('\n').to_owned(),
        })
    }
}

/// The root of the workspace.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every fault there is, by name.
///
/// # Errors
/// When the folder or a file of it cannot be read, or does not say what it must.
pub fn all() -> io::Result<Vec<Fault>> {
    let mut faults = Vec::new();
    for entry in fs::read_dir(root().join("tests/faults"))? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        faults.push(Fault::parse(name, &fs::read_to_string(&path)?).map_err(io::Error::other)?);
    }
    faults.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(faults)
}
