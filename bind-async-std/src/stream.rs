//! Any futures-io stream, as a wire.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use anabranch_core::drive::PollWire;
use bytes::BytesMut;
use futures_io::{AsyncRead, AsyncWrite};

/// A stream of any runtime: a pipe, a stream under encryption, a socket of somebody else's.
///
/// Its `poll_close` has to shut the sending half down and leave the other open.
pub trait Stream: AsyncRead + AsyncWrite + Unpin {
    /// Its end, which comes next, is a reset and no orderly end: an answer that was cut off may else be taken for complete.
    /// A stream that knows nothing of the kind does nothing.
    ///
    /// # Errors
    /// Ignored.
    fn reset(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A [`Stream`] under a flow.
#[derive(Debug)]
pub struct StreamWire<S> {
    stream: S,
    /// Taken by the stream, and still to be flushed: only then is it reported.
    written: usize,
}

impl<S> StreamWire<S> {
    /// Over `stream`.
    #[must_use]
    pub const fn new(stream: S) -> Self {
        Self { stream, written: 0 }
    }
}

thread_local! {
    /// Of initialised bytes, as futures-io wants them. Empty while it is read into.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl<S: Stream> PollWire for StreamWire<S> {
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        into: &mut BytesMut,
        max: usize,
    ) -> Poll<io::Result<usize>> {
        let mut buffer = BUFFER.take();
        if buffer.len() < max {
            buffer.resize(max, 0);
        }
        let read = Pin::new(&mut self.stream).poll_read(context, &mut buffer[..max]);
        if let Poll::Ready(Ok(count)) = read {
            into.extend_from_slice(&buffer[..count]);
        }
        BUFFER.set(buffer);
        read
    }

    fn poll_write(&mut self, context: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.written == 0 {
            self.written = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, slices))?;
        }
        if self.written > 0 {
            // What a stream keeps to itself would not reach the peer. Until it is flushed the same bytes are offered again,
            // by the laws of flows (6), and not given to the stream twice.
            ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        }
        Poll::Ready(Ok(std::mem::take(&mut self.written)))
    }

    fn poll_shutdown_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(context)
    }

    fn reset(&mut self) -> io::Result<()> {
        self.stream.reset()
    }
}
