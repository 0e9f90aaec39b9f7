//! Recorded conversations, held with a server over a socket: what comes back must be what the file has, to the byte.
//!
//! ```text
//!   tests/transcripts/*.txt ──► Chapter ──► Conversation ──► play ──► Came ──┬──► Difference   where it is not the file's
//!                                                             ▲              └──► recorded     the file anew
//!                                      a server of the settings that it names      (only by --bin record)
//! ```
//!
//! How a file is written stands in `README.md` beside the files.

mod answers;
mod chapter;
mod conversation;
mod difference;
mod lines;
mod play;
mod settings;
mod taken;
#[cfg(test)]
mod tests;

pub use chapter::Chapter;
pub use difference::Difference;
pub use play::Came;

/// What the demo application's page names as its model while a conversation is held: a transcript knows no models.
pub const MODEL_SHOWN: &str = "any";
