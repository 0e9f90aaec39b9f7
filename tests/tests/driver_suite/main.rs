//! The driver suite of core, against every driver there is: a line a model.

mod mean;
mod tiny;

use std::io;
use std::net::TcpStream;
use std::num::NonZeroUsize;
use std::time::Duration;

use anabranch_async_std::Model as Async;
use anabranch_core::testing::driver_suite::{self, Peer, Subject};
use anabranch_mio::{Model as Mio, Ownership, Pinning};
use anabranch_std::host::Binding;
use anabranch_std::{Config, Handle, ListenOptions, Listener, Model as Std, Reuse, serve_protocol};
use anabranch_tokio::Model as Tokio;
use tokio::runtime::{Builder, Runtime};

const TWO: NonZeroUsize = NonZeroUsize::new(2).unwrap();

/// Each keeps the laws.
macro_rules! lawful {
    ($($name:ident => $model:expr;)*) => { $(
        #[test]
        fn $name() {
            assert_lawful(|| $model, || None);
        }
    )* };
}

lawful! {
    single => Std::Single;
    threads => Std::Threads;
    pool => Std::Pool { workers: 2, queue: 2 };
    reactor => Mio::Reactor;
    multi_reactor => Mio::MultiReactor { loops: TWO, pinning: Pinning::Pinned };
    reactor_pool => Mio::ReactorPool { workers: TWO };
    staged => Mio::Staged { acceptors: TWO, network: TWO, ownership: Ownership::Pinned };
    staged_shared => Mio::Staged { acceptors: TWO, network: TWO, ownership: Ownership::Shared };
    tokio => Tokio::Tokio { workers: TWO };
    tokio_local => Tokio::TokioLocal { threads: TWO };
    smol => Async::Smol { threads: TWO };
    async_std => Async::AsyncStd;
    tokio_over_mean_wires => mean::Tokio(Builder::new_multi_thread);
    smol_over_mean_wires => mean::Smol;
    tokio_on_one_thread_over_mean_wires => mean::Tokio(Builder::new_current_thread);
}

#[test]
fn tokio_within_a_runtime_of_others() {
    assert_lawful(
        || Tokio::Current,
        || Builder::new_multi_thread().worker_threads(1).enable_all().build().ok(),
    );
}

fn assert_lawful<M: Binding + 'static>(model: fn() -> M, runtime: fn() -> Option<Runtime>) {
    driver_suite::run(move |protocol| {
        let runtime = runtime();
        let inside = runtime.as_ref().map(Runtime::enter);
        let mut options = ListenOptions::default();
        options.reuse_port = Reuse::Allowed;
        let listener = Listener::bind_with("127.0.0.1:0", &options).unwrap();
        let handle = serve_protocol(&Config::new(model()), [listener], protocol).unwrap();
        drop(inside);
        Box::new(Server { handle, _runtime: runtime })
    })
    .assert_all();
}

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
