//! Answers as a peer reads them: strictly, so that what a lenient client would forgive fails here.

use core::fmt;

/// One answer, as a strict client reads it: see [`answers`].
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Its fields in order, names in lower case; `Date` and `Server` apart.
    pub fields: Vec<(String, String)>,
    /// `Date`; an interim answer has none.
    pub date: Option<String>,
    /// `Server`, where there is one.
    pub server: Option<String>,
    /// Its data, joined. All that follows, where the connection was switched to another protocol.
    pub body: Vec<u8>,
    /// Its trailer fields, names in lower case.
    pub trailers: Vec<(String, String)>,
    /// Whether its end came.
    pub whole: bool,
}

impl Answer {
    /// The first field of this name, which is given in lower case.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    #[track_caller]
    pub fn text(&self) -> &str {
        core::str::from_utf8(&self.body).expect("the body is text")
    }

    /// Whether it says that the connection ends.
    #[must_use]
    pub fn says_close(&self) -> bool {
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

/// Reads all answers in `output`; `methods` are those of the requests, in order, as far as they are not `GET`.
///
/// ```
/// use anabranch_core::testing::answers;
///
/// let output = b"HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 5\r\n\r\nhello";
/// assert_eq!(answers(output, &["GET"])[0].text(), "hello");
/// ```
///
/// # Panics
/// When something is not as RFC 9112 has it, when an answer contradicts itself, or when a final one has no `Date`.
#[must_use]
#[track_caller]
pub fn answers(mut output: &[u8], methods: &[&str]) -> Vec<Answer> {
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
    let mut answer =
        Answer { status, fields, date, server, body: Vec::new(), trailers: Vec::new(), whole: true };

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
    assert!(answer.date.is_some(), "no date: {answer:?}");
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
        assert!(length.bytes().all(|byte| byte.is_ascii_digit()), "no length: {length:?}");
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
        assert!(size.bytes().all(|byte| byte.is_ascii_hexdigit()), "no chunk size: {size:?}");
        let size = usize::from_str_radix(&size, 16).expect("a chunk size");
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

/// A line ended by CRLF, without it, and what follows. Bytes beyond ASCII are shown as those of ISO 8859-1.
fn line(bytes: &[u8]) -> Option<(String, &[u8])> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let line: String = bytes[..end].iter().copied().map(char::from).collect();
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
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        assert!(!name.is_empty() && name.bytes().all(is_token), "no field name: {name:?}");
        fields.push((name.to_ascii_lowercase(), value.to_owned()));
    }
}

fn take_field(fields: &mut Vec<(String, String)>, name: &str) -> Option<String> {
    let at = fields.iter().position(|(other, _)| other == name)?;
    Some(fields.remove(at).1)
}
