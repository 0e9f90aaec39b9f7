//! Answers that end with the connection: over sockets, what breaks one off is a reset and never an orderly end.

use std::task::{self, Poll};
use std::thread;
use std::time::Duration;

use anabranch_core::app::{
    Body, BodyError, BodySource, Context, Frame, Outcome, Request, Response, service_fn,
};
use bytes::Bytes;

use super::model::Model;
use super::server::Server;
use crate::client::get;

/// Gives `half`, and goes on as its path says.
struct Half {
    path: String,
    given: bool,
}

impl BodySource for Half {
    fn poll_frame(
        &mut self,
        _: &mut task::Context<'_>,
        max: usize,
    ) -> Poll<Option<Result<Frame, BodyError>>> {
        if !std::mem::replace(&mut self.given, true) {
            return Poll::Ready(Some(Ok(Frame::Data(Bytes::from_static(b"half")))));
        }
        match self.path.as_str() {
            "/breaks" => Poll::Ready(Some(Err(BodyError::Aborted))),
            "/waits" => Poll::Pending,
            "/endless" => Poll::Ready(Some(Ok(Frame::Data(Bytes::from(vec![b'.'; max.min(65_536)]))))),
            _ => Poll::Ready(None),
        }
    }
}

fn serve(model: &Model, stall: Option<Duration>) -> Server {
    let service = service_fn(|request: &mut Request, _: &mut Context<'_>| -> Outcome {
        Response::ok(Body::source(Half { path: request.path().to_owned(), given: false })).into()
    });
    model.serve_service(service, |settings| settings.deadlines.write_stall = stall)
}

const STALL: Duration = Duration::from_millis(200);

pub(super) fn answer_that_breaks_off_ends_with_a_reset_where_nothing_else_tells(model: &Model) {
    let server = serve(model, None);
    for _ in 0..10 {
        let mut client = server.connect();
        client.send("GET /breaks HTTP/1.0\r\n\r\n");
        assert!(b"half".starts_with(body(&client.rest_before_reset())));
    }
    // The chunk that ends it is missing: an orderly end takes nothing back that is still on its way.
    let mut client = server.connect();
    client.send(get("/breaks"));
    assert_eq!(body(&client.rest()), b"4\r\nhalf\r\n");
}

/// What came of the body; a reset may have taken all of it.
fn body(received: &[u8]) -> &[u8] {
    let head = received.windows(4).position(|four| four == b"\r\n\r\n");
    head.map_or(b"", |end| &received[end + 4..])
}

pub(super) fn abort_within_an_answer_that_ends_with_the_connection_resets_it(model: &Model) {
    let server = serve(model, None);
    let mut client = server.connect();
    client.send("GET /waits HTTP/1.0\r\n\r\n");
    client.head();
    assert_eq!(client.take(4), b"half");
    server.abort();
    assert_eq!(client.rest_before_reset(), b"");
}

pub(super) fn stall_within_an_answer_that_ends_with_the_connection_resets_it(model: &Model) {
    let server = serve(model, Some(STALL));
    let mut client = server.connect();
    client.send("GET /endless HTTP/1.0\r\n\r\n");
    thread::sleep(STALL * 4);
    client.rest_before_reset();
}

pub(super) fn answer_that_is_whole_ends_in_order(model: &Model) {
    let server = serve(model, None);
    for _ in 0..10 {
        let mut client = server.connect();
        client.send("GET /ends HTTP/1.0\r\n\r\n");
        assert_eq!(body(&client.rest()), b"half");
    }
}
