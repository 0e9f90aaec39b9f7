//! Answers as a peer reads them: strictly, so that what a lenient client would forgive fails here.

use std::fmt;

/// One answer.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case; `date` and `server` apart.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) date: Option<String>,
    /// Its data, joined.
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
    /// Whether its end came.
    pub(crate) whole: bool,
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    /// Whether it says that the connection ends.
    pub(crate) fn says_close(&self) -> bool {
        self.field("connection") == Some("close")
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.status, if self.whole { "" } else { " (cut off)" })?;
        for (name, value) in &self.fields {
            write!(f, " [{name}: {value}]")?;
        }
        write!(f, " {:?}", self.body.escape_ascii().to_string())?;
        for (name, value) in &self.trailers {
            write!(f, " [{name}: {value}]")?;
        }
        Ok(())
    }
}

/// Reads all answers in `output`; `methods` are those of the requests, in order.
///
/// # Panics
/// When something is not as RFC 9112 has it, or when an answer contradicts itself.
#[track_caller]
pub(crate) fn answers(mut output: &[u8], methods: &[&str]) -> Vec<Answer> {
    let mut answers = Vec::new();
    let mut exchange = 0;
    while !output.is_empty() {
        let method = methods.get(exchange).copied().unwrap_or("GET");
        let (answer, rest) = read_answer(output, method);
        output = rest;
        if !(100..200).contains(&answer.status) {
            exchange += 1;
        }
        answers.push(answer);
    }
    answers
}

/// Reads the one answer to a `GET` that `output` is.
#[track_caller]
pub(crate) fn one_answer(output: &[u8]) -> Answer {
    let mut all = answers(output, &[]);
    assert_eq!(all.len(), 1, "expected one answer: {all:?}");
    all.remove(0)
}

#[track_caller]
fn read_answer<'a>(output: &'a [u8], method: &str) -> (Answer, &'a [u8]) {
    let shown = || output.escape_ascii().to_string();
    let Some((line, mut rest)) = line(output) else { panic!("a status line without its end: {}", shown()) };
    let status = line
        .strip_prefix("HTTP/1.1 ")
        .and_then(|line| line.get(..3)?.parse::<u16>().ok())
        .unwrap_or_else(|| panic!("no status line: {}", shown()));
    assert_eq!(line.as_bytes().get(12), Some(&b' '), "a space follows the status: {line}");
    let mut fields = field_lines(&mut rest).unwrap_or_else(|| panic!("a head without its end: {}", shown()));
    let date = take_field(&mut fields, "date");
    let server = take_field(&mut fields, "server");
    let mut answer = Answer { status, fields, date, body: Vec::new(), trailers: Vec::new(), whole: true };

    let count = |name: &str| answer.fields.iter().filter(|(other, _)| other == name).count();
    let (lengths, codings) = (count("content-length"), count("transfer-encoding"));
    assert!(lengths + codings <= 1, "two framings: {answer:?}");
    assert!(count("connection") <= 1, "two connection fields: {answer:?}");
    if status < 200 {
        assert_eq!(lengths + codings, 0, "an interim answer has no framing: {answer:?}");
        return if status == 101 {
            answer.body = rest.to_vec();
            (answer, &[])
        } else {
            (answer, rest)
        };
    }
    assert!(answer.date.is_some() && server.is_some(), "no date or no server: {answer:?}");
    if method == "CONNECT" && status < 300 {
        assert_eq!(lengths + codings, 0, "a tunnel has no framing: {answer:?}");
        answer.body = rest.to_vec();
        return (answer, &[]);
    }
    if status == 204 {
        assert_eq!(lengths + codings, 0, "204 has no framing: {answer:?}");
    }
    if method == "HEAD" || status == 204 || status == 304 {
        return (answer, rest);
    }
    if codings == 1 {
        assert_eq!(answer.field("transfer-encoding"), Some("chunked"));
        rest = dechunk(rest, &mut answer);
    } else if let Some(length) = answer.field("content-length") {
        let length: usize = length.parse().expect("a decimal length");
        answer.whole = length <= rest.len();
        let (body, after) = rest.split_at(length.min(rest.len()));
        answer.body = body.to_vec();
        rest = after;
    } else {
        assert!(answer.says_close(), "until-close without saying close: {answer:?}");
        answer.body = rest.to_vec();
        rest = &[];
    }
    (answer, rest)
}

fn dechunk<'a>(mut rest: &'a [u8], answer: &mut Answer) -> &'a [u8] {
    answer.whole = false;
    loop {
        let Some((size, after)) = line(rest) else { return &[] };
        let size = usize::from_str_radix(size, 16).expect("a chunk size");
        rest = after;
        if size == 0 {
            let Some(trailers) = field_lines(&mut rest) else { return &[] };
            answer.trailers = trailers;
            answer.whole = true;
            return rest;
        }
        answer.body.extend_from_slice(&rest[..size.min(rest.len())]);
        if rest.len() < size + 2 {
            return &[];
        }
        assert_eq!(&rest[size..size + 2], b"\r\n", "a chunk ends in CRLF");
        rest = &rest[size + 2..];
    }
}

/// A line ended by CRLF, without it, and what follows.
fn line(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let line = std::str::from_utf8(&bytes[..end]).expect("a line is text");
    assert!(!line.contains(['\r', '\n']), "a bare line end in {line:?}");
    Some((line, &bytes[end + 2..]))
}

fn field_lines(rest: &mut &[u8]) -> Option<Vec<(String, String)>> {
    let mut fields = Vec::new();
    loop {
        let (line, after) = line(rest)?;
        *rest = after;
        if line.is_empty() {
            return Some(fields);
        }
        let (name, value) = line.split_once(": ").expect("a field line");
        fields.push((name.to_ascii_lowercase(), value.to_owned()));
    }
}

fn take_field(fields: &mut Vec<(String, String)>, name: &str) -> Option<String> {
    let at = fields.iter().position(|(other, _)| other == name)?;
    Some(fields.remove(at).1)
}
