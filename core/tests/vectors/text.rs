//! Answers and ends as lines of text.

use anabranch_core::testing::escaped;
use anabranch_core::{CloseKind, CloseReason, WriteOperation};

/// Answers in lines: a line a head, a line a body.
pub(crate) fn answer_lines(output: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut from = 0;
    for at in 1..output.len() {
        if output[from..at].ends_with(b"\r\n\r\n") || output[at..].starts_with(b"HTTP/1.1 ") {
            lines.push(escaped(&output[from..at]));
            from = at;
        }
    }
    if from < output.len() {
        lines.push(escaped(&output[from..]));
    }
    lines
}

/// How a connection that is closed ended.
pub(crate) fn closed(write: WriteOperation, reason: CloseReason) -> String {
    match write {
        WriteOperation::Close(CloseKind::Reset) => format!("reset, {reason}"),
        _ => format!("closed, {reason}"),
    }
}

/// Whether that is what this says.
pub(crate) fn is_closed(end: &str) -> bool {
    end.starts_with("closed, ") || end.starts_with("reset, ")
}
