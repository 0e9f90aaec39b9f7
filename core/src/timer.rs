//! The deadlines of many connections: a hierarchical timing wheel, in which setting, moving and clearing one costs the same
//! however many there are.
//!
//! ```text
//!   level 0   64 slots of 1 tick      ├┼┼┼┼┼┼┼┤   what is due within 67 ms, to the tick
//!   level 1   64 slots of 64 ticks    ├───┼───┼───┼───┤   4.3 s: a slot whose time comes is dealt out to level 0
//!   level 2   64 slots of 64² ticks   ├───────────────┼──   4.6 min
//!   …
//!   level 7   64 slots of 64⁷ ticks   all the time there is
//! ```
//!
//! Level by level, what is in one comes before all that is in the next. A tick is 2²⁰ ns, some 1.05 ms. Nothing is given out before its instant, and nothing more than a tick after it. Empty
//! slots are jumped over by bit maps, so that time may pass in steps of any size.
//!
//! # How a driver uses it
//!
//! Lazily: a flow's deadline moves with each request, mostly to later. So a driver sets a key only when the deadline has
//! become *earlier* than what is set; when the key comes due, it asks the flow again, and sets it again if there is time
//! left. A busy connection then costs one comparison a turn, and one set per idle period.
//!
//! ```
//! use core::time::Duration;
//! use anabranch_core::Instant;
//! use anabranch_core::timer::Timers;
//!
//! let start = Instant::ORIGIN;
//! let mut timers = Timers::new(start);
//! # let deadline_of = |_key| Some(start + Duration::from_secs(60));
//! let key = 7;
//! if let Some(deadline) = deadline_of(key)
//!     && timers.get(key).is_none_or(|set| deadline < set)
//! {
//!     timers.set(key, deadline);
//! }
//!
//! // The loop sleeps until `next`, which may be a little early, and then takes what is due.
//! assert!(timers.next().unwrap() <= start + Duration::from_secs(60));
//! let now = start + Duration::from_secs(61);
//! while let Some(key) = timers.pop(now) {
//!     match deadline_of(key) {
//!         Some(later) if later > now => timers.set(key, later),
//!         _ => { /* take a turn: the flow is told that its time has come */ }
//!     }
//! }
//! ```

use core::fmt;

use crate::time::Instant;

/// Deadlines by key. Keys are small numbers, dense as those of a slab: memory is 16 bytes for each up to the largest.
pub struct Timers {
    nodes: Vec<Node>,
    levels: [Level; LEVELS],
    /// Keys whose time has come.
    due: u32,
    /// All that was due until this tick is given out, or in `due`.
    elapsed: u64,
    len: usize,
}

/// A key's place in the list of its slot.
#[derive(Clone, Copy)]
struct Node {
    at: Instant,
    /// The key before it; or, for the first of a list, [`FIRST`] and which list that is; or [`NONE`], where it is not set.
    previous: u32,
    next: u32,
}

/// A list: of a slot, or of those that are due.
#[derive(Clone, Copy, PartialEq, Eq)]
struct List(u32);

impl List {
    const DUE: Self = Self((LEVELS * SLOTS) as u32);

    const fn slot(level: u32, slot: u32) -> Self {
        Self(level << SLOT_BITS | slot)
    }
}

#[derive(Clone, Copy)]
struct Level {
    /// A bit for each slot that is not empty.
    occupied: u64,
    heads: [u32; SLOTS],
}

/// As many as there are digits in the last tick that an instant can have.
const LEVELS: usize = (u64::BITS - TICK_BITS).div_ceil(SLOT_BITS) as usize;
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
const TICK_BITS: u32 = 20;
const NONE: u32 = u32::MAX;
/// Keys are smaller.
const FIRST: u32 = 1 << 31;
const UNSET: Node = Node { at: Instant::NEVER, previous: NONE, next: NONE };

impl Timers {
    /// None set. `now` is where time begins.
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self {
            nodes: Vec::new(),
            levels: [Level { occupied: 0, heads: [NONE; SLOTS] }; LEVELS],
            due: NONE,
            elapsed: now.as_nanos() >> TICK_BITS,
            len: 0,
        }
    }

    /// `key` is due at `at`, and at no other time that was set before.
    ///
    /// # Panics
    /// For keys from 2³¹ on.
    pub fn set(&mut self, key: usize, at: Instant) {
        assert!(key < FIRST as usize, "a key is a small number");
        self.clear(key);
        if at == Instant::NEVER {
            return;
        }
        if key >= self.nodes.len() {
            // By a quarter and not by as much again: it is memory of every connection.
            self.nodes.reserve_exact((key + 1 - self.nodes.len()).max(self.nodes.len() / 4));
            self.nodes.resize(key + 1, UNSET);
        }
        self.nodes[key].at = at;
        self.len += 1;
        self.place(key as u32);
    }

    /// `key` is not due any more, if it was set.
    pub fn clear(&mut self, key: usize) {
        if self.get(key).is_some() {
            self.unlink(key as u32);
            self.nodes[key] = UNSET;
            self.len -= 1;
        }
    }

    /// When `key` is due, if it is set.
    #[must_use]
    pub fn get(&self, key: usize) -> Option<Instant> {
        self.nodes.get(key).filter(|node| node.previous != NONE).map(|node| node.at)
    }

    /// When to [`pop`](Self::pop) next: when the first key is due, to the tick, or earlier, when a slot is to be dealt out.
    /// `None` when nothing is set.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        let tick = if self.due == NONE { self.next_slot()?.tick } else { self.elapsed };
        Some(Instant::from_nanos(tick << TICK_BITS))
    }

    /// A key that is due at `now`, which is then set no more; `None` when there is none, or none any more. In the order of
    /// time, to the tick.
    pub fn pop(&mut self, now: Instant) -> Option<usize> {
        let now = now.as_nanos() >> TICK_BITS;
        loop {
            if self.due != NONE {
                let key = self.due;
                self.unlink(key);
                self.nodes[key as usize] = UNSET;
                self.len -= 1;
                return Some(key as usize);
            }
            match self.next_slot().filter(|slot| slot.tick <= now) {
                Some(slot) => self.deal_out(slot),
                None => {
                    self.elapsed = self.elapsed.max(now);
                    return None;
                }
            }
        }
    }

    /// How many keys are set.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether no key is set.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Enters `key`, whose node says when it is due.
    fn place(&mut self, key: u32) {
        let tick = tick_of(self.nodes[key as usize].at);
        let list = if tick <= self.elapsed {
            List::DUE
        } else {
            // The level is that of the highest digit in which it differs from the present: below that, slots have passed.
            let level = (self.elapsed ^ tick).ilog2() / SLOT_BITS;
            List::slot(level, slot_of(tick, level) as u32)
        };
        let next = core::mem::replace(self.head(list), key);
        if next != NONE {
            self.nodes[next as usize].previous = key;
        }
        let node = &mut self.nodes[key as usize];
        (node.previous, node.next) = (FIRST | list.0, next);
        if let Some(level) = self.levels.get_mut((list.0 >> SLOT_BITS) as usize) {
            level.occupied |= 1 << (list.0 & (SLOTS as u32 - 1));
        }
    }

    /// Takes `key` out of its list.
    fn unlink(&mut self, key: u32) {
        let Node { previous, next, .. } = self.nodes[key as usize];
        if next != NONE {
            self.nodes[next as usize].previous = previous;
        }
        if previous & FIRST == 0 {
            self.nodes[previous as usize].next = next;
            return;
        }
        let list = List(previous & !FIRST);
        *self.head(list) = next;
        if next == NONE
            && let Some(level) = self.levels.get_mut((list.0 >> SLOT_BITS) as usize)
        {
            level.occupied &= !(1 << (list.0 & (SLOTS as u32 - 1)));
        }
    }

    fn head(&mut self, list: List) -> &mut u32 {
        match self.levels.get_mut((list.0 >> SLOT_BITS) as usize) {
            Some(level) => &mut level.heads[list.0 as usize % SLOTS],
            None => &mut self.due,
        }
    }

    /// The slot whose time comes first.
    fn next_slot(&self) -> Option<Slot> {
        let (level, occupied) =
            (0..).zip(self.levels.iter().map(|level| level.occupied)).find(|(_, bits)| *bits != 0)?;
        // Slots behind the present one are empty: a level is entered anew when it begins anew.
        let slot = occupied.trailing_zeros();
        let begin = self.elapsed >> (SLOT_BITS * (level + 1)) << (SLOT_BITS * (level + 1));
        Some(Slot { level, slot, tick: begin + (u64::from(slot) << (SLOT_BITS * level)) })
    }

    /// The time of `slot` has come: its keys are due, or belong on lower levels now.
    fn deal_out(&mut self, Slot { level, slot, tick }: Slot) {
        self.elapsed = self.elapsed.max(tick);
        let level = &mut self.levels[level as usize];
        level.occupied &= !(1 << slot);
        let mut key = core::mem::replace(&mut level.heads[slot as usize], NONE);
        while key != NONE {
            let next = self.nodes[key as usize].next;
            self.place(key);
            key = next;
        }
    }
}

struct Slot {
    level: u32,
    slot: u32,
    /// When it begins.
    tick: u64,
}

/// The first tick at which `at` has passed.
const fn tick_of(at: Instant) -> u64 {
    at.as_nanos().div_ceil(1 << TICK_BITS)
}

const fn slot_of(tick: u64, level: u32) -> u64 {
    (tick >> (SLOT_BITS * level)) & (SLOTS as u64 - 1)
}

impl fmt::Debug for Timers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timers").field("set", &self.len).field("next", &self.next()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
