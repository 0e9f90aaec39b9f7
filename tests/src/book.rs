//! The code in the README and in the book, compiled, and run where that makes sense.

/// `README.md`.
#[doc = include_str!("../../README.md")]
#[derive(Clone, Copy, Debug)]
pub struct Readme;

/// `docs/start.md`.
#[doc = include_str!("../../docs/start.md")]
#[derive(Clone, Copy, Debug)]
pub struct Start;

/// `docs/embed.md`.
#[doc = include_str!("../../docs/embed.md")]
#[derive(Clone, Copy, Debug)]
pub struct Embed;

/// `docs/routing.md`.
#[doc = include_str!("../../docs/routing.md")]
#[derive(Clone, Copy, Debug)]
pub struct Routing;

/// `docs/tower.md`.
#[doc = include_str!("../../docs/tower.md")]
#[derive(Clone, Copy, Debug)]
pub struct Tower;
