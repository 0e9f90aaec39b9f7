//! Holds a vector in every way it can be cut, and says where it first came out otherwise than its file has it.

use anabranch_core::testing::{Take, escaped};

use super::report::Report;
use super::talking::talk;
use super::telling::tell;
use super::text;
use super::vector::{Outcome, Step, Vector};

/// What comes behind a conversation that is over.
const BEHIND: &[u8] = b"GET /behind HTTP/1.1\r\nHost: a\r\n\r\n";

/// `Err` is a report for a person.
pub(crate) fn hold(vector: &Vector) -> Result<(), String> {
    for ways in [whole(vector), cut_in_two(vector), byte_by_byte(vector)] {
        for way in ways {
            hold_once(vector, &way, &vector.expected)?;
        }
    }
    for way in output_cut_in_two(vector) {
        hold_once(vector, &way, &vector.expected)?;
    }
    hold_with_more(vector)
}

/// The vector as its file should be, if what comes out is right.
pub(crate) fn written(vector: &Vector) -> String {
    let outcome = held(vector, &Way::new("whole", vector.steps.clone())).outcome;
    let mut text = vector.given.clone();
    for event in &outcome.events {
        text += &format!("~ {event}\n");
    }
    for answer in &outcome.answers {
        text += &format!("< {answer}\n");
    }
    text + &format!("= {}\n\n", outcome.end)
}

/// One way to hold a conversation.
pub(crate) struct Way {
    pub(crate) name: String,
    pub(crate) steps: Vec<Step>,
    /// How output is taken, in turn, and then as the last time; all of it where there is nothing.
    pub(crate) takes: Vec<Take>,
}

impl Way {
    fn new(name: impl Into<String>, steps: Vec<Step>) -> Self {
        Self { name: name.into(), steps, takes: Vec::new() }
    }

    fn writing(self, max: usize) -> Self {
        self.taking(Take::Write(max), &format!("{max} bytes a write"))
    }

    fn owned(self, max: usize) -> Self {
        self.taking(Take::Owned(max), &format!("owned chunks of {max} bytes"))
    }

    fn taking(mut self, take: Take, how: &str) -> Self {
        self.takes.push(take);
        self.name += &format!(", {how}");
        self
    }
}

fn whole(vector: &Vector) -> Vec<Way> {
    let way = || Way::new("whole", vector.steps.clone());
    vec![way(), way().writing(7), way().writing(1), way().owned(usize::MAX), way().owned(5), way().owned(1)]
}

/// With a first write of every length there is, and the rest in another.
fn output_cut_in_two(vector: &Vector) -> Vec<Way> {
    let way = || Way::new("whole", vector.steps.clone());
    let (output, _) = talk(&vector.server, &vector.steps, &[]);
    let rest = |way: Way| way.taking(Take::Write(usize::MAX), "then all");
    let writes = (1..output.len()).map(|at| rest(way().writing(at)));
    writes.chain((1..output.len()).map(|at| rest(way().owned(at)))).collect()
}

fn cut_in_two(vector: &Vector) -> Vec<Way> {
    let mut ways = Vec::new();
    for (index, step) in vector.steps.iter().enumerate() {
        let Step::Bytes(bytes) = step else { continue };
        for at in 1..bytes.len() {
            let mut steps = vector.steps.clone();
            let halves = [Step::Bytes(bytes[..at].to_vec()), Step::Bytes(bytes[at..].to_vec())];
            steps.splice(index..=index, halves);
            let way = Way::new(format!("cut behind byte {at}"), steps);
            ways.push(if at % 3 == 0 { way.writing(7) } else { way });
        }
    }
    ways
}

fn byte_by_byte(vector: &Vector) -> Vec<Way> {
    let steps: Vec<Step> = vector
        .steps
        .iter()
        .flat_map(|step| match step {
            Step::Bytes(bytes) => bytes.iter().map(|byte| Step::Bytes(vec![*byte])).collect(),
            other => vec![other.clone()],
        })
        .collect();
    let way = || Way::new("byte by byte", steps.clone());
    vec![way(), way().writing(7), way().writing(1)]
}

/// A further request is answered where the connection lives on, and changes nothing where it does not.
fn hold_with_more(vector: &Vector) -> Result<(), String> {
    let lives = vector.expected.end == "idle";
    let ended = text::is_closed(&vector.expected.end);
    let Some(Step::Bytes(last)) = vector.steps.last() else { return Ok(()) };
    if !(lives || ended) {
        return Ok(());
    }
    let mut expected = vector.expected.clone();
    if lives {
        let count = expected.events.iter().filter_map(|event| event.split(' ').next()?.parse().ok()).max();
        expected.events.push(format!("{} GET /behind HTTP/1.1", count.unwrap_or(0_u64) + 1));
        expected.answers.push(escaped(b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n"));
        expected.answers.push("GET /behind".to_owned());
    }
    let before = &vector.steps[..vector.steps.len() - 1];
    let joined = Step::Bytes([&last[..], BEHIND].concat());
    let apart = [Step::Bytes(last.clone()), Step::Bytes(BEHIND.to_vec())];
    let way = |name, steps: &[Step]| Way::new(name, [before, steps].concat());
    hold_once(vector, &way("with a further request behind it", &[joined]), &expected)?;
    hold_once(vector, &way("with a further request later", &apart), &expected)
}

struct Held {
    outcome: Outcome,
    /// How the flow ended, where it did.
    closed: Option<String>,
}

fn held(vector: &Vector, way: &Way) -> Held {
    let (events, end) = tell(&vector.server, &way.steps);
    let (output, closed) = talk(&vector.server, &way.steps, &way.takes);
    Held { outcome: Outcome { events, answers: text::answer_lines(&output), end }, closed }
}

fn hold_once(vector: &Vector, way: &Way, expected: &Outcome) -> Result<(), String> {
    let held = held(vector, way);
    let report = Report { vector, way };
    report.compare("events of http1::Connection", &expected.events, &held.outcome.events)?;
    report.compare("bytes of the flow", &expected.answers, &held.outcome.answers)?;
    let ends = |end: &String| vec![end.clone()];
    report.compare("end of http1::Connection", &ends(&expected.end), &ends(&held.outcome.end))?;
    if expected.end == "switched" {
        // It ends as the other protocol will have it.
        return Ok(());
    }
    let closed = text::is_closed(&expected.end).then(|| expected.end.clone());
    report.compare("end of the flow", closed.as_slice(), held.closed.as_slice())
}
