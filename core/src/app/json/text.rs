//! Where in a text a byte stands, and the string or number that is being read.

use super::super::parse::ParseError;

/// Where the next byte stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    offset: u64,
    line: u64,
    column: u64,
}

impl Place {
    pub(super) const START: Self = Self { offset: 0, line: 1, column: 1 };

    /// Passes one byte. A character's column is that of its first byte.
    pub(super) const fn pass(&mut self, byte: u8) {
        self.offset += 1;
        if byte == b'\n' {
            self.line += 1;
            self.column = 1;
        } else if !is_continuation(byte) {
            self.column += 1;
        }
    }

    /// Passes ASCII without line ends.
    pub(super) const fn pass_ascii(&mut self, count: usize) {
        self.offset += count as u64;
        self.column += count as u64;
    }

    pub(super) fn error(self, reason: impl Into<std::borrow::Cow<'static, str>>) -> ParseError {
        ParseError::new(self.offset, reason).with_place(self.line, self.column)
    }
}

const fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

/// A string or a number, as far as it has come.
#[derive(Debug)]
pub(super) struct Text {
    bytes: Vec<u8>,
    pub(super) max_bytes: usize,
    /// Where it begins.
    pub(super) start: Place,
}

impl Text {
    pub(super) const fn new(max_bytes: usize) -> Self {
        Self { bytes: Vec::new(), max_bytes, start: Place::START }
    }

    pub(super) fn begin(&mut self, start: Place) {
        self.bytes.clear();
        self.start = start;
    }

    /// Appends, within the limit.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), ParseError> {
        if bytes.len() > self.max_bytes - self.bytes.len() {
            let limit = self.max_bytes;
            return Err(self.start.error(format!("a string or number of more than {limit} bytes")));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    pub(super) fn as_str(&self) -> Result<&str, ParseError> {
        // Every byte was judged when it came: this is UTF-8.
        core::str::from_utf8(&self.bytes).map_err(|_| self.start.error("not UTF-8"))
    }

    pub(super) const fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}

/// A character in UTF-8, as far as it has come (RFC 3629 §4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Utf8 {
    /// Continuation bytes to come.
    missing: u8,
    /// What the next of them may be.
    low: u8,
    high: u8,
}

impl Utf8 {
    pub(super) const WHOLE: Self = Self { missing: 0, low: 0x80, high: 0xBF };

    pub(super) const fn is_whole(self) -> bool {
        self.missing == 0
    }

    /// Takes the next byte; says whether it may stand there.
    pub(super) const fn push(&mut self, byte: u8) -> bool {
        if self.missing > 0 {
            let fits = self.low <= byte && byte <= self.high;
            *self = Self { missing: self.missing - 1, ..Self::WHOLE };
            return fits;
        }
        // No overlong forms, no surrogates, nothing beyond U+10FFFF.
        let (missing, low, high) = match byte {
            0x00..=0x7F => return true,
            0xC2..=0xDF => (1, 0x80, 0xBF),
            0xE0 => (2, 0xA0, 0xBF),
            0xED => (2, 0x80, 0x9F),
            0xE1..=0xEF => (2, 0x80, 0xBF),
            0xF0 => (3, 0x90, 0xBF),
            0xF1..=0xF3 => (3, 0x80, 0xBF),
            0xF4 => (3, 0x80, 0x8F),
            _ => return false,
        };
        *self = Self { missing, low, high };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf8_is_taken_where_the_standard_library_takes_it() {
        let judge = |bytes: &[u8]| {
            let mut utf8 = Utf8::WHOLE;
            bytes.iter().all(|byte| utf8.push(*byte)) && utf8.is_whole()
        };
        let edges = [0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0];
        let edges =
            [&edges[..], &[0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF]].concat();
        for a in 0..=255 {
            for b in &edges {
                for c in &edges {
                    for d in &edges {
                        let bytes = [a, *b, *c, *d];
                        for length in 1..=4 {
                            let bytes = &bytes[..length];
                            assert_eq!(judge(bytes), core::str::from_utf8(bytes).is_ok(), "{bytes:x?}");
                        }
                    }
                }
            }
        }
    }
}
