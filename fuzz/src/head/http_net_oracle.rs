//! http-net as an oracle: as strict as we are, so that every difference counts, whichever of us is the stricter.
//!
//! ```text
//!                 http-net  takes it          refuses it            wants more
//!   we take it              compare readings  why do we take it?    never
//!   we refuse it            why do we not?    compare the answers   end the head, and look again
//!   we want more            never             end it, look again    agreed
//! ```
//!
//! Where the two differ, the bytes must show one of the reasons of [`LISTED`](super::LISTED).

use anabranch_core::http1::{BodyLength, Limits, LineFault, Refusal, RequestHead};
use http_net::{BodyFraming, FieldSpan, HttpError, Parsed, Version, parse_request_head};

use super::listed::Difference;
use super::{Verdict, judge};

/// How the two differ on these bytes, under the same limits.
///
/// # Panics
/// When they differ for a reason that is not listed.
#[must_use]
pub fn differences(data: &[u8], limits: &Limits) -> Vec<Difference> {
    let ours = judge(data, limits);
    let mut fields = [FieldSpan::default(); 128];
    let theirs = parse_request_head(data, &same(limits), &mut fields);
    let unlisted = || format!("not listed: {:?}", data.escape_ascii().to_string());
    match (&ours, theirs) {
        (Verdict::Head(ours), Ok(Parsed::Complete { head, len })) => {
            assert_eq!(ours.len() + before_line(data), len, "{}", unlisted());
            compare(ours, &head.view())
        }
        (Verdict::Waits, Ok(Parsed::Partial)) => Vec::new(),
        (Verdict::Head(head), Err(error)) => {
            let why = why_we_take(data, head, error, limits);
            vec![why.unwrap_or_else(|| panic!("we take it, http-net: {error}; {}", unlisted()))]
        }
        (Verdict::Refused(refusal), Ok(Parsed::Complete { head, .. })) => {
            let why = why_we_refuse(data, *refusal, &head.view());
            vec![why.unwrap_or_else(|| panic!("http-net takes it, we: {refusal}; {}", unlisted()))]
        }
        (Verdict::Refused(ours), Err(theirs)) => {
            let same = ours.status().as_u16() == theirs.status().unwrap_or(0);
            let why = (!same).then(|| {
                let why = why_answered_differently(data, *ours, theirs);
                why.unwrap_or_else(|| panic!("{ours}; http-net: {theirs}; {}", unlisted()))
            });
            why.into_iter().collect()
        }
        (Verdict::Refused(refusal), Ok(Parsed::Partial)) => {
            if *refusal == Refusal::BadRequestLine(LineFault::EmptyLines) && data.starts_with(b"\r\n\r\n") {
                return vec![Difference::EmptyLines];
            }
            let ended = if is_of_line(*refusal) { line_and_end(data) } else { with_end(data) };
            later(&ended, limits)
        }
        (Verdict::Waits, Err(_)) => {
            let ended = if has_line(data) { with_end(data) } else { line_and_end(data) };
            later(&ended, limits)
        }
        (Verdict::Head(_), Ok(Parsed::Partial)) | (Verdict::Waits, Ok(Parsed::Complete { .. })) => {
            panic!("one ends the head, the other does not; {}", unlisted())
        }
        (_, Ok(_)) => unreachable!("http-net knows no third answer"),
    }
}

/// One refused what the other waited to see the end of. With the end there, they differ for the reasons they have then.
fn later(ended: &[u8], limits: &Limits) -> Vec<Difference> {
    let mut found = differences(ended, limits);
    found.push(Difference::Sooner);
    found
}

/// Our limits, as http-net counts: line ends included.
fn same(limits: &Limits) -> http_net::Limits {
    http_net::Limits::new()
        .with_max_start_line(limits.max_request_line_bytes + 2)
        .with_max_headers(limits.max_fields)
        .with_max_header_bytes(limits.max_header_bytes)
        .with_max_field_line(limits.max_field_line_bytes + 2)
        .with_max_body(limits.max_body_bytes)
}

/// Both read a head: of one request, or for a reason of another.
fn compare(ours: &RequestHead, theirs: &http_net::RequestHead<'_>) -> Vec<Difference> {
    let mut found = Vec::new();
    let version = match theirs.version() {
        Version::Http10 => http::Version::HTTP_10,
        _ => http::Version::HTTP_11,
    };
    assert_eq!((ours.method().as_str(), ours.version()), (theirs.method_str(), version));
    assert_eq!(
        (ours.target(), ours.path(), ours.query()),
        (theirs.target(), theirs.path(), theirs.query()),
        "{ours:?}"
    );
    assert_eq!(ours.fields().collect::<Vec<_>>(), theirs.headers().collect::<Vec<_>>());
    let body = match theirs.framing() {
        BodyFraming::None => BodyLength::Empty,
        BodyFraming::Length(length) => BodyLength::Known(length),
        BodyFraming::Chunked => BodyLength::Chunked,
        other => panic!("no request is framed as {other:?}"),
    };
    assert_eq!(ours.body_length(), body, "{ours:?}");
    assert_eq!(ours.expects_continue(), theirs.expects_continue(), "{ours:?}");
    if ours.authority() != theirs.host() {
        assert_eq!(*ours.method(), http::Method::CONNECT, "authority of {ours:?}");
        found.push(Difference::AuthorityForm);
    }
    let quoted = |name| ours.field_values(name).any(|value| value.contains(&b'"'));
    if ours.wants_persistence() != theirs.keep_alive() {
        assert!(quoted("connection"), "persistence of {ours:?}");
        found.push(Difference::QuotedComma);
    }
    if ours.offers_upgrade() != theirs.is_upgrade() {
        found.push(why_offered_differently(ours, theirs));
    }
    found
}

fn why_offered_differently(ours: &RequestHead, theirs: &http_net::RequestHead<'_>) -> Difference {
    let expects = |head: &RequestHead| {
        head.field_values("expect")
            .any(|value| value.to_ascii_lowercase().windows(3).any(|part| part == b"100"))
    };
    let quoted = ["connection", "upgrade"]
        .iter()
        .any(|name| ours.field_values(name).any(|value| value.contains(&b'"')));
    match ours.offers_upgrade() {
        false if ours.body_length() != BodyLength::Empty => Difference::UpgradeWithBody,
        false if expects(ours) => Difference::UpgradeWithExpectation,
        true if theirs.header_all("upgrade").any(is_http2) => Difference::UpgradeToHttp2,
        _ if quoted => Difference::QuotedComma,
        offered => panic!("offers an upgrade: {offered}; http-net: {}; {ours:?}", theirs.is_upgrade()),
    }
}

fn is_http2(value: &[u8]) -> bool {
    value.split(|byte| *byte == b',').any(|protocol| {
        let name = protocol.split(|byte| *byte == b'/').next().unwrap_or(protocol);
        name.trim_ascii().eq_ignore_ascii_case(b"h2c")
    })
}

/// Why we take what http-net refuses.
fn why_we_take(data: &[u8], head: &RequestHead, error: HttpError, limits: &Limits) -> Option<Difference> {
    let authority = head.authority().unwrap_or_default();
    let host = head.field("host").unwrap_or_default();
    let is_future = |host: &[u8]| host.starts_with(b"[v") || host.starts_with(b"[V");
    match error {
        HttpError::InvalidTarget if is_future(authority.as_bytes()) => Some(Difference::FutureAddress),
        HttpError::InvalidTarget => {
            let is_wide =
                |part: &[u8]| part.iter().any(|byte| b"|^{}[]\\`".contains(byte)) || has_lone_percent(part);
            // Apart: a `%5` that ends the path is no whole one because the query begins with a digit.
            let wide =
                is_wide(head.path().as_bytes()) || is_wide(head.query().unwrap_or_default().as_bytes());
            wide.then_some(Difference::TargetBytes)
        }
        HttpError::InvalidHost if is_future(host) => Some(Difference::FutureAddress),
        HttpError::StartLineTooLong => {
            let line = data[2..].iter().position(|byte| *byte == b'\r')?;
            (before_line(data) == 2 && line + 2 > limits.max_request_line_bytes)
                .then_some(Difference::EmptyLineCounts)
        }
        _ => None,
    }
}

/// Whether a `%` is not followed by two hexadecimal digits.
fn has_lone_percent(part: &[u8]) -> bool {
    let is_lone = |(at, byte): (usize, &u8)| {
        *byte == b'%'
            && !part.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    part.iter().enumerate().any(is_lone)
}

/// Why we refuse what http-net takes.
fn why_we_refuse(data: &[u8], refusal: Refusal, head: &http_net::RequestHead<'_>) -> Option<Difference> {
    let is_connect = head.method() == http_net::Method::Connect;
    let (holds, difference) = match refusal {
        Refusal::BadRequestLine(LineFault::EmptyLines) => {
            (data.starts_with(b"\r\n\r\n"), Difference::EmptyLines)
        }
        Refusal::BadTarget => {
            let rest = head.target().split_once("://").map_or(head.target(), |(_, rest)| rest);
            let authority = rest.split(['/', '?']).next().unwrap_or(rest);
            return authority_beyond(authority.as_bytes(), is_connect);
        }
        Refusal::BadHost => return authority_beyond(head.header("host")?, false),
        Refusal::BadTransferEncoding => {
            let has_empty =
                |value: &[u8]| value.split(|byte| *byte == b',').any(|part| part.trim_ascii().is_empty());
            (head.header_all("transfer-encoding").any(has_empty), Difference::EmptyCoding)
        }
        Refusal::ConnectWithBody => (
            is_connect && (head.framing() != BodyFraming::None || head.content_length().is_some()),
            Difference::ConnectWithBody,
        ),
        Refusal::UnknownExpectation => (head.has_unknown_expectation(), Difference::Expectation),
        _ => return None,
    };
    holds.then_some(difference)
}

/// What http-net lets stand in an authority and we do not.
fn authority_beyond(authority: &[u8], needs_port: bool) -> Option<Difference> {
    let colon = authority.iter().rposition(|byte| *byte == b':' || *byte == b']');
    let port = match colon {
        Some(at) if authority[at] == b':' => &authority[at + 1..],
        _ => &[][..],
    };
    let number = core::str::from_utf8(port).ok().and_then(|port| port.parse::<u64>().ok());
    let is_number = !port.is_empty() && port.iter().all(u8::is_ascii_digit);
    let is_beyond = port.len() > 5 || number.is_none_or(|port| port > 65_535 || (needs_port && port == 0));
    if is_number && is_beyond {
        return Some(Difference::Port);
    }
    let address = authority.strip_prefix(b"[")?.split(|byte| *byte == b']').next()?;
    let is_address =
        core::str::from_utf8(address).is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok());
    (!is_address).then_some(Difference::Address)
}

/// Why a head that neither takes gets another status from us.
fn why_answered_differently(data: &[u8], ours: Refusal, theirs: HttpError) -> Option<Difference> {
    let lower = data.to_ascii_lowercase();
    match (ours, theirs) {
        (Refusal::MethodTooLong { .. }, HttpError::StartLineTooLong) => Some(Difference::MethodFillsLine),
        (Refusal::BadRequestLine(LineFault::EmptyLines), _) if data.starts_with(b"\r\n\r\n") => {
            Some(Difference::EmptyLines)
        }
        (Refusal::UnknownTransferCoding, HttpError::InvalidTransferEncoding) => {
            Some(Difference::CodingNoToken)
        }
        (Refusal::BadTransferEncoding, HttpError::UnsupportedTransferEncoding)
            if lower.windows(17).any(|part| part == b"transfer-encoding") =>
        {
            Some(Difference::EmptyCoding)
        }
        _ => (part_of(ours) != part_blamed(theirs)).then_some(Difference::Precedence),
    }
}

/// A part of a head that can be at fault by itself.
#[derive(PartialEq, Eq, Debug)]
enum Part {
    LineShape,
    LineLength,
    Target,
    Version,
    FieldShape,
    FieldSize,
    Host,
    Framing,
    BodySize,
    Expectation,
}

fn part_of(refusal: Refusal) -> Part {
    match refusal {
        Refusal::BadRequestLine(_) => Part::LineShape,
        Refusal::RequestLineTooLong { .. } | Refusal::MethodTooLong { .. } => Part::LineLength,
        Refusal::BadTarget => Part::Target,
        Refusal::UnsupportedVersion => Part::Version,
        Refusal::BadField { .. } => Part::FieldShape,
        Refusal::HeaderTooLarge { .. } | Refusal::FieldLineTooLong { .. } | Refusal::TooManyFields { .. } => {
            Part::FieldSize
        }
        Refusal::MissingHost | Refusal::RepeatedHost | Refusal::BadHost => Part::Host,
        Refusal::BodyTooLarge { .. } => Part::BodySize,
        Refusal::UnknownExpectation => Part::Expectation,
        _ => Part::Framing,
    }
}

fn part_blamed(error: HttpError) -> Part {
    match error {
        HttpError::InvalidStartLine | HttpError::InvalidMethod | HttpError::InvalidVersion => Part::LineShape,
        HttpError::StartLineTooLong => Part::LineLength,
        HttpError::InvalidTarget => Part::Target,
        HttpError::UnsupportedVersion => Part::Version,
        HttpError::HeadersTooLarge | HttpError::FieldLineTooLong | HttpError::TooManyHeaders => {
            Part::FieldSize
        }
        HttpError::MissingHost | HttpError::InvalidHost => Part::Host,
        HttpError::BodyTooLarge => Part::BodySize,
        HttpError::InvalidContentLength
        | HttpError::DuplicateContentLength
        | HttpError::ConflictingFraming
        | HttpError::InvalidTransferEncoding
        | HttpError::UnsupportedTransferEncoding
        | HttpError::TransferEncodingInHttp10 => Part::Framing,
        _ => Part::FieldShape,
    }
}

/// Whether the request line alone is at fault.
fn is_of_line(refusal: Refusal) -> bool {
    matches!(part_of(refusal), Part::LineShape | Part::LineLength | Part::Target | Part::Version)
}

/// Bytes of the empty line that may come before the request line.
fn before_line(data: &[u8]) -> usize {
    if data.starts_with(b"\r\n") { 2 } else { 0 }
}

/// Whether the request line has come to its end.
fn has_line(data: &[u8]) -> bool {
    data[before_line(data)..].contains(&b'\n')
}

/// The request line, as far as it has come, in a head that has no other fault.
fn line_and_end(data: &[u8]) -> Vec<u8> {
    let start = before_line(data);
    let end = data[start..].iter().position(|byte| *byte == b'\n').map_or(data.len(), |end| start + end);
    let line = data[..end].strip_suffix(b"\r").unwrap_or(&data[..end]);
    let has_bare_end = end < data.len() && line.len() == end;
    let line_end: &[u8] = if has_bare_end { b"\n" } else { b"\r\n" };
    [line, line_end, b"Host: a\r\n\r\n"].concat()
}

/// The head, as far as it has come, and its end.
fn with_end(data: &[u8]) -> Vec<u8> {
    [data.strip_suffix(b"\r").unwrap_or(data), b"\r\n\r\n"].concat()
}
