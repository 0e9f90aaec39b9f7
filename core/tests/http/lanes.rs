//! Ends that block, each on a thread of its own, as on a lane's: nothing is lost between threads, whoever comes first.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "these tests are of what crosses threads"
)]

use std::io::{Read, Write};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{self, Poll};
use std::thread;
use std::time::Duration;

use anabranch_core::app::{Body, Context, Deferred, Frame, Outcome, Request, Response, service_fn};
use anabranch_core::testing::{CountingWaker, ManualClock};
use anabranch_core::{Dates, Flow, Lane, Pool, Turn, WriteResult};

use crate::kit::{answers, one_answer, post_chunked, rig};

#[test]
fn job_that_reads_is_waved_on_at_its_first_read() {
    let (gate, opened) = mpsc::channel::<()>();
    let opened = Mutex::new(Some(opened));
    let mut rig = rig(service_fn(move |_: &mut Request, _: &mut Context<'_>| {
        let opened = opened.lock().unwrap().take().unwrap();
        Outcome::defer_with(Lane::DEFAULT, move |mut deferred| {
            let mut text = String::new();
            deferred.body.read_to_string(&mut text).unwrap();
            opened.recv().unwrap();
            deferred.reply.send(text);
        })
    }));
    let (head, body) =
        ("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n", "abc");
    rig.read(head);
    assert_eq!(rig.written(), b"");
    rig.assert_yielding();
    let before = rig.wakes();
    let job = rig.jobs().take().unwrap();
    let lane = thread::spawn(move || job.run());
    // Its first read wakes the flow; nothing else could.
    while rig.wakes() == before {
        thread::yield_now();
    }
    rig.run();
    assert_eq!(rig.written(), b"HTTP/1.1 100 Continue\r\n\r\n");
    rig.read(body);
    assert_eq!(rig.written(), b"");
    gate.send(()).unwrap();
    lane.join().unwrap();
    rig.run();
    assert_eq!(answers(&rig.written(), &[])[0].text(), "abc");
    rig.assert_reading();
}

#[test]
fn blocking_and_async_ends_meet() {
    let (mut sender, mut body) = Body::channel(1);
    let writer = thread::spawn(move || {
        for piece in 0..1000 {
            write!(sender, "{piece} ").unwrap();
        }
        sender.finish();
    });
    let thread = thread::current();
    let waker = task::Waker::from(Arc::new(Unpark(thread)));
    let mut context = task::Context::from_waker(&waker);
    let mut text = Vec::new();
    loop {
        match body.poll_frame(&mut context, 1) {
            Poll::Pending => thread::park(),
            Poll::Ready(Some(Ok(Frame::Data(data)))) => text.extend_from_slice(&data),
            Poll::Ready(None) => break,
            Poll::Ready(other) => panic!("{other:?}"),
        }
    }
    writer.join().unwrap();
    assert_eq!(text, (0..1000).map(|piece| format!("{piece} ")).collect::<String>().into_bytes());
}

struct Unpark(thread::Thread);

impl task::Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[test]
fn job_streams_its_answer_while_it_reads_the_request() {
    let service = service_fn(|_: &mut Request, _: &mut Context<'_>| {
        Outcome::defer_with(Lane::DEFAULT, |deferred| {
            let Deferred { mut body, reply, .. } = deferred;
            let (mut sender, answer) = Body::channel(1 << 20);
            reply.send(Response::ok(answer));
            let mut text = String::new();
            body.read_to_string(&mut text).unwrap();
            sender.write_all(text.to_uppercase().as_bytes()).unwrap();
            sender.finish();
        })
    });
    let mut rig = rig(service);
    rig.read(post_chunked("/", &["abc", "def"]));
    let before = rig.wakes();
    let job = rig.jobs().take().unwrap();
    let lane = thread::spawn(move || job.run());
    let mut output = Vec::new();
    // The job asks for the body, and is given it in the run that answers its call.
    while rig.wakes() == before {
        thread::yield_now();
    }
    pump(rig.flow(), &mut output, || lane.is_finished());
    assert_eq!(one_answer(&output).text(), "ABCDEF");
}

/// Drives `flow` as a plain loop does, while other threads move it, until `done` and nothing is left to write.
fn pump(flow: &mut Box<dyn Flow>, output: &mut Vec<u8>, done: impl Fn() -> bool) {
    let wakes = CountingWaker::default();
    let waker = wakes.waker();
    let now = ManualClock::default().now();
    let (mut dates, mut pool) = (Dates::anchored(now, Duration::ZERO), Pool::default());
    loop {
        let done = done();
        let mut turn = Turn::new(now, &mut dates, &waker, &mut pool);
        flow.run(&mut turn);
        let mut chunks = Vec::new();
        flow.take_output(usize::MAX, &mut chunks);
        let chunks = chunks.concat();
        if !chunks.is_empty() {
            output.extend_from_slice(&chunks);
            flow.report_write_result(WriteResult::Wrote(chunks.len()), &mut turn);
        } else if done {
            return;
        }
        thread::yield_now();
    }
}
