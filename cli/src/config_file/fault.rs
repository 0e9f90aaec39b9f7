//! What is wrong with a file, and where: each fault with its line, the place in it, and the remedy.

use core::fmt;
use core::ops::Range;

/// One thing that is wrong, or worth a warning.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Where, in bytes of the file.
    pub span: Range<usize>,
    /// What.
    pub what: String,
    /// What to write instead.
    pub remedy: String,
}

impl Fault {
    /// That, there, and what to do about it.
    pub fn new(span: Range<usize>, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { span, what: what.into(), remedy: remedy.into() }
    }
}

/// Faults as they are shown: in the order of the file, each with its line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Faults {
    file: String,
    text: String,
    faults: Vec<Fault>,
}

impl Faults {
    /// These, of a file of that name and text.
    #[must_use]
    pub fn new(file: &str, text: &str, mut faults: Vec<Fault>) -> Self {
        faults.sort_by_key(|fault| (fault.span.start, fault.span.end));
        Self { file: file.to_owned(), text: text.to_owned(), faults }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.faults.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }
}

/// A line of the file, shown as far as this.
const WIDTH: usize = 100;

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, fault) in self.faults.iter().enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            let place = Place::of(&self.text, &fault.span);
            let number = place.line.to_string();
            let margin = " ".repeat(number.len());
            writeln!(f, "{}:{number}:{}: {}", self.file, place.column, fault.what)?;
            writeln!(f, "  {number} | {}", place.shown)?;
            writeln!(f, "  {margin} | {}{}", " ".repeat(place.before), "^".repeat(place.marked))?;
            write!(f, "  remedy: {}", fault.remedy)?;
        }
        Ok(())
    }
}

/// Where something is, for people: lines and columns count from 1, columns in characters.
#[derive(Debug)]
struct Place {
    line: usize,
    column: usize,
    shown: String,
    before: usize,
    marked: usize,
}

impl Place {
    fn of(text: &str, span: &Range<usize>) -> Self {
        let start = floor(text, span.start);
        let end = floor(text, span.end).max(start);
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        let before = text[line_start..start].chars().count();
        let marked = text[start..end.min(line_end).max(start)].chars().count();
        let line = text[line_start..line_end].trim_end();
        // What a terminal would obey is not sent to one.
        let shown: String = line.chars().take(WIDTH).map(|c| if c.is_control() { ' ' } else { c }).collect();
        Self {
            line: text[..start].matches('\n').count() + 1,
            column: before + 1,
            before: before.min(WIDTH),
            marked: marked.clamp(1, WIDTH.saturating_sub(before).max(1)),
            shown,
        }
    }
}

/// The nearest boundary of a character, not after `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_is_shown_with_its_line_and_marked_there() {
        let text = "a = 1\nö = true # \u{1b}[0m\n";
        let at = text.find("true").unwrap();
        let faults = vec![Fault::new(at..at + 4, "no", "yes"), Fault::new(0..1, "first", "none")];
        let said = Faults::new("f.toml", text, faults).to_string();
        assert_eq!(
            said,
            "f.toml:1:1: first\n  1 | a = 1\n    | ^\n  remedy: none\n\
             f.toml:2:5: no\n  2 | ö = true #  [0m\n    |     ^^^^\n  remedy: yes"
        );
    }

    #[test]
    fn any_span_of_any_text_has_a_place() {
        let text = "é\n\r\n\u{1F980}=\"\"\"\n\n";
        for start in 0..text.len() + 2 {
            for end in start..text.len() + 2 {
                let faults = vec![Fault::new(start..end, "w", "r")];
                assert!(Faults::new("f", text, faults).to_string().ends_with("remedy: r"));
            }
        }
    }
}
