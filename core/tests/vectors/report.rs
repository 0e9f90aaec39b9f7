//! What a person reads when a vector does not hold: what was sent, what should have come, what came, and where they part.

use anabranch_core::testing::escaped;

use super::holding::Way;
use super::vector::{Step, Vector};

pub(crate) struct Report<'a> {
    pub(crate) vector: &'a Vector,
    pub(crate) way: &'a Way,
}

impl Report<'_> {
    /// `Err` is the report.
    pub(crate) fn compare(&self, what: &str, expected: &[String], got: &[String]) -> Result<(), String> {
        if expected == got {
            return Ok(());
        }
        let Vector { file, line, title, .. } = self.vector;
        let mut text = format!("{file}.txt:{line}: {title}\n  held {}; the {what} differ\n\n", self.way.name);
        for step in &self.way.steps {
            match step {
                Step::Bytes(bytes) => text += &format!("  sent      {}\n", escaped(bytes)),
                Step::Eof => text += "            --- eof\n",
                Step::StopTaking => text += "            --- the peer stops taking\n",
                Step::TakeAgain => text += "            --- the peer takes again\n",
                Step::RunJobs => text += "            --- jobs run\n",
                Step::Drain => text += "            --- drain\n",
                Step::Wait(time) => text += &format!("            --- {} ms\n", time.as_millis()),
            }
        }
        let nothing = String::new();
        for index in 0..expected.len().max(got.len()) {
            let (wanted, came) = (expected.get(index), got.get(index));
            if wanted == came {
                text += &format!("            {}\n", wanted.unwrap_or(&nothing));
                continue;
            }
            let (wanted, came) = (wanted.unwrap_or(&nothing), came.unwrap_or(&nothing));
            let same = wanted.chars().zip(came.chars()).take_while(|(wanted, came)| wanted == came).count();
            text += &format!("  expected  {wanted}\n  got       {came}\n            {}^\n", " ".repeat(same));
            break;
        }
        Err(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_marks_the_first_difference() {
        let (_, vectors) = super::super::vector::read("some", "== A title\nWhy.\n> GET\\r\\n\n");
        let way = Way { name: "whole".to_owned(), steps: vectors[0].steps.clone(), takes: Vec::new() };
        let report = Report { vector: &vectors[0], way: &way };
        let lines = |last: &str| vec!["1 same".to_owned(), last.to_owned()];
        let text = report.compare("events", &lines("1 abcd"), &lines("1 abxd")).unwrap_err();
        let expected = "some.txt:1: A title\n  held whole; the events differ\n\n  sent      GET\\r\\n\n            1 same\n  \
                        expected  1 abcd\n  got       1 abxd\n                ^\n";
        assert_eq!(text, expected);
        assert!(report.compare("events", &lines("1 abcd"), &lines("1 abcd")).is_ok());
    }
}
