//! The models under test, and servers of them.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::num::NonZeroUsize;
use std::time::Duration;

use anabranch::carrier::Carrier;
use anabranch_async_std::Model as Async;
use anabranch_core::app::Service;
use anabranch_mio::{Model as Mio, Ownership, Pinning};
use anabranch_std::{Handle, ListenOptions, Listener, Model as Std, Reuse, serve};
use anabranch_tokio::Model as Tokio;

pub(crate) const TWO: NonZeroUsize = NonZeroUsize::new(2).unwrap();

pub(crate) type Config = anabranch_std::Config<Carrier>;

/// Every model that carries more than one connection at a time, small.
pub(crate) const MODELS: &[Carrier] = &[
    Carrier::Std(Std::Threads),
    Carrier::Mio(Mio::Reactor),
    Carrier::Mio(Mio::MultiReactor { loops: TWO, pinning: Pinning::Free }),
    Carrier::Mio(Mio::ReactorPool { workers: TWO }),
    Carrier::Mio(Mio::Staged { acceptors: TWO, network: TWO, ownership: Ownership::Pinned }),
    Carrier::Mio(Mio::Staged { acceptors: TWO, network: TWO, ownership: Ownership::Shared }),
    Carrier::Tokio(Tokio::Tokio { workers: TWO }),
    Carrier::Tokio(Tokio::TokioLocal { threads: TWO }),
    Carrier::Async(Async::Smol { threads: TWO }),
    Carrier::Async(Async::AsyncStd),
];

pub(crate) fn listener() -> Listener {
    let mut options = ListenOptions::default();
    options.reuse_port = Reuse::Allowed;
    Listener::bind_with("127.0.0.1:0", &options).unwrap()
}

/// A running server, aborted when it is dropped.
pub(crate) struct Server(pub(crate) Handle);

impl Server {
    pub(crate) fn start(config: &Config, service: impl Service) -> Self {
        Self(serve(config, [listener()], service).unwrap())
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.0.local_addrs()[0]).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// Drains it, and holds it to having come to its end.
    pub(crate) fn ends(self) {
        self.0.drain(Duration::from_secs(10));
        let summary = self.0.wait_timeout(Duration::from_secs(20)).expect("it does not end");
        assert_eq!((summary.left_behind, summary.aborted), (0, None));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Reads until the end of an answer whose body ends so.
pub(crate) fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while !answer.ends_with(end.as_bytes()) {
        let count = match stream.read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            read => read.unwrap(),
        };
        assert!(count > 0, "the end, behind {:?}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8(answer).unwrap()
}

/// Asks for `path` over a connection that is kept.
pub(crate) fn get(stream: &mut TcpStream, path: &str, end: &str) -> String {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).unwrap();
    read_until(stream, end)
}
