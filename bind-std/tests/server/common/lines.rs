//! A line protocol that can be told to do each thing a driver has to cope with.
//!
//! ```text
//!   echo TEXT    answers TEXT                          push N     answers N bytes
//!   sleep MS     answers after that time (a deadline)  block MS   holds the thread for that time, then answers
//!   job MS       a job that takes so long; reads on    panic      breaks the law that peer input never panics
//!   work MS      a job that takes so long; reads nothing meanwhile
//!   close        closes once all is sent
//! ```

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use anabranch_core::job::{Cancelled, JobError, Pending, job};
use anabranch_core::{
    AbortReason, CloseKind, CloseReason, ConnectionInfo, Deadline, DeadlineKind, Flow, InputEnd, Instant,
    Job, Lane, Protocol, ReadOperation, Turn, Waiting, WriteOperation, WriteResult,
};
use bytes::{Bytes, BytesMut};

/// What the flows of one server did, for the tests to look at.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) connected: AtomicUsize,
    pub(crate) open: AtomicUsize,
    pub(crate) most_open: AtomicUsize,
    pub(crate) runs: AtomicUsize,
    pub(crate) resets: AtomicUsize,
    pub(crate) started: AtomicUsize,
    pub(crate) cancelled: AtomicUsize,
}

impl Seen {
    pub(crate) fn count(number: &AtomicUsize) -> usize {
        number.load(Ordering::SeqCst)
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Lines {
    pub(crate) idle: Option<Duration>,
    pub(crate) write_stall: Option<Duration>,
    pub(crate) seen: Arc<Seen>,
}

impl Protocol for Lines {
    fn connect(&self, _: ConnectionInfo, now: Instant) -> Box<dyn Flow> {
        self.seen.connected.fetch_add(1, Ordering::SeqCst);
        let open = self.seen.open.fetch_add(1, Ordering::SeqCst) + 1;
        self.seen.most_open.fetch_max(open, Ordering::SeqCst);
        Box::new(Line::new(self.clone(), now))
    }

    fn refuse(&self, _: ConnectionInfo, now: Instant) -> Option<Box<dyn Flow>> {
        self.seen.open.fetch_add(1, Ordering::SeqCst);
        let mut flow = Line::new(self.clone(), now);
        flow.output.extend(b"full\n");
        flow.closing = Some(CloseReason::Finished);
        Some(Box::new(flow))
    }
}

struct Line {
    protocol: Lines,
    input: Vec<u8>,
    output: VecDeque<u8>,
    jobs: VecDeque<Job>,
    pending: Vec<Pending<Cancelled>>,
    exclusive: Option<Pending<Cancelled>>,
    sleeping: Option<Instant>,
    idle_at: Option<Instant>,
    stalled_at: Option<Instant>,
    input_ended: bool,
    draining: bool,
    /// Set once nothing more is begun; the output still goes out.
    closing: Option<CloseReason>,
    /// Nothing more goes out either.
    dead: bool,
}

impl Line {
    fn new(protocol: Lines, now: Instant) -> Self {
        let idle_at = protocol.idle.map(|idle| now + idle);
        Self {
            protocol,
            input: Vec::new(),
            output: VecDeque::new(),
            jobs: VecDeque::new(),
            pending: Vec::new(),
            exclusive: None,
            sleeping: None,
            idle_at,
            stalled_at: None,
            input_ended: false,
            draining: false,
            closing: None,
            dead: false,
        }
    }

    fn is_busy(&self) -> bool {
        self.sleeping.is_some() || self.exclusive.is_some()
    }

    fn has_pending(&self) -> bool {
        self.is_busy() || !self.pending.is_empty()
    }

    fn die(&mut self, reason: CloseReason) {
        self.closing.get_or_insert(reason);
        self.dead = true;
        self.pending.clear();
        self.exclusive = None;
        self.sleeping = None;
        self.output.clear();
    }

    fn answer(&mut self, text: &[u8]) {
        self.output.extend(text);
        self.output.push_back(b'\n');
    }

    /// Begins what the complete lines ask for, one after the other.
    fn advance(&mut self, now: Instant) {
        while !self.is_busy() && self.closing.is_none() {
            let Some(end) = self.input.iter().position(|byte| *byte == b'\n') else { break };
            let line: Vec<u8> = self.input.drain(..=end).collect();
            let line = String::from_utf8(line).unwrap();
            self.idle_at = self.protocol.idle.map(|idle| now + idle);
            self.begin(line.trim_end(), now);
        }
        if self.closing.is_none() && !self.has_pending() {
            if self.draining {
                self.closing = Some(CloseReason::Drained);
            } else if self.input_ended {
                self.closing = Some(CloseReason::PeerClosed);
            }
        }
    }

    fn begin(&mut self, line: &str, now: Instant) {
        let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
        let number = || rest.parse::<u64>().unwrap();
        match command {
            "echo" => self.answer(rest.as_bytes()),
            "sleep" => self.sleeping = Some(now + Duration::from_millis(number())),
            "push" => self.output.extend(std::iter::repeat_n(b'x', number() as usize)),
            "block" => {
                thread::sleep(Duration::from_millis(number()));
                self.answer(b"blocked");
            }
            "panic" => panic!("this flow breaks a law on purpose"),
            "close" => self.closing = Some(CloseReason::Finished),
            "job" | "work" => {
                let (time, seen) = (Duration::from_millis(number()), self.protocol.seen.clone());
                let (job, pending) = job(Lane::DEFAULT, move |cancelled| {
                    seen.started.fetch_add(1, Ordering::SeqCst);
                    let until = std::time::Instant::now() + time;
                    while std::time::Instant::now() < until {
                        if cancelled.is_cancelled() {
                            seen.cancelled.fetch_add(1, Ordering::SeqCst);
                            break;
                        }
                        thread::sleep(Duration::from_millis(1));
                    }
                    cancelled.clone()
                });
                self.jobs.push_back(job);
                if command == "job" {
                    self.pending.push(pending);
                } else {
                    self.exclusive = Some(pending);
                }
            }
            _ => self.answer(b"what?"),
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.protocol.seen.open.fetch_sub(1, Ordering::SeqCst);
    }
}

fn answer_to(result: Result<Cancelled, JobError>) -> &'static [u8] {
    match result {
        Ok(_) => b"done",
        Err(JobError::Refused) => b"refused",
        Err(_) => b"lost",
    }
}

impl Flow for Line {
    fn next_read_operation(&self) -> ReadOperation {
        if self.dead || self.closing.is_some() || self.input_ended {
            ReadOperation::Close
        } else if self.is_busy() {
            ReadOperation::Yield
        } else {
            ReadOperation::Read
        }
    }

    fn next_write_operation(&self) -> WriteOperation {
        if !self.output.is_empty() {
            WriteOperation::Write
        } else if self.dead || self.closing.is_some() {
            WriteOperation::Close(CloseKind::Immediate)
        } else {
            WriteOperation::Yield
        }
    }

    fn waiting_on(&self) -> Waiting {
        let mut waiting = Waiting::NOTHING;
        if self.next_read_operation() == ReadOperation::Read {
            waiting = waiting | Waiting::PEER_READ;
        }
        if !self.output.is_empty() {
            waiting = waiting | Waiting::PEER_WRITE;
        }
        if self.exclusive.is_some() || !self.pending.is_empty() {
            waiting = waiting | Waiting::APPLICATION;
        }
        if self.deadline().is_some() {
            waiting = waiting | Waiting::DEADLINE;
        }
        waiting
    }

    fn deadline(&self) -> Option<Deadline> {
        if self.dead {
            return None;
        }
        let idle = self.idle_at.filter(|_| !self.has_pending() && self.output.is_empty());
        [
            self.sleeping.map(|at| Deadline { at, kind: DeadlineKind::Application }),
            self.stalled_at.map(|at| Deadline { at, kind: DeadlineKind::WriteStall }),
            idle.map(|at| Deadline { at, kind: DeadlineKind::Idle }),
        ]
        .into_iter()
        .flatten()
        .min_by_key(|deadline| deadline.at)
    }

    fn write_slices<'a>(&'a self, out: &mut [IoSlice<'a>]) -> usize {
        let (front, back) = self.output.as_slices();
        let mut count = 0;
        for slice in [front, back] {
            if !slice.is_empty() && count < out.len() {
                out[count] = IoSlice::new(slice);
                count += 1;
            }
        }
        count
    }

    fn close_reason(&self) -> Option<CloseReason> {
        self.closing
    }

    fn read(&mut self, input: &mut BytesMut, turn: &mut Turn<'_>) {
        self.input.extend_from_slice(&input.split());
        self.advance(turn.now);
    }

    fn close_input(&mut self, end: InputEnd, turn: &mut Turn<'_>) {
        self.input_ended = true;
        if end == InputEnd::Eof {
            self.advance(turn.now);
        } else {
            self.protocol.seen.resets.fetch_add(1, Ordering::SeqCst);
            self.die(CloseReason::PeerReset);
        }
    }

    fn report_write_result(&mut self, result: WriteResult, turn: &mut Turn<'_>) {
        match result {
            WriteResult::Wrote(count) => {
                self.output.drain(..count);
                let stall = self.protocol.write_stall.filter(|_| !self.output.is_empty());
                self.stalled_at = stall.map(|stall| turn.now + stall);
            }
            WriteResult::Closed => self.die(CloseReason::PeerReset),
        }
    }

    fn handle_timeout(&mut self, turn: &mut Turn<'_>) {
        let Some(deadline) = self.deadline().filter(|deadline| deadline.at <= turn.now) else { return };
        if deadline.kind == DeadlineKind::Application {
            self.sleeping = None;
            self.answer(b"slept");
            self.advance(turn.now);
        } else {
            self.die(CloseReason::TimedOut(deadline.kind));
        }
    }

    fn run(&mut self, turn: &mut Turn<'_>) {
        self.protocol.seen.runs.fetch_add(1, Ordering::SeqCst);
        let mut answers = Vec::new();
        self.pending.retain_mut(|pending| match pending.poll(turn.waker) {
            Poll::Ready(result) => {
                answers.push(answer_to(result));
                false
            }
            Poll::Pending => true,
        });
        if let Some(Poll::Ready(result)) = self.exclusive.as_mut().map(|pending| pending.poll(turn.waker)) {
            self.exclusive = None;
            answers.push(answer_to(result));
        }
        if !answers.is_empty() {
            for answer in answers {
                self.answer(answer);
            }
            self.idle_at = self.protocol.idle.map(|idle| turn.now + idle);
            self.advance(turn.now);
        }
    }

    fn drain(&mut self, turn: &mut Turn<'_>) {
        self.draining = true;
        self.advance(turn.now);
    }

    fn abort(&mut self, reason: AbortReason) {
        self.die(CloseReason::Aborted(reason));
    }

    fn poll_job(&mut self) -> Option<Job> {
        self.jobs.pop_front()
    }

    fn take_output(&mut self, max: usize, out: &mut Vec<Bytes>) {
        let count = max.min(self.output.len());
        out.push(self.output.drain(..count).collect());
    }
}
