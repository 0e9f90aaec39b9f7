//! Time as data: an instant is a number the driver hands in, and a `Date` field is text made from it once a second.

use core::fmt;
use core::ops::{Add, AddAssign, Sub};
use core::time::Duration;

use http::HeaderValue;

/// A point on the driver's monotonic clock, in nanoseconds since an origin the driver chose.
///
/// Core never reads a clock: every input carries the instant at which it happened. Being a plain number, an
/// instant can be logged, replayed, fuzzed and compared across threads that share one origin.
///
/// Arithmetic saturates: adding to [`Instant::NEVER`] stays there, subtracting a later instant gives zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(u64);

impl Instant {
    /// The clock's origin.
    pub const ORIGIN: Self = Self(0);
    /// An instant that is not reached: some 584 years past the origin.
    pub const NEVER: Self = Self(u64::MAX);

    /// The instant `nanos` nanoseconds past the origin.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The instant `since_origin` past the origin, saturating.
    #[must_use]
    pub fn from_duration(since_origin: Duration) -> Self {
        Self(duration_nanos(since_origin))
    }

    /// Nanoseconds since the origin.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this instant lies; zero when it does not lie after it.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration_nanos(duration)))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub for Instant {
    type Output = Duration;
    fn sub(self, earlier: Self) -> Duration {
        self.saturating_since(earlier)
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NEVER {
            return f.write_str("never");
        }
        write!(f, "{}.{:09}s", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}

const fn duration_nanos(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(duration.subsec_nanos() as u64)
}

/// The length of an IMF-fixdate, in bytes.
pub const DATE_BYTES: usize = 29;

const LINE_START: &[u8] = b"date: ";
const LINE_END: &[u8] = b"\r\n";
/// The length of the whole `Date` line, in bytes.
pub(crate) const DATE_LINE_BYTES: usize = LINE_START.len() + DATE_BYTES + LINE_END.len();
const TEXT: core::ops::Range<usize> = LINE_START.len()..LINE_START.len() + DATE_BYTES;

/// The `Date` field's text (RFC 9110 §5.6.7, IMF-fixdate), formatted at most once a second.
///
/// A driver thread keeps one, tells it now and then what the wall clock says ([`Dates::anchor`]), and lends it
/// with every [`Turn`](crate::Turn). Between two anchors the wall clock is derived from the monotonic one, so a
/// request costs no second clock read. Anchor again every so often (a second is plenty) to follow clock steps.
#[derive(Clone, Debug)]
pub struct Dates {
    anchor: Option<Anchor>,
    /// The whole field line, as HTTP/1.1 sends it.
    line: [u8; DATE_LINE_BYTES],
    /// The text holds while `from <= now < until`.
    from: Instant,
    until: Instant,
    formatted: u64,
    opening: Opening,
}

/// What most answers of a second begin with, as long as they name the same server.
#[derive(Clone, Debug)]
struct Opening {
    text: Vec<u8>,
    /// A clone, which shares its text: as long as it is kept, no other text has the same address.
    server: Option<HeaderValue>,
    from: Instant,
    until: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Anchor {
    at: Instant,
    since_epoch: Duration,
}

impl Dates {
    /// For an origin server without a clock: it sends no `Date` (RFC 9110 §6.6.1).
    #[must_use]
    pub const fn none() -> Self {
        Self {
            anchor: None,
            line: *b"date: Thu, 01 Jan 1970 00:00:00 GMT\r\n",
            from: Instant::ORIGIN,
            until: Instant::ORIGIN,
            formatted: 0,
            opening: Opening {
                text: Vec::new(),
                server: None,
                from: Instant::ORIGIN,
                until: Instant::ORIGIN,
            },
        }
    }

    /// At `now` the wall clock showed `since_epoch` past 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn anchored(now: Instant, since_epoch: Duration) -> Self {
        let mut dates = Self::none();
        dates.anchor = Some(Anchor { at: now, since_epoch });
        dates
    }

    /// Says again what the wall clock shows. Cheap: the text is kept while it still holds.
    pub fn anchor(&mut self, now: Instant, since_epoch: Duration) {
        if let Some(old) = self.anchor
            && wall(old, now).as_secs() == since_epoch.as_secs()
            && wall(old, now).abs_diff(since_epoch) < Duration::from_millis(20)
        {
            return;
        }
        self.anchor = Some(Anchor { at: now, since_epoch });
        self.until = self.from;
        self.opening.until = self.opening.from;
    }

    /// When the driver last said what the wall clock shows.
    #[must_use]
    pub fn anchored_at(&self) -> Option<Instant> {
        self.anchor.map(|anchor| anchor.at)
    }

    /// The text for `now`, or `None` where there is no wall clock.
    #[must_use]
    pub fn at(&mut self, now: Instant) -> Option<&[u8]> {
        Some(&self.line(now)?[TEXT])
    }

    /// The field line for `now`, its CRLF included.
    pub(crate) fn line(&mut self, now: Instant) -> Option<&[u8; DATE_LINE_BYTES]> {
        if now < self.from || now >= self.until {
            self.format(now)?;
        }
        Some(&self.line)
    }

    /// What `write` makes of the field line for `now` and of `server`: made once a second.
    #[inline]
    pub(crate) fn opening(
        &mut self,
        now: Instant,
        server: Option<&HeaderValue>,
        write: fn(&mut Vec<u8>, Option<&[u8; DATE_LINE_BYTES]>, Option<&HeaderValue>),
    ) -> &[u8] {
        let kept = &self.opening;
        if now < kept.from || now >= kept.until || !is_same(kept.server.as_ref(), server) {
            self.make_opening(now, server, write);
        }
        &self.opening.text
    }

    /// How often the text was made: a count for tests and benchmarks.
    #[must_use]
    pub const fn formatted(&self) -> u64 {
        self.formatted
    }

    #[cold]
    fn make_opening(
        &mut self,
        now: Instant,
        server: Option<&HeaderValue>,
        write: fn(&mut Vec<u8>, Option<&[u8; DATE_LINE_BYTES]>, Option<&HeaderValue>),
    ) {
        let mut text = core::mem::take(&mut self.opening.text);
        text.clear();
        let date = self.line(now);
        let is_dated = date.is_some();
        write(&mut text, date, server);
        let (from, until) =
            if is_dated { (self.from, self.until) } else { (Instant::ORIGIN, Instant::NEVER) };
        self.opening = Opening { text, server: server.cloned(), from, until };
    }

    #[cold]
    fn format(&mut self, now: Instant) -> Option<()> {
        let wall = wall(self.anchor?, now);
        let second = Duration::from_secs(wall.as_secs());
        let time = std::time::SystemTime::UNIX_EPOCH.checked_add(second)?;
        let text = httpdate::HttpDate::from(time).to_string();
        self.line[TEXT].copy_from_slice(text.as_bytes().get(..DATE_BYTES)?);
        let into_second = wall - second;
        self.from = Instant::from_nanos(now.as_nanos().saturating_sub(duration_nanos(into_second)));
        self.until = now + (Duration::from_secs(1) - into_second);
        self.formatted += 1;
        Some(())
    }
}

impl Default for Dates {
    fn default() -> Self {
        Self::none()
    }
}

/// Whether both are one text, or one's clone.
#[inline]
fn is_same(one: Option<&HeaderValue>, other: Option<&HeaderValue>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => core::ptr::eq(one.as_bytes(), other.as_bytes()),
        (one, other) => one.is_none() && other.is_none(),
    }
}

fn wall(anchor: Anchor, now: Instant) -> Duration {
    if now >= anchor.at {
        anchor.since_epoch.saturating_add(now - anchor.at)
    } else {
        anchor.since_epoch.saturating_sub(anchor.at - now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Instant::NEVER + Duration::from_secs(1), Instant::NEVER);
        assert_eq!(Instant::ORIGIN - Instant::from_nanos(5), Duration::ZERO);
        assert_eq!(Instant::from_nanos(7) - Instant::from_nanos(5), Duration::from_nanos(2));
    }

    #[test]
    fn date_is_formatted_once_a_second() {
        // RFC 9110's own example: Sun, 06 Nov 1994 08:49:37 GMT.
        let start = Instant::from_nanos(123);
        let mut dates = Dates::anchored(start, Duration::new(784_111_777, 250_000_000));
        for step in 0..750 {
            let now = start + Duration::from_millis(step);
            assert_eq!(dates.at(now).unwrap(), b"Sun, 06 Nov 1994 08:49:37 GMT");
        }
        assert_eq!(dates.formatted(), 1);
        let next = start + Duration::from_millis(750);
        assert_eq!(dates.at(next).unwrap(), b"Sun, 06 Nov 1994 08:49:38 GMT");
        assert_eq!(dates.formatted(), 2);
    }

    #[test]
    fn stepped_wall_clock_is_followed() {
        let mut dates = Dates::anchored(Instant::ORIGIN, Duration::from_secs(784_111_777));
        assert!(dates.at(Instant::ORIGIN).is_some());
        dates.anchor(Instant::ORIGIN, Duration::from_secs(784_111_777 + 3600));
        assert_eq!(dates.at(Instant::ORIGIN).unwrap(), b"Sun, 06 Nov 1994 09:49:37 GMT");
    }

    #[test]
    fn no_wall_clock_means_no_date() {
        assert!(Dates::none().at(Instant::ORIGIN).is_none());
    }
}
