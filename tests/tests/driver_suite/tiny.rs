//! The tiny drivers.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use anabranch_core::testing::driver_suite::{self, Peer, Subject};
use anabranch_tests::poll_server::PollServer;
use anabranch_tests::task_server::{TaskServer, Troubles};

struct Polled(PollServer);

impl Subject for Polled {
    fn connect(&self) -> io::Result<Peer> {
        Peer::tcp(TcpStream::connect(self.0.address())?)
    }
    fn drain(&self) {
        self.0.drain();
    }
    fn abort(&self) {
        self.0.abort();
    }
}

#[test]
fn poll_loop() {
    driver_suite::run(|protocol| Box::new(Polled(PollServer::start(protocol).unwrap()))).assert_all();
}

struct Tasks {
    server: Arc<TaskServer>,
    over: Over,
}

enum Over {
    Sockets(SocketAddr),
    Pipes,
}

impl Subject for Tasks {
    fn connect(&self) -> io::Result<Peer> {
        match self.over {
            Over::Sockets(address) => Peer::tcp(TcpStream::connect(address)?),
            Over::Pipes => Ok(self.server.pipe()),
        }
    }
    fn drain(&self) {
        self.server.drain();
    }
    fn abort(&self) {
        self.server.abort();
    }
}

fn assert_lawful(over: fn(&Arc<TaskServer>) -> Over, troubles: Troubles) {
    let start = move |protocol| {
        let server = TaskServer::start_with(protocol, troubles);
        let over = over(&server);
        Box::new(Tasks { server, over }) as Box<dyn Subject>
    };
    driver_suite::run(start).assert_all();
}

#[test]
fn tasks_over_sockets() {
    assert_lawful(|server| Over::Sockets(server.listen().unwrap()), Troubles::None);
}

#[test]
fn tasks_over_mean_sockets() {
    assert_lawful(|server| Over::Sockets(server.listen().unwrap()), Troubles::All);
}

#[test]
fn tasks_over_pipes() {
    assert_lawful(|_| Over::Pipes, Troubles::None);
}

#[test]
fn tasks_over_mean_pipes() {
    assert_lawful(|_| Over::Pipes, Troubles::All);
}
