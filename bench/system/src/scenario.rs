//! What is asked for, how often at a time, and what must come back.

/// A load.
pub struct Scenario {
    pub name: &'static str,
    pub title: &'static str,
    /// Connections that ask, each as soon as it was answered.
    pub connections: usize,
    /// What a connection sends at a time.
    pub batch: Vec<u8>,
    /// Requests in it.
    pub requests: usize,
    /// The body of each answer.
    pub body: Vec<u8>,
    /// Whether each request has a connection to itself.
    pub persistence: Persistence,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    KeepAlive,
    Close,
}

pub const HELLO: &str = "Hello, World!";

impl Scenario {
    pub fn all() -> Vec<Self> {
        let get = |name, title, connections, requests: usize| Self {
            name,
            title,
            connections,
            batch: b"GET /plaintext HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(requests),
            requests,
            body: HELLO.into(),
            persistence: Persistence::KeepAlive,
        };
        let mut close = get("close", "a connection a request, 64 at a time", 64, 1);
        close.batch = b"GET /plaintext HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".to_vec();
        close.persistence = Persistence::Close;
        let body = vec![b'x'; 1024];
        let mut echo = get("echo", "POST echo 1 KiB, 64 connections", 64, 1);
        echo.batch = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1024\r\n\r\n".to_vec();
        echo.batch.extend_from_slice(&body);
        echo.body = body;
        vec![
            get("get", "keep-alive GET, 64 connections", 64, 1),
            get("pipelined", "16 pipelined GETs, 64 connections", 64, 16),
            echo,
            close,
        ]
    }
}
