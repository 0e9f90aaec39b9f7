//! How answers are framed (RFC 9112 §6, RFC 9110 §8.6, §15), and what a handler cannot make them say.

use anabranch_core::CloseReason;
use anabranch_core::app::{Body, Context, Failure, Outcome, Request, Response, service_fn};
use anabranch_core::http1::Misuse;
use http::StatusCode;
use http::header::{
    CONNECTION, CONTENT_LENGTH, DATE, HeaderName, HeaderValue, SERVER, TRAILER, TRANSFER_ENCODING,
};

use crate::kit::{Answer, Conversation, Held, Parts, get, rig};

fn value(text: &'static str) -> HeaderValue {
    HeaderValue::from_static(text)
}

/// Asks for `/` of a service that answers with what `response` makes.
#[track_caller]
fn ask(method: &str, response: impl Fn() -> Response + Clone + Send + Sync + 'static) -> Held {
    let service = service_fn(move |_: &mut Request, _: &mut Context<'_>| -> Outcome { response().into() });
    Conversation::with(service, format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n")).without_more().hold()
}

/// The one answer to `GET` on a connection that lives on.
#[track_caller]
fn answer_to(method: &str, response: impl Fn() -> Response + Clone + Send + Sync + 'static) -> Answer {
    let mut held = ask(method, response);
    held.assert_lives();
    assert_eq!(held.answers.len(), 1, "{held:?}");
    held.answers.remove(0)
}

/// What the handler wants sent is not sent: 500, and the connection ends.
#[track_caller]
fn assert_unsendable(misuse: Misuse, method: &str, response: fn() -> Response) {
    let held = ask(method, response);
    assert_eq!(held.statuses(), [500], "{held:?}");
    held.assert_closed(CloseReason::Finished);
    assert_eq!(held.requests[0].failure, Some(Failure::Unsendable(misuse)));
}

#[test]
fn whole_body_has_a_length() {
    let answer = answer_to("GET", || Response::ok("hello"));
    assert_eq!((answer.field("content-length"), answer.text()), (Some("5"), "hello"));
    let answer = answer_to("GET", || Response::new(StatusCode::OK));
    assert_eq!((answer.field("content-length"), answer.text()), (Some("0"), ""));
}

#[test]
fn body_of_known_length_has_that_length() {
    let held = Conversation::new(get("/sized")).hold();
    held.assert_lives();
    assert_eq!(held.answers[0].field("content-length"), Some("10"));
    assert_eq!(held.text(), "0123456789");
}

#[test]
fn body_of_unknown_length_is_chunked_and_may_have_trailers() {
    let held = Conversation::new(get("/chunked")).hold();
    held.assert_lives();
    assert_eq!(held.text(), "part 0\npart 1\npart 2\n");
    let held = Conversation::new(get("/trailers")).hold();
    held.assert_lives();
    assert_eq!(held.answers[0].trailers, [("x-parts".to_owned(), "2".to_owned())]);
}

#[test]
fn trailers_that_frame_or_route_are_left_out() {
    let answer = answer_to("GET", || {
        let mut parts = Parts::new(&["x"]);
        for name in [CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION, TRAILER] {
            parts.trailers.append(name, value("1"));
        }
        parts.trailers.append(HeaderName::from_static("x-sum"), value("9"));
        Response::ok(Body::source(parts))
    });
    assert_eq!(answer.trailers, [("x-sum".to_owned(), "9".to_owned())]);
}

#[test]
fn trailers_of_a_body_that_is_not_chunked_are_dropped() {
    let answer = answer_to("GET", || {
        let mut parts = Parts::new(&["x"]).with_length(1);
        parts.trailers.append(HeaderName::from_static("x-sum"), value("9"));
        Response::ok(Body::source(parts))
    });
    assert_eq!((answer.text(), answer.trailers.len()), ("x", 0));
}

/// A body that nobody knows the length of, or of this one, and the trailer field it is to have.
fn announced(length: Option<u64>) -> Response {
    let mut parts = Parts::new(&["x"]);
    parts.trailers.append(HeaderName::from_static("x-sum"), value("9"));
    let parts = match length {
        Some(length) => parts.with_length(length),
        None => parts,
    };
    Response::ok(Body::source(parts)).with_field(TRAILER, value("x-sum"))
}

#[test]
fn trailers_are_announced_only_where_they_can_follow() {
    for method in ["GET", "HEAD"] {
        assert_eq!(answer_to(method, || announced(None)).field("trailer"), Some("x-sum"), "{method}");
        assert_eq!(answer_to(method, || announced(Some(1))).field("trailer"), None, "{method}");
        let whole = || Response::text("x").with_field(TRAILER, value("x-sum"));
        assert_eq!(answer_to(method, whole).field("trailer"), None, "{method}");
        let old = format!("{method} / HTTP/1.0\r\n\r\n");
        let service =
            service_fn(|_: &mut Request, _: &mut Context<'_>| -> Outcome { announced(None).into() });
        let held = Conversation::with(service, old).without_more().hold();
        assert_eq!(held.answers[0].field("trailer"), None, "{held:?}");
    }
    let none = || Response::new(StatusCode::NO_CONTENT).with_field(TRAILER, value("x-sum"));
    assert_eq!(answer_to("GET", none).field("trailer"), None);
}

#[test]
fn head_has_the_fields_of_get_and_no_body() {
    for target in ["/hello", "/sized", "/chunked", "/trailers", "/no-content", "/not-modified"] {
        let full = Conversation::new(get(target)).hold();
        let head = Conversation::new(format!("HEAD {target} HTTP/1.1\r\nHost: a\r\n\r\n")).hold();
        head.assert_lives();
        assert_eq!(head.answers[0].fields, full.answers[0].fields, "{target}");
        assert_eq!(head.answers[0].status, full.answers[0].status);
        assert!(head.answers[0].body.is_empty());
    }
}

#[test]
fn handler_of_head_may_say_the_length_of_what_it_does_not_make() {
    let answer =
        answer_to("HEAD", || Response::new(StatusCode::OK).with_field(CONTENT_LENGTH, value("1234")));
    assert_eq!(answer.field("content-length"), Some("1234"));
}

#[test]
fn statuses_without_a_body_have_none() {
    let answer = answer_to("GET", || StatusCode::NO_CONTENT.into());
    assert_eq!(answer.field("content-length"), None);
    let answer = answer_to("GET", || StatusCode::NOT_MODIFIED.into());
    assert_eq!(answer.field("content-length"), None);
    let answer = answer_to("GET", || StatusCode::RESET_CONTENT.into());
    assert_eq!(answer.field("content-length"), Some("0"));
}

#[test]
fn not_modified_may_say_the_length_of_what_was_not_modified() {
    let answer =
        answer_to("GET", || Response::from(StatusCode::NOT_MODIFIED).with_field(CONTENT_LENGTH, value("7")));
    assert_eq!(answer.field("content-length"), Some("7"));
}

#[test]
fn body_where_none_may_be_is_not_sent() {
    for status in [204, 205, 304] {
        let status = StatusCode::from_u16(status).unwrap();
        for length in [None, Some("5")] {
            let response = move || {
                let response = Response::ok("hello").with_status(status);
                match length {
                    Some(length) => response.with_field(CONTENT_LENGTH, value(length)),
                    None => response,
                }
            };
            let held = ask("GET", response);
            assert_eq!(held.statuses(), [500], "{status} {length:?}");
            let held = ask("HEAD", response);
            assert_eq!(held.statuses(), [status.as_u16()], "{length:?}");
            held.assert_lives();
        }
        assert_unsendable(Misuse::TooLong, "GET", || {
            Response::ok(Body::source(Parts::new(&["x"]))).with_status(StatusCode::NO_CONTENT)
        });
    }
}

#[test]
fn length_may_be_said_where_it_is_true() {
    let answer = answer_to("GET", || Response::ok("hello").with_field(CONTENT_LENGTH, value("5")));
    assert_eq!((answer.field("content-length"), answer.text()), (Some("5"), "hello"));
    let answer = answer_to("GET", || {
        Response::ok(Body::source(Parts::new(&["01", "23"]))).with_field(CONTENT_LENGTH, value("4"))
    });
    assert_eq!((answer.field("content-length"), answer.text()), (Some("4"), "0123"));
}

#[test]
fn contradicting_length_is_not_sent() {
    for response in [
        || Response::ok("hello").with_field(CONTENT_LENGTH, value("4")),
        || Response::ok("hello").with_field(CONTENT_LENGTH, value("x")),
        || Response::ok("hello").with_field(CONTENT_LENGTH, value("5, 5")),
        || {
            Response::ok("hello")
                .with_field(CONTENT_LENGTH, value("5"))
                .with_field(CONTENT_LENGTH, value("6"))
        },
        || Response::ok("").with_field(CONTENT_LENGTH, value("6")),
    ] {
        assert_unsendable(Misuse::ContradictingLength, "GET", response);
    }
}

#[test]
fn framing_fields_are_not_the_applications() {
    for response in [
        || Response::ok("x").with_field(TRANSFER_ENCODING, value("chunked")),
        || Response::ok("x").with_field(CONNECTION, value("keep-alive")),
        || Response::ok("x").with_field(CONNECTION, value("upgrade")),
        || Response::ok("x").with_field(CONNECTION, value("close, x")),
        || Response::ok("x").with_field(HeaderName::from_static("keep-alive"), value("timeout=5")),
    ] {
        assert_unsendable(Misuse::FramingField, "GET", response);
    }
}

#[test]
fn application_may_wish_the_connection_closed_in_a_field() {
    let held = ask("GET", || Response::ok("x").with_field(CONNECTION, value("Close")));
    assert_eq!(held.statuses(), [200]);
    held.assert_closed(CloseReason::Finished);
}

#[test]
fn interim_status_is_no_answer() {
    for status in [100, 101, 103, 199] {
        let service =
            service_fn(move |_: &mut Request, _: &mut Context<'_>| StatusCode::from_u16(status).unwrap());
        let held = Conversation::with(service, get("/")).without_more().hold();
        assert_eq!(held.statuses(), [500]);
        assert_eq!(held.requests[0].failure, Some(Failure::Unsendable(Misuse::Status)));
    }
}

#[test]
fn unknown_status_is_sent_without_a_reason() {
    let held = ask("GET", || StatusCode::from_u16(799).unwrap().into());
    assert_eq!(held.statuses(), [799]);
    held.assert_lives();
}

#[test]
fn body_longer_than_announced_is_cut_off() {
    let held = ask("GET", || Response::ok(Body::source(Parts::new(&["012", "345"]).with_length(4))));
    assert_eq!((held.answers[0].whole, held.text()), (false, "012"));
    assert_eq!(held.closed, Some(CloseReason::ApplicationFailed));
}

#[test]
fn body_shorter_than_announced_is_cut_off() {
    let held = ask("GET", || Response::ok(Body::source(Parts::new(&["012", "345"]).with_length(7))));
    assert_eq!((held.answers[0].whole, held.text()), (false, "012345"));
    assert_eq!(held.closed, Some(CloseReason::ApplicationFailed));
}

#[test]
fn empty_pieces_end_no_chunked_body() {
    let answer = answer_to("GET", || Response::ok(Body::source(Parts::new(&["", "a", "", "b", ""]))));
    assert_eq!(answer.text(), "ab");
}

#[test]
fn answers_cannot_be_split() {
    for text in ["a\r\nx: y", "a\nb", "a\rb", "a\0b", "a\r\n\r\nbody"] {
        assert!(HeaderValue::from_str(text).is_err(), "{text:?}");
        assert!(HeaderName::from_bytes(text.as_bytes()).is_err(), "{text:?}");
    }
    for text in ["a b", "a:b", "", "é"] {
        assert!(HeaderName::from_bytes(text.as_bytes()).is_err(), "{text:?}");
    }
}

#[test]
fn date_and_server_are_sent_unless_the_application_says_its_own() {
    let mut rig = rig(service_fn(|request: &mut Request, _: &mut Context<'_>| {
        let response = Response::ok("x");
        if request.path() == "/own" {
            response.with_field(DATE, value("today")).with_field(SERVER, value("mine"))
        } else {
            response
        }
    }));
    rig.read(get("/"));
    let text = String::from_utf8(rig.written()).unwrap();
    assert!(text.contains("\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\nserver: anabranch\r\n"), "{text}");
    rig.read(get("/own"));
    let text = String::from_utf8(rig.written()).unwrap();
    assert_eq!((text.matches("date: ").count(), text.matches("server: ").count()), (1, 1));
    assert!(text.contains("date: today\r\nserver: mine\r\n"), "{text}");
}

#[test]
fn failure_of_a_head_request_has_no_body() {
    let held = Conversation::new("HEAD /panic HTTP/1.1\r\nHost: a\r\n\r\n").hold();
    assert_eq!((held.statuses(), held.text()), (vec![500], ""));
    held.assert_closed(CloseReason::Finished);
}

#[test]
fn options_of_the_whole_server_may_have_a_body() {
    let request = "OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    let held = Conversation::new(request).hold();
    assert_eq!(held.statuses(), [204]);
    held.assert_lives();
}
