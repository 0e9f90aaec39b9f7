//! Properties: whatever the bytes and however they are cut, nothing panics, no law is broken, and the conversation is the
//! same; what was meant is what is understood.
//!
//! The generators and the checks are those of [`anabranch_core::testing`], which anyone can hold a service or a flow of
//! their own to.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anabranch_core::app::{Body, Context, Frame, Outcome, Request, Response, Settings, service_fn};
use anabranch_core::testing::strategies::{
    bytes_of, conversation, cuts, message, mutated, rough, shred, steps, target,
};
use anabranch_core::testing::{
    Answer, Cuts, Ending, Message, MessageBody, Pace, Rig, check_drain, check_end, check_service,
    check_steps, converse,
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, Version};
use proptest::prelude::*;
use proptest::sample::select;

use crate::kit::{Parts, Site, answers, get, http, http_with};

const REQUESTS: &[&str] = &[
    "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /hello HTTP/1.0\r\n\r\n",
    "GET /who HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "HEAD /chunked HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /chunked HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /trailers HTTP/1.2\r\nHost: a\r\n\r\n",
    "GET /after HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /defer HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /hints HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /last HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /not-modified HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde",
    "POST /collect HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde",
    "POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde",
    "POST /first HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde",
    "POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde",
    "POST /drop HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde",
    "POST /collect HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nabcde",
    "POST /ignore HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nabcde",
    "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n",
    "POST /collect HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx: y\r\n\r\n",
    "POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx: y\r\n\r\n",
    "POST /first HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    "POST /ignore HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: lines\r\n\r\none\ntwo\n",
    "CONNECT tunnel:1 HTTP/1.1\r\nHost: tunnel:1\r\n\r\none\nbye\n",
];

const TARGETS: &[&str] = &[
    "/hello",
    "/who?x=1",
    "/echo",
    "/collect",
    "/count",
    "/first",
    "/ignore",
    "/defer",
    "/after",
    "/drop",
    "/trailers",
];

/// Messages to the site: by hand, each for one of its quirks, and at large.
/// The peer ends within a body that nobody wants, or breaks it off: whether the answer had begun by then does not show.
#[test]
fn end_within_a_body_that_is_dropped_does_not_change_the_answer() {
    for rest in ["Content-Length: 43\r\n\r\n", "Content-Length: 43\r\n\r\nbegun"] {
        let input = format!("GET /drop HTTP/1.1\r\nHost: a\r\n{rest}").into_bytes();
        for pace in [Pace::AtOnce, Pace::Late] {
            let cuts = Cuts { pace, ..Cuts::default() };
            check_service(&Arc::new(Site), &Settings::default(), input.clone(), Ending::Eof, &cuts);
        }
    }
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => select(REQUESTS).prop_map(|text| text.as_bytes().to_vec()),
        4 => message(select(TARGETS).prop_map(str::to_owned)).prop_map(|message| message.bytes()),
        4 => shred(),
    ]
}

fn ending() -> impl Strategy<Value = Ending> {
    select(&[Ending::Open, Ending::Eof][..])
}

/// The default ones, ones that everything passes, and ones that hold everything up.
fn settings() -> impl Strategy<Value = Settings> {
    (0..3_u8).prop_map(|kind| {
        let mut settings = Settings::default();
        let limits = &mut settings.limits;
        match kind {
            1 => {
                limits.max_request_line_bytes = 30;
                limits.max_header_bytes = 60;
                limits.max_field_line_bytes = 26;
                limits.max_fields = 3;
                limits.max_body_bytes = 10;
                limits.max_chunk_line_bytes = 6;
                limits.max_chunk_extension_bytes = 4;
            }
            2 => {
                limits.max_output_bytes = 40;
                limits.max_window_bytes = 2;
                limits.max_discard_bytes = 4;
                limits.max_requests = Some(3);
            }
            _ => {}
        }
        settings
    })
}

proptest! {
    #[test]
    fn conversation_is_the_same_however_it_is_cut(
        input in rough(piece(), 1..5),
        cuts in cuts(),
        ending in ending(),
        settings in settings(),
    ) {
        check_service(&Arc::new(Site), &settings, input, ending, &cuts);
    }

    #[test]
    fn conversation_that_was_meant_well_is_the_same_however_it_is_cut(
        input in mutated(conversation(message(select(TARGETS).prop_map(str::to_owned)), 1..5)),
        cuts in cuts(),
        ending in ending(),
        settings in settings(),
    ) {
        check_service(&Arc::new(Site), &settings, input, ending, &cuts);
    }

    #[test]
    fn any_bytes_at_all_are_answered_or_refused(
        input in prop::collection::vec(any::<u8>(), 0..300),
        cuts in cuts(),
        settings in settings(),
    ) {
        check_service(&Arc::new(Site), &settings, input, Ending::Eof, &cuts);
    }

    #[test]
    fn nothing_that_happens_breaks_a_law(steps in steps(rough(piece(), 1..5), 1..25), small in any::<bool>()) {
        let http = http_with(|settings| {
            if small {
                settings.limits.max_output_bytes = 50;
                settings.limits.max_window_bytes = 3;
                settings.limits.max_discard_bytes = 4;
                settings.limits.max_linger_bytes = 20;
                settings.limits.max_body_bytes = 10;
                settings.deadlines.handler = Some(Duration::from_millis(20));
            }
        });
        let mut rig = Rig::connect(&http);
        check_steps(&mut rig, &steps);
        check_end(&mut rig);
    }

    #[test]
    fn drained_connection_answers_what_came_before_and_nothing_after(
        before in conversation(message(select(TARGETS).prop_map(str::to_owned)), 0..4),
        partial in 0..20_usize,
        after in rough(piece(), 0..3),
    ) {
        let head = get("/hello");
        let partial = if before.iter().all(Message::persists) { &head[..partial] } else { "" };
        let input = [&bytes_of(&before)[..], partial.as_bytes()].concat();
        let http = http();
        let output = check_drain(|| Rig::connect(&http), &input, after);
        let methods: Vec<&str> = before.iter().map(|message| message.method.as_str()).collect();
        let answers = answers(&output, &methods);
        // What is refused or left unread may end it early.
        prop_assert!(answers.len() <= before.len());
        prop_assert!(answers.iter().all(|answer| answer.whole));
        let is_taken = |message: &Message| match &*message.target {
            // In HTTP/1.0 the connection's end is theirs.
            "/chunked" | "/trailers" if message.version == Version::HTTP_10 => false,
            _ => message.data().len() <= 20,
        };
        if before.iter().all(|message| !is_chunked(message) && is_taken(message)) {
            prop_assert_eq!(answers.len(), before.len());
            // What had begun before the drain could not say it.
            if before.last().is_some_and(|last| ["/defer", "/after"].contains(&&*last.target)) {
                prop_assert!(answers.last().is_some_and(Answer::says_close), "{answers:?}");
            }
        }
    }

    #[test]
    fn what_was_generated_is_what_the_service_sees(
        messages in conversation(message(target()), 1..5),
        cuts in cuts(),
        streamed in any::<bool>(),
    ) {
        let saw = Arc::new(Mutex::new(Vec::new()));
        let service = Arc::new(watching(Arc::clone(&saw), streamed));
        let answers = check_service(&service, &Settings::default(), bytes_of(&messages), Ending::Eof, &cuts);
        prop_assert_eq!(answers.len(), messages.len());
        let expected: Vec<Told> = messages.iter().map(|message| Told::of(message, streamed)).collect();
        let mut saw = saw.lock().unwrap();
        // Whole, and cut.
        let cut = saw.split_off(messages.len());
        prop_assert_eq!(&*saw, &expected);
        prop_assert_eq!(cut, expected);
    }

    #[test]
    fn what_the_service_answers_is_what_a_client_reads(
        replies in prop::collection::vec((reply(), select(&[Method::GET, Method::HEAD, Method::POST][..])), 1..5),
        cuts in cuts(),
        http10 in any::<bool>(),
    ) {
        let count = replies.len();
        let input: Vec<u8> = replies.iter().enumerate().flat_map(|(index, (_, method))| {
            let version = if http10 { Version::HTTP_10 } else { Version::HTTP_11 };
            let connection = Some(if index + 1 < count { "keep-alive" } else { "close" });
            Message { method: method.clone(), version, connection, ..Message::get(format!("/{index}")) }.bytes()
        }).collect();
        let given = replies.clone();
        let service = service_fn(move |request: &mut Request, _: &mut Context<'_>| {
            let index: usize = request.path()[1..].parse().unwrap();
            given[index].0.response()
        });
        let answers = check_service(&Arc::new(service), &Settings::default(), input, Ending::Eof, &cuts);
        for ((reply, method), answer) in replies.iter().zip(&answers) {
            prop_assert_eq!(answer.status, reply.status.as_u16());
            let own = answer.fields.iter().filter(|(name, _)| name.starts_with('x'));
            let meant = reply.fields.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
            prop_assert!(own.cloned().eq(meant), "{answer:?} of {reply:?}");
            let has_body = *method != Method::HEAD && !matches!(answer.status, 204 | 304);
            let body = if has_body { reply.parts.concat() } else { String::new() };
            prop_assert_eq!(answer.text(), body);
            prop_assert!(answer.whole);
        }
        // HTTP/1.0 has no other way to end a body of no known length than to close (RFC 9112 §6.3).
        let unframed = |(reply, method): &(Reply, Method)| {
            http10 && reply.kind == ReplyKind::Source && *method != Method::HEAD
        };
        let all = replies.iter().position(unframed).map_or(count, |at| at + 1);
        prop_assert_eq!(answers.len(), all);
    }

    #[test]
    fn work_elsewhere_wakes_whoever_waits_for_it(
        messages in conversation(message(select(&["/defer", "/count", "/first"][..]).prop_map(str::to_owned)), 1..4),
        cuts in cuts(),
    ) {
        // The rig runs a flow that was not woken and fails where that changes anything; one that is never woken would
        // leave its request without an answer.
        let http = http();
        let transcript = converse(&mut Rig::connect(&http), bytes_of(&messages), Ending::Eof, &cuts);
        let methods: Vec<&str> = messages.iter().map(|message| message.method.as_str()).collect();
        let count = answers(&transcript.output, &methods).len();
        // A chunked body that is left unread ends the connection with its answer.
        let least = messages.iter().position(is_chunked).map_or(messages.len(), |at| at + 1);
        prop_assert!((least..=messages.len()).contains(&count), "{count} answers");
    }
}

fn is_chunked(message: &Message) -> bool {
    matches!(message.body, MessageBody::Chunked(..))
}

/// A request, as far as its message says it.
#[derive(Clone, PartialEq, Debug)]
struct Told {
    method: Method,
    target: String,
    version: Version,
    fields: Vec<(String, Vec<u8>)>,
    data: Vec<u8>,
    trailers: Vec<(String, Vec<u8>)>,
}

impl Told {
    /// Trailer fields are seen by whoever reads the body as a stream.
    fn of(message: &Message, streamed: bool) -> Self {
        let lower = |(name, value): &(String, Vec<u8>)| (name.to_ascii_lowercase(), value.clone());
        let trailers = if streamed { message.trailers() } else { &[] };
        Self {
            method: message.method.clone(),
            target: message.target.clone(),
            version: message.version,
            fields: message.fields.clone(),
            data: message.data(),
            trailers: trailers.iter().map(lower).collect(),
        }
    }

    fn seen(request: &Request) -> Self {
        let fields = request
            .fields()
            .filter(|(name, _)| name.starts_with(['x', 'X']))
            .map(|(name, value)| (name.to_owned(), value.to_vec()));
        Self {
            method: request.method().clone(),
            target: request.target().to_owned(),
            version: request.version(),
            fields: fields.collect(),
            data: Vec::new(),
            trailers: Vec::new(),
        }
    }
}

/// Keeps what it sees of each request, body and trailers included.
fn watching(saw: Arc<Mutex<Vec<Told>>>, streamed: bool) -> impl anabranch_core::app::Service {
    service_fn(move |request: &mut Request, _: &mut Context<'_>| {
        let (mut told, saw) = (Told::seen(request), Arc::clone(&saw));
        if !streamed {
            return Outcome::collect(1 << 20, move |_, body, _| {
                told.data = body.to_vec();
                saw.lock().unwrap().push(told);
                Response::ok("seen")
            });
        }
        Outcome::stream(move |_, mut incoming, _| {
            Outcome::future(async move {
                while let Some(frame) = incoming.next().await {
                    match frame.expect("the body is whole") {
                        Frame::Data(data) => told.data.extend_from_slice(&data),
                        Frame::Trailers(fields) => {
                            let fields = fields.iter();
                            told.trailers = fields
                                .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
                                .collect();
                        }
                    }
                }
                saw.lock().unwrap().push(told);
                "seen"
            })
        })
    })
}

/// An answer, as a service means it.
#[derive(Clone, Debug)]
struct Reply {
    status: StatusCode,
    fields: Vec<(String, String)>,
    parts: Vec<String>,
    kind: ReplyKind,
}

/// How its body is given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ReplyKind {
    Whole,
    /// A source that knows its length.
    Sized,
    /// A source that does not.
    Source,
}

fn reply() -> impl Strategy<Value = Reply> {
    let statuses = [200, 201, 206, 204, 205, 304, 400, 404, 500, 503];
    let field = ("x[a-z-]{0,8}", "([!-~]([ -~]{0,8}[!-~])?)?");
    let kinds = [ReplyKind::Whole, ReplyKind::Sized, ReplyKind::Source];
    (
        select(statuses.to_vec()),
        prop::collection::vec(field, 0..3),
        prop::collection::vec("[a-z\r\n0]{1,12}", 0..4),
        select(kinds.to_vec()),
    )
        .prop_map(|(status, fields, parts, kind)| {
            let status = StatusCode::from_u16(status).unwrap();
            // These have no body (RFC 9110 §6.4.1).
            let bare = matches!(status.as_u16(), 204 | 205 | 304);
            let (parts, kind) = if bare { (Vec::new(), ReplyKind::Whole) } else { (parts, kind) };
            Reply { status, fields, parts, kind }
        })
}

impl Reply {
    fn response(&self) -> Response {
        let parts = Parts::of(self.parts.iter().map(|part| Bytes::from(part.clone())));
        let length = self.parts.concat().len();
        let body = match self.kind {
            ReplyKind::Whole => Body::from(self.parts.concat()),
            ReplyKind::Sized => Body::source(parts.with_length(length as u64)),
            ReplyKind::Source => Body::source(parts),
        };
        let mut response = Response::new(self.status).with_body(body);
        for (name, value) in &self.fields {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            response = response.with_field(name, HeaderValue::from_str(value).unwrap());
        }
        response
    }
}
