//! Sockets that tokio's reactor watches.

use std::io::{self, ErrorKind, IoSlice};
use std::net::Shutdown;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use anabranch_core::CloseKind;
use anabranch_core::drive::PollWire;
use anabranch_std::host::{PollAccept, receive, reset, send, send_last};
use anabranch_std::{Blocking, Connection, Listener};
use bytes::BytesMut;
use rustix::net::RecvFlags;
use socket2::Socket;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A connected socket, of whatever family.
#[derive(Debug)]
pub struct SocketWire {
    socket: AsyncFd<Socket>,
    /// Reads are not to believe the reactor, which may not have heard yet, as long as they give something.
    may_give: bool,
    /// The reactor was told that the socket takes nothing, so that it would say when that is gone: try it first.
    may_take: bool,
}

impl SocketWire {
    /// Watched by the runtime that this is called in.
    ///
    /// # Errors
    /// When its reactor has no place for it.
    ///
    /// # Panics
    /// Outside of a runtime with I/O.
    pub fn new(connection: Connection) -> io::Result<Self> {
        #[expect(unsafe_code, reason = "tokio asks for a promise about the descriptor")]
        // SAFETY: a socket owns its descriptor, which is the same until it is dropped, and nobody replaces it meanwhile.
        let socket = unsafe { AsyncFd::register(connection.socket) }?;
        Ok(Self { socket, may_give: false, may_take: false })
    }

    /// Sends by `send`, and waits while nothing is taken.
    #[inline]
    fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
        send: impl Fn(&Socket, &[IoSlice<'_>]) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        if self.may_take {
            match send(self.socket.get_ref(), slices) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.may_take = false,
                result => return Poll::Ready(result),
            }
        }
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        loop {
            let mut ready = ready!(self.socket.poll_write_ready(context))?;
            match send(ready.get_inner(), slices) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => ready.clear_ready(),
                Ok(count) => {
                    if count < offered {
                        ready.clear_ready();
                    }
                    return Poll::Ready(Ok(count));
                }
                failed => return Poll::Ready(failed),
            }
        }
    }
}

impl PollWire for SocketWire {
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        into: &mut BytesMut,
        max: usize,
    ) -> Poll<io::Result<usize>> {
        if self.may_give {
            match receive(self.socket.get_ref(), into, max, RecvFlags::DONTWAIT) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.may_give = false,
                result => return Poll::Ready(result),
            }
        }
        loop {
            let mut ready = ready!(self.socket.poll_read_ready(context))?;
            match receive(ready.get_inner(), into, max, RecvFlags::DONTWAIT) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => ready.clear_ready(),
                Ok(count) => {
                    if 0 < count && count < max {
                        // There is no more: the next read waits without asking.
                        ready.clear_ready();
                    }
                    return Poll::Ready(Ok(count));
                }
                failed => return Poll::Ready(failed),
            }
        }
    }

    fn poll_write(&mut self, context: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.poll_send(context, slices, |socket, slices| send(socket, slices))
    }

    fn poll_write_last(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
        end: CloseKind,
    ) -> Poll<io::Result<usize>> {
        self.poll_send(context, slices, |socket, slices| send_last(socket, slices, end))
    }

    fn poll_shutdown_write(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.socket.get_ref().shutdown(Shutdown::Write))
    }

    fn reset(&mut self) -> io::Result<()> {
        reset(self.socket.get_ref())
    }

    fn ask_again(&mut self) {
        self.may_give = true;
    }

    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let Ok(mut ready) = ready!(self.socket.poll_write_ready(context)) else { return Poll::Ready(()) };
            let state = ready.ready();
            if state.is_write_closed() || state.is_error() {
                return Poll::Ready(());
            }
            // It would take bytes, which is no news: the next thing to be heard in this direction is its end.
            self.may_take = true;
            ready.clear_ready();
        }
    }
}

/// A listener.
#[derive(Debug)]
pub struct Door(AsyncFd<Arc<Listener>>);

impl Door {
    /// Watched by the runtime that this is called in.
    ///
    /// # Errors
    /// When its reactor has no place for it.
    ///
    /// # Panics
    /// Outside of a runtime with I/O.
    pub fn new(listener: Arc<Listener>) -> io::Result<Self> {
        #[expect(unsafe_code, reason = "tokio asks for a promise about the descriptor")]
        // SAFETY: a listener owns its descriptor, which is the same until it is dropped; nobody can replace it in an `Arc`.
        let watched = unsafe { AsyncFd::register_with_interest(listener, Interest::READABLE) }?;
        Ok(Self(watched))
    }
}

impl PollAccept for Door {
    fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Connection>> {
        loop {
            let mut ready = ready!(self.0.poll_read_ready(context))?;
            match ready.get_inner().accept(Blocking::No) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => ready.clear_ready(),
                result => return Poll::Ready(result),
            }
        }
    }
}
