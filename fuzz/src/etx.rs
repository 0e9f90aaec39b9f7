//! What an ETX-ack peer sends, cut and uncut.

use std::time::Duration;

use anabranch_core::etx::Ack;

use crate::conversation::converse;

/// The first byte says how reads are cut, the second how writes are.
pub fn check(data: &[u8]) {
    let [read, write, sent @ ..] = data else { return };
    let mut ack = Ack::with_delay(Duration::from_millis(10));
    ack.max_message_bytes = 16;
    let whole = converse(&ack, sent, usize::MAX, usize::MAX);
    let cut = converse(&ack, sent, usize::from(*read).max(1), usize::from(*write).max(1));
    assert_eq!(cut, whole, "cut, left; whole, right");
}
