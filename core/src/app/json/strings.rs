//! The inside of a JSON string (RFC 8259 §7): characters, escapes, surrogate pairs.

use super::super::parse::ParseError;
use super::text::{Place, Text, Utf8};

/// How far a string has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct StringState {
    utf8: Utf8,
    escape: Escape,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Escape {
    No,
    /// Behind a backslash.
    Begun,
    /// Within the four digits of `\u`, behind a high surrogate where there was one.
    Digits {
        value: u16,
        missing: u8,
        high: Option<u16>,
    },
    /// A high surrogate: the backslash of the low one has to follow.
    LowBackslash {
        high: u16,
    },
    /// And its `u`.
    LowLetter {
        high: u16,
    },
}

/// Whether a string goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Goes {
    On,
    Ended,
}

const LONE: &str = "a surrogate without its other half";

impl StringState {
    pub(super) const START: Self = Self { utf8: Utf8::WHOLE, escape: Escape::No };

    /// Takes one byte, which stands at `place`.
    pub(super) fn push(&mut self, byte: u8, place: Place, text: &mut Text) -> Result<Goes, ParseError> {
        match self.escape {
            Escape::No => return self.plain(byte, place, text),
            Escape::Begun => self.escaped(byte, place, text)?,
            Escape::Digits { value, missing, high } => {
                let Some(digit) = char::from(byte).to_digit(16) else {
                    return Err(place.error("expected four hexadecimal digits behind \\u"));
                };
                // A hexadecimal digit is less than 16.
                let value = value << 4 | digit as u16;
                if missing > 1 {
                    self.escape = Escape::Digits { value, missing: missing - 1, high };
                } else {
                    self.escape = Self::unit(value, high, place, text)?;
                }
            }
            Escape::LowBackslash { high } if byte == b'\\' => self.escape = Escape::LowLetter { high },
            Escape::LowLetter { high } if byte == b'u' => {
                self.escape = Escape::Digits { value: 0, missing: 4, high: Some(high) };
            }
            Escape::LowBackslash { .. } | Escape::LowLetter { .. } => return Err(place.error(LONE)),
        }
        Ok(Goes::On)
    }

    /// How many bytes from the start of these are ASCII that stands for itself.
    pub(super) fn plain_run(&self, bytes: &[u8]) -> usize {
        if self.escape != Escape::No || !self.utf8.is_whole() {
            return 0;
        }
        let is_plain = |byte: &u8| matches!(byte, 0x20..=0x7F) && !matches!(byte, b'"' | b'\\');
        bytes.iter().position(|byte| !is_plain(byte)).unwrap_or(bytes.len())
    }

    fn plain(&mut self, byte: u8, place: Place, text: &mut Text) -> Result<Goes, ParseError> {
        if !self.utf8.push(byte) {
            return Err(place.error("not UTF-8"));
        }
        match byte {
            b'"' => return Ok(Goes::Ended),
            b'\\' => self.escape = Escape::Begun,
            0x00..=0x1F => return Err(place.error("a control character in a string is escaped")),
            byte => text.push(&[byte])?,
        }
        Ok(Goes::On)
    }

    fn escaped(&mut self, byte: u8, place: Place, text: &mut Text) -> Result<(), ParseError> {
        let character = match byte {
            b'"' | b'\\' | b'/' => byte,
            b'b' => 0x08,
            b'f' => 0x0C,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                self.escape = Escape::Digits { value: 0, missing: 4, high: None };
                return Ok(());
            }
            _ => {
                return Err(place
                    .error("no such escape: \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX are those there are"));
            }
        };
        self.escape = Escape::No;
        text.push(&[character])
    }

    /// Takes a UTF-16 code unit; says what has to follow.
    fn unit(unit: u16, high: Option<u16>, place: Place, text: &mut Text) -> Result<Escape, ParseError> {
        let units = match high {
            None if (0xD800..0xDC00).contains(&unit) => return Ok(Escape::LowBackslash { high: unit }),
            None => &[unit][..],
            Some(high) => &[high, unit],
        };
        match char::decode_utf16(units.iter().copied()).next() {
            Some(Ok(character)) => text.push(character.encode_utf8(&mut [0; 4]).as_bytes())?,
            _ => return Err(place.error(LONE)),
        }
        Ok(Escape::No)
    }
}
