//! What is kept of each open connection, by its number: sixteen bytes and little more, since numbers only grow.
//!
//! ```text
//!   pages   ┌ 3 7 8 ──── 71 ┐ ┌ 72 75 ──── 140 ┐ ┌ 141 142 ·  ·  · ┐ ◄─ the newest joins the last page
//!           └───────────────┘ └────────────────┘ └─────────────────┘
//!                 │ whoever leaves is closed up; a page that is half empty joins its neighbour
//! ```

use std::collections::VecDeque;

/// Values by numbers that only grow.
#[derive(Debug)]
pub(super) struct Roster<T> {
    /// Each in order and none of them empty, as they are among themselves.
    pages: VecDeque<Vec<(u64, T)>>,
    len: usize,
}

/// Entries of a page.
const PAGE: usize = 64;

/// Two neighbours that have so few are one page. Fewer than fit in one: not each that comes and goes parts and joins them.
const JOINED: usize = 48;

impl<T> Roster<T> {
    pub(super) const fn new() -> Self {
        Self { pages: VecDeque::new(), len: 0 }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All numbers, the lowest first.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u64> + '_ {
        self.pages.iter().flatten().map(|(number, _)| *number)
    }

    /// Enters a value under `number`, which is higher than all before it.
    pub(super) fn push(&mut self, number: u64, value: T) {
        debug_assert!(self.numbers_below(number), "numbers only grow");
        self.len += 1;
        if let Some(last) = self.pages.back_mut()
            && last.len() < PAGE
        {
            return last.push((number, value));
        }
        let mut page = Vec::with_capacity(PAGE);
        page.push((number, value));
        self.pages.push_back(page);
    }

    /// Takes out what was entered under `number`.
    pub(super) fn remove(&mut self, number: u64) -> Option<T> {
        let at = self.pages.partition_point(|page| page[0].0 <= number).checked_sub(1)?;
        let page = &mut self.pages[at];
        let within = page.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        let (_, value) = page.remove(within);
        self.len -= 1;
        if page.is_empty() {
            self.pages.remove(at);
        } else if !self.join(at) && at > 0 {
            self.join(at - 1);
        }
        Some(value)
    }

    /// Joins a page with the next one, if both together are few. Says whether it did.
    fn join(&mut self, at: usize) -> bool {
        let both = self.pages.get(at + 1).map_or(usize::MAX, |next| self.pages[at].len() + next.len());
        if both > JOINED {
            return false;
        }
        if let Some(next) = self.pages.remove(at + 1) {
            self.pages[at].extend(next);
        }
        true
    }

    fn numbers_below(&self, number: u64) -> bool {
        self.pages.back().and_then(|page| page.last()).is_none_or(|(last, _)| *last < number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn it_is_a_map_whose_pages_are_never_nearly_empty(
            steps in prop::collection::vec((any::<bool>(), 1..200_usize, any::<prop::sample::Index>()), 1..60),
        ) {
            let (mut roster, mut map, mut number) = (Roster::new(), BTreeMap::new(), 0);
            for (enters, times, whom) in steps {
                for _ in 0..times {
                    if enters {
                        number += 1 + number % 3;
                        roster.push(number, number * 2);
                        map.insert(number, number * 2);
                    } else {
                        // One that is there as a rule, and others by its side.
                        let near = map.keys().nth(whom.index(map.len().max(1))).copied().unwrap_or(number) + number % 2;
                        prop_assert_eq!(roster.remove(near), map.remove(&near));
                    }
                }
                prop_assert_eq!(roster.len(), map.len());
                prop_assert_eq!(roster.is_empty(), map.is_empty());
                prop_assert!(roster.numbers().eq(map.keys().copied()));
                prop_assert!(roster.pages.iter().all(|page| (1..=PAGE).contains(&page.len()) && page.capacity() == PAGE));
                let pages: Vec<_> = roster.pages.iter().map(Vec::len).collect();
                prop_assert!(pages.windows(2).all(|two| two[0] + two[1] > JOINED), "{:?}", pages);
            }
        }
    }

    #[test]
    fn thousands_that_stay_of_millions_that_went_take_little() {
        let mut roster = Roster::new();
        for number in 1..=200_000_u64 {
            roster.push(number, ());
            if number > 50 && !(number - 50).is_multiple_of(100) {
                assert_eq!(roster.remove(number - 50), Some(()));
            }
        }
        assert!((2_000..2_100).contains(&roster.len()));
        assert!(roster.pages.len() <= 2 * roster.len() / JOINED + 2, "{} pages", roster.pages.len());
    }
}
