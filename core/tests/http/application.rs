//! What the application is given besides requests: state, extensions, identities, time, and a record of each exchange.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{self, Poll, Wake, Waker};
use std::time::Duration;

use anabranch_core::app::{
    Context, Http, Observer, Outcome, Request, RequestEnd, RequestRecord, Response, Service, service_fn,
};
use anabranch_core::testing::{ManualClock, Rig};
use anabranch_core::{
    AbortReason, ConnectionId, ConnectionInfo, DeadlineKind, ExchangeId, Fields, Instant, Lane, Protocol,
    Waiting, WriteResult,
};
use http::{Extensions, StatusCode};

use crate::kit::{
    Conversation, Recorder, SiteRig, get, http, http_with, one_answer, post, post_chunked, rig, site,
};

#[test]
fn requests_of_a_connection_share_its_state() {
    struct Counting;
    impl Service for Counting {
        fn open(&self, info: &ConnectionInfo, state: &mut Extensions) {
            state.insert(info.id.0 * 100);
        }
        fn call(&self, _: &mut Request, context: &mut Context<'_>) -> Outcome {
            let count: &mut u64 = context.state().get_mut().unwrap();
            *count += 1;
            format!("{count}").into()
        }
    }
    let http = Http::new(Counting);
    let clock = ManualClock::default();
    let connect = |id| {
        Rig::with_clock(
            http.connect(ConnectionInfo::new(ConnectionId(id)), clock.now()),
            ManualClock::default(),
        )
    };
    let (mut one, mut two) = (connect(1), connect(2));
    for (rig, text) in [(&mut one, "101"), (&mut two, "201")] {
        rig.read(get("/"));
        assert_eq!(one_answer(&rig.written()).text(), text);
    }
    one.read(get("/"));
    assert_eq!(one_answer(&one.written()).text(), "102");
}

#[test]
fn extensions_of_a_request_go_with_it_to_later_handlers_and_jobs() {
    let service = service_fn(|request: &mut Request, _: &mut Context<'_>| {
        request.extensions_mut().insert("first");
        Outcome::collect(10, |request, _, _| {
            assert_eq!(request.extensions().get::<&str>(), Some(&"first"));
            request.extensions_mut().insert(2_u8);
            Outcome::after(Duration::from_millis(1), |_, _| {
                Outcome::defer(Lane::DEFAULT, |request| {
                    format!("{:?} {:?}", request.extensions().get::<&str>(), request.extensions().get::<u8>())
                })
            })
        })
    });
    let held = Conversation::with(service, post("/", "x")).without_more().hold();
    assert_eq!(held.text(), "Some(\"first\") Some(2)");
}

#[test]
fn request_knows_where_it_came_from_and_which_it_is() {
    let service = service_fn(|request: &mut Request, context: &mut Context<'_>| {
        assert_eq!(context.connection().peer, request.peer());
        format!("{} {} {:?}", request.connection_id(), request.exchange_id(), request.peer())
    });
    let http = Http::new(service);
    let peer: SocketAddr = "192.0.2.1:5000".parse().unwrap();
    let info = ConnectionInfo::new(ConnectionId(7)).with_addresses(None, Some(peer));
    let clock = ManualClock::default();
    let mut rig = Rig::with_clock(http.connect(info, clock.now()), clock);
    for number in 1..4 {
        rig.read(get("/"));
        assert_eq!(one_answer(&rig.written()).text(), format!("c7 r{number} Some(192.0.2.1:5000)"));
    }
}

#[test]
fn head_is_read_without_being_changed() {
    let service = service_fn(|request: &mut Request, _: &mut Context<'_>| {
        let fields: Vec<String> =
            request.fields().map(|(name, value)| format!("{name}={}", value.escape_ascii())).collect();
        format!(
            "{} {:?} {:?} {:?} {:?} {}",
            request.path(),
            request.query(),
            request.authority(),
            request.field("X-One"),
            request.field_values("x-two").count(),
            fields.join("|")
        )
    });
    let input =
        "GET /a/b?c=d&e HTTP/1.1\r\nHost: example.org:80\r\nx-one:  padded\t \r\nX-Two: 1\r\nx-TWO:2\r\n\r\n";
    let held = Conversation::with(service, input).without_more().hold();
    assert_eq!(
        held.text(),
        format!(
            "/a/b Some(\"c=d&e\") Some(\"example.org:80\") {:?} 2 Host=example.org:80|x-one=padded|X-Two=1|x-TWO=2",
            Some(b"padded")
        )
    );
}

// ---- time ----

#[test]
fn delayed_answer_comes_when_it_is_due_and_holds_nothing() {
    let mut rig = site();
    rig.read(get("/after"));
    let deadline = rig.deadline().unwrap();
    assert_eq!(
        (deadline.kind, deadline.at - rig.now()),
        (DeadlineKind::Application, Duration::from_millis(50))
    );
    assert_eq!(rig.waiting_on(), Waiting::DEADLINE);
    assert!(rig.jobs().is_empty());
    rig.advance(Duration::from_millis(50) - Duration::from_nanos(1));
    rig.handle_timeout();
    assert_eq!(rig.written(), b"");
    rig.advance(Duration::from_nanos(1));
    assert_eq!(one_answer(&rig.written()).text(), "later");
}

#[test]
fn futures_sleep_by_the_connections_clock() {
    let mut rig = rig(service_fn(|_: &mut Request, context: &mut Context<'_>| {
        let clock = context.clock();
        Outcome::future(async move {
            let start = clock.now();
            clock.sleep(Duration::from_secs(1)).await;
            clock.sleep(Duration::from_secs(2)).await;
            clock.sleep(Duration::ZERO).await;
            format!("{:?}", clock.now() - start)
        })
    }));
    rig.read(get("/"));
    assert_eq!(rig.deadline().unwrap().at - rig.now(), Duration::from_secs(1));
    rig.advance(Duration::from_secs(1));
    assert_eq!(rig.deadline().unwrap().at - rig.now(), Duration::from_secs(2));
    rig.advance(Duration::from_secs(2));
    assert_eq!(one_answer(&rig.written()).text(), "3s");
    assert!(rig.deadline().is_some_and(|deadline| deadline.kind == DeadlineKind::Idle));
}

#[test]
fn sleep_that_is_dropped_wakes_nobody() {
    let mut rig = rig(service_fn(|_: &mut Request, context: &mut Context<'_>| {
        let clock = context.clock();
        Outcome::future(async move {
            let mut long = Box::pin(clock.sleep(Duration::from_secs(100)));
            let mut short = Box::pin(clock.sleep(Duration::from_secs(1)));
            std::future::poll_fn(|context| {
                let _ = long.as_mut().poll(context);
                short.as_mut().poll(context)
            })
            .await;
            drop(long);
            clock.sleep(Duration::from_secs(5)).await;
            "x"
        })
    }));
    rig.read(get("/"));
    rig.advance(Duration::from_secs(1));
    assert_eq!(rig.deadline().unwrap().at - rig.now(), Duration::from_secs(5));
    rig.advance(Duration::from_secs(5));
    assert_eq!(one_answer(&rig.written()).text(), "x");
}

/// Polls its future only when it was woken, as executors of many futures do with each of theirs.
struct OnlyWhenWoken<F> {
    future: F,
    woken: Arc<Woken>,
}

struct Woken {
    woken: AtomicBool,
    outer: Mutex<Option<Waker>>,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        let outer = self.outer.lock().unwrap().clone();
        if let Some(outer) = outer {
            outer.wake();
        }
    }
}

impl<F: Future> OnlyWhenWoken<F> {
    fn new(future: F) -> Pin<Box<Self>> {
        let woken = Arc::new(Woken { woken: AtomicBool::new(true), outer: Mutex::default() });
        Box::pin(Self { future, woken })
    }
}

impl<F: Future + Unpin> Future for OnlyWhenWoken<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<F::Output> {
        *self.woken.outer.lock().unwrap() = Some(context.waker().clone());
        if !self.woken.woken.swap(false, Ordering::SeqCst) {
            return Poll::Pending;
        }
        let waker = Waker::from(Arc::clone(&self.woken));
        Pin::new(&mut self.future).poll(&mut task::Context::from_waker(&waker))
    }
}

#[test]
fn sleep_wakes_who_is_polled_only_when_woken() {
    let mut rig = rig(service_fn(|_: &mut Request, context: &mut Context<'_>| {
        let clock = context.clock();
        Outcome::future(async move {
            OnlyWhenWoken::new(Box::pin(clock.sleep(Duration::from_secs(1)))).await;
            "slept"
        })
    }));
    rig.read(get("/"));
    rig.advance(Duration::from_secs(1));
    assert_eq!(one_answer(&rig.written()).text(), "slept");
}

#[test]
fn sleep_that_is_over_and_not_asked_about_keeps_nobody_awake() {
    let mut rig = rig(service_fn(|_: &mut Request, context: &mut Context<'_>| {
        let clock = context.clock();
        Outcome::future(async move {
            let mut short = Box::pin(clock.sleep(Duration::from_secs(1)));
            let mut child = OnlyWhenWoken::new(Box::pin(clock.sleep(Duration::from_secs(1))));
            std::future::poll_fn(|context| {
                assert!(short.as_mut().poll(context).is_pending());
                assert!(child.as_mut().poll(context).is_pending());
                Poll::Ready(())
            })
            .await;
            clock.sleep(Duration::from_secs(5)).await;
            drop((short, child));
            "x"
        })
    }));
    rig.read(get("/"));
    rig.advance(Duration::from_secs(2));
    assert_eq!(rig.deadline().unwrap().at - rig.now(), Duration::from_secs(3));
    rig.advance(Duration::from_secs(3));
    assert_eq!(one_answer(&rig.written()).text(), "x");
}

#[test]
fn body_wakes_who_is_polled_only_when_woken() {
    let mut rig = rig(service_fn(|_: &mut Request, _: &mut Context<'_>| {
        Outcome::stream(|_, mut incoming, _| {
            let count = async move {
                let mut count = 0;
                while let Some(Ok(_)) = incoming.next().await {
                    count += 1;
                }
                format!("{count}")
            };
            Outcome::future(OnlyWhenWoken::new(Box::pin(count)))
        })
    }));
    let request = post_chunked("/", &["a", "b", "c"]);
    rig.read_bytewise(&request);
    assert_eq!(one_answer(&rig.written()).text(), "3");
    rig.read(request);
    assert_eq!(one_answer(&rig.written()).status, 200);
}

#[test]
fn future_woken_from_elsewhere_goes_on() {
    let shared: Arc<Mutex<(bool, Option<Waker>)>> = Arc::default();
    let mut rig = rig(service_fn({
        let shared = Arc::clone(&shared);
        move |_: &mut Request, _: &mut Context<'_>| {
            let shared = Arc::clone(&shared);
            Outcome::future(std::future::poll_fn(move |context| {
                let mut shared = shared.lock().unwrap();
                shared.1 = Some(context.waker().clone());
                if shared.0 { Poll::Ready("woken") } else { Poll::Pending }
            }))
        }
    }));
    rig.read(get("/"));
    assert_eq!(rig.waiting_on(), Waiting::APPLICATION);
    rig.run();
    shared.lock().unwrap().0 = true;
    let waker = shared.lock().unwrap().1.take().unwrap();
    waker.wake();
    rig.run();
    assert_eq!(one_answer(&rig.written()).text(), "woken");
}

#[test]
fn future_that_wakes_itself_is_run_again() {
    let mut rig = rig(service_fn(|_: &mut Request, _: &mut Context<'_>| {
        let mut left = 10;
        Outcome::future(std::future::poll_fn(move |context| {
            left -= 1;
            context.waker().wake_by_ref();
            if left == 0 { Poll::Ready("done") } else { Poll::Pending }
        }))
    }));
    rig.read(get("/"));
    assert_eq!(one_answer(&rig.written()).text(), "done");
}

#[test]
fn date_follows_the_clock_and_is_the_same_within_a_second() {
    let mut rig = site();
    let mut dates = Vec::new();
    for _ in 0..4 {
        rig.read(get("/hello"));
        dates.push(one_answer(&rig.written()).date.unwrap());
        rig.advance(Duration::from_millis(500));
    }
    let expected = ["37", "37", "38", "38"].map(|second| format!("Sun, 06 Nov 1994 08:49:{second} GMT"));
    assert_eq!(dates, expected);
}

// ---- records ----

#[test]
fn every_exchange_is_recorded_once() {
    let rig_and = |requests: &str| {
        let recorder = Recorder::default();
        let mut rig = Rig::connect(&http().with_observer(recorder.observer()));
        rig.feed(requests, usize::MAX);
        rig.run_jobs();
        rig.advance(Duration::from_millis(50));
        rig.written();
        recorder.seen()
    };
    let seen = rig_and(
        &[get("/hello"), post("/echo", "12345"), post_chunked("/count", &["1", "23"]), get("/nowhere")]
            .concat(),
    );
    let facts: Vec<_> = seen
        .iter()
        .map(|seen| (seen.exchange, seen.status.unwrap(), seen.request_body_bytes, seen.response_body_bytes))
        .collect();
    assert_eq!(facts, [(1, 200, 0, 5), (2, 200, 5, 5), (3, 200, 3, 1), (4, 404, 0, 0)]);
    assert!(seen.iter().all(|seen| seen.end == RequestEnd::Answered && seen.failure.is_none()));
    assert_eq!(seen[1].line.as_deref(), Some("POST /echo HTTP/1.1"));

    let seen = rig_and(&get("/after"));
    assert_eq!((seen.len(), seen[0].took_millis), (1, 50));
    let seen = rig_and("HEAD /chunked HTTP/1.0\r\n\r\n");
    assert_eq!((seen[0].line.as_deref(), seen[0].response_body_bytes), (Some("HEAD /chunked HTTP/1.0"), 0));
    let seen = rig_and("HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(seen[0].response_body_bytes, 0);
    let seen = rig_and("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(seen[0].status, Some(204));
    let seen = rig_and("BAD\r\n");
    assert_eq!((seen.len(), seen[0].status, seen[0].line.as_deref()), (1, Some(400), None));
    let seen = rig_and("");
    assert_eq!(seen.len(), 0);
}

#[test]
fn exchange_that_is_broken_off_is_recorded_as_cut() {
    let breaks: [fn(&mut SiteRig); 4] = [
        Rig::reset,
        |rig| rig.abort(AbortReason::Requested),
        |rig| rig.report_write_result(WriteResult::Closed),
        |rig| rig.advance(Duration::from_secs(20)),
    ];
    for (number, breaks) in breaks.into_iter().enumerate() {
        let recorder = Recorder::default();
        let http =
            http_with(|settings| settings.limits.max_output_bytes = 5).with_observer(recorder.observer());
        let mut rig = Rig::connect(&http);
        // Too much for the output: it is still being sent.
        rig.read(get("/chunked"));
        assert!(recorder.seen().is_empty());
        breaks(&mut rig);
        assert!(rig.is_finished(), "{number}");
        let seen = recorder.seen();
        assert_eq!(seen.len(), 1, "{number}");
        assert_eq!((seen[0].end, seen[0].status), (RequestEnd::Cut, Some(200)), "{number}");
    }
}

#[test]
fn record_names_connection_and_peer() {
    type Identity = (ConnectionId, ExchangeId, Option<SocketAddr>, Instant);
    #[derive(Default)]
    struct Kept(Mutex<Vec<Identity>>);
    impl Observer for Kept {
        fn request(&self, record: &RequestRecord<'_>) {
            self.0.lock().unwrap().push((record.connection, record.exchange, record.peer, record.begun));
        }
    }
    let kept = Arc::new(Kept::default());
    let http = Http::new(service_fn(|_, _| StatusCode::OK)).with_observer(kept.clone());
    let peer: SocketAddr = "192.0.2.1:5000".parse().unwrap();
    let info = ConnectionInfo::new(ConnectionId(9)).with_addresses(None, Some(peer));
    let clock = ManualClock::default();
    let mut rig = Rig::with_clock(http.connect(info, clock.now()), clock);
    rig.advance(Duration::from_secs(3));
    rig.read(get("/"));
    let expected = [(ConnectionId(9), ExchangeId(1), Some(peer), rig.now())];
    assert_eq!(*kept.0.lock().unwrap(), expected);
}

#[test]
fn outcomes_follow_one_another_as_a_handler_likes() {
    let service = service_fn(|_: &mut Request, context: &mut Context<'_>| {
        let clock = context.clock();
        Outcome::after(Duration::from_millis(1), move |_, context| {
            context.inform(StatusCode::EARLY_HINTS, Fields::new());
            Outcome::collect(10, move |_, body, context| {
                context.inform(StatusCode::PROCESSING, Fields::new());
                Outcome::future(async move {
                    clock.sleep(Duration::from_millis(1)).await;
                    Response::ok(body)
                })
            })
        })
    });
    let held = Conversation::with(service, post("/", "abc")).without_more().hold();
    assert_eq!((held.statuses(), held.text()), (vec![103, 102, 200], "abc"));
}
