//! What came, as lines that a person can read and a file can keep.
//!
//! ```text
//!   < HTTP/1.1 200 OK\r\n     a line as it came
//!   < date: {date}\r\n        the clock's own date, masked
//!   <7692 abc                 so many times the same
//!   <+ hello                  data of chunks, joined
//! ```

use std::time::{Duration, SystemTime};

use anabranch_core::testing::escaped;

/// A stretch of what came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Piece {
    /// As it came.
    Bytes(Vec<u8>),
    /// Data of chunks, without what was between them.
    Data(Vec<u8>),
}

/// A line each line of these, with the mark of its kind.
pub(super) fn lines_of(pieces: &[Piece]) -> Vec<String> {
    let mut lines = Vec::new();
    for piece in pieces {
        let (mark, bytes) = match piece {
            Piece::Bytes(bytes) => ("<", bytes),
            Piece::Data(bytes) => ("<+", bytes),
        };
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            push_line(&mut lines, mark, line);
        }
    }
    lines
}

fn push_line(lines: &mut Vec<String>, mark: &str, line: &[u8]) {
    if is_date(line) {
        lines.push(format!("{mark} date: {{date}}\\r\\n"));
        return;
    }
    let (period, count) = repeated(line);
    if count > 1 {
        let (same, rest) = line.split_at(period * count);
        lines.push(format!("{mark}{count} {}", escaped(&same[..period])));
        if !rest.is_empty() {
            push_line(lines, mark, rest);
        }
    } else {
        lines.push(format!("{mark} {}", escaped(line)));
    }
}

/// Lines this long and longer are looked through for what repeats.
const LONG: usize = 200;

/// How long what a long line begins with and repeats is, and how often it stands there: (0, 0) where it is nothing.
fn repeated(line: &[u8]) -> (usize, usize) {
    let same =
        |period: usize| line.iter().skip(period).zip(line).take_while(|(one, other)| one == other).count();
    let count = |period: usize| (period + same(period)) / period;
    let periods = 1..=64.min(line.len() / 2);
    periods
        .map(|period| (period, count(period)))
        .find(|(period, count)| period * count >= LONG)
        .unwrap_or((0, 0))
}

/// Whether this is the `Date` of an answer that was made just now, in the one form there is to send (RFC 9110 §6.6.1).
fn is_date(line: &[u8]) -> bool {
    let text = std::str::from_utf8(line).ok();
    let Some(date) = text.and_then(|line| line.strip_prefix("date: ")?.strip_suffix("\r\n")) else {
        return false;
    };
    let Ok(time) = httpdate::parse_http_date(date) else { return false };
    let now = SystemTime::now();
    let apart = now.duration_since(time).unwrap_or_else(|early| early.duration());
    httpdate::fmt_http_date(time) == date && apart < Duration::from_secs(60)
}
