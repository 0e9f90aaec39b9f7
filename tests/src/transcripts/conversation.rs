//! A recorded conversation as its file has it: what the client does, step by step, and what came of each.

use anabranch_core::testing::unescaped;

use super::play::Came;
use super::settings::Ground;

/// One conversation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Conversation {
    /// Its title's line in the file, counted from 1.
    pub(super) line: usize,
    /// What it shows.
    pub(super) title: String,
    /// The server it is held with.
    pub(super) ground: Ground,
    /// What the client does, and what was recorded of it.
    pub(super) steps: Vec<Step>,
    /// How it ended when it was recorded.
    pub(super) end: String,
    /// Title, reasons and settings, as they stand in the file.
    head: String,
}

/// Something that the client does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Step {
    /// What.
    pub(super) act: Act,
    /// The lines that say so, and the remarks before them.
    pub(super) given: Vec<String>,
    /// What came back when it was recorded, in lines.
    pub(super) came: Vec<String>,
}

/// What a client can do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Act {
    /// It sends this at once.
    Send(Vec<u8>),
    /// It waits until the server has taken what was sent: what follows is another read.
    Cut,
    /// It waits for this.
    Await(Awaited),
    /// It closes its half.
    HalfClose,
    /// It is gone, by a reset.
    Leave,
}

/// What a client can wait for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Awaited {
    /// The next head, which should be an interim answer's.
    Interim,
    /// The head of the final answer.
    Head,
    /// So many bytes of its body.
    Data(usize),
    /// All that is left of the answer.
    Answer,
    /// The answer to a HEAD, whose fields frame nothing.
    AnswerToHead,
}

impl Conversation {
    pub(super) fn begun(line: usize, title: &str) -> Self {
        Self {
            line,
            title: title.to_owned(),
            ground: Ground::default(),
            steps: Vec::new(),
            end: String::new(),
            head: format!("== {title}\n"),
        }
    }

    /// Takes a line of the file. `remarks` are those that came before and belong to the next step.
    pub(super) fn take(&mut self, line: &str, remarks: &mut Vec<String>) -> Result<(), String> {
        if line.is_empty() {
            return Ok(());
        }
        if !self.end.is_empty() {
            return Err("a line behind the end of a conversation".to_owned());
        }
        if let Some(end) = line.strip_prefix("= ") {
            end.clone_into(&mut self.end);
            return Ok(());
        }
        if line.starts_with('<') {
            let step = self.steps.last_mut().ok_or("something came before anything was done")?;
            step.came.push(line.to_owned());
            return Ok(());
        }
        if line.starts_with('>') {
            return self.send(line, remarks);
        }
        if let Some(act) = line.strip_prefix("--- ") {
            self.push(read_act(act)?, line, remarks);
            return Ok(());
        }
        if self.steps.is_empty() {
            self.head += &format!("{line}\n");
            return line.strip_prefix("with ").map_or(Ok(()), |with| self.ground.take(with));
        }
        remarks.push(line.to_owned());
        Ok(())
    }

    fn send(&mut self, line: &str, remarks: &mut Vec<String>) -> Result<(), String> {
        let bytes = read_bytes(line)?;
        if let Some(Step { act: Act::Send(before), given, came }) = self.steps.last_mut()
            && remarks.is_empty()
            && came.is_empty()
        {
            before.extend(bytes);
            given.push(line.to_owned());
        } else {
            self.push(Act::Send(bytes), line, remarks);
        }
        Ok(())
    }

    fn push(&mut self, act: Act, line: &str, remarks: &mut Vec<String>) {
        let mut given = std::mem::take(remarks);
        given.push(line.to_owned());
        self.steps.push(Step { act, given, came: Vec::new() });
    }

    /// What was recorded.
    pub(super) fn recorded(&self) -> Came {
        Came { steps: self.steps.iter().map(|step| step.came.clone()).collect(), end: self.end.clone() }
    }

    /// The conversation as a file has it if this came of it.
    pub(super) fn written(&self, came: &Came) -> String {
        let mut text = self.head.clone();
        for (step, came) in self.steps.iter().zip(&came.steps) {
            for line in step.given.iter().chain(came) {
                text += &format!("{line}\n");
            }
        }
        text + &format!("= {}\n", came.end)
    }

    /// How many lines title, reasons and settings take.
    pub(super) fn head_lines(&self) -> usize {
        self.head.lines().count()
    }
}

/// `> bytes`, or `>N bytes` for so many times these.
fn read_bytes(line: &str) -> Result<Vec<u8>, String> {
    let (count, text) = line[1..].split_once(' ').ok_or("a space is missing")?;
    let count = if count.is_empty() { 1 } else { count.parse().map_err(|_| format!("no count: {count}"))? };
    Ok(unescaped(text)?.repeat(count))
}

fn read_act(act: &str) -> Result<Act, String> {
    Ok(match act {
        "cut" => Act::Cut,
        "interim" => Act::Await(Awaited::Interim),
        "head" => Act::Await(Awaited::Head),
        "answer" => Act::Await(Awaited::Answer),
        "answer to HEAD" => Act::Await(Awaited::AnswerToHead),
        "half-close" => Act::HalfClose,
        "leave" => Act::Leave,
        _ => match act.strip_suffix(" bytes").and_then(|count| count.parse().ok()) {
            Some(count) => Act::Await(Awaited::Data(count)),
            None => return Err(format!("nothing that a client does: {act}")),
        },
    })
}
