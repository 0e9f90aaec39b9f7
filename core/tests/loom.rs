//! Every interleaving of what crosses threads: the job's slot, its waker, and a body's two ends.
//!
//! A lost wakeup shows as a model in which everybody sleeps, which loom reports as a deadlock.
//!
//!     RUSTFLAGS="--cfg loom" cargo test -p anabranch-core --release --test loom
#![cfg(loom)]

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use anabranch_core::app::{Body, BodyError, Frame, Sender};
use anabranch_core::job::{JobError, Lane, Pending, job, job_with};
use bytes::Bytes;
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
