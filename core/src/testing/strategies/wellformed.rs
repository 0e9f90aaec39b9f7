//! Requests that are as RFC 9112 has them.

use core::ops::Range;

use http::{Method, Version};
use proptest::prelude::*;
use proptest::sample::select;

use crate::testing::{Chunk, Message, MessageBody};

/// Targets in origin form (RFC 9112 §3.2.1): path, percent-encoding, and a query now and then.
pub fn target() -> impl Strategy<Value = String> {
    let path = r"(/[a-zA-Z0-9._~!$&'()*+,;=:@-]{0,8}(%[2-7][0-9A-F])?){1,3}";
    (path, prop::option::weighted(0.3, r"\?[a-z0-9=&/?:@%41]{0,10}"))
        .prop_map(|(path, query)| path + &query.unwrap_or_default())
        .prop_filter("percent-encoding is complete", |target| is_encoded_rightly(target))
}

/// A field: a name that means nothing to HTTP, and any value that a field may have.
pub fn field() -> impl Strategy<Value = (String, Vec<u8>)> {
    let edge = prop_oneof![8 => 0x21..0x7f_u8, 1 => 0x80..=0xff_u8];
    let inner = prop_oneof![8 => 0x20..0x7f_u8, 1 => 0x80..=0xff_u8, 1 => Just(b'\t')];
    let value =
        prop::option::of((edge.clone(), prop::collection::vec(inner, 0..12), edge)).prop_map(|value| {
            value.map_or(Vec::new(), |(first, inner, last)| [&[first][..], &inner, &[last]].concat())
        });
    (r"[xX][!#$%&'*+.^_`|~0-9A-Za-z-]{0,10}", value)
}

/// Some fields in a row.
pub fn fields(count: Range<usize>) -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    prop::collection::vec(field(), count)
}

/// Requests with every way of framing a body, to targets of yours, or to [`any`](target). `CONNECT` and `Expect` are left
/// out: what they mean is said between the two ends.
pub fn message(target: impl Strategy<Value = String>) -> impl Strategy<Value = Message> {
    let methods = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::OPTIONS,
        Method::PATCH,
    ];
    let version = prop_oneof![6 => Just(Version::HTTP_11), 1 => Just(Version::HTTP_10)];
    let connection = prop_oneof![
        8 => Just(None),
        1 => Just(Some("close")),
        1 => Just(Some("keep-alive")),
        1 => Just(Some("Keep-Alive")),
    ];
    let padding = select(&["", " ", "\t", "  \t "][..]);
    (select(methods.to_vec()), target, version, fields(0..4), padding, connection, body()).prop_map(
        |(method, target, version, fields, padding, connection, body)| {
            // Transfer codings came with HTTP/1.1 (RFC 9112 §6.1).
            let body = match body {
                MessageBody::Chunked(..) if version == Version::HTTP_10 => MessageBody::Empty,
                body => body,
            };
            Message { method, target, version, fields, padding, connection, body }
        },
    )
}

fn body() -> impl Strategy<Value = MessageBody> {
    let chunk = (data(1..40), extension(), 0..3_usize).prop_map(|(data, extension, leading_zeros)| Chunk {
        data,
        extension,
        leading_zeros,
    });
    prop_oneof![
        3 => Just(MessageBody::Empty),
        2 => data(0..60).prop_map(MessageBody::Sized),
        2 => (prop::collection::vec(chunk, 0..5), fields(0..3))
            .prop_map(|(chunks, trailers)| MessageBody::Chunked(chunks, trailers)),
    ]
}

fn data(len: Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![4 => select(&b"abcde"[..]), 1 => select(&b"\r\n0:; "[..]), 1 => any::<u8>()];
    prop::collection::vec(byte, len)
}

fn extension() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => Just(String::new()),
        1 => Just(";name".to_owned()),
        1 => r#";[a-z]{1,5}=[a-z0-9]{1,5}"#,
        1 => r#";[a-z]{1,5}="[a-z0-9 ;]{0,5}""#,
    ]
}

/// Such requests in a row: all but the last let the connection live on. Their bytes: see [`bytes_of`].
pub fn conversation(
    message: impl Strategy<Value = Message>,
    count: Range<usize>,
) -> impl Strategy<Value = Vec<Message>> {
    prop::collection::vec(message, count).prop_map(|mut messages| {
        let last = messages.len().saturating_sub(1);
        for message in &mut messages[..last] {
            if !message.persists() {
                message.connection = Some("keep-alive");
            }
        }
        messages
    })
}

/// What a peer sends that means these messages.
#[must_use]
pub fn bytes_of(messages: &[Message]) -> Vec<u8> {
    messages.iter().flat_map(Message::bytes).collect()
}

fn is_encoded_rightly(target: &str) -> bool {
    let is_hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let bytes = target.as_bytes();
    (0..bytes.len()).all(|at| bytes[at] != b'%' || (is_hex(bytes.get(at + 1)) && is_hex(bytes.get(at + 2))))
}
