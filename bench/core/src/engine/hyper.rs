//! hyper, driven in memory: its connection is polled until it waits for input that is not there.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, SERVER};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};

use super::{Engine, Sink};
use crate::scenario::{HELLO, Scenario};

type Body = Either<Full<Bytes>, Incoming>;
type BoxError = Box<dyn std::error::Error + Send + Sync>;

async fn answer(request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let (media_type, body) = match request.uri().path() {
        "/plaintext" => ("text/plain", Either::Left(Full::from(HELLO))),
        "/collect" => {
            let body = request.into_body().collect().await.expect("the scenarios are well-formed").to_bytes();
            ("application/octet-stream", Either::Left(Full::from(body)))
        }
        "/stream" => ("application/octet-stream", Either::Right(request.into_body())),
        _ => {
            let mut missing = Response::new(Either::Left(Full::default()));
            *missing.status_mut() = StatusCode::NOT_FOUND;
            return Ok(missing);
        }
    };
    let mut response = Response::new(body);
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    fields.insert(SERVER, HeaderValue::from_static("hyper"));
    Ok(response)
}

#[derive(Default)]
struct Pipe {
    input: Vec<u8>,
    taken: usize,
    sink: Sink,
}

struct Memory(Rc<RefCell<Pipe>>);

impl Read for Memory {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut pipe = self.0.borrow_mut();
        let count = into.remaining().min(pipe.input.len() - pipe.taken);
        if count == 0 {
            return Poll::Pending;
        }
        into.put_slice(&pipe.input[pipe.taken..pipe.taken + count]);
        pipe.taken += count;
        Poll::Ready(Ok(()))
    }
}

impl Write for Memory {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().sink.write(data);
        Poll::Ready(Ok(data.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut pipe = self.0.borrow_mut();
        Poll::Ready(Ok(slices.iter().fold(0, |len, slice| {
            pipe.sink.write(slice);
            len + slice.len()
        })))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Polls again, as a runtime would, when the connection wakes itself.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

pub struct Hyper {
    woken: Arc<Woken>,
    waker: Waker,
    pipe: Rc<RefCell<Pipe>>,
    connection: Pin<Box<dyn Future<Output = hyper::Result<()>>>>,
}

impl Hyper {
    pub fn new() -> Self {
        Self::serving(service_fn(answer))
    }

    /// The same for another application.
    pub fn serving<B>(
        service: impl Service<Request<Incoming>, Response = Response<B>, Error: Into<BoxError>, Future: 'static>
        + 'static,
    ) -> Self
    where
        B: hyper::body::Body<Error: Into<BoxError>> + 'static,
    {
        let pipe = Rc::new(RefCell::new(Pipe::default()));
        let mut builder = http1::Builder::new();
        builder.header_read_timeout(None).pipeline_flush(true);
        let connection = builder.serve_connection(Memory(Rc::clone(&pipe)), service);
        let woken = Arc::new(Woken::default());
        Self { waker: Waker::from(Arc::clone(&woken)), woken, pipe, connection: Box::pin(connection) }
    }

    fn exchange(&mut self, input: &[u8]) {
        {
            let mut pipe = self.pipe.borrow_mut();
            pipe.input.clear();
            pipe.input.extend_from_slice(input);
            pipe.taken = 0;
        }
        loop {
            let polled = self.connection.as_mut().poll(&mut Context::from_waker(&self.waker));
            assert!(polled.is_pending(), "the connection is kept open");
            if !self.woken.0.swap(false, Ordering::Relaxed) {
                break;
            }
        }
    }
}

impl Engine for Hyper {
    fn converse(&mut self, scenario: &Scenario) -> usize {
        self.exchange(scenario.input());
        self.pipe.borrow_mut().sink.take_count()
    }

    fn transcript(&mut self, scenario: &Scenario) -> Vec<u8> {
        self.pipe.borrow_mut().sink = Sink::keeping();
        self.exchange(scenario.input());
        self.pipe.borrow_mut().sink.take_kept()
    }
}
