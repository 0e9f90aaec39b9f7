//! Upgrades and tunnels that become streams: on a lane, in a future, elsewhere.

use std::future::poll_fn;
use std::io::{ErrorKind, Read, Write};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Wake, Waker};
use std::thread;

use anabranch_core::app::{
    Context, Duplex, DuplexStream, Http, MemoryBudget, Outcome, Request, Response, Service, Takeover,
};
use anabranch_core::drive::{self, Budget, Progress, Readiness};
use anabranch_core::testing::{ManualClock, Rig, ScriptedWire};
use anabranch_core::{
    AbortReason, CloseKind, CloseReason, ConnectionInfo, Dates, Flow, Job, Lane, Pool, Protocol, Turn,
};
use bytes::BytesMut;
use http::StatusCode;

use crate::{assert_closed, assert_error, read};

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
const CAPACITY: usize = 64;

/// Takes each upgrade over as `0` says.
struct Upgrades<F>(F);

impl<F: Fn(Duplex) -> Takeover + Send + Sync + 'static> Service for Upgrades<F> {
    fn call(&self, _: &mut Request, _: &mut Context<'_>) -> Outcome {
        Outcome::duplex(Response::switching_to("echo"), (self.0)(Duplex::new(CAPACITY)))
    }

    fn connect(&self, _: &mut Request, _: &mut Context<'_>) -> Outcome {
        Outcome::duplex(Response::new(StatusCode::OK), (self.0)(Duplex::new(CAPACITY)))
    }
}

fn connect(takeover: impl Fn(Duplex) -> Takeover + Send + Sync + 'static) -> Rig<Box<dyn Flow>> {
    Rig::connect(&Http::new(Upgrades(takeover)))
}

/// Sends back what it reads, until the end.
fn echo(mut stream: DuplexStream) {
    let mut buffer = [0; 16];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        stream.write_all(&buffer[..count]).unwrap();
    }
}

/// The same as a future.
async fn echo_awaited(mut stream: DuplexStream) {
    let mut buffer = [0; 16];
    while let Ok(count @ 1..) = poll_fn(|context| stream.poll_read(context, &mut buffer)).await {
        let mut rest = &buffer[..count];
        while !rest.is_empty() {
            let Ok(written) = poll_fn(|context| stream.poll_write(context, rest)).await else { return };
            rest = &rest[written..];
        }
    }
}

/// Carries a connection whose jobs have threads of their own, as a driver does, to its end.
#[expect(clippy::disallowed_methods, reason = "a lane is a thread, and the job blocks it")]
fn carry(http: &dyn Protocol, wire: &mut ScriptedWire) -> CloseReason {
    let clock = ManualClock::default();
    let mut flow = http.connect(ConnectionInfo::default(), clock.now());
    let (bell, rings) = mpsc::channel();
    let waker = Waker::from(Arc::new(Bell(bell)));
    let (mut dates, mut pool) = (Dates::none(), Pool::default());
    let (mut readiness, mut scratch) = (Readiness::ready(), BytesMut::with_capacity(40));
    let mut lanes = Vec::new();
    loop {
        // A script has no events: it is always worth asking.
        readiness.readable = true;
        let mut turn = Turn::new(clock.now(), &mut dates, &waker, &mut pool);
        let mut exec = |job: Job| {
            lanes.push(thread::spawn(|| job.run()));
            Ok(())
        };
        let budget = Budget::default();
        match drive::turn(&mut *flow, wire, &mut readiness, &mut scratch, &mut turn, &mut exec, budget) {
            Progress::Finished(reason) => {
                lanes.into_iter().for_each(|lane| lane.join().unwrap());
                return reason;
            }
            Progress::Again => {}
            Progress::Blocked => rings.recv().unwrap(),
        }
    }
}

struct Bell(mpsc::Sender<()>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        // A driver that has come to its end hears no more.
        let _ = self.0.send(());
    }
}

#[test]
fn lane_gets_what_came_behind_the_request_first() {
    let http = Http::new(Upgrades(|duplex: Duplex| duplex.on_lane(Lane("streams"), echo)));
    let behind = ["behind ", &"and more ".repeat(50)].concat();
    for (request, status) in
        [(REQUEST, "HTTP/1.1 101 "), ("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", "HTTP/1.1 200 ")]
    {
        let mut wire = ScriptedWire::new().then([request, &behind].concat()).then_eof();
        assert_eq!(carry(&http, &mut wire), CloseReason::PeerClosed);
        let text = String::from_utf8(wire.take_sent()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(status), "{head}");
        assert_eq!(body, behind);
        assert!(!wire.is_reset());
    }
}

#[test]
fn peer_is_told_of_the_switch_once_a_thread_is_at_work_and_not_before() {
    let mut rig = connect(|duplex| duplex.on_lane(Lane("streams"), drop));
    rig.read(REQUEST);
    assert_eq!(rig.written(), b"");
    rig.assert_yielding();
    let job = rig.jobs().take().unwrap();
    assert_eq!(job.lane(), Lane("streams"));
    job.run();
    rig.run();
    assert!(rig.written().starts_with(b"HTTP/1.1 101 "));
}

#[test]
fn full_lane_is_told_before_the_switch_and_the_connection_lives() {
    let mut rig = connect(|duplex| duplex.on_lane(Lane::DEFAULT, echo));
    rig.jobs().set_capacity(0);
    rig.read(REQUEST);
    let answer = String::from_utf8(rig.written()).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: 1\r\n"), "{answer}");
    rig.assert_reading();
    rig.jobs().set_capacity(1);
    rig.read(REQUEST);
    rig.lose_jobs();
    assert!(rig.written().starts_with(b"HTTP/1.1 500 "));
}

#[test]
fn job_that_panics_resets_the_connection_whatever_it_dropped() {
    let mut rig = connect(|duplex| {
        duplex.on_lane(Lane::DEFAULT, |mut stream| {
            stream.write_all(b"half").unwrap();
            panic!("half-way");
        })
    });
    rig.read(REQUEST);
    rig.run_jobs();
    rig.written();
    rig.run();
    assert_closed(&rig, CloseKind::Reset, CloseReason::ApplicationFailed);

    // What a job that ends in order drops has ended in order.
    let mut rig =
        connect(|duplex| duplex.on_lane(Lane::DEFAULT, |mut stream| stream.write_all(b"all").unwrap()));
    rig.read(REQUEST);
    rig.run_jobs();
    assert!(rig.written().ends_with(b"\r\n\r\nall"));
    rig.eof();
    assert_closed(&rig, CloseKind::Linger, CloseReason::Finished);
}

#[test]
fn job_may_hand_its_stream_on() {
    let kept = Arc::new(Mutex::new(None));
    let slot = kept.clone();
    let mut rig = connect(move |duplex| {
        let slot = slot.clone();
        duplex.on_lane(Lane::DEFAULT, move |stream| *slot.lock().unwrap() = Some(stream))
    });
    rig.read(REQUEST);
    rig.run_jobs();
    rig.written();
    rig.read("hello");
    let mut stream = kept.lock().unwrap().take().unwrap();
    assert_eq!(read(&mut stream).unwrap(), b"hello");
}

#[test]
fn peer_that_is_gone_before_its_job_begins_leaves_it_a_broken_stream() {
    let seen = Arc::new(Mutex::new(None));
    let slot = seen.clone();
    let mut rig = connect(move |duplex| {
        let slot = slot.clone();
        duplex.on_lane(Lane::DEFAULT, move |mut stream| {
            *slot.lock().unwrap() = Some(stream.read(&mut [0; 8]).map_err(|error| error.kind()));
        })
    });
    rig.read(REQUEST);
    rig.reset();
    rig.run_jobs();
    assert_eq!(*seen.lock().unwrap(), Some(Err(ErrorKind::ConnectionAborted)));
}

#[test]
fn future_is_polled_by_its_own_connection() {
    let mut rig = connect(|duplex| duplex.with_future(echo_awaited));
    rig.read([REQUEST, "behind"].concat());
    assert!(rig.written().ends_with(b"\r\n\r\nbehind"));
    rig.feed("x".repeat(10 * CAPACITY), 50);
    let mut output = Vec::new();
    while output.len() < 10 * CAPACITY {
        let more = rig.write_at_most(7);
        assert!(!more.is_empty(), "it stands still after {} bytes, {} unread", output.len(), rig.unread());
        output.extend(more);
    }
    rig.eof();
    assert_closed(&rig, CloseKind::Immediate, CloseReason::PeerClosed);
}

#[test]
fn future_that_panics_resets_the_connection() {
    let mut rig = connect(|duplex| {
        duplex.with_future(|mut stream| async move {
            stream.write_all(b"half").unwrap();
            let _ = poll_fn(|context| stream.poll_read(context, &mut [0; 8])).await;
            panic!("half-way");
        })
    });
    rig.read(REQUEST);
    assert!(rig.written().ends_with(b"half"));
    rig.read("x");
    assert_closed(&rig, CloseKind::Reset, CloseReason::ApplicationFailed);
}

#[test]
fn stream_needs_no_http() {
    let clock = ManualClock::default();
    let takeover = Duplex::new(CAPACITY).on_lane(Lane::DEFAULT, echo);
    let mut rig = Rig::with_clock(takeover.into_flow(ConnectionInfo::default(), clock.now()), clock);
    rig.read("hello");
    rig.eof();
    rig.run_jobs();
    assert_eq!(rig.written(), b"hello");
    assert_closed(&rig, CloseKind::Immediate, CloseReason::PeerClosed);

    // Nobody can be told that a lane is full.
    for end in [Job::refuse, drop::<Job>] {
        let clock = ManualClock::default();
        let takeover = Duplex::new(CAPACITY).on_lane(Lane::DEFAULT, echo);
        let mut rig = Rig::with_clock(takeover.into_flow(ConnectionInfo::default(), clock.now()), clock);
        end(rig.jobs().take().unwrap());
        rig.run();
        assert_closed(&rig, CloseKind::Reset, CloseReason::ApplicationFailed);
    }
}

#[test]
fn capacity_is_taken_from_the_memory_budget_and_given_back() {
    let memory = MemoryBudget::new(5 * CAPACITY);
    let kept = Arc::new(Mutex::new(Vec::new()));
    let slot = kept.clone();
    let take = move |duplex: Duplex| {
        let slot = slot.clone();
        duplex.hand_over(move |stream| slot.lock().unwrap().push(stream))
    };
    let http = Http::new(Upgrades(take)).with_memory(memory.clone());
    let mut rigs = [0; 3].map(|_| Rig::connect(&http));
    let answers: Vec<String> = rigs
        .iter_mut()
        .map(|rig| {
            rig.read(REQUEST);
            String::from_utf8(rig.written()).unwrap()
        })
        .collect();
    let statuses: Vec<&str> = answers.iter().map(|answer| &answer[9..12]).collect();
    assert_eq!(statuses, ["101", "101", "503"]);
    assert_eq!(memory.held(), 4 * CAPACITY);
    let [mut first, second, _] = rigs;
    first.abort(AbortReason::Requested);
    assert_eq!(memory.held(), 2 * CAPACITY);
    drop(second);
    assert_eq!(memory.held(), 0);
    for stream in kept.lock().unwrap().iter_mut() {
        assert_error(read(stream), ErrorKind::ConnectionAborted);
    }
}

#[test]
fn switch_that_was_not_offered_takes_nothing_over() {
    let mut rig = connect(|duplex| duplex.on_lane(Lane::DEFAULT, |_| panic!("nobody offered this")));
    rig.read(REQUEST.replace("echo", "other"));
    assert_eq!(rig.jobs().len(), 0);
    assert!(rig.written().starts_with(b"HTTP/1.1 500 "));
}
