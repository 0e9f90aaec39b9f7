//! From the text of a file to settings, with everything in it that is wrong.
//!
//! ```text
//!   text ─► TOML, as far as it can be read ─► keys that are known ─► values of their kind ─► settings
//!                  │                              │                        │
//!                  └──────── faults ◄─────────────┴────────────────────────┘
//! ```

use core::ops::Range;
use std::collections::BTreeMap;

use clap::ValueEnum;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::Fault;
use super::nearest::nearest;
use super::schema::{KEYS, Key, PIPELINE_KEYS, STAGED_KEYS, TABLES, WEASELDB_TABLES, place};
use super::value::{flag_text, refusal};
use crate::args::ProtocolName;
use crate::models::ModelName;

/// A flag, as a file gives it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setting {
    /// What would follow `--flag=`.
    pub text: String,
    /// The key that says so: `http.port`.
    pub key: String,
    /// Where that key stands.
    pub span: Range<usize>,
    /// How many flags the key stands for.
    breadth: usize,
}

/// A lane of a name of its own.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Pipeline {
    /// Its name.
    pub name: String,
    /// Where that stands.
    pub span: Range<usize>,
    /// Its threads, if the file says.
    pub threads: Option<usize>,
    /// Jobs that may wait, if the file says.
    pub queue: Option<usize>,
}

/// What a file says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Settings {
    /// By flag, without its dashes.
    pub flags: BTreeMap<&'static str, Setting>,
    /// Lanes, in the order of their names.
    pub pipelines: Vec<Pipeline>,
}

impl Settings {
    /// The model that is named, or else the one that is served under.
    #[must_use]
    pub fn model(&self) -> ModelName {
        self.named("model").unwrap_or(ModelName::Threads)
    }

    /// The protocol that is named, or else the one that is spoken.
    #[must_use]
    pub fn protocol(&self) -> ProtocolName {
        self.named("protocol").unwrap_or(ProtocolName::Http)
    }

    fn named<N: ValueEnum>(&self, flag: &str) -> Option<N> {
        N::from_str(&self.flags.get(flag)?.text, false).ok()
    }
}

/// A file that was read: what it says, as far as it says anything, and what is wrong with it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Reading {
    /// What it says.
    pub settings: Settings,
    /// What is wrong.
    pub faults: Vec<Fault>,
    /// What is not used, and need not be there.
    pub warnings: Vec<Fault>,
}

/// Lanes at most: each has threads of its own, and its name is kept for as long as the program runs.
const MAX_PIPELINES: usize = 64;
/// Characters of a lane's name at most.
const MAX_NAME: usize = 32;

/// Reads a file's text. Never fails: what cannot be read is a fault.
#[must_use]
pub fn read(text: &str) -> Reading {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut reading = Reading::default();
    reading.top(table.get_ref());
    if !reading.settings.flags.contains_key("model") {
        reading.model_by_its_threads();
    }
    // Behind a table whose header cannot be read, keys are not where their author put them.
    let lost = errors.iter().filter_map(|error| header_of(text, error.span()?.start)).min();
    let misread: Vec<usize> =
        errors.iter().filter_map(|error| Some(line_of(text, error.span()?.start))).collect();
    reading.faults.retain(|fault| {
        lost.is_none_or(|lost| fault.span.start < lost) && !misread.contains(&line_of(text, fault.span.start))
    });
    let mut told = Vec::new();
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        // One slip often is several errors of the grammar: the first of a line says enough.
        let line = line_of(text, span.start);
        if !told.contains(&line) {
            told.push(line);
            let what = format!("not TOML: {}", error.message().lines().collect::<Vec<_>>().join(", "));
            let remedy =
                if error.message().contains("duplicate key") { "keep one of the two" } else { SYNTAX };
            reading.faults.push(Fault::new(span, what, remedy));
        }
    }
    reading
}

const SYNTAX: &str =
    "a line is `key = value` or `[table]`; text and units are in quotes: head_timeout = \"10s\"";

fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count()
}

/// Where the line begins, if it is a table's header.
fn header_of(text: &str, at: usize) -> Option<usize> {
    let at = at.min(text.len());
    let start =
        text.as_bytes()[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let line = &text.as_bytes()[start..];
    line.iter().find(|byte| !byte.is_ascii_whitespace()).filter(|byte| **byte == b'[').map(|_| start)
}

type Entry<'a, 'i> = (&'a Spanned<toml::de::DeString<'i>>, &'a Spanned<DeValue<'i>>);

impl Reading {
    fn top(&mut self, table: &DeTable<'_>) {
        for (name, value) in table {
            let (word, inner) = (name.get_ref().as_ref(), value.get_ref().as_table());
            let weasel = WEASELDB_TABLES.iter().find(|(table, _)| *table == word);
            match (inner, weasel) {
                (Some(inner), _) if TABLES.contains(&word) => self.table(word, inner),
                (Some(_), Some((_, instead))) => {
                    let what = format!("[{word}] is WeaselDB's own, and not used here");
                    self.warnings.push(Fault::new(name.span(), what, *instead));
                }
                (None, _) if TABLES.contains(&word) => {
                    let what = format!("`{word}` is a table, and this is {}", a(value.get_ref().type_str()));
                    let remedy = format!("a line `[{word}]`, and its keys below");
                    self.faults.push(Fault::new(name.span(), what, remedy));
                }
                _ => self.key("", (name, value)),
            }
        }
    }

    fn table(&mut self, table: &str, entries: &DeTable<'_>) {
        for (name, value) in entries {
            match value.get_ref().as_table() {
                Some(pipelines) if table == "http" && name.get_ref() == "pipelines" => {
                    self.pipelines(pipelines);
                }
                _ => self.key(table, (name, value)),
            }
        }
    }

    fn key(&mut self, table: &str, (name, value): Entry<'_, '_>) {
        let word = name.get_ref().as_ref();
        let Some(key) = KEYS.iter().find(|key| key.table == table && key.name == word) else {
            self.faults.push(unknown(table, name, value.get_ref()));
            return;
        };
        if let Some(text) = self.value(key, (name, value)) {
            let setting = Setting { text, key: key.path(), span: name.span(), breadth: key.flags.len() };
            for flag in key.flags {
                self.set(flag, setting.clone());
            }
        }
    }

    /// The value as it would follow the flag, if it can.
    fn value(&mut self, key: &Key, (name, value): Entry<'_, '_>) -> Option<String> {
        let refused = match flag_text(key, value.get_ref()) {
            Ok(text) => match refusal(key, &text) {
                None => return Some(text),
                Some(refused) => refused,
            },
            Err(refused) => refused,
        };
        let span = if value.span().is_empty() { name.span() } else { value.span() };
        self.faults.push(Fault::new(span, refused.what, refused.remedy));
        None
    }

    /// Of two keys for one flag, one that stands for it alone counts; two of those are a fault.
    fn set(&mut self, flag: &'static str, setting: Setting) {
        match self.settings.flags.get(flag) {
            Some(other) if other.breadth == setting.breadth => {
                let (first, second) =
                    if other.span.start < setting.span.start { (other, &setting) } else { (&setting, other) };
                let what = format!("`{}` says again what `{}` says", second.key, first.key);
                let fault = Fault::new(second.span.clone(), what, "keep one of the two");
                self.faults.push(fault);
            }
            Some(other) if other.breadth < setting.breadth => {}
            _ => {
                self.settings.flags.insert(flag, setting);
            }
        }
    }

    fn pipelines(&mut self, pipelines: &DeTable<'_>) {
        for (number, (name, value)) in pipelines.iter().enumerate() {
            let word = name.get_ref().as_ref();
            let DeValue::Table(keys) = value.get_ref() else {
                let what = format!("`{word}` is a pipeline, and this is {}", a(value.get_ref().type_str()));
                let remedy = "a line `[http.pipelines.NAME]`, with `threads` and `ring_buffer_size` below";
                self.faults.push(Fault::new(name.span(), what, remedy));
                continue;
            };
            if number >= MAX_PIPELINES {
                let what = format!("more than {MAX_PIPELINES} pipelines");
                let remedy = "let routes share a pipeline: each has threads of its own";
                self.faults.push(Fault::new(name.span(), what, remedy));
                break;
            }
            if !is_name(word) {
                let what = "a pipeline cannot have this name".to_owned();
                let remedy = format!("1 to {MAX_NAME} of the letters a to z and A to Z, digits, `_` and `-`");
                self.faults.push(Fault::new(name.span(), what, remedy));
                continue;
            }
            self.pipeline((word, name.span()), keys);
        }
    }

    fn pipeline(&mut self, (lane, span): (&str, Range<usize>), entries: &DeTable<'_>) {
        let table = format!("http.pipelines.{lane}");
        let mut pipeline = Pipeline { name: lane.to_owned(), span, ..Pipeline::default() };
        for (name, value) in entries {
            let word = name.get_ref().as_ref();
            let Some(key) = PIPELINE_KEYS.iter().find(|key| key.name == word) else {
                let known = PIPELINE_KEYS.iter().map(|key| key.name);
                let remedy = nearest(word, known).map_or_else(
                    || "there are `threads` and `ring_buffer_size`".to_owned(),
                    |near| format!("`{near}`?"),
                );
                let what = format!("unknown key `{word}` in [{table}]");
                self.faults.push(Fault::new(name.span(), what, remedy));
                continue;
            };
            let Some(text) = self.value(key, (name, value)) else { continue };
            if lane == "default" {
                let setting = Setting { text, key: format!("{table}.{word}"), span: name.span(), breadth: 1 };
                self.set(key.flags[0], setting);
            } else if key.name == "threads" {
                pipeline.threads = text.parse().ok();
            } else {
                pipeline.queue = text.parse().ok();
            }
        }
        if lane != "default" {
            self.settings.pipelines.push(pipeline);
        }
    }

    /// Who has threads that accept, or threads for the network, has model `staged`.
    fn model_by_its_threads(&mut self) {
        let says = self.settings.flags.values().find(|setting| STAGED_KEYS.contains(&setting.key.as_str()));
        if let Some(says) = says {
            let setting = Setting { text: "staged".to_owned(), ..says.clone() };
            self.settings.flags.insert("model", setting);
        }
    }
}

fn is_name(word: &str) -> bool {
    (1..=MAX_NAME).contains(&word.len())
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// A key that is not there, and what may have been meant.
fn unknown(table: &str, name: &Spanned<toml::de::DeString<'_>>, value: &DeValue<'_>) -> Fault {
    let word = name.get_ref().as_ref();
    let here = || KEYS.iter().filter(|key| key.table == table).map(|key| key.name);
    if value.is_table() {
        let what = format!(
            "unknown table [{}{word}]",
            if table.is_empty() { String::new() } else { format!("{table}.") }
        );
        let known: &[&str] = if table == "http" {
            &["pipelines"]
        } else if table.is_empty() {
            TABLES
        } else {
            &[]
        };
        let remedy = nearest(word, known.iter().copied()).map_or_else(
            || format!("there are [{}] and [http.pipelines.NAME]", TABLES.join("], [")),
            |near| format!("`{near}`?"),
        );
        return Fault::new(name.span(), what, remedy);
    }
    let what = format!("unknown key `{word}` at {}", place(table)).replace(" at [", " in [");
    let elsewhere = |word: &str| KEYS.iter().find(|key| key.table != table && key.name == word);
    let remedy = if let Some(key) = elsewhere(word) {
        format!("it belongs {}", whither(key.table))
    } else if let Some(near) = nearest(word, here()) {
        format!("`{near}`?")
    } else if let Some(key) = nearest(word, KEYS.iter().map(|key| key.name)).and_then(elsewhere) {
        format!("`{}`, {}?", key.name, whither(key.table))
    } else {
        format!("leave it out; there are {}", here().collect::<Vec<_>>().join(", "))
    };
    Fault::new(name.span(), what, remedy)
}

fn whither(table: &str) -> String {
    if table.is_empty() {
        "at the top of the file, before any [table]".to_owned()
    } else {
        format!("in [{table}]")
    }
}

/// `an integer`, `a string`.
pub(super) fn a(kind: &str) -> String {
    let article = if kind.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {kind}")
}
