//! A transport that follows a script.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};

use bytes::{BufMut, BytesMut};

use crate::drive::Wire;
use crate::flow::CloseKind;

/// A transport that follows a script: what each read gives, and how much each write takes.
///
/// ```
/// use anabranch_core::drive::Wire;
/// use anabranch_core::testing::ScriptedWire;
/// use bytes::BytesMut;
///
/// let mut wire = ScriptedWire::new().then("hel").then_would_block().then("lo").then_eof();
/// let mut buffer = BytesMut::with_capacity(64);
/// assert_eq!(wire.read(&mut buffer, 8).unwrap(), 3);
/// assert!(wire.read(&mut buffer, 8).is_err());
/// assert_eq!(wire.read(&mut buffer, 8).unwrap(), 2);
/// assert_eq!(wire.read(&mut buffer, 8).unwrap(), 0);
/// assert_eq!(buffer, "hello");
/// ```
#[derive(Debug)]
pub struct ScriptedWire {
    script: VecDeque<Step>,
    max_write: usize,
    room: usize,
    broken: bool,
    shut: bool,
    reset: bool,
    /// The last was written, all of it.
    ended: bool,
    sent: Vec<u8>,
    counts: WireCounts,
}

#[derive(Debug)]
enum Step {
    Bytes(BytesMut),
    WouldBlock,
    Interrupted,
    Eof,
    Fails(ErrorKind),
}

/// How often a wire was used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct WireCounts {
    /// Calls of `read`.
    pub reads: usize,
    /// Of these, the ones that gave bytes.
    pub reads_with_bytes: usize,
    /// Calls of `write`.
    pub writes: usize,
    /// Of these, the ones that took bytes.
    pub writes_with_bytes: usize,
    /// Calls of `write_last`, which count as calls of `write` too.
    pub last_writes: usize,
    /// Calls of `shutdown_write`.
    pub shutdowns: usize,
}

impl ScriptedWire {
    /// A wire on which nothing ever comes, and that takes whatever is written.
    #[must_use]
    pub fn new() -> Self {
        Self {
            script: VecDeque::new(),
            max_write: usize::MAX,
            room: usize::MAX,
            broken: false,
            shut: false,
            reset: false,
            ended: false,
            sent: Vec::new(),
            counts: WireCounts::default(),
        }
    }

    /// Then these bytes come, in one read if there is room for them.
    #[must_use]
    pub fn then(mut self, bytes: impl AsRef<[u8]>) -> Self {
        if !bytes.as_ref().is_empty() {
            self.script.push_back(Step::Bytes(BytesMut::from(bytes.as_ref())));
        }
        self
    }

    /// Then these bytes come, `size` a read, and a read that would block between any two.
    ///
    /// # Panics
    /// When `size` is zero.
    #[must_use]
    pub fn then_in_pieces(mut self, bytes: impl AsRef<[u8]>, size: usize) -> Self {
        for piece in bytes.as_ref().chunks(size) {
            self = self.then(piece).then_would_block();
        }
        self
    }

    /// Then one read would block.
    #[must_use]
    pub fn then_would_block(self) -> Self {
        self.with(Step::WouldBlock)
    }

    /// Then one read is interrupted by a signal.
    #[must_use]
    pub fn then_interrupted(self) -> Self {
        self.with(Step::Interrupted)
    }

    /// Then the peer has shut its sending half down, for good.
    #[must_use]
    pub fn then_eof(self) -> Self {
        self.with(Step::Eof)
    }

    /// Then reads fail with `kind`, for good; `ErrorKind::ConnectionReset` is a reset. Writes fail from then on too.
    #[must_use]
    pub fn then_fails(self, kind: ErrorKind) -> Self {
        self.with(Step::Fails(kind))
    }

    /// One write takes at most so many bytes.
    #[must_use]
    pub const fn with_max_write(mut self, bytes: usize) -> Self {
        self.max_write = bytes;
        self
    }

    /// So many bytes fit; beyond that writes would block until [`make_room`](Self::make_room).
    #[must_use]
    pub const fn with_room(mut self, bytes: usize) -> Self {
        self.room = bytes;
        self
    }

    /// The peer took bytes: so many more fit.
    pub const fn make_room(&mut self, bytes: usize) {
        self.room = self.room.saturating_add(bytes);
    }

    /// Writes fail from here on, as they do when the peer is gone.
    pub const fn break_writes(&mut self) {
        self.broken = true;
    }

    /// Adds bytes to the end of the script.
    pub fn push(&mut self, bytes: impl AsRef<[u8]>) {
        *self = core::mem::take(self).then(bytes);
    }

    /// What was written since this was last asked.
    #[must_use]
    pub fn take_sent(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.sent)
    }

    /// What was written and not taken yet.
    #[must_use]
    pub fn sent(&self) -> &[u8] {
        &self.sent
    }

    /// Whether the sending half was shut down.
    #[must_use]
    pub const fn is_shut(&self) -> bool {
        self.shut
    }

    /// Whether it is closed with a reset.
    #[must_use]
    pub const fn is_reset(&self) -> bool {
        self.reset
    }

    /// Bytes of the script that were not read.
    #[must_use]
    pub fn unread(&self) -> usize {
        let length = |step: &Step| if let Step::Bytes(bytes) = step { bytes.len() } else { 0 };
        self.script.iter().map(length).sum()
    }

    /// How often it was used.
    #[must_use]
    pub const fn counts(&self) -> WireCounts {
        self.counts
    }

    fn with(mut self, step: Step) -> Self {
        self.script.push_back(step);
        self
    }
}

impl Default for ScriptedWire {
    fn default() -> Self {
        Self::new()
    }
}

impl Wire for ScriptedWire {
    fn read(&mut self, into: &mut BytesMut, max: usize) -> io::Result<usize> {
        self.counts.reads += 1;
        assert!(max > 0, "a driver never reads nothing");
        assert!(into.capacity() - into.len() >= max, "a driver reads into a buffer that has room");
        match self.script.pop_front() {
            None | Some(Step::WouldBlock) => Err(ErrorKind::WouldBlock.into()),
            Some(Step::Interrupted) => Err(ErrorKind::Interrupted.into()),
            Some(Step::Eof) => {
                self.script.push_front(Step::Eof);
                Ok(0)
            }
            Some(Step::Fails(kind)) => {
                self.script.push_front(Step::Fails(kind));
                self.broken = true;
                Err(kind.into())
            }
            Some(Step::Bytes(mut bytes)) => {
                let piece = bytes.split_to(max.min(bytes.len()));
                if !bytes.is_empty() {
                    self.script.push_front(Step::Bytes(bytes));
                }
                into.put_slice(&piece);
                self.counts.reads_with_bytes += 1;
                Ok(piece.len())
            }
        }
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.counts.writes += 1;
        assert!(!slices.is_empty(), "a driver never writes without slices (law 2)");
        assert!(slices.iter().all(|slice| !slice.is_empty()), "a flow never offers an empty slice (law 2)");
        assert!(!self.shut, "a driver never writes after it shut the sending half down");
        assert!(!self.ended, "a driver never writes behind what it called the last");
        if self.broken {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let mut left = self.max_write.min(self.room);
        if left == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        let before = self.sent.len();
        for slice in slices {
            let piece = &slice[..left.min(slice.len())];
            self.sent.extend_from_slice(piece);
            left -= piece.len();
        }
        let taken = self.sent.len() - before;
        self.room -= taken;
        self.counts.writes_with_bytes += 1;
        Ok(taken)
    }

    fn write_last(&mut self, slices: &[IoSlice<'_>], end: CloseKind) -> io::Result<usize> {
        assert!(end != CloseKind::Reset, "a driver leaves nothing to a reset to send");
        let taken = self.write(slices)?;
        self.counts.last_writes += 1;
        self.ended = taken == slices.iter().map(|slice| slice.len()).sum::<usize>();
        Ok(taken)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.counts.shutdowns += 1;
        self.shut = true;
        Ok(())
    }

    fn reset(&mut self) -> io::Result<()> {
        self.reset = true;
        Ok(())
    }
}
