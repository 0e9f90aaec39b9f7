//! Properties: whatever the bytes and however they are cut, nothing panics, no law is broken, and the conversation is the
//! same.

use std::time::Duration;

use anabranch_core::testing::Rig;
use anabranch_core::{AbortReason, Flow, InputEnd, ReadOperation, WriteOperation, WriteResult};
use proptest::prelude::*;
use proptest::sample::select;

use crate::kit::{Conversation, http_with};

/// Pieces that requests, good and bad, are made of.
fn fragment() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => select(REQUESTS).prop_map(|text| text.as_bytes().to_vec()),
        4 => select(SHREDS).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..8),
    ]
}

const REQUESTS: &[&str] = &[
    "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /hello HTTP/1.0\r\n\r\n",
    "GET /who HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "HEAD /chunked HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /chunked HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /trailers HTTP/1.2\r\nHost: a\r\n\r\n",
    "GET /after HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /defer HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /hints HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /last HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /not-modified HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde",
    "POST /collect HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde",
    "POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde",
    "POST /first HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde",
    "POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde",
    "POST /drop HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde",
    "POST /collect HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nabcde",
    "POST /ignore HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nabcde",
    "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n",
    "POST /collect HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx: y\r\n\r\n",
    "POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx: y\r\n\r\n",
    "POST /first HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    "POST /ignore HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: lines\r\n\r\none\ntwo\n",
    "CONNECT tunnel:1 HTTP/1.1\r\nHost: tunnel:1\r\n\r\none\nbye\n",
];

const SHREDS: &[&str] = &[
    "\r\n",
    "\r",
    "\n",
    " ",
    ":",
    "0\r\n\r\n",
    "5\r\nabcde\r\n",
    "GET ",
    "/hello",
    " HTTP/1.1\r\n",
    "Host: a\r\n",
    "Content-Length: 3\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Connection: close\r\n",
    "POST /echo HTTP/1.1\r\nHost: a\r\n",
    "Expect: 100-continue\r\n",
    "x: y\r\n",
    ";ext=1",
    "ffffffffffffffff\r\n",
    "\x16\x03\x01",
    "PRI * HTTP/2.0\r\n\r\n",
    "Host: b\r\n",
    " folded\r\n",
    "name : value\r\n",
    "chunked",
    "\0",
];

/// Fragments in a row, with some of their bytes changed, left out or doubled.
fn input() -> impl Strategy<Value = Vec<u8>> {
    let mutation = (any::<prop::sample::Index>(), any::<u8>(), 0..4_u8);
    let mutations = prop_oneof![Just(Vec::new()), prop::collection::vec(mutation, 1..4)];
    (prop::collection::vec(fragment(), 1..5), mutations).prop_map(|(fragments, mutations)| {
        let mut input = fragments.concat();
        for (index, byte, kind) in mutations {
            if input.is_empty() {
                break;
            }
            let at = index.index(input.len());
            match kind {
                0 => input[at] = byte,
                1 => input.truncate(at),
                2 => input.insert(at, input[at]),
                _ => drop(input.remove(at)),
            }
        }
        input
    })
}

/// What may happen to a connection.
#[derive(Clone, Debug)]
enum Step {
    Feed(Vec<u8>, usize),
    Write(usize),
    TakeAndReport(usize),
    Advance(u64),
    Timeout,
    Run,
    RunJobs,
    LoseJobs,
    Drain,
    End(InputEnd),
    WriteClosed,
    Abort,
}

fn step() -> impl Strategy<Value = Step> {
    let end = select(&[InputEnd::Eof, InputEnd::Reset, InputEnd::TlsTruncated, InputEnd::Error][..]);
    prop_oneof![
        12 => (input(), 1..100_usize).prop_map(|(bytes, cut)| Step::Feed(bytes, cut)),
        8 => (1..400_usize).prop_map(Step::Write),
        4 => (1..400_usize).prop_map(Step::TakeAndReport),
        4 => (0..20_000_u64).prop_map(Step::Advance),
        2 => Just(Step::Timeout),
        2 => Just(Step::Run),
        4 => Just(Step::RunJobs),
        1 => Just(Step::LoseJobs),
        1 => Just(Step::Drain),
        1 => end.prop_map(Step::End),
        1 => Just(Step::WriteClosed),
        1 => Just(Step::Abort),
    ]
}

proptest! {
    #[test]
    fn conversation_is_the_same_however_it_is_cut(
        input in input(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        eof in any::<bool>(),
        limits in 0..3_u8,
    ) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
        cuts.sort_unstable();
        let conversation = Conversation::new(input).under(|settings| {
            let limits_of = &mut settings.limits;
            if limits == 1 {
                limits_of.max_request_line_bytes = 30;
                limits_of.max_header_bytes = 60;
                limits_of.max_field_line_bytes = 26;
                limits_of.max_fields = 3;
                limits_of.max_body_bytes = 10;
                limits_of.max_chunk_line_bytes = 6;
                limits_of.max_chunk_extension_bytes = 4;
            }
            if limits == 2 {
                limits_of.max_output_bytes = 40;
                limits_of.max_window_bytes = 2;
                limits_of.max_discard_bytes = 4;
                limits_of.max_requests = Some(3);
            }
        });
        let conversation = if eof { conversation.then_eof() } else { conversation };
        conversation.hold_cut_at(&cuts);
    }

    #[test]
    fn nothing_that_happens_breaks_a_law(
        steps in prop::collection::vec(step(), 1..25),
        small in any::<bool>(),
    ) {
        let http = http_with(|settings| {
            if small {
                settings.limits.max_output_bytes = 50;
                settings.limits.max_window_bytes = 3;
                settings.limits.max_discard_bytes = 4;
                settings.limits.max_linger_bytes = 20;
                settings.limits.max_body_bytes = 10;
                settings.deadlines.handler = Some(Duration::from_millis(20));
            }
        });
        let mut rig = Rig::connect(&http);
        let mut ended = false;
        for step in steps {
            take_step(&mut rig, step, &mut ended);
        }
        // Whatever came before, time ends it.
        rig.lose_jobs();
        rig.written();
        if !ended {
            rig.eof();
        }
        for _ in 0..10 {
            rig.advance(Duration::from_secs(1000));
            rig.written();
            rig.lose_jobs();
        }
        prop_assert!(rig.is_finished(), "it does not end: {rig:?}");
    }
}

fn take_step(rig: &mut Rig<Box<dyn Flow>>, step: Step, ended: &mut bool) {
    match step {
        Step::Feed(bytes, cut) if !*ended => rig.feed(bytes, cut),
        Step::Feed(..) => {}
        Step::Write(max) => drop(rig.write_at_most(max)),
        Step::TakeAndReport(max) => {
            if rig.flow().next_write_operation() == WriteOperation::Write {
                let taken: usize = rig.take_output(max).iter().map(bytes::Bytes::len).sum();
                rig.run();
                rig.report_write_result(WriteResult::Wrote(taken));
            }
        }
        Step::Advance(millis) => rig.advance(Duration::from_millis(millis)),
        Step::Timeout => rig.handle_timeout(),
        Step::Run => rig.run(),
        Step::RunJobs => drop(rig.run_jobs()),
        Step::LoseJobs => rig.lose_jobs(),
        Step::Drain => rig.drain(),
        Step::End(end) if !*ended => {
            *ended = true;
            rig.close_input(end);
        }
        Step::End(_) => {}
        Step::WriteClosed => {
            if rig.flow().next_write_operation() == WriteOperation::Write {
                rig.report_write_result(WriteResult::Closed);
            }
        }
        Step::Abort => {
            rig.abort(AbortReason::Requested);
            assert_eq!(rig.flow().next_read_operation(), ReadOperation::Close);
        }
    }
}
