//! A drain answers what had come and begins nothing later (law 7): generated conversations, cut anyhow and drained at any
//! byte, held against the law's own words.
//!
//! ```text
//!   settled: all that can be done is done ──► sent: none of it is taken ──► drain ──► the rest, and what follows it
//! ```

use std::io::IoSlice;

use anabranch_core::Flow;
use anabranch_core::testing::strategies::{bytes_of, conversation, cuts, message, rough, shred};
use anabranch_core::testing::{Chunk, Ending, Message, MessageBody, Rig, converse};
use http::{Method, Version};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::kit::{Answer, SiteRig, answers, get, http_with};

/// Every way the site deals with a body, at once and later.
const TARGETS: &[&str] =
    &["/hello", "/echo", "/collect", "/count", "/ignore", "/defer", "/after", "/drop", "/trailers"];

/// What `/collect` of the site takes.
const COLLECT_BYTES: usize = 20;

proptest! {
    #[test]
    fn drain_at_any_byte_answers_the_heads_that_had_come_and_no_other(
        messages in conversation(request(), 0..6),
        later in rough(prop_oneof![Just(get("/hello").into_bytes()), shred()], 0..3),
        settled in prop::option::of(any::<Index>()),
        sent in any::<Index>(),
        cuts in cuts(),
        (max_output_bytes, max_window_bytes, max_discard_bytes) in
            select(&[(64 * 1024, 64 * 1024, 64 * 1024), (40, 2, 64 * 1024), (40, 2, 4)][..]),
    ) {
        let input = bytes_of(&messages);
        let sent = sent.index(input.len() + 1);
        let settled = settled.map_or(0, |settled| settled.index(sent + 1));
        let http = http_with(|settings| {
            settings.limits.max_output_bytes = max_output_bytes;
            settings.limits.max_window_bytes = max_window_bytes;
            settings.limits.max_discard_bytes = max_discard_bytes as u64;
        });
        let mut rig = Rig::connect(&http);
        let mut output = converse(&mut rig, &input[..settled], Ending::Open, &cuts).output;
        for piece in cuts.pieces(&input[settled..sent]) {
            rig.feed(piece, usize::MAX);
        }
        // What is in the socket still has not come.
        let came = sent - rig.unread();
        let made = output.len() + on_offer(&mut rig);
        rig.drain();
        let rest = [&input[sent..], &later].concat();
        output.extend(converse(&mut rig, rest, Ending::Open, &cuts).output);

        let (count, ends) = owed(&messages, came, max_discard_bytes);
        let methods: Vec<&str> = messages.iter().map(|message| message.method.as_str()).collect();
        let given = answers(&output, &methods);
        prop_assert!(given.iter().all(|answer| answer.whole), "{given:?}");
        prop_assert_eq!(given.len(), count, "{} bytes had come: {:?}", came, given);
        // The last says that the connection ends, unless it had begun before the drain could say so.
        let begun = answers(&output[..made], &methods).len();
        let closes: Vec<bool> = given.iter().map(Answer::says_close).collect();
        let wanted: Vec<bool> = (1..=count).map(|at| at == count && (ends || begun < count)).collect();
        prop_assert_eq!(closes, wanted, "{} had begun: {:?}", begun, given);
        prop_assert!(rig.is_finished(), "{rig:?}");
    }
}

/// Requests of every kind, and more often such as have a short body: most of what may go wrong is near its end.
fn request() -> impl Strategy<Value = Message> {
    let target = || select(TARGETS).prop_map(str::to_owned);
    let data = || prop::collection::vec(select(&b"ab\r\n"[..]), 1..6);
    let chunk = data().prop_map(|data| Chunk { data, extension: String::new(), leading_zeros: 0 });
    let trailers = prop::collection::vec(Just(("x".to_owned(), b"y".to_vec())), 0..3);
    let body = prop_oneof![
        data().prop_map(MessageBody::Sized),
        (chunk, trailers).prop_map(|(chunk, trailers)| MessageBody::Chunked(vec![chunk], trailers)),
    ];
    prop_oneof![
        1 => message(target()),
        3 => (target(), body).prop_map(|(target, body)| {
            Message { method: Method::POST, body, ..Message::get(target) }
        }),
    ]
}

/// How many requests are to be answered of which `came` bytes had come, and whether the last of them ends the connection
/// by itself.
fn owed(messages: &[Message], came: usize, max_discard_bytes: usize) -> (usize, bool) {
    let (mut start, mut count) = (0, 0);
    for message in messages {
        let bytes = message.bytes();
        let head = bytes.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
        if start + head > came {
            break;
        }
        start += bytes.len();
        count += 1;
        if ends_connection(message, max_discard_bytes) {
            return (count, true);
        }
    }
    (count, false)
}

/// Whether the connection ends with the answer to this, drained or not.
fn ends_connection(message: &Message, max_discard_bytes: usize) -> bool {
    let is_read = match &*message.target {
        "/echo" => message.method != Method::HEAD,
        target => matches!(target, "/collect" | "/count"),
    };
    let is_refused = message.target == "/collect" && message.data().len() > COLLECT_BYTES;
    let rest_is_too_much = match &message.body {
        MessageBody::Empty => false,
        MessageBody::Sized(data) => data.len() > max_discard_bytes,
        MessageBody::Chunked(..) => true,
    };
    // In HTTP/1.0 the connection's end is the only end of an answer of no known length.
    let is_endless = message.target == "/trailers"
        && message.version == Version::HTTP_10
        && message.method != Method::HEAD;
    !message.persists() || is_refused || is_endless || (!is_read && rest_is_too_much)
}

/// Bytes that the flow has ready for writing.
fn on_offer(rig: &mut SiteRig) -> usize {
    let mut slices = [IoSlice::new(&[]); 64];
    let count = rig.flow().write_slices(&mut slices);
    slices[..count].iter().map(|slice| slice.len()).sum()
}
