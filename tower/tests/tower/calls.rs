//! When and how a service is called.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use anabranch_core::app::{Http, Service as _, service_fn};
use anabranch_core::testing::Rig;
use anabranch_tower::{RequestBody, service};
use http::{Request, Response};

use crate::{ask, tower_fn, written};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// What a service and its clones have gone through.
#[derive(Default)]
struct Record {
    is_open: bool,
    waker: Option<Waker>,
    clones: usize,
    calls: usize,
}

/// A service that is ready when it is opened, and must not be called before.
struct Gated {
    record: Arc<Mutex<Record>>,
    is_ready: bool,
}

impl Clone for Gated {
    fn clone(&self) -> Self {
        self.record.lock().unwrap().clones += 1;
        Self { record: Arc::clone(&self.record), is_ready: false }
    }
}

impl tower_service::Service<Request<RequestBody>> for Gated {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        let mut record = self.record.lock().unwrap();
        record.waker = Some(context.waker().clone());
        self.is_ready = record.is_open;
        if self.is_ready { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn call(&mut self, _: Request<RequestBody>) -> Self::Future {
        assert!(std::mem::take(&mut self.is_ready), "called before it was ready");
        let mut record = self.record.lock().unwrap();
        record.calls += 1;
        ready(Ok(Response::new(format!("call {}", record.calls))))
    }
}

#[test]
fn service_that_is_not_ready_is_waited_for() {
    let record = Arc::new(Mutex::new(Record::default()));
    let mut rig = crate::rig(Gated { record: Arc::clone(&record), is_ready: false });
    for request in [GET, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"] {
        record.lock().unwrap().is_open = false;
        rig.read(request);
        assert_eq!(written(&mut rig), "");
        let waker = {
            let mut record = record.lock().unwrap();
            record.is_open = true;
            record.waker.take().unwrap()
        };
        let wakes = rig.wakes();
        waker.wake();
        assert_eq!(rig.wakes(), wakes + 1);
        rig.run();
        assert!(written(&mut rig).starts_with("HTTP/1.1 200 OK"));
    }
}

#[test]
fn one_clone_serves_a_threads_requests_while_they_are_answered_at_once() {
    let record = Arc::new(Mutex::new(Record { is_open: true, ..Record::default() }));
    let mut rig = crate::rig(Gated { record: Arc::clone(&record), is_ready: false });
    for call in 1..=5 {
        rig.read(GET);
        assert!(written(&mut rig).ends_with(&format!("call {call}")));
    }
    assert_eq!(record.lock().unwrap().clones, 1);
}

#[test]
fn services_of_one_type_are_told_apart() {
    let tower = |name: &'static str| {
        service(tower::service_fn(move |_: Request<RequestBody>| {
            ready(Ok::<_, Infallible>(Response::new(name.to_owned())))
        }))
    };
    let (one, two) = (tower("one"), tower("two"));
    let mut rig = Rig::connect(&Http::new(service_fn(
        move |request: &mut anabranch_core::app::Request, context: &mut anabranch_core::app::Context<'_>| {
            if request.path() == "/one" { one.call(request, context) } else { two.call(request, context) }
        },
    )));
    for name in ["one", "two", "two", "one"] {
        rig.read(format!("GET /{name} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert!(written(&mut rig).ends_with(&format!("\r\n\r\n{name}")));
    }
}

#[test]
fn error_of_a_service_is_answered_with_500_and_told() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let failing =
        tower::service_fn(|_: Request<RequestBody>| ready(Err::<Response<String>, _>("out of order")));
    let tower = service(failing).on_error(move |error| tell.lock().unwrap().push(error.to_string()));
    let mut rig = Rig::connect(&Http::new(tower));
    rig.read(GET);
    let answer = written(&mut rig);
    assert!(answer.starts_with("HTTP/1.1 500 ") && !answer.contains("out of order"), "{answer}");
    assert_eq!(*told.lock().unwrap(), ["out of order"]);
    rig.read(GET);
    assert!(written(&mut rig).starts_with("HTTP/1.1 500 "), "the connection goes on");
}

#[test]
fn panic_is_answered_with_500() {
    let in_call = tower::service_fn(|request: Request<RequestBody>| {
        assert_ne!(request.uri(), "/", "in the call");
        ready(Ok::<_, Infallible>(Response::new(String::new())))
    });
    let in_future = tower_fn(async |request: Request<RequestBody>| {
        assert_ne!(request.uri(), "/", "in the future");
        Response::new(String::new())
    });
    assert!(ask(in_call, GET).starts_with("HTTP/1.1 500 "));
    assert!(ask(in_future, GET).starts_with("HTTP/1.1 500 "));
}

#[test]
fn future_is_dropped_when_its_peer_is_gone() {
    let held = Arc::new(());
    let holding = Arc::clone(&held);
    let mut rig = crate::rig(tower_fn(move |_| {
        let holding = Arc::clone(&holding);
        async move {
            std::future::pending::<()>().await;
            drop(holding);
            Response::new(String::new())
        }
    }));
    rig.read(GET);
    assert_eq!(Arc::strong_count(&held), 4, "here, in the service, in its clone, in the future");
    rig.reset();
    assert_eq!(Arc::strong_count(&held), 2);
}
