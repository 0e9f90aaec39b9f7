//! The few query parameters that the demo application knows.

use anabranch_core::app::Request;

/// A number asked for in the query.
pub(super) struct Number {
    pub(super) name: &'static str,
    pub(super) default: u64,
    pub(super) max: u64,
}

/// The number's value, or what is wrong with it.
pub(super) fn number(request: &Request, number: Number) -> Result<u64, String> {
    let Number { name, default, max } = number;
    match value(request, name) {
        None => Ok(default),
        Some(text) => match text.parse() {
            Ok(parsed) if parsed <= max => Ok(parsed),
            Ok(_) => Err(format!("400: {name}={text} is more than {max}\n")),
            Err(_) => Err(format!("400: {name}={text} is not a number from 0 to {max}\n")),
        },
    }
}

/// The first value of a parameter, as sent.
pub(super) fn value<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.query()?.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// The bytes behind percent-encoding (RFC 3986 §2.1); `None` when it is malformed.
pub(super) fn percent_decoded(text: &str) -> Option<Vec<u8>> {
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
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::percent_decoded;

    #[test]
    fn percent_encoding_is_decoded_or_refused() {
        assert_eq!(percent_decoded("/a%20b%2F").as_deref(), Some(&b"/a b/"[..]));
        assert_eq!(percent_decoded("%"), None);
        assert_eq!(percent_decoded("%4"), None);
        assert_eq!(percent_decoded("%zz"), None);
    }
}
