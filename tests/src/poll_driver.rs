//! A readiness loop over poll(2): one thread, any number of connections.

use std::collections::BTreeMap;
use std::io::{self, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Wake, Waker};
use std::time::{Duration, SystemTime};

use anabranch_core::drive::{self, Budget, Progress, Readiness, Wire};
use anabranch_core::{
    AbortReason, ConnectionId, ConnectionInfo, Dates, Flow, Instant, Job, Pool, Protocol, ReadOperation,
    Turn, WriteOperation,
};
use bytes::BytesMut;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{PipeFlags, pipe_with};

/// A running loop; stops when it is dropped.
#[derive(Debug)]
pub struct PollServer {
    address: SocketAddr,
    commands: Arc<Commands>,
    thread: Option<std::thread::JoinHandle<()>>,
}

#[derive(Debug)]
enum Command {
    Drain,
    Abort,
    Stop,
}

/// What the loop's thread is told, and the pipe that wakes it.
#[derive(Debug)]
struct Commands {
    queue: Mutex<Vec<Command>>,
    pipe: OwnedFd,
}

impl Commands {
    fn wake(&self) {
        // A full pipe wakes as well as one more byte in it would.
        let _ = rustix::io::write(&self.pipe, &[0]);
    }

    fn tell(&self, command: Command) {
        self.queue.lock().unwrap().push(command);
        self.wake();
    }
}

struct Woken {
    flag: AtomicBool,
    commands: Arc<Commands>,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        if !self.flag.swap(true, Ordering::AcqRel) {
            self.commands.wake();
        }
    }
}

struct Connection {
    flow: Box<dyn Flow>,
    socket: Socket,
    readiness: Readiness,
    woken: Arc<Woken>,
    waker: Waker,
}

struct Socket(TcpStream);

impl Wire for Socket {
    fn read(&mut self, into: &mut BytesMut) -> io::Result<usize> {
        let start = into.len();
        into.resize(into.capacity(), 0);
        let result = self.0.read(&mut into[start..]);
        into.truncate(start + result.as_ref().copied().unwrap_or(0));
        result
    }
    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write_vectored(slices)
    }
    fn shutdown_write(&mut self) -> io::Result<()> {
        self.0.shutdown(std::net::Shutdown::Write)
    }
}

impl PollServer {
    /// Listens on a port of the loopback.
    ///
    /// # Errors
    /// When no socket or pipe is to be had.
    pub fn start(protocol: Arc<dyn Protocol>) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (alarm, pipe) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC)?;
        let commands = Arc::new(Commands { queue: Mutex::default(), pipe });
        let told = commands.clone();
        let thread = std::thread::spawn(move || Loop::new(protocol, listener, alarm, told).run());
        Ok(Self { address, commands, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Drains the connections it has.
    pub fn drain(&self) {
        self.commands.tell(Command::Drain);
    }

    /// Aborts the connections it has.
    pub fn abort(&self) {
        self.commands.tell(Command::Abort);
    }
}

impl Drop for PollServer {
    fn drop(&mut self) {
        self.commands.tell(Command::Stop);
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

struct Loop {
    protocol: Arc<dyn Protocol>,
    listener: TcpListener,
    alarm: OwnedFd,
    commands: Arc<Commands>,
    connections: BTreeMap<u64, Connection>,
    accepted: u64,
    lane: mpsc::SyncSender<Job>,
    clock: std::time::Instant,
    dates: Dates,
    pool: Pool,
    scratch: BytesMut,
}

impl Loop {
    fn new(
        protocol: Arc<dyn Protocol>,
        listener: TcpListener,
        alarm: OwnedFd,
        commands: Arc<Commands>,
    ) -> Self {
        let (lane, jobs) = mpsc::sync_channel::<Job>(64);
        std::thread::spawn(move || jobs.into_iter().for_each(Job::run));
        let since_epoch = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Self {
            protocol,
            listener,
            alarm,
            commands,
            connections: BTreeMap::new(),
            accepted: 0,
            lane,
            clock: std::time::Instant::now(),
            dates: Dates::anchored(Instant::ORIGIN, since_epoch),
            pool: Pool::default(),
            scratch: BytesMut::with_capacity(16 * 1024),
        }
    }

    fn run(mut self) {
        loop {
            self.wait();
            self.accept();
            let commands = std::mem::take(&mut *self.commands.queue.lock().unwrap());
            for id in self.connections.keys().copied().collect::<Vec<_>>() {
                for command in &commands {
                    self.obey(id, command);
                }
                self.turn_if_due(id);
            }
            if commands.iter().any(|command| matches!(command, Command::Stop)) {
                return;
            }
        }
    }

    /// Waits for what the flows want, and notes what came.
    fn wait(&mut self) {
        let now = self.now();
        let mut fds = vec![
            PollFd::new(&self.alarm, PollFlags::IN),
            PollFd::new(&self.listener, PollFlags::IN), //
        ];
        let mut polled = Vec::new();
        let mut until = Instant::NEVER;
        for (id, connection) in &self.connections {
            let mut events = PollFlags::empty();
            events.set(PollFlags::IN, connection.flow.next_read_operation() == ReadOperation::Read);
            events.set(PollFlags::OUT, connection.flow.next_write_operation() == WriteOperation::Write);
            // A socket that is polled for nothing still reports a hang-up, again and again.
            if !events.is_empty() {
                fds.push(PollFd::new(&connection.socket.0, events));
                polled.push(*id);
            }
            until = until.min(connection.flow.deadline().map_or(Instant::NEVER, |deadline| deadline.at));
            if connection.woken.flag.load(Ordering::Acquire) {
                until = now;
            }
        }
        let left = (until != Instant::NEVER).then(|| Timespec::try_from(until - now).ok()).flatten();
        if poll(&mut fds, left.as_ref()).is_err() {
            return;
        }
        let came: Vec<PollFlags> = fds[2..].iter().map(PollFd::revents).collect();
        for (id, came) in polled.into_iter().zip(came) {
            if let Some(connection) = self.connections.get_mut(&id) {
                let broken = came.intersects(PollFlags::HUP | PollFlags::ERR);
                connection.readiness.readable |= came.contains(PollFlags::IN) || broken;
                connection.readiness.writable |= came.contains(PollFlags::OUT) || broken;
                connection.woken.flag.fetch_or(!came.is_empty(), Ordering::AcqRel);
            }
        }
        while matches!(rustix::io::read(&self.alarm, &mut [0_u8; 64]), Ok(1..)) {}
    }

    fn accept(&mut self) {
        while let Ok((socket, peer)) = self.listener.accept() {
            if socket.set_nonblocking(true).and_then(|()| socket.set_nodelay(true)).is_err() {
                continue;
            }
            self.accepted += 1;
            let info = ConnectionInfo::new(ConnectionId(self.accepted))
                .with_addresses(socket.local_addr().ok(), Some(peer));
            let flow = self.protocol.connect(info, self.now());
            let woken = Arc::new(Woken { flag: AtomicBool::new(true), commands: self.commands.clone() });
            let (waker, readiness) = (Waker::from(woken.clone()), Readiness::ready());
            let connection = Connection { flow, socket: Socket(socket), readiness, woken, waker };
            self.connections.insert(self.accepted, connection);
        }
    }

    fn obey(&mut self, id: u64, command: &Command) {
        if let Command::Drain = command {
            // What came before the drain is read before it (law 7).
            self.connections.entry(id).and_modify(|connection| connection.readiness.readable = true);
            self.turn(id);
        }
        let now = self.now();
        let Some(connection) = self.connections.get_mut(&id) else { return };
        match command {
            Command::Drain => {
                let mut turn = Turn::new(now, &mut self.dates, &connection.waker, &mut self.pool);
                connection.flow.drain(&mut turn);
            }
            Command::Abort | Command::Stop => connection.flow.abort(AbortReason::Requested),
        }
        self.turn(id);
    }

    fn turn_if_due(&mut self, id: u64) {
        let now = self.now();
        let is_due = self.connections.get(&id).is_some_and(|connection| {
            connection.woken.flag.load(Ordering::Acquire)
                || connection.flow.deadline().is_some_and(|deadline| deadline.at <= now)
        });
        if is_due {
            self.turn(id);
        }
    }

    fn turn(&mut self, id: u64) {
        let now = self.now();
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.woken.flag.store(false, Ordering::Release);
        let Connection { flow, socket, readiness, woken, waker } = connection;
        let mut turn = Turn::new(now, &mut self.dates, waker, &mut self.pool);
        let lane = &self.lane;
        let mut exec = |job: Job| {
            lane.try_send(job).map_err(|error| match error {
                mpsc::TrySendError::Full(job) | mpsc::TrySendError::Disconnected(job) => job,
            })
        };
        let (scratch, budget) = (&mut self.scratch, Budget::default());
        match drive::turn(&mut **flow, socket, readiness, scratch, &mut turn, &mut exec, budget) {
            Progress::Blocked => {}
            Progress::Again => woken.flag.store(true, Ordering::Release),
            Progress::Finished(_) => drop(self.connections.remove(&id)),
        }
    }

    fn now(&self) -> Instant {
        Instant::ORIGIN + Duration::from_nanos(1) + self.clock.elapsed()
    }
}
