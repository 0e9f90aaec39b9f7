//! The process-wide cap on bytes held for bodies, output and jobs: it is kept, told of, and given back.

use std::sync::{Mutex, mpsc};
use std::time::Duration;

use anabranch_core::app::{
    Body, BodyError, Context, Deferred, Failure, Http, MemoryBudget, Outcome, Request, RequestEnd, Response,
    Service, Settings, service_fn,
};
use anabranch_core::http1::Refusal;
use anabranch_core::testing::Rig;
use anabranch_core::{AbortReason, CloseReason, Flow, Lane, WriteOperation};

use crate::kit::{Recorder, Site, SiteRig, get, one_answer, post, post_chunked};

/// Collects whatever comes, and says how much it was.
fn collecting() -> impl Service {
    service_fn(|_: &mut Request, _: &mut Context<'_>| {
        Outcome::collect(1 << 20, |_, body, _| format!("{}", body.len()))
    })
}

fn under<S: Service>(service: S, limit: usize) -> (Http<S>, MemoryBudget, Recorder) {
    let (memory, recorder) = (MemoryBudget::new(limit), Recorder::default());
    (Http::new(service).with_memory(memory.clone()).with_observer(recorder.observer()), memory, recorder)
}

#[test]
fn collected_body_is_held_in_the_budget_and_given_back() {
    let (http, memory, _) = under(collecting(), 10_000);
    let mut rig = Rig::connect(&http);
    let request = post("/", &"x".repeat(4000));
    rig.read(&request[..2000]);
    assert!(memory.held() >= 1900, "{memory:?}");
    rig.read(&request[2000..]);
    assert_eq!(one_answer(&rig.written()).text(), "4000");
    rig.run();
    assert_eq!(memory.held(), 0);
}

#[test]
fn body_for_which_there_is_no_room_is_refused() {
    for request in [post("/", &"x".repeat(4000)), post_chunked("/", &[&"x".repeat(2000), &"x".repeat(2000)])]
    {
        let (http, memory, recorder) = under(collecting(), 3000);
        let mut rig = Rig::connect(&http);
        rig.feed(&request, 100);
        let answer = one_answer(&rig.written());
        assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
        assert!(answer.says_close());
        assert_eq!(recorder.seen()[0].failure, Some(Failure::Refused(Refusal::OutOfMemory)));
        rig.eof();
        assert!(rig.is_finished());
        assert_eq!(memory.held(), 0);
    }
}

#[test]
fn connections_share_the_budget() {
    let (http, memory, _) = under(collecting(), 3000);
    let (mut first, mut second, mut third) = (Rig::connect(&http), Rig::connect(&http), Rig::connect(&http));
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n";
    first.read(format!("{head}{}", "x".repeat(2000)));
    second.read(format!("{head}{}", "x".repeat(2000)));
    assert_eq!(one_answer(&second.written()).status, 503);
    first.reset();
    assert_eq!(memory.held(), 0);
    third.read(post("/", &"x".repeat(2000)));
    assert_eq!(one_answer(&third.written()).text(), "2000");
}

/// A rig whose service defers everything, and what its jobs are given.
fn deferring(limit: usize) -> (Rig<Box<dyn Flow>>, MemoryBudget, mpsc::Receiver<Deferred>) {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let service = service_fn(move |_: &mut Request, _: &mut Context<'_>| {
        let tell = tell.lock().unwrap().clone();
        Outcome::defer_with(Lane::DEFAULT, move |deferred| tell.send(deferred).unwrap())
    });
    let (http, memory, _) = under(service, limit);
    (Rig::connect(&http), memory, told)
}

#[test]
fn streamed_body_that_waits_for_its_reader_is_held_in_the_budget() {
    use std::task::{Context, Poll, Waker};
    let (mut rig, memory, told) = deferring(3000);
    rig.feed(post("/", &"x".repeat(2000)), 500);
    rig.run_jobs();
    let mut deferred = told.recv().unwrap();
    let mut context = Context::from_waker(Waker::noop());
    assert!(deferred.body.poll_frame(&mut context).is_pending());
    rig.run();
    assert!(memory.held() >= 2000, "{memory:?}");
    while let Poll::Ready(Some(Ok(_))) = deferred.body.poll_frame(&mut context) {}
    assert!(memory.held() < 200, "{memory:?}");
    deferred.reply.send("done");
    rig.run();
    assert_eq!(one_answer(&rig.written()).text(), "done");
    rig.run();
    assert_eq!(memory.held(), 0);
}

#[test]
fn streamed_body_for_which_there_is_no_room_breaks_off() {
    use std::task::{Context, Waker};
    let (mut rig, memory, told) = deferring(1000);
    rig.feed(post("/", &"x".repeat(2000)), 500);
    rig.run_jobs();
    let mut deferred = told.recv().unwrap();
    assert!(deferred.body.poll_frame(&mut Context::from_waker(Waker::noop())).is_pending());
    rig.run();
    assert_eq!(one_answer(&rig.written()).status, 503);
    while let Some(frame) = deferred.body.next_blocking() {
        if let Err(error) = frame {
            assert_eq!(error, BodyError::Cancelled);
            break;
        }
    }
    assert!(deferred.reply.is_cancelled());
    drop(deferred);
    assert_eq!(memory.held(), 0);
}

#[test]
fn request_of_a_job_is_held_in_the_budget() {
    let (mut rig, memory, told) = deferring(10_000);
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\nx: {}\r\n\r\n", "y".repeat(5000));
    rig.read(&request);
    assert!(memory.held() >= 5000, "{memory:?}");
    rig.run_jobs();
    told.recv().unwrap().reply.send("x");
    rig.run();
    rig.written();
    assert_eq!(memory.held(), 0);

    let (mut rig, memory, _told) = deferring(1000);
    rig.read(&request);
    assert_eq!(one_answer(&rig.written()).status, 503);
    rig.eof();
    assert_eq!(memory.held(), 0);
}

#[test]
fn output_that_waits_is_held_in_the_budget() {
    let (http, memory, _) = under(Site, 10_000);
    let mut rig = Rig::connect(&http);
    rig.read(get("/hello"));
    rig.run();
    assert!(memory.held() > 0);
    rig.written();
    rig.run();
    assert_eq!(memory.held(), 0);
}

/// Answers with 5,000 bytes.
fn answering() -> impl Service {
    service_fn(|_: &mut Request, _: &mut Context<'_>| Response::ok(vec![b'x'; 5000]))
}

/// What is always granted, and the answer that goes beyond it.
const UNCOUNTED_BYTES: usize = 16 * 1024 + 5200;

#[test]
fn requests_that_come_together_are_answered_as_far_as_the_budget_has_room() {
    for (limit, at_once) in [(0, 4), (20_000, 4), (100_000, 12)] {
        let (http, memory, recorder) = under(answering(), limit);
        let mut rig = Rig::connect(&http);
        rig.feed(get("/").repeat(12), usize::MAX);
        assert_eq!(recorder.seen().len(), at_once, "under {limit} bytes");
        let mut output = Vec::new();
        while rig.next_write_operation() == WriteOperation::Write {
            let waiting = recorder.seen().len() * 5000 - output.len().min(recorder.seen().len() * 5000);
            assert!(waiting <= limit + UNCOUNTED_BYTES, "{waiting} bytes wait under {limit}");
            assert!(memory.held() <= limit);
            output.extend(rig.write_at_most(700));
        }
        assert_eq!(crate::kit::answers(&output, &[]).len(), 12);
        rig.assert_reading();
        rig.run();
        assert_eq!(memory.held(), 0);
    }
}

#[test]
fn connections_whose_peers_take_nothing_share_the_budget() {
    const BUDGET: usize = 100_000;
    let (http, memory, recorder) = under(answering(), BUDGET);
    let mut rigs: Vec<SiteRig> = (0..20).map(|_| Rig::connect(&http)).collect();
    for rig in &mut rigs {
        rig.feed(get("/").repeat(100), usize::MAX);
        assert!(memory.held() <= BUDGET);
    }
    let made = recorder.seen().len() * 5200;
    assert!(made <= BUDGET + rigs.len() * UNCOUNTED_BYTES, "{made} bytes wait");
    assert_eq!(
        rigs.iter_mut().map(|rig| crate::kit::answers(&rig.written(), &[]).len()).sum::<usize>(),
        2000
    );
}

#[test]
fn sources_make_no_more_than_there_is_room_for_and_go_on_as_the_peer_reads() {
    let (http, memory, _) = under(
        service_fn(|_: &mut Request, _: &mut Context<'_>| {
            let text: &'static [&'static str] = &["0123456789"; 1000];
            Response::ok(Body::source(crate::kit::Parts::new(text)))
        }),
        500,
    );
    let mut rig = Rig::connect(&http);
    rig.read(get("/"));
    let mut output = Vec::new();
    while rig.flow().next_write_operation() == WriteOperation::Write {
        assert!(memory.held() <= 500, "{memory:?}");
        output.extend(rig.write_at_most(100));
        rig.run();
    }
    assert_eq!(one_answer(&output).body.len(), 10_000);
    rig.run();
    assert_eq!(memory.held(), 0);
    rig.assert_reading();
}

#[test]
fn room_of_a_channel_is_held_in_the_budget() {
    for (capacity, status) in [(1000, 200), (5000, 503)] {
        let service = service_fn(move |_: &mut Request, _: &mut Context<'_>| {
            let (sender, body) = Body::channel(capacity);
            sender.finish();
            Response::ok(body)
        });
        let (http, memory, _) = under(service, 3000);
        let mut rig = Rig::connect(&http);
        rig.read(get("/"));
        assert_eq!(one_answer(&rig.written()).status, status);
        rig.run();
        assert_eq!(memory.held(), 0);
    }
}

#[test]
fn everything_is_given_back_however_a_connection_ends() {
    let requests = [
        post("/collect", "0123456789"),
        post_chunked("/echo", &["01234", "56789"]),
        post("/count", "0123456789"),
        post("/drop", "0123456789"),
        get("/after"),
        get("/defer"),
        get("/chunked"),
    ];
    let ends: [fn(&mut SiteRig); 6] = [
        Rig::reset,
        Rig::eof,
        Rig::drain,
        |rig| rig.abort(AbortReason::GraceExpired),
        |rig| rig.advance(Duration::from_secs(100)),
        |_| {},
    ];
    for request in &requests {
        for cut in 1..=request.len() {
            for end in ends {
                let (http, memory, _) = under(Site, 100_000);
                let mut rig = Rig::connect(&http);
                rig.feed(&request[..cut], 5);
                end(&mut rig);
                rig.lose_jobs();
                drop(rig);
                assert_eq!(memory.held(), 0, "{}", &request[..cut]);
            }
        }
    }
}

#[test]
fn exchange_refused_half_way_for_want_of_room_is_cut_off() {
    let mut settings = Settings::default();
    settings.limits.max_output_bytes = 10;
    let (memory, recorder) = (MemoryBudget::new(300), Recorder::default());
    let http = Http::new(Site)
        .with_settings(settings)
        .with_memory(memory.clone())
        .with_observer(recorder.observer());
    let mut rig = Rig::connect(&http);
    rig.feed(post("/echo", &"x".repeat(5000)), 1000);
    rig.written();
    assert!(rig.is_finished() || recorder.seen().iter().all(|seen| seen.end == RequestEnd::Answered));
    assert!(rig.close_reason().is_none_or(|reason| reason == CloseReason::ApplicationFailed));
    drop(rig);
    assert_eq!(memory.held(), 0);
}
