//! A vector, read from its file.

use std::time::Duration;

use anabranch_core::app::Settings;
use anabranch_core::testing::unescaped;

/// One conversation, and what is to come of it.
pub(crate) struct Vector {
    pub(crate) file: String,
    /// Where in the file, for a report.
    pub(crate) line: usize,
    pub(crate) title: String,
    /// Everything but what is expected, as it stands in the file.
    pub(crate) given: String,
    pub(crate) server: Server,
    pub(crate) steps: Vec<Step>,
    pub(crate) expected: Outcome,
}

/// The server that a conversation is held with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Server {
    pub(crate) settings: Settings,
    /// The process's budget, which is all there or nothing.
    pub(crate) memory_bytes: usize,
    /// Jobs that may wait.
    pub(crate) lane_jobs: usize,
    /// Connections that there is room for.
    pub(crate) max_connections: usize,
}

/// What a peer, the time or the server does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// It sends this.
    Bytes(Vec<u8>),
    /// It closes its half.
    Eof,
    /// It does nothing.
    Wait(Duration),
    /// It takes nothing more of what is sent to it.
    StopTaking,
    /// It takes again.
    TakeAgain,
    /// The jobs that wait are run.
    RunJobs,
    /// The server drains.
    Drain,
}

/// What comes of a conversation, in lines.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Outcome {
    /// What `http1::Connection` tells.
    pub(crate) events: Vec<String>,
    /// What the whole flow sends.
    pub(crate) answers: Vec<String>,
    /// How it ends.
    pub(crate) end: String,
}

/// The text before the first vector of a file, and its vectors.
pub(crate) fn read(file: &str, text: &str) -> (String, Vec<Vector>) {
    let mut preface = String::new();
    let mut vectors: Vec<Vector> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let fail = |what: String| -> ! { panic!("{file}.txt:{}: {what}", index + 1) };
        if let Some(title) = line.strip_prefix("== ") {
            vectors.push(Vector::begun(file, index + 1, title));
            continue;
        }
        let Some(vector) = vectors.last_mut() else {
            preface += &format!("{line}\n");
            continue;
        };
        if let Err(what) = vector.take(line) {
            fail(what);
        }
    }
    (preface, vectors)
}

impl Vector {
    fn begun(file: &str, line: usize, title: &str) -> Self {
        let mut settings = Settings::default();
        settings.server = None;
        Self {
            file: file.to_owned(),
            line,
            title: title.to_owned(),
            given: format!("== {title}\n"),
            server: Server {
                settings,
                memory_bytes: usize::MAX,
                lane_jobs: usize::MAX,
                max_connections: usize::MAX,
            },
            steps: Vec::new(),
            expected: Outcome::default(),
        }
    }

    fn take(&mut self, line: &str) -> Result<(), String> {
        if let Some(event) = line.strip_prefix("~ ") {
            self.expected.events.push(event.to_owned());
            return Ok(());
        }
        if let Some(answer) = line.strip_prefix("< ") {
            self.expected.answers.push(answer.to_owned());
            return Ok(());
        }
        if let Some(end) = line.strip_prefix("= ") {
            end.clone_into(&mut self.expected.end);
            return Ok(());
        }
        if line.is_empty() {
            return Ok(());
        }
        self.given += &format!("{line}\n");
        if let Some(input) = line.strip_prefix("> ") {
            let bytes = unescaped(input)?;
            match self.steps.last_mut() {
                Some(Step::Bytes(before)) => before.extend(bytes),
                _ => self.steps.push(Step::Bytes(bytes)),
            }
        } else if let Some(step) = line.strip_prefix("--- ") {
            self.steps.push(read_step(step)?);
        } else if let Some(setting) = line.strip_prefix("with ") {
            self.set(setting)?;
        }
        Ok(())
    }

    fn set(&mut self, setting: &str) -> Result<(), String> {
        let Some((name, value)) = setting.split_once(" = ") else {
            return Err(format!("no setting: {setting}"));
        };
        let number: u32 = value.parse().map_err(|_| format!("no number: {value}"))?;
        let (size, bytes) = (number as usize, u64::from(number));
        let limits = &mut self.server.settings.limits;
        let deadlines = &mut self.server.settings.deadlines;
        match name {
            "max_request_line_bytes" => limits.max_request_line_bytes = size,
            "max_fields" => limits.max_fields = size,
            "max_header_bytes" => limits.max_header_bytes = size,
            "max_field_line_bytes" => limits.max_field_line_bytes = size,
            "max_body_bytes" => limits.max_body_bytes = bytes,
            "max_chunk_line_bytes" => limits.max_chunk_line_bytes = size,
            "max_chunk_extension_bytes" => limits.max_chunk_extension_bytes = size,
            "max_discard_bytes" => limits.max_discard_bytes = bytes,
            "max_requests" => limits.max_requests = Some(bytes),
            "max_output_bytes" => limits.max_output_bytes = size,
            "max_linger_bytes" => limits.max_linger_bytes = bytes,
            "min_body_rate" => deadlines.min_body_rate = Some(number),
            "handler_ms" => deadlines.handler = Some(Duration::from_millis(bytes)),
            "memory_bytes" if number == 0 => self.server.memory_bytes = 0,
            "lane_jobs" => self.server.lane_jobs = size,
            "max_connections" => self.server.max_connections = size,
            _ => return Err(format!("no such setting: {name} = {value}")),
        }
        Ok(())
    }
}

fn read_step(step: &str) -> Result<Step, String> {
    match step {
        "eof" => Ok(Step::Eof),
        "the peer stops taking" => Ok(Step::StopTaking),
        "the peer takes again" => Ok(Step::TakeAgain),
        "jobs run" => Ok(Step::RunJobs),
        "drain" => Ok(Step::Drain),
        "later" => Ok(Step::Wait(Duration::ZERO)),
        _ => step
            .strip_suffix(" ms")
            .and_then(|millis| millis.parse().ok())
            .map(|millis| Step::Wait(Duration::from_millis(millis)))
            .ok_or_else(|| format!("no step: {step}")),
    }
}
