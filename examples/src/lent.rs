//! What every loop lends its flows, whatever its shape: the time, the date, spare state and a read buffer; and a socket as
//! a wire. A loop of yours has the same, in as many lines.

use std::fmt;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};
use std::time::{Duration, SystemTime};

use anabranch_core::drive::{self, Budget, Progress, Readiness, Wire};
use anabranch_core::{
    AbortReason, ConnectionInfo, Dates, Flow, Instant, Job, Pool, ReadOperation, Turn, WriteOperation,
};
use bytes::BytesMut;
use socket2::SockRef;

use crate::agenda::{Agenda, Call, Next};

/// A monotonic clock, shared by a server's threads.
#[derive(Clone, Copy, Debug)]
pub struct Clock(std::time::Instant);

impl Clock {
    /// A clock that begins now.
    #[must_use]
    pub fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// What it shows.
    #[must_use]
    pub fn now(self) -> Instant {
        Instant::from_duration(self.0.elapsed())
    }
}

/// What a thread lends the flows that it drives. One a thread.
#[derive(Debug)]
pub struct Lent {
    clock: Clock,
    dates: Dates,
    pool: Pool,
    scratch: BytesMut,
}

impl Lent {
    /// Counts time by `clock`.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let since_epoch = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let dates = Dates::anchored(clock.now(), since_epoch);
        Self { clock, dates, pool: Pool::default(), scratch: BytesMut::with_capacity(READ_BYTES) }
    }

    /// The turn of an input or a command that comes now.
    pub fn lend<'a>(&'a mut self, waker: &'a Waker) -> Turn<'a> {
        Turn::new(self.clock.now(), &mut self.dates, waker, &mut self.pool)
    }
}

/// A connection of a readiness loop.
pub struct Connection {
    /// What is spoken on it.
    pub flow: Box<dyn Flow>,
    /// Set not to wait.
    pub socket: TcpStream,
    readiness: Readiness,
    waker: Waker,
}

impl Connection {
    /// Just accepted. Its application wakes `waker`.
    #[must_use]
    pub fn new(flow: Box<dyn Flow>, socket: TcpStream, waker: Waker) -> Self {
        Self { flow, socket, readiness: Readiness::ready(), waker }
    }

    /// Takes the turn that it is called for. Jobs run here and now.
    pub fn turn(&mut self, call: Call, lent: &mut Lent) -> Progress {
        let mut progress = Progress::Blocked;
        if call < Call::Abort {
            // Before a drain too: what came before it is read before it (law 7).
            progress = self.turn_now(lent);
        }
        if call == Call::Turn || matches!(progress, Progress::Finished(_)) {
            return progress;
        }
        match call {
            Call::Turn | Call::Drain => self.flow.drain(&mut lent.lend(&self.waker)),
            Call::Abort | Call::Stop => self.flow.abort(AbortReason::Requested),
        }
        self.turn_now(lent)
    }

    /// Whether it waits to read, and whether to write.
    #[must_use]
    pub fn wants(&self) -> (bool, bool) {
        let reads = self.flow.next_read_operation() == ReadOperation::Read;
        (reads, self.flow.next_write_operation() == WriteOperation::Write)
    }

    fn turn_now(&mut self, lent: &mut Lent) -> Progress {
        // Whatever it was called for: one idle read costs less than to keep account of what came.
        (self.readiness.readable, self.readiness.writable) = (true, true);
        let mut turn = Turn::new(lent.clock.now(), &mut lent.dates, &self.waker, &mut lent.pool);
        let (flow, mut wire) = (&mut *self.flow, Socket(&self.socket));
        let (scratch, budget) = (&mut lent.scratch, Budget::default());
        drive::turn(flow, &mut wire, &mut self.readiness, scratch, &mut turn, &mut run_here, budget)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("waiting_on", &self.flow.waiting_on()).finish_non_exhaustive()
    }
}

/// Puts a connection back after its turn, unless that was its last: then it is closed.
pub fn settle(
    agenda: &Mutex<Agenda<Connection>>,
    key: usize,
    connection: Connection,
    progress: Progress,
) -> Next {
    if let Progress::Finished(_) = progress {
        // Before the agenda is locked: a flow that goes may wake others, and they are called there.
        drop(connection);
        return locked(agenda).remove(key);
    }
    let deadline = connection.flow.deadline();
    let mut agenda = locked(agenda);
    if progress == Progress::Again {
        agenda.call(key, Call::Turn);
    }
    agenda.put(key, connection, deadline)
}

/// Runs a job in the loop itself; a loop with lanes hands it over.
///
/// # Errors
/// None: it takes every job.
pub fn run_here(job: Job) -> Result<(), Job> {
    job.run();
    Ok(())
}

/// A connection that waits in `listener`, and what is known of it, if there is one.
pub fn accept(listener: &TcpListener) -> Option<(TcpStream, ConnectionInfo)> {
    loop {
        let error = match listener.accept() {
            Ok((socket, peer)) => {
                let set = socket.set_nonblocking(true).and_then(|()| socket.set_nodelay(true));
                let info = ConnectionInfo::default().with_addresses(socket.local_addr().ok(), Some(peer));
                match set {
                    Ok(()) => return Some((socket, info)),
                    Err(error) => error,
                }
            }
            Err(error) => error,
        };
        match error.kind() {
            ErrorKind::WouldBlock => return None,
            ErrorKind::ConnectionAborted | ErrorKind::Interrupted | ErrorKind::InvalidInput => {}
            _ => {
                // Out of descriptors, say: the listener stays ready, and a loop would turn as fast as it can.
                std::thread::sleep(Duration::from_millis(10));
                return None;
            }
        }
    }
}

/// A socket as a wire.
struct Socket<'a>(&'a TcpStream);

impl Wire for Socket<'_> {
    fn read(&mut self, into: &mut BytesMut, max: usize) -> io::Result<usize> {
        let start = into.len();
        into.resize(start + max, 0);
        let result = self.0.read(&mut into[start..]);
        into.truncate(start + *result.as_ref().unwrap_or(&0));
        result
    }
    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write_vectored(slices)
    }
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.0.shutdown(Shutdown::Write)
    }
    fn reset(&mut self) -> io::Result<()> {
        close_with_reset(self.0)
    }
}

/// The close of `socket`, which comes next, reaches its peer as a reset.
///
/// # Errors
/// When the socket knows nothing of the kind.
pub fn close_with_reset(socket: &TcpStream) -> io::Result<()> {
    SockRef::from(socket).set_linger(Some(Duration::ZERO))
}

/// A waker that does `wake`.
pub fn waker(wake: impl Fn() + Send + Sync + 'static) -> Waker {
    Waker::from(Arc::new(Waking(wake)))
}

struct Waking<W>(W);

impl<W: Fn() + Send + Sync + 'static> Wake for Waking<W> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        (self.0)();
    }
}

/// Locks what stays whole whoever panicked.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The size of a read.
pub const READ_BYTES: usize = 16 * 1024;
