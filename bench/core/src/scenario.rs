//! What is sent, and what has to come back.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::engine::EngineKind;

/// The body of the plain answer.
pub const HELLO: &str = "Hello, World!";

/// One conversation on a connection that is kept open.
pub struct Scenario {
    pub name: &'static str,
    pub title: &'static str,
    /// What the peer sends, as one write of its own, by turns.
    inputs: [Vec<u8>; 3],
    turns: AtomicUsize,
    /// Requests in it.
    pub requests: usize,
    /// What each answer's body is.
    pub answer: Vec<u8>,
    pub kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Heads alone: a bare parser takes part.
    Heads,
    /// A body that is sent back.
    Echo,
}

const SMALL: &[u8] = b"GET /plaintext HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";

const BROWSER: &[u8] = b"GET /plaintext HTTP/1.1\r\n\
Host: www.example.com\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:126.0) Gecko/20100101 Firefox/126.0\r\n\
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
Accept-Language: en-US,en;q=0.5\r\n\
Accept-Encoding: gzip, deflate, br, zstd\r\n\
Connection: keep-alive\r\n\
Cookie: session=0123456789abcdef; theme=dark\r\n\
Upgrade-Insecure-Requests: 1\r\n\
Sec-Fetch-Dest: document\r\n\
Sec-Fetch-Mode: navigate\r\n\
Sec-Fetch-Site: none\r\n\
Priority: u=1\r\n\r\n";

impl Scenario {
    /// No head is the same as the one before it, but where that is what is asked.
    pub fn all() -> Vec<Self> {
        let three = varied(SMALL);
        let sixteen = |from: usize| (from..from + 16).flat_map(|at| three[at % 3].iter().copied()).collect();
        vec![
            Self::heads("get", "49-byte GET", varied(SMALL), 1),
            Self::heads("again", "49-byte GET, the same again", [0; 3].map(|_| SMALL.to_vec()), 1),
            Self::heads("browser", "browser GET, 12 fields", varied(BROWSER), 1),
            Self::heads("pipelined", "16 pipelined GETs", [0, 1, 2].map(sixteen), 16),
            Self::echo("length-1k", "POST echo 1 KiB, by length", by_length("/collect", 1024), 1024),
            Self::echo("chunked-1k", "POST echo 1 KiB, chunked", chunked("/collect", 1024), 1024),
            Self::echo("stream-64k", "POST echo 64 KiB, streamed", by_length("/stream", 65_536), 65_536),
        ]
    }

    /// What the peer sends next.
    pub fn input(&self) -> &[u8] {
        &self.inputs[self.turns.fetch_add(1, Ordering::Relaxed) % 3]
    }

    /// Whether `engine` can hold this conversation.
    pub fn suits(&self, engine: EngineKind) -> bool {
        self.kind == Kind::Heads || engine != EngineKind::Httparse
    }

    fn heads(name: &'static str, title: &'static str, inputs: [Vec<u8>; 3], requests: usize) -> Self {
        let turns = AtomicUsize::new(0);
        Self { name, title, inputs, turns, requests, answer: HELLO.into(), kind: Kind::Heads }
    }

    fn echo(name: &'static str, title: &'static str, input: Vec<u8>, body: usize) -> Self {
        let (inputs, turns) = (varied(&input), AtomicUsize::new(0));
        Self { name, title, inputs, turns, requests: 1, answer: body_of(body), kind: Kind::Echo }
    }
}

/// The same request under three heads that are not the same: field names mean the same whatever their case.
fn varied(request: &[u8]) -> [Vec<u8>; 3] {
    let at = request.windows(5).position(|text| text == b"Host:").expect("every request names its host");
    [b"Host", b"host", b"HOST"].map(|name| [&request[..at], name, &request[at + name.len()..]].concat())
}

fn body_of(len: usize) -> Vec<u8> {
    (0..len).map(|at| b'a' + (at % 26) as u8).collect()
}

fn by_length(path: &str, len: usize) -> Vec<u8> {
    let mut request =
        format!("POST {path} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Length: {len}\r\n\r\n").into_bytes();
    request.extend(body_of(len));
    request
}

fn chunked(path: &str, len: usize) -> Vec<u8> {
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nTransfer-Encoding: chunked\r\n\r\n{len:x}\r\n"
    )
    .into_bytes();
    request.extend(body_of(len));
    request.extend(b"\r\n0\r\n\r\n");
    request
}
