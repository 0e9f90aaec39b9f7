//! Bytes as a line of text that shows every one of them, and back: for conversations that stand in files.

/// `\r`, `\n`, `\t`, `\\` and `\xNN` for what a person could not see; the rest as it is.
///
/// ```
/// use anabranch_core::testing::{escaped, unescaped};
///
/// assert_eq!(escaped(b"GET / HTTP/1.1\r\n\xff"), r"GET / HTTP/1.1\r\n\xff");
/// assert_eq!(unescaped(r"GET / HTTP/1.1\r\n\xff").unwrap(), b"GET / HTTP/1.1\r\n\xff");
/// ```
#[must_use]
pub fn escaped(bytes: &[u8]) -> String {
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

/// What [`escaped`] shows.
///
/// # Errors
/// Names the escape that is none.
pub fn unescaped(text: &str) -> Result<Vec<u8>, String> {
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
