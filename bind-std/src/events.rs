//! What happens in a server, told to those who listen: bounded, and lossy rather than a brake.

use std::collections::VecDeque;
use std::iter::FusedIterator;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use anabranch_core::lifecycle::{Event, EventKind};

/// A server's events, as one listener takes them. From [`Handle::events`](crate::Handle::events).
///
/// Events wait here until they are taken; when too many wait, the oldest are lost and [`lost`](Self::lost) counts them:
/// the server never waits for its listeners. As an iterator it blocks for the next event and ends after
/// [`Stopped`](anabranch_core::lifecycle::EventKind::Stopped).
#[derive(Debug)]
pub struct Events {
    ring: Arc<Ring>,
}

#[derive(Debug)]
struct Ring {
    state: Mutex<State>,
    arrived: Condvar,
    capacity: usize,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Event>,
    lost: u64,
    closed: bool,
    /// What the listener wants; `None`: everything.
    wanted: Option<fn(&EventKind) -> bool>,
    /// Threads asleep until something arrives.
    asleep: usize,
}

impl Events {
    fn new(capacity: usize) -> Self {
        let capacity = capacity.max(1);
        Self { ring: Arc::new(Ring { state: Mutex::default(), arrived: Condvar::new(), capacity }) }
    }

    /// Only those that `is_wanted`: the others do not wait here, and wake nobody.
    #[must_use]
    pub fn only(self, is_wanted: fn(&EventKind) -> bool) -> Self {
        let mut state = self.ring.lock();
        state.waiting.retain(|event| is_wanted(&event.kind));
        state.wanted = Some(is_wanted);
        drop(state);
        self
    }

    /// The next event, if one waits.
    #[must_use]
    pub fn try_next(&self) -> Option<Event> {
        self.ring.lock().waiting.pop_front()
    }

    /// The next event, waited for `at_most` so long; `None` when none came, or none will come any more.
    #[must_use]
    pub fn next_timeout(&self, at_most: Duration) -> Option<Event> {
        self.wait(Instant::now().checked_add(at_most))
    }

    /// How many events were lost because they were not taken.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.ring.lock().lost
    }

    fn wait(&self, until: Option<Instant>) -> Option<Event> {
        let mut state = self.ring.lock();
        loop {
            if let Some(event) = state.waiting.pop_front() {
                return Some(event);
            }
            if state.closed {
                return None;
            }
            let arrived = &self.ring.arrived;
            state.asleep += 1;
            state = match until {
                None => arrived.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        state.asleep -= 1;
                        return None;
                    }
                    arrived.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
            state.asleep -= 1;
        }
    }
}

impl Iterator for Events {
    type Item = Event;
    fn next(&mut self) -> Option<Event> {
        self.wait(None)
    }
}

impl FusedIterator for Events {}

impl Ring {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, event: Event) {
        let mut state = self.lock();
        if state.wanted.is_some_and(|is_wanted| !is_wanted(&event.kind)) {
            return;
        }
        if state.waiting.len() >= self.capacity {
            state.waiting.pop_front();
            state.lost += 1;
        }
        state.waiting.push_back(event);
        let is_awaited = state.asleep > 0;
        drop(state);
        // Calling nobody would be a system call all the same.
        if is_awaited {
            self.arrived.notify_one();
        }
    }

    fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_all();
    }
}

/// Tells every listener. The first one is there before the server starts, so that whoever asks for it right after the
/// start misses nothing.
#[derive(Debug)]
pub(crate) struct Hub {
    capacity: usize,
    state: Mutex<HubState>,
}

#[derive(Debug)]
struct HubState {
    first: Option<Events>,
    rings: Vec<Weak<Ring>>,
    closed: bool,
}

impl Hub {
    pub(crate) fn new(capacity: usize) -> Self {
        let first = Events::new(capacity);
        let rings = vec![Arc::downgrade(&first.ring)];
        Self { capacity, state: Mutex::new(HubState { first: Some(first), rings, closed: false }) }
    }

    pub(crate) fn subscribe(&self) -> Events {
        let mut state = self.lock();
        if let Some(first) = state.first.take() {
            return first;
        }
        let events = Events::new(self.capacity);
        if state.closed {
            events.ring.close();
        } else {
            state.rings.push(Arc::downgrade(&events.ring));
        }
        events
    }

    pub(crate) fn tell(&self, event: Event) {
        self.lock().rings.retain(|ring| ring.upgrade().map(|ring| ring.push(event)).is_some());
    }

    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        for ring in state.rings.drain(..) {
            if let Some(ring) = ring.upgrade() {
                ring.close();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HubState> {
        // Nothing under this lock can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(nanos: u64) -> Event {
        Event { at: anabranch_core::Instant::from_nanos(nanos), kind: EventKind::Resumed }
    }

    #[test]
    fn first_listener_hears_what_came_before_it() {
        let hub = Hub::new(8);
        hub.tell(event(1));
        let (first, second) = (hub.subscribe(), hub.subscribe());
        hub.tell(event(2));
        hub.close();
        assert_eq!(first.map(|event| event.at.as_nanos()).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(second.map(|event| event.at.as_nanos()).collect::<Vec<_>>(), [2]);
        assert_eq!(hub.subscribe().count(), 0);
    }

    #[test]
    fn listener_hears_only_what_it_wants_from_the_beginning_on() {
        let hub = Hub::new(8);
        hub.tell(event(1));
        let events = hub.subscribe().only(|kind| *kind != EventKind::Resumed);
        hub.tell(event(2));
        hub.tell(Event { at: anabranch_core::Instant::from_nanos(3), kind: EventKind::Suspended });
        hub.close();
        assert_eq!(events.map(|event| event.at.as_nanos()).collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn oldest_events_are_lost_and_counted_when_nobody_takes_them() {
        let hub = Hub::new(2);
        (1..=5).for_each(|nanos| hub.tell(event(nanos)));
        let events = hub.subscribe();
        assert_eq!(events.lost(), 3);
        assert_eq!(events.try_next(), Some(event(4)));
        assert_eq!(events.next_timeout(Duration::from_millis(1)), Some(event(5)));
        assert_eq!(events.next_timeout(Duration::from_millis(1)), None);
    }
}
