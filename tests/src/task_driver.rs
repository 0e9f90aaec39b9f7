//! A task a connection, over any futures-io stream: the same few calls, with `Pending` where sockets would block.

use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use anabranch_core::drive::{self, Budget, Progress, Readiness, Wire};
use anabranch_core::{
    AbortReason, CloseReason, Dates, Flow, Instant, Job, Pool, ReadOperation, Turn, WriteOperation,
};
use async_io::Timer;
use bytes::BytesMut;
use futures_io::{AsyncRead, AsyncWrite};

/// What a task may be told from elsewhere.
#[derive(Debug, Default)]
pub struct Control {
    command: AtomicU8,
    waker: Mutex<Option<Waker>>,
}

const NOTHING: u8 = 0;
const DRAIN: u8 = 1;
const ABORT: u8 = 2;

impl Control {
    /// Drains the connection.
    pub fn drain(&self) {
        self.tell(DRAIN);
    }

    /// Aborts the connection.
    pub fn abort(&self) {
        self.tell(ABORT);
    }

    fn tell(&self, command: u8) {
        self.command.fetch_max(command, Ordering::AcqRel);
        if let Some(waker) = self.waker.lock().unwrap().take() {
            waker.wake();
        }
    }

    fn take(&self, waker: &Waker) -> u8 {
        *self.waker.lock().unwrap() = Some(waker.clone());
        self.command.swap(NOTHING, Ordering::AcqRel)
    }
}

/// Serves one connection, on the clock that began at `origin`. `exec` runs a job, or gives it back.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    flow: Box<dyn Flow>,
    stream: S,
    control: Arc<Control>,
    origin: std::time::Instant,
    exec: impl FnMut(Job) -> Result<(), Job>,
) -> CloseReason {
    let mut task = Task {
        flow,
        stream,
        exec,
        readiness: Readiness::ready(),
        timer: Timer::never(),
        armed: Instant::NEVER,
        origin,
        dates: Dates::anchored(
            Instant::ORIGIN + origin.elapsed(),
            std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default(),
        ),
        pool: Pool::default(),
        scratch: BytesMut::with_capacity(16 * 1024),
    };
    poll_fn(|cx| task.poll(&control, cx)).await
}

struct Task<S, E> {
    flow: Box<dyn Flow>,
    stream: S,
    exec: E,
    readiness: Readiness,
    timer: Timer,
    armed: Instant,
    origin: std::time::Instant,
    dates: Dates,
    pool: Pool,
    scratch: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin, E: FnMut(Job) -> Result<(), Job>> Task<S, E> {
    fn poll(&mut self, control: &Control, cx: &mut Context<'_>) -> Poll<CloseReason> {
        match control.take(cx.waker()) {
            NOTHING => {}
            DRAIN => {
                // What came before the drain is read before it (law 7).
                if let Poll::Ready(reason) = self.turn(cx) {
                    return Poll::Ready(reason);
                }
                let now = self.now();
                self.flow.drain(&mut Turn::new(now, &mut self.dates, cx.waker(), &mut self.pool));
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
                self.timer.set_at(self.origin + Duration::from_nanos(due.as_nanos()));
            }
            if self.armed == Instant::NEVER || Pin::new(&mut self.timer).poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.armed = Instant::NEVER;
        }
    }

    /// Turns until the stream itself says `Pending` on each side that the flow wants: only then does it wake the task.
    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        let now = self.now();
        loop {
            self.readiness.readable = true;
            self.readiness.writable = true;
            let mut wire = PollWire { stream: &mut self.stream, cx, read_waits: false, write_waits: false };
            let waker = wire.cx.waker().clone();
            let mut turn = Turn::new(now, &mut self.dates, &waker, &mut self.pool);
            let budget = Budget::default();
            let progress = drive::turn(
                &mut *self.flow,
                &mut wire,
                &mut self.readiness,
                &mut self.scratch,
                &mut turn,
                &mut self.exec,
                budget,
            );
            match progress {
                Progress::Finished(reason) => return Poll::Ready(reason),
                Progress::Again => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Progress::Blocked => {
                    let reads = self.flow.next_read_operation() == ReadOperation::Read;
                    let writes = self.flow.next_write_operation() == WriteOperation::Write;
                    if (!reads || wire.read_waits) && (!writes || wire.write_waits) {
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    fn now(&self) -> Instant {
        Instant::ORIGIN + self.origin.elapsed()
    }
}

struct PollWire<'a, 'c, S> {
    stream: &'a mut S,
    cx: &'a mut Context<'c>,
    read_waits: bool,
    write_waits: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire for PollWire<'_, '_, S> {
    fn read(&mut self, into: &mut BytesMut) -> io::Result<usize> {
        let start = into.len();
        into.resize(into.capacity(), 0);
        let polled = Pin::new(&mut *self.stream).poll_read(self.cx, &mut into[start..]);
        let count = if let Poll::Ready(Ok(count)) = polled { count } else { 0 };
        into.truncate(start + count);
        self.read_waits = polled.is_pending();
        or_would_block(polled)
    }
    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let polled = Pin::new(&mut *self.stream).poll_write_vectored(self.cx, slices);
        self.write_waits = polled.is_pending();
        or_would_block(polled)
    }
    fn shutdown_write(&mut self) -> io::Result<()> {
        or_would_block(Pin::new(&mut *self.stream).poll_close(self.cx))
    }
}

fn or_would_block<T>(polled: Poll<io::Result<T>>) -> io::Result<T> {
    match polled {
        Poll::Ready(result) => result,
        Poll::Pending => Err(ErrorKind::WouldBlock.into()),
    }
}
