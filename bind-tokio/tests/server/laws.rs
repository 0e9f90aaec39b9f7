//! The driver suite of core, against every model.

use std::io;
use std::net::TcpStream;
use std::num::NonZeroUsize;
use std::time::Duration;

use anabranch_core::testing::driver_suite::{self, Peer, Subject};
use anabranch_tokio::{Config, Handle, ListenOptions, Listener, Model, Reuse, serve_protocol};
use tokio::runtime::{Builder, Runtime};

const TWO: NonZeroUsize = NonZeroUsize::new(2).unwrap();

struct Server {
    handle: Handle,
    /// What it runs in, if that is not its own.
    _runtime: Option<Runtime>,
}

impl Subject for Server {
    fn connect(&self) -> io::Result<Peer> {
        Peer::tcp(TcpStream::connect(self.handle.local_addrs()[0])?)
    }
    fn drain(&self) {
        self.handle.drain(Duration::from_secs(60));
    }
    fn abort(&self) {
        self.handle.abort();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.handle.abort();
        let summary = self.handle.wait();
        assert_eq!(summary.left_behind, 0);
    }
}

fn listener() -> Listener {
    let mut options = ListenOptions::default();
    options.reuse_port = Reuse::Allowed;
    Listener::bind_with("127.0.0.1:0", &options).unwrap()
}

fn assert_lawful(model: Model, runtime: fn() -> Option<Runtime>) {
    driver_suite::run(move |protocol| {
        let runtime = runtime();
        let inside = runtime.as_ref().map(Runtime::enter);
        let handle = serve_protocol(&Config::new(model), [listener()], protocol).unwrap();
        drop(inside);
        Box::new(Server { handle, _runtime: runtime })
    })
    .assert_all();
}

#[test]
fn tokio_keeps_the_laws() {
    assert_lawful(Model::Tokio { workers: TWO }, || None);
}

#[test]
fn tokio_local_keeps_the_laws() {
    assert_lawful(Model::TokioLocal { threads: TWO }, || None);
}

#[test]
fn runtime_of_others_keeps_the_laws() {
    assert_lawful(Model::Current, || Builder::new_multi_thread().worker_threads(1).enable_all().build().ok());
}
