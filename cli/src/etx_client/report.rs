//! What the clients met, as a table and a timeline: pure, from times alone.

use core::fmt;
use core::time::Duration;

use super::seconds;

/// What one client met. Times count from one moment for all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Run {
    /// Which, from 1.
    pub number: usize,
    /// When it began to connect.
    pub started: Duration,
    /// When it was connected.
    pub connected: Option<Duration>,
    /// When each message was answered.
    pub answers: Vec<Duration>,
    /// Why it stopped before the last answer.
    pub failure: Option<String>,
}

/// All clients, and what follows from their times. `Display` is the report.
#[derive(Clone, Debug)]
pub struct Report {
    runs: Vec<Run>,
    messages: usize,
    delay: Duration,
    delay_is_given: bool,
    begin: Duration,
    end: Duration,
}

/// Columns of a timeline.
const COLUMNS: usize = 50;

/// Lines of the table; of more clients only the first are shown.
const MOST_LINES: usize = 64;

impl Run {
    /// When the last answer came.
    fn ended(&self) -> Option<Duration> {
        self.answers.last().copied()
    }

    /// From the first or the previous answer's time to each answer.
    fn waits(&self) -> impl Iterator<Item = Duration> {
        let mut since = self.connected.unwrap_or(self.started);
        self.answers.iter().map(move |at| at.saturating_sub(core::mem::replace(&mut since, *at)))
    }

    fn total(&self) -> Duration {
        self.ended().unwrap_or(self.started).saturating_sub(self.started)
    }
}

impl Report {
    /// Of these clients, each of which wanted to send so many messages. Unless the server's delay is known, it is taken
    /// from the quickest answer.
    #[must_use]
    pub fn new(runs: Vec<Run>, messages: usize, delay: Option<Duration>) -> Self {
        let quickest = || runs.iter().flat_map(Run::waits).min().unwrap_or_default();
        Self {
            messages,
            delay: delay.unwrap_or_else(quickest),
            delay_is_given: delay.is_some(),
            begin: runs.iter().map(|run| run.started).min().unwrap_or_default(),
            end: runs.iter().filter_map(Run::ended).max().unwrap_or_default(),
            runs,
        }
    }

    /// Whether every message of every client was answered.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.runs.iter().all(|run| run.failure.is_none() && run.answers.len() == self.messages)
    }

    /// From the first client's start to the last answer.
    #[must_use]
    pub fn wall(&self) -> Duration {
        self.end.saturating_sub(self.begin)
    }

    /// How long a client stood still before its first message was begun.
    fn held_up(&self, run: &Run) -> Duration {
        let first = run.answers.first().copied().unwrap_or(self.end);
        first.saturating_sub(run.started).saturating_sub(self.delay)
    }

    /// Stillness below this is the machine's, not another client's.
    fn noise(&self) -> Duration {
        (self.delay / 2).max(Duration::from_millis(2))
    }

    /// The client whose end let this one begin: the last to end before this one's first message was begun.
    fn waited_for(&self, run: &Run) -> Option<usize> {
        if self.held_up(run) <= self.noise() {
            return None;
        }
        let begun = run.answers.first()?.saturating_sub(self.delay / 2);
        self.runs
            .iter()
            .filter(|other| other.number != run.number)
            .filter_map(|other| other.ended().map(|ended| (ended, other.number)))
            .filter(|(ended, _)| *ended <= begun)
            .max()
            .map(|(_, number)| number)
    }

    /// One character a slice of time: `.` stands still, `#` is being served.
    fn timeline(&self, run: &Run) -> String {
        let wall = self.wall().as_secs_f64().max(f64::MIN_POSITIVE);
        let served: Vec<(Duration, Duration)> = run
            .answers
            .iter()
            .zip(run.waits())
            .map(|(at, wait)| {
                let held_up = wait.saturating_sub(self.delay) > self.noise();
                (at.saturating_sub(if held_up { self.delay } else { wait }), *at)
            })
            .collect();
        let ended = run.ended().unwrap_or(self.end);
        (0..COLUMNS)
            .map(|column| {
                let at = self.begin + Duration::from_secs_f64(wall * (column as f64 + 0.5) / COLUMNS as f64);
                match at {
                    at if at < run.started || at > ended => ' ',
                    at if served.iter().any(|(from, to)| *from <= at && at <= *to) => '#',
                    _ => '.',
                }
            })
            .collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:>6}  {:>8}  {:>8}  {:>8}  {:<COLUMNS$}  {:<12}  answers after",
            "client", "connect", "held up", "total", "timeline", "waited for"
        )?;
        for run in self.runs.iter().take(MOST_LINES) {
            let connect =
                run.connected.map_or_else(|| "-".into(), |at| seconds(at.saturating_sub(run.started)));
            let waited_for =
                self.waited_for(run).map_or_else(|| "nobody".into(), |number| format!("client {number}"));
            let waited_for = if run.answers.is_empty() { "-".into() } else { waited_for };
            write!(
                f,
                "{:>6}  {:>8}  {:>8}  {:>8}  {}  {:<12}  {}",
                run.number,
                connect,
                seconds(self.held_up(run)),
                seconds(run.total()),
                self.timeline(run),
                waited_for,
                run.waits().map(seconds).collect::<Vec<_>>().join(" "),
            )?;
            match &run.failure {
                Some(failure) => writeln!(f, "  FAILED: {failure}")?,
                None => writeln!(f)?,
            }
        }
        if self.runs.len() > MOST_LINES {
            writeln!(f, "   ...  and {} more", self.runs.len() - MOST_LINES)?;
        }
        writeln!(f, "        . stands still   # is being served")?;
        writeln!(f)?;
        self.summary(f)
    }
}

impl Report {
    fn summary(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clients = self.runs.len();
        let answered: usize = self.runs.iter().map(|run| run.answers.len()).sum();
        let held = self.runs.iter().filter(|run| self.waited_for(run).is_some()).count();
        let source = if self.delay_is_given { "given" } else { "from the quickest answer" };
        writeln!(f, "clients     {clients}, of which {held} were held up by others")?;
        writeln!(f, "answered    {answered} of {} messages", clients * self.messages)?;
        writeln!(f, "delay d     {} ({source})", seconds(self.delay))?;
        let one = self.delay * u32::try_from(self.messages).unwrap_or(u32::MAX);
        if one < Duration::from_millis(5) {
            return writeln!(f, "wall        {} (too short a delay to compare with)", seconds(self.wall()));
        }
        writeln!(
            f,
            "wall        {} = {:.2} x {}·d; one after another would be {clients} x, all at once 1 x",
            seconds(self.wall()),
            self.wall().as_secs_f64() / one.as_secs_f64(),
            self.messages,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client that started at 0 and whose messages were begun at `begun`, each answered after a second.
    fn run(number: usize, begun: u64, messages: u64) -> Run {
        Run {
            number,
            started: Duration::ZERO,
            connected: Some(Duration::ZERO),
            answers: (1..=messages).map(|message| Duration::from_secs(begun + message)).collect(),
            failure: None,
        }
    }

    #[test]
    fn served_one_after_another_each_waits_for_the_one_before() {
        let report = Report::new(vec![run(1, 0, 5), run(2, 5, 5), run(3, 10, 5)], 5, None);
        assert_eq!(report.wall(), Duration::from_secs(15));
        let waited: Vec<_> = report.runs.iter().map(|run| report.waited_for(run)).collect();
        assert_eq!(waited, [None, Some(1), Some(2)]);
        let text = report.to_string();
        assert!(text.contains("3.00 x 5·d"), "{text}");
        assert!(text.contains("2 were held up"), "{text}");
        let bars: Vec<_> = report.runs.iter().map(|run| report.timeline(run)).collect();
        assert!(bars[0].starts_with("####") && bars[0].ends_with("    "), "{bars:?}");
        assert!(bars[2].starts_with("....") && bars[2].ends_with("####"), "{bars:?}");
    }

    #[test]
    fn served_at_once_nobody_waits() {
        let report = Report::new((1..=4).map(|number| run(number, 0, 5)).collect(), 5, None);
        assert!(report.runs.iter().all(|run| report.waited_for(run).is_none()));
        let text = report.to_string();
        assert!(text.contains("1.00 x 5·d") && text.contains("0 were held up"), "{text}");
        assert!(report.is_complete());
    }

    #[test]
    fn stillness_that_no_client_caused_is_not_laid_on_one() {
        // The machine was busy: the first answer took three delays more than it should have.
        let late = run(1, 3, 5);
        let report = Report::new(vec![late, run(2, 8, 5)], 5, None);
        assert_eq!(report.waited_for(&report.runs[0]), None);
        assert!(report.to_string().contains("1 were held up by others"), "{report}");
    }

    #[test]
    fn failure_is_told_and_makes_the_report_incomplete() {
        let failed = Run { failure: Some("the server closed the connection".into()), ..run(2, 0, 3) };
        let report = Report::new(vec![run(1, 0, 5), failed], 5, Some(Duration::from_secs(1)));
        assert!(!report.is_complete());
        let text = report.to_string();
        assert!(text.contains("FAILED: the server closed"), "{text}");
        assert!(text.contains("8 of 10 messages"), "{text}");
    }

    #[test]
    fn client_that_never_connected_is_shown_too() {
        let lost = Run { number: 2, failure: Some("connection refused".into()), ..Run::default() };
        let text = Report::new(vec![run(1, 0, 5), lost], 5, None).to_string();
        assert!(text.contains("FAILED: connection refused"), "{text}");
    }
}
