//! The peer's end of a connection: sends a stream, takes of the answers what it likes, and looks at the budget whenever it is
//! asked.

use std::io::{self, ErrorKind, IoSlice};
use std::time::Duration;

use anabranch_core::app::MemoryBudget;
use anabranch_core::drive::Wire;
use bytes::BytesMut;

use super::streams::{STREAM_BYTES, Stream, Taking};

/// How a stream is cut into reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Cut {
    /// As many bytes as a read takes.
    Reads,
    /// 777 bytes a read.
    Odd,
    /// A byte a read.
    Bytes,
}

/// What a peer does when it has sent all that it had, and how fast it takes where it takes slowly.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Manner {
    /// Sends no more and waits as long as it is let: time goes from one deadline to the next.
    Silent,
    /// Closes its half and reads on, while time goes by in seconds.
    Closing,
}

/// Bytes after which a closing peer that reads has had enough, and is gone.
const ENOUGH: usize = 32 * 1024 * 1024;

pub(crate) struct Peer<'a> {
    pub(crate) stream: &'a Stream,
    pub(crate) taking: Taking,
    pub(crate) manner: Manner,
    pub(crate) budget: &'a MemoryBudget,
    /// Bytes of the stream that were read.
    pub(crate) sent: usize,
    /// Bytes of the answers that it took.
    pub(crate) took: usize,
    /// The most that was seen of the budget.
    pub(crate) charged: usize,
    cut: Cut,
    until: usize,
    /// Bytes that it still takes in this turn.
    room: usize,
}

impl<'a> Peer<'a> {
    pub(crate) fn new(stream: &'a Stream, taking: Taking, manner: Manner, budget: &'a MemoryBudget) -> Self {
        let (cut, until) = (Cut::Reads, STREAM_BYTES);
        Self { stream, taking, manner, budget, sent: 0, took: 0, charged: 0, cut, until, room: 0 }
    }

    /// The first `until` bytes of the stream, cut like this.
    pub(crate) fn sending(mut self, cut: Cut, until: usize) -> Self {
        (self.cut, self.until) = (cut, until);
        self
    }

    /// Another turn begins: there is room again.
    pub(crate) fn begin_turn(&mut self) {
        self.room = match (self.taking, self.manner) {
            (Taking::All, _) => usize::MAX,
            (Taking::Little, Manner::Silent) => 1000,
            (Taking::Little, Manner::Closing) => 50,
            (Taking::Nothing, _) => 0,
            (Taking::First(bytes), _) => bytes.saturating_sub(self.took),
        };
    }

    /// Looks at the budget, which is never overdrawn.
    pub(crate) fn look(&mut self) {
        let held = self.budget.held();
        assert!(held <= self.budget.limit(), "{}: {held} bytes of the budget", self.stream.name);
        self.charged = self.charged.max(held);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.sent == self.until
    }

    /// How far time goes towards a deadline while nothing else moves.
    pub(crate) fn patience(&self) -> Duration {
        match self.manner {
            Manner::Silent => Duration::MAX,
            Manner::Closing => Duration::from_secs(1),
        }
    }

    /// Turns after which the connection is ended: where the peer is silent, without anything read of it; else in all.
    pub(crate) fn max_turns(&self) -> usize {
        match self.manner {
            Manner::Silent => 50,
            Manner::Closing => 24_000,
        }
    }
}

impl Wire for Peer<'_> {
    fn read(&mut self, into: &mut BytesMut, max: usize) -> io::Result<usize> {
        self.look();
        if self.is_over() {
            return match self.manner {
                Manner::Silent => Err(ErrorKind::WouldBlock.into()),
                Manner::Closing => Ok(0),
            };
        }
        let cut = match self.cut {
            Cut::Reads => max,
            Cut::Odd => max.min(777),
            Cut::Bytes => 1,
        };
        let count = cut.min(self.until - self.sent);
        let mut left = count;
        while left > 0 {
            let piece = self.stream.from(self.sent);
            let piece = &piece[..left.min(piece.len())];
            into.extend_from_slice(piece);
            self.sent += piece.len();
            left -= piece.len();
        }
        Ok(count)
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.look();
        if self.manner == Manner::Closing && self.took > ENOUGH {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        let taken = offered.min(self.room);
        if taken == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.room -= taken;
        self.took += taken;
        Ok(taken)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn reset(&mut self) -> io::Result<()> {
        Ok(())
    }
}
