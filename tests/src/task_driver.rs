//! A task a connection, over any futures-io stream: the same few calls, with `Pending` where sockets would block.

use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use anabranch_core::drive::{Progress, Readiness, Wire};
use anabranch_core::{AbortReason, CloseReason, Flow, Instant};
use async_io::Timer;
use bytes::BytesMut;
use futures_io::{AsyncRead, AsyncWrite};

use crate::kit::{Control, DRAIN, Lent, NOTHING, fill};

/// A stream that can be told to end as a broken one would.
pub trait Stream: AsyncRead + AsyncWrite + Unpin {
    /// Its end, which comes next, is a reset, if it knows such a thing.
    ///
    /// # Errors
    /// Whatever keeps it from that.
    fn reset(&mut self) -> io::Result<()>;
}

/// Serves one connection.
pub async fn serve<S: Stream>(
    flow: Box<dyn Flow>,
    stream: S,
    control: Arc<Control>,
    lent: Lent,
) -> CloseReason {
    let readiness = Readiness::polled();
    let mut task = Task { flow, stream, readiness, lent, timer: Timer::never(), armed: Instant::NEVER };
    poll_fn(|cx| task.poll(&control, cx)).await
}

struct Task<S> {
    flow: Box<dyn Flow>,
    stream: S,
    readiness: Readiness,
    lent: Lent,
    timer: Timer,
    armed: Instant,
}

impl<S: Stream> Task<S> {
    fn poll(&mut self, control: &Control, cx: &mut Context<'_>) -> Poll<CloseReason> {
        match control.take(cx.waker()) {
            NOTHING => {}
            DRAIN => {
                // What came before the drain is read before it (law 7).
                if let Poll::Ready(reason) = self.turn(cx) {
                    return Poll::Ready(reason);
                }
                self.lent.drain(&mut *self.flow, cx.waker());
            }
            _ => self.flow.abort(AbortReason::Requested),
        }
        loop {
            if let Poll::Ready(reason) = self.turn(cx) {
                return Poll::Ready(reason);
            }
            // Asked again at its time only: a deadline that moved later costs a turn then, and no new timer now.
            let due = self.flow.deadline().map_or(Instant::NEVER, |deadline| deadline.at);
            if due < self.armed {
                self.armed = due;
                self.timer.set_at(self.lent.clock.to_std(due));
            }
            if self.armed == Instant::NEVER {
                return Poll::Pending;
            }
            ready!(Pin::new(&mut self.timer).poll(cx));
            self.armed = Instant::NEVER;
        }
    }

    /// Everything that can be done now.
    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        let waker = cx.waker().clone();
        let mut wire = PollWire { stream: &mut self.stream, cx };
        match self.lent.turn(&mut *self.flow, &mut wire, &mut self.readiness, &waker) {
            Progress::Finished(reason) => return Poll::Ready(reason),
            Progress::Again => waker.wake(),
            // The stream has said `Pending` for whatever the flow wants of it: it wakes the task.
            Progress::Blocked => {}
        }
        Poll::Pending
    }
}

struct PollWire<'a, 'c, S> {
    stream: &'a mut S,
    cx: &'a mut Context<'c>,
}

impl<S: Stream> Wire for PollWire<'_, '_, S> {
    fn read(&mut self, into: &mut BytesMut) -> io::Result<usize> {
        fill(into, |room| or_would_block(Pin::new(&mut *self.stream).poll_read(self.cx, room)))
    }
    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        or_would_block(Pin::new(&mut *self.stream).poll_write_vectored(self.cx, slices))
    }
    fn shutdown_write(&mut self) -> io::Result<()> {
        or_would_block(Pin::new(&mut *self.stream).poll_close(self.cx))
    }
    fn reset(&mut self) -> io::Result<()> {
        self.stream.reset()
    }
}

fn or_would_block<T>(polled: Poll<io::Result<T>>) -> io::Result<T> {
    match polled {
        Poll::Ready(result) => result,
        Poll::Pending => Err(ErrorKind::WouldBlock.into()),
    }
}
