//! What a peer may ask of us: sizes and times, each with its default, each checked before what it bounds is buffered.

use core::time::Duration;

use http::HeaderValue;

/// Sizes. A request that passes one is refused with the status named, and the message names the limit.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of the request line without its CRLF; 414 beyond (501 when the method alone fills it). Default 8,192.
    pub max_request_line_bytes: usize,
    /// Field lines in a header or trailer section; 431 beyond. Default 100.
    pub max_fields: usize,
    /// Bytes of a header or trailer section, line ends included; 431 beyond. Default 64 KiB.
    pub max_header_bytes: usize,
    /// Bytes of one field line without its CRLF; 431 beyond. At most 65,535. Default 16 KiB.
    pub max_field_line_bytes: usize,
    /// Bytes of a request body's data; 413 beyond. Default 64 MiB.
    pub max_body_bytes: u64,
    /// Bytes of a chunk-size line, extensions included, without its CRLF; 400 beyond. Default 256.
    pub max_chunk_line_bytes: usize,
    /// Bytes of chunk extensions in one body altogether; 400 beyond. Default 16 KiB.
    pub max_chunk_extension_bytes: usize,
    /// A body that the application does not want, and whose declared length is at most this, is read and dropped to keep
    /// the connection; any other ends it after the answer. Default 64 KiB.
    pub max_discard_bytes: u64,
    /// Bytes read and dropped after the last answer while the peer closes its half. Default 1 MiB.
    pub max_linger_bytes: u64,
    /// Bytes of answers waiting to be sent, beyond which no further request is begun and no body source is asked for more.
    /// From 64 KiB on it is what a connection holds at most whose peer asks and takes nothing: what has come of further
    /// requests counts, and 8 KiB are left for everything else. Default 64 KiB.
    pub max_output_bytes: usize,
    /// Bytes of a streamed request body waiting for the application, beyond which nothing is read. Overshot by one read
    /// at most. Default 64 KiB.
    pub max_window_bytes: usize,
    /// Requests on one connection, after which it closes. `None`: no bound. Default `None`.
    pub max_requests: Option<u64>,
}

impl Limits {
    /// What one connection holds at most, in bytes on the heap, whatever its peer sends and however little it takes: with
    /// reads of up to `read_bytes`, and beside bodies that a handler [collects](crate::app::Outcome::collect), jobs, and what
    /// the application makes itself. For whoever has to say how many connections fit into a machine.
    ///
    /// ```text
    ///   3 × (max_request_line_bytes + max_header_bytes + read_bytes)   what came of a head or trailer section
    ///   2 × (max_request_line_bytes + max_header_bytes)                its copies,
    ///   128 × max_fields + 3 × max_field_line_bytes                    its fields, its host
    ///   4 × (max_window_bytes + read_bytes)                            a streamed body waiting for the application
    ///   6 × (max_output_bytes + read_bytes)                            answers waiting to be sent
    ///   52 KiB + read_bytes                                            everything else, the read buffer included
    /// ```
    ///
    /// What grows by doubling has twice its bytes, and once more while it moves; as much output again as waits may have been
    /// sent before it is moved to the front. Most connections hold a small part of this, and an idle one 288 bytes.
    #[must_use]
    pub const fn connection_bytes(&self, read_bytes: usize) -> usize {
        let section = self.max_request_line_bytes.saturating_add(self.max_header_bytes);
        let came = section.saturating_add(read_bytes).saturating_mul(3);
        let copies = section.saturating_mul(2);
        let fields = self.max_fields.saturating_mul(128);
        let host = self.max_field_line_bytes.saturating_mul(3);
        let window = self.max_window_bytes.saturating_add(read_bytes).saturating_mul(4);
        let output = self.max_output_bytes.saturating_add(read_bytes).saturating_mul(6);
        let received = came.saturating_add(copies).saturating_add(fields).saturating_add(host);
        let waiting = window.saturating_add(output);
        received.saturating_add(waiting).saturating_add(read_bytes).saturating_add(52 * 1024)
    }

    /// Those that a head is held to.
    #[inline]
    pub(crate) fn of_heads(&self) -> HeadLimits {
        HeadLimits {
            request_line: self.max_request_line_bytes,
            fields: self.max_fields,
            header: self.max_header_bytes,
            field_line: self.max_field_line_bytes,
            body: self.max_body_bytes,
        }
    }

    /// `max_field_line_bytes`, as far as a field table can say.
    pub(crate) fn field_line_bytes(&self) -> usize {
        self.max_field_line_bytes.min(usize::from(u16::MAX))
    }
}

/// The [`Limits`] that decide whether a head is read: two heads of the same bytes are read alike under the same of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct HeadLimits {
    request_line: usize,
    fields: usize,
    header: usize,
    field_line: usize,
    body: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_request_line_bytes: 8_192,
            max_fields: 100,
            max_header_bytes: 64 * 1024,
            max_field_line_bytes: 16 * 1024,
            max_body_bytes: 64 * 1024 * 1024,
            max_chunk_line_bytes: 256,
            max_chunk_extension_bytes: 16 * 1024,
            max_discard_bytes: 64 * 1024,
            max_linger_bytes: 1024 * 1024,
            max_output_bytes: 64 * 1024,
            max_window_bytes: 64 * 1024,
            max_requests: None,
        }
    }
}

/// Times. `None` means no bound. Time that the application takes counts against none but [`handler`](Self::handler).
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Deadlines {
    /// From the connection's start to its first byte. Default 30 s.
    pub first_byte: Option<Duration>,
    /// From a head's first byte to its last, however the bytes trickle; 408 after. Default 10 s.
    pub head: Option<Duration>,
    /// A body without progress; 408 after. Default 10 s.
    pub body: Option<Duration>,
    /// The least average rate of a body, which is given [`body`](Self::body) on top, 10 s where that is `None`; 408 below.
    /// Default 240 bytes a second.
    pub min_body_rate: Option<u32>,
    /// From an answer's end to the next request's first byte. Default 60 s.
    pub idle: Option<Duration>,
    /// Output waiting without the peer taking any of it. Default 10 s.
    pub write_stall: Option<Duration>,
    /// From the last answer's end to the peer's closing its half. Default 2 s.
    pub linger: Option<Duration>,
    /// From a request's end to the beginning of its answer, and while a body waits for the application; 503 after. Default
    /// `None`.
    pub handler: Option<Duration>,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            first_byte: Some(Duration::from_secs(30)),
            head: Some(Duration::from_secs(10)),
            body: Some(Duration::from_secs(10)),
            min_body_rate: Some(240),
            idle: Some(Duration::from_secs(60)),
            write_stall: Some(Duration::from_secs(10)),
            linger: Some(Duration::from_secs(2)),
            handler: None,
        }
    }
}

/// Everything a connection's protocol is configured with; shared by all connections of a server.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Sizes.
    pub limits: Limits,
    /// Times.
    pub deadlines: Deadlines,
    /// The `Server` field of every answer that has none of its own (RFC 9110 §10.2.4). Default `anabranch`.
    pub server: Option<HeaderValue>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            deadlines: Deadlines::default(),
            server: Some(HeaderValue::from_static("anabranch")),
        }
    }
}
