//! Sizes, times and counts as people type them, and as `--help` shows them.
//!
//! | kind | written | means |
//! |---|---|---|
//! | size | `4096`, `16k`, `64MiB`, `1G` | bytes; `k` `M` `G` `T`, with or without `iB`, count 1,024; `kB` `MB` `GB` `TB` count 1,000 |
//! | time | `500ms`, `2s`, `1.5s`, `1m`, `2h` | always with its unit |
//! | no bound | `off` | where a bound may be lifted |
//!
//! `0` is never "no bound": it is refused, and the message says what to write instead.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

/// A number of bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Size(pub u64);

/// A time that is not zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Time(pub Duration);

/// A time that may be zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Delay(pub Duration);

/// A count that is not zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Count(pub u64);

/// A bound that may be lifted with `off`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Bound<T> {
    /// At most this.
    At(T),
    /// No bound.
    Off,
}

/// Why a value was not understood. Its text says what to write instead.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UnitError {
    /// Zero, where it would mean that nothing is ever allowed.
    #[error("0 would allow nothing at all; give at least {least}")]
    Zero {
        /// The least that makes sense.
        least: &'static str,
    },
    /// Zero, where someone may have meant "no bound".
    #[error("0 would allow nothing at all; write `off` for no bound, or at least {least}")]
    ZeroBound {
        /// The least that makes sense.
        least: &'static str,
    },
    /// `off` for something that has to be bounded.
    #[error("this cannot be `off`: it bounds what the server holds in memory")]
    CannotBeOff,
    /// A time without a unit.
    #[error("a time needs its unit: `{0}s` or `{0}ms`?")]
    NoUnit(String),
    /// An unknown unit.
    #[error("unknown unit `{unit}`; {known}")]
    Unit {
        /// What was written.
        unit: String,
        /// What may be written.
        known: &'static str,
    },
    /// Not a number.
    #[error("`{text}` is not a number; {like}")]
    Number {
        /// What was written.
        text: String,
        /// What it should look like.
        like: &'static str,
    },
    /// More than can be counted.
    #[error("too large to be counted")]
    TooLarge,
}

const SIZE_UNITS: &str =
    "sizes are bytes, or end in k, M, G, T (1,024s; also KiB, MiB, ..) or kB, MB, GB, TB (1,000s)";
const TIME_UNITS: &str = "times end in ms, s, m or h";

impl FromStr for Size {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        if text.trim() == "off" {
            return Err(UnitError::CannotBeOff);
        }
        let (number, unit) = split(text, "like 4096, 16k or 64MiB")?;
        let factor: u64 = match unit.to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "k" | "ki" | "kib" => 1 << 10,
            "m" | "mi" | "mib" => 1 << 20,
            "g" | "gi" | "gib" => 1 << 30,
            "t" | "ti" | "tib" => 1 << 40,
            "kb" => 1_000,
            "mb" => 1_000_000,
            "gb" => 1_000_000_000,
            "tb" => 1_000_000_000_000,
            _ => return Err(UnitError::Unit { unit: unit.to_owned(), known: SIZE_UNITS }),
        };
        match number.times(factor)? {
            0 => Err(UnitError::Zero { least: "1" }),
            bytes => Ok(Self(bytes)),
        }
    }
}

impl FromStr for Delay {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (number, unit) = split(text, "like 500ms, 2s or 1m")?;
        let nanos: u64 = match unit.to_ascii_lowercase().as_str() {
            "" if number == Number::ZERO => 1,
            "" => return Err(UnitError::NoUnit(text.trim().to_owned())),
            "us" | "µs" => 1_000,
            "ms" => 1_000_000,
            "s" | "sec" => 1_000_000_000,
            "m" | "min" => 60 * 1_000_000_000,
            "h" => 3_600 * 1_000_000_000,
            _ => return Err(UnitError::Unit { unit: unit.to_owned(), known: TIME_UNITS }),
        };
        Ok(Self(Duration::from_nanos(number.times(nanos)?)))
    }
}

impl FromStr for Time {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        match text.parse::<Delay>()?.0 {
            Duration::ZERO => Err(UnitError::Zero { least: "1ms" }),
            time => Ok(Self(time)),
        }
    }
}

impl FromStr for Count {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let digits = text.trim().replace(['_', ','], "");
        match digits.parse::<u64>() {
            Ok(0) => Err(UnitError::Zero { least: "1" }),
            Ok(count) => Ok(Self(count)),
            Err(_) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Err(UnitError::TooLarge)
            }
            Err(_) => Err(UnitError::Number { text: text.to_owned(), like: "like 8 or 1000" }),
        }
    }
}

impl<T: FromStr<Err = UnitError>> FromStr for Bound<T> {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        if text.trim() == "off" {
            return Ok(Self::Off);
        }
        match text.parse() {
            Ok(value) => Ok(Self::At(value)),
            Err(UnitError::Zero { least }) => Err(UnitError::ZeroBound { least }),
            Err(error) => Err(error),
        }
    }
}

impl Size {
    /// As a size of something in memory.
    #[must_use]
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl Count {
    /// As a number that is not zero: a count never is.
    #[must_use]
    pub fn as_nonzero(self) -> core::num::NonZeroUsize {
        core::num::NonZeroUsize::new(self.as_usize()).unwrap_or(core::num::NonZeroUsize::MIN)
    }

    /// As a count of things in memory.
    #[must_use]
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl<T> Bound<T> {
    /// The bound, if there is one.
    #[must_use]
    pub fn limit(self) -> Option<T> {
        match self {
            Self::At(limit) => Some(limit),
            Self::Off => None,
        }
    }
}

impl Bound<Time> {
    /// The time, if there is a bound.
    #[must_use]
    pub fn duration(self) -> Option<Duration> {
        self.limit().map(|time| time.0)
    }
}

impl From<Option<Duration>> for Bound<Time> {
    fn from(time: Option<Duration>) -> Self {
        time.map_or(Self::Off, |time| Self::At(Time(time)))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
        match units.iter().find(|(bits, _)| self.0 > 0 && self.0.trailing_zeros() >= *bits) {
            Some((bits, unit)) => write!(f, "{}{unit}", self.0 >> bits),
            None => write!(f, "{}", self.0),
        }
    }
}

impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        let units = [
            (3_600_000_000_000, "h"),
            (60_000_000_000, "m"),
            (1_000_000_000, "s"),
            (1_000_000, "ms"),
            (1_000, "us"),
        ];
        match units.iter().find(|(unit, _)| nanos > 0 && nanos.is_multiple_of(*unit)) {
            Some((unit, name)) => write!(f, "{}{name}", nanos / unit),
            None => write!(f, "{}s", self.0.as_secs_f64()),
        }
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Delay(self.0).fmt(f)
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: fmt::Display> fmt::Display for Bound<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(limit) => limit.fmt(f),
            Self::Off => f.write_str("off"),
        }
    }
}

/// A decimal number, exact: so many of 10 to the minus `places`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Number {
    digits: u64,
    places: u32,
}

impl Number {
    const ZERO: Self = Self { digits: 0, places: 0 };

    fn times(self, unit: u64) -> Result<u64, UnitError> {
        let product = u128::from(self.digits) * u128::from(unit) / 10_u128.pow(self.places);
        u64::try_from(product).map_err(|_| UnitError::TooLarge)
    }
}

/// Splits `1.5s` into 1.5 and `s`.
fn split<'a>(text: &'a str, like: &'static str) -> Result<(Number, &'a str), UnitError> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let not_a_number = || UnitError::Number { text: text.to_owned(), like };
    let number = number.replace('_', "");
    let (whole, fraction) = number.split_once('.').unwrap_or((&number, ""));
    if whole.is_empty() || fraction.contains('.') || fraction.len() > 9 {
        return Err(not_a_number());
    }
    let digits = format!("{whole}{fraction}").parse().map_err(|_| UnitError::TooLarge)?;
    // At most nine, as was just seen.
    let places = fraction.len() as u32;
    Ok((Number { digits, places }, unit.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(text: &str) -> Result<u64, String> {
        text.parse::<Size>().map(|size| size.0).map_err(|error| error.to_string())
    }

    fn time(text: &str) -> Result<Duration, String> {
        text.parse::<Time>().map(|time| time.0).map_err(|error| error.to_string())
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("4096", 4096),
            ("1", 1),
            ("16k", 16_384),
            ("16K", 16_384),
            ("16KiB", 16_384),
            ("16 KiB", 16_384),
            ("16kB", 16_000),
            ("1.5k", 1_536),
            ("64MiB", 64 << 20),
            ("64mb", 64_000_000),
            ("1G", 1 << 30),
            ("1_000", 1_000),
            ("16777215T", 16_777_215 << 40),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn times_are_read_with_their_unit() {
        for (text, millis) in
            [("500ms", 500), ("2s", 2_000), ("1.5s", 1_500), ("0.001s", 1), ("1m", 60_000), ("2h", 7_200_000)]
        {
            assert_eq!(time(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!("0".parse(), Ok(Delay(Duration::ZERO)));
        assert_eq!("0s".parse(), Ok(Delay(Duration::ZERO)));
    }

    #[test]
    fn error_says_what_to_write_instead() {
        for (error, says) in [
            (time("2").unwrap_err(), "`2s` or `2ms`"),
            (time("2x").unwrap_err(), "times end in ms, s, m or h"),
            (time("fast").unwrap_err(), "like 500ms, 2s or 1m"),
            (time("0s").unwrap_err(), "at least 1ms"),
            (size("64QB").unwrap_err(), "unknown unit `QB`"),
            (size("").unwrap_err(), "like 4096"),
            (size("1..5k").unwrap_err(), "not a number"),
            (size("-1").unwrap_err(), "not a number"),
            (size("0").unwrap_err(), "at least 1"),
            (size("off").unwrap_err(), "cannot be `off`"),
            (size("99999999999999999999").unwrap_err(), "too large"),
            (size("99999999T").unwrap_err(), "too large"),
            ("0".parse::<Bound<Time>>().unwrap_err().to_string(), "write `off` for no bound"),
            ("0".parse::<Bound<Size>>().unwrap_err().to_string(), "write `off` for no bound"),
            ("0".parse::<Count>().unwrap_err().to_string(), "at least 1"),
            ("many".parse::<Count>().unwrap_err().to_string(), "like 8 or 1000"),
        ] {
            assert!(error.contains(says), "{error:?} should say {says:?}");
        }
    }

    #[test]
    fn what_is_shown_is_read_back_as_the_same() {
        for millis in [1, 500, 1_000, 1_500, 2_000, 60_000, 90_000, 3_600_000] {
            let time = Time(Duration::from_millis(millis));
            assert_eq!(time.to_string().parse(), Ok(time));
        }
        for bytes in [1, 1_000, 1_024, 8_192, 65_535, 64 << 20, 1 << 30, u64::MAX] {
            assert_eq!(Size(bytes).to_string().parse(), Ok(Size(bytes)));
        }
        assert_eq!("off".parse(), Ok(Bound::<Time>::Off));
        assert_eq!(Bound::<Time>::Off.to_string(), "off");
    }
}
