//! The protocol by hand: a connection, a clock that is set, and what was sent so far.

use core::task::Waker;
use core::time::Duration;
use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use bytes::BytesMut;
use proptest::prelude::*;

use super::{Ack, Connection};
use crate::flow::{
    AbortReason, CloseKind, CloseReason, DeadlineKind, Flow, InputEnd, Protocol, ReadOperation, Waiting,
    WriteOperation, WriteResult, is_finished,
};
use crate::info::ConnectionInfo;
use crate::time::{Dates, Instant};
use crate::turn::{Pool, Turn};

const DELAY: Duration = Duration::from_secs(2);

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

struct Talk {
    flow: Connection,
    now: Instant,
    dates: Dates,
    pool: Pool,
    wakes: Arc<Wakes>,
    waker: Waker,
    allowance: u32,
    sent: Vec<u8>,
}

impl Talk {
    fn new(settings: Ack) -> Self {
        Self::with(Connection::new(settings, Instant::ORIGIN))
    }

    fn with(flow: Connection) -> Self {
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(wakes.clone());
        Self {
            flow,
            now: Instant::ORIGIN,
            dates: Dates::none(),
            pool: Pool::default(),
            wakes,
            waker,
            allowance: u32::MAX,
            sent: Vec::new(),
        }
    }

    fn call<T>(&mut self, call: impl FnOnce(&mut Connection, &mut Turn<'_>) -> T) -> T {
        let mut turn = Turn::new(self.now, &mut self.dates, &self.waker, &mut self.pool);
        turn.allowance = self.allowance;
        let result = call(&mut self.flow, &mut turn);
        self.allowance = turn.allowance;
        self.check_laws();
        result
    }

    fn read(&mut self, bytes: &[u8]) {
        let mut input = BytesMut::from(bytes);
        self.call(|flow, turn| flow.read(&mut input, turn));
        assert!(input.is_empty(), "a flow takes all of its input");
        self.run();
    }

    fn run(&mut self) {
        self.call(|flow, turn| flow.run(turn));
    }

    fn end(&mut self, end: InputEnd) {
        self.call(|flow, turn| flow.close_input(end, turn));
        self.run();
    }

    fn drain(&mut self) {
        self.call(|flow, turn| flow.drain(turn));
        self.run();
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.call(|flow, turn| flow.handle_timeout(turn));
        self.run();
    }

    /// Goes to the next deadline and says what it is for.
    fn pass_to_deadline(&mut self) -> Option<DeadlineKind> {
        let deadline = self.flow.deadline()?;
        self.pass(deadline.at - self.now);
        Some(deadline.kind)
    }

    /// Writes at most `most` bytes a call until nothing is offered.
    fn flush(&mut self, most: usize) {
        while self.flow.next_write_operation() == WriteOperation::Write {
            let count = {
                let mut slices = [IoSlice::new(&[]); 4];
                let used = self.flow.write_slices(&mut slices);
                let offered: Vec<u8> = slices[..used].iter().flat_map(|slice| slice.to_vec()).collect();
                let count = offered.len().min(most);
                self.sent.extend_from_slice(&offered[..count]);
                count
            };
            self.call(|flow, turn| flow.report_write_result(WriteResult::Wrote(count), turn));
        }
    }

    /// Lets answers fall due and be sent until only the peer can go on.
    fn settle(&mut self) {
        self.flush(usize::MAX);
        while self.flow.deadline().is_some_and(|deadline| deadline.kind == DeadlineKind::Application) {
            self.pass_to_deadline();
            self.flush(usize::MAX);
        }
    }

    fn sent(&self) -> String {
        String::from_utf8(self.sent.clone()).unwrap().replace('\x03', "|")
    }

    fn check_laws(&self) {
        let flow = &self.flow;
        assert_eq!(flow.waiting_on().is_empty(), is_finished(flow), "{flow:?}");
        assert_eq!(flow.waiting_on().contains(Waiting::DEADLINE), flow.deadline().is_some(), "{flow:?}");
        assert!(!is_finished(flow) || flow.close_reason().is_some(), "{flow:?}");
        let mut slices = [IoSlice::new(&[]); 4];
        let offered = flow.write_slices(&mut slices) > 0 && !slices[0].is_empty();
        assert_eq!(offered, flow.next_write_operation() == WriteOperation::Write, "{flow:?}");
    }
}

fn delayed() -> Talk {
    Talk::new(Ack::with_delay(DELAY))
}

fn prompt() -> Talk {
    Talk::new(Ack::default())
}

#[test]
fn message_is_answered_when_its_delay_has_passed() {
    let mut talk = delayed();
    talk.read(b"hello\x03");
    assert_eq!(talk.flow.next_read_operation(), ReadOperation::Yield);
    assert_eq!(talk.flow.next_write_operation(), WriteOperation::Yield);
    assert_eq!(talk.flow.waiting_on(), Waiting::DEADLINE);
    talk.pass(DELAY - Duration::from_nanos(1));
    talk.flush(usize::MAX);
    assert_eq!(talk.sent(), "");
    talk.pass(Duration::from_nanos(1));
    talk.flush(usize::MAX);
    assert_eq!(talk.sent(), "ack|");
    assert_eq!(talk.flow.next_read_operation(), ReadOperation::Read);
}

#[test]
fn messages_of_one_read_are_answered_one_delay_after_another() {
    let mut talk = delayed();
    talk.read(b"1\x032\x033\x034\x035\x03");
    for answered in 1..=5 {
        assert_eq!(talk.pass_to_deadline(), Some(DeadlineKind::Application));
        talk.flush(usize::MAX);
        assert_eq!(talk.sent.len(), answered * 4);
    }
    assert_eq!(talk.now, Instant::ORIGIN + DELAY * 5);
    assert_eq!(talk.flow.deadline().unwrap().kind, DeadlineKind::Idle);
}

#[test]
fn without_a_delay_messages_are_answered_at_once() {
    let mut talk = prompt();
    talk.read(b"1\x032\x03tail");
    talk.flush(usize::MAX);
    assert_eq!(talk.sent(), "ack|ack|");
    talk.read(b"\x03");
    talk.flush(usize::MAX);
    assert_eq!(talk.sent(), "ack|ack|ack|");
}

#[test]
fn goodbye_is_answered_after_its_delay_and_closes() {
    let mut talk = delayed();
    talk.read(b"goodbye\x03ignored\x03");
    talk.settle();
    assert_eq!(talk.sent(), "ack|");
    assert_eq!(talk.now, Instant::ORIGIN + DELAY);
    assert_eq!(talk.flow.next_write_operation(), WriteOperation::Close(CloseKind::Linger));
    assert_eq!(talk.flow.next_read_operation(), ReadOperation::Read);
    talk.read(b"dropped\x03");
    talk.end(InputEnd::Eof);
    assert!(is_finished(&talk.flow));
    assert_eq!((talk.sent(), talk.flow.close_reason()), ("ack|".into(), Some(CloseReason::Finished)));
}

#[test]
fn half_closed_client_gets_every_answer_it_is_owed() {
    let mut talk = delayed();
    talk.read(b"1\x032\x033\x03");
    talk.end(InputEnd::Eof);
    assert_eq!(talk.flow.next_read_operation(), ReadOperation::Close);
    talk.settle();
    assert_eq!(talk.sent(), "ack|ack|ack|");
    assert!(is_finished(&talk.flow));
    assert_eq!(talk.flow.close_reason(), Some(CloseReason::PeerClosed));
}

#[test]
fn unfinished_message_of_a_client_that_closed_is_not_answered() {
    let mut talk = delayed();
    talk.read(b"1\x03unfin");
    talk.end(InputEnd::Eof);
    talk.settle();
    assert_eq!((talk.sent(), talk.flow.close_reason()), ("ack|".into(), Some(CloseReason::Truncated)));
}

#[test]
fn what_is_whole_before_a_fault_is_answered_before_it() {
    let mut talk = delayed();
    talk.read(b"1\x032\x03caf\xc3\xa9\x034\x03");
    talk.settle();
    assert_eq!(talk.sent(), "ack|ack|nak 400 non-ascii|");
    assert_eq!(talk.now, Instant::ORIGIN + DELAY * 2);
    assert_eq!(talk.flow.close_reason(), Some(CloseReason::Refused(400)));
    assert_eq!(talk.flow.next_write_operation(), WriteOperation::Close(CloseKind::Linger));
}

#[test]
fn message_over_the_limit_is_refused_before_its_end_came() {
    let mut talk = Talk::new(Ack { max_message_bytes: 8, ..Ack::default() });
    talk.read(b"12345678\x03");
    talk.read(b"12345678");
    talk.flush(usize::MAX);
    assert_eq!(talk.sent(), "ack|");
    talk.read(b"9");
    talk.flush(usize::MAX);
    assert_eq!(talk.sent(), "ack|nak 413 too-long|");
    assert_eq!(talk.flow.close_reason(), Some(CloseReason::Refused(413)));
}

#[test]
fn lingering_is_bounded_in_time() {
    let mut talk = prompt();
    talk.read(b"\xff");
    talk.flush(usize::MAX);
    assert_eq!(talk.pass_to_deadline(), Some(DeadlineKind::Linger));
    assert!(is_finished(&talk.flow));
    assert_eq!(talk.flow.close_reason(), Some(CloseReason::Refused(400)));
}

#[test]
fn lingering_is_bounded_in_bytes() {
    let mut talk = Talk::new(Ack { max_linger_bytes: 10, ..Ack::default() });
    talk.read(b"\xff");
    talk.flush(usize::MAX);
    talk.read(b"123456789");
    assert!(!is_finished(&talk.flow));
    talk.read(b"0");
    assert!(is_finished(&talk.flow));
}

#[test]
fn connection_without_a_message_is_closed_when_idle_for_too_long() {
    let mut talk = prompt();
    talk.pass(Duration::from_secs(59));
    talk.read(b"1\x03");
    talk.flush(usize::MAX);
    assert_eq!(talk.flow.deadline().unwrap().at, talk.now + Duration::from_secs(60));
    assert_eq!(talk.pass_to_deadline(), Some(DeadlineKind::Idle));
    assert!(is_finished(&talk.flow));
    assert_eq!(talk.sent(), "ack|");
    assert_eq!(talk.flow.close_reason(), Some(CloseReason::TimedOut(DeadlineKind::Idle)));
}

#[test]
fn message_that_trickles_is_refused_when_its_time_is_over() {
    let mut talk = prompt();
    for _ in 0..9 {
        talk.read(b"x");
        talk.pass(Duration::from_secs(1));
    }
    assert!(talk.flow.close_reason().is_none());
    talk.pass(Duration::from_secs(1));
    talk.flush(usize::MAX);
    assert_eq!(talk.sent(), "nak 408 too-slow|");
    assert_eq!(talk.flow.close_reason(), Some(CloseReason::TimedOut(DeadlineKind::Head)));
}

#[test]
fn time_of_a_trickling_message_does_not_run_while_the_one_before_it_is_delayed() {
    let mut talk = Talk::new(Ack::with_delay(Duration::from_secs(30)));
    talk.read(b"1\x03tail");
    talk.settle();
    assert_eq!(talk.sent(), "ack|");
    assert_eq!(talk.flow.deadline().unwrap().at, talk.now + Duration::from_secs(10));
}

#[test]
fn peer_that_takes_no_answer_is_given_up_though_delays_go_on() {
    let mut talk = Talk::new(Ack::with_delay(Duration::from_secs(3)));
    talk.read(&b"x\x03".repeat(100));
    let mut kinds = Vec::new();
    while let Some(kind) = talk.pass_to_deadline() {
        kinds.push(kind);
    }
    assert_eq!(kinds.len(), 5, "{kinds:?}");
    assert_eq!(kinds.last(), Some(&DeadlineKind::WriteStall));
    assert!(is_finished(&talk.flow));
    assert_eq!(talk.flow.close_reason(), Some(CloseReason::TimedOut(DeadlineKind::WriteStall)));
}

#[test]
fn progress_of_a_byte_at_a_time_is_no_stall() {
    let mut talk = prompt();
    talk.read(&b"x\x03".repeat(5));
    for _ in 0..20 {
        talk.pass(Duration::from_secs(9));
        talk.call(|flow, turn| flow.report_write_result(WriteResult::Wrote(1), turn));
    }
    assert_eq!(talk.flow.close_reason(), None);
    assert_eq!(talk.flow.waiting_on(), Waiting::PEER_READ | Waiting::DEADLINE);
}

#[test]
fn answers_wait_for_room_and_go_on_when_they_were_taken() {
    let mut talk = Talk::new(Ack { max_output_bytes: 8, ..Ack::default() });
    talk.read(&b"x\x03".repeat(5));
    assert_eq!(talk.flow.next_read_operation(), ReadOperation::Yield);
    assert_eq!(talk.flow.waiting_on(), Waiting::PEER_WRITE | Waiting::DEADLINE);
    talk.flush(3);
    assert_eq!(talk.sent(), "ack|".repeat(5));
    assert_eq!(talk.flow.next_read_operation(), ReadOperation::Read);
}

#[test]
fn spent_allowance_is_waited_for_with_a_wake() {
    let mut talk = prompt();
    talk.allowance = 2;
    talk.read(&b"x\x03".repeat(3));
    assert_eq!(talk.wakes.0.load(Ordering::Relaxed), 1);
    assert!(talk.flow.waiting_on().contains(Waiting::APPLICATION));
    talk.flush(usize::MAX);
    assert_eq!(talk.sent(), "ack|ack|");
    talk.allowance = 1;
    talk.run();
    talk.flush(usize::MAX);
    assert_eq!(talk.sent(), "ack|ack|ack|");
    assert_eq!(talk.wakes.0.load(Ordering::Relaxed), 1);
}

#[test]
fn drained_idle_connection_closes_at_once() {
    let mut talk = prompt();
    talk.read(b"1\x03");
    talk.flush(usize::MAX);
    talk.drain();
    assert_eq!(talk.flow.next_write_operation(), WriteOperation::Close(CloseKind::Immediate));
    assert!(is_finished(&talk.flow));
    assert_eq!(talk.flow.close_reason(), Some(CloseReason::Drained));
}

#[test]
fn drained_connection_answers_what_was_whole_and_nothing_else() {
    let mut talk = delayed();
    talk.read(b"1\x032\x03unfin");
    talk.drain();
    assert_eq!(talk.flow.next_read_operation(), ReadOperation::Yield);
    talk.settle();
    assert_eq!(talk.sent(), "ack|ack|");
    talk.read(b"ished\x03");
    talk.settle();
    assert_eq!(talk.sent(), "ack|ack|");
    talk.end(InputEnd::Eof);
    assert!(is_finished(&talk.flow));
    assert_eq!(talk.flow.close_reason(), Some(CloseReason::Drained));
}

#[test]
fn aborted_connection_is_finished_and_sends_nothing() {
    let mut talk = delayed();
    talk.read(b"1\x03");
    talk.pass_to_deadline();
    talk.flow.abort(AbortReason::GraceExpired);
    talk.check_laws();
    talk.settle();
    assert!(is_finished(&talk.flow));
    assert_eq!(talk.sent(), "");
    assert_eq!(talk.flow.close_reason(), Some(CloseReason::Aborted(AbortReason::GraceExpired)));
}

#[test]
fn reset_ends_the_connection_though_answers_are_owed() {
    let mut talk = delayed();
    talk.read(b"1\x03");
    talk.end(InputEnd::Reset);
    assert!(is_finished(&talk.flow));
    assert_eq!(talk.flow.close_reason(), Some(CloseReason::PeerReset));
}

#[test]
fn failed_write_ends_the_connection() {
    let mut talk = prompt();
    talk.read(b"1\x03");
    talk.call(|flow, turn| flow.report_write_result(WriteResult::Closed, turn));
    assert!(is_finished(&talk.flow));
    assert_eq!(talk.flow.close_reason(), Some(CloseReason::PeerReset));
}

#[test]
fn output_taken_as_chunks_is_owed_until_it_was_reported() {
    let mut talk = prompt();
    talk.read(b"1\x032\x03goodbye\x03");
    let mut taken = Vec::new();
    talk.flow.take_output(6, &mut taken);
    assert_eq!(talk.flow.next_write_operation(), WriteOperation::Write);
    talk.flow.take_output(usize::MAX, &mut taken);
    assert_eq!(taken.concat(), b"ack\x03ack\x03ack\x03");
    assert_eq!(talk.flow.next_write_operation(), WriteOperation::Yield);
    assert!(talk.flow.waiting_on().contains(Waiting::PEER_WRITE));
    talk.call(|flow, turn| flow.report_write_result(WriteResult::Wrote(5), turn));
    assert_eq!(talk.flow.next_write_operation(), WriteOperation::Yield);
    talk.call(|flow, turn| flow.report_write_result(WriteResult::Wrote(7), turn));
    assert_eq!(talk.flow.next_write_operation(), WriteOperation::Close(CloseKind::Linger));
}

#[test]
fn connection_over_the_limit_is_told_so() {
    let mut talk = Talk::with(Connection::refusing(Ack::default(), Instant::ORIGIN));
    talk.flush(usize::MAX);
    assert_eq!(talk.sent(), "nak 503 busy|");
    assert_eq!(talk.flow.close_reason(), Some(CloseReason::Refused(503)));
    assert!(Ack::default().refuse(ConnectionInfo::default(), Instant::ORIGIN).is_some());
}

#[test]
fn memory_held_is_one_read_and_one_unfinished_message() {
    let mut talk = Talk::new(Ack { max_message_bytes: 10, ..Ack::with_delay(DELAY) });
    talk.read(b"unfinish");
    talk.read(&[b"\x03".to_vec(), b"1234567\x03".repeat(1000), b"tail".to_vec()].concat());
    assert!(talk.flow.retained_bytes() <= 8 + 1 + 8000 + 4, "{}", talk.flow.retained_bytes());
    talk.settle();
    assert_eq!(talk.flow.retained_bytes(), 4);
}

/// Octets that often make messages, goodbyes and faults.
fn conversation() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => prop::collection::vec(0x20_u8..0x7f, 0..12),
        8 => Just(vec![0x03]),
        1 => Just(b"goodbye\x03".to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn settings(delay: Duration) -> Ack {
    Ack { max_message_bytes: 10, max_output_bytes: 16, ..Ack::with_delay(delay) }
}

/// The whole conversation, with reads and writes cut as told: what was sent, why it ended, how long it took.
fn converse(
    delay: Duration,
    input: &[u8],
    cuts: &[usize],
    most_written: usize,
) -> (Vec<u8>, Option<CloseReason>, Instant) {
    let mut talk = Talk::new(settings(delay));
    let mut rest = input;
    let mut cuts = cuts.iter().copied().cycle();
    while !rest.is_empty() {
        match talk.flow.next_read_operation() {
            ReadOperation::Read => {
                let (now, later) = rest.split_at(cuts.next().unwrap_or(rest.len()).clamp(1, rest.len()));
                talk.read(now);
                rest = later;
            }
            ReadOperation::Yield => {
                talk.flush(most_written);
                if talk.flow.next_read_operation() == ReadOperation::Yield {
                    assert_eq!(talk.pass_to_deadline(), Some(DeadlineKind::Application));
                }
            }
            ReadOperation::Close => break,
        }
        assert!(talk.flow.retained_bytes() <= input.len() + 10 + 16 + 20);
    }
    talk.flush(most_written);
    talk.end(InputEnd::Eof);
    talk.flush(most_written);
    while let Some(kind) = talk.pass_to_deadline() {
        assert_eq!(kind, DeadlineKind::Application);
        talk.flush(most_written);
    }
    assert!(is_finished(&talk.flow));
    (talk.sent.clone(), talk.flow.close_reason(), talk.now)
}

/// What the wire format says is answered, read off the input alone.
fn expected(input: &[u8]) -> (Vec<u8>, CloseReason) {
    let mut sent = Vec::new();
    let mut message = Vec::new();
    for byte in input {
        if *byte == 0x03 {
            sent.extend_from_slice(b"ack\x03");
            if message == b"goodbye" {
                return (sent, CloseReason::Finished);
            }
            message.clear();
        } else if message.len() == 10 {
            sent.extend_from_slice(b"nak 413 too-long\x03");
            return (sent, CloseReason::Refused(413));
        } else if !byte.is_ascii() {
            sent.extend_from_slice(b"nak 400 non-ascii\x03");
            return (sent, CloseReason::Refused(400));
        } else {
            message.push(*byte);
        }
    }
    (sent, if message.is_empty() { CloseReason::PeerClosed } else { CloseReason::Truncated })
}

proptest! {
    #[test]
    fn cuts_do_not_matter(
        input in conversation(),
        cuts in prop::collection::vec(1_usize..30, 1..20),
        most_written in 1_usize..9,
        delay in prop_oneof![Just(Duration::ZERO), Just(DELAY)],
    ) {
        let whole = converse(delay, &input, &[usize::MAX], usize::MAX);
        let (sent, reason) = expected(&input);
        prop_assert_eq!(&whole.0, &sent);
        prop_assert_eq!(whole.1, Some(reason));
        let answered = u32::try_from(sent.windows(4).filter(|window| window == b"ack\x03").count()).unwrap();
        prop_assert_eq!(whole.2, Instant::ORIGIN + delay * answered);
        prop_assert_eq!(converse(delay, &input, &cuts, most_written), whole);
    }

    #[test]
    fn no_order_of_calls_panics_or_breaks_a_law(
        calls in prop::collection::vec((0_u8..12, prop::collection::vec(any::<u8>(), 0..24)), 0..60),
        delay in prop_oneof![Just(Duration::ZERO), Just(DELAY)],
    ) {
        let mut talk = Talk::new(settings(delay));
        for (call, bytes) in calls {
            match call {
                0..=2 => talk.read(&bytes),
                3 => talk.read(&bytes.iter().map(|byte| byte & 0x7f).collect::<Vec<_>>()),
                4 => talk.read(b"whole\x03"),
                5 => talk.flush(bytes.len().max(1)),
                6 => talk.pass(Duration::from_millis(bytes.len() as u64 * 200)),
                7 => { talk.pass_to_deadline(); }
                8 => {
                    let mut taken = Vec::new();
                    talk.flow.take_output(bytes.len(), &mut taken);
                    let count = taken.concat().len();
                    talk.call(|flow, turn| flow.report_write_result(WriteResult::Wrote(count), turn));
                }
                9 if bytes.len() < 4 => talk.end(InputEnd::Eof),
                10 if bytes.len() < 4 => talk.drain(),
                11 if bytes.is_empty() => talk.flow.abort(AbortReason::Requested),
                _ => talk.run(),
            }
            talk.check_laws();
        }
    }
}
