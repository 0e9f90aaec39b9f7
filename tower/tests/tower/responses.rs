//! What becomes of a service's answers: their framing is core's, whatever the service says of it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use anabranch_core::CloseReason;
use anabranch_core::app::Http;
use anabranch_core::testing::Rig;
use anabranch_tower::service;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, SET_COOKIE, TRANSFER_ENCODING};
use http::{HeaderMap, Response, StatusCode};
use http_body::{Frame, SizeHint};
use http_body_util::Full;
use proptest::prelude::*;

use crate::{ask, tower_fn};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const HEAD: &str = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";

/// A body of whatever steps: each is what a poll gives.
#[derive(Clone, Default)]
struct Script {
    steps: VecDeque<Step>,
    exact: Option<u64>,
    says_its_end: bool,
}

#[derive(Clone, Debug)]
enum Step {
    Data(Bytes),
    Trailers(HeaderMap),
    Error,
    /// Pending, and woken at once.
    Pending,
}

impl Script {
    fn of(steps: impl IntoIterator<Item = Step>) -> Self {
        Self { steps: steps.into_iter().collect(), ..Self::default() }
    }
}

impl http_body::Body for Script {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        Poll::Ready(match self.steps.pop_front() {
            None => None,
            Some(Step::Data(data)) => {
                self.exact = self.exact.map(|exact| exact - data.len() as u64);
                Some(Ok(Frame::data(data)))
            }
            Some(Step::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Some(Step::Error) => Some(Err("the source dried up")),
            Some(Step::Pending) => {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.says_its_end && self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.exact.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

fn data(text: &'static str) -> Step {
    Step::Data(Bytes::from_static(text.as_bytes()))
}

/// The answer to `request` of a service that answers with `response`, whatever it is asked.
fn answer<B>(request: &str, response: Response<B>) -> String
where
    B: http_body::Body<Error: Into<anabranch_tower::BoxError>> + Clone + Send + 'static,
{
    ask(tower_fn(move |_| std::future::ready(response.clone())), request)
}

/// Whole, and of a length that is known.
fn body() -> Full<Bytes> {
    Full::from("body")
}

fn with(name: impl http::header::IntoHeaderName, value: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(body());
    response.headers_mut().append(name, value.parse().unwrap());
    response
}

#[test]
fn whole_body_has_its_length() {
    assert_eq!(answer(GET, Response::new(body())), "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody");
    assert_eq!(
        answer(GET, Response::new(Full::<Bytes>::default())),
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
    );
}

#[test]
fn body_of_an_exact_length_in_pieces_has_that_length() {
    let mut body = Script::of([data("bo"), Step::Pending, data("dy")]);
    body.exact = Some(4);
    assert_eq!(answer(GET, Response::new(body)), "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody");
}

#[test]
fn body_of_no_known_length_is_chunked() {
    let body = Script::of([Step::Pending, data("bo"), data(""), data("dy")]);
    assert_eq!(
        answer(GET, Response::new(body)),
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n"
    );
}

#[test]
fn trailer_fields_come_last() {
    let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), "4".parse().unwrap())]);
    let body = Script::of([data("body"), Step::Trailers(trailers)]);
    assert_eq!(
        answer(GET, Response::new(body)),
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nx-sum: 4\r\n\r\n"
    );
}

#[test]
fn fields_of_the_framing_are_not_the_services() {
    for response in [
        with(CONTENT_LENGTH, "4"),
        with(TRANSFER_ENCODING, "chunked"),
        with(CONNECTION, "keep-alive"),
        with("keep-alive", "timeout=5"),
    ] {
        assert_eq!(answer(GET, response), "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody");
    }
}

#[test]
fn service_may_ask_for_the_connections_end() {
    for value in ["close", "Close", "x-own, close"] {
        assert_eq!(
            answer(GET, with(CONNECTION, value)),
            "HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\nbody"
        );
    }
}

#[test]
fn length_that_is_not_the_bodys_is_a_fault_of_the_service() {
    for value in ["5", "x"] {
        assert!(answer(GET, with(CONTENT_LENGTH, value)).starts_with("HTTP/1.1 500 "), "{value}");
    }
}

#[test]
fn length_that_is_said_of_a_stream_is_its_length() {
    let mut response = Response::new(Script::of([data("bo"), data("dy")]));
    response.headers_mut().insert(CONTENT_LENGTH, 4.into());
    assert_eq!(answer(GET, response), "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody");
}

#[test]
fn lines_of_one_name_keep_their_order() {
    let mut response = with(SET_COOKIE, "a=1");
    response.headers_mut().append("x-own", "1".parse().unwrap());
    response.headers_mut().append(SET_COOKIE, "b=2".parse().unwrap());
    assert_eq!(
        answer(GET, response),
        "HTTP/1.1 200 OK\r\nset-cookie: a=1\r\nset-cookie: b=2\r\nx-own: 1\r\ncontent-length: 4\r\n\r\nbody"
    );
}

#[test]
fn head_is_answered_without_a_body() {
    let known = answer(HEAD, Response::new(body()));
    assert_eq!(known, "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n");
    assert_eq!(answer(HEAD, with(CONTENT_LENGTH, "4")), known);
    let mut emptied = Response::new(Full::<Bytes>::default());
    emptied.headers_mut().insert(CONTENT_LENGTH, 4.into());
    assert_eq!(answer(HEAD, emptied), known);
    let unknown = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    assert_eq!(answer(HEAD, Response::new(Script::of([data("body")]))), unknown);
    assert_eq!(answer(HEAD, Response::new(Full::<Bytes>::default())), unknown);
}

#[test]
fn statuses_without_a_body_have_none() {
    for (status, head) in [
        (StatusCode::NO_CONTENT, "HTTP/1.1 204 No Content\r\n\r\n"),
        (StatusCode::RESET_CONTENT, "HTTP/1.1 205 Reset Content\r\ncontent-length: 0\r\n\r\n"),
        (StatusCode::NOT_MODIFIED, "HTTP/1.1 304 Not Modified\r\ncontent-length: 4\r\n\r\n"),
    ] {
        for request in [GET, HEAD] {
            let mut response = with(CONTENT_LENGTH, "4");
            *response.status_mut() = status;
            assert_eq!(answer(request, response), head);
        }
    }
    let mut response = Response::new(body());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    assert_eq!(answer(GET, response), "HTTP/1.1 304 Not Modified\r\n\r\n");
}

#[test]
fn interim_status_is_no_answer() {
    let mut response = with("x-own", "1");
    *response.status_mut() = StatusCode::CONTINUE;
    assert!(answer(GET, response).starts_with("HTTP/1.1 500 "));
}

#[test]
fn error_of_a_body_cuts_the_answer_off_and_is_told() {
    for steps in
        [vec![data("bo"), Step::Error], vec![Step::Pending, data("bo"), Step::Error], vec![Step::Error]]
    {
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = Arc::clone(&told);
        let body = Script::of(steps);
        let tower = service(tower_fn(move |_| std::future::ready(Response::new(body.clone()))))
            .on_error(move |error| tell.lock().unwrap().push(error.to_string()));
        let mut rig = Rig::connect(&Http::new(tower));
        rig.read(GET);
        let written = crate::written(&mut rig);
        assert!(!written.ends_with("0\r\n\r\n"), "{written}");
        rig.assert_finished(CloseReason::ApplicationFailed);
        assert_eq!(*told.lock().unwrap(), ["the source dried up"]);
    }
}

#[test]
fn body_that_is_not_as_long_as_it_said_is_cut_off() {
    for exact in [3, 5] {
        let mut body = Script::of([data("bo"), data("d")]);
        body.exact = Some(exact);
        if exact == 3 {
            body.steps.push_back(Step::Pending);
            body.exact = Some(5);
        }
        let mut rig = crate::rig(tower_fn(move |_| std::future::ready(Response::new(body.clone()))));
        rig.read(GET);
        rig.written();
        rig.assert_finished(CloseReason::ApplicationFailed);
    }
}

#[test]
fn body_goes_no_faster_than_its_peer_takes_it() {
    let polls = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&polls);
    let mut rig = crate::rig(tower_fn(move |_| {
        let counted = Arc::clone(&counted);
        let endless = http_body_util::StreamBody::new(futures_lite::stream::repeat_with(move || {
            *counted.lock().unwrap() += 1;
            Ok::<_, &str>(Frame::data(Bytes::from(vec![b'x'; 1024])))
        }));
        std::future::ready(Response::new(endless))
    }));
    rig.read(GET);
    let before = *polls.lock().unwrap();
    assert!((1..2000).contains(&before), "{before} pieces, of which the peer took none");
    rig.run();
    assert_eq!(*polls.lock().unwrap(), before);
    rig.write_at_most(100 * 1024);
    rig.run();
    assert!(*polls.lock().unwrap() > before);
}

proptest! {
    #[test]
    fn body_is_what_its_frames_are_joined(
        frames in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..900), any::<bool>()), 0..12),
        is_exact: bool,
        says_its_end: bool,
    ) {
        let body: Vec<u8> = frames.iter().flat_map(|(data, _)| data.clone()).collect();
        let steps = frames.into_iter().flat_map(|(data, waits)| {
            waits.then_some(Step::Pending).into_iter().chain([Step::Data(Bytes::from(data))])
        });
        let mut script = Script::of(steps);
        script.exact = is_exact.then_some(body.len() as u64);
        script.says_its_end = says_its_end;
        let mut rig = crate::rig(tower_fn(move |_| std::future::ready(Response::new(script.clone()))));
        // HTTP/1.0 has no chunks: what comes behind the head is the body, whatever it is framed by.
        rig.read("GET / HTTP/1.0\r\n\r\n");
        let written = rig.written();
        let head = written.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        prop_assert_eq!(&written[head..], &body[..]);
        let length = format!("content-length: {}\r\n", body.len());
        let tells = String::from_utf8_lossy(&written[..head]).contains(&length);
        prop_assert!(tells || !is_exact);
    }
}
