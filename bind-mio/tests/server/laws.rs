//! The driver suite of core, against every model.

use std::io;
use std::net::TcpStream;
use std::time::Duration;

use anabranch_core::testing::driver_suite::{self, Peer, Subject};
use anabranch_mio::{Config, Handle, Model, Ownership, Pinning, serve_protocol};

use crate::models::{TWO, listener};

struct Server(Handle);

impl Subject for Server {
    fn connect(&self) -> io::Result<Peer> {
        Peer::tcp(TcpStream::connect(self.0.local_addrs()[0])?)
    }
    fn drain(&self) {
        self.0.drain(Duration::from_secs(60));
    }
    fn abort(&self) {
        self.0.abort();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
        let summary = self.0.wait();
        assert_eq!(summary.left_behind, 0);
    }
}

fn assert_lawful(model: Model) {
    driver_suite::run(move |protocol| {
        Box::new(Server(serve_protocol(&Config::new(model), [listener()], protocol).unwrap()))
    })
    .assert_all();
}

#[test]
fn reactor_keeps_the_laws() {
    assert_lawful(Model::Reactor);
}

#[test]
fn multi_reactor_keeps_the_laws() {
    assert_lawful(Model::MultiReactor { loops: TWO, pinning: Pinning::Pinned });
}

#[test]
fn reactor_pool_keeps_the_laws() {
    assert_lawful(Model::ReactorPool { workers: TWO });
}

#[test]
fn staged_keeps_the_laws() {
    assert_lawful(Model::Staged { acceptors: TWO, network: TWO, ownership: Ownership::Pinned });
}

#[test]
fn staged_with_shared_ownership_keeps_the_laws() {
    assert_lawful(Model::Staged { acceptors: TWO, network: TWO, ownership: Ownership::Shared });
}
