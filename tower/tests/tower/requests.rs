//! What a service is called with.

use std::sync::{Arc, Mutex};

use anabranch_core::app::{Context, Http, Service as _, service_fn};
use anabranch_core::testing::{Rig, oneshot};
use anabranch_core::{ConnectionId, ConnectionInfo, Instant, Protocol};
use anabranch_tower::{RequestBody, service};
use http::{HeaderValue, Method, Request, Response, Version};
use http_body::Body;
use http_body_util::BodyExt;
use proptest::prelude::*;

use crate::{ask, tower_fn};

/// What `request` looks like to a service, body apart.
fn seen(request: &str) -> Request<RequestBody> {
    let seen = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&seen);
    ask(
        tower_fn(move |request| {
            *keep.lock().unwrap() = Some(request);
            async { Response::new(String::new()) }
        }),
        request,
    );
    seen.lock().unwrap().take().unwrap()
}

#[test]
fn head_is_as_the_peer_sent_it() {
    let request = seen(
        "GET /a/b?c=d&e HTTP/1.1\r\nHost: Example.ORG:80\r\nAccept: text/html\r\nX-Own: 1\r\n\
         accept:  text/plain \r\nx-own: 2\r\nX-OWN:\r\nX-Latin: \u{e9}\r\n\r\n",
    );
    assert_eq!((request.method(), request.version()), (&Method::GET, Version::HTTP_11));
    assert_eq!((request.uri().path(), request.uri().query()), ("/a/b", Some("c=d&e")));
    assert_eq!(request.uri().authority(), None);
    let values = |name| request.headers().get_all(name).iter().collect::<Vec<_>>();
    assert_eq!(values("host"), ["Example.ORG:80"]);
    assert_eq!(values("accept"), ["text/html", "text/plain"]);
    assert_eq!(values("x-own"), ["1", "2", ""]);
    assert_eq!(values("x-latin"), [&HeaderValue::from_bytes("\u{e9}".as_bytes()).unwrap()]);
    assert_eq!(request.headers().len(), 7);
}

#[test]
fn target_keeps_its_form() {
    let absolute = seen("GET http://example.org/a?b HTTP/1.1\r\nHost: other\r\n\r\n");
    assert_eq!(absolute.uri(), "http://example.org/a?b");
    assert_eq!(absolute.headers()["host"], "other");
    let tunnel = seen("CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n");
    assert_eq!(
        (tunnel.method(), tunnel.uri().authority().unwrap().as_str()),
        (&Method::CONNECT, "example.org:443")
    );
    assert_eq!(tunnel.uri().path(), "");
    assert_eq!(seen("PURGE / HTTP/1.0\r\n\r\n").version(), Version::HTTP_10);
}

#[test]
fn target_that_is_no_uri_is_refused() {
    let answer =
        ask(tower_fn(async |_| Response::new(String::new())), "GET /a`b HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
}

#[test]
fn extensions_name_the_connection_and_carry_what_was_attached() {
    #[derive(Clone, Debug, PartialEq)]
    struct Attached(u32);

    let tower = service(tower_fn(async |request: Request<RequestBody>| {
        let connection: &ConnectionInfo = request.extensions().get().unwrap();
        assert_eq!(request.extensions().get(), Some(&Attached(7)));
        Response::new(format!("{} {:?}", connection.id, connection.peer.unwrap()))
    }));
    let http = Http::new(service_fn(
        move |request: &mut anabranch_core::app::Request, context: &mut Context<'_>| {
            request.extensions_mut().insert(Attached(7));
            tower.call(request, context)
        },
    ));
    let info = ConnectionInfo::new(ConnectionId(3)).with_addresses(None, Some(([10, 0, 0, 1], 80).into()));
    let mut rig = Rig::new(http.connect(info, Instant::ORIGIN));
    rig.read("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(rig.written().ends_with(b"\r\n\r\nc3 10.0.0.1:80"));
}

#[test]
fn extensions_are_those_asked_for() {
    let tower = service(tower_fn(async |request: Request<RequestBody>| {
        assert!(request.extensions().get::<ConnectionInfo>().is_none());
        Response::new(request.extensions().get::<&str>().map_or("none", |text| *text).to_owned())
    }));
    let tower = tower.with_extensions(|_, extensions| {
        extensions.insert("ours");
    });
    assert!(oneshot(tower, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").ends_with(b"\r\n\r\nours"));
}

#[test]
fn body_is_known_to_be_none_where_there_is_none() {
    for request in
        ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"]
    {
        let body = seen(request).into_body();
        assert!(body.is_end_stream());
        assert_eq!(body.size_hint().exact(), Some(0));
    }
}

#[test]
fn body_says_what_is_left_and_ends_with_its_last_byte() {
    let service = tower_fn(async |mut request: Request<RequestBody>| {
        let body = request.body_mut();
        let mut said = format!("{:?} {}", body.size_hint().exact(), body.is_end_stream());
        while let Some(frame) = body.frame().await {
            let data = frame.unwrap().into_data().unwrap();
            said += &format!(", {data:?} {:?} {}", body.size_hint().exact(), body.is_end_stream());
        }
        Response::new(said)
    });
    let mut rig = crate::rig(service);
    rig.read("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab");
    rig.read("cde");
    let answer = crate::written(&mut rig);
    assert!(
        answer.ends_with("\r\n\r\nSome(5) false, b\"ab\" Some(3) false, b\"cde\" Some(0) true"),
        "{answer}"
    );
    // The end was taken, so nothing is left to be declined.
    rig.read("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(crate::written(&mut rig).starts_with("HTTP/1.1 200 OK"));
}

#[test]
fn chunks_come_with_their_trailer_fields() {
    let service = tower_fn(async |request: Request<RequestBody>| {
        assert_eq!((request.body().size_hint().exact(), request.body().is_end_stream()), (None, false));
        let collected = request.into_body().collect().await.unwrap();
        let trailers = format!("{:?}", collected.trailers().unwrap()["x-sum"]);
        Response::new(format!("{:?} {trailers}", collected.to_bytes()))
    });
    let answer = ask(
        service,
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n",
    );
    assert!(answer.ends_with("\r\n\r\nb\"abcde\" \"5\""), "{answer}");
}

#[test]
fn body_is_asked_for_when_it_is_read() {
    let mut rig = crate::rig(tower_fn(async |request: Request<RequestBody>| {
        let text = if request.uri() == "/read" {
            request.into_body().collect().await.unwrap().to_bytes()
        } else {
            "unread".into()
        };
        Response::new(http_body_util::Full::new(text))
    }));
    let head = |path| {
        format!("POST {path} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    };
    rig.read(head("/read"));
    assert_eq!(crate::written(&mut rig), "HTTP/1.1 100 Continue\r\n\r\n");
    rig.read("ok");
    assert!(crate::written(&mut rig).ends_with("\r\n\r\nok"));
    rig.read(head("/else"));
    assert!(crate::written(&mut rig).ends_with("\r\n\r\nunread"));
}

#[test]
fn body_that_breaks_off_is_an_error() {
    let said = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&said);
    let mut rig = crate::rig(tower_fn(move |request: Request<RequestBody>| {
        let keep = Arc::clone(&keep);
        async move {
            *keep.lock().unwrap() = request.into_body().collect().await.err();
            Response::new(String::new())
        }
    }));
    rig.read("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
    rig.read("no size\r\n");
    assert!(crate::written(&mut rig).starts_with("HTTP/1.1 400 "));
    // Whether the future sees the error or is dropped before, it never takes the body for whole.
    assert_ne!(said.lock().unwrap().map(|error| error.to_string()), Some(String::new()));
}

proptest! {
    #[test]
    fn values_of_a_name_keep_their_order(
        lines in prop::collection::vec(("[xX]-[a-cA-C]", "[!-~]{0,8}"), 0..40),
    ) {
        let head: String = lines.iter().map(|(name, value)| format!("{name}:{value}\r\n")).collect();
        let request = seen(&format!("GET / HTTP/1.1\r\nHost: a\r\n{head}\r\n"));
        prop_assert_eq!(request.headers().len(), lines.len() + 1);
        for name in ["x-a", "x-b", "x-c"] {
            let sent: Vec<_> =
                lines.iter().filter(|(sent, _)| sent.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect();
            let got: Vec<_> = request.headers().get_all(name).iter().map(|value| value.to_str().unwrap()).collect();
            prop_assert_eq!(got, sent);
        }
    }

    #[test]
    fn body_is_the_same_however_it_is_cut(body in prop::collection::vec(any::<u8>(), 0..3000), cut in 1..700_usize) {
        let mut rig = crate::rig(tower_fn(async |request: Request<RequestBody>| {
            Response::new(http_body_util::Full::new(request.into_body().collect().await.unwrap().to_bytes()))
        }));
        rig.read(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()));
        rig.feed(&body, cut);
        prop_assert!(rig.written().ends_with(&[b"\r\n\r\n", &body[..]].concat()));
    }
}
