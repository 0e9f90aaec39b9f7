//! What server a conversation is held with: the program's own flags.

use anabranch::limits::{DeadlineFlags, LimitFlags, http_settings};
use anabranch_core::http1::Settings;
use clap::Parser;

/// The server that a conversation needs, and how it is held there.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Ground {
    /// Limits and deadlines.
    pub(super) settings: Settings,
    /// Whether nobody else may talk to that server: its answers tell what others did.
    pub(super) is_alone: bool,
    /// Whether each byte is sent by itself.
    pub(super) is_bytewise: bool,
    /// Whether chunks of answers are joined: of a body streamed through, their boundaries may follow the reads (law 9).
    pub(super) is_joined: bool,
}

/// The flags that a connection's settings are made of.
#[derive(Parser, Debug)]
struct Flags {
    #[command(flatten)]
    limits: LimitFlags,
    #[command(flatten)]
    deadlines: DeadlineFlags,
}

impl Ground {
    /// Takes what stands behind `with`.
    pub(super) fn take(&mut self, with: &str) -> Result<(), String> {
        match with {
            "a server of its own" => self.is_alone = true,
            "every byte by itself" => self.is_bytewise = true,
            "chunks joined" => self.is_joined = true,
            flags => {
                let words = std::iter::once("with").chain(flags.split_whitespace());
                let flags = Flags::try_parse_from(words).map_err(|error| error.to_string())?;
                let settings = http_settings(&flags.limits, &flags.deadlines);
                if self.settings != Settings::default() || settings == Settings::default() {
                    return Err("one line of flags, which change how a connection is held".to_owned());
                }
                self.settings = settings;
            }
        }
        Ok(())
    }

    /// Whether both can be held with one server at the same time.
    pub(super) fn is_shared_with(&self, other: &Self) -> bool {
        !self.is_alone && !other.is_alone && self.settings == other.settings
    }
}
