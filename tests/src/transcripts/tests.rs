//! What a judge of conversations has to be judged by: that it tells what came, and fails at what is otherwise.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, SystemTime};
use std::{iter, thread};

use super::answers::Answers;
use super::conversation::Awaited;
use super::{Came, Chapter};

/// The conversation of a file that has this one, and what comes of it where the server says `output` and closes.
fn came(conversation: &str, output: &str) -> (Chapter, Vec<Came>) {
    let chapter = Chapter::parse("some", conversation).unwrap();
    let output = output.to_owned();
    let says = move |mut stream: TcpStream| {
        // What nobody read would make a reset of the end.
        assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
        stream.write_all(output.as_bytes()).unwrap();
    };
    let came = chapter.play(1, |_| Listens::start(says.clone()), |server| server.0);
    (chapter, came)
}

/// A server of one connection.
struct Listens(SocketAddr, Option<thread::JoinHandle<()>>);

impl Listens {
    fn start(serve: impl FnOnce(TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        Self(address, Some(thread::spawn(move || serve(listener.accept().unwrap().0))))
    }
}

impl Drop for Listens {
    fn drop(&mut self) {
        let _ = self.1.take().map(thread::JoinHandle::join);
    }
}

/// What is told of `output`, where all of it was asked for in turn.
fn told(joins_chunks: bool, output: &str, awaited: &[Awaited]) -> Vec<Vec<String>> {
    let mut answers = Answers::new(joins_chunks);
    let mut steps = awaited.iter().copied();
    let mut told = Vec::new();
    let mut step = steps.next();
    // Each byte by itself: what is told must not depend on how it came.
    for byte in output.bytes() {
        answers.receive(&[byte]);
        while let Some(awaited) = &mut step
            && answers.reach(awaited)
        {
            told.push(answers.lines());
            step = steps.next();
        }
    }
    answers.end();
    told.push(answers.lines());
    told
}

#[test]
fn cut_is_a_read_of_its_own() {
    let text = "== A title\n> 12\n--- cut\n> 345\n--- cut\n> 6\n--- half-close\n";
    let byte_by_byte = text.replace("title\n", "title\nwith every byte by itself\n");
    for (text, reads) in [(text, vec![2, 3, 1]), (&byte_by_byte, vec![1; 6])] {
        let chapter = Chapter::parse("some", text).unwrap();
        let (tell, told) = mpsc::channel();
        let serve = |_: &_| {
            let tell = tell.clone();
            Listens::start(move |mut stream| {
                let mut buffer = [0; 1024];
                let reads = iter::from_fn(|| stream.read(&mut buffer).ok().filter(|count| *count > 0));
                tell.send(reads.collect::<Vec<usize>>()).unwrap();
            })
        };
        chapter.play(1, serve, |server| server.0);
        assert_eq!(told.recv().unwrap(), reads);
    }
}

#[test]
fn answers_are_told_one_by_one() {
    let output = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab\nHTTP/1.1 204 No Content\r\n\r\n\
                  HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nHTTP/1.1 200 OK\r\n\r\nto the end";
    let steps = [Awaited::Interim, Awaited::Answer, Awaited::Answer, Awaited::AnswerToHead];
    assert_eq!(
        told(false, output, &steps),
        [
            vec![r"< HTTP/1.1 100 Continue\r\n", r"< \r\n"],
            vec![r"< HTTP/1.1 200 OK\r\n", r"< content-length: 3\r\n", r"< \r\n", r"< ab\n"],
            vec![r"< HTTP/1.1 204 No Content\r\n", r"< \r\n"],
            vec![r"< HTTP/1.1 200 OK\r\n", r"< content-length: 9\r\n", r"< \r\n"],
            vec![r"< HTTP/1.1 200 OK\r\n", r"< \r\n", r"< to the end"],
        ]
    );
}

#[test]
fn chunks_are_told_as_they_came_or_joined() {
    let chunks =
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\nt: u\r\n\r\n";
    let head = [r"< HTTP/1.1 200 OK\r\n", r"< transfer-encoding: chunked\r\n", r"< \r\n"];
    let steps = [Awaited::Head, Awaited::Data(4), Awaited::Answer];
    let end = [r"< 0\r\n", r"< t: u\r\n", r"< \r\n"];
    assert_eq!(
        told(true, chunks, &steps),
        [head.to_vec(), vec!["<+ abcd"], [&["<+ e"], &end[..]].concat(), vec![]]
    );
    assert_eq!(
        told(false, chunks, &steps),
        [
            head.to_vec(),
            vec![r"< 3\r\n", r"< abc\r\n", r"< 2;x\r\n", "< d"],
            [&[r"< e\r\n"], &end[..]].concat(),
            vec![]
        ]
    );
}

#[test]
fn what_makes_no_sense_is_told_as_it_came() {
    for output in ["nonsense", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nnonsense"] {
        let told = told(true, output, &[Awaited::Answer]).concat();
        assert_eq!(told.last().unwrap(), "< nonsense", "{output:?}");
    }
}

#[test]
fn what_repeats_is_told_once() {
    let body = format!("{}ab\n", "abc".repeat(100));
    let output = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    assert_eq!(told(false, &output, &[Awaited::Answer])[0][3..], ["<100 abc", r"< ab\n"]);
    let short = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabcabcabc";
    assert_eq!(told(false, short, &[Awaited::Answer])[0][3..], ["< abcabcabc"]);
}

#[test]
fn date_is_masked_where_it_is_the_clocks() {
    let told = |time| {
        let date = httpdate::fmt_http_date(time);
        told(false, &format!("HTTP/1.1 204 No Content\r\ndate: {date}\r\n\r\n"), &[])[0][1].clone()
    };
    let now = SystemTime::now();
    assert_eq!(told(now), r"< date: {date}\r\n");
    assert_ne!(told(now - Duration::from_secs(3600)), r"< date: {date}\r\n");
}

#[test]
fn difference_is_shown_where_it_is() {
    let recorded = "Some\n\n== A title\nWhy.\n> GET / HTTP/1.1\\r\\n\\r\\n\n--- answer\n< HTTP/1.1 200 OK\\r\\n\n\
                    < content-length: 2\\r\\n\n< \\r\\n\n< hi\n= closed\n";
    let answer = |body: &str| format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{body}");
    let (chapter, same) = came(recorded, &answer("hi"));
    assert_eq!(chapter.differences(&same, "some"), []);
    assert_eq!(chapter.written(&same), recorded);

    let (chapter, other) = came(recorded, &answer("ho"));
    let report = chapter.differences(&other, "some")[0].to_string();
    assert_eq!(
        report,
        "tests/transcripts/some.txt:10: under some, otherwise than recorded: A title\n      > GET / HTTP/1.1\\r\\n\\r\\n\n      \
         --- answer\n      < HTTP/1.1 200 OK\\r\\n\n      < content-length: 2\\r\\n\n      < \\r\\n\n  -   < hi\n  +   < ho\n      \
         = closed\n"
    );
    assert!(chapter.written(&other).contains("\n< ho\n"));
    // An answer that is missing, or one too many, is a difference too.
    for output in [String::new(), answer("h"), answer("hi") + "!", answer("hi") + &answer("hi")] {
        let (chapter, other) = came(recorded, &output);
        assert_eq!(chapter.differences(&other, "some").len(), 1, "{output:?}");
    }
}

#[test]
fn what_is_not_understood_is_named() {
    for (line, says) in [
        ("with --no-such-flag 1", "--no-such-flag"),
        ("with --max-connections 1", "change how a connection is held"),
        ("> \\q", "no escape"),
        (">many x", "no count"),
        ("--- wonder", "nothing that a client does: wonder"),
        ("< HTTP/1.1 200 OK", "before anything was done"),
        ("--- answer\n= closed\n> GET", "behind the end"),
    ] {
        let error = Chapter::parse("some", &format!("== A title\n{line}\n--- answer\n")).unwrap_err();
        let number = 1 + line.lines().count();
        assert!(error.starts_with(&format!("tests/transcripts/some.txt:{number}: ")), "{error}");
        assert!(error.contains(says), "{error}");
    }
    for (text, says) in
        [("With reasons alone.\n", "nothing is done"), ("--- answer\nBy the way.\n", "a remark")]
    {
        let error = Chapter::parse("some", &format!("== A title\n{text}")).unwrap_err();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn every_file_says_what_is_expected_and_stands_as_it_is_written() {
    let mut titles = Vec::new();
    for name in Chapter::names() {
        let chapter = Chapter::read(&name);
        let recorded: Vec<Came> = chapter.conversations.iter().map(|each| each.recorded()).collect();
        let text = std::fs::read_to_string(
            crate::faults::root().join("tests/transcripts").join(&name).with_extension("txt"),
        );
        assert_eq!(chapter.written(&recorded), text.unwrap(), "{name}");
        for conversation in &chapter.conversations {
            assert!(
                ["closed", "reset", "left"].contains(&&*conversation.end),
                "{name}: {}",
                conversation.title
            );
            titles.push(conversation.title.clone());
        }
    }
    let count = titles.len();
    titles.sort_unstable();
    titles.dedup();
    assert_eq!(titles.len(), count, "two conversations have the same title");
    assert!(count >= 100, "{count} conversations");
}
