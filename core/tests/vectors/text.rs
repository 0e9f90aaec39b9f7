//! Bytes as text that shows every one of them, and back.

use anabranch_core::{CloseKind, CloseReason, WriteOperation};

/// `\r`, `\n`, `\t`, `\\` and `\xNN` for what a person could not see; the rest as it is.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        match byte {
            b'\r' => text.push_str("\\r"),
            b'\n' => text.push_str("\\n"),
            b'\t' => text.push_str("\\t"),
            b'\\' => text.push_str("\\\\"),
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text
}

/// What [`shown`] shows. `Err` names the escape that is none.
pub(crate) fn bytes(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let escape = &rest[at + 1..];
        let unknown = || format!("no escape: \\{escape}");
        let (byte, len) = match escape.as_bytes().first() {
            Some(b'r') => (b'\r', 1),
            Some(b'n') => (b'\n', 1),
            Some(b't') => (b'\t', 1),
            Some(b'\\') => (b'\\', 1),
            Some(b'x') => {
                let digits = escape.get(1..3).ok_or_else(unknown)?;
                (u8::from_str_radix(digits, 16).map_err(|_| unknown())?, 3)
            }
            _ => return Err(unknown()),
        };
        bytes.push(byte);
        rest = &escape[len..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(bytes)
}

/// Answers in lines: a line a head, a line a body.
pub(crate) fn answer_lines(output: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut from = 0;
    for at in 1..output.len() {
        if output[from..at].ends_with(b"\r\n\r\n") || output[at..].starts_with(b"HTTP/1.1 ") {
            lines.push(shown(&output[from..at]));
            from = at;
        }
    }
    if from < output.len() {
        lines.push(shown(&output[from..]));
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
