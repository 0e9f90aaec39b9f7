//! The protocol through the rig, which holds it to the laws at every call.

use core::time::Duration;
use std::io::IoSlice;

use bytes::BytesMut;
use proptest::prelude::*;

use super::{Ack, Connection};
use crate::flow::{
    AbortReason, CloseKind, CloseReason, DeadlineKind, Flow, InputEnd, Protocol, ReadOperation, Waiting,
    WriteOperation, WriteResult,
};
use crate::info::ConnectionInfo;
use crate::testing::{CountingWaker, ManualClock, Rig};
use crate::time::{Dates, Instant};
use crate::turn::{Pool, Turn};

const DELAY: Duration = Duration::from_secs(2);
const SECOND: Duration = Duration::from_secs(1);

fn start() -> Instant {
    ManualClock::default().now()
}

fn rig(settings: Ack) -> Rig<Connection> {
    Rig::new(Connection::new(settings, start()))
}

fn delayed() -> Rig<Connection> {
    rig(Ack::with_delay(DELAY))
}

fn prompt() -> Rig<Connection> {
    rig(Ack::default())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap().replace('\x03', "|")
}

/// What is sent at once, with each ETX as a bar.
fn sent(rig: &mut Rig<Connection>) -> String {
    text(&rig.written())
}

/// Goes to the next deadline, and says what it is for.
fn to_deadline(rig: &mut Rig<Connection>) -> Option<DeadlineKind> {
    let deadline = rig.deadline()?;
    rig.advance(deadline.at - rig.now());
    Some(deadline.kind)
}

/// What is sent until only the peer can go on.
fn sent_in_time(rig: &mut Rig<Connection>) -> String {
    let mut all = sent(rig);
    while rig.deadline().is_some_and(|deadline| deadline.kind == DeadlineKind::Application) {
        to_deadline(rig);
        all += &sent(rig);
    }
    all
}

#[test]
fn message_is_answered_when_its_delay_has_passed() {
    let mut rig = delayed();
    rig.read("hello\x03");
    rig.assert_yielding();
    assert_eq!(rig.waiting_on(), Waiting::DEADLINE);
    rig.advance(DELAY - Duration::from_nanos(1));
    assert_eq!(sent(&mut rig), "");
    rig.advance(Duration::from_nanos(1));
    assert_eq!(sent(&mut rig), "ack|");
    rig.assert_reading();
}

#[test]
fn messages_of_one_read_are_answered_one_delay_after_another() {
    let mut rig = delayed();
    rig.read("1\x032\x033\x034\x035\x03");
    for _ in 0..5 {
        assert_eq!(to_deadline(&mut rig), Some(DeadlineKind::Application));
        assert_eq!(sent(&mut rig), "ack|");
    }
    assert_eq!(rig.now(), start() + DELAY * 5);
    assert_eq!(rig.deadline().unwrap().kind, DeadlineKind::Idle);
}

#[test]
fn without_a_delay_messages_are_answered_at_once() {
    let mut rig = prompt();
    rig.read("1\x032\x03tail");
    assert_eq!(sent(&mut rig), "ack|ack|");
    rig.read("\x03");
    assert_eq!(sent(&mut rig), "ack|");
}

#[test]
fn goodbye_is_answered_after_its_delay_and_closes() {
    let mut rig = delayed();
    rig.read("goodbye\x03ignored\x03");
    rig.advance(DELAY);
    assert_eq!(rig.flow().ending(), Some(CloseKind::Linger), "its acknowledgement is the last");
    assert_eq!(sent(&mut rig), "ack|");
    assert_eq!(rig.now(), start() + DELAY);
    assert_eq!(rig.flow().next_write_operation(), WriteOperation::Close(CloseKind::Linger));
    rig.read("dropped\x03");
    rig.eof();
    assert_eq!(sent(&mut rig), "");
    rig.assert_finished(CloseReason::Finished);
}

#[test]
fn half_closed_client_gets_every_answer_it_is_owed() {
    let mut rig = delayed();
    rig.read("1\x032\x033\x03");
    rig.eof();
    assert_eq!(sent_in_time(&mut rig), "ack|ack|ack|");
    rig.assert_finished(CloseReason::PeerClosed);
}

#[test]
fn unfinished_message_of_a_client_that_closed_is_not_answered() {
    let mut rig = delayed();
    rig.read("1\x03unfin");
    rig.eof();
    assert_eq!(sent_in_time(&mut rig), "ack|");
    rig.assert_finished(CloseReason::Truncated);
}

#[test]
fn what_is_whole_before_a_fault_is_answered_before_it() {
    let mut rig = delayed();
    rig.read(b"1\x032\x03caf\xc3\xa9\x034\x03");
    assert_eq!(sent_in_time(&mut rig), "ack|ack|nak 400 non-ascii|");
    assert_eq!(rig.now(), start() + DELAY * 2);
    assert_eq!(rig.close_reason(), Some(CloseReason::Refused(400)));
    assert_eq!(rig.flow().next_write_operation(), WriteOperation::Close(CloseKind::Linger));
}

#[test]
fn message_over_the_limit_is_refused_before_its_end_came() {
    let mut rig = rig(Ack { max_message_bytes: 8, ..Ack::default() });
    rig.read("12345678\x03");
    rig.read("12345678");
    assert_eq!(sent(&mut rig), "ack|");
    rig.read("9");
    assert_eq!(sent(&mut rig), "nak 413 too-long|");
    assert_eq!(rig.close_reason(), Some(CloseReason::Refused(413)));
}

#[test]
fn lingering_is_bounded_in_time() {
    let mut rig = prompt();
    rig.read(b"\xff");
    assert_eq!(sent(&mut rig), "nak 400 non-ascii|");
    assert_eq!(to_deadline(&mut rig), Some(DeadlineKind::Linger));
    rig.assert_finished(CloseReason::Refused(400));
}

#[test]
fn lingering_is_bounded_in_bytes() {
    let mut rig = rig(Ack { max_linger_bytes: 10, ..Ack::default() });
    rig.read(b"\xff");
    assert_eq!(sent(&mut rig), "nak 400 non-ascii|");
    rig.read("123456789");
    assert!(!rig.is_finished());
    rig.read("0");
    rig.assert_finished(CloseReason::Refused(400));
}

#[test]
fn connection_without_a_message_is_closed_when_idle_for_too_long() {
    let mut rig = prompt();
    rig.advance(SECOND * 59);
    rig.read("1\x03");
    assert_eq!(sent(&mut rig), "ack|");
    assert_eq!(rig.deadline().unwrap().at, rig.now() + SECOND * 60);
    assert_eq!(to_deadline(&mut rig), Some(DeadlineKind::Idle));
    assert_eq!(sent(&mut rig), "");
    rig.assert_finished(CloseReason::TimedOut(DeadlineKind::Idle));
}

#[test]
fn message_that_trickles_is_refused_when_its_time_is_over() {
    let mut rig = prompt();
    for _ in 0..9 {
        rig.read("x");
        rig.advance(SECOND);
    }
    assert_eq!(rig.close_reason(), None);
    rig.advance(SECOND);
    assert_eq!(sent(&mut rig), "nak 408 too-slow|");
    assert_eq!(rig.close_reason(), Some(CloseReason::TimedOut(DeadlineKind::Head)));
}

#[test]
fn time_of_a_trickling_message_does_not_run_while_the_one_before_it_is_delayed() {
    let mut rig = rig(Ack::with_delay(SECOND * 30));
    rig.read("1\x03tail");
    assert_eq!(sent_in_time(&mut rig), "ack|");
    assert_eq!(rig.deadline().unwrap().at, rig.now() + SECOND * 10);
}

#[test]
fn peer_that_takes_no_answer_is_given_up_though_delays_go_on() {
    let mut rig = rig(Ack::with_delay(SECOND * 3));
    rig.read("x\x03".repeat(100));
    rig.advance(SECOND * 3 + SECOND * 9);
    assert_eq!(rig.close_reason(), None);
    rig.advance(SECOND);
    rig.assert_finished(CloseReason::TimedOut(DeadlineKind::WriteStall));
}

#[test]
fn refused_peer_that_does_not_take_the_refusal_is_given_up() {
    let mut rig = prompt();
    rig.read(b"\xff");
    rig.advance(SECOND * 10);
    rig.assert_finished(CloseReason::TimedOut(DeadlineKind::WriteStall));
}

#[test]
fn progress_of_a_byte_at_a_time_is_no_stall() {
    let mut rig = prompt();
    rig.read("x\x03".repeat(5));
    for _ in 0..20 {
        rig.advance(SECOND * 9);
        assert_eq!(rig.write_at_most(1).len(), 1);
    }
    assert_eq!(rig.close_reason(), None);
    assert_eq!(rig.waiting_on(), Waiting::PEER_READ | Waiting::DEADLINE);
}

#[test]
fn answers_wait_for_room_and_go_on_when_they_were_taken() {
    let mut rig = rig(Ack { max_output_bytes: 8, ..Ack::default() });
    rig.read("x\x03".repeat(5));
    rig.assert_yielding();
    assert_eq!(rig.waiting_on(), Waiting::PEER_WRITE | Waiting::DEADLINE);
    assert_eq!(sent(&mut rig), "ack|".repeat(5));
    rig.assert_reading();
}

#[test]
fn nothing_is_read_while_answers_fill_the_output() {
    let mut rig = rig(Ack { max_output_bytes: 8, ..Ack::default() });
    rig.read("1\x032\x03tail");
    rig.assert_yielding();
    assert_eq!(rig.deadline().unwrap().kind, DeadlineKind::WriteStall);
    assert_eq!(rig.write_at_most(1), b"a");
    rig.assert_reading();
    assert_eq!(rig.deadline().unwrap().at, rig.now() + SECOND * 10);
}

#[test]
fn spent_allowance_is_waited_for_with_a_wake() {
    let (mut dates, mut pool, wakes) = (Dates::none(), Pool::default(), CountingWaker::default());
    let waker = wakes.waker();
    let mut flow = Connection::new(Ack::default(), start());
    let mut turn = Turn::new(start(), &mut dates, &waker, &mut pool);
    turn.allowance = 2;
    flow.read(&mut BytesMut::from("1\x032\x033\x03"), &mut turn);
    flow.run(&mut turn);
    assert_eq!(wakes.wakes(), 1);
    assert!(flow.waiting_on().contains(Waiting::APPLICATION));
    turn.allowance = 1;
    flow.run(&mut turn);
    assert_eq!(wakes.wakes(), 1);
    let mut slices = [IoSlice::new(&[])];
    assert_eq!(flow.write_slices(&mut slices), 1);
    assert_eq!(text(&slices[0]), "ack|ack|ack|");
}

#[test]
fn drained_idle_connection_closes_at_once() {
    let mut rig = prompt();
    rig.read("1\x03");
    assert_eq!(sent(&mut rig), "ack|");
    rig.drain();
    assert_eq!(rig.flow().next_write_operation(), WriteOperation::Close(CloseKind::Immediate));
    rig.assert_finished(CloseReason::Drained);
}

#[test]
fn drained_connection_answers_what_was_whole_and_nothing_else() {
    let mut rig = delayed();
    rig.read("1\x032\x03unfin");
    rig.drain();
    rig.assert_yielding();
    assert_eq!(sent_in_time(&mut rig), "ack|ack|");
    rig.read("ished\x03");
    rig.eof();
    assert_eq!(sent_in_time(&mut rig), "");
    rig.assert_finished(CloseReason::Drained);
}

#[test]
fn aborted_connection_sends_nothing_more() {
    let mut rig = delayed();
    rig.read("1\x03");
    to_deadline(&mut rig);
    rig.abort(AbortReason::GraceExpired);
    assert_eq!(sent(&mut rig), "");
    rig.assert_finished(CloseReason::Aborted(AbortReason::GraceExpired));
}

#[test]
fn reset_ends_the_connection_though_answers_are_owed() {
    let mut rig = delayed();
    rig.read("1\x03");
    rig.reset();
    rig.assert_finished(CloseReason::PeerReset);
}

#[test]
fn failed_write_ends_the_connection() {
    let mut rig = prompt();
    rig.read("1\x03");
    rig.report_write_result(WriteResult::Closed);
    rig.assert_finished(CloseReason::PeerReset);
}

#[test]
fn output_taken_as_chunks_is_owed_until_it_was_reported() {
    let mut rig = prompt();
    rig.read("1\x032\x03goodbye\x03");
    assert_eq!(text(&rig.take_output(6).concat()), "ack|ac");
    assert_eq!(text(&rig.take_output(usize::MAX).concat()), "k|ack|");
    assert_eq!(rig.flow().next_write_operation(), WriteOperation::Yield);
    assert!(rig.waiting_on().contains(Waiting::PEER_WRITE));
    rig.report_write_result(WriteResult::Wrote(5));
    assert_eq!(rig.flow().next_write_operation(), WriteOperation::Yield);
    rig.report_write_result(WriteResult::Wrote(7));
    assert_eq!(rig.flow().next_write_operation(), WriteOperation::Close(CloseKind::Linger));
}

#[test]
fn connection_over_the_limit_is_told_so() {
    let mut rig = Rig::new(Connection::refusing(Ack::default(), start()));
    assert_eq!(sent(&mut rig), "nak 503 busy|");
    assert_eq!(rig.close_reason(), Some(CloseReason::Refused(503)));
    assert!(Ack::default().refuse(ConnectionInfo::default(), start()).is_some());
}

#[test]
fn memory_held_is_one_read_and_one_unfinished_message() {
    let mut rig = rig(Ack { max_message_bytes: 10, ..Ack::with_delay(DELAY) });
    rig.read("unfinish");
    rig.read([b"\x03".to_vec(), b"1234567\x03".repeat(1000), b"tail".to_vec()].concat());
    let retained = rig.flow().retained_bytes();
    assert!(retained <= 8 + 1 + 8000 + 4, "{retained}");
    sent_in_time(&mut rig);
    assert_eq!(rig.flow().retained_bytes(), 4);
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
    cut: usize,
    most_written: usize,
) -> (Vec<u8>, Option<CloseReason>, Duration) {
    let mut rig = rig(settings(delay));
    let mut sent = Vec::new();
    rig.feed(input, cut);
    rig.eof();
    loop {
        let taken = rig.write_at_most(most_written);
        sent.extend_from_slice(&taken);
        let retained = rig.flow().retained_bytes();
        assert!(retained <= input.len().min(cut) + 10 + 16 + 20, "{retained}");
        if !taken.is_empty() {
            continue;
        }
        match rig.deadline() {
            Some(deadline) if deadline.kind == DeadlineKind::Application => {
                to_deadline(&mut rig);
            }
            _ => break,
        }
    }
    assert!(rig.is_finished(), "{:?}", rig.flow());
    (sent, rig.close_reason(), rig.now() - start())
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
        cut in 1_usize..30,
        most_written in 1_usize..9,
        delay in prop_oneof![Just(Duration::ZERO), Just(DELAY)],
    ) {
        let whole = converse(delay, &input, usize::MAX, usize::MAX);
        let (sent, reason) = expected(&input);
        prop_assert_eq!(&whole.0, &sent);
        prop_assert_eq!(whole.1, Some(reason));
        let answered = u32::try_from(sent.windows(4).filter(|window| window == b"ack\x03").count()).unwrap();
        prop_assert_eq!(whole.2, delay * answered);
        prop_assert_eq!(converse(delay, &input, cut, most_written), whole);
    }

    #[test]
    fn no_order_of_calls_panics_or_breaks_a_law(
        calls in prop::collection::vec((0_u8..12, prop::collection::vec(any::<u8>(), 1..24)), 0..60),
        delay in prop_oneof![Just(Duration::ZERO), Just(DELAY)],
    ) {
        let mut rig = rig(settings(delay));
        let mut ended = false;
        let mut taken = 0;
        for (call, bytes) in calls {
            let reads = rig.flow().next_read_operation() == ReadOperation::Read;
            match call {
                0..=1 if reads => rig.read(&bytes),
                2 if reads => rig.read(bytes.iter().map(|byte| byte & 0x7f).collect::<Vec<_>>()),
                3..=4 if reads => rig.read("whole\x03"),
                5 if taken == 0 => { rig.write_at_most(bytes.len()); }
                6 => rig.advance(Duration::from_millis(bytes.len() as u64 * 200)),
                7 => { to_deadline(&mut rig); }
                8 => taken += rig.take_output(bytes.len()).concat().len(),
                9 if taken > 0 && !rig.is_finished() => {
                    rig.report_write_result(WriteResult::Wrote(taken));
                    taken = 0;
                }
                10 if bytes.len() < 4 && !ended => {
                    ended = true;
                    rig.close_input(if bytes[0] < 200 { InputEnd::Eof } else { InputEnd::TlsTruncated });
                }
                11 if bytes.len() < 4 => rig.drain(),
                11 if bytes.len() > 21 => rig.abort(AbortReason::Requested),
                _ => rig.run(),
            }
        }
    }
}
