//! Media types and codings of a request's body, as far as routes are chosen by them (RFC 9110 §8.3, §8.4).

use http::header::HeaderValue;

use crate::http1::RequestHead;

/// What a body is taken for that nothing is said of (RFC 9110 §8.3).
const UNSTATED: &[u8] = b"application/octet-stream";

/// The body's media type, without parameters and white space; `None` where it is stated twice.
pub(super) fn media_type(head: &RequestHead) -> Option<&[u8]> {
    let mut values = head.field_values("content-type");
    let Some(value) = values.next() else { return Some(UNSTATED) };
    if values.next().is_some() {
        return None;
    }
    let end = memchr::memchr(b';', value).unwrap_or(value.len());
    Some(value[..end].trim_ascii())
}

/// Whether the body was coded on its way here: nothing undoes that.
pub(super) fn is_encoded(head: &RequestHead) -> bool {
    head.field_values("content-encoding")
        .flat_map(|value| value.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"))
}

/// Whether this is TYPE/SUBTYPE, both tokens (RFC 9110 §8.3.1).
pub(super) fn is_media_type(text: &str) -> bool {
    let is_token = |part: &str| {
        let in_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        !part.is_empty() && part.bytes().all(in_token)
    };
    text.split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}

/// Members of a list as one field's value.
pub(super) fn list_value<'a>(members: impl Iterator<Item = &'a str>) -> HeaderValue {
    let text = members.collect::<Vec<_>>().join(", ");
    // Methods and media types are made of token characters and `/`, all of which a field value may hold.
    HeaderValue::try_from(text).expect("tokens in a field value")
}
