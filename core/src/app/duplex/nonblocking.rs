//! The stream's end, for code that was written for sockets that do not block.

use core::fmt;
use core::task::{Context, Poll, Waker};
use std::io::{self, ErrorKind, Read, Write};

use super::DuplexStream;

/// A [`DuplexStream`] that says `WouldBlock` where it would have to wait. From [`DuplexStream::nonblocking`].
///
/// For a library that takes a [`Read`] and a [`Write`], can be left in the middle of what it does and goes on when it is
/// called again, as those for TLS, WebSocket and the like can. In a future it takes no thread:
///
/// ```
/// use anabranch_core::app::{Duplex, DuplexStream, NonblockingStream};
/// use anabranch_core::testing::{ManualClock, Rig};
/// use anabranch_core::ConnectionInfo;
/// use std::future::poll_fn;
/// use std::io::{self, ErrorKind, Read, Write};
/// use std::task::Poll;
///
/// /// Knows nothing of futures; what is left undone is here when it is called again.
/// struct Echo {
///     stream: NonblockingStream,
///     unsent: Vec<u8>,
/// }
///
/// impl Echo {
///     fn go_on(&mut self) -> io::Result<()> {
///         loop {
///             while !self.unsent.is_empty() {
///                 let count = self.stream.write(&self.unsent)?;
///                 self.unsent.drain(..count);
///             }
///             let mut buffer = [0; 512];
///             match self.stream.read(&mut buffer)? {
///                 0 => return Ok(()),
///                 count => self.unsent.extend(&buffer[..count]),
///             }
///         }
///     }
/// }
///
/// let takeover = Duplex::new(1024).with_future(|stream: DuplexStream| {
///     let mut echo = Echo { stream: stream.nonblocking(), unsent: Vec::new() };
///     poll_fn(move |context| {
///         echo.stream.set_waker(context.waker());
///         match echo.go_on() {
///             Err(error) if error.kind() == ErrorKind::WouldBlock => Poll::Pending,
///             _ => Poll::Ready(()),
///         }
///     })
/// });
///
/// let clock = ManualClock::default();
/// let mut rig = Rig::with_clock(takeover.into_flow(ConnectionInfo::default(), clock.now()), clock);
/// rig.read("hello");
/// assert_eq!(rig.written(), b"hello");
/// ```
pub struct NonblockingStream {
    stream: DuplexStream,
    waker: Waker,
}

impl NonblockingStream {
    pub(super) fn new(stream: DuplexStream) -> Self {
        Self { stream, waker: Waker::noop().clone() }
    }

    /// Whoever is to be woken, from the next `WouldBlock` on, when it is worth trying again. Until this is called nobody is.
    pub fn set_waker(&mut self, waker: &Waker) {
        self.waker.clone_from(waker);
    }

    /// The stream.
    #[must_use]
    pub const fn get_ref(&self) -> &DuplexStream {
        &self.stream
    }

    /// The stream, to be split, reset or shut.
    #[must_use]
    pub fn into_inner(self) -> DuplexStream {
        self.stream
    }
}

impl Read for NonblockingStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        or_would_block(self.stream.poll_read(&mut Context::from_waker(&self.waker), into))
    }
}

impl Write for NonblockingStream {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        or_would_block(self.stream.poll_write(&mut Context::from_waker(&self.waker), data))
    }

    /// As that of [`DuplexWriter`](super::DuplexWriter).
    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

fn or_would_block(result: Poll<io::Result<usize>>) -> io::Result<usize> {
    match result {
        Poll::Ready(result) => result,
        Poll::Pending => Err(ErrorKind::WouldBlock.into()),
    }
}

impl fmt::Debug for NonblockingStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NonblockingStream").field(&self.stream).finish()
    }
}
