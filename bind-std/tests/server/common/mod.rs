//! A server of lines, clients for it, and looks at the process from outside.

pub(crate) mod lines;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anabranch_std::{Config, Handle, Listener, Model, serve_protocol};

pub(crate) use lines::{Lines, Seen};

/// Longer than anything here takes; a test that waits for this has failed.
pub(crate) const BOUND: Duration = Duration::from_secs(20);

pub(crate) const MODELS: [Model; 3] = [Model::Single, Model::Threads, Model::Pool { workers: 3, queue: 4 }];

pub(crate) fn serve(config: &Config, protocol: Lines) -> Handle {
    serve_protocol(config, [Listener::bind("127.0.0.1:0").unwrap()], protocol).unwrap()
}

pub(crate) fn address(handle: &Handle) -> SocketAddr {
    handle.local_addrs()[0]
}

/// A client that fails rather than wait for ever.
pub(crate) struct Client {
    pub(crate) reader: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn connect(handle: &Handle) -> Self {
        Self::connect_to(address(handle))
    }

    pub(crate) fn connect_to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(BOUND)).unwrap();
        stream.set_write_timeout(Some(BOUND)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { reader: BufReader::new(stream) }
    }

    pub(crate) fn stream(&mut self) -> &mut TcpStream {
        self.reader.get_mut()
    }

    pub(crate) fn send(&mut self, lines: &str) {
        self.stream().write_all(lines.as_bytes()).unwrap();
    }

    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    pub(crate) fn ask(&mut self, line: &str) -> String {
        self.send(&format!("{line}\n"));
        self.line()
    }

    /// Reads until the server closes; a reset counts as an end.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        match self.reader.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
            Err(error) => panic!("the server did not close: {error}"),
        }
        rest
    }
}

/// Waits until `condition` holds.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + BOUND;
    while !condition() {
        assert!(Instant::now() < until, "{what} does not come about");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Stops the server and sees that it went well.
pub(crate) fn stop(handle: &Handle) -> anabranch_std::Summary {
    handle.drain(Duration::from_secs(5));
    let summary = handle.wait_timeout(BOUND).expect("the server stops");
    assert_eq!(summary.left_behind, 0);
    summary
}
