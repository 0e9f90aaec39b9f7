//! The stream's end, as futures-io has streams.
//!
//! There a read is never `Interrupted`: a drain that [interrupts](super::WhenDrained::Interrupt) wakes the task, which asks
//! [`DuplexStream::is_draining`] before it reads on.

use core::pin::Pin;
use core::task::{Context, Poll};
use std::io::{self, ErrorKind, Write};

use futures_io::{AsyncRead, AsyncWrite};

use super::stream::{DuplexReader, DuplexStream, DuplexWriter};

macro_rules! async_read {
    ($($end:ty),*) => { $(
        impl AsyncRead for $end {
            fn poll_read(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                into: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                let end = self.get_mut();
                loop {
                    match end.poll_read(context, into) {
                        Poll::Ready(Err(error)) if error.kind() == ErrorKind::Interrupted => {}
                        result => return result,
                    }
                }
            }
        }
    )* };
}

macro_rules! async_write {
    ($($end:ty),*) => { $(
        impl AsyncWrite for $end {
            fn poll_write(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                data: &[u8],
            ) -> Poll<io::Result<usize>> {
                self.get_mut().poll_write(context, data)
            }

            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(self.get_mut().flush())
            }

            /// Shuts this direction, and waits for nothing: the connection sees to what is on its way.
            fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.get_mut().shutdown();
                Poll::Ready(Ok(()))
            }
        }
    )* };
}

async_read!(DuplexReader, DuplexStream);
async_write!(DuplexWriter, DuplexStream);
