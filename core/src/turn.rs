//! What a driver lends a flow with every input: the time, the date, a waker, spare state, and how much may be begun.

use core::any::Any;
use core::fmt;
use core::hint::cold_path;
use core::task::Waker;

use crate::time::{Dates, Instant};

/// Lent with every input. Whatever a flow may need later joins here, so that the [`Flow`](crate::Flow) trait stays
/// as it is.
///
/// ```
/// use anabranch_core::{Dates, Instant, Pool, Turn};
/// use core::task::Waker;
///
/// let (mut dates, mut pool) = (Dates::none(), Pool::default());
/// let turn = Turn::new(Instant::from_nanos(1), &mut dates, Waker::noop(), &mut pool);
/// assert_eq!(turn.allowance, u32::MAX);
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Turn<'a> {
    /// The driver's monotonic clock, read once a batch. Never goes backwards from one input to the next.
    pub now: Instant,
    /// The driver thread's `Date` text.
    pub dates: &'a mut Dates,
    /// Woken by the application side when it enabled progress; the driver then calls [`run`](crate::Flow::run).
    pub waker: &'a Waker,
    /// Spare state of the driver thread, lent to connections while they are busy.
    pub pool: &'a mut Pool,
    /// How many more requests may begin before the flow lets others have their turn. A flow that stops because this
    /// is zero goes on in a later [`run`](crate::Flow::run) with a fresh allowance.
    pub allowance: u32,
}

impl<'a> Turn<'a> {
    /// A turn at `now`, with no bound on the requests that may begin.
    #[must_use]
    pub const fn new(now: Instant, dates: &'a mut Dates, waker: &'a Waker, pool: &'a mut Pool) -> Self {
        Self { now, dates, waker, pool, allowance: u32::MAX }
    }
}

/// Spare boxes that busy connections borrow and idle ones give back, so that an idle connection holds no buffer and a
/// busy one allocates nothing. One a driver thread; of any type, so that layers need not know one another.
#[derive(Default)]
pub struct Pool {
    /// What was given back last: as a rule it is what is taken next, and no shelf is looked for.
    latest: Option<Box<dyn Any + Send>>,
    shelves: Vec<Box<dyn Any + Send>>,
    /// So many bodies are copied before the application is lent a part of the driver's buffer again.
    to_copy: u32,
}

/// At most this many spare boxes of one type are kept.
const SHELF_CAPACITY: usize = 64;

/// So many bodies are copied after one that was lent was kept: where all are kept, one of 65 holds a whole buffer.
const COPIES: u32 = 64;

impl Pool {
    /// A spare `T`, if one was given back. It is as it was left: the taker resets it.
    #[must_use]
    #[inline]
    pub fn take<T: Send + 'static>(&mut self) -> Option<Box<T>> {
        if let Some(latest) = self.latest.take() {
            match latest.downcast() {
                Ok(spare) => return Some(spare),
                Err(other) => {
                    cold_path();
                    self.latest = Some(other);
                }
            }
        }
        cold_path();
        self.shelf::<T>()?.pop()
    }

    /// Keeps `spare` for the next taker, or drops it when enough are kept.
    #[inline]
    pub fn give<T: Send + 'static>(&mut self, spare: Box<T>) {
        if self.latest.is_none() {
            self.latest = Some(spare);
        } else {
            self.shelve(spare);
        }
    }

    /// Whether a small body is to be copied for the application, and not lent to it: it kept one lately.
    pub(crate) const fn is_to_copy(&self) -> bool {
        self.to_copy > 0
    }

    /// One was copied.
    pub(crate) const fn has_copied(&mut self) {
        self.to_copy = self.to_copy.saturating_sub(1);
    }

    /// A part of the driver's buffer is still held though its turn is over.
    pub(crate) const fn was_kept(&mut self) {
        self.to_copy = COPIES;
    }

    #[inline(never)]
    fn shelve<T: Send + 'static>(&mut self, spare: Box<T>) {
        if let Some(shelf) = self.shelf::<T>() {
            if shelf.len() < SHELF_CAPACITY {
                shelf.push(spare);
            }
            return;
        }
        let shelf: Vec<Box<T>> = vec![spare];
        self.shelves.push(Box::new(shelf));
    }

    fn shelf<T: Send + 'static>(&mut self) -> Option<&mut Vec<Box<T>>> {
        self.shelves.iter_mut().find_map(|shelf| shelf.downcast_mut::<Vec<Box<T>>>())
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("types", &self.shelves.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spare_state_comes_back_by_type() {
        let mut pool = Pool::default();
        assert!(pool.take::<u32>().is_none());
        pool.give(Box::new(7_u32));
        pool.give(Box::new(String::from("spare")));
        assert_eq!(pool.take::<u32>().as_deref(), Some(&7));
        assert!(pool.take::<u32>().is_none());
        assert_eq!(pool.take::<String>().as_deref().map(String::as_str), Some("spare"));
    }

    #[test]
    fn shelf_is_bounded() {
        let mut pool = Pool::default();
        for number in 0..1000_u32 {
            pool.give(Box::new(number));
        }
        let mut kept = 0;
        while pool.take::<u32>().is_some() {
            kept += 1;
        }
        assert_eq!(kept, SHELF_CAPACITY + 1, "a shelf, and the latest");
    }
}
