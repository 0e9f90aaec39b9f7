//! Bodies parsed while they come: bytes in, a typed value out, or the place where it went wrong.
//!
//! ```text
//!   body ── chunk ──► BodyParser::feed ──► .. ──► finish ──► Ok(value) ──► handler
//!                          └─ error: at once, whatever is still to come ──► Err(place, reason) ──► handler
//! ```

use core::fmt;
use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use http::StatusCode;

use super::memory::{Charge, MemoryBudget};
use super::outcome::Outcome;
use super::request::Request;
use super::response::Response;
use super::service::Context;
use crate::http1::Refusal;

/// Makes a value of a body, chunk by chunk.
///
/// It is fed on the connection's thread as bytes come, so it must not block. Where chunks begin and end says nothing: what
/// it makes of a body, and where it finds an error, must not depend on it. It keeps what it needs of each chunk, within
/// bounds of its own, and says how much that is.
///
/// ```
/// use anabranch_core::app::{BodyParser, ParseError};
///
/// /// Decimal numbers, one a line, added up.
/// #[derive(Default)]
/// struct Sum {
///     sum: u64,
///     number: u64,
///     offset: u64,
/// }
///
/// impl BodyParser for Sum {
///     type Output = u64;
///
///     fn feed(&mut self, chunk: &[u8]) -> Result<(), ParseError> {
///         for byte in chunk {
///             let grown = match byte {
///                 b'\n' => self.sum.checked_add(core::mem::take(&mut self.number)).map(|sum| self.sum = sum),
///                 b'0'..=b'9' => self.number.checked_mul(10).and_then(|tens| tens.checked_add(u64::from(byte - b'0')))
///                     .map(|number| self.number = number),
///                 _ => return Err(ParseError::new(self.offset, "expected a digit or a line end")),
///             };
///             grown.ok_or_else(|| ParseError::new(self.offset, "the sum is too large"))?;
///             self.offset += 1;
///         }
///         Ok(())
///     }
///
///     fn finish(self) -> Result<u64, ParseError> {
///         self.sum.checked_add(self.number).ok_or_else(|| ParseError::new(self.offset, "the sum is too large"))
///     }
/// }
///
/// let mut parser = Sum::default();
/// parser.feed(b"1\n2")?;
/// parser.feed(b"0\n")?;
/// assert_eq!(parser.finish()?, 21);
/// let error = Sum::default().feed(b"1\n2x").unwrap_err();
/// assert_eq!(error.to_string(), "at byte 3: expected a digit or a line end");
/// # Ok::<(), ParseError>(())
/// ```
pub trait BodyParser: Send + 'static {
    /// What is made of a body.
    type Output;

    /// Takes the next bytes, which are not empty.
    ///
    /// # Errors
    /// The first thing that is wrong. Nothing more is fed after it, and [`finish`](Self::finish) is not called.
    fn feed(&mut self, chunk: &[u8]) -> Result<(), ParseError>;

    /// The body has ended: its value.
    ///
    /// # Errors
    /// What is missing, as a rule.
    fn finish(self) -> Result<Self::Output, ParseError>;

    /// Bytes that are kept of what was fed: counted against the process's budget
    /// ([`MemoryBudget`](super::MemoryBudget)) after each chunk.
    fn held_bytes(&self) -> usize {
        0
    }
}

/// Where a body went wrong, and how. As an answer: 400, which tells both.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParseError {
    offset: u64,
    place: Option<(u64, u64)>,
    reason: Cow<'static, str>,
}

impl ParseError {
    /// Something is wrong with the byte at `offset`, counted from 0; where bytes are missing, that is the body's length.
    #[must_use]
    pub fn new(offset: u64, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { offset, place: None, reason: reason.into() }
    }

    /// The same, for a format that people read: on which line, and at which character of it, both counted from 1.
    #[must_use]
    pub fn with_place(mut self, line: u64, column: u64) -> Self {
        self.place = Some((line, column));
        self
    }

    /// The byte's offset in the body, counted from 0.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Line and column, counted from 1, where the format has such.
    #[must_use]
    pub const fn place(&self) -> Option<(u64, u64)> {
        self.place
    }

    /// What is wrong.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}", self.offset)?;
        if let Some((line, column)) = self.place {
            write!(f, ", line {line}, column {column}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

impl core::error::Error for ParseError {}

impl From<ParseError> for Response {
    fn from(error: ParseError) -> Self {
        Self::text(format!("400: {error}\n")).with_status(StatusCode::BAD_REQUEST)
    }
}

/// A parser, and the handler that waits for what it makes.
pub struct Parse {
    pub(crate) work: Box<dyn ParseWork>,
    pub(crate) max_bytes: usize,
}

impl Parse {
    pub(crate) fn new<P, O>(
        max_bytes: usize,
        parser: P,
        then: impl FnOnce(&mut Request, Result<P::Output, ParseError>, &mut Context<'_>) -> O + Send + 'static,
    ) -> Self
    where
        P: BodyParser,
        O: Into<Outcome>,
    {
        Self { work: Box::new(Work { parser, then }), max_bytes }
    }
}

impl fmt::Debug for Parse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parse").field("max_bytes", &self.max_bytes).finish_non_exhaustive()
    }
}

/// A parser and its handler, whatever is made.
pub(crate) trait ParseWork: Send {
    fn feed(&mut self, chunk: &[u8]) -> Result<(), ParseError>;
    fn held_bytes(&self) -> usize;
    /// Calls the handler: with `error`, or with what was made.
    fn conclude(
        self: Box<Self>,
        error: Option<ParseError>,
        request: &mut Request,
        context: &mut Context<'_>,
    ) -> Outcome;
}

struct Work<P, F> {
    parser: P,
    then: F,
}

impl<P, F, O> ParseWork for Work<P, F>
where
    P: BodyParser,
    F: FnOnce(&mut Request, Result<P::Output, ParseError>, &mut Context<'_>) -> O + Send,
    O: Into<Outcome>,
{
    fn feed(&mut self, chunk: &[u8]) -> Result<(), ParseError> {
        self.parser.feed(chunk)
    }

    fn held_bytes(&self) -> usize {
        self.parser.held_bytes()
    }

    fn conclude(
        self: Box<Self>,
        error: Option<ParseError>,
        request: &mut Request,
        context: &mut Context<'_>,
    ) -> Outcome {
        let Self { parser, then } = *self;
        let parsed = match error {
            Some(error) => Err(error),
            None => parser.finish(),
        };
        then(request, parsed, context).into()
    }
}

/// A body that is being parsed.
pub(crate) struct Parsing {
    pub(crate) work: Box<dyn ParseWork>,
    /// Bytes that may still come.
    room: usize,
    max_bytes: usize,
    charge: Option<Charge>,
}

/// Why a body is not parsed on.
pub(crate) enum ParseEnd {
    Malformed(ParseError),
    Refused(Refusal),
    Panicked,
}

impl Parsing {
    pub(crate) fn new(parse: Parse) -> Self {
        let Parse { work, max_bytes } = parse;
        Self { work, room: max_bytes, max_bytes, charge: None }
    }

    /// Feeds what came, as far as it is within the limit: an error in front of the limit is found first however the bytes
    /// were cut.
    pub(crate) fn feed(&mut self, data: &[u8], memory: &MemoryBudget) -> Result<(), ParseEnd> {
        let (within, beyond) = data.split_at(data.len().min(self.room));
        if !within.is_empty() {
            let work = &mut self.work;
            let fed = catch_unwind(AssertUnwindSafe(|| work.feed(within).map(|()| work.held_bytes())));
            let held = fed.map_err(|_| ParseEnd::Panicked)?.map_err(ParseEnd::Malformed)?;
            self.room -= within.len();
            self.hold(held, memory).map_err(ParseEnd::Refused)?;
        }
        if beyond.is_empty() {
            Ok(())
        } else {
            Err(ParseEnd::Refused(Refusal::BodyOverHandlerLimit { limit: self.max_bytes }))
        }
    }

    fn hold(&mut self, bytes: usize, memory: &MemoryBudget) -> Result<(), Refusal> {
        let granted = match &mut self.charge {
            Some(charge) if charge.bytes() >= bytes => {
                charge.shrink(charge.bytes() - bytes);
                true
            }
            Some(charge) => charge.grow(bytes - charge.bytes()),
            None if bytes == 0 => true,
            None => {
                self.charge = memory.charge(bytes);
                self.charge.is_some()
            }
        };
        if granted { Ok(()) } else { Err(Refusal::OutOfMemory) }
    }
}
