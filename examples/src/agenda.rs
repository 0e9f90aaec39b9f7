//! Which connection has its turn next, for loops that hold many: what was called comes in order, what has a deadline
//! comes in time, and what is taken is away until it is put back.
//!
//! ```text
//!             ┌───── call, deadline ─────┐               ┌── call ──┐
//!   insert    │                          ▼               │          ▼
//!   ──────► resting ◄── put ── away ◄── take ── wanted   away ──► away, called ── put ──► wanted
//! ```

use std::collections::VecDeque;
use std::time::Duration;

use anabranch_core::timer::Timers;
use anabranch_core::{Deadline, Instant};

/// Connections (or whatever is served) by key.
#[derive(Debug)]
pub struct Agenda<T> {
    places: Vec<Place<T>>,
    free: Vec<usize>,
    wanted: VecDeque<usize>,
    timers: Timers,
    /// What all that is inserted is called for first.
    first: Call,
}

/// What a connection is called for; of several the greatest counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Call {
    /// To see what it can do now.
    Turn,
    /// To drain.
    Drain,
    /// To end at once.
    Abort,
    /// To end at once, and so is whatever is inserted from then on: the loop ends with the last of them.
    Stop,
}

/// When there may be something to [`take`](Agenda::take).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "whoever sleeps by what it knew before is to be woken"]
pub enum Next {
    /// As [`left`](Agenda::left) said before.
    AsBefore,
    /// Maybe before that.
    Sooner,
}

#[derive(Debug)]
struct Place<T> {
    /// `None` when it is away, or the place is free.
    item: Option<T>,
    call: Option<Call>,
}

impl<T> Agenda<T> {
    /// With nothing on it.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        let (places, free, wanted) = (Vec::new(), Vec::new(), VecDeque::new());
        Self { places, free, wanted, timers: Timers::new(now), first: Call::Turn }
    }

    /// Takes up what `make` makes for a key, and calls it.
    pub fn insert(&mut self, make: impl FnOnce(usize) -> T) {
        let key = self.free.pop().unwrap_or(self.places.len());
        let item = Some(make(key));
        if key == self.places.len() {
            self.places.push(Place { item, call: None });
        } else {
            self.places[key] = Place { item, call: None };
        }
        self.call(key, self.first);
    }

    /// `key` is to have a turn: soon, or once more if it is away. Keys that are gone are harmless.
    pub fn call(&mut self, key: usize, call: Call) {
        let Some(place) = self.places.get_mut(key) else { return };
        if place.call.is_none() && place.item.is_some() {
            self.wanted.push_back(key);
        }
        place.call = place.call.max(Some(call));
    }

    /// What rests at `key`.
    pub fn get_mut(&mut self, key: usize) -> Option<&mut T> {
        self.places.get_mut(key)?.item.as_mut()
    }

    /// Calls all of them.
    pub fn call_all(&mut self, call: Call) {
        if call == Call::Stop {
            self.first = call;
        }
        (0..self.places.len()).for_each(|key| self.call(key, call));
    }

    /// What has its turn next, and what for. It is away until it is [`put`](Self::put) back or [`remove`](Self::remove)d.
    pub fn take(&mut self, now: Instant) -> Option<(usize, T, Call)> {
        while let Some(key) = self.timers.pop(now) {
            self.call(key, Call::Turn);
        }
        let key = self.wanted.pop_front()?;
        let place = &mut self.places[key];
        Some((key, place.item.take()?, place.call.take()?))
    }

    /// Back from its turn; with a deadline it is called by then.
    pub fn put(&mut self, key: usize, item: T, deadline: Option<Deadline>) -> Next {
        let place = &mut self.places[key];
        place.item = Some(item);
        if place.call.is_some() {
            self.wanted.push_back(key);
            return Next::Sooner;
        }
        // A deadline that moved to later is found out when the earlier comes due.
        match deadline {
            Some(Deadline { at, .. }) if self.timers.get(key).is_none_or(|set| at < set) => {
                self.timers.set(key, at);
                Next::Sooner
            }
            _ => Next::AsBefore,
        }
    }

    /// What was taken comes back no more.
    pub fn remove(&mut self, key: usize) -> Next {
        self.timers.clear(key);
        self.places[key].call = None;
        self.free.push(key);
        if self.is_over() { Next::Sooner } else { Next::AsBefore }
    }

    /// How long there is nothing to [`take`](Self::take), unless something is called; `None` for ever.
    #[must_use]
    pub fn left(&self, now: Instant) -> Option<Duration> {
        if !self.wanted.is_empty() || self.is_over() {
            return Some(Duration::ZERO);
        }
        self.timers.next().map(|at| at.saturating_since(now))
    }

    /// Whether all was stopped and nothing is left, away or not.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.first == Call::Stop && self.free.len() == self.places.len()
    }
}

#[cfg(test)]
mod tests {
    use anabranch_core::DeadlineKind;

    use super::*;

    fn at(nanos: u64) -> Option<Deadline> {
        Some(Deadline { at: Instant::from_nanos(nanos), kind: DeadlineKind::Idle })
    }

    const START: Instant = Instant::ORIGIN;

    #[test]
    fn what_is_called_while_it_is_away_has_another_turn() {
        let mut agenda = Agenda::new(START);
        agenda.insert(|_| "one");
        let (key, item, _) = agenda.take(START).unwrap();
        agenda.call(key, Call::Abort);
        agenda.call(key, Call::Turn);
        assert_eq!(agenda.take(START), None);
        assert_eq!(agenda.put(key, item, None), Next::Sooner);
        assert_eq!(agenda.take(START), Some((key, "one", Call::Abort)));
        assert_eq!(agenda.take(START), None);
    }

    #[test]
    fn turns_come_in_the_order_of_the_calls_and_one_for_many() {
        let mut agenda = Agenda::new(START);
        (0..3).for_each(|_| agenda.insert(|key| key));
        for _ in 0..3 {
            let (key, item, _) = agenda.take(START).unwrap();
            assert_eq!(agenda.put(key, item, None), Next::AsBefore);
        }
        [2, 0, 2, 1, 0].into_iter().for_each(|key| agenda.call(key, Call::Turn));
        let order: Vec<_> = std::iter::from_fn(|| agenda.take(START)).map(|(key, ..)| key).collect();
        assert_eq!(order, [2, 0, 1]);
    }

    #[test]
    fn deadline_calls_and_may_move_later_unseen() {
        let second = 1_000_000_000;
        let mut agenda = Agenda::new(START);
        agenda.insert(|_| ());
        agenda.take(START);
        assert_eq!(agenda.put(0, (), at(second)), Next::Sooner);
        assert!(agenda.left(START).is_some_and(|left| left <= Duration::from_secs(1)));
        agenda.call(0, Call::Turn);
        agenda.take(START);
        assert_eq!(agenda.put(0, (), at(2 * second)), Next::AsBefore);
        assert_eq!(agenda.take(Instant::from_nanos(second / 2)), None);
        assert!(agenda.take(Instant::from_nanos(second + second / 100)).is_some());
    }

    #[test]
    fn key_that_is_gone_is_called_in_vain_and_given_again() {
        let mut agenda = Agenda::new(START);
        agenda.insert(|_| "one");
        agenda.take(START);
        assert_eq!(agenda.put(0, "one", at(1)), Next::Sooner);
        agenda.call(0, Call::Turn);
        agenda.take(START);
        assert_eq!(agenda.remove(0), Next::AsBefore);
        agenda.call_all(Call::Abort);
        assert!(agenda.left(START).is_none());
        agenda.insert(|key| if key == 0 { "another" } else { "elsewhere" });
        assert_eq!(agenda.take(START), Some((0, "another", Call::Turn)));
    }

    #[test]
    fn what_comes_after_a_stop_is_stopped_and_then_it_is_over() {
        let mut agenda = Agenda::new(START);
        agenda.call_all(Call::Stop);
        assert!(agenda.is_over() && agenda.left(START) == Some(Duration::ZERO));
        agenda.insert(|_| ());
        assert!(!agenda.is_over());
        assert_eq!(agenda.take(START), Some((0, (), Call::Stop)));
        assert!(!agenda.is_over(), "it is away");
        assert_eq!(agenda.remove(0), Next::Sooner);
        assert!(agenda.is_over());
    }
}
