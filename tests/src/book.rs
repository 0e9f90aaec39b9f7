//! The code in the book and in the README, compiled and run.

/// `docs/embed.md`.
#[doc = include_str!("../../docs/embed.md")]
#[derive(Clone, Copy, Debug)]
pub struct Embed;
