//! What a peer sends, with what it means: the model is told, and reads no HTTP itself.

use anabranch_core::http1::{BodyLength, ChunkFault, FieldFault, LineFault, Refusal};
use proptest::prelude::*;

/// A message of the peer, good or bad.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Message {
    /// A request without a body.
    Plain(Method, Says),
    /// A body of so many bytes, declared.
    Sized(usize, Says),
    /// A body in chunks of so many bytes, and how it ends.
    Chunked([usize; 2], Says, Ending),
    /// What is refused.
    Bad(Fault),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Method {
    Get,
    Head,
    Connect,
}

/// What a head says besides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Says {
    Nothing,
    /// An empty line comes first (RFC 9112 §2.2).
    EmptyLine,
    Close,
    Http10,
    Http10KeepAlive,
    Expect,
    Upgrade,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending {
    Plain,
    Trailer,
    BadSize,
    TooLarge,
    ForbiddenTrailer,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    NoHost,
    TwoSpaces,
    Http2,
    Tls,
    SpaceBeforeColon,
    LengthAndChunked,
    UnknownCoding,
    UnknownExpectation,
    TooLarge,
    HeadWithoutHost,
}

/// What the model has to know of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) target: &'static str,
    pub(crate) http11: bool,
    pub(crate) persists: bool,
    pub(crate) expects: bool,
    pub(crate) upgrades: bool,
    pub(crate) body: BodyLength,
}

/// A piece of the stream that means one thing.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) bytes: Vec<u8>,
    pub(crate) means: Meaning,
}

#[derive(Clone, Debug)]
pub(crate) enum Meaning {
    /// A head: once all of it is there.
    Head(Request),
    /// Refused once all of it is there; it is then still to be dropped.
    Refused(Refusal),
    /// Of a body's framing; means nothing itself.
    Framing,
    /// Of a body.
    Data,
    /// The end of a body, once all of it is there: its trailer fields.
    End(Vec<(String, String)>),
    /// Behind what was refused.
    Nothing,
}

impl Request {
    /// What could not be read is answered as any request is, but without content if it asks for none.
    pub(crate) fn of_refused(is_head: bool) -> Self {
        Self {
            method: if is_head { "HEAD" } else { "" },
            target: "",
            http11: true,
            persists: false,
            expects: false,
            upgrades: false,
            body: BodyLength::Empty,
        }
    }
}

impl Piece {
    /// Whether it is a request, or what is refused as one, that ends within so many bytes.
    pub(crate) fn is_request_within(&self, bytes: usize) -> bool {
        matches!(self.means, Meaning::Head(_) | Meaning::Refused(_)) && self.bytes.len() <= bytes
    }

    /// Whether it is a whole head, good or not, that ends within so many bytes.
    pub(crate) fn is_head_within(&self, bytes: usize) -> bool {
        let whole =
            matches!(self.means, Meaning::Head(_) | Meaning::Refused(_)) && self.bytes.ends_with(b"\r\n\r\n");
        whole && self.bytes.len() <= bytes
    }
}

pub(crate) const MAX_BODY_BYTES: u64 = 100;

pub(crate) fn any_message() -> impl Strategy<Value = Message> {
    let method = prop_oneof![5 => Just(Method::Get), 1 => Just(Method::Head), 1 => Just(Method::Connect)];
    let says = || {
        prop_oneof![
            8 => Just(Says::Nothing),
            2 => Just(Says::EmptyLine),
            1 => Just(Says::Close),
            1 => Just(Says::Http10),
            1 => Just(Says::Http10KeepAlive),
            2 => Just(Says::Expect),
            2 => Just(Says::Upgrade),
        ]
    };
    let ending = prop_oneof![
        4 => Just(Ending::Plain),
        2 => Just(Ending::Trailer),
        1 => Just(Ending::BadSize),
        1 => Just(Ending::TooLarge),
        1 => Just(Ending::ForbiddenTrailer),
    ];
    let fault = prop::sample::select(vec![
        Fault::NoHost,
        Fault::TwoSpaces,
        Fault::Http2,
        Fault::Tls,
        Fault::SpaceBeforeColon,
        Fault::LengthAndChunked,
        Fault::UnknownCoding,
        Fault::UnknownExpectation,
        Fault::TooLarge,
        Fault::HeadWithoutHost,
    ]);
    prop_oneof![
        8 => (method, says()).prop_map(|(method, says)| Message::Plain(method, says)),
        5 => (0..20_usize, says()).prop_map(|(length, says)| Message::Sized(length, says)),
        3 => ([1..20_usize, 0..20_usize], says(), ending)
            .prop_map(|(chunks, says, ending)| Message::Chunked(chunks, says, ending)),
        1 => fault.prop_map(Message::Bad),
    ]
}

impl Message {
    pub(crate) fn pieces(self) -> Vec<Piece> {
        match self {
            Self::Plain(method, says) => vec![head(method, says, BodyLength::Empty)],
            Self::Sized(0, says) => vec![head(Method::Get, says, BodyLength::Empty)],
            Self::Sized(length, says) => vec![
                head(Method::Get, says, BodyLength::Known(length as u64)),
                Piece { bytes: text(length, b'a'), means: Meaning::Data },
                Piece { bytes: Vec::new(), means: Meaning::End(Vec::new()) },
            ],
            // There are no chunks in HTTP/1.0.
            Self::Chunked(chunks, Says::Http10 | Says::Http10KeepAlive, ending) => {
                Self::Chunked(chunks, Says::Nothing, ending).pieces()
            }
            Self::Chunked(chunks, says, ending) => {
                let mut pieces = vec![head(Method::Get, says, BodyLength::Chunked)];
                for length in chunks.into_iter().filter(|length| *length > 0) {
                    pieces.push(piece(&format!("{length:x};x=y\r\n"), Meaning::Framing));
                    pieces.push(Piece { bytes: text(length, b'k'), means: Meaning::Data });
                    pieces.push(piece("\r\n", Meaning::Framing));
                }
                pieces.extend(ending.pieces());
                pieces
            }
            Self::Bad(fault) => fault.pieces(),
        }
    }
}

fn head(method: Method, says: Says, body: BodyLength) -> Piece {
    let (method, target) = match (method, body) {
        (Method::Get, BodyLength::Empty) => ("GET", "/a?b"),
        (Method::Get, _) => ("POST", "/c"),
        (Method::Head, _) => ("HEAD", "/h"),
        (Method::Connect, _) => ("CONNECT", "a:1"),
    };
    let http11 = !matches!(says, Says::Http10 | Says::Http10KeepAlive);
    let fields = match says {
        Says::Nothing | Says::EmptyLine | Says::Http10 => "",
        Says::Close => "Connection: close\r\n",
        Says::Http10KeepAlive => "Connection: keep-alive\r\n",
        Says::Expect => "Expect: 100-continue\r\n",
        Says::Upgrade => "Connection: upgrade\r\nUpgrade: etx\r\n",
    };
    let framing = match body {
        BodyLength::Empty => String::new(),
        BodyLength::Known(length) => format!("Content-Length: {length}\r\n"),
        BodyLength::Chunked => "Transfer-Encoding: chunked\r\n".to_owned(),
    };
    let before = if says == Says::EmptyLine { "\r\n" } else { "" };
    let version = if http11 { "1.1" } else { "1.0" };
    let text = format!("{before}{method} {target} HTTP/{version}\r\nHost: a:1\r\n{fields}{framing}\r\n");
    let request = Request {
        method,
        target,
        http11,
        persists: !matches!(says, Says::Close | Says::Http10),
        // Without a body there is nothing to wait for; with one there is nothing to upgrade.
        expects: says == Says::Expect && body != BodyLength::Empty,
        upgrades: says == Says::Upgrade && body == BodyLength::Empty,
        body,
    };
    piece(&text, Meaning::Head(request))
}

impl Ending {
    fn pieces(self) -> Vec<Piece> {
        let last = || piece("0\r\n", Meaning::Framing);
        let refused =
            |text, refusal| vec![piece(text, Meaning::Refused(refusal)), piece("x\r\n", Meaning::Nothing)];
        match self {
            Self::Plain => vec![last(), piece("\r\n", Meaning::End(Vec::new()))],
            Self::Trailer => {
                let fields = vec![("X-Sum".to_owned(), "7".to_owned())];
                vec![last(), piece("X-Sum: 7\r\n\r\n", Meaning::End(fields))]
            }
            Self::BadSize => refused("z", Refusal::BadChunk(ChunkFault::Size)),
            Self::TooLarge => {
                let mut pieces = vec![piece("ff\r", Meaning::Framing)];
                pieces.extend(refused("\n", Refusal::BodyTooLarge { limit: MAX_BODY_BYTES }));
                pieces
            }
            Self::ForbiddenTrailer => {
                let mut pieces = vec![last()];
                pieces.extend(refused("Host: b\r\n\r\n", Refusal::ForbiddenTrailer { line: 1 }));
                pieces
            }
        }
    }
}

impl Fault {
    /// A line is judged when it is complete, what the lines say together when the head is.
    fn pieces(self) -> Vec<Piece> {
        let (text, refusal, rest) = match self {
            Self::NoHost => ("GET /a HTTP/1.1\r\n\r\n", Refusal::MissingHost, ""),
            Self::HeadWithoutHost => ("HEAD /a HTTP/1.1\r\n\r\n", Refusal::MissingHost, ""),
            Self::TwoSpaces => {
                ("GET  /a HTTP/1.1\r\n", Refusal::BadRequestLine(LineFault::Spaces), "Host: a\r\n\r\n")
            }
            Self::Http2 => ("PRI * HTTP/2.0\r\n", Refusal::UnsupportedVersion, "\r\nSM\r\n\r\n"),
            Self::Tls => ("\x16", Refusal::BadRequestLine(LineFault::Tls), "\x03\x01"),
            Self::SpaceBeforeColon => (
                "GET /a HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n",
                Refusal::BadField { fault: FieldFault::SpaceBeforeColon, line: 2 },
                "\r\nhello",
            ),
            Self::LengthAndChunked => (
                "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
                Refusal::LengthWithTransferEncoding,
                "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
            ),
            Self::UnknownCoding => (
                "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
                Refusal::UnknownTransferCoding,
                "0\r\n\r\n",
            ),
            Self::UnknownExpectation => (
                "POST /a HTTP/1.1\r\nHost: a\r\nExpect: tea\r\nContent-Length: 2\r\n\r\n",
                Refusal::UnknownExpectation,
                "ok",
            ),
            Self::TooLarge => (
                "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n",
                Refusal::BodyTooLarge { limit: MAX_BODY_BYTES },
                "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
            ),
        };
        vec![piece(text, Meaning::Refused(refusal)), piece(rest, Meaning::Nothing)]
    }
}

fn piece(text: &str, means: Meaning) -> Piece {
    Piece { bytes: text.as_bytes().to_vec(), means }
}

/// `length` letters that tell which piece they belong to and where in it they stand.
pub(crate) fn text(length: usize, first: u8) -> Vec<u8> {
    (0..length).map(|at| first + (at % 10) as u8).collect()
}
