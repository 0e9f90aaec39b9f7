//! A readiness loop over poll(2): one thread, any number of connections.

use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Wake, Waker};

use anabranch_core::drive::{Progress, Readiness};
use anabranch_core::{
    AbortReason, ConnectionId, ConnectionInfo, Flow, Instant, Protocol, ReadOperation, WriteOperation,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::kit::{Clock, Lent, Socket, lane};

/// Wakes the loop from its sleep, with a command or without.
#[derive(Debug)]
pub(crate) struct Bell(pub(crate) AtomicU8, pub(crate) OwnedFd);

pub(crate) const NOTHING: u8 = 0;
pub(crate) const DRAIN: u8 = 1;
pub(crate) const ABORT: u8 = 2;
pub(crate) const STOP: u8 = 3;

impl Bell {
    pub(crate) fn ring(&self, command: u8) {
        self.0.fetch_max(command, Ordering::AcqRel);
        // A full pipe wakes as well as one more byte in it would.
        let _ = rustix::io::write(&self.1, &[0]);
    }
}

/// Serves until it is told to stop.
pub(crate) fn run(protocol: &dyn Protocol, listener: &TcpListener, heard: &OwnedFd, bell: &Arc<Bell>) {
    let mut lent = Lent::new(Clock::start(), lane());
    let mut connections: Vec<Connection> = Vec::new();
    for id in 1.. {
        wait(listener, heard, &mut connections, lent.clock.now());
        if let Ok((socket, _)) = listener.accept()
            && socket.set_nonblocking(true).and_then(|()| socket.set_nodelay(true)).is_ok()
        {
            let flow = protocol.connect(ConnectionInfo::new(ConnectionId(id)), lent.clock.now());
            let woken = Arc::new(Woken(AtomicBool::new(true), bell.clone()));
            connections.push(Connection { flow, socket, readiness: Readiness::ready(), woken });
        }
        let command = bell.0.swap(NOTHING, Ordering::AcqRel);
        connections.retain_mut(|connection| !connection.is_over_after(command, &mut lent));
        if command == STOP {
            return;
        }
    }
}

/// Sleeps until a socket, a waker, a command or a deadline wants something, and notes what.
fn wait(listener: &TcpListener, heard: &OwnedFd, connections: &mut [Connection], now: Instant) {
    let mut fds = vec![PollFd::new(heard, PollFlags::IN), PollFd::new(listener, PollFlags::IN)];
    let mut until = Instant::NEVER;
    for Connection { flow, socket, woken, .. } in connections.iter() {
        let mut events = PollFlags::empty();
        events.set(PollFlags::IN, flow.next_read_operation() == ReadOperation::Read);
        events.set(PollFlags::OUT, flow.next_write_operation() == WriteOperation::Write);
        // A socket that is polled for nothing still reports a hang-up, again and again: the pipe stands in for it.
        fds.push(if events.is_empty() { PollFd::new(heard, events) } else { PollFd::new(socket, events) });
        let due = flow.deadline().map_or(Instant::NEVER, |deadline| deadline.at);
        until = until.min(if woken.0.load(Ordering::Acquire) { now } else { due });
    }
    let left = (until != Instant::NEVER).then(|| Timespec::try_from(until - now).ok()).flatten();
    if poll(&mut fds, left.as_ref()).is_ok() {
        let came: Vec<PollFlags> = fds[2..].iter().map(PollFd::revents).collect();
        for (connection, came) in connections.iter_mut().zip(came) {
            let broken = came.intersects(PollFlags::HUP | PollFlags::ERR);
            connection.readiness.readable |= came.contains(PollFlags::IN) || broken;
            connection.readiness.writable |= came.contains(PollFlags::OUT) || broken;
            connection.woken.0.fetch_or(!came.is_empty(), Ordering::AcqRel);
        }
    }
    while matches!(rustix::io::read(heard, &mut [0_u8; 64]), Ok(1..)) {}
}

struct Connection {
    flow: Box<dyn Flow>,
    socket: TcpStream,
    readiness: Readiness,
    woken: Arc<Woken>,
}

impl Connection {
    fn is_over_after(&mut self, command: u8, lent: &mut Lent) -> bool {
        match command {
            NOTHING => {
                let due = self.flow.deadline().is_some_and(|deadline| deadline.at <= lent.clock.now());
                return (due || self.woken.0.load(Ordering::Acquire)) && self.is_over(lent);
            }
            DRAIN => {
                // What came before the drain is read before it (law 7).
                self.readiness.readable = true;
                if self.is_over(lent) {
                    return true;
                }
                lent.drain(&mut *self.flow, &Waker::from(self.woken.clone()));
            }
            _ => self.flow.abort(AbortReason::Requested),
        }
        self.is_over(lent)
    }

    fn is_over(&mut self, lent: &mut Lent) -> bool {
        self.woken.0.store(false, Ordering::Release);
        let waker = Waker::from(self.woken.clone());
        let mut wire = Socket(&self.socket);
        let progress = lent.turn(&mut *self.flow, &mut wire, &mut self.readiness, &waker);
        self.woken.0.fetch_or(progress == Progress::Again, Ordering::AcqRel);
        matches!(progress, Progress::Finished(_))
    }
}

/// Whether a connection wants a turn though nothing came for it.
struct Woken(AtomicBool, Arc<Bell>);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        if !self.0.swap(true, Ordering::AcqRel) {
            self.1.ring(NOTHING);
        }
    }
}
