//! Bytes that are HTTP, nearly HTTP, or none at all.

use core::ops::Range;

use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::testing::Message;

/// What HTTP is made of, in bits.
const SHREDS: &[&str] = &[
    "\r\n",
    "\r",
    "\n",
    " ",
    ":",
    "0\r\n\r\n",
    "5\r\nabcde\r\n",
    "GET ",
    "/",
    " HTTP/1.1\r\n",
    "GET / HTTP/1.1\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\n",
    "Host: a\r\n",
    "Host: b\r\n",
    "Content-Length: 3\r\n",
    "Content-Length: 3, 3\r\n",
    "Content-Length: 99999999999999999999\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked, identity\r\n",
    "Connection: close\r\n",
    "Connection: keep-alive, upgrade\r\n",
    "Upgrade: other\r\n",
    "Expect: 100-continue\r\n",
    "x: y\r\n",
    " folded\r\n",
    "name : value\r\n",
    ";ext=1",
    ";ext=\"a\\\"b\"",
    "ffffffffffffffff\r\n",
    "\x16\x03\x01",
    "PRI * HTTP/2.0\r\n\r\n",
    "chunked",
    "\0",
];

/// A bit of HTTP, good, half or bad; now and then bytes that are none.
pub fn shred() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => select(SHREDS).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..8),
    ]
}

/// Pieces in a row, `count` of them, [mutated]. The pieces are yours, of whichever protocol; for HTTP, mix
/// [messages](super::message()) with [shreds](shred).
///
/// ```
/// use anabranch_core::testing::strategies::{rough, shred};
/// use proptest::prelude::*;
///
/// let piece = prop_oneof![Just(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()), shred()];
/// proptest!(|(input in rough(piece, 1..5))| { let _: Vec<u8> = input; });
/// ```
pub fn rough(piece: impl Strategy<Value = Vec<u8>>, count: Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    mutated(prop::collection::vec(piece, count).prop_map(|pieces| pieces.concat()))
}

/// What can be [mutated]: bytes, a message, or messages in a row.
pub trait ToBytes {
    /// The bytes a peer sends.
    fn to_bytes(&self) -> Vec<u8>;
}

impl ToBytes for Vec<u8> {
    fn to_bytes(&self) -> Vec<u8> {
        self.clone()
    }
}

impl ToBytes for Message {
    fn to_bytes(&self) -> Vec<u8> {
        self.bytes()
    }
}

impl ToBytes for Vec<Message> {
    fn to_bytes(&self) -> Vec<u8> {
        super::bytes_of(self)
    }
}

/// As it is, every other time; else with up to three bytes changed, left out or doubled, or the rest cut off behind one.
pub fn mutated<T: ToBytes>(bytes: impl Strategy<Value = T>) -> impl Strategy<Value = Vec<u8>> {
    let mutation = (any::<Index>(), any::<u8>(), 0..4_u8);
    let mutations = prop_oneof![Just(Vec::new()), prop::collection::vec(mutation, 1..4)];
    (bytes, mutations).prop_map(|(bytes, mutations)| {
        let mut bytes = bytes.to_bytes();
        for (index, byte, kind) in mutations {
            if bytes.is_empty() {
                break;
            }
            let at = index.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.truncate(at),
                2 => bytes.insert(at, bytes[at]),
                _ => drop(bytes.remove(at)),
            }
        }
        bytes
    })
}
