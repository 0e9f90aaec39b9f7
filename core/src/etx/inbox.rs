//! Bytes received and not yet begun: finds where the message at the front ends, looking at every byte once.

use super::{ETX, Fault, GOODBYE};

/// What stands at the front.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Front {
    /// No byte.
    Nothing,
    /// A message that has not ended.
    Partial,
    /// A whole message.
    Complete(Message),
    /// Bytes that cannot become a message. Nothing behind them counts.
    Broken(Fault),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Message {
    Ordinary,
    Goodbye,
}

/// At most one read plus one unfinished message, held at exactly its size.
#[derive(Debug)]
pub(super) struct Inbox {
    bytes: Vec<u8>,
    /// Where the front message begins.
    start: usize,
    /// Where the search for its end goes on. Once it is complete: the index of its ETX.
    scanned: usize,
    front: Front,
    max_message_bytes: usize,
}

impl Inbox {
    pub(super) const fn new(max_message_bytes: usize) -> Self {
        Self { bytes: Vec::new(), start: 0, scanned: 0, front: Front::Nothing, max_message_bytes }
    }

    pub(super) fn push(&mut self, input: &[u8]) {
        if input.is_empty() || matches!(self.front, Front::Broken(_)) {
            return;
        }
        self.compact();
        self.bytes.reserve_exact(input.len());
        self.bytes.extend_from_slice(input);
        if !matches!(self.front, Front::Complete(_)) {
            self.scan();
        }
    }

    /// Takes the front message, if it is whole.
    pub(super) fn pop(&mut self) -> Option<Message> {
        let Front::Complete(message) = self.front else { return None };
        self.start = self.scanned + 1;
        self.scanned = self.start;
        self.scan();
        Some(message)
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new(self.max_message_bytes);
    }

    pub(super) const fn front(&self) -> Front {
        self.front
    }

    /// Bytes of memory held.
    #[cfg(test)]
    pub(super) const fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    fn scan(&mut self) {
        // One byte past the longest message may still be its ETX.
        let limit = self.start.saturating_add(self.max_message_bytes).saturating_add(1);
        let window = self.bytes.len().min(limit);
        let stop = self.bytes[self.scanned..window].iter().position(|byte| *byte == ETX || !byte.is_ascii());
        self.scanned = stop.map_or(window, |offset| self.scanned + offset);
        self.front = match stop {
            Some(_) if self.bytes[self.scanned] == ETX => {
                let goodbye = self.bytes[self.start..self.scanned] == *GOODBYE;
                Front::Complete(if goodbye { Message::Goodbye } else { Message::Ordinary })
            }
            Some(_) if self.scanned - self.start < self.max_message_bytes => Front::Broken(Fault::NonAscii),
            Some(_) => Front::Broken(Fault::TooLong),
            None if window == limit => Front::Broken(Fault::TooLong),
            None if window == self.start => Front::Nothing,
            None => Front::Partial,
        };
        match self.front {
            Front::Complete(_) => {}
            Front::Partial => self.compact(),
            Front::Nothing | Front::Broken(_) => {
                self.bytes = Vec::new();
                (self.start, self.scanned) = (0, 0);
            }
        }
    }

    /// Gives back the memory of what was taken from the front.
    fn compact(&mut self) {
        if self.start > 0 {
            self.bytes = self.bytes[self.start..].to_vec();
            self.scanned -= self.start;
            self.start = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inbox(max_message_bytes: usize, input: &[u8]) -> Inbox {
        let mut inbox = Inbox::new(max_message_bytes);
        inbox.push(input);
        inbox
    }

    #[test]
    fn message_may_be_empty_and_as_long_as_the_limit() {
        assert_eq!(inbox(3, b"\x03").front(), Front::Complete(Message::Ordinary));
        assert_eq!(inbox(3, b"abc\x03").front(), Front::Complete(Message::Ordinary));
        assert_eq!(inbox(3, b"abc").front(), Front::Partial);
        assert_eq!(inbox(3, b"abcd").front(), Front::Broken(Fault::TooLong));
        assert_eq!(inbox(0, b"\x03").front(), Front::Complete(Message::Ordinary));
        assert_eq!(inbox(usize::MAX, b"abc").front(), Front::Partial);
    }

    #[test]
    fn first_byte_that_breaks_a_rule_decides() {
        assert_eq!(inbox(3, b"ab\xff").front(), Front::Broken(Fault::NonAscii));
        assert_eq!(inbox(3, b"abc\xff").front(), Front::Broken(Fault::TooLong));
        assert_eq!(inbox(3, b"a\xffcdefg").front(), Front::Broken(Fault::NonAscii));
    }

    #[test]
    fn goodbye_is_told_from_what_merely_contains_it() {
        assert_eq!(inbox(9, b"goodbye\x03").front(), Front::Complete(Message::Goodbye));
        assert_eq!(inbox(9, b"goodbye!\x03").front(), Front::Complete(Message::Ordinary));
        assert_eq!(inbox(9, b"Goodbye\x03").front(), Front::Complete(Message::Ordinary));
    }

    #[test]
    fn unfinished_tail_is_held_at_its_own_size() {
        let mut inbox = inbox(100, &[b"first\x03".repeat(1000), b"tail".to_vec()].concat());
        for _ in 0..1000 {
            assert_eq!(inbox.pop(), Some(Message::Ordinary));
        }
        assert_eq!(inbox.pop(), None);
        assert_eq!((inbox.front(), inbox.capacity()), (Front::Partial, 4));
        inbox.push(b"\x03");
        assert_eq!(inbox.pop(), Some(Message::Ordinary));
        assert_eq!((inbox.front(), inbox.capacity()), (Front::Nothing, 0));
    }
}
