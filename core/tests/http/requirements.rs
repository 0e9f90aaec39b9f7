//! What RFC 9110 and 9112 ask of a server and no other test holds: see `docs/requirements.md`, which names these.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anabranch_core::CloseReason;
use anabranch_core::app::{Body, Context, Failure, Outcome, Request, Response, Service, service_fn};
use anabranch_core::http1::Misuse;
use http::StatusCode;
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderName, HeaderValue, LINK, TRANSFER_ENCODING, UPGRADE};

use crate::kit::{Conversation, Parts, get, rig, site};

fn value(text: &'static str) -> HeaderValue {
    HeaderValue::from_static(text)
}

fn text(output: Vec<u8>) -> String {
    String::from_utf8(output).expect("the output is text")
}

// ---- requests ----

#[test]
fn request_line_of_eight_thousand_bytes_is_taken() {
    let path = "/".repeat(8000 - "GET  HTTP/1.1".len());
    let service = service_fn(|request: &mut Request, _: &mut Context<'_>| request.target().len().to_string());
    let held = Conversation::with(service.clone(), get(&path)).without_more().hold_briefly();
    assert_eq!(held.text(), path.len().to_string());
    // An absolute target's URI may have as many bytes of its own.
    let uri = format!("http://a/{}", "x".repeat(8000 - "http://a/".len()));
    let held = Conversation::with(service, get(&uri)).without_more().hold_briefly();
    assert_eq!((held.statuses(), held.text()), (vec![200], "8000"));
}

#[test]
fn host_of_an_absolute_target_is_used_and_the_field_is_not() {
    let service = service_fn(|request: &mut Request, _: &mut Context<'_>| {
        format!("{:?} {}", request.authority(), request.path())
    });
    for (target, expected) in [
        ("/x", "Some(\"field:1\") /x"),
        ("http://target/x", "Some(\"target\") /x"),
        ("http://target:8080?q", "Some(\"target:8080\") /"),
        ("http://target", "Some(\"target\") /"),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: field:1\r\n\r\n");
        let held = Conversation::with(service.clone(), request).without_more().hold();
        assert_eq!(held.text(), expected, "{target}");
    }
}

#[test]
fn nothing_is_done_before_the_head_is_complete() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let mut rig = rig(service_fn(move |_: &mut Request, _: &mut Context<'_>| {
        counted.fetch_add(1, Ordering::Relaxed);
        "done"
    }));
    let request = "DELETE / HTTP/1.1\r\nHost: a\r\nIf-Match: \"x\"\r\n\r\n";
    let (before, last) = request.split_at(request.len() - 1);
    for byte in before.as_bytes().chunks(1) {
        rig.read(byte);
        assert_eq!(calls.load(Ordering::Relaxed), 0);
    }
    rig.read(last);
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[test]
fn connection_options_are_read_from_every_line_and_through_empty_members() {
    for lines in [
        "Connection: x\r\nConnection: close",
        "Connection: close\r\nConnection: keep-alive",
        "Connection: ,, ,CLOSE,",
        "connection:close\r\nCONNECTION:",
    ] {
        let held = Conversation::new(format!("GET /hello HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n")).hold();
        held.assert_closed(CloseReason::Finished);
    }
    let held =
        Conversation::new("GET /hello HTTP/1.1\r\nHost: a\r\nConnection: , closed, x-close,\r\n\r\n").hold();
    held.assert_lives();
    let request =
        "POST /collect HTTP/1.1\r\nHost: a\r\nExpect: , 100-continue,,\r\nContent-Length: 1\r\n\r\nx";
    assert_eq!(Conversation::new(request).hold().statuses(), [100, 200]);
}

#[test]
fn chunk_extensions_nobody_knows_change_nothing() {
    let request = "POST /collect HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                   1;close;length=\"9\";last=0\r\nx\r\n0;more\r\n\r\n";
    let held = Conversation::new(request).hold();
    assert_eq!(held.text(), "x");
    held.assert_lives();
}

#[test]
fn lengths_that_are_sent_are_taken() {
    let taken = |fields: &str| {
        let request = format!("POST /collect HTTP/1.1\r\nHost: a\r\n{fields}");
        let settings =
            |settings: &mut anabranch_core::app::Settings| settings.limits.max_body_bytes = u64::MAX;
        Conversation::new(request).under(settings).without_more().hold()
    };
    // Both are read, and then refused for what the handler collects: 413, not 400.
    assert_eq!(taken(&format!("Content-Length: {}\r\n\r\n", u64::MAX)).statuses(), [413]);
    assert_eq!(
        taken(&format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{}", u64::MAX, "x".repeat(21))).statuses(),
        [413]
    );
}

// ---- answers ----

#[test]
fn answer_is_these_bytes() {
    for (request, expected) in [
        (
            get("/hello"),
            "HTTP/1.1 200 OK\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\nserver: anabranch\r\n\
             content-type: text/plain; charset=utf-8\r\ncontent-length: 5\r\n\r\nhello",
        ),
        (
            get("/trailers"),
            "HTTP/1.1 200 OK\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\nserver: anabranch\r\n\
             transfer-encoding: chunked\r\n\r\n7\r\npart 0\n\r\n7\r\npart 1\n\r\n0\r\nx-parts: 2\r\n\r\n",
        ),
    ] {
        let mut rig = site();
        rig.read(request);
        assert_eq!(text(rig.written()), expected);
    }
}

#[test]
fn own_fields_are_sent_once() {
    let service = service_fn(|_: &mut Request, _: &mut Context<'_>| {
        Response::ok("x")
            .with_field(CONTENT_LENGTH, value("1"))
            .with_field(CONTENT_LENGTH, value("1"))
            .with_field(CONNECTION, value("close"))
            .with_field(CONNECTION, value("close"))
    });
    let mut rig = rig(service);
    rig.read(get("/"));
    let output = text(rig.written());
    for name in ["date", "server", "content-length", "connection"] {
        assert_eq!(output.matches(&format!("\r\n{name}: ")).count(), 1, "{output}");
    }
}

#[test]
fn date_is_in_every_final_answer_and_said_once() {
    for status in [200, 204, 206, 301, 304, 404, 405, 500, 503] {
        let service =
            service_fn(move |_: &mut Request, _: &mut Context<'_>| StatusCode::from_u16(status).unwrap());
        let mut rig = rig(service);
        rig.read(get("/"));
        let output = text(rig.written());
        assert_eq!(output.matches("\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n").count(), 1, "{output}");
    }
    for refused in ["GET / HTTP/1.1\r\n\r\n", "GET / HTTP/2.0\r\n", "x\n"] {
        let mut rig = site();
        rig.read(refused);
        let output = text(rig.written());
        assert_eq!(output.matches("\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n").count(), 1, "{output}");
    }
}

#[test]
fn server_field_names_the_product_and_no_more() {
    let mut rig = site();
    rig.read(get("/hello"));
    assert!(text(rig.written()).contains("\r\nserver: anabranch\r\n"));
}

#[test]
fn refusal_explains_itself_in_a_media_type_of_its_own() {
    for request in
        ["GET / HTTP/1.1\r\n\r\n", "GET / HTTP/2.0\r\n", "GET / HTTP/1.1\r\nHost: a\r\na: b\r\n c: d\r\n"]
    {
        let held = Conversation::new(request).hold();
        let answer = &held.answers[0];
        assert_eq!(answer.field("content-type"), Some("text/plain; charset=utf-8"));
        assert!(!answer.text().is_empty());
    }
    let held = Conversation::new("GET / HTTP/2.0\r\n").hold();
    assert!(held.text().contains("HTTP/1.1 and HTTP/1.0"), "{}", held.text());
}

#[test]
fn refused_head_has_no_content_either() {
    for (request, status) in [
        ("HEAD /hello HTTP/1.1\r\n\r\n", 400),
        ("\r\nHEAD /hello HTTP/1.1\r\nHost: a\r\nx : y\r\n\r\n", 400),
        ("HEAD /hello HTTP/2.0\r\n", 505),
        ("HEAD \x01", 400),
        ("HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: x\r\n\r\n", 417),
        ("HEAD / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
    ] {
        for cut in [usize::MAX, 1] {
            let mut rig = site();
            rig.feed(request, cut);
            let output = text(rig.written());
            assert!(output.starts_with(&format!("HTTP/1.1 {status} ")), "{output}");
            assert!(output.contains("\r\ncontent-length: ") && output.ends_with("\r\n\r\n"), "{output}");
        }
    }
    let mut rig = site();
    rig.read("HEAD / HTTP/1.1\r\n");
    rig.eof();
    let output = text(rig.written());
    assert!(output.starts_with("HTTP/1.1 400 ") && output.ends_with("\r\n\r\n"), "{output}");
    let mut rig = site();
    rig.read("HEAD / HTTP/1.1\r\n");
    let deadline = rig.deadline().expect("a head is due");
    rig.advance(deadline.at - rig.now());
    let output = text(rig.written());
    assert!(output.starts_with("HTTP/1.1 408 ") && output.ends_with("\r\n\r\n"), "{output}");
    // What only begins like it is another method, with an explanation.
    let held = Conversation::new("HEADER / HTTP/1.1\r\n\r\n").hold();
    assert!(held.text().starts_with("400: "), "{held:?}");
}

#[test]
fn interim_answers_have_no_framing() {
    for name in [CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE] {
        let service = service_fn(move |_: &mut Request, context: &mut Context<'_>| {
            let fields = [(LINK, value("</a>")), (name.clone(), value("1"))].into_iter().collect();
            context.inform(StatusCode::EARLY_HINTS, fields);
            "x"
        });
        assert_eq!(Conversation::with(service, get("/")).without_more().hold().statuses(), [200]);
    }
}

#[test]
fn answer_to_connect_that_opens_a_tunnel_has_no_framing() {
    #[derive(Clone)]
    struct Framed(HeaderName);
    impl Service for Framed {
        fn call(&self, _: &mut Request, _: &mut Context<'_>) -> Outcome {
            "x".into()
        }
        fn connect(&self, _: &mut Request, _: &mut Context<'_>) -> Outcome {
            let head = Response::new(StatusCode::OK).with_field(self.0.clone(), value("0"));
            Outcome::upgrade(head, |_, _| unreachable!())
        }
    }
    for name in [CONTENT_LENGTH, TRANSFER_ENCODING] {
        let request = "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n";
        let held = Conversation::with(Framed(name), request).without_more().hold();
        assert_eq!(held.statuses(), [500]);
        assert_eq!(held.requests[0].failure, Some(Failure::Unsendable(Misuse::FramingField)));
    }
}

#[test]
fn answer_of_unknown_length_is_delimited_wherever_it_can_be() {
    let service = service_fn(|_: &mut Request, _: &mut Context<'_>| {
        Response::ok(Body::source(Parts::new(&["a", "b"])))
    });
    let held = Conversation::with(service, get("/")).without_more().hold();
    assert_eq!(held.answers[0].field("transfer-encoding"), Some("chunked"));
    assert_eq!(held.answers[0].field("content-length"), None);
    held.assert_lives();
}

// ---- upgrades ----

const OFFER: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: ";

#[test]
fn upgrade_field_of_an_answer_is_named_in_connection() {
    let service = service_fn(|_: &mut Request, _: &mut Context<'_>| Response::upgrade_required("lines"));
    for (request, expected) in [
        (get("/"), "upgrade"),
        (String::from("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), "close, upgrade"),
        (String::from("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), "keep-alive, upgrade"),
    ] {
        let held = Conversation::with(service.clone(), request).without_more().hold();
        let answer = &held.answers[0];
        assert_eq!((answer.status, answer.field("connection")), (426, Some(expected)));
        assert_eq!(answer.field("upgrade"), Some("lines"));
    }
}

#[test]
fn switch_is_to_a_protocol_that_was_offered_and_is_named() {
    for (offered, taken, switched) in [
        ("lines", Some("lines"), true),
        ("Lines, other/2", Some("lines"), true),
        (",other/2 ,, lines", Some("OTHER/2, lines"), true),
        ("lines\r\nUpgrade: more", Some("more"), true),
        ("lines", Some("other"), false),
        ("lines", Some("lines, other"), false),
        ("lines/1", Some("lines"), false),
        ("xlines", Some("lines"), false),
        ("", Some("lines"), false),
        ("lines", None, false),
    ] {
        let service = service_fn(move |_: &mut Request, _: &mut Context<'_>| {
            let head = Response::new(StatusCode::SWITCHING_PROTOCOLS);
            let head = match taken {
                Some(taken) => head.with_field(UPGRADE, value(taken)),
                None => head,
            };
            Outcome::upgrade(head, |_, now| crate::kit::lines(now))
        });
        let held = Conversation::with(service, format!("{OFFER}{offered}\r\n\r\n")).without_more().hold();
        assert_eq!(held.statuses(), [if switched { 101 } else { 500 }], "{offered:?} {taken:?}");
        if !switched {
            assert_eq!(held.requests[0].failure, Some(Failure::Unsendable(Misuse::NotOffered)));
        }
    }
}

#[test]
fn offer_to_switch_that_expects_100_is_not_taken_without_it() {
    let service = service_fn(|request: &mut Request, _: &mut Context<'_>| {
        format!("{} {}", request.offers_upgrade(), request.offers_protocol("lines"))
    });
    let held = Conversation::with(service.clone(), format!("{OFFER}lines\r\n\r\n")).without_more().hold();
    assert_eq!(held.text(), "true true");
    let held = Conversation::with(service, format!("{OFFER}lines\r\nExpect: 100-continue\r\n\r\n"))
        .without_more()
        .hold();
    assert_eq!((held.statuses(), held.text()), (vec![200], "false false"));
    held.assert_lives();
}
