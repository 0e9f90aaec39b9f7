//! JSON (RFC 8259), parsed strictly while it comes: events for a sink of yours, which makes the value.
//!
//! ```text
//!   chunk ──► Json: grammar, strings, numbers ──► JsonEvent ──► JsonSink ──► Output
//!                └─ error: byte, line, column ◄── reason ────────┘
//! ```
//!
//! Strict: UTF-8 without a byte order mark, no lone surrogates, no comments, no trailing commas, one value. What is kept at
//! once is one string or number and the nesting, both within limits; a sink keeps what it likes.

mod lexer;
mod strings;
mod text;

use core::fmt;
use std::borrow::Cow;

use self::lexer::Lexer;
use super::parse::{BodyParser, ParseError};

/// A piece of a JSON text. Within an object, each value comes behind its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JsonEvent<'a> {
    /// `{`
    ObjectStart,
    /// The name of an object's member; unescaped.
    Name(&'a str),
    /// `}`
    ObjectEnd,
    /// `[`
    ArrayStart,
    /// `]`
    ArrayEnd,
    /// A string; unescaped.
    String(&'a str),
    /// A number as it was written: how large and how exact it may be is the sink's affair.
    Number(&'a str),
    /// `true` or `false`
    Bool(bool),
    /// `null`
    Null,
}

/// Makes a value of events.
///
/// The events are those of a well-formed text, in order; only when it ends is it known to be one.
pub trait JsonSink: Send + 'static {
    /// What is made.
    type Output;

    /// Takes the next event.
    ///
    /// # Errors
    /// A reason not to: it is told with the place where the event's text begins.
    fn event(&mut self, event: JsonEvent<'_>) -> Result<(), Cow<'static, str>>;

    /// The text has ended.
    fn finish(self) -> Self::Output;

    /// Bytes that are kept: see [`BodyParser::held_bytes`].
    fn held_bytes(&self) -> usize {
        0
    }
}

/// A parser of JSON bodies.
///
/// ```
/// use anabranch_core::app::json::{Json, JsonEvent, JsonSink};
/// use anabranch_core::app::BodyParser;
/// use std::borrow::Cow;
///
/// /// The sum of a list of whole numbers.
/// #[derive(Default)]
/// struct Sum(i64);
///
/// impl JsonSink for Sum {
///     type Output = i64;
///     fn event(&mut self, event: JsonEvent<'_>) -> Result<(), Cow<'static, str>> {
///         match event {
///             JsonEvent::ArrayStart | JsonEvent::ArrayEnd => Ok(()),
///             JsonEvent::Number(text) => {
///                 let number: i64 = text.parse().map_err(|_| "not a whole number that fits")?;
///                 self.0 = self.0.checked_add(number).ok_or("the sum does not fit")?;
///                 Ok(())
///             }
///             _ => Err("expected a list of numbers".into()),
///         }
///     }
///     fn finish(self) -> i64 {
///         self.0
///     }
/// }
///
/// let mut json = Json::new(Sum::default());
/// json.feed(b"[1, 2")?;
/// json.feed(b"0]")?;
/// assert_eq!(json.finish()?, 21);
///
/// let error = Json::new(Sum::default()).feed(b"[1,\n 2.5]").unwrap_err();
/// assert_eq!(error.to_string(), "at byte 5, line 2, column 2: not a whole number that fits");
/// # Ok::<(), anabranch_core::app::ParseError>(())
/// ```
pub struct Json<S> {
    lexer: Lexer,
    sink: S,
}

impl<S: JsonSink> Json<S> {
    /// A parser that tells `sink`, of at most 64 levels of nesting and of strings and numbers of at most 64 KiB.
    #[must_use]
    pub const fn new(sink: S) -> Self {
        Self { lexer: Lexer::new(), sink }
    }

    /// At most so many arrays and objects within one another.
    #[must_use]
    pub const fn max_depth(mut self, levels: usize) -> Self {
        self.lexer.max_depth = levels;
        self
    }

    /// At most so many bytes in a string, unescaped, or in a number.
    #[must_use]
    pub const fn max_text_bytes(mut self, bytes: usize) -> Self {
        self.lexer.text.max_bytes = bytes;
        self
    }
}

impl<S: JsonSink> BodyParser for Json<S> {
    type Output = S::Output;

    fn feed(&mut self, chunk: &[u8]) -> Result<(), ParseError> {
        self.lexer.feed(chunk, &mut self.sink)
    }

    fn finish(mut self) -> Result<S::Output, ParseError> {
        self.lexer.finish(&mut self.sink)?;
        Ok(self.sink.finish())
    }

    fn held_bytes(&self) -> usize {
        self.lexer.held_bytes() + self.sink.held_bytes()
    }
}

impl<S> fmt::Debug for Json<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Json").field("lexer", &self.lexer).finish_non_exhaustive()
    }
}
