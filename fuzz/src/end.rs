//! How a peer's bytes end.

use anabranch_core::InputEnd;
use arbitrary::Arbitrary;

#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum End {
    Eof,
    Reset,
    TlsTruncated,
    Error,
}

impl From<End> for InputEnd {
    fn from(end: End) -> Self {
        match end {
            End::Eof => Self::Eof,
            End::Reset => Self::Reset,
            End::TlsTruncated => Self::TlsTruncated,
            End::Error => Self::Error,
        }
    }
}
