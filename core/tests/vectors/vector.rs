//! A vector, read from its file.

use std::time::Duration;

use anabranch_core::app::Settings;

use super::text;

/// One conversation, and what is to come of it.
pub(crate) struct Vector {
    pub(crate) file: String,
    /// Where in the file, for a report.
    pub(crate) line: usize,
    pub(crate) title: String,
    /// Everything but what is expected, as it stands in the file.
    pub(crate) given: String,
    pub(crate) stage: Stage,
    pub(crate) steps: Vec<Step>,
    pub(crate) expected: Outcome,
}

/// What stands around a connection.
#[derive(Clone, Debug)]
pub(crate) struct Stage {
    pub(crate) settings: Settings,
    /// Bytes that the server holds for bodies, output and jobs, at most.
    pub(crate) memory_bytes: usize,
    /// Jobs that wait for a lane, at most.
    pub(crate) jobs: usize,
    pub(crate) admission: Admission,
    pub(crate) held_by: HeldBy,
}

/// Whether the server has room for the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Admission {
    Served,
    Refused,
}

/// What holds a vector.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HeldBy {
    /// `http1::Connection` by its events, and the whole flow by its bytes.
    Both,
    /// The flow alone: the machine has no part in what is shown.
    Flow,
}

/// What a peer, the server or the time does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// It sends this.
    Bytes(Vec<u8>),
    /// It closes its half.
    Eof,
    /// It does nothing.
    Wait(Duration),
    /// It takes nothing from here on.
    Stall,
    /// It takes so many bytes, and nothing more.
    TakeBytes(usize),
    /// It takes everything again.
    TakeAll,
    /// The server drains.
    Drain,
    /// The jobs that wait are run.
    RunJobs,
    /// The jobs that wait are lost.
    LoseJobs,
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
            stage: Stage {
                settings,
                memory_bytes: 1 << 30,
                jobs: usize::MAX,
                admission: Admission::Served,
                held_by: HeldBy::Both,
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
            let bytes = text::bytes(input)?;
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
        if self.set_stage(name, value) || self.set_deadline(name, value) {
            return Ok(());
        }
        let number: u32 = value.parse().map_err(|_| format!("no number: {value}"))?;
        let (size, bytes) = (number as usize, u64::from(number));
        let limits = &mut self.stage.settings.limits;
        match name {
            "max_request_line_bytes" => limits.max_request_line_bytes = size,
            "max_fields" => limits.max_fields = size,
            "max_header_bytes" => limits.max_header_bytes = size,
            "max_field_line_bytes" => limits.max_field_line_bytes = size,
            "max_body_bytes" => limits.max_body_bytes = bytes,
            "max_chunk_line_bytes" => limits.max_chunk_line_bytes = size,
            "max_chunk_extension_bytes" => limits.max_chunk_extension_bytes = size,
            "max_discard_bytes" => limits.max_discard_bytes = bytes,
            "max_linger_bytes" => limits.max_linger_bytes = bytes,
            "max_output_bytes" => limits.max_output_bytes = size,
            "max_requests" => limits.max_requests = Some(bytes),
            "memory_bytes" => self.stage.memory_bytes = size,
            "jobs" => self.stage.jobs = size,
            _ => return Err(format!("no such setting: {name}")),
        }
        Ok(())
    }

    fn set_stage(&mut self, name: &str, value: &str) -> bool {
        match (name, value) {
            ("connection", "refused") => self.stage.admission = Admission::Refused,
            ("events", "none") => self.stage.held_by = HeldBy::Flow,
            _ => return false,
        }
        true
    }

    fn set_deadline(&mut self, name: &str, value: &str) -> bool {
        let deadlines = &mut self.stage.settings.deadlines;
        let deadline = match name {
            "first_byte" => &mut deadlines.first_byte,
            "head" => &mut deadlines.head,
            "body" => &mut deadlines.body,
            "idle" => &mut deadlines.idle,
            "write_stall" => &mut deadlines.write_stall,
            "linger" => &mut deadlines.linger,
            "handler" => &mut deadlines.handler,
            _ => return false,
        };
        let millis = value.strip_suffix(" ms").and_then(|millis| millis.parse().ok());
        *deadline = millis.map(Duration::from_millis);
        millis.is_some() || value == "none"
    }
}

fn read_step(step: &str) -> Result<Step, String> {
    match step {
        "eof" => Ok(Step::Eof),
        "later" => Ok(Step::Wait(Duration::ZERO)),
        "the peer stalls" => Ok(Step::Stall),
        "the peer reads" => Ok(Step::TakeAll),
        "drain" => Ok(Step::Drain),
        "the jobs run" => Ok(Step::RunJobs),
        "the jobs are lost" => Ok(Step::LoseJobs),
        _ if step.starts_with("the peer takes ") => step
            .split(' ')
            .nth(3)
            .and_then(|bytes| bytes.parse().ok())
            .map(Step::TakeBytes)
            .ok_or_else(|| format!("no step: {step}")),
        _ => step
            .strip_suffix(" ms")
            .and_then(|millis| millis.parse().ok())
            .map(|millis| Step::Wait(Duration::from_millis(millis)))
            .ok_or_else(|| format!("no step: {step}")),
    }
}
