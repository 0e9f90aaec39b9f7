//! The poll(2) loop in a thread of its own, behind a listener.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::thread::JoinHandle;

use anabranch_core::Protocol;
use rustix::pipe::{PipeFlags, pipe_with};

use crate::kit::listen;
use crate::poll_driver::{ABORT, Bell, DRAIN, NOTHING, STOP, run};

/// A running loop; stops when it is dropped.
#[derive(Debug)]
pub struct PollServer(SocketAddr, Arc<Bell>, Option<JoinHandle<()>>);

impl PollServer {
    /// Listens on a port of the loopback.
    ///
    /// # Errors
    /// When no socket or pipe is to be had.
    pub fn start(protocol: Arc<dyn Protocol>) -> io::Result<Self> {
        let listener = listen()?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (heard, rung) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC)?;
        let bell = Arc::new(Bell(AtomicU8::new(NOTHING), rung));
        let rings = bell.clone();
        let thread = std::thread::spawn(move || run(&*protocol, &listener, &heard, &rings));
        Ok(Self(address, bell, Some(thread)))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0
    }

    /// Drains the connections it has.
    pub fn drain(&self) {
        self.1.ring(DRAIN);
    }

    /// Aborts the connections it has.
    pub fn abort(&self) {
        self.1.ring(ABORT);
    }
}

impl Drop for PollServer {
    fn drop(&mut self) {
        self.1.ring(STOP);
        let _ = self.2.take().map(JoinHandle::join);
    }
}
