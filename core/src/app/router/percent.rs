//! Percent-encoding (RFC 3986 §2.1).

use std::borrow::Cow;

/// The bytes behind percent-encoded text; `None` where a `%` is not followed by two hexadecimal digits.
///
/// Routes are matched, and parameters given, as the peer sent them: an encoded `/` does not end a segment. Decoded, a
/// parameter may hold any byte, `/` and NUL among them: do not make a file name of it unseen. Borrows where nothing is encoded.
///
/// ```
/// use anabranch_core::app::percent_decoded;
///
/// assert_eq!(percent_decoded("a%20b%2Fc").as_deref(), Some(&b"a b/c"[..]));
/// assert_eq!(percent_decoded("100%"), None);
/// ```
#[must_use]
pub fn percent_decoded(text: &str) -> Option<Cow<'_, [u8]>> {
    if memchr::memchr(b'%', text.as_bytes()).is_none() {
        return Some(Cow::Borrowed(text.as_bytes()));
    }
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
                u8::try_from(high * 16 + low).ok()?
            }
            byte => byte,
        });
    }
    Some(Cow::Owned(decoded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_encoding_is_decoded_or_refused() {
        assert_eq!(percent_decoded("/a%20b%2F").as_deref(), Some(&b"/a b/"[..]));
        assert!(matches!(percent_decoded("plain"), Some(Cow::Borrowed(b"plain"))));
        for text in ["%", "%4", "%zz", "a%", "%+1"] {
            assert_eq!(percent_decoded(text), None, "{text}");
        }
    }
}
