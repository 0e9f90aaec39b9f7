//! The engines: each takes the bytes of a conversation in, calls the same small application, and gives the answers' bytes
//! out; none touches a socket.

pub mod axum;
mod http_net;
mod httparse;
mod hyper;
pub mod ours;

use crate::scenario::Scenario;

/// How much one read brings at most, for engines that read into a buffer of their driver's.
pub const READ_BYTES: usize = 64 * 1024;

/// A connection that is kept open from one conversation to the next.
pub trait Engine {
    /// Takes the whole of the scenario's input, and says how many bytes the answers had.
    fn converse(&mut self, scenario: &Scenario) -> usize;

    /// As [`converse`](Self::converse), with the bytes of the answers: to see that they are right.
    fn transcript(&mut self, scenario: &Scenario) -> Vec<u8>;
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EngineKind {
    /// The `Flow`'s calls made by hand.
    Ours,
    /// The same by `take_turn`, over a wire of memory.
    OursTurn,
    /// The parser alone: no answer.
    Httparse,
    HttpNet,
    Hyper,
    /// An axum `Router` on ours.
    Tower,
    /// The same on hyper.
    Axum,
}

impl EngineKind {
    pub const ALL: [Self; 7] =
        [Self::Ours, Self::OursTurn, Self::Httparse, Self::HttpNet, Self::Hyper, Self::Tower, Self::Axum];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::OursTurn => "ours-turn",
            Self::Httparse => "httparse",
            Self::HttpNet => "http-net",
            Self::Hyper => "hyper",
            Self::Tower => "tower",
            Self::Axum => "axum",
        }
    }

    pub fn start(self) -> Box<dyn Engine> {
        match self {
            Self::Ours => Box::new(ours::ByHand::new()),
            Self::OursTurn => Box::new(ours::ByTurn::new()),
            Self::Httparse => Box::new(httparse::Parser),
            Self::HttpNet => Box::new(http_net::HttpNet::new()),
            Self::Hyper => Box::new(hyper::Hyper::new()),
            Self::Tower => Box::new(axum::on_ours()),
            Self::Axum => Box::new(axum::on_hyper()),
        }
    }
}

/// Where answers go: counted, and kept where somebody wants to see them.
#[derive(Default)]
pub struct Sink {
    bytes: usize,
    kept: Option<Vec<u8>>,
}

impl Sink {
    pub fn keeping() -> Self {
        Self { bytes: 0, kept: Some(Vec::new()) }
    }

    pub fn write(&mut self, data: &[u8]) {
        self.bytes += data.len();
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(data);
        }
    }

    /// What was written since the last time.
    pub fn take_count(&mut self) -> usize {
        std::mem::take(&mut self.bytes)
    }

    pub fn take_kept(&mut self) -> Vec<u8> {
        self.kept.take().unwrap_or_default()
    }
}
