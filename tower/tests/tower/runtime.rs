//! A runtime around everything of a service's.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use anabranch_core::app::Http;
use anabranch_core::testing::Rig;
use anabranch_tower::{RequestBody, service, upgrade};
use bytes::Bytes;
use http::header::UPGRADE;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::{tower_fn, written};

/// Where a service was touched outside its runtime.
type Strays = Arc<Mutex<Vec<&'static str>>>;

/// Something of a service's that looks, wherever it is touched, whether it is within a runtime.
struct Watched {
    name: &'static str,
    strays: Strays,
    polls: usize,
}

impl Watched {
    fn new(name: &'static str, strays: &Strays) -> Self {
        let watched = Self { name, strays: Arc::clone(strays), polls: 0 };
        watched.look();
        watched
    }

    fn look(&self) {
        if Handle::try_current().is_err() {
            self.strays.lock().unwrap().push(self.name);
        }
    }

    /// Pending at first, so that what is polled is polled by whoever waits for it.
    fn poll_twice(&mut self, context: &Context<'_>) -> Poll<()> {
        self.look();
        self.polls += 1;
        context.waker().wake_by_ref();
        if self.polls > 1 { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.look();
    }
}

impl Future for Watched {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.poll_twice(context)
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = std::convert::Infallible;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.poll_twice(context).map(|()| None)
    }
}

/// A clone of a service: made and dropped within the runtime, too.
struct Service(Watched);

impl Clone for Service {
    fn clone(&self) -> Self {
        Self(Watched::new("clone", &self.0.strays))
    }
}

impl tower_service::Service<Request<RequestBody>> for Service {
    type Response = Response<Watched>;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_twice(context).map(Ok)
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> Self::Future {
        self.0.look();
        self.0.polls = 0;
        let strays = Arc::clone(&self.0.strays);
        Box::pin(async move {
            Watched::new("future", &strays).await;
            let mut response = Response::new(Watched::new("answer's body", &strays));
            if request.uri() == "/upgrade" {
                let task = Watched::new("task", &strays);
                upgrade::on(&mut request).run(|stream| async move {
                    task.await;
                    drop(stream);
                });
                *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                response.headers_mut().insert(UPGRADE, "echo".parse().unwrap());
            }
            Ok(response)
        })
    }
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap()
}

#[test]
fn everything_of_a_service_is_touched_within_its_runtime() {
    let runtime = runtime();
    let strays = Strays::default();
    let prototype = {
        let _entered = runtime.enter();
        Service(Watched::new("prototype", &strays))
    };
    let http = Http::new(service(prototype).with_tokio(runtime.handle().clone()));
    let request = "Host: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
    for (target, status) in [("/", "200"), ("/upgrade", "101")] {
        let mut rig = Rig::connect(&http);
        rig.read(format!("GET {target} HTTP/1.1\r\n{request}"));
        rig.run();
        assert!(written(&mut rig).starts_with(&format!("HTTP/1.1 {status} ")));
        rig.run();
    }
    // One whose peer leaves while it waits.
    let mut rig = Rig::connect(&http);
    rig.read(format!("GET / HTTP/1.1\r\n{request}"));
    drop(rig);
    drop(http);
    assert_eq!(*strays.lock().unwrap(), [""; 0]);
}

#[test]
fn without_a_runtime_none_is_entered() {
    let mut rig = crate::rig(tower_fn(async |_| Response::new(format!("{}", Handle::try_current().is_ok()))));
    rig.read("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(written(&mut rig).ends_with("\r\n\r\nfalse"));
}

#[test]
fn timers_of_tokio_wake_the_connection() {
    let runtime = runtime();
    let (sender, woken) = std::sync::mpsc::channel();
    let tower = service(tower_fn(move |_| {
        let sender = sender.clone();
        async move {
            let slept = tokio::spawn(tokio::time::sleep(Duration::from_millis(1)));
            slept.await.unwrap();
            sender.send(()).unwrap();
            Response::new(String::from("slept"))
        }
    }));
    let mut rig = Rig::connect(&Http::new(tower.with_tokio(runtime.handle().clone())));
    rig.read("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    while rig.wakes() == 0 {
        std::thread::yield_now();
    }
    rig.run();
    woken.recv().unwrap();
    assert!(written(&mut rig).ends_with("\r\n\r\nslept"));
}
