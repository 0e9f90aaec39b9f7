//! What goes wrong on our side: the peer gets an answer or sees that it is incomplete, the connection ends, nothing else
//! does.

use std::sync::{Arc, Mutex};
use std::task::{self, Poll};
use std::time::Duration;

use anabranch_core::app::{
    Body, BodyError, BodySource, Context, Failure, Frame, Http, Outcome, Request, RequestEnd, Response,
    Service, service_fn,
};
use anabranch_core::http1::{LineFault, Misuse, Refusal};
use anabranch_core::testing::Rig;
use anabranch_core::{CloseReason, ConnectionId, ConnectionInfo, Flow, Lane, Protocol};
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::{Extensions, StatusCode};

use crate::kit::{
    Conversation, Held, Parts, Recorder, get, http_with, one_answer, post, post_chunked, rig, site,
};

#[track_caller]
fn assert_failed(held: &Held, failure: Failure) {
    assert_eq!(held.statuses(), [500], "{held:?}");
    assert_eq!(held.text(), "500: the server failed\n", "what failed is not told to the peer");
    assert_eq!(held.requests[0].failure, Some(failure));
    held.assert_closed(CloseReason::Finished);
}

// ---- panics ----

#[test]
fn panic_in_a_handler_is_a_500_and_the_end_of_the_connection() {
    assert_failed(&Conversation::new(get("/panic")).hold(), Failure::Panicked);
    assert_failed(&Conversation::new(post("/panic", "abc")).hold(), Failure::Panicked);
    assert_failed(&Conversation::new(post_chunked("/panic", &["abc"])).hold(), Failure::Panicked);
}

#[test]
fn panic_in_what_is_called_later_is_a_500_too() {
    let outcomes: [fn() -> Outcome; 5] = [
        || Outcome::collect(10, |_, _, _| -> Outcome { panic!("after the body") }),
        || Outcome::stream(|_, _, _| -> Outcome { panic!("with the stream") }),
        || Outcome::after(Duration::from_millis(5), |_, _| -> Outcome { panic!("later") }),
        || Outcome::future(async { if true { panic!("in a future") } else { "x" } }),
        || {
            Outcome::stream(|_, mut incoming, _| {
                Outcome::future(async move {
                    if incoming.next().await.is_some() { panic!("with the body's data") } else { "x" }
                })
            })
        },
    ];
    for outcome in outcomes {
        let service = service_fn(move |_: &mut Request, _: &mut Context<'_>| outcome());
        let held = Conversation::with(service, post("/", "abc")).without_more().hold();
        assert_failed(&held, Failure::Panicked);
    }
}

#[test]
fn panic_in_a_job_is_a_500_and_so_is_a_job_that_is_lost() {
    let service = service_fn(|_: &mut Request, _: &mut Context<'_>| {
        Outcome::defer(Lane::DEFAULT, |_| -> Response { panic!("job") })
    });
    assert_failed(&Conversation::with(service, get("/")).without_more().hold(), Failure::JobLost);

    let mut rig = site();
    rig.read(get("/defer"));
    rig.lose_jobs();
    assert_eq!(one_answer(&rig.written()).status, 500);

    let service = service_fn(|_: &mut Request, _: &mut Context<'_>| {
        Outcome::defer_with(Lane::DEFAULT, |deferred| drop(deferred.reply))
    });
    assert_failed(&Conversation::with(service, get("/")).without_more().hold(), Failure::JobLost);
}

/// A source that panics when it is asked, or when its length is.
#[derive(Clone, Copy)]
enum Panics {
    InLength,
    AtOnce,
    AfterData,
}

impl BodySource for Panics {
    fn poll_frame(&mut self, _: &mut task::Context<'_>, _: usize) -> Poll<Option<Result<Frame, BodyError>>> {
        match self {
            Self::AfterData => {
                *self = Self::AtOnce;
                Poll::Ready(Some(Ok(Frame::Data(Bytes::from_static(b"data")))))
            }
            _ => panic!("the source panics"),
        }
    }

    fn length(&self) -> Option<u64> {
        if matches!(self, Self::InLength) { panic!("the length panics") } else { None }
    }
}

#[test]
fn panic_in_a_body_cuts_the_answer_off() {
    for (panics, data) in [(Panics::AtOnce, ""), (Panics::AfterData, "data")] {
        let service =
            service_fn(move |_: &mut Request, _: &mut Context<'_>| Response::ok(Body::source(panics)));
        let held = Conversation::with(service, get("/")).without_more().hold();
        assert_eq!((held.statuses(), held.text(), held.answers[0].whole), (vec![200], data, false));
        assert_eq!(held.closed, Some(CloseReason::ApplicationFailed));
        assert_eq!(held.requests[0].end, RequestEnd::Cut);
    }
}

#[test]
fn panic_in_the_length_of_a_body_is_a_500() {
    let service =
        service_fn(|_: &mut Request, _: &mut Context<'_>| Response::ok(Body::source(Panics::InLength)));
    assert_failed(&Conversation::with(service, get("/")).without_more().hold(), Failure::Panicked);
    let service = service_fn(|_: &mut Request, _: &mut Context<'_>| {
        Outcome::future(async { Response::ok(Body::source(Panics::InLength)) })
    });
    assert_failed(&Conversation::with(service, get("/")).without_more().hold(), Failure::Panicked);
}

#[test]
fn source_that_gives_up_cuts_the_answer_off() {
    struct GivesUp;
    impl BodySource for GivesUp {
        fn poll_frame(
            &mut self,
            _: &mut task::Context<'_>,
            _: usize,
        ) -> Poll<Option<Result<Frame, BodyError>>> {
            Poll::Ready(Some(Err(BodyError::Aborted)))
        }
    }
    let service = service_fn(|_: &mut Request, _: &mut Context<'_>| Response::ok(Body::source(GivesUp)));
    let held = Conversation::with(service, get("/")).without_more().hold();
    assert!(!held.answers[0].whole);
    assert_eq!(held.closed, Some(CloseReason::ApplicationFailed));
}

#[test]
fn panics_where_a_connection_opens_or_an_error_is_shaped_end_nothing() {
    #[derive(Clone)]
    struct Panicky;
    impl Service for Panicky {
        fn call(&self, request: &mut Request, _: &mut Context<'_>) -> Outcome {
            if request.path() == "/fine" { "fine".into() } else { panic!("the handler") }
        }
        fn open(&self, _: &ConnectionInfo, _: &mut Extensions) {
            panic!("as it opens");
        }
        fn error(&self, _: &Failure) -> Response {
            panic!("as the error is shaped");
        }
    }
    let held = Conversation::with(Panicky, get("/fine")).without_more().hold();
    assert_eq!(held.text(), "fine");
    assert_failed(&Conversation::with(Panicky, get("/")).without_more().hold(), Failure::Panicked);
}

#[test]
fn panic_of_an_observer_harms_no_answer() {
    struct Panicky;
    impl anabranch_core::app::Observer for Panicky {
        fn request(&self, _: &anabranch_core::app::RequestRecord<'_>) {
            panic!("the observer panics");
        }
    }
    let http = Http::new(service_fn(|_, _| "fine")).with_observer(Arc::new(Panicky));
    let mut rig = Rig::connect(&http);
    rig.read(get("/"));
    assert_eq!(one_answer(&rig.written()).text(), "fine");
    rig.assert_reading();
}

#[test]
fn other_connections_go_on() {
    let http = crate::kit::http();
    let (mut one, mut other) = (Rig::connect(&http), Rig::connect(&http));
    one.read(get("/panic"));
    other.read(get("/hello"));
    assert_eq!(one_answer(&one.written()).status, 500);
    assert_eq!(one_answer(&other.written()).status, 200);
    other.assert_reading();
}

// ---- lanes ----

#[test]
fn full_lane_is_a_503_with_retry_after_and_the_connection_lives() {
    let mut rig = site();
    rig.jobs().set_capacity(0);
    for request in [get("/defer"), post("/defer", "abc")] {
        rig.read(request);
        let answer = one_answer(&rig.written());
        assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
        assert!(!answer.says_close());
        rig.assert_reading();
    }
    rig.jobs().set_capacity(1);
    rig.read(get("/defer"));
    rig.run_jobs();
    assert_eq!(one_answer(&rig.written()).status, 200);
}

#[test]
fn pipelined_requests_are_answered_though_lanes_are_full() {
    let mut rig = site();
    rig.jobs().set_capacity(0);
    rig.read(get("/defer").repeat(3));
    assert_eq!(crate::kit::answers(&rig.written(), &[]).len(), 3);
    rig.assert_reading();
}

#[test]
fn lane_is_the_one_that_was_named() {
    let mut rig =
        rig(service_fn(|_: &mut Request, _: &mut Context<'_>| Outcome::defer(Lane("slow"), |_| "x")));
    rig.read(get("/"));
    assert_eq!(rig.jobs().take().unwrap().lane(), Lane("slow"));
}

// ---- what cannot be sent ----

#[test]
fn what_cannot_be_sent_after_waiting_is_a_500_too() {
    let bad = || Response::ok("x").with_field(CONTENT_LENGTH, HeaderValue::from_static("7"));
    let outcomes: [fn() -> Response; 1] = [bad];
    for response in outcomes {
        for kind in 0..4 {
            let service = service_fn(move |_: &mut Request, _: &mut Context<'_>| match kind {
                0 => Outcome::collect(10, move |_, _, _| response()),
                1 => Outcome::after(Duration::from_millis(1), move |_, _| response()),
                2 => Outcome::future(async move { response() }),
                _ => Outcome::defer(Lane::DEFAULT, move |_| response()),
            });
            let held = Conversation::with(service, post("/", "abc")).without_more().hold();
            assert_failed(&held, Failure::Unsendable(Misuse::ContradictingLength));
        }
    }
}

// ---- answers shaped by the application ----

/// Shapes every failure as `shape` likes.
#[derive(Clone)]
struct Shaped {
    shape: fn(&Failure) -> Response,
    failures: Arc<Mutex<Vec<Failure>>>,
}

impl Shaped {
    fn new(shape: fn(&Failure) -> Response) -> Self {
        Self { shape, failures: Arc::default() }
    }
}

impl Service for Shaped {
    fn call(&self, request: &mut Request, _: &mut Context<'_>) -> Outcome {
        match request.path() {
            "/defer" => Outcome::defer(Lane::DEFAULT, |_| "x"),
            "/bad" => Response::ok("x").with_field(CONNECTION, HeaderValue::from_static("x")).into(),
            _ => panic!("the handler panics"),
        }
    }
    fn error(&self, failure: &Failure) -> Response {
        self.failures.lock().unwrap().push(*failure);
        (self.shape)(failure)
    }
}

#[test]
fn application_shapes_status_fields_and_body_of_failures() {
    let shaped = Shaped::new(|failure| {
        Response::ok(format!("{{\"error\": \"{failure}\"}}"))
            .with_status(StatusCode::IM_A_TEAPOT)
            .with_field(CONTENT_TYPE, HeaderValue::from_static("application/json"))
    });
    for input in ["BAD\r\n", &get("/panic"), &get("/bad")] {
        let held = Conversation::with(shaped.clone(), input).hold();
        assert_eq!(held.statuses(), [418]);
        assert_eq!(held.answers[0].field("content-type"), Some("application/json"));
        assert!(held.text().starts_with("{\"error\""));
        assert_eq!(held.requests[0].status, Some(418));
        assert!(held.answers[0].says_close());
    }
    let failures = shaped.failures.lock().unwrap();
    assert!(failures.contains(&Failure::Refused(Refusal::BadRequestLine(LineFault::Spaces))));
    assert!(failures.contains(&Failure::Panicked));
    assert!(failures.contains(&Failure::Unsendable(Misuse::FramingField)));
}

#[test]
fn shape_that_cannot_be_sent_is_replaced() {
    let shapes: [fn(&Failure) -> Response; 6] = [
        |_| Response::ok("x").with_field(CONTENT_LENGTH, HeaderValue::from_static("9")),
        |_| Response::ok("x").with_field(CONNECTION, HeaderValue::from_static("keep-alive")),
        |_| Response::ok("x").with_status(StatusCode::CONTINUE),
        |_| Response::ok("x").with_status(StatusCode::NO_CONTENT),
        |_| Response::ok(Body::source(Parts::new(&["x"]))),
        |_| Response::ok(Body::channel(1).1),
    ];
    for shape in shapes {
        let held = Conversation::with(Shaped::new(shape), get("/panic")).hold();
        assert_failed(&held, Failure::Panicked);
        let held = Conversation::with(Shaped::new(shape), "BAD\r\n").hold();
        assert_eq!(held.statuses(), [400]);
        held.assert_closed(CloseReason::Refused(400));
    }
}

#[test]
fn shape_decides_nothing_about_the_connection() {
    let shaped = Shaped::new(|_| Response::ok("all is well"));
    let held = Conversation::with(shaped.clone(), get("/panic")).hold();
    assert_eq!(held.statuses(), [200]);
    held.assert_closed(CloseReason::Finished);
    let mut rig = Rig::connect(&Http::new(shaped));
    rig.jobs().set_capacity(0);
    rig.read(get("/defer"));
    let answer = one_answer(&rig.written());
    assert_eq!((answer.status, answer.says_close()), (200, false));
    rig.assert_reading();
}

// ---- a server that is full ----

#[test]
fn connection_over_the_limit_is_told_and_closed() {
    for first in ["", "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"] {
        let recorder = Recorder::default();
        let http = http_with(|_| {}).with_observer(recorder.observer());
        let clock = anabranch_core::testing::ManualClock::default();
        let flow = http.refuse(ConnectionInfo::new(ConnectionId(1)), clock.now()).unwrap();
        let mut rig = Rig::with_clock(flow, clock);
        if !first.is_empty() {
            rig.read(first);
        }
        let answer = one_answer(&rig.written());
        assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
        assert!(answer.says_close());
        rig.eof();
        rig.assert_finished(CloseReason::Refused(503));
        assert_eq!(recorder.seen().len(), 1);
    }
}

#[test]
fn connection_over_the_limit_is_not_served_though_its_bytes_come_first() {
    use anabranch_core::{Dates, Pool, Turn};
    let now = anabranch_core::testing::ManualClock::default().now();
    let mut flow = crate::kit::http().refuse(ConnectionInfo::new(ConnectionId(1)), now).unwrap();
    let (mut dates, mut pool) = (Dates::anchored(now, Duration::ZERO), Pool::default());
    let mut turn = Turn::new(now, &mut dates, task::Waker::noop(), &mut pool);
    flow.read(&mut bytes::BytesMut::from(&*get("/hello")), &mut turn);
    flow.run(&mut turn);
    let mut output = Vec::new();
    flow.take_output(usize::MAX, &mut output);
    assert_eq!(one_answer(&output.concat()).status, 503);
    let _: &dyn Flow = &*flow;
}
