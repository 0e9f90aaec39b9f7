//! The tiny drivers keep the laws.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use anabranch_core::testing::driver_suite::{self, Peer, Subject};
use anabranch_tests::poll_server::PollServer;
use anabranch_tests::task_server::TaskServer;

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
fn poll_loop_keeps_the_laws() {
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

#[test]
fn task_over_sockets_keeps_the_laws() {
    let start = |protocol| {
        let server = TaskServer::start(protocol);
        let over = Over::Sockets(server.listen().unwrap());
        Box::new(Tasks { server, over }) as Box<dyn Subject>
    };
    driver_suite::run(start).assert_all();
}

#[test]
fn task_over_pipes_keeps_the_laws() {
    let start = |protocol| {
        Box::new(Tasks { server: TaskServer::start(protocol), over: Over::Pipes }) as Box<dyn Subject>
    };
    driver_suite::run(start).assert_all();
}
