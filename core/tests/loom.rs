//! Every interleaving of what crosses threads: the job's slot, its waker, a body's two ends, and a stream and its connection.
//!
//! A lost wakeup shows as a model in which everybody sleeps, which loom reports as a deadlock.
//!
//!     RUSTFLAGS="--cfg loom" cargo test -p anabranch-core --release --test loom
#![cfg(loom)]

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use std::io::{ErrorKind, IoSlice, Read, Write};

use anabranch_core::app::{Body, BodyError, Duplex, DuplexStream, Frame, Sender, WhenDrained};
use anabranch_core::flow::is_finished;
use anabranch_core::job::{JobError, Lane, Pending, job, job_with};
use anabranch_core::{
    AbortReason, CloseReason, ConnectionInfo, Dates, Flow, InputEnd, Instant, Pool, ReadOperation, Turn,
    WriteOperation, WriteResult,
};
use bytes::{Bytes, BytesMut};
use loom::sync::{Condvar, Mutex};
use loom::thread;

/// A thread that sleeps until it is woken, as a driver does.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    rings: Condvar,
}

impl Bell {
    fn sleep(&self) {
        let mut rung = self.rung.lock().unwrap();
        while !*rung {
            rung = self.rings.wait(rung).unwrap();
        }
        *rung = false;
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        *self.rung.lock().unwrap() = true;
        self.rings.notify_one();
    }
}

fn wait<T>(mut poll: impl FnMut(&Waker) -> Poll<T>) -> T {
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(bell.clone());
    loop {
        match poll(&waker) {
            Poll::Ready(value) => return value,
            Poll::Pending => bell.sleep(),
        }
    }
}

fn result<T>(mut pending: Pending<T>) -> Result<T, JobError> {
    wait(|waker| pending.poll(waker))
}

#[test]
fn result_of_a_job_reaches_who_waits() {
    loom::model(|| {
        let (job, pending) = job(Lane::DEFAULT, |_| 7);
        let lane = thread::spawn(move || job.run());
        assert_eq!(result(pending), Ok(7));
        lane.join().unwrap();
    });
}

#[test]
fn job_that_is_refused_or_lost_is_told_of() {
    loom::model(|| {
        let (refused, pending) = job(Lane::DEFAULT, |_| ());
        let lane = thread::spawn(move || refused.refuse());
        assert_eq!(result(pending), Err(JobError::Refused));
        lane.join().unwrap();

        let (lost, pending) = job(Lane::DEFAULT, |_| ());
        let lane = thread::spawn(move || drop(lost));
        assert_eq!(result(pending), Err(JobError::Lost));
        lane.join().unwrap();
    });
}

#[test]
fn job_and_who_waits_may_end_at_the_same_time() {
    loom::model(|| {
        let kept = Arc::new(());
        let held = kept.clone();
        let (job, pending) = job_with(Lane::DEFAULT, move |completion| {
            let _ = completion.is_cancelled();
            completion.complete(held);
        });
        let lane = thread::spawn(move || job.run());
        drop(pending);
        lane.join().unwrap();
        assert_eq!(Arc::strong_count(&kept), 1, "a late result vanishes");
    });
}

#[test]
fn waker_that_changes_while_the_job_ends_is_the_one_that_is_woken() {
    loom::model(|| {
        let (job, mut pending) = job(Lane::DEFAULT, |_| 7);
        let lane = thread::spawn(move || job.run());
        let first = pending.poll(Waker::noop());
        let value = match first {
            Poll::Ready(value) => value,
            Poll::Pending => result(pending),
        };
        assert_eq!(value, Ok(7));
        lane.join().unwrap();
    });
}

/// Takes a body to its end: how many bytes it had.
fn take(mut body: Body) -> Result<usize, BodyError> {
    let mut count = 0;
    loop {
        match wait(|waker| body.poll_frame(&mut Context::from_waker(waker), usize::MAX)) {
            Some(Ok(Frame::Data(data))) => count += data.len(),
            Some(Ok(Frame::Trailers(_))) => {}
            None => return Ok(count),
            Some(Err(error)) => return Err(error),
        }
    }
}

fn send_blocking(mut sender: Sender, pieces: usize) -> Result<(), BodyError> {
    for _ in 0..pieces {
        sender.send_blocking(Bytes::from_static(b"x"))?;
    }
    sender.finish();
    Ok(())
}

#[test]
fn body_written_by_a_thread_that_blocks_arrives_whole() {
    loom::model(|| {
        let (sender, body) = Body::channel(1);
        let writer = thread::spawn(move || send_blocking(sender, 2));
        assert_eq!(take(body), Ok(2));
        assert_eq!(writer.join().unwrap(), Ok(()));
    });
}

#[test]
fn body_written_by_a_future_arrives_whole() {
    loom::model(|| {
        let (mut sender, body) = Body::channel(1);
        let writer = thread::spawn(move || {
            let mut writing = Box::pin(async move {
                for _ in 0..2 {
                    sender.send(Bytes::from_static(b"x")).await?;
                }
                sender.finish();
                Ok::<(), BodyError>(())
            });
            wait(|waker| writing.as_mut().poll(&mut Context::from_waker(waker)))
        });
        assert_eq!(take(body), Ok(2));
        assert_eq!(writer.join().unwrap(), Ok(()));
    });
}

#[test]
fn writer_learns_that_nobody_reads() {
    loom::model(|| {
        let (sender, body) = Body::channel(1);
        let writer = thread::spawn(move || send_blocking(sender, 2));
        drop(body);
        // It may have been quick enough for the first piece, never for the second.
        assert_eq!(writer.join().unwrap(), Err(BodyError::Cancelled));
    });
}

#[test]
fn reader_learns_that_the_writer_gave_up() {
    loom::model(|| {
        let (mut sender, body) = Body::channel(4);
        let writer = thread::spawn(move || {
            let _ = sender.try_send(Bytes::from_static(b"x"));
        });
        assert_eq!(take(body), Err(BodyError::Aborted));
        writer.join().unwrap();
    });
}

/// As `loom::model`, with at most [`PREEMPTIONS`] switches from a thread that could have gone on: a driver's turn locks
/// often, and all interleavings of several turns would take hours. What two threads can do wrong to each other shows with
/// two or three, as a rule.
fn few_preemptions(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.check(model);
}

const PREEMPTIONS: usize = 6;

/// Drives a connection whose stream is elsewhere, as a driver does: turns, and sleep where nothing moves.
struct Driver {
    flow: Box<dyn Flow>,
    bell: Arc<Bell>,
    /// What the peer sends, a byte a read, before its end.
    input: Vec<u8>,
    ended: bool,
    output: Vec<u8>,
}

impl Driver {
    fn open(capacity: usize, input: &[u8]) -> (Self, DuplexStream) {
        Self::of(Duplex::new(capacity), input)
    }

    fn of(duplex: Duplex, input: &[u8]) -> (Self, DuplexStream) {
        let slot = Arc::new(std::sync::Mutex::new(None));
        let kept = slot.clone();
        let takeover = duplex.hand_over(move |stream| *kept.lock().unwrap() = Some(stream));
        let flow = takeover.into_flow(ConnectionInfo::default(), Instant::ORIGIN);
        let stream = slot.lock().unwrap().take().expect("it is handed over at once");
        let driver = Self {
            flow,
            bell: Arc::default(),
            input: input.iter().rev().copied().collect(),
            ended: false,
            output: Vec::new(),
        };
        (driver, stream)
    }

    fn with<T>(&mut self, act: impl FnOnce(&mut dyn Flow, &mut Turn<'_>) -> T) -> T {
        let waker = Waker::from(self.bell.clone());
        let (mut dates, mut pool) = (Dates::none(), Pool::default());
        act(&mut *self.flow, &mut Turn::new(Instant::ORIGIN, &mut dates, &waker, &mut pool))
    }

    /// One turn; says whether anything moved.
    fn turn(&mut self) -> bool {
        self.with(|flow, turn| flow.run(turn));
        let mut moved = false;
        while self.flow.next_write_operation() == WriteOperation::Write {
            let mut slices = [IoSlice::new(&[]); 4];
            let count = self.flow.write_slices(&mut slices);
            let before = self.output.len();
            slices[..count].iter().for_each(|slice| self.output.extend_from_slice(slice));
            let wrote = self.output.len() - before;
            self.with(|flow, turn| flow.report_write_result(WriteResult::Wrote(wrote), turn));
            moved = true;
        }
        if self.flow.next_read_operation() == ReadOperation::Read && !self.ended {
            match self.input.pop() {
                Some(byte) => {
                    self.with(|flow, turn| flow.read(&mut BytesMut::from(&[byte][..]), turn));
                }
                None => {
                    self.ended = true;
                    self.with(|flow, turn| flow.close_input(InputEnd::Eof, turn));
                }
            }
            moved = true;
        }
        moved
    }

    /// Until both sides say `Close`.
    fn carry(mut self) -> (Vec<u8>, Option<CloseReason>) {
        while !is_finished(&*self.flow) {
            if !self.turn() && !is_finished(&*self.flow) {
                self.bell.sleep();
            }
        }
        (self.output, self.flow.close_reason())
    }
}

#[test]
fn stream_that_is_read_by_a_thread_gets_every_byte_and_the_end() {
    few_preemptions(|| {
        let (driver, mut stream) = Driver::open(1, b"ab");
        let reader = thread::spawn(move || {
            let mut all = Vec::new();
            stream.read_to_end(&mut all).map(|_| all)
        });
        assert_eq!(driver.carry(), (Vec::new(), Some(CloseReason::PeerClosed)));
        assert_eq!(reader.join().unwrap().unwrap(), b"ab");
    });
}

#[test]
fn stream_that_is_written_by_a_thread_gives_every_byte_and_the_end() {
    few_preemptions(|| {
        let (driver, mut stream) = Driver::open(1, b"");
        let writer = thread::spawn(move || stream.write_all(b"ab"));
        assert_eq!(driver.carry(), (b"ab".to_vec(), Some(CloseReason::PeerClosed)));
        writer.join().unwrap().unwrap();
    });
}

#[test]
fn stream_that_is_polled_gets_and_gives_every_byte() {
    few_preemptions(|| {
        let (driver, mut stream) = Driver::open(1, b"a");
        let echo = thread::spawn(move || {
            let mut byte = [0];
            let read = wait(|waker| stream.poll_read(&mut Context::from_waker(waker), &mut byte));
            assert_eq!(read.unwrap(), 1);
            for piece in [&byte[..], b"!"] {
                let wrote = wait(|waker| stream.poll_write(&mut Context::from_waker(waker), piece));
                assert_eq!(wrote.unwrap(), 1);
            }
        });
        assert_eq!(driver.carry(), (b"a!".to_vec(), Some(CloseReason::PeerClosed)));
        echo.join().unwrap();
    });
}

#[test]
fn halves_that_end_in_two_threads_end_the_connection_once() {
    loom::model(|| {
        let (driver, stream) = Driver::open(1, b"");
        let (reader, mut writer) = stream.split();
        let drops = thread::spawn(move || drop(reader));
        let shuts = thread::spawn(move || writer.shutdown());
        let (output, reason) = driver.carry();
        // Whose end came first is theirs to settle.
        let in_order = [Some(CloseReason::PeerClosed), Some(CloseReason::Finished)];
        assert!(output.is_empty() && in_order.contains(&reason), "{reason:?}");
        drops.join().unwrap();
        shuts.join().unwrap();
    });
}

#[test]
fn connection_that_is_lost_wakes_whoever_blocks_on_its_stream() {
    loom::model(|| {
        let (mut driver, stream) = Driver::open(1, b"");
        driver.ended = true;
        let (mut reader, mut writer) = stream.split();
        let reads = thread::spawn(move || reader.read(&mut [0]).map_err(|error| error.kind()));
        let writes = thread::spawn(move || writer.write_all(b"ab").map_err(|error| error.kind()));
        driver.with(|flow, turn| flow.run(turn));
        driver.flow.abort(AbortReason::Requested);
        assert_eq!(reads.join().unwrap(), Err(ErrorKind::ConnectionAborted));
        assert_eq!(writes.join().unwrap(), Err(ErrorKind::BrokenPipe));
    });
}

#[test]
fn drain_interrupts_a_thread_that_blocks_on_its_stream() {
    loom::model(|| {
        let (mut driver, mut stream) = Driver::of(Duplex::new(1).with_drain(WhenDrained::Interrupt), b"");
        let reads = thread::spawn(move || stream.read(&mut [0]).map_err(|error| error.kind()));
        driver.with(|flow, turn| flow.run(turn));
        driver.with(|flow, turn| flow.drain(turn));
        assert_eq!(reads.join().unwrap(), Err(ErrorKind::Interrupted));
    });
}

#[test]
fn job_that_breaks_off_resets_its_connection_whoever_looks_when() {
    loom::model(|| {
        let takeover = Duplex::new(1).on_lane(Lane::DEFAULT, |_| ());
        let mut flow = takeover.into_flow(ConnectionInfo::default(), Instant::ORIGIN);
        let job = flow.poll_job().expect("the stream's job");
        let mut driver = Driver::open(1, b"").0;
        driver.flow = flow;
        driver.ended = true;
        let lane = thread::spawn(move || drop(job));
        let (_, reason) = driver.carry();
        assert_eq!(reason, Some(CloseReason::ApplicationFailed));
        lane.join().unwrap();
    });
}
