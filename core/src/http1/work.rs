//! What a connection needs while it is busy and gives back when it is idle.

use core::hint::cold_path;
use core::ops::Range;

use bytes::{Bytes, BytesMut};

use super::chunk::ChunkDecoder;
use super::framing::BodyLength;
use super::head::RequestHead;
use super::refusal::Refusal;
use super::scan::{Scan, Section};
use crate::buf::{Output, keep_tail};
use crate::time::Instant;
use crate::turn::Pool;

/// The busy part of a connection. Lent by the driver thread's [`Pool`], so that an idle connection holds no buffer.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// Input that could not be used yet.
    pub(crate) inbox: BytesMut,
    /// More was kept behind what was kept before: the allocation of both is larger than what may be left in it.
    pub(crate) joined: bool,
    /// How much was kept since the server drained. While it does not drain nobody asks.
    pub(crate) came_after: usize,
    pub(crate) scan: Scan,
    /// Done with, for the next head to be read into.
    pub(crate) spare_head: Option<Box<RequestHead>>,
    pub(crate) output: Output,
    /// Output taken by the driver and not reported yet.
    pub(crate) in_flight: usize,
    pub(crate) request: RequestFacts,
    pub(crate) body: BodyState,
    pub(crate) answer: AnswerBody,
    /// Where the body lies that was handed over last. What lies elsewhere holds nothing of a driver's buffer.
    handed_over: Range<usize>,
}

/// What is remembered of the request that is being answered.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RequestFacts {
    pub(crate) http11: bool,
    pub(crate) is_head: bool,
    pub(crate) is_connect: bool,
    pub(crate) offers_upgrade: bool,
    pub(crate) expects_continue: bool,
    pub(crate) continued: bool,
    /// HTTP/1.1, and neither HEAD nor CONNECT: the answer is framed as most are.
    pub(crate) is_plain: bool,
}

impl RequestFacts {
    #[inline]
    pub(crate) fn of(head: &RequestHead) -> Self {
        let http11 = head.version() == http::Version::HTTP_11;
        let (is_head, is_connect) = match *head.method() {
            http::Method::HEAD => (true, false),
            http::Method::CONNECT => (false, true),
            _ => (false, false),
        };
        Self {
            http11,
            is_head,
            is_connect,
            is_plain: http11 && !is_head && !is_connect,
            offers_upgrade: head.offers_upgrade(),
            expects_continue: head.expects_continue(),
            continued: false,
        }
    }

    /// What is known of a request whose head begins with `bytes` and is refused: answered as any HTTP/1.1 request is, but
    /// without content if it asks for none (RFC 9110 §9.3.2).
    pub(crate) fn of_refused(bytes: &[u8], refusal: Refusal) -> Self {
        let line = bytes.strip_prefix(b"\r\n").unwrap_or(bytes);
        // A method that is too long for its line is not looked for the end of: more of it may or may not have come.
        let is_head = line.starts_with(b"HEAD ") && !matches!(refusal, Refusal::MethodTooLong { .. });
        Self { http11: true, is_head, ..Self::default() }
    }
}

/// Where the request's body stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyState {
    pub(crate) declared: BodyLength,
    pub(crate) rest: BodyRest,
    pub(crate) taking: Taking,
    /// Data bytes so far.
    pub(crate) received: u64,
    /// When it began to be read, moved on by every pause.
    pub(crate) since: Instant,
    /// When it was asked for, or last made progress.
    pub(crate) latest: Instant,
    /// When it was paused.
    pub(crate) paused_at: Instant,
}

impl Default for BodyState {
    fn default() -> Self {
        Self {
            declared: BodyLength::Empty,
            rest: BodyRest::End,
            taking: Taking::Held,
            received: 0,
            since: Instant::ORIGIN,
            latest: Instant::ORIGIN,
            paused_at: Instant::ORIGIN,
        }
    }
}

impl BodyState {
    pub(crate) fn declared(length: BodyLength, now: Instant) -> Self {
        let rest = match length {
            BodyLength::Empty => BodyRest::End,
            BodyLength::Known(left) => BodyRest::Length(left),
            BodyLength::Chunked => BodyRest::Chunks(ChunkDecoder::default()),
        };
        Self {
            declared: length,
            rest,
            taking: Taking::Held,
            received: 0,
            since: now,
            latest: now,
            paused_at: now,
        }
    }
}

/// What is still to come of a body.
#[derive(Clone, Copy, Debug)]
pub(crate) enum BodyRest {
    Length(u64),
    Chunks(ChunkDecoder),
    Trailers,
    End,
}

impl BodyRest {
    /// Bytes of the body that come before anything else can: more may follow.
    pub(crate) const fn bytes_for_sure(&self) -> u64 {
        match self {
            Self::Length(left) => *left,
            Self::Chunks(decoder) => decoder.bytes_left(),
            Self::Trailers | Self::End => 0,
        }
    }
}

/// What becomes of a body's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Taking {
    /// Nobody has asked for the body yet.
    Held,
    /// They are delivered as they come.
    Wanted,
    /// They wait until the application has room.
    Paused,
    /// They are dropped, and the connection goes on.
    Dropped,
}

/// What is still to be sent of an answer's body.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum AnswerBody {
    /// No body is sent, whatever the application supplies: HEAD, 204, 304.
    #[default]
    Nothing,
    Length(u64),
    Chunks,
    UntilClose,
}

impl Work {
    #[inline]
    pub(crate) fn lend(pool: &mut Pool) -> Box<Self> {
        pool.take().unwrap_or_else(Self::fresh)
    }

    #[cold]
    fn fresh() -> Box<Self> {
        Box::default()
    }

    /// Gives `self` back, [spare](Self::is_spare) as it is: nothing of the connection stays in it.
    #[inline]
    pub(crate) fn give_back(mut self: Box<Self>, pool: &mut Pool) {
        debug_assert!(self.is_spare());
        self.free_inbox();
        if !self.scan.is_fresh() {
            cold_path();
            self.scan = Scan::new(Section::Head);
        }
        self.answer = AnswerBody::Nothing;
        pool.give(self);
    }

    /// Whether nothing of the connection is in it.
    #[inline]
    pub(crate) fn is_spare(&self) -> bool {
        self.inbox.is_empty() && self.output.is_empty() && self.in_flight == 0
    }
}

impl Work {
    /// Where the next bytes come from: what was kept, joined by what came, or just what came.
    #[inline]
    pub(crate) fn source<'a>(
        &'a mut self,
        input: &'a mut BytesMut,
    ) -> (&'a mut BytesMut, &'a mut Scan, &'a mut BodyState) {
        if self.inbox.is_empty() {
            return (input, &mut self.scan, &mut self.body);
        }
        cold_path();
        if !input.is_empty() {
            self.keep(input);
        }
        (&mut self.inbox, &mut self.scan, &mut self.body)
    }

    /// Keeps `input` behind what was kept before, and empties it.
    pub(crate) fn keep(&mut self, input: &mut BytesMut) {
        self.came_after = self.came_after.saturating_add(input.len());
        self.joined = !self.inbox.is_empty();
        keep_tail(&mut self.inbox, input);
    }

    /// `body` is handed over, and may be a part of the driver's buffer.
    #[inline]
    pub(crate) fn hand_over(&mut self, body: &Bytes) {
        let start = body.as_ptr() as usize;
        self.handed_over = start..start + body.len();
    }

    /// Appends the body of an answer that is whole: what was handed over may come back that way.
    #[inline]
    pub(crate) fn push_whole(&mut self, body: Bytes) {
        if self.handed_over.contains(&(body.as_ptr() as usize)) {
            self.output.push_lent(body);
        } else {
            self.output.push(body);
        }
    }

    /// What is in the inbox has come before the server drains; what is kept from here on comes after.
    pub(crate) const fn drain(&mut self) {
        self.came_after = 0;
    }

    /// What had come before the server drained, as far as it is not used yet. All that comes later stands behind it, and
    /// bytes are used from the front: they are used up before one that came later is taken past the inbox.
    pub(crate) fn came_before(&self) -> &[u8] {
        &self.inbox[..self.inbox.len().saturating_sub(self.came_after)]
    }

    /// Lets go of an inbox that was used up.
    #[inline]
    pub(crate) fn free_inbox(&mut self) {
        if self.inbox.is_empty() && self.inbox.capacity() > 0 {
            self.drop_inbox();
        }
    }

    /// The same where a head or a body has come to its end: what is behind it is not kept in the allocation of both.
    #[inline]
    pub(crate) fn part_inbox(&mut self) {
        if self.inbox.capacity() > 0 {
            self.part_kept();
        }
    }

    #[cold]
    fn drop_inbox(&mut self) {
        self.joined = false;
        self.inbox = BytesMut::new();
    }

    /// By a copy of its own size. At most what came last is left: so all of these cost no more than the reads did.
    #[cold]
    fn part_kept(&mut self) {
        if self.inbox.is_empty() {
            self.drop_inbox();
        } else if self.joined {
            self.joined = false;
            self.inbox = BytesMut::from(&self.inbox[..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_knows_nothing_of_the_answer_it_served() {
        let mut pool = Pool::default();
        let mut work = Work::lend(&mut pool);
        work.answer = AnswerBody::UntilClose;
        work.give_back(&mut pool);
        assert_eq!(Work::lend(&mut pool).answer, AnswerBody::Nothing);
    }
}
