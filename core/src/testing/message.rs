//! Requests as data: what a peer means to say, and the bytes it says it with.

use http::{Method, Version};

/// A request that is as RFC 9112 has it, as data: compare what a service saw with it.
///
/// ```
/// use anabranch_core::testing::{Message, MessageBody};
///
/// let message = Message { body: MessageBody::Sized(b"abc".to_vec()), ..Message::get("/") };
/// assert_eq!(message.bytes(), b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// The method.
    pub method: Method,
    /// The target, as it stands in the request line.
    pub target: String,
    /// `HTTP/1.1` or `HTTP/1.0`. The older has a `Host` all the same.
    pub version: Version,
    /// Fields beside `Host`, `Connection` and those that frame the body. Values have no blank at either end.
    pub fields: Vec<(String, Vec<u8>)>,
    /// Blanks that are written around every value, and are no part of it (RFC 9110 §5.5).
    pub padding: &'static str,
    /// The value of `Connection`, where there is one.
    pub connection: Option<&'static str>,
    /// The body, with the fields that frame it.
    pub body: MessageBody,
}

/// A request's body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MessageBody {
    /// None, and no field says so.
    Empty,
    /// With a `Content-Length`.
    Sized(Vec<u8>),
    /// Chunked, with trailer fields.
    Chunked(Vec<Chunk>, Vec<(String, Vec<u8>)>),
}

/// A chunk of a body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chunk {
    /// Its data; one byte at least.
    pub data: Vec<u8>,
    /// What stands behind its size on the chunk line: nothing, or extensions with their semicolons.
    pub extension: String,
    /// Zeros before its size.
    pub leading_zeros: usize,
}

impl Message {
    /// A `GET` with nothing but a `Host`.
    #[must_use]
    pub fn get(target: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            target: target.into(),
            version: Version::HTTP_11,
            fields: Vec::new(),
            padding: "",
            connection: None,
            body: MessageBody::Empty,
        }
    }

    /// Whether the peer lets the connection live on behind it (RFC 9112 §9.3).
    #[must_use]
    pub fn persists(&self) -> bool {
        match self.connection {
            Some(value) if value.eq_ignore_ascii_case("close") => false,
            Some(value) if value.eq_ignore_ascii_case("keep-alive") => true,
            _ => self.version == Version::HTTP_11,
        }
    }

    /// The body's data, joined.
    #[must_use]
    pub fn data(&self) -> Vec<u8> {
        match &self.body {
            MessageBody::Empty => Vec::new(),
            MessageBody::Sized(data) => data.clone(),
            MessageBody::Chunked(chunks, _) => chunks.iter().flat_map(|chunk| chunk.data.clone()).collect(),
        }
    }

    /// The trailer fields.
    #[must_use]
    pub fn trailers(&self) -> &[(String, Vec<u8>)] {
        match &self.body {
            MessageBody::Chunked(_, trailers) => trailers,
            MessageBody::Empty | MessageBody::Sized(_) => &[],
        }
    }

    /// The bytes that say it.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let Self { method, target, version, padding, .. } = self;
        let mut bytes = format!("{method} {target} {version:?}\r\nHost: a\r\n").into_bytes();
        let line = |bytes: &mut Vec<u8>, name: &str, value: &[u8]| {
            bytes.extend(
                [name.as_bytes(), b":", padding.as_bytes(), value, padding.as_bytes(), b"\r\n"].concat(),
            );
        };
        for (name, value) in &self.fields {
            line(&mut bytes, name, value);
        }
        if let Some(value) = self.connection {
            line(&mut bytes, "Connection", value.as_bytes());
        }
        match &self.body {
            MessageBody::Empty => bytes.extend(b"\r\n"),
            MessageBody::Sized(data) => {
                bytes.extend(format!("Content-Length: {}\r\n\r\n", data.len()).into_bytes());
                bytes.extend(data);
            }
            MessageBody::Chunked(chunks, trailers) => {
                bytes.extend(b"Transfer-Encoding: chunked\r\n\r\n");
                for Chunk { data, extension, leading_zeros } in chunks {
                    let zeros = "0".repeat(*leading_zeros);
                    bytes.extend(format!("{zeros}{:x}{extension}\r\n", data.len()).into_bytes());
                    bytes.extend(data);
                    bytes.extend(b"\r\n");
                }
                bytes.extend(b"0\r\n");
                for (name, value) in trailers {
                    line(&mut bytes, name, value);
                }
                bytes.extend(b"\r\n");
            }
        }
        bytes
    }
}
