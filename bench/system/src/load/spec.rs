//! What a load is: what is asked, on how many connections, how fast. It crosses the pipe to the process that makes it.

use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

pub const HELLO: &str = "Hello, World!";

/// One load of one process.
#[derive(Clone, Serialize, Deserialize)]
pub struct Spec {
    pub address: SocketAddr,
    /// Where connections come from: another address is another set of ports.
    pub source: Option<Ipv4Addr>,
    /// Held open. Each asks once before the load is called ready.
    pub connections: usize,
    /// So many of them ask; the others stay idle.
    pub active: usize,
    pub ask: Ask,
    pub pace: Pace,
}

/// What a connection asks for at a time, and what must come back.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// So many GETs in one piece.
    Get { pipelined: usize },
    /// A GET, spelled in one of three ways by each connection: heads that mean the same, and are not the same.
    Varied,
    /// A GET, whose connection ends with it.
    Close,
    /// A GET that is answered by another thread than the connection's.
    Deferred,
    /// A GET that takes a thread of a lane for a while; 503 is an answer too.
    Work,
    /// A POST whose body comes back.
    Echo { bytes: usize },
    /// The beginning of a head, and nothing more.
    HalfHead { bytes: usize },
    /// So many GETs, whose answers are never read.
    Unread { requests: usize },
}

/// When a connection asks.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pace {
    /// As soon as it was answered.
    Closed,
    /// All together so often a second, whether answers have come or not: latency counts from the time that was meant.
    Rate(u32),
}

/// What a stretch of load came to.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Done {
    pub seconds: f64,
    /// Answered with 200 and the right body.
    pub requests: u64,
    /// Answered with 503, where that is allowed.
    pub refused: u64,
    /// Answers that are not what was asked for, connections that broke, requests without an answer.
    pub errors: u64,
    /// Connections that the server ended, of those that ask nothing whole.
    pub cut_off: u64,
    /// What the load itself used.
    pub cpu_micros: f64,
    pub latency: Quantiles,
    pub refused_latency: Quantiles,
    /// How late the load itself was with requests for which a connection was free.
    pub lag: Quantiles,
}

/// In microseconds.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
pub struct Quantiles {
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

impl Ask {
    /// What goes out at a time, in each spelling there is.
    pub fn spellings(self) -> Vec<Vec<u8>> {
        match self {
            Self::Varied => ["Host", "host", "HOST"]
                .map(|name| format!("GET /plaintext HTTP/1.1\r\n{name}: localhost\r\n\r\n").into_bytes())
                .into(),
            _ => vec![self.bytes()],
        }
    }

    fn bytes(self) -> Vec<u8> {
        let get = |path: &str, fields: &str| {
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n").into_bytes()
        };
        match self {
            Self::Get { pipelined } => get("/plaintext", "").repeat(pipelined),
            Self::Varied => get("/plaintext", ""),
            Self::Close => get("/plaintext", "Connection: close\r\n"),
            Self::Deferred => get("/deferred", ""),
            Self::Work => get("/work", ""),
            Self::Echo { bytes } => {
                let mut post =
                    format!("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: {bytes}\r\n\r\n")
                        .into_bytes();
                post.resize(post.len() + bytes, FILL);
                post
            }
            Self::HalfHead { bytes } => {
                let mut half = b"GET /plaintext HTTP/1.1\r\nHost: localhost\r\nX-Half: ".to_vec();
                half.resize(bytes.max(half.len()), FILL);
                half
            }
            Self::Unread { requests } => get("/plaintext", "").repeat(requests),
        }
    }

    /// Answers owed for that.
    pub const fn answers(self) -> usize {
        match self {
            Self::Get { pipelined } => pipelined,
            Self::HalfHead { .. } | Self::Unread { .. } => 0,
            Self::Varied | Self::Close | Self::Deferred | Self::Work | Self::Echo { .. } => 1,
        }
    }

    pub const fn may_be_refused(self) -> bool {
        matches!(self, Self::Work)
    }

    /// Whether nothing is read, and the end of the connection is what is waited for.
    pub const fn is_hostile(self) -> bool {
        matches!(self, Self::HalfHead { .. } | Self::Unread { .. })
    }
}

/// What bodies are made of.
pub const FILL: u8 = b'x';
