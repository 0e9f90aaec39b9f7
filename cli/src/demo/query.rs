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
