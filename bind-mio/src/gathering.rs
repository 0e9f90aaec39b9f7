//! How a loop gathers what it has for other threads before it calls them: a wake, and the switches it brings, for a batch and not
//! for each item.
//!
//! ```text
//!             something to hand over              nothing came behind it, or 30 us are over
//!   Nothing ─────────────────────────► Gathering ──────────────────────────────────────────► called
//!      ▲                                                                                        │
//!      ├─────────────────────────────────────── wait for events ◄───────────────────────────────┤
//!      └───────── a pause, and the events that came in it ◄── many come, each of them seldom ◄──┘
//! ```
//!
//! A loop that waits for the next event is woken for one or two, wakes somebody for those, and goes to sleep again; one that
//! pauses instead finds them all at once. Whether that pays is found out by counting, as network cards moderate their
//! interrupts: there must be so many items that a pause gathers several, and of so many connections that what each of them
//! waits longer is little beside the time it takes from one request to its next.

use std::time::Duration;

use anabranch_core::Instant;

/// What a loop has gathered, and how much of it there is as a rule.
#[derive(Debug)]
pub(crate) struct Gathering {
    /// Since when there is something that others are to be called for.
    since: Option<Instant>,
    /// Items, and the connections they are of, since the count began.
    items: u32,
    connections: u32,
    began: Instant,
    /// The count's number, which its connections are marked with.
    count: Counted,
    /// What the count before it came to.
    pays: bool,
}

/// In which count a connection was last counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Counted(u8);

/// So long is gathered at most before others are called: about what it costs to wake one of them.
const LONGEST: Duration = Duration::from_micros(30);

/// How long a pause is meant to be. Systems end sleeps that are about to end together: Linux adds 50 us.
const PAUSE: Duration = Duration::from_micros(25);

/// What it comes to.
const PAUSE_TAKES: Duration = Duration::from_micros(80);

/// Items of a count.
const ITEMS: u32 = 512;

/// What a pause has to gather to pay.
const MANY: u32 = 3;

/// A connection's time from one item to its next is to be so many pauses.
const SELDOM: u32 = 4;

/// A count that takes longer is of too few items: a pause would not gather [`MANY`].
const DENSE: Duration = PAUSE_TAKES.saturating_mul(ITEMS / MANY);

impl Gathering {
    pub(crate) const fn new(now: Instant) -> Self {
        Self { since: None, items: 0, connections: 0, began: now, count: Counted(1), pays: false }
    }

    /// There is something more for others, of the connection that was last counted then.
    pub(crate) fn add(&mut self, now: Instant, counted: &mut Counted) {
        self.since.get_or_insert(now);
        self.items += 1;
        if *counted != self.count {
            *counted = self.count;
            self.connections += 1;
        }
    }

    /// Whether there is something, and time to look for more before anybody is called.
    pub(crate) fn goes_on(&self, now: Instant) -> bool {
        self.since.is_some_and(|since| now - since < LONGEST)
    }

    /// Whether they are to be called now, whatever else there is to do.
    pub(crate) fn is_overdue(&self, now: Instant) -> bool {
        self.since.is_some_and(|since| now - since > LONGEST)
    }

    /// Ends it, and says whether there is anybody to be called.
    pub(crate) fn end(&mut self, now: Instant) -> bool {
        if self.items >= ITEMS {
            let took = now - self.began;
            let between = took / self.items * self.connections;
            self.pays = took < DENSE && between >= PAUSE_TAKES * SELDOM;
            self.began = now;
            self.items = 0;
            self.connections = 0;
            self.count.0 = self.count.0.wrapping_add(1);
        }
        self.since.take().is_some()
    }

    /// How long the loop is to leave its events alone, once others were called and none are left.
    pub(crate) fn pause(&self, now: Instant) -> Option<Duration> {
        (self.pays && now - self.began < DENSE).then_some(PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Items one after another at that rate, of so many connections by turns: for a count, and the time behind it.
    fn pauses_after(gathering: &mut Gathering, now: &mut Instant, a_second: u32, connections: usize) -> bool {
        let mut counted = vec![Counted::default(); connections];
        for item in 0..2 * ITEMS as usize {
            *now += Duration::from_secs(1) / a_second;
            gathering.add(*now, &mut counted[item % connections]);
            assert!(gathering.end(*now));
        }
        gathering.pause(*now).is_some()
    }

    fn fresh() -> (Gathering, Instant) {
        let now = Instant::from_nanos(1);
        (Gathering::new(now), now)
    }

    #[test]
    fn pause_pays_where_much_comes_of_many_and_not_where_it_comes_of_few() {
        let (mut gathering, mut now) = fresh();
        assert_eq!(gathering.pause(now), None, "nothing is known yet");
        for (a_second, connections, pays) in [
            (150_000, 64, true),
            (1_000_000, 512, true),
            // Each is answered within 60 us, and would wait 80 us for the pause to end.
            (130_000, 8, false),
            (40_000, 1, false),
            // One or two in a pause.
            (20_000, 64, false),
            (100, 10_000, false),
            (150_000, 64, true),
        ] {
            let pauses = pauses_after(&mut gathering, &mut now, a_second, connections);
            assert_eq!(pauses, pays, "{a_second} a second of {connections}");
        }
    }

    #[test]
    fn what_paid_pays_no_more_once_less_comes() {
        let (mut gathering, mut now) = fresh();
        assert!(pauses_after(&mut gathering, &mut now, 150_000, 64));
        now += DENSE;
        assert_eq!(gathering.pause(now), None);
        gathering.add(now, &mut Counted::default());
        assert!(gathering.end(now));
        assert_eq!(gathering.pause(now), None, "the count goes on, and is not dense");
    }

    #[test]
    fn others_are_called_at_most_a_moment_later() {
        let (mut gathering, now) = fresh();
        assert!(!gathering.goes_on(now) && !gathering.is_overdue(now) && !gathering.end(now));
        gathering.add(now, &mut Counted::default());
        assert!(gathering.goes_on(now));
        let late = now + LONGEST + Duration::from_nanos(1);
        gathering.add(late, &mut Counted::default());
        assert!(!gathering.goes_on(late) && gathering.is_overdue(late), "by what has waited longest");
        assert!(gathering.end(late) && !gathering.end(late));
        assert!(!gathering.is_overdue(late));
    }
}
