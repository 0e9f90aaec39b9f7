//! Chunked bodies (RFC 9112 §7.1): a decoder that keeps nothing but where it stands, and the framing of chunks sent.
//!
//! ```text
//!            hex                CRLF                  n bytes           CRLF
//!   Size ───────────► Size ─────────────► Data(n) ─────────────► DataEnd ────► Size
//!     │ ";"                │ n = 0
//!     ▼                    ▼
//!   Extension ── CRLF ─► Trailers (a section of field lines, read by the scanner)
//! ```

use bytes::{Buf, Bytes, BytesMut};

use super::limits::Limits;
use super::refusal::{ChunkFault, Refusal};

/// Where a chunked body stands. Data is split off the input as it is; no byte is kept back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct ChunkDecoder {
    at: At,
    /// Data bytes of the whole body so far, the chunk that has begun counted whole.
    body_bytes: u64,
    /// Bytes of this chunk-size line.
    line_bytes: usize,
    /// Bytes of extensions in the whole body.
    extension_bytes: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum At {
    Size {
        value: u64,
        digits: u8,
    },
    /// White space after the size, which an extension must follow (RFC 9112 §7.1.1: "bad" white space).
    Blank {
        value: u64,
    },
    Extension {
        value: u64,
    },
    /// After the CR of a chunk-size line.
    SizeEnd {
        value: u64,
    },
    Data {
        left: u64,
    },
    /// After a chunk's data.
    DataCr,
    /// After the CR behind a chunk's data.
    DataLf,
    Trailers,
}

impl Default for At {
    fn default() -> Self {
        Self::Size { value: 0, digits: 0 }
    }
}

/// What the decoder came to.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Decoded {
    /// Some data of the body, as much of a chunk as was there.
    Data(Bytes),
    /// The last chunk's line has ended: the trailer section follows.
    Trailers,
    /// The input is used up.
    Partial,
}

impl ChunkDecoder {
    /// Decodes on at the front of `input`.
    pub(crate) fn decode(&mut self, input: &mut BytesMut, limits: &Limits) -> Result<Decoded, Refusal> {
        loop {
            if let At::Data { left } = self.at {
                if input.is_empty() {
                    return Ok(Decoded::Partial);
                }
                let count = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
                let left = left - count as u64;
                self.at = if left == 0 { At::DataCr } else { At::Data { left } };
                return Ok(Decoded::Data(input.split_to(count).freeze()));
            }
            if self.at == At::Trailers {
                return Ok(Decoded::Trailers);
            }
            if input.is_empty() {
                return Ok(Decoded::Partial);
            }
            let mut used = 0;
            let stepped = self.step_on(input, &mut used, limits);
            input.advance(used);
            stepped?;
        }
    }

    /// Data bytes that are left of the chunk that has begun.
    pub(crate) const fn bytes_left(&self) -> u64 {
        match self.at {
            At::Data { left } => left,
            _ => 0,
        }
    }

    /// Takes one byte after another, as far as there are any and something else than data is due; counts those `used`.
    fn step_on(&mut self, input: &[u8], used: &mut usize, limits: &Limits) -> Result<(), Refusal> {
        for byte in input {
            self.at = self.step(*byte, limits)?;
            *used += 1;
            if matches!(self.at, At::Data { .. } | At::Trailers) {
                break;
            }
        }
        Ok(())
    }

    fn step(&mut self, byte: u8, limits: &Limits) -> Result<At, Refusal> {
        let bad = |fault| Err(Refusal::BadChunk(fault));
        if matches!(self.at, At::Size { .. } | At::Blank { .. } | At::Extension { .. }) && byte != b'\r' {
            self.line_bytes += 1;
            if self.line_bytes > limits.max_chunk_line_bytes {
                return Err(Refusal::ChunkLineTooLong { limit: limits.max_chunk_line_bytes });
            }
        }
        match (self.at, byte) {
            (At::Size { value, digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = match byte {
                    b'0'..=b'9' => byte - b'0',
                    _ => (byte | 0x20) - b'a' + 10,
                };
                if value >> 60 != 0 {
                    return bad(ChunkFault::Overflow);
                }
                Ok(At::Size { value: value << 4 | u64::from(digit), digits: digits.saturating_add(1) })
            }
            (At::Size { digits: 0, .. }, _) => bad(ChunkFault::Size),
            (At::Size { value, .. }, b' ' | b'\t') => Ok(At::Blank { value }),
            (At::Blank { value }, b' ' | b'\t') => Ok(At::Blank { value }),
            (At::Size { value, .. } | At::Blank { value }, b';') => Ok(At::Extension { value }),
            (At::Size { value, .. } | At::Extension { value }, b'\r') => Ok(At::SizeEnd { value }),
            (At::Size { .. }, b'\n') => bad(ChunkFault::LineEnd),
            (At::Size { .. } | At::Blank { .. }, _) => bad(ChunkFault::Size),
            (At::Extension { value }, b'\t' | b' '..=b'~' | 0x80..) => {
                self.extension_bytes += 1;
                if self.extension_bytes > limits.max_chunk_extension_bytes {
                    return Err(Refusal::ChunkExtensionsTooLarge { limit: limits.max_chunk_extension_bytes });
                }
                Ok(At::Extension { value })
            }
            (At::Extension { .. }, _) => bad(ChunkFault::Extension),
            (At::SizeEnd { value }, b'\n') => {
                self.line_bytes = 0;
                self.body_bytes = self.body_bytes.saturating_add(value);
                if self.body_bytes > limits.max_body_bytes {
                    return Err(Refusal::BodyTooLarge { limit: limits.max_body_bytes });
                }
                Ok(if value == 0 { At::Trailers } else { At::Data { left: value } })
            }
            (At::SizeEnd { .. }, _) => bad(ChunkFault::LineEnd),
            (At::DataCr, b'\r') => Ok(At::DataLf),
            (At::DataLf, b'\n') => Ok(At::default()),
            (At::DataCr | At::DataLf, _) => bad(ChunkFault::DataEnd),
            // Both are left by `decode` before a byte is looked at.
            (At::Data { .. } | At::Trailers, _) => Ok(self.at),
        }
    }
}

/// Appends the line that begins a chunk of `len` bytes, at least one.
pub(crate) fn begin_chunk(out: &mut Vec<u8>, len: usize) {
    let digits = (usize::BITS - len.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        out.push(b"0123456789abcdef"[(len >> (place * 4)) & 15]);
    }
    out.extend_from_slice(b"\r\n");
}

/// What ends a chunk.
pub(crate) const CHUNK_END: &[u8] = b"\r\n";

/// The last chunk's line; the trailer section follows.
pub(crate) const LAST_CHUNK: &[u8] = b"0\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    fn decode_all(pieces: &[&[u8]], limits: &Limits) -> Result<(Vec<u8>, Vec<u8>), Refusal> {
        let mut decoder = ChunkDecoder::default();
        let mut data = Vec::new();
        for (index, piece) in pieces.iter().enumerate() {
            let mut input = BytesMut::from(*piece);
            loop {
                match decoder.decode(&mut input, limits)? {
                    Decoded::Data(chunk) => data.extend_from_slice(&chunk),
                    Decoded::Partial => break,
                    Decoded::Trailers => {
                        let mut rest = input.to_vec();
                        pieces[index + 1..].iter().for_each(|piece| rest.extend_from_slice(piece));
                        return Ok((data, rest));
                    }
                }
            }
        }
        Ok((data, Vec::new()))
    }

    fn at_every_cut(bytes: &[u8], limits: &Limits) -> Result<(Vec<u8>, Vec<u8>), Refusal> {
        let whole = decode_all(&[bytes], limits);
        for cut in 0..=bytes.len() {
            assert_eq!(decode_all(&[&bytes[..cut], &bytes[cut..]], limits), whole, "cut at {cut}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(decode_all(&single, limits), whole);
        whole
    }

    #[test]
    fn data_and_what_follows_come_out_however_cut() {
        let (data, rest) = at_every_cut(
            b"5\r\nhello\r\n00000A;a=\"b\"\r\n, world!!!\r\n0 ;x\r\nTrailer: 1\r\n\r\n",
            &Limits::default(),
        )
        .unwrap();
        assert_eq!(data, b"hello, world!!!");
        assert_eq!(rest, b"Trailer: 1\r\n\r\n");
    }

    #[test]
    fn what_is_left_of_a_chunk_is_known_while_its_data_comes() {
        let mut decoder = ChunkDecoder::default();
        let mut input = BytesMut::from(&b"1"[..]);
        let mut left = |more: &[u8]| {
            input.extend_from_slice(more);
            while let Decoded::Data(_) = decoder.decode(&mut input, &Limits::default()).unwrap() {}
            decoder.bytes_left()
        };
        assert_eq!(
            [left(b""), left(b"0\r"), left(b"\n"), left(b"hello"), left(b", world!!!!")],
            [0, 0, 16, 11, 0]
        );
        assert_eq!([left(b"\r\n"), left(b"2\r\nh"), left(b"i"), left(b"\r\n0\r\n")], [0, 1, 0, 0]);
    }

    #[test]
    fn malformed_chunks_are_refused_however_cut() {
        use ChunkFault::{DataEnd, Extension, LineEnd, Overflow, Size};
        for (bytes, fault) in [
            (&b"\r\n"[..], Size),
            (b"x\r\n", Size),
            (b"-1\r\n", Size),
            (b"+1\r\n", Size),
            (b"0x1\r\n", Size),
            (b" 1\r\n", Size),
            (b"1 \r\n", Size),
            (b"1 2\r\n", Size),
            (b"1\n", LineEnd),
            (b"1\rx", LineEnd),
            (b"1;a\n", Extension),
            (b"1;a\x00\r\n", Extension),
            (b"1;a\r\r\n", LineEnd),
            (b"1\r\nab\r\n", DataEnd),
            (b"1\r\na\n", DataEnd),
            (b"1\r\na\rb", DataEnd),
            (b"10000000000000000\r\n", Overflow),
        ] {
            assert_eq!(at_every_cut(bytes, &Limits::default()), Err(Refusal::BadChunk(fault)), "{bytes:?}");
        }
    }

    #[test]
    fn limits_hold() {
        let limits = Limits {
            max_body_bytes: 10,
            max_chunk_line_bytes: 8,
            max_chunk_extension_bytes: 6,
            ..Limits::default()
        };
        assert!(at_every_cut(b"a\r\n0123456789\r\n0\r\n", &limits).is_ok());
        let body = Err(Refusal::BodyTooLarge { limit: 10 });
        assert_eq!(at_every_cut(b"b\r\n", &limits), body);
        assert_eq!(at_every_cut(b"6\r\n012345\r\n5\r\n", &limits), body);
        assert_eq!(
            at_every_cut(b"ffffffffffffffff\r\n", &Limits { max_chunk_line_bytes: 80, ..limits }),
            body
        );
        assert_eq!(at_every_cut(b"1;3456789\r\n", &limits), Err(Refusal::ChunkLineTooLong { limit: 8 }));
        assert_eq!(at_every_cut(b"000000001\r\n", &limits), Err(Refusal::ChunkLineTooLong { limit: 8 }));
        assert_eq!(
            at_every_cut(b"1;345\r\na\r\n1;3456\r\n", &limits),
            Err(Refusal::ChunkExtensionsTooLarge { limit: 6 })
        );
    }

    #[test]
    fn chunk_lines_are_hexadecimal() {
        for len in [1, 9, 10, 15, 16, 255, 256, 4096, 65_535, usize::MAX] {
            let mut out = Vec::new();
            begin_chunk(&mut out, len);
            assert_eq!(out, format!("{len:x}\r\n").into_bytes());
        }
    }
}
