//! A server that runs for one case and is stopped at its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anabranch_std::Handle;

use crate::client::{Answer, Client, PATIENCE};
use crate::poll_server::PollServer;
use crate::task_server::TaskServer;

/// What a case asks of a running server, whatever carries it.
pub(super) trait Running {
    fn address(&self) -> SocketAddr;
    fn drain(&self, grace: Duration);
    fn abort(&self);
    /// Whether it has ended, waited for as long.
    fn ended_within(&self, time: Duration) -> bool;
}

/// A running server; aborted at the latest when it is dropped.
pub(super) struct Server(Box<dyn Running>);

impl Server {
    pub(super) fn new(running: Box<dyn Running>) -> Self {
        Self(running)
    }

    pub(super) fn connect(&self) -> Client {
        Client::connect(self.address())
    }

    /// Sends these bytes over a connection of their own and reads the answer, which must announce the end, and the end.
    pub(super) fn last_answer_to(&self, bytes: impl AsRef<[u8]>) -> Answer {
        let mut client = self.connect();
        client.send(bytes);
        last_answer(client)
    }

    /// It serves: for the end of a case that could have broken it.
    pub(super) fn lives(&self) {
        self.connect().get("/plaintext").is(200, "Hello, World!");
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.0.address()
    }

    pub(super) fn drain(&self, grace: Duration) {
        self.0.drain(grace);
    }

    pub(super) fn abort(&self) {
        self.0.abort();
    }

    pub(super) fn ends(&self) {
        assert!(self.0.ended_within(PATIENCE), "the server does not end");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.abort();
        if !thread::panicking() {
            self.ends();
        }
    }
}

/// Reads the answer, which must announce the end, and the end.
pub(super) fn last_answer(mut client: Client) -> Answer {
    let answer = client.answer();
    assert!(answer.closes(), "not announced as the last: {:?}", answer.fields);
    client.end();
    answer
}

impl Running for Handle {
    fn address(&self) -> SocketAddr {
        self.local_addrs()[0]
    }
    fn drain(&self, grace: Duration) {
        Self::drain(self, grace);
    }
    fn abort(&self) {
        Self::abort(self);
    }
    fn ended_within(&self, time: Duration) -> bool {
        self.wait_timeout(time).is_some_and(|summary| summary.left_behind == 0)
    }
}

impl Running for PollServer {
    fn address(&self) -> SocketAddr {
        Self::address(self)
    }
    fn drain(&self, _: Duration) {
        Self::drain(self);
    }
    fn abort(&self) {
        Self::abort(self);
    }
    /// Its thread ends with it.
    fn ended_within(&self, _: Duration) -> bool {
        true
    }
}

impl Running for (Arc<TaskServer>, SocketAddr) {
    fn address(&self) -> SocketAddr {
        self.1
    }
    fn drain(&self, _: Duration) {
        self.0.drain();
    }
    fn abort(&self) {
        self.0.abort();
    }
    /// Its thread ends with it.
    fn ended_within(&self, _: Duration) -> bool {
        true
    }
}
