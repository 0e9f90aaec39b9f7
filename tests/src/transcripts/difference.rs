//! What a person reads when a conversation is not as its file has it: the conversation, and where the two part.

use std::fmt;

use super::conversation::Conversation;
use super::play::Came;

/// A conversation that came out otherwise than it was recorded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference(String);

/// A line of a conversation, for a report.
enum Line<'a> {
    Both(&'a str),
    Recorded(&'a str),
    Came(&'a str),
}

impl Difference {
    /// `None` where they are the same.
    pub(super) fn between(file: &str, conversation: &Conversation, came: &Came, model: &str) -> Option<Self> {
        let recorded = conversation.recorded();
        if recorded == *came {
            return None;
        }
        let mut lines = Vec::new();
        for ((step, recorded), came) in conversation.steps.iter().zip(&recorded.steps).zip(&came.steps) {
            lines.extend(step.given.iter().map(|line| Line::Both(line)));
            compare(recorded, came, &mut lines);
        }
        let ends = [format!("= {}", recorded.end), format!("= {}", came.end)];
        compare(&ends[..1], &ends[1..], &mut lines);

        let before = lines.iter().take_while(|line| matches!(line, Line::Both(_))).count();
        let first = conversation.line + conversation.head_lines() + before;
        let title = &conversation.title;
        let mut text = format!("{file}:{first}: under {model}, otherwise than recorded: {title}\n");
        for line in &lines {
            text += &match line {
                Line::Both(line) => format!("      {line}\n"),
                Line::Recorded(line) => format!("  -   {line}\n"),
                Line::Came(line) => format!("  +   {line}\n"),
            };
        }
        Some(Self(text))
    }
}

/// What both begin and end with stands once; what lies between, as it was recorded and as it came.
fn compare<'a>(recorded: &'a [String], came: &'a [String], lines: &mut Vec<Line<'a>>) {
    let start = recorded.iter().zip(came).take_while(|(one, other)| one == other).count();
    let (same, recorded, came) = (&recorded[..start], &recorded[start..], &came[start..]);
    let end = recorded.iter().rev().zip(came.iter().rev()).take_while(|(one, other)| one == other).count();
    let (recorded, behind) = recorded.split_at(recorded.len() - end);
    lines.extend(same.iter().map(|line| Line::Both(line)));
    lines.extend(recorded.iter().map(|line| Line::Recorded(line)));
    lines.extend(came[..came.len() - end].iter().map(|line| Line::Came(line)));
    lines.extend(behind.iter().map(|line| Line::Both(line)));
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
