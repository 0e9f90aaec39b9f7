//! A chunked body as an answer sends it (RFC 9112 §7.1): strictly, and without extensions, which the server has no use for.

use super::heads::{field_of, lines_of};
use super::text;

/// A chunked body that comes in.
#[derive(Default)]
pub(super) struct Chunks {
    data: Vec<u8>,
    trailers: Vec<(String, String)>,
    at: At,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum At {
    #[default]
    Size,
    Data(usize),
    DataEnd,
    Trailers,
    Complete,
}

impl Chunks {
    /// Takes from the front of `bytes` what can be judged, and says how much that was.
    pub(super) fn take(&mut self, bytes: &[u8]) -> usize {
        let mut used = 0;
        while let Some(count) = self.step(&bytes[used..]) {
            used += count;
        }
        used
    }

    pub(super) fn is_complete(&self) -> bool {
        self.at == At::Complete
    }

    pub(super) fn into_parts(self) -> (Vec<u8>, Vec<(String, String)>) {
        (self.data, self.trailers)
    }

    fn step(&mut self, bytes: &[u8]) -> Option<usize> {
        match self.at {
            At::Size => {
                let end = position(bytes, b"\r\n")?;
                let size = size_of_chunk(&bytes[..end]);
                self.at = if size == 0 { At::Trailers } else { At::Data(size) };
                Some(end + 2)
            }
            At::Data(left) => {
                let count = left.min(bytes.len());
                self.data.extend_from_slice(&bytes[..count]);
                self.at = if count == left { At::DataEnd } else { At::Data(left - count) };
                (count > 0).then_some(count)
            }
            At::DataEnd => {
                let end = bytes.get(..2)?;
                assert_eq!(end, b"\r\n", "behind a chunk's data");
                self.at = At::Size;
                Some(2)
            }
            At::Trailers if bytes.starts_with(b"\r\n") => {
                self.at = At::Complete;
                Some(2)
            }
            At::Trailers => {
                let end = position(bytes, b"\r\n\r\n")?;
                self.trailers = lines_of(&bytes[..end + 2]).iter().map(|line| field_of(line)).collect();
                self.at = At::Complete;
                Some(end + 4)
            }
            At::Complete => None,
        }
    }
}

fn size_of_chunk(line: &[u8]) -> usize {
    let digits = text(line);
    assert!(!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit()), "size {digits:?}");
    usize::from_str_radix(&digits, 16).unwrap()
}

fn position(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

impl std::fmt::Debug for Chunks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} after {} bytes of data", self.at, self.data.len())
    }
}
