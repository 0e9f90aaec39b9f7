//! How one conversation is cut into reads and writes (law 9).

/// How a conversation is cut: how many bytes come a read, how many go out a write, and when the peer takes them.
///
/// Sizes are used in turn, and again from the first after the last; an empty list means whole, and a size of zero counts
/// as one. So `reads: vec![1]` is byte by byte, and `reads: vec![5, usize::MAX]` is cut once, behind the fifth byte.
///
/// ```
/// use anabranch_core::testing::Cuts;
///
/// let cuts = Cuts { reads: vec![2, 1], ..Cuts::default() };
/// assert_eq!(cuts.pieces(b"abcde"), [&b"ab"[..], b"c", b"de"]);
/// assert_eq!(Cuts::default().pieces(b"abcde"), [b"abcde"]);
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Cuts {
    /// Bytes a read.
    pub reads: Vec<usize>,
    /// How output is taken, a write at a time.
    pub writes: Vec<Take>,
    /// When output is taken.
    pub pace: Pace,
}

/// How a driver takes output once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Take {
    /// By a write that has room for so many bytes.
    Write(usize),
    /// As owned chunks of so many bytes together, reported when they are out: what a completion driver does.
    Owned(usize),
}

/// When the peer takes what is sent to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Pace {
    /// All there is, after each read.
    #[default]
    AtOnce,
    /// Nothing, until it has sent all that the flow lets it send.
    Late,
}

impl Cuts {
    /// One byte a read, one byte a write.
    #[must_use]
    pub fn bytewise() -> Self {
        Self { reads: vec![1], writes: vec![Take::Write(1)], pace: Pace::AtOnce }
    }

    /// `input`, as it comes.
    #[must_use]
    pub fn pieces<'a>(&self, input: &'a [u8]) -> Vec<&'a [u8]> {
        let (mut pieces, mut rest) = (Vec::new(), input);
        for size in self.reads.iter().copied().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at(size.clamp(1, rest.len()));
            pieces.push(piece);
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(rest);
        }
        pieces
    }

    /// How output is taken, one after the other without end.
    pub(super) fn takes(&self) -> impl Iterator<Item = Take> + use<> {
        let whole = [Take::Write(usize::MAX)];
        let takes = if self.writes.is_empty() { whole.to_vec() } else { self.writes.clone() };
        takes.into_iter().cycle()
    }
}
