//! Each model keeps the laws of driving.

use std::io;
use std::net::TcpStream;
use std::time::Duration;

use anabranch_core::testing::driver_suite::{DriverSuite, Peer, Subject};
use anabranch_std::{Config, Handle, Listener, Model, serve_protocol};

use crate::common::address;

struct Server(Handle);

impl Subject for Server {
    fn connect(&self) -> io::Result<Peer> {
        Peer::tcp(TcpStream::connect(address(&self.0))?)
    }

    fn drain(&self) {
        self.0.drain(Duration::from_secs(3600));
    }

    fn abort(&self) {
        self.0.abort();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
        // A case that failed may leave a thread in its flow.
        let _ = self.0.wait_timeout(Duration::from_secs(5));
    }
}

fn keeps_the_laws(model: Model) {
    let suite = DriverSuite::new(move |protocol| {
        let listener = Listener::bind("127.0.0.1:0").unwrap();
        Box::new(Server(serve_protocol(&Config::new(model), [listener], protocol).unwrap()))
    });
    suite.run().assert_all();
}

#[test]
fn single_keeps_the_laws() {
    keeps_the_laws(Model::Single);
}

#[test]
fn threads_keep_the_laws() {
    keeps_the_laws(Model::Threads);
}

#[test]
fn pool_keeps_the_laws() {
    keeps_the_laws(Model::Pool { workers: 2, queue: 2 });
}
