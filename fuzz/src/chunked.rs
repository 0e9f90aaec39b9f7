//! A chunked body, decoded by the machine byte by byte and whole, and by a decoder so simple that it is plainly right.

use std::sync::Arc;
use std::task::Waker;

use anabranch_core::http1::{Connection, Event, Settings};
use anabranch_core::{Dates, Instant, Pool, Turn};
use bytes::BytesMut;

/// The bytes follow the head of a chunked request.
pub fn check(data: &[u8]) {
    let whole = decode(data, usize::MAX);
    assert_eq!(decode(data, 1), whole, "byte by byte, left; whole, right");
    let expected = reference(data);
    match (&whole, &expected) {
        (Verdict::Complete(ours), Verdict::Complete(theirs)) => assert_eq!(ours, theirs),
        // Limits and trailer fields are not the reference's affair.
        (Verdict::Refused, Verdict::Complete(_) | Verdict::Partial)
        | (Verdict::Partial, Verdict::Partial) => {}
        (Verdict::Refused, Verdict::Refused) => {}
        _ => panic!("we say {whole:?}, the reference {expected:?}"),
    }
}

#[derive(PartialEq, Eq, Debug)]
enum Verdict {
    Complete(Vec<u8>),
    Partial,
    Refused,
}

fn decode(data: &[u8], cut: usize) -> Verdict {
    let (mut dates, mut pool) = (Dates::none(), Pool::default());
    let mut turn = Turn::new(Instant::ORIGIN, &mut dates, Waker::noop(), &mut pool);
    let mut connection = Connection::new(Arc::new(Settings::default()), Instant::ORIGIN);
    let mut head = BytesMut::from("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let Some(Event::Request { id, .. }) = connection.poll_event(&mut head, &mut turn) else {
        panic!("a plain head")
    };
    connection.want_body(id, &mut turn).expect("the exchange is open");
    let mut body = Vec::new();
    for piece in data.chunks(cut.min(data.len()).max(1)) {
        let mut input = BytesMut::from(piece);
        while let Some(event) = connection.poll_event(&mut input, &mut turn) {
            match event {
                Event::Body { data, .. } => body.extend_from_slice(&data),
                Event::BodyEnd { .. } => return Verdict::Complete(body),
                Event::Refused { .. } => return Verdict::Refused,
                _ => {}
            }
        }
        connection.keep(&mut input, &mut turn);
    }
    Verdict::Partial
}

/// RFC 9112 §7.1, with trailer fields passed over.
fn reference(mut data: &[u8]) -> Verdict {
    let mut body = Vec::new();
    loop {
        let Some(end) = data.windows(2).position(|pair| pair == b"\r\n") else {
            return if plausible(data) { Verdict::Partial } else { Verdict::Refused };
        };
        let (line, rest) = (&data[..end], &data[end + 2..]);
        if !plausible(line) {
            return Verdict::Refused;
        }
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let text = String::from_utf8_lossy(&line[..digits]);
        let after: &[u8] = line[digits..].trim_ascii_start();
        if digits == 0 || !(line[digits..].is_empty() || after.first() == Some(&b';')) {
            return Verdict::Refused;
        }
        let Ok(size) = u64::from_str_radix(&text, 16) else { return Verdict::Refused };
        if size > Settings::default().limits.max_body_bytes {
            return Verdict::Refused;
        }
        let size = size as usize;
        data = rest;
        if size == 0 {
            return trailers(data, body);
        }
        if data.len() < size {
            return Verdict::Partial;
        }
        body.extend_from_slice(&data[..size]);
        data = &data[size..];
        match data {
            [b'\r', b'\n', rest @ ..] => data = rest,
            [] | [b'\r'] => return Verdict::Partial,
            _ => return Verdict::Refused,
        }
    }
}

/// Whether nothing of a chunk-size line rules out that it ends well: a lone CR at its end may be half of a CRLF.
fn plausible(line: &[u8]) -> bool {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let after = &line[digits..];
    let blanks = after.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let extension = &after[blanks..];
    (digits > 0 || line.is_empty())
        && (extension.is_empty() || (digits > 0 && extension[0] == b';'))
        && extension.iter().all(|byte| *byte == b'\t' || !byte.is_ascii_control())
        && (digits == 0 || u64::from_str_radix(&String::from_utf8_lossy(&line[..digits]), 16).is_ok())
}

fn trailers(mut data: &[u8], body: Vec<u8>) -> Verdict {
    loop {
        let Some(end) = data.windows(2).position(|pair| pair == b"\r\n") else { return Verdict::Partial };
        if end == 0 {
            return Verdict::Complete(body);
        }
        data = &data[end + 2..];
    }
}
