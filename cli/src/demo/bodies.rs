//! Bodies made piece by piece.

use std::task::{Context, Poll};

use anabranch_core::Fields;
use anabranch_core::app::{BodyError, BodySource, Frame};
use bytes::Bytes;

/// Three short pieces of a body whose length nobody knows beforehand.
pub(super) struct Parts {
    next: usize,
    trailers: Option<Fields>,
}

impl Parts {
    pub(super) const fn new(trailers: Option<Fields>) -> Self {
        Self { next: 0, trailers }
    }
}

impl BodySource for Parts {
    fn poll_frame(&mut self, _: &mut Context<'_>, _: usize) -> Poll<Option<Result<Frame, BodyError>>> {
        const PARTS: [&str; 3] = ["part 0\n", "part 1\n", "part 2\n"];
        Poll::Ready(match PARTS.get(self.next) {
            Some(part) => {
                self.next += 1;
                Some(Ok(Frame::Data(Bytes::from_static(part.as_bytes()))))
            }
            None => self.trailers.take().map(|trailers| Ok(Frame::Trailers(trailers))),
        })
    }
}

/// The letters `a` to `z`, over and over, up to a length that is known beforehand.
pub(super) struct Letters {
    length: u64,
    made: u64,
}

/// A whole number of alphabets that every piece is cut from.
static LETTERS: [u8; 26 * 1024] = {
    let mut bytes = [0; 26 * 1024];
    let mut at = 0;
    while at < bytes.len() {
        bytes[at] = b'a' + (at % 26) as u8;
        at += 1;
    }
    bytes
};

impl Letters {
    pub(super) const fn new(length: u64) -> Self {
        Self { length, made: 0 }
    }
}

impl BodySource for Letters {
    fn poll_frame(&mut self, _: &mut Context<'_>, room: usize) -> Poll<Option<Result<Frame, BodyError>>> {
        let left = self.length - self.made;
        if left == 0 {
            return Poll::Ready(None);
        }
        let from = (self.made % 26) as usize;
        let most = room.clamp(1, LETTERS.len() - from);
        let count = usize::try_from(left).map_or(most, |left| left.min(most));
        self.made += count as u64;
        Poll::Ready(Some(Ok(Frame::Data(Bytes::from_static(&LETTERS[from..from + count])))))
    }

    fn length(&self) -> Option<u64> {
        Some(self.length)
    }
}
