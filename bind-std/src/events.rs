//! What happens in a server, told to those who listen: bounded, and lossy rather than a brake.

use std::collections::VecDeque;
use std::iter::FusedIterator;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anabranch_core::lifecycle::{Event, EventKind, Server};

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
    fn new(capacity: usize, lost: u64) -> Self {
        let state = Mutex::new(State { lost, ..State::default() });
        Self { ring: Arc::new(Ring { state, arrived: Condvar::new(), capacity: capacity.max(1) }) }
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

/// Tells every listener what the lifecycle recorded. Until there is one that is left where it is, where as much is kept: so
/// whoever asks first misses nothing, and a server that nobody listens to spends nothing on being heard.
#[derive(Debug)]
pub(crate) struct Hub {
    capacity: usize,
    rings: Vec<Arc<Ring>>,
    is_heard: bool,
    is_closed: bool,
}

impl Hub {
    pub(crate) const fn new(capacity: usize) -> Self {
        Self { capacity, rings: Vec::new(), is_heard: false, is_closed: false }
    }

    pub(crate) fn subscribe(&mut self, server: &mut Server) -> Events {
        let lost = if self.is_heard { 0 } else { server.counters().events_lost };
        let events = Events::new(self.capacity, lost);
        self.rings.push(events.ring.clone());
        self.is_heard = true;
        self.tell(server);
        if self.is_closed {
            self.close();
        }
        events
    }

    /// Tells what was recorded since it was last called.
    pub(crate) fn tell(&mut self, server: &mut Server) {
        if !self.is_heard {
            return;
        }
        while let Some(event) = server.poll_event() {
            // A listener that is gone has left its ring to this alone.
            self.rings.retain(|ring| Arc::strong_count(ring) > 1);
            self.rings.iter().for_each(|ring| ring.push(event));
        }
    }

    /// Nothing more will be recorded.
    pub(crate) fn close(&mut self) {
        self.is_closed = true;
        self.rings.drain(..).for_each(|ring| ring.close());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anabranch_core::Instant;
    use anabranch_core::lifecycle::ServerConfig;

    const SUSPENDED: EventKind = EventKind::Suspended;
    const RESUMED: EventKind = EventKind::Resumed;

    /// A server whose events are those of being suspended and resumed, and its hub.
    fn server(max_events: usize) -> (Server, Hub) {
        let mut config = ServerConfig::default();
        config.max_events = max_events;
        (Server::new(config), Hub::new(max_events))
    }

    fn suspend_and_resume(server: &mut Server, hub: &mut Hub) {
        server.suspend(Instant::ORIGIN);
        server.resume(Instant::ORIGIN);
        hub.tell(server);
    }

    fn kinds(events: Events) -> Vec<EventKind> {
        events.map(|event| event.kind).collect()
    }

    #[test]
    fn first_listener_hears_what_came_before_it() {
        let (mut server, mut hub) = server(8);
        suspend_and_resume(&mut server, &mut hub);
        let (first, second) = (hub.subscribe(&mut server), hub.subscribe(&mut server));
        suspend_and_resume(&mut server, &mut hub);
        hub.close();
        assert_eq!(kinds(first), [SUSPENDED, RESUMED, SUSPENDED, RESUMED]);
        assert_eq!(kinds(second), [SUSPENDED, RESUMED]);
        assert_eq!(hub.subscribe(&mut server).count(), 0);
    }

    #[test]
    fn listener_that_comes_after_the_end_hears_it_if_it_is_the_first() {
        let (mut server, mut hub) = server(8);
        suspend_and_resume(&mut server, &mut hub);
        hub.close();
        assert_eq!(kinds(hub.subscribe(&mut server)), [SUSPENDED, RESUMED]);
    }

    #[test]
    fn listener_hears_only_what_it_wants_from_the_beginning_on() {
        let (mut server, mut hub) = server(8);
        suspend_and_resume(&mut server, &mut hub);
        let events = hub.subscribe(&mut server).only(|kind| *kind != RESUMED);
        suspend_and_resume(&mut server, &mut hub);
        hub.close();
        assert_eq!(kinds(events), [SUSPENDED, SUSPENDED]);
    }

    #[test]
    fn oldest_events_are_lost_and_counted_when_nobody_takes_them() {
        let (mut server, mut hub) = server(2);
        // Before anybody listened, and after.
        suspend_and_resume(&mut server, &mut hub);
        suspend_and_resume(&mut server, &mut hub);
        let events = hub.subscribe(&mut server);
        assert_eq!(events.lost(), 2);
        server.suspend(Instant::ORIGIN);
        hub.tell(&mut server);
        assert_eq!(events.lost(), 3);
        assert_eq!(events.try_next().map(|event| event.kind), Some(RESUMED));
        assert_eq!(events.next_timeout(Duration::from_millis(1)).map(|event| event.kind), Some(SUSPENDED));
        assert_eq!(events.next_timeout(Duration::from_millis(1)), None);
    }
}
