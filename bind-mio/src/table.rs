//! The connections of a reactor by number, and the tokens by which its poll speaks of them.
//!
//! A token is a place and a generation: an event that was under way while its connection was closed does not reach the one
//! that has the place now. The table grows a page at a time, and never moves what is in it: doubling would cost each
//! connection as much again.

use std::fmt;

use mio::Token;

/// A place in the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place(u32);

impl Place {
    /// As a key of [`Timers`](anabranch_core::timer::Timers).
    pub(crate) const fn key(self) -> usize {
        self.0 as usize
    }

    /// The place of a key.
    pub(crate) const fn of_key(key: usize) -> Self {
        // Keys come from `key` and nowhere else.
        Self(key as u32)
    }
}

/// What is in a table's places: made once and emptied and filled again. Each has a mark beside what is in it, for which there
/// is room where the generation stands.
pub(crate) struct Table<T, M> {
    pages: Vec<Box<[Entry<T, M>]>>,
    free: Vec<u32>,
    len: usize,
}

struct Entry<T, M> {
    generation: u32,
    mark: M,
    value: Option<T>,
}

const PAGE: usize = 128;

impl<T, M: Default> Table<T, M> {
    /// What a place takes.
    pub(crate) const PLACE_BYTES: usize = size_of::<Entry<T, M>>();

    pub(crate) const fn new() -> Self {
        Self { pages: Vec::new(), free: Vec::new(), len: 0 }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn insert(&mut self, value: T) -> Place {
        if self.free.is_empty() {
            let first = (self.pages.len() * PAGE) as u32;
            self.pages
                .push((0..PAGE).map(|_| Entry { generation: 0, mark: M::default(), value: None }).collect());
            self.free.reserve_exact(self.pages.len() * PAGE - self.len);
            // The lowest is taken first.
            self.free.extend((first..first + PAGE as u32).rev());
        }
        // There is one now.
        let place = Place(self.free.pop().expect("a place is free"));
        let entry = self.entry(place);
        (entry.mark, entry.value) = (M::default(), Some(value));
        self.len += 1;
        place
    }

    pub(crate) fn remove(&mut self, place: Place) -> Option<T> {
        let entry = self.entry(place);
        let value = entry.value.take()?;
        entry.generation = entry.generation.wrapping_add(1) & GENERATIONS;
        self.free.push(place.0);
        self.len -= 1;
        Some(value)
    }

    pub(crate) fn get_mut(&mut self, place: Place) -> Option<&mut T> {
        let page = self.pages.get_mut(place.key() / PAGE)?;
        page[place.key() % PAGE].value.as_mut()
    }

    /// The mark of a place that is taken.
    pub(crate) fn mark_mut(&mut self, place: Place) -> Option<&mut M> {
        let page = self.pages.get_mut(place.key() / PAGE)?;
        let entry = &mut page[place.key() % PAGE];
        entry.value.is_some().then_some(&mut entry.mark)
    }

    /// How the poll is to speak of `place`.
    pub(crate) fn token(&self, place: Place) -> Token {
        let entry = &self.pages[place.key() / PAGE][place.key() % PAGE];
        Token((entry.generation as usize) << 32 | place.key())
    }

    /// The place that `token` speaks of, if it is still the same connection's.
    pub(crate) fn place(&self, token: Token) -> Option<Place> {
        let place = Place((token.0 & u32::MAX as usize) as u32);
        let entry = self.pages.get(place.key() / PAGE)?.get(place.key() % PAGE)?;
        (entry.value.is_some() && entry.generation as usize == token.0 >> 32).then_some(place)
    }

    /// All places that are taken.
    pub(crate) fn places(&self) -> impl Iterator<Item = Place> + '_ {
        let entries = self.pages.iter().flat_map(|page| page.iter());
        (0..).zip(entries).filter(|(_, entry)| entry.value.is_some()).map(|(number, _)| Place(number))
    }

    fn entry(&mut self, place: Place) -> &mut Entry<T, M> {
        &mut self.pages[place.key() / PAGE][place.key() % PAGE]
    }
}

/// Tokens from here on are not of the table.
pub(crate) const RESERVED: usize = (GENERATIONS as usize + 1) << 32;
const GENERATIONS: u32 = (1 << 30) - 1;

impl<T, M> fmt::Debug for Table<T, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("len", &self.len).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stale_token_does_not_reach_whoever_has_the_place_now() {
        let mut table = Table::<_, ()>::new();
        let first = table.insert("first");
        let token = table.token(first);
        assert_eq!(table.place(token), Some(first));
        assert_eq!(table.remove(first), Some("first"));
        assert_eq!(table.place(token), None);
        let second = table.insert("second");
        assert_eq!((second, table.place(token)), (first, None));
        assert_eq!(table.place(table.token(second)), Some(second));
        assert!(table.token(second).0 < RESERVED);
    }

    #[test]
    fn places_are_used_again_and_the_table_grows_by_pages() {
        let mut table = Table::<_, ()>::new();
        let places: Vec<Place> = (0..300).map(|number| table.insert(number)).collect();
        assert_eq!((table.len(), table.pages.len()), (300, 3));
        for place in places.iter().step_by(2) {
            table.remove(*place);
        }
        assert_eq!(table.places().count(), 150);
        for number in 0..150 {
            table.insert(number);
        }
        assert_eq!((table.len(), table.pages.len()), (300, 3));
    }
}
