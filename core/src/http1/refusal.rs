//! Why a request is refused: the peer's fault, typed, with its status, the limit it passed and the remedy.

use core::fmt;

use http::StatusCode;

/// A request that is not served. After a refusal is answered the connection closes: what follows cannot be trusted to
/// begin where it seems to (RFC 9112 §11.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Refusal {
    /// The request line is longer than `limits.max_request_line_bytes` (RFC 9112 §3).
    RequestLineTooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The method alone fills the request line (RFC 9112 §3).
    MethodTooLong {
        /// The limit of the whole line, in bytes.
        limit: usize,
    },
    /// The section is longer than `limits.max_header_bytes`.
    HeaderTooLarge {
        /// The limit, in bytes.
        limit: usize,
        /// The field line at which it was passed, counted from 1.
        line: u32,
    },
    /// A field line is longer than `limits.max_field_line_bytes`.
    FieldLineTooLong {
        /// The limit, in bytes.
        limit: usize,
        /// The field line, counted from 1.
        line: u32,
    },
    /// There are more field lines than `limits.max_fields`.
    TooManyFields {
        /// The limit, in lines.
        limit: usize,
    },
    /// The body is, or declares to be, longer than `limits.max_body_bytes`.
    BodyTooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// The body is, or declares to be, longer than its handler collects.
    BodyOverHandlerLimit {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The request line is malformed (RFC 9112 §3).
    BadRequestLine(LineFault),
    /// The request target is not one of the four forms, or not that of its method (RFC 9112 §3.2).
    BadTarget,
    /// The HTTP version is well-formed and not served here: 2.0 (its preface included), 0.9 or another major.
    UnsupportedVersion,
    /// A field line is malformed (RFC 9112 §5).
    BadField {
        /// What is wrong with it.
        fault: FieldFault,
        /// The field line, counted from 1.
        line: u32,
    },
    /// An HTTP/1.1 request without `Host` (RFC 9112 §3.2).
    MissingHost,
    /// More than one `Host`.
    RepeatedHost,
    /// A `Host` that is no host and port.
    BadHost,
    /// A `Content-Length` that is not one decimal number (RFC 9112 §6.3).
    BadContentLength,
    /// More than one `Content-Length`, equal or not.
    RepeatedContentLength,
    /// `Content-Length` and `Transfer-Encoding` together: the mark of request smuggling (RFC 9112 §6.1).
    LengthWithTransferEncoding,
    /// `Transfer-Encoding` in an HTTP/1.0 request (RFC 9112 §6.1).
    TransferEncodingInHttp10,
    /// A `Transfer-Encoding` whose final coding is not exactly one `chunked` (RFC 9112 §6.1).
    BadTransferEncoding,
    /// A transfer coding this server does not implement (RFC 9112 §6.1).
    UnknownTransferCoding,
    /// A body on a `CONNECT`, which has none (RFC 9110 §9.3.6).
    ConnectWithBody,
    /// An expectation other than `100-continue` (RFC 9110 §10.1.1).
    UnknownExpectation,
    /// A malformed chunk (RFC 9112 §7.1).
    BadChunk(ChunkFault),
    /// A chunk-size line is longer than `limits.max_chunk_line_bytes`.
    ChunkLineTooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The chunk extensions of a body are longer than `limits.max_chunk_extension_bytes` together.
    ChunkExtensionsTooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// A trailer field that frames or routes the message (RFC 9110 §6.5.1).
    ForbiddenTrailer {
        /// The field line, counted from 1.
        line: u32,
    },
    /// The peer closed its half within a head.
    TruncatedHead,
    /// The peer closed its half within a body.
    TruncatedBody,
    /// The head did not arrive within `deadlines.head`.
    HeadTimeout,
    /// The body stood still for `deadlines.body`, or came slower than `deadlines.min_body_rate`.
    BodyTimeout,
    /// The application did not answer within `deadlines.handler`.
    HandlerTimeout,
    /// The process holds as many bytes for bodies and output as `limits` of the whole process allow.
    OutOfMemory,
    /// The server serves as many connections as it may.
    Overloaded,
}

/// What is wrong with a request line.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum LineFault {
    /// A control byte: perhaps not HTTP at all.
    ControlByte,
    /// The first bytes of a TLS handshake, on a port that speaks plain HTTP.
    Tls,
    /// Ended by LF alone.
    BareLf,
    /// A CR that no LF follows.
    BareCr,
    /// More than one empty line before it.
    EmptyLines,
    /// The method is not a token.
    Method,
    /// Not three parts separated by one space each.
    Spaces,
    /// The third part is not `HTTP/` and two digits with a dot between.
    Version,
}

/// What is wrong with a field line.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum FieldFault {
    /// Ended by LF alone.
    BareLf,
    /// A CR that no LF follows.
    BareCr,
    /// Begins with a space: a folded line (RFC 9112 §5.2).
    Folded,
    /// No colon.
    NoColon,
    /// White space before the colon (RFC 9112 §5.1).
    SpaceBeforeColon,
    /// The name is empty or not a token.
    Name,
    /// A control byte in the value.
    Value,
}

/// What is wrong with a chunk.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ChunkFault {
    /// The size is no hexadecimal number.
    Size,
    /// The size does not fit into 64 bits.
    Overflow,
    /// An extension holds a control byte, or a line ended by CR or LF alone.
    Extension,
    /// The chunk-size line does not end in CRLF.
    LineEnd,
    /// The data is not followed by CRLF.
    DataEnd,
}

impl Refusal {
    /// The status it is answered with.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::RequestLineTooLong { .. } => StatusCode::URI_TOO_LONG,
            Self::MethodTooLong { .. } | Self::UnknownTransferCoding => StatusCode::NOT_IMPLEMENTED,
            Self::HeaderTooLarge { .. } | Self::FieldLineTooLong { .. } | Self::TooManyFields { .. } => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            Self::BodyTooLarge { .. } | Self::BodyOverHandlerLimit { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedVersion => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::UnknownExpectation => StatusCode::EXPECTATION_FAILED,
            Self::HeadTimeout | Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::HandlerTimeout | Self::OutOfMemory | Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Self::BadRequestLine(_)
            | Self::BadTarget
            | Self::BadField { .. }
            | Self::MissingHost
            | Self::RepeatedHost
            | Self::BadHost
            | Self::BadContentLength
            | Self::RepeatedContentLength
            | Self::LengthWithTransferEncoding
            | Self::TransferEncodingInHttp10
            | Self::BadTransferEncoding
            | Self::ConnectWithBody
            | Self::BadChunk(_)
            | Self::ChunkLineTooLong { .. }
            | Self::ChunkExtensionsTooLarge { .. }
            | Self::ForbiddenTrailer { .. }
            | Self::TruncatedHead
            | Self::TruncatedBody => StatusCode::BAD_REQUEST,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.status().as_u16())?;
        match *self {
            Self::RequestLineTooLong { limit } => {
                write!(f, "request line is over limits.max_request_line_bytes = {limit}; send a shorter target")
            }
            Self::MethodTooLong { limit } => {
                write!(f, "method fills the request line, limits.max_request_line_bytes = {limit}; send a known method")
            }
            Self::HeaderTooLarge { limit, line } => write!(
                f,
                "header section is over limits.max_header_bytes = {limit} at field line {line}; send less or smaller fields"
            ),
            Self::FieldLineTooLong { limit, line } => write!(
                f,
                "field line {line} is over limits.max_field_line_bytes = {limit}; send a shorter value"
            ),
            Self::TooManyFields { limit } => {
                write!(f, "header section has more field lines than limits.max_fields = {limit}; send fewer")
            }
            Self::BodyTooLarge { limit } => {
                write!(f, "body is over limits.max_body_bytes = {limit}; send it in parts")
            }
            Self::BodyOverHandlerLimit { limit } => {
                write!(f, "body is over the {limit} bytes that are taken here; send less at once")
            }
            Self::BadRequestLine(fault) => write!(f, "request line {fault}"),
            Self::BadTarget => f.write_str(
                "request target is not an origin, absolute, authority (CONNECT) or asterisk (OPTIONS) form; percent-encode it",
            ),
            Self::UnsupportedVersion => f.write_str("only HTTP/1.1 and HTTP/1.0 are served here"),
            Self::BadField { fault, line } => write!(f, "field line {line} {fault}"),
            Self::MissingHost => f.write_str("an HTTP/1.1 request needs one Host field"),
            Self::RepeatedHost => f.write_str("Host is given more than once; send one"),
            Self::BadHost => f.write_str("Host is not a host with an optional port"),
            Self::BadContentLength => f.write_str("Content-Length is not one decimal number"),
            Self::RepeatedContentLength => f.write_str("Content-Length is given more than once; send one"),
            Self::LengthWithTransferEncoding => {
                f.write_str("Content-Length and Transfer-Encoding stand together; send one of them")
            }
            Self::TransferEncodingInHttp10 => f.write_str("Transfer-Encoding does not exist in HTTP/1.0"),
            Self::BadTransferEncoding => f.write_str("Transfer-Encoding does not end in exactly one chunked"),
            Self::UnknownTransferCoding => f.write_str("a transfer coding other than chunked is not implemented"),
            Self::ConnectWithBody => f.write_str("CONNECT takes no body"),
            Self::UnknownExpectation => f.write_str("an expectation other than 100-continue cannot be met"),
            Self::BadChunk(fault) => write!(f, "chunk {fault}"),
            Self::ChunkLineTooLong { limit } => {
                write!(f, "chunk-size line is over limits.max_chunk_line_bytes = {limit}; send shorter extensions")
            }
            Self::ChunkExtensionsTooLarge { limit } => write!(
                f,
                "chunk extensions are over limits.max_chunk_extension_bytes = {limit} together; send fewer"
            ),
            Self::ForbiddenTrailer { line } => {
                write!(f, "trailer field line {line} frames or routes the message; send it in the header section")
            }
            Self::TruncatedHead => f.write_str("connection was closed within a request's head"),
            Self::TruncatedBody => f.write_str("connection was closed within a request's body"),
            Self::HeadTimeout => f.write_str("request head did not arrive within deadlines.head"),
            Self::BodyTimeout => {
                f.write_str("request body came slower than deadlines.body or deadlines.min_body_rate allow")
            }
            Self::HandlerTimeout => f.write_str("no answer within deadlines.handler; try again later"),
            Self::OutOfMemory => f.write_str("the server holds as many bytes as it may; try again later"),
            Self::Overloaded => f.write_str("the server serves as many connections as it may; try again later"),
        }
    }
}

impl core::error::Error for Refusal {}

impl fmt::Display for LineFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ControlByte => "holds a control byte",
            Self::Tls => "is a TLS handshake; this port speaks plain HTTP, use http:// instead of https://",
            Self::BareLf => "ends in LF alone; end lines with CRLF",
            Self::BareCr => "holds a CR that no LF follows",
            Self::EmptyLines => "comes after more than one empty line",
            Self::Method => "has a method that is no token",
            Self::Spaces => "is not method, target and version with one space between",
            Self::Version => "does not end in an HTTP version such as HTTP/1.1",
        })
    }
}

impl fmt::Display for FieldFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BareLf => "ends in LF alone; end lines with CRLF",
            Self::BareCr => "holds a CR that no LF follows",
            Self::Folded => "begins with white space; folded lines are not accepted",
            Self::NoColon => "has no colon",
            Self::SpaceBeforeColon => "has white space before its colon",
            Self::Name => "has a name that is no token",
            Self::Value => "has a control byte in its value",
        })
    }
}

impl fmt::Display for ChunkFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Size => "size is no hexadecimal number",
            Self::Overflow => "size does not fit into 64 bits",
            Self::Extension => "extension holds a control byte",
            Self::LineEnd => "size line does not end in CRLF",
            Self::DataEnd => "data is not followed by CRLF",
        })
    }
}
