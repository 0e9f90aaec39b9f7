//! Where an answer ends: enough of RFC 9112 to wait for one, and no judgement of it. Bytes that make no sense are told as
//! they came; that they differ from what was recorded is for others to say.
//!
//! ```text
//!             ┌──► Length ─────────────────────────────────────────────────┐
//!    ┌─ head ─┼──► UntilClose                                              │
//!    │        └──► ChunkSize ──► ChunkData ──► ChunkEnd ──► ChunkSize ..   │ its end
//!    │                 └── 0 ──► Trailers ──────────────────────────────── ┤
//!   None ◄─────────────────────────────────────────────────────────────────┘
//! ```

use super::conversation::Awaited;
use super::lines::{Piece, lines_of};

/// What came, as far as it was asked for.
#[derive(Debug)]
pub(super) struct Answers {
    received: Vec<u8>,
    /// The body of the answer whose head was told; `None` between answers.
    body: Option<Body>,
    told: Vec<Piece>,
    joins_chunks: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Body {
    /// So many bytes are left.
    Length(usize),
    ChunkSize,
    /// So many bytes of this chunk are left.
    ChunkData(usize),
    ChunkEnd,
    Trailers,
    UntilClose,
}

/// What became of a step through a body.
enum Went {
    /// So much data on.
    On(usize),
    /// To its end.
    ToTheEnd,
    /// Nowhere: more has to come.
    Nowhere,
}

impl Answers {
    pub(super) fn new(joins_chunks: bool) -> Self {
        Self { received: Vec::new(), body: None, told: Vec::new(), joins_chunks }
    }

    pub(super) fn receive(&mut self, bytes: &[u8]) {
        self.received.extend_from_slice(bytes);
    }

    /// Tells of what came, up to what is awaited; `false` if more has to come. Of data, what is still awaited is counted down.
    pub(super) fn reach(&mut self, awaited: &mut Awaited) -> bool {
        loop {
            if *awaited == Awaited::Data(0) {
                return true;
            }
            let Some(body) = self.body else {
                let Some(status) = self.head(*awaited == Awaited::AnswerToHead) else { return false };
                let is_interim = status.is_some_and(|status| status < 200);
                if *awaited == Awaited::Interim || (*awaited == Awaited::Head && !is_interim) {
                    return true;
                }
                continue;
            };
            let limit = if let Awaited::Data(count) = awaited { *count } else { usize::MAX };
            match self.step(body, limit) {
                Went::On(count) => {
                    if let Awaited::Data(left) = awaited {
                        *left -= count;
                    }
                }
                Went::ToTheEnd => {
                    self.body = None;
                    if !matches!(awaited, Awaited::Head | Awaited::Interim) {
                        return true;
                    }
                }
                Went::Nowhere => return false,
            }
        }
    }

    /// Tells of everything that came: no more will.
    pub(super) fn end(&mut self) {
        while self.reach(&mut Awaited::Answer) {}
        let rest = self.received.len();
        self.tell(rest, Piece::Bytes);
    }

    /// What was told since this was last asked.
    pub(super) fn lines(&mut self) -> Vec<String> {
        lines_of(&std::mem::take(&mut self.told))
    }

    /// Tells of a head; says its status, where that can be read. `None`: it has not come.
    fn head(&mut self, answers_head: bool) -> Option<Option<u16>> {
        let end = position(&self.received, b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(&self.received[..end]).to_ascii_lowercase();
        let status: Option<u16> = head.strip_prefix("http/1.1 ").and_then(|line| line.get(..3)?.parse().ok());
        let is_interim = status.is_some_and(|status| status < 200);
        let has_body = !answers_head && !matches!(status, Some(204 | 304));
        self.body =
            if is_interim { None } else { Some(if has_body { framing(&head) } else { Body::Length(0) }) };
        // Each head is a piece of its own: it begins a line.
        self.told.push(Piece::Bytes(Vec::new()));
        self.tell(end, Piece::Bytes);
        Some(status)
    }

    fn step(&mut self, body: Body, limit: usize) -> Went {
        let most = limit.min(self.received.len());
        match body {
            Body::Length(0) => return Went::ToTheEnd,
            Body::Length(left) => {
                return self.data(left.min(most), Body::Length(left - left.min(most)), Piece::Bytes);
            }
            Body::UntilClose => return self.data(most, body, Piece::Bytes),
            Body::ChunkData(0) => self.body = Some(Body::ChunkEnd),
            Body::ChunkData(left) => {
                let kind = if self.joins_chunks { Piece::Data } else { Piece::Bytes };
                return self.data(left.min(most), Body::ChunkData(left - left.min(most)), kind);
            }
            Body::ChunkEnd if self.received.len() < 2 => return Went::Nowhere,
            Body::ChunkEnd => {
                self.tell_between(2);
                self.body = Some(Body::ChunkSize);
            }
            Body::ChunkSize => {
                let Some(line) = position(&self.received, b"\r\n") else { return Went::Nowhere };
                match size(&self.received[..line]) {
                    Some(0) => {
                        self.tell(line + 2, Piece::Bytes);
                        self.body = Some(Body::Trailers);
                    }
                    Some(size) => {
                        self.tell_between(line + 2);
                        self.body = Some(Body::ChunkData(size));
                    }
                    None => self.body = Some(Body::UntilClose),
                }
            }
            Body::Trailers => {
                let Some(line) = position(&self.received, b"\r\n") else { return Went::Nowhere };
                self.tell(line + 2, Piece::Bytes);
                if line == 0 {
                    return Went::ToTheEnd;
                }
            }
        }
        Went::On(0)
    }

    fn data(&mut self, count: usize, then: Body, kind: fn(Vec<u8>) -> Piece) -> Went {
        if count == 0 {
            return Went::Nowhere;
        }
        self.tell(count, kind);
        self.body = Some(then);
        Went::On(count)
    }

    /// Tells of what stands between the data of chunks, where they are not joined.
    fn tell_between(&mut self, count: usize) {
        if self.joins_chunks {
            self.received.drain(..count);
        } else {
            self.tell(count, Piece::Bytes);
        }
    }

    fn tell(&mut self, count: usize, kind: fn(Vec<u8>) -> Piece) {
        let bytes: Vec<u8> = self.received.drain(..count).collect();
        match (self.told.last_mut(), kind(bytes)) {
            (Some(Piece::Bytes(last)), Piece::Bytes(more)) | (Some(Piece::Data(last)), Piece::Data(more)) => {
                last.extend(more);
            }
            (_, piece) => self.told.push(piece),
        }
    }
}

/// How the fields of this head, in lower case, frame its body.
fn framing(head: &str) -> Body {
    let value = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    if value("transfer-encoding").is_some() {
        return Body::ChunkSize;
    }
    value("content-length").and_then(|length| length.parse().ok()).map_or(Body::UntilClose, Body::Length)
}

fn size(line: &[u8]) -> Option<usize> {
    let digits = line.split(|byte| *byte == b';').next()?;
    usize::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn position(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
