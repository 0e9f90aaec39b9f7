//! Bodies that are parsed while they come, through the whole protocol: what the handler gets, what the peer is told, and when.

use std::borrow::Cow;

use anabranch_core::Lane;
use anabranch_core::app::json::{Json, JsonEvent, JsonSink};
use anabranch_core::app::{
    BodyParser, Context, Endpoint, Http, MemoryBudget, Outcome, ParseError, Request, Router, Settings,
    service_fn,
};
use anabranch_core::testing::{Answer, Cuts, Ending, Rig, answers, check_service};
use http::Method;
use proptest::prelude::*;
use std::sync::Arc;

/// Digits, added up; a letter is an error, `!` a panic, and a `+` at the end is missing its digit.
#[derive(Default)]
struct Digits {
    sum: u64,
    offset: u64,
    owes: bool,
    kept: usize,
}

impl BodyParser for Digits {
    type Output = u64;

    fn feed(&mut self, chunk: &[u8]) -> Result<(), ParseError> {
        assert!(!chunk.is_empty());
        for byte in chunk {
            assert_ne!(*byte, b'!', "a panic, as asked");
            match byte {
                b'0'..=b'9' => self.sum += u64::from(byte - b'0'),
                b'+' => {}
                _ => return Err(ParseError::new(self.offset, "not a digit")),
            }
            self.owes = *byte == b'+';
            self.offset += 1;
            self.kept += 1;
        }
        Ok(())
    }

    fn finish(self) -> Result<u64, ParseError> {
        if self.owes { Err(ParseError::new(self.offset, "a digit is missing")) } else { Ok(self.sum) }
    }

    fn held_bytes(&self) -> usize {
        self.kept
    }
}

struct Depth(u64);

impl JsonSink for Depth {
    type Output = u64;
    fn event(&mut self, event: JsonEvent<'_>) -> Result<(), Cow<'static, str>> {
        self.0 += u64::from(event == JsonEvent::ArrayStart);
        Ok(())
    }
    fn finish(self) -> u64 {
        self.0
    }
}

const MAX_BYTES: usize = 20;

fn router() -> Router {
    let sum = |request: &mut Request, sum: u64, _: &mut Context<'_>| format!("{} {sum}", request.path());
    Router::builder()
        .route(Method::POST, "/sum", Endpoint::parsed(MAX_BYTES, Digits::default, sum).consumes("text/plain"))
        .route(
            Method::POST,
            "/sum",
            Endpoint::parsed(MAX_BYTES, || Json::new(Depth(0)), sum).consumes("application/json"),
        )
        .route(
            Method::POST,
            "/lane/{id}",
            Endpoint::parsed_on_lane(Lane("sums"), MAX_BYTES, Digits::default, |request, sum| {
                format!("{} {sum}", request.parameter("id").unwrap_or("?"))
            }),
        )
        .build()
        .unwrap()
}

fn connect() -> Rig<Box<dyn anabranch_core::Flow>> {
    Rig::connect(&Http::new(router()))
}

fn head(target: &str, fields: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n{fields}\r\n")
}

fn post(target: &str, body: &str) -> String {
    head(target, &format!("Content-Length: {}\r\n", body.len())) + body
}

fn chunked(target: &str, chunks: &[&str]) -> String {
    let chunks = chunks.iter().filter(|chunk| !chunk.is_empty());
    let chunks: String = chunks.map(|chunk| format!("{:x}\r\n{chunk}\r\n", chunk.len())).collect();
    head(target, "Transfer-Encoding: chunked\r\n") + &chunks + "0\r\n\r\n"
}

#[track_caller]
fn one(rig: &mut Rig<Box<dyn anabranch_core::Flow>>) -> Answer {
    let mut answers = answers(&rig.written(), &[]);
    assert_eq!(answers.len(), 1, "{answers:?}");
    answers.remove(0)
}

#[test]
fn handler_gets_what_the_parser_made() {
    for request in [post("/sum", "123"), chunked("/sum", &["1", "23"]), chunked("/sum", &["12+3"])] {
        let mut rig = connect();
        rig.read_bytewise(&request);
        let answer = one(&mut rig);
        assert_eq!((answer.status, answer.text()), (200, "/sum 6"));
        rig.assert_reading();
    }
    let mut rig = connect();
    rig.read(post("/sum", "[[1]]").replace("text/plain", "application/json"));
    assert_eq!(one(&mut rig).text(), "/sum 2");
}

#[test]
fn body_is_parsed_as_it_comes_and_its_first_error_answered_at_once() {
    let mut rig = connect();
    rig.read(head("/sum", "Content-Length: 10\r\n"));
    rig.read("12");
    assert_eq!(rig.written(), b"");
    rig.read("3x");
    let answer = one(&mut rig);
    assert_eq!((answer.status, answer.text()), (400, "400: at byte 3: not a digit\n"));
    // A short rest is read and dropped: the connection goes on.
    assert!(!answer.says_close());
    rig.read("456789");
    rig.read(post("/sum", "1"));
    assert_eq!(one(&mut rig).text(), "/sum 1");

    let mut rig = connect();
    rig.read(head("/sum", "Transfer-Encoding: chunked\r\n") + "5\r\n1x");
    let answer = one(&mut rig);
    assert_eq!((answer.status, answer.says_close()), (400, true));
}

#[test]
fn error_at_the_end_is_the_clients_too() {
    let mut rig = connect();
    rig.read(post("/sum", "1+"));
    assert_eq!(one(&mut rig).text(), "400: at byte 2: a digit is missing\n");
    rig.read(post("/sum", "").replace("text/plain", "application/json"));
    let answer = one(&mut rig);
    assert_eq!(answer.text(), "400: at byte 0, line 1, column 1: expected a value, found the end\n");
    rig.read(post("/sum", ""));
    assert_eq!(one(&mut rig).text(), "/sum 0");
}

#[test]
fn body_is_asked_for_only_where_somebody_parses_it() {
    let mut rig = connect();
    rig.read(head("/sum", "Content-Length: 2\r\nExpect: 100-continue\r\n"));
    assert_eq!(rig.written(), b"HTTP/1.1 100 Continue\r\n\r\n");
    rig.read("12");
    assert_eq!(one(&mut rig).text(), "/sum 3");
    rig.read(
        head("/sum", "Content-Length: 2\r\nExpect: 100-continue\r\n").replace("text/plain", "text/html"),
    );
    let answer = one(&mut rig);
    assert_eq!((answer.status, answer.field("accept")), (415, Some("text/plain, application/json")));
}

#[test]
fn limit_is_kept_and_an_error_in_front_of_it_found_first() {
    let full = "1".repeat(MAX_BYTES);
    let mut rig = connect();
    rig.read(chunked("/sum", &[&full]));
    assert_eq!(one(&mut rig).status, 200);
    rig.read(head("/sum", "Content-Length: 21\r\n"));
    assert_eq!(one(&mut rig).status, 413);

    for (body, status) in [(full.clone() + "1", 413), (full + "x", 413), ("1".repeat(19) + "x1", 400)] {
        for cut in [1, 7, usize::MAX] {
            let mut rig = connect();
            rig.feed(chunked("/sum", &[&body]), cut);
            assert_eq!(one(&mut rig).status, status, "{body} by {cut}");
        }
    }
}

#[test]
fn parsed_value_moves_to_its_lane() {
    let mut rig = connect();
    rig.read(post("/lane/7", "12"));
    assert_eq!(rig.written(), b"");
    assert_eq!(rig.jobs().len(), 1);
    rig.run_jobs();
    assert_eq!(one(&mut rig).text(), "7 3");
    // What is malformed never gets there.
    rig.read(post("/lane/7", "1x"));
    assert_eq!((one(&mut rig).status, rig.jobs().len()), (400, 0));
}

#[test]
fn panic_of_a_parser_hurts_its_own_connection_only() {
    let mut rig = connect();
    rig.read(post("/sum", "1!1"));
    let answer = one(&mut rig);
    assert_eq!((answer.status, answer.says_close()), (500, true));
}

#[test]
fn what_a_parser_keeps_counts_against_the_budget() {
    let memory = MemoryBudget::new(2000);
    let service = service_fn(|_: &mut Request, _: &mut Context<'_>| {
        Outcome::parse(10_000, Digits::default(), |_, parsed, _| match parsed {
            Ok(sum) => sum.to_string(),
            Err(error) => error.to_string(),
        })
    });
    let http = Http::new(service).with_memory(memory.clone());
    let mut rig = Rig::connect(&http);
    rig.read(head("/", "Content-Length: 1000\r\n"));
    rig.read("1".repeat(600));
    assert!((600..1500).contains(&memory.held()), "{}", memory.held());
    rig.read("1".repeat(400));
    assert_eq!(one(&mut rig).text(), "1000");
    assert_eq!(memory.held(), 0);
    rig.read(head("/", "Content-Length: 3000\r\n"));
    rig.feed("1".repeat(3000), 500);
    assert_eq!(one(&mut rig).status, 503);
    assert_eq!(memory.held(), 0);
}

proptest! {
    #[test]
    fn conversation_does_not_depend_on_the_cuts(
        bodies in prop::collection::vec(("[0-9+x]{0,24}", any::<bool>(), prop::sample::select(vec!["/sum", "/lane/1"])), 1..4),
        reads in prop::collection::vec(1usize..40, 0..20),
        broken in any::<bool>(),
    ) {
        let mut input: String = bodies
            .iter()
            .map(|(body, whole, target)| if *whole { post(target, body) } else { chunked(target, &[body]) })
            .collect();
        if broken {
            // The last body breaks off behind what may already be an error.
            input += &(head("/sum", "Transfer-Encoding: chunked\r\n") + "3\r\n1x2\r\nzzz\r\n");
        }
        let service = Arc::new(router());
        let cuts = Cuts { reads, ..Cuts::default() };
        let answers = check_service(&service, &Settings::default(), &input, Ending::Eof, &cuts);
        prop_assert!(!answers.is_empty());
    }
}
