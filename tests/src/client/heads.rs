//! The head of an answer, line by line, and how it frames the body (RFC 9112 §4 to §6).

use std::time::{Duration, SystemTime};

use super::{Asked, Framing};

/// The value of a field that occurs at most once.
pub(super) fn value<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut values = fields.iter().filter(|(known, _)| known == name);
    let value = values.next().map(|(_, value)| value.as_str());
    assert!(values.next().is_none(), "{name} more than once: {fields:?}");
    value
}

pub(super) fn is_unframed(fields: &[(String, String)]) -> bool {
    value(fields, "content-length").is_none() && value(fields, "transfer-encoding").is_none()
}

pub(super) fn framing_of(asked: Asked, status: u16, fields: &[(String, String)]) -> Framing {
    let coding = value(fields, "transfer-encoding");
    let length = value(fields, "content-length");
    if let Some(coding) = coding {
        assert_eq!(coding, "chunked");
        assert_eq!(length, None, "a length beside chunks: {fields:?}");
        assert_ne!(asked, Asked::Http10, "chunks for an HTTP/1.0 client");
    }
    match (asked, status) {
        (_, 204) => {
            assert!(is_unframed(fields), "204 with a body: {fields:?}");
            Framing::None
        }
        (Asked::Head, _) | (_, 304) => Framing::None,
        _ if coding.is_some() => Framing::Chunked,
        _ if length.is_some() => Framing::Length,
        _ => {
            assert_eq!(
                value(fields, "connection"),
                Some("close"),
                "a body to the end, unannounced: {fields:?}"
            );
            Framing::UntilClose
        }
    }
}

/// RFC 9110 §6.6.1: a server with a clock says the date, in the one form there is to send.
pub(super) fn date_is_one_and_right(fields: &[(String, String)]) {
    let date = value(fields, "date").unwrap_or_else(|| panic!("no Date: {fields:?}"));
    let time = httpdate::parse_http_date(date).unwrap_or_else(|_| panic!("Date: {date}"));
    assert_eq!(httpdate::fmt_http_date(time), date, "the preferred form");
    let now = SystemTime::now();
    let apart = now.duration_since(time).or_else(|_| time.duration_since(now)).unwrap();
    assert!(apart < Duration::from_secs(60), "Date: {date}, {apart:?} apart from the clock");
}

/// Lines, each ended by CRLF, without these.
pub(super) fn lines_of(section: &[u8]) -> Vec<String> {
    let section: String = section.iter().map(|byte| char::from(*byte)).collect();
    let lines: Vec<String> = section.split_terminator("\r\n").map(String::from).collect();
    assert!(section.ends_with("\r\n"), "{section:?}");
    assert!(!lines.iter().any(|line| line.contains(['\r', '\n', '\0'])), "bare line ends: {section:?}");
    lines
}

pub(super) fn status_of(line: &str) -> u16 {
    let rest = line.strip_prefix("HTTP/1.1 ").unwrap_or_else(|| panic!("no status line: {line:?}"));
    let (status, reason) = rest.split_once(' ').unwrap_or_else(|| panic!("no reason's space: {line:?}"));
    assert!(status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit()), "{line:?}");
    assert!(reason.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()), "{line:?}");
    let status = status.parse().unwrap();
    assert!((100..600).contains(&status), "{line:?}");
    status
}

/// A field's name in lower case, and its value.
pub(super) fn field_of(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no colon: {line:?}"));
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    assert!(!name.is_empty() && name.bytes().all(is_token), "{line:?}");
    let value = value.strip_prefix(' ').unwrap_or_else(|| panic!("no space behind the colon: {line:?}"));
    assert_eq!(value, value.trim_matches([' ', '\t']), "{line:?}");
    (name.to_ascii_lowercase(), value.to_owned())
}
