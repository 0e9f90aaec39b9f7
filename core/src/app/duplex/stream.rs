//! The stream's end: a reader and a writer, blocking or polled, together or apart.

use core::fmt;
use core::task::{Context, Poll};
use std::io::{self, Read, Write};
use std::sync::Arc;

use super::NonblockingStream;
use super::pipe::{Outgoing, Pipe};
use crate::info::ConnectionInfo;

/// A connection as a stream of bytes: see [`Duplex`](super::Duplex).
///
/// It is a [`Read`] and a [`Write`] that block, for a thread that may (a lane's, or any other of the application's; never
/// one that drives connections), and the same polled, for a future. With the feature `futures-io` it is an `AsyncRead` and
/// an `AsyncWrite`; as a [`NonblockingStream`] it is for code that leaves at a `WouldBlock`.
///
/// What the peer has sent comes first, the bytes behind its request included; then the end (`Ok(0)`), or the error that
/// ended the connection: `ConnectionReset` by the peer, `TimedOut` by a deadline, `ConnectionAborted` by the server. Writes
/// fail with `BrokenPipe` then.
///
/// Dropping it ends the connection in order: what was written still goes out.
#[derive(Debug)]
pub struct DuplexStream {
    reader: DuplexReader,
    writer: DuplexWriter,
}

/// The half of a [`DuplexStream`] that reads. Dropped by itself, it lets whatever still comes be dropped too.
pub struct DuplexReader {
    pipe: Arc<Pipe>,
}

/// The half of a [`DuplexStream`] that writes. Dropped by itself, it shuts its direction, as
/// [`shutdown`](Self::shutdown) does, and the other half may read on.
pub struct DuplexWriter {
    pipe: Arc<Pipe>,
}

impl DuplexStream {
    pub(super) fn new(pipe: Arc<Pipe>) -> Self {
        Self { reader: DuplexReader { pipe: Arc::clone(&pipe) }, writer: DuplexWriter { pipe } }
    }

    pub(super) fn pipe(&self) -> Arc<Pipe> {
        Arc::clone(&self.reader.pipe)
    }

    /// Both halves, for two threads or two futures.
    #[must_use]
    pub fn split(self) -> (DuplexReader, DuplexWriter) {
        (self.reader, self.writer)
    }

    /// The same, for code that leaves where it would have to wait: see [`NonblockingStream`].
    #[must_use]
    pub fn nonblocking(self) -> NonblockingStream {
        NonblockingStream::new(self)
    }

    /// As [`DuplexReader::poll_read`].
    pub fn poll_read(&mut self, context: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        self.reader.poll_read(context, into)
    }

    /// As [`DuplexWriter::poll_write`].
    pub fn poll_write(&mut self, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.writer.poll_write(context, data)
    }

    /// As [`DuplexWriter::shutdown`].
    pub fn shutdown(&mut self) {
        self.writer.shutdown();
    }

    /// As [`DuplexWriter::reset`].
    pub fn reset(&mut self) {
        self.writer.reset();
    }

    /// Whether the server drains: it is time to come to an end. See [`WhenDrained`](super::WhenDrained).
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.reader.pipe.is_draining()
    }

    /// Who is at the other end.
    #[must_use]
    pub fn connection(&self) -> &ConnectionInfo {
        &self.reader.pipe.info
    }
}

impl DuplexReader {
    /// Reads what there is; `Ready(Ok(0))` at the end. The waker is woken when there may be more.
    pub fn poll_read(&mut self, context: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        self.pipe.poll_read(context, into)
    }

    /// As [`DuplexStream::is_draining`].
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.pipe.is_draining()
    }
}

impl DuplexWriter {
    /// Writes as much as there is room for. The waker is woken when there may be more.
    pub fn poll_write(&mut self, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.pipe.poll_write(context, data)
    }

    /// Nothing more is written: what was goes out, and the peer reads the end behind it. It may still send.
    pub fn shutdown(&mut self) {
        self.pipe.end_output(Outgoing::Shut);
    }

    /// Ends the connection with a [reset](crate::CloseKind::Reset), both ways: what was said is not all that should have
    /// been. What the transport has not taken is dropped. Does nothing once the peer was told of the end.
    pub fn reset(&mut self) {
        self.pipe.end_output(Outgoing::Reset);
    }

    /// As [`DuplexStream::is_draining`].
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.pipe.is_draining()
    }
}

impl Read for DuplexReader {
    /// Blocks until there is something; `Ok(0)` at the end.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.pipe.read(into)
    }
}

impl Write for DuplexWriter {
    /// Blocks until there is room, and writes as much as fits.
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.pipe.write(data)
    }

    /// Waits for nothing: what was written is on its way, whoever drives the connection was told.
    fn flush(&mut self) -> io::Result<()> {
        self.pipe.flush()
    }
}

impl Read for DuplexStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.reader.read(into)
    }
}

impl Write for DuplexStream {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.writer.write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl Drop for DuplexReader {
    fn drop(&mut self) {
        self.pipe.decline_input();
    }
}

impl Drop for DuplexWriter {
    fn drop(&mut self) {
        self.pipe.end_output(Outgoing::Dropped);
    }
}

impl fmt::Debug for DuplexReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DuplexReader").field("connection", &self.pipe.info.id).finish_non_exhaustive()
    }
}

impl fmt::Debug for DuplexWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DuplexWriter").field("connection", &self.pipe.info.id).finish_non_exhaustive()
    }
}
