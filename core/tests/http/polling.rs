//! Futures of handlers: polled in place, kept from one request to the next, ended in whatever outcome they come to.

use std::future::{self, Future};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{self, Poll, Waker};
use std::time::Duration;

use anabranch_core::app::{Context, Duplex, Outcome, Request, Response, service_fn};
use http::StatusCode;
use http::header::{HeaderValue, UPGRADE};

use crate::kit::{get, one_answer, post, rig};

#[test]
fn future_ends_in_any_outcome() {
    let mut rig = rig(service_fn(|request: &mut Request, context: &mut Context<'_>| {
        let (clock, path) = (context.clock(), String::from(request.path()));
        Outcome::future(async move {
            clock.sleep(Duration::from_secs(1)).await;
            match &*path {
                "/collect" => Outcome::collect(100, |_, body, _| Response::ok(body)),
                "/stream" => Outcome::stream(|_, incoming, _| Response::ok(incoming)),
                "/after" => Outcome::after(Duration::from_secs(1), |_, _| "later"),
                "/future" => Outcome::future(async { "twice" }),
                _ => StatusCode::NOT_FOUND.into(),
            }
        })
    }));
    for (request, text) in [
        (post("/collect", "body"), "body"),
        (post("/stream", "body"), "body"),
        (get("/future"), "twice"),
        (get("/else"), ""),
    ] {
        rig.read(&request);
        assert_eq!(rig.written(), b"");
        rig.advance(Duration::from_secs(1));
        assert_eq!(one_answer(&rig.written()).text(), text, "{request}");
    }
    rig.read(get("/after"));
    rig.advance(Duration::from_secs(1));
    assert_eq!(rig.written(), b"");
    rig.advance(Duration::from_secs(1));
    assert_eq!(one_answer(&rig.written()).text(), "later");
}

#[test]
fn future_that_upgrades_hands_over_what_came_behind_the_request() {
    let mut rig = rig(service_fn(|_: &mut Request, context: &mut Context<'_>| {
        let clock = context.clock();
        Outcome::future(async move {
            clock.sleep(Duration::from_secs(1)).await;
            let head = Response::new(StatusCode::SWITCHING_PROTOCOLS)
                .with_field(UPGRADE, HeaderValue::from_static("echo"));
            Outcome::duplex(
                head,
                Duplex::new(100).with_future(|mut stream| async move {
                    let mut buffer = [0; 100];
                    let count =
                        future::poll_fn(|context| stream.poll_read(context, &mut buffer)).await.unwrap();
                    future::poll_fn(|context| stream.poll_write(context, &buffer[..count])).await.unwrap();
                }),
            )
        })
    }));
    rig.read("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nbehind");
    assert_eq!(rig.written(), b"");
    rig.advance(Duration::from_secs(1));
    let written = rig.written();
    assert!(written.starts_with(b"HTTP/1.1 101 ") && written.ends_with(b"\r\n\r\nbehind"), "{written:?}");
}

#[test]
fn body_that_was_looked_for_in_place_is_there_at_the_futures_first_poll() {
    let polls = Arc::new(Mutex::new(Vec::new()));
    let counted = Arc::clone(&polls);
    let mut rig = rig(service_fn(move |_: &mut Request, _: &mut Context<'_>| {
        let counted = Arc::clone(&counted);
        Outcome::stream(move |_, mut incoming, context| {
            incoming.ask(context.waker());
            Outcome::future(future::poll_fn(move |context| {
                let mut came = 0;
                loop {
                    match incoming.poll_frame(context) {
                        Poll::Ready(Some(_)) => came += 1,
                        polled => {
                            counted.lock().unwrap().push(came);
                            return polled.map(|_| "x");
                        }
                    }
                }
            }))
        })
    }));
    rig.read(post("/", &"more than is given at once".repeat(200)));
    assert_eq!(one_answer(&rig.written()).text(), "x");
    assert_eq!(*polls.lock().unwrap(), [1], "data a poll");
    rig.read("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    assert!(rig.written().starts_with(b"HTTP/1.1 100 Continue\r\n"));
    rig.read("ok");
    assert_eq!(one_answer(&rig.written()).text(), "x");
}

#[test]
fn small_body_that_came_with_its_head_is_there_when_its_stream_is() {
    let came = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&came);
    let mut rig = rig(service_fn(move |_: &mut Request, _: &mut Context<'_>| {
        let told = Arc::clone(&told);
        Outcome::stream(move |_, mut incoming, context| {
            let before = incoming.length();
            let looks = incoming.poll_frame(&mut task::Context::from_waker(context.waker()));
            told.lock().unwrap().push((before, looks.is_ready(), incoming.length()));
            Response::typed("text/plain", incoming)
        })
    }));
    rig.read(post("/", "whole"));
    assert_eq!(one_answer(&rig.written()).text(), "", "it was taken");
    for byte in post("/", "whole").as_bytes() {
        rig.read([*byte]);
    }
    assert_eq!(one_answer(&rig.written()).text(), "whole");
    assert_eq!(*came.lock().unwrap(), [(Some(5), true, Some(0)), (Some(5), false, Some(5))]);
    assert_eq!(rig.written(), b"");
    rig.assert_reading();
}

/// Ready once it is opened.
#[derive(Clone, Default)]
struct Gate(Arc<Mutex<(bool, Option<Waker>)>>);

impl Gate {
    fn open(&self) {
        let mut state = self.0.lock().unwrap();
        state.0 = true;
        state.1.take().unwrap().wake();
    }
}

impl Future for Gate {
    type Output = ();
    fn poll(self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<()> {
        let mut state = self.0.lock().unwrap();
        state.1 = Some(context.waker().clone());
        if state.0 { Poll::Ready(()) } else { Poll::Pending }
    }
}

#[test]
fn handler_polls_in_place_and_hands_over_what_is_pending() {
    let gate = Gate::default();
    let handlers = gate.clone();
    let mut rig = rig(service_fn(move |_: &mut Request, context: &mut Context<'_>| {
        let mut gate = handlers.clone();
        match Pin::new(&mut gate).poll(&mut task::Context::from_waker(context.waker())) {
            Poll::Ready(()) => "at once".into(),
            Poll::Pending => Outcome::future(async {
                gate.await;
                "awaited"
            }),
        }
    }));
    rig.read(get("/"));
    assert_eq!(rig.written(), b"");
    let wakes = rig.wakes();
    gate.open();
    assert_eq!(rig.wakes(), wakes + 1);
    rig.run();
    assert_eq!(one_answer(&rig.written()).text(), "awaited");
    rig.read(get("/"));
    assert_eq!(one_answer(&rig.written()).text(), "at once");
}

#[test]
fn waker_that_a_handler_keeps_has_its_connection_run_again() {
    let kept = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&kept);
    let mut rig = rig(service_fn(move |_: &mut Request, context: &mut Context<'_>| {
        *keep.lock().unwrap() = Some(context.waker().clone());
        "x"
    }));
    rig.read(get("/"));
    let wakes = rig.wakes();
    kept.lock().unwrap().take().unwrap().wake();
    assert_eq!(rig.wakes(), wakes + 1);
}

#[test]
fn spare_state_goes_from_one_request_to_the_next() {
    #[derive(Default)]
    struct Spare(usize);
    let mut rig = rig(service_fn(|_: &mut Request, context: &mut Context<'_>| {
        let mut spare: Box<Spare> = context.pool().take().unwrap_or_default();
        spare.0 += 1;
        let count = spare.0;
        context.pool().give(spare);
        format!("{count}")
    }));
    for count in ["1", "2", "3"] {
        rig.read(get("/"));
        assert_eq!(one_answer(&rig.written()).text(), count);
    }
}
