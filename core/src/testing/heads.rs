//! Two paths to a head that must be one: the sweep and httparse.

use core::fmt::Debug;

use crate::http1::{Limits, RequestHead, read_both_ways};

/// Reads the head that `bytes` begin with on both paths, and says whether it is one for the sweep. For whoever changes
/// either: called by a property and by a fuzz target.
///
/// # Panics
/// When the sweep reads a head that the other path does not read, or reads as another.
#[track_caller]
pub fn agree(bytes: &[u8], limits: &Limits) -> bool {
    let Some((swept, parsed)) = read_both_ways(bytes, limits) else { return false };
    let (swept, parsed) = (Told::of(&swept), parsed.as_ref().map(Told::of));
    assert_eq!(
        Some(swept),
        parsed,
        "the sweep and httparse differ on {:?}",
        bytes.escape_ascii().to_string()
    );
    true
}

/// Everything a head says.
#[derive(PartialEq)]
struct Told(String);

impl Told {
    fn of((head, end): &(RequestHead, usize)) -> Self {
        Self(format!("{end} bytes, authority {:?}, {:?}, {head:?}", head.authority(), head.query()))
    }
}

impl Debug for Told {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0)
    }
}
