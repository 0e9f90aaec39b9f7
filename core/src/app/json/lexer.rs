//! The grammar of JSON (RFC 8259 §2 to §6), a byte at a time.
//!
//! ```text
//!   Value ──► scalar ─────────────────────────────────────► After ──► , ──► Value or Name
//!     │ [ ──► FirstItem ──► .. ──► ]  ─────────────────────►  │
//!     │ { ──► FirstName ──► Name ──► Colon ──► Value .. } ──►  └─ outermost: only white space
//! ```

use core::fmt;

use super::super::parse::ParseError;
use super::strings::{Goes, StringState};
use super::text::{Place, Text};
use super::{JsonEvent, JsonSink};

#[derive(Debug)]
pub(super) struct Lexer {
    state: State,
    open: Vec<Container>,
    pub(super) max_depth: usize,
    pub(super) text: Text,
    place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Container {
    Array,
    Object,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// A value.
    Value,
    /// Behind `[`: a value, or `]`.
    FirstItem,
    /// Behind `{`: a name, or `}`.
    FirstName,
    /// Behind a comma in an object.
    Name,
    /// Behind a name.
    Colon,
    /// Behind a value.
    After,
    /// Within a string.
    String(StringRole, StringState),
    /// Within a number.
    Number(Number),
    /// Within `true`, `false` or `null`.
    Word(Word, usize),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum StringRole {
    Value,
    Name,
}

/// How far a number has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Number {
    Minus,
    /// A zero in front, which no digit follows.
    Zero,
    Whole,
    Point,
    Fraction,
    E,
    Sign,
    Exponent,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Word {
    True,
    False,
    Null,
}

const DEFAULT_DEPTH: usize = 64;
const DEFAULT_TEXT_BYTES: usize = 64 * 1024;

impl Lexer {
    pub(super) const fn new() -> Self {
        Self {
            state: State::Value,
            open: Vec::new(),
            max_depth: DEFAULT_DEPTH,
            text: Text::new(DEFAULT_TEXT_BYTES),
            place: Place::START,
        }
    }

    pub(super) fn feed(&mut self, mut chunk: &[u8], sink: &mut impl JsonSink) -> Result<(), ParseError> {
        while let Some((byte, rest)) = chunk.split_first() {
            if let State::String(_, string) = &self.state {
                let plain = string.plain_run(chunk);
                if plain > 0 {
                    self.text.push(&chunk[..plain])?;
                    self.place.pass_ascii(plain);
                    chunk = &chunk[plain..];
                    continue;
                }
            }
            self.byte(*byte, sink)?;
            self.place.pass(*byte);
            chunk = rest;
        }
        Ok(())
    }

    pub(super) fn finish(&mut self, sink: &mut impl JsonSink) -> Result<(), ParseError> {
        if let State::Number(number) = self.state {
            // Nothing but its end tells that an outermost number is whole.
            self.end_number(number, Found::End, sink)?;
        }
        if self.state == State::After && self.open.is_empty() {
            return Ok(());
        }
        Err(self.place.error(format!("expected {}, found {}", self.expected(), Found::End)))
    }

    pub(super) const fn held_bytes(&self) -> usize {
        self.text.capacity() + self.open.capacity()
    }

    fn byte(&mut self, byte: u8, sink: &mut impl JsonSink) -> Result<(), ParseError> {
        match self.state {
            State::String(role, mut string) => {
                let goes = string.push(byte, self.place, &mut self.text)?;
                self.state = State::String(role, string);
                if goes == Goes::Ended {
                    self.end_string(role, sink)?;
                }
                return Ok(());
            }
            State::Word(word, come) => return self.word(word, come, byte, sink),
            State::Number(number) => {
                if let Some(next) = number.next(byte) {
                    self.state = State::Number(next);
                    return self.text.push(&[byte]);
                }
                self.end_number(number, Found::Byte(byte), sink)?;
            }
            _ => {}
        }
        match (self.state, byte) {
            (_, b' ' | b'\t' | b'\n' | b'\r') => Ok(()),
            (State::FirstItem, b']') => self.close(Container::Array, sink),
            (State::FirstName, b'}') => self.close(Container::Object, sink),
            (State::Value | State::FirstItem, _) => self.value(byte, sink),
            (State::FirstName | State::Name, b'"') => {
                self.text.begin(self.place);
                self.state = State::String(StringRole::Name, StringState::START);
                Ok(())
            }
            (State::Colon, b':') => {
                self.state = State::Value;
                Ok(())
            }
            (State::After, b',') => {
                self.state = match self.open.last() {
                    Some(Container::Array) => State::Value,
                    Some(Container::Object) => State::Name,
                    None => return Err(self.unexpected(byte)),
                };
                Ok(())
            }
            (State::After, b']') if self.open.last() == Some(&Container::Array) => {
                self.close(Container::Array, sink)
            }
            (State::After, b'}') if self.open.last() == Some(&Container::Object) => {
                self.close(Container::Object, sink)
            }
            _ => Err(self.unexpected(byte)),
        }
    }

    fn value(&mut self, byte: u8, sink: &mut impl JsonSink) -> Result<(), ParseError> {
        self.text.begin(self.place);
        self.state = match byte {
            b'[' => return self.open(Container::Array, sink),
            b'{' => return self.open(Container::Object, sink),
            b'"' => State::String(StringRole::Value, StringState::START),
            b't' => State::Word(Word::True, 1),
            b'f' => State::Word(Word::False, 1),
            b'n' => State::Word(Word::Null, 1),
            b'-' => State::Number(Number::Minus),
            b'0' => State::Number(Number::Zero),
            b'1'..=b'9' => State::Number(Number::Whole),
            _ => return Err(self.unexpected(byte)),
        };
        if matches!(self.state, State::Number(_)) { self.text.push(&[byte]) } else { Ok(()) }
    }

    fn open(&mut self, container: Container, sink: &mut impl JsonSink) -> Result<(), ParseError> {
        if self.open.len() >= self.max_depth {
            let limit = self.max_depth;
            return Err(self.place.error(format!("more than {limit} arrays and objects within one another")));
        }
        self.open.push(container);
        let (state, event) = match container {
            Container::Array => (State::FirstItem, JsonEvent::ArrayStart),
            Container::Object => (State::FirstName, JsonEvent::ObjectStart),
        };
        self.state = state;
        tell(sink, event, self.place)
    }

    /// Closes the innermost container, which is of this kind.
    fn close(&mut self, container: Container, sink: &mut impl JsonSink) -> Result<(), ParseError> {
        self.open.pop();
        self.state = State::After;
        let event = match container {
            Container::Array => JsonEvent::ArrayEnd,
            Container::Object => JsonEvent::ObjectEnd,
        };
        tell(sink, event, self.place)
    }

    fn end_string(&mut self, role: StringRole, sink: &mut impl JsonSink) -> Result<(), ParseError> {
        let text = self.text.as_str()?;
        let (state, event) = match role {
            StringRole::Value => (State::After, JsonEvent::String(text)),
            StringRole::Name => (State::Colon, JsonEvent::Name(text)),
        };
        self.state = state;
        tell(sink, event, self.text.start)
    }

    /// Ends a number in front of `found`, where it may end.
    fn end_number(
        &mut self,
        number: Number,
        found: Found,
        sink: &mut impl JsonSink,
    ) -> Result<(), ParseError> {
        if !number.may_end() {
            return Err(self.place.error(format!("expected a digit, found {found}")));
        }
        self.state = State::After;
        tell(sink, JsonEvent::Number(self.text.as_str()?), self.text.start)
    }

    fn word(
        &mut self,
        word: Word,
        come: usize,
        byte: u8,
        sink: &mut impl JsonSink,
    ) -> Result<(), ParseError> {
        let (text, event) = word.text_and_event();
        if text.as_bytes().get(come) != Some(&byte) {
            return Err(self.unexpected(byte));
        }
        if come + 1 < text.len() {
            self.state = State::Word(word, come + 1);
            return Ok(());
        }
        self.state = State::After;
        tell(sink, event, self.text.start)
    }

    fn unexpected(&self, byte: u8) -> ParseError {
        self.place.error(format!("expected {}, found {}", self.expected(), Found::Byte(byte)))
    }

    /// What may stand here.
    fn expected(&self) -> &'static str {
        match (self.state, self.open.last()) {
            (State::Value, _) => "a value",
            (State::FirstItem, _) => "a value or ']'",
            (State::FirstName, _) => "a name in quotes or '}'",
            (State::Name, _) => "a name in quotes",
            (State::Colon, _) => "':'",
            (State::After, Some(Container::Array)) => "',' or ']'",
            (State::After, Some(Container::Object)) => "',' or '}'",
            (State::After, None) => "nothing behind the value",
            (State::String(..), _) => "the string's end",
            (State::Number(_), _) => "a digit",
            (State::Word(word, _), _) => word.text_and_event().0,
        }
    }
}

impl Number {
    /// Where a number is with one byte more; `None` where that is no part of it.
    const fn next(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Minus, b'0') => Self::Zero,
            (Self::Minus, b'1'..=b'9') | (Self::Whole, b'0'..=b'9') => Self::Whole,
            (Self::Zero | Self::Whole, b'.') => Self::Point,
            (Self::Point | Self::Fraction, b'0'..=b'9') => Self::Fraction,
            (Self::Zero | Self::Whole | Self::Fraction, b'e' | b'E') => Self::E,
            (Self::E, b'+' | b'-') => Self::Sign,
            (Self::E | Self::Sign | Self::Exponent, b'0'..=b'9') => Self::Exponent,
            _ => return None,
        })
    }

    const fn may_end(self) -> bool {
        matches!(self, Self::Zero | Self::Whole | Self::Fraction | Self::Exponent)
    }
}

impl Word {
    const fn text_and_event(self) -> (&'static str, JsonEvent<'static>) {
        match self {
            Self::True => ("true", JsonEvent::Bool(true)),
            Self::False => ("false", JsonEvent::Bool(false)),
            Self::Null => ("null", JsonEvent::Null),
        }
    }
}

/// What stands where something else should.
enum Found {
    Byte(u8),
    End,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Byte(byte @ 0x21..=0x7E) => write!(f, "'{}'", char::from(*byte)),
            Self::Byte(byte) => write!(f, "byte 0x{byte:02x}"),
            Self::End => f.write_str("the end"),
        }
    }
}

fn tell(sink: &mut impl JsonSink, event: JsonEvent<'_>, place: Place) -> Result<(), ParseError> {
    sink.event(event).map_err(|reason| place.error(reason))
}
