//! The keys of a configuration file: where each stands, what it holds, and which flag of `serve` it stands for.

/// What a key holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// How many.
    Count,
    /// How many, or `"off"`.
    CountOrOff,
    /// Bytes, as a number or with a unit.
    Size,
    /// Bytes, or `"off"`.
    SizeOrOff,
    /// A time with its unit.
    Delay,
    /// A time with its unit, or `"off"`.
    TimeOrOff,
    /// Whole seconds, or `"off"`.
    SecondsOrOff,
    /// One of a few words.
    Choice,
    /// An IP address.
    Address,
    /// A port.
    Port,
    /// True or false.
    Switch,
    /// How much is told.
    Verbosity,
}

/// A key of a configuration file.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The table it stands in; empty for the top of the file.
    pub table: &'static str,
    /// Its name there.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// The flags it stands for, without their dashes. Where there are several, a key of one of them alone comes first.
    pub flags: &'static [&'static str],
}

/// Every key but those of pipelines, in the order in which they are shown.
pub const KEYS: &[Key] = &[
    key("", "model", Kind::Choice, &["model"]),
    key("", "protocol", Kind::Choice, &["protocol"]),
    key("", "bind", Kind::Address, &["bind"]),
    key("", "port", Kind::Port, &["port"]),
    key("", "defer_accept", Kind::Delay, &["defer-accept"]),
    key("", "threads", Kind::Count, &["threads"]),
    key("", "queue", Kind::Count, &["queue"]),
    key("", "acceptors", Kind::Count, &["acceptors"]),
    key("", "ownership", Kind::Choice, &["ownership"]),
    key("", "pin", Kind::Choice, &["pin"]),
    key("", "lane_threads", Kind::Count, &["lane-threads"]),
    key("", "lane_queue", Kind::Count, &["lane-queue"]),
    key("limits", "max_connections", Kind::Count, &["max-connections"]),
    key("limits", "at_limit", Kind::Choice, &["at-limit"]),
    key("limits", "max_memory", Kind::SizeOrOff, &["max-memory"]),
    key("limits", "max_body_bytes", Kind::SizeOrOff, &["max-body-bytes"]),
    key("limits", "max_request_line_bytes", Kind::Size, &["max-request-line-bytes"]),
    key("limits", "max_fields", Kind::Count, &["max-fields"]),
    key("limits", "max_header_bytes", Kind::Size, &["max-header-bytes"]),
    key("limits", "max_field_line_bytes", Kind::Size, &["max-field-line-bytes"]),
    key("limits", "max_chunk_line_bytes", Kind::Size, &["max-chunk-line-bytes"]),
    key("limits", "max_chunk_extension_bytes", Kind::Size, &["max-chunk-extension-bytes"]),
    key("limits", "max_discard_bytes", Kind::Size, &["max-discard-bytes"]),
    key("limits", "max_linger_bytes", Kind::Size, &["max-linger-bytes"]),
    key("limits", "max_output_bytes", Kind::Size, &["max-output-bytes"]),
    key("limits", "max_window_bytes", Kind::Size, &["max-window-bytes"]),
    key("limits", "max_requests", Kind::CountOrOff, &["max-requests"]),
    key("deadlines", "first_byte_timeout", Kind::TimeOrOff, &["first-byte-timeout"]),
    key("deadlines", "head_timeout", Kind::TimeOrOff, &["head-timeout"]),
    key("deadlines", "body_timeout", Kind::TimeOrOff, &["body-timeout"]),
    key("deadlines", "min_body_rate", Kind::SizeOrOff, &["min-body-rate"]),
    key("deadlines", "idle_timeout", Kind::TimeOrOff, &["idle-timeout"]),
    key("deadlines", "write_timeout", Kind::TimeOrOff, &["write-timeout"]),
    key("deadlines", "linger_timeout", Kind::TimeOrOff, &["linger-timeout"]),
    key("deadlines", "handler_timeout", Kind::TimeOrOff, &["handler-timeout"]),
    key("deadlines", "grace", Kind::TimeOrOff, &["grace"]),
    key("logging", "verbose", Kind::Verbosity, &["verbose"]),
    key("logging", "access_log", Kind::Switch, &["access-log"]),
    key("logging", "log_format", Kind::Choice, &["log-format"]),
    key("etx", "etx_delay", Kind::Delay, &["etx-delay"]),
    key("etx", "etx_max_message_bytes", Kind::Size, &["etx-max-message-bytes"]),
    // WeaselDB's names for some of these.
    key("http", "accept_threads", Kind::Count, &["acceptors"]),
    key("http", "network_threads", Kind::Count, &["threads"]),
    key("http", "bind_address", Kind::Address, &["bind"]),
    key("http", "port", Kind::Port, &["port"]),
    key("http", "keepalive_timeout_sec", Kind::SecondsOrOff, &["idle-timeout"]),
    key(
        "http",
        "request_timeout_sec",
        Kind::SecondsOrOff,
        &["head-timeout", "body-timeout", "handler-timeout"],
    ),
];

/// The tables there are, besides the top of the file and those of pipelines.
pub const TABLES: &[&str] = &["limits", "deadlines", "logging", "etx", "http"];

/// The keys of `[http.pipelines.NAME]`, and the flags they stand for where the name is `default`.
pub const PIPELINE_KEYS: &[Key] = &[
    key("http.pipelines", "threads", Kind::Count, &["lane-threads"]),
    key("http.pipelines", "ring_buffer_size", Kind::Count, &["lane-queue"]),
];

/// The keys that say "model `staged`" where no model is named.
pub const STAGED_KEYS: &[&str] = &["http.accept_threads", "http.network_threads"];

/// Tables of WeaselDB's that are about its database, each with what this program takes in their place.
pub const WEASELDB_TABLES: &[(&str, &str)] = &[
    (
        "server",
        "addresses and threads are read from [http], `max_connections` and `max_body_bytes` from [limits]",
    ),
    ("commit", "it may stay where WeaselDB reads the same file"),
    ("subscription", "it may stay where WeaselDB reads the same file"),
    ("benchmark", "it may stay where WeaselDB reads the same file"),
];

impl Key {
    /// As faults name it: `limits.max_fields`.
    #[must_use]
    pub fn path(&self) -> String {
        if self.table.is_empty() { self.name.to_owned() } else { format!("{}.{}", self.table, self.name) }
    }
}

/// How a table is called in a sentence.
#[must_use]
pub fn place(table: &str) -> String {
    if table.is_empty() { "the top of the file".to_owned() } else { format!("[{table}]") }
}

impl Kind {
    /// What to write.
    #[must_use]
    pub const fn like(self) -> &'static str {
        match self {
            Self::Count => "a whole number, at least 1",
            Self::CountOrOff => "a whole number, at least 1, or \"off\"",
            Self::Size => "a size: a number of bytes, or text like \"64KiB\"",
            Self::SizeOrOff => "a size: a number of bytes, or text like \"64KiB\", or \"off\"",
            Self::Delay => "a time: text with its unit, like \"500ms\" or \"10s\"",
            Self::TimeOrOff => "a time: text with its unit, like \"500ms\" or \"10s\", or \"off\"",
            Self::SecondsOrOff => "a whole number of seconds, at least 1, or \"off\"",
            Self::Choice => "one of a few words, in quotes",
            Self::Address => {
                "an IP address in quotes: \"127.0.0.1\" for this machine, \"0.0.0.0\" or \"::\" for every interface"
            }
            Self::Port => "a whole number from 0 to 65535; 0 picks a free port",
            Self::Switch => "true or false, without quotes",
            Self::Verbosity => "0, 1 (closed connections too) or 2 (every event)",
        }
    }
}

const fn key(table: &'static str, name: &'static str, kind: Kind, flags: &'static [&'static str]) -> Key {
    Key { table, name, kind, flags }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Arguments;
    use clap::CommandFactory;

    /// Flags about the command line itself.
    const NOT_IN_A_FILE: [&str; 2] = ["config", "help"];

    #[test]
    fn every_flag_of_serve_is_a_key_of_its_name_and_every_key_a_flag() {
        let mut command = Arguments::command();
        command.build();
        let serve = command.find_subcommand("serve").unwrap();
        let flags: Vec<&str> = serve.get_arguments().filter_map(|flag| flag.get_long()).collect();
        for flag in flags.iter().filter(|flag| !NOT_IN_A_FILE.contains(flag)) {
            let name = flag.replace('-', "_");
            let named = KEYS.iter().filter(|key| key.table != "http" && key.name == name);
            assert_eq!(named.map(|key| key.flags).collect::<Vec<_>>(), [&[*flag]], "{flag}");
        }
        for key in KEYS.iter().chain(PIPELINE_KEYS) {
            assert!(key.flags.iter().all(|flag| flags.contains(flag)), "{}", key.path());
        }
    }

    #[test]
    fn every_table_of_a_key_is_a_table() {
        for key in KEYS {
            assert!(key.table.is_empty() || TABLES.contains(&key.table), "{}", key.path());
        }
        for path in STAGED_KEYS {
            assert!(KEYS.iter().any(|key| key.path() == *path), "{path}");
        }
    }
}
