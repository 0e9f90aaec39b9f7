//! Tasks on one thread, over sockets or over pipes in memory: what the task driver is run by.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::pin::Pin;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use anabranch_async_std::{Stream, StreamWire};
use anabranch_core::drive::{Alarm, PollWire, Polled, Stop};
use anabranch_core::testing::MeanWire;
use anabranch_core::testing::driver_suite::Peer;
use anabranch_core::{AbortReason, ConnectionId, ConnectionInfo, Instant, Job, Protocol};
use async_executor::Executor;
use async_io::Async;
use futures_io::{AsyncRead, AsyncWrite};
use futures_lite::future::block_on;
use futures_lite::io::{AsyncReadExt, BlockOn};
use socket2::SockRef;

use crate::kit::{Clock, Control, Lent, lane, listen};

/// A set of tasks that serve connections; stops when it is dropped.
#[expect(missing_debug_implementations, reason = "a test's server has nothing to show")]
pub struct TaskServer {
    executor: Arc<Executor<'static>>,
    protocol: Arc<dyn Protocol>,
    controls: Arc<Mutex<Vec<Arc<Control>>>>,
    clock: Clock,
    lane: SyncSender<Job>,
    troubles: Troubles,
    /// Dropping it ends the executor's thread.
    _stop: piper::Writer,
}

impl TaskServer {
    /// Serves nothing yet.
    pub fn start(protocol: Arc<dyn Protocol>) -> Arc<Self> {
        Self::start_with(protocol, Troubles::None)
    }

    /// As [`start`](Self::start), over transports that make trouble.
    pub fn start_with(protocol: Arc<dyn Protocol>, troubles: Troubles) -> Arc<Self> {
        let executor = Arc::new(Executor::new());
        let (mut stopped, stop) = piper::pipe(1);
        let runs = executor.clone();
        std::thread::spawn(move || block_on(runs.run(async move { stopped.read(&mut [0]).await })));
        let (controls, clock, lane) = (Arc::default(), Clock::start(), lane());
        Arc::new(Self { executor, protocol, controls, clock, lane, troubles, _stop: stop })
    }

    /// Serves a stream.
    pub fn spawn(&self, stream: impl Stream + Send + 'static) {
        let wire = StreamWire::new(stream);
        match self.troubles {
            Troubles::None => self.carry(wire),
            Troubles::All => self.carry(MeanWire::new(wire)),
        }
    }

    fn carry(&self, wire: impl PollWire + Send + 'static) {
        let control = Arc::new(Control::default());
        let mut controls = self.controls.lock().unwrap();
        controls.push(control.clone());
        let info = ConnectionInfo::new(ConnectionId(controls.len() as u64));
        let flow = self.protocol.connect(info, self.clock.now());
        let mut lent = Lent::new(self.clock, self.lane.clone());
        let mut polled = Polled::new(flow, wire, Timer(self.clock, async_io::Timer::never()));
        let task = poll_fn(move |context| {
            let stop = control.stop(context.waker());
            lent.poll(&mut polled, context, stop)
        });
        self.executor.spawn(task).detach();
    }

    /// Serves what connects to a port of the loopback, and says which.
    ///
    /// # Errors
    /// When no socket is to be had.
    pub fn listen(self: &Arc<Self>) -> io::Result<SocketAddr> {
        let listener = Async::new(listen()?)?;
        let address = listener.get_ref().local_addr()?;
        let accepting = Arc::downgrade(self);
        let accept = async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Some(server) = accepting.upgrade() else { return };
                if stream.get_ref().set_nodelay(true).is_ok() {
                    server.spawn(Socket(stream));
                }
            }
        };
        self.executor.spawn(accept).detach();
        Ok(address)
    }

    /// Serves a pair of pipes in memory, which know neither addresses nor resets, and gives their other ends.
    pub fn pipe(&self) -> Peer {
        let (request, peer_writer) = piper::pipe(PIPE_BYTES);
        let (peer_reader, answer) = piper::pipe(PIPE_BYTES);
        self.spawn(Pipes(request, Some(answer)));
        Peer::new(BlockOn::new(peer_reader), BlockOn::new(peer_writer))
    }

    /// Drains its connections.
    pub fn drain(&self) {
        self.controls.lock().unwrap().iter().for_each(|control| control.tell(Stop::Draining));
    }

    /// Aborts its connections.
    pub fn abort(&self) {
        self.controls
            .lock()
            .unwrap()
            .iter()
            .for_each(|control| control.tell(Stop::Aborting(AbortReason::Requested)));
    }
}

/// What the transports do to their tasks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Troubles {
    /// Nothing out of order.
    None,
    /// See [`MeanWire`].
    All,
}

/// One of async-io's timers.
struct Timer(Clock, async_io::Timer);

impl Alarm for Timer {
    fn set(&mut self, at: Instant) {
        self.1.set_at(self.0.to_std(at));
    }
    fn poll_ring(&mut self, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.1).poll(context).map(drop)
    }
}

const PIPE_BYTES: usize = 64 * 1024;

/// A socket whose `poll_close` shuts the sending half down: that of `Async` only flushes.
struct Socket(Async<TcpStream>);

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_read(cx, into)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, slices)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }
    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.0.get_ref().shutdown(Shutdown::Write))
    }
}

impl Stream for Socket {
    fn reset(&mut self) -> io::Result<()> {
        SockRef::from(self.0.get_ref()).set_linger(Some(Duration::ZERO))
    }
}

/// Two pipes, as one stream.
struct Pipes(piper::Reader, Option<piper::Writer>);

impl AsyncRead for Pipes {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        // Polled, a pipe says `Pending` now and then though bytes are there, to let other tasks have their turn. The read
        // before a drain (law 7) takes no such answer.
        let count = self.0.try_drain(into);
        if count > 0 {
            return Poll::Ready(Ok(count));
        }
        Pin::new(&mut self.0).poll_read(cx, into)
    }
}

impl AsyncWrite for Pipes {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Some(writer) = &mut self.1 else { return Poll::Ready(Ok(0)) };
        Pin::new(writer).poll_write(cx, bytes)
    }
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_close(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.1 = None;
        Poll::Ready(Ok(()))
    }
}

/// A pipe's end is all it can say.
impl Stream for Pipes {}
