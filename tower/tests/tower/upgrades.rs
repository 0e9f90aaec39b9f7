//! Upgrades and tunnels: the connection in the service's hands.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use anabranch_core::Flow;
use anabranch_core::job::slot;
use anabranch_core::testing::Rig;
use anabranch_tower::upgrade::{self, NotUpgraded, OnUpgrade, Upgraded};
use anabranch_tower::{HttpService, RequestBody};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use http::header::{CONNECTION, CONTENT_LENGTH, UPGRADE};
use http::{Method, Request, Response, StatusCode};

use crate::{rig, tower_fn, written};

const OFFER: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";

/// The answer that accepts an upgrade to `protocol`.
fn accepted(protocol: &str) -> Response<String> {
    let builder = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
    // As routers add them on their own.
    builder
        .header(UPGRADE, protocol)
        .header(CONNECTION, "Upgrade")
        .header(CONTENT_LENGTH, 0)
        .body(String::new())
        .unwrap()
}

async fn echo(mut stream: Upgraded) {
    let mut buffer = [0; 100];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        if stream.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

#[test]
fn work_is_run_with_the_connection_and_what_came_behind_the_request() {
    let mut rig = rig(tower_fn(async |mut request: Request<RequestBody>| {
        upgrade::on(&mut request).run(echo);
        accepted("echo")
    }));
    rig.read([OFFER, "behind"].concat());
    assert_eq!(
        written(&mut rig),
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: echo\r\nconnection: upgrade\r\n\r\nbehind"
    );
    rig.read("more");
    assert_eq!(rig.written(), b"more");
    rig.eof();
    assert!(rig.is_finished());
}

/// A service that accepts an upgrade, and who gets the connection.
fn keeping(
    answer: impl Fn() -> Response<String> + Clone + Send + 'static,
) -> (impl HttpService, Arc<Mutex<Option<OnUpgrade>>>) {
    let kept = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&kept);
    let service = tower_fn(move |mut request: Request<RequestBody>| {
        *keep.lock().unwrap() = Some(upgrade::on(&mut request));
        std::future::ready(answer())
    });
    (service, kept)
}

fn poll(on_upgrade: &mut OnUpgrade) -> Poll<Result<Upgraded, NotUpgraded>> {
    Pin::new(on_upgrade).poll(&mut Context::from_waker(Waker::noop()))
}

fn taken(rig: &mut Rig<Box<dyn Flow>>, kept: &Mutex<Option<OnUpgrade>>) -> Result<Upgraded, NotUpgraded> {
    let mut on_upgrade = kept.lock().unwrap().take().unwrap();
    rig.written();
    rig.run();
    let Poll::Ready(result) = poll(&mut on_upgrade) else {
        panic!("it is not known whether there is an upgrade")
    };
    result
}

#[test]
fn connection_is_awaited_wherever_it_is_wanted() {
    let (service, kept) = keeping(|| accepted("echo"));
    let mut rig = rig(service);
    rig.read([OFFER, "behind"].concat());
    let mut stream = taken(&mut rig, &kept).unwrap();
    let mut behind = [0; 6];
    futures_lite::future::block_on(async {
        stream.read_exact(&mut behind).await.unwrap();
        stream.write_all(b"answer").await.unwrap();
        stream.close().await.unwrap();
    });
    assert_eq!(&behind, b"behind");
    rig.run();
    assert_eq!(rig.written(), b"answer");
}

#[test]
fn upgrade_that_is_awaited_before_the_answer_is_woken_by_it() {
    let (decision, pending) = slot::<()>();
    let (kept, pending) = (Arc::new(Mutex::new(None)), Arc::new(Mutex::new(pending)));
    let keep = Arc::clone(&kept);
    let mut rig = rig(tower_fn(move |mut request: Request<RequestBody>| {
        *keep.lock().unwrap() = Some(upgrade::on(&mut request));
        let pending = Arc::clone(&pending);
        async move {
            let decided = poll_fn(|context| pending.lock().unwrap().poll(context.waker())).await;
            decided.map_or_else(|_| Response::new(String::new()), |()| accepted("echo"))
        }
    }));
    rig.read(OFFER);
    let mut on_upgrade = kept.lock().unwrap().take().unwrap();
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    assert!(Pin::new(&mut on_upgrade).poll(&mut Context::from_waker(&waker)).is_pending());
    decision.complete(());
    rig.run();
    assert!(written(&mut rig).starts_with("HTTP/1.1 101 "));
    rig.run();
    assert!(woken.0.load(Ordering::Relaxed), "nobody was told of the connection");
    assert!(matches!(poll(&mut on_upgrade), Poll::Ready(Ok(_))));
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn tunnel_is_given_for_a_connect_that_is_accepted() {
    let mut rig = rig(tower_fn(async |mut request: Request<RequestBody>| {
        assert_eq!(request.method(), Method::CONNECT);
        upgrade::on(&mut request).run(echo);
        Response::new(String::new())
    }));
    rig.read("CONNECT b:1 HTTP/1.1\r\nHost: b:1\r\n\r\ntunnelled");
    assert_eq!(written(&mut rig), "HTTP/1.1 200 OK\r\n\r\ntunnelled");
}

#[test]
fn answer_of_another_status_keeps_the_connection() {
    for request in [OFFER, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"] {
        let (service, kept) = keeping(|| Response::new("plain".to_owned()));
        let mut rig = rig(service);
        for _ in 0..2 {
            rig.read(request);
            assert!(written(&mut rig).ends_with("\r\n\r\nplain"));
            assert_eq!(
                poll(&mut kept.lock().unwrap().take().unwrap()).map(Result::err),
                Poll::Ready(Some(NotUpgraded))
            );
        }
    }
}

#[test]
fn switch_that_was_not_offered_is_a_fault_of_the_service() {
    for (request, protocol) in [(OFFER, "other"), ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "echo")] {
        let (service, kept) = keeping(move || accepted(protocol));
        let mut rig = rig(service);
        rig.read(request);
        assert!(written(&mut rig).starts_with("HTTP/1.1 500 "));
        assert_eq!(taken(&mut rig, &kept).err(), Some(NotUpgraded));
    }
}

#[test]
fn connection_that_nobody_takes_ends_in_order() {
    let mut rig = rig(tower_fn(async |_| accepted("echo")));
    rig.read(OFFER);
    assert!(written(&mut rig).starts_with("HTTP/1.1 101 "));
    rig.run();
    rig.eof();
    assert!(rig.is_finished());
}

#[test]
fn clones_are_one_upgrade() {
    let (service, kept) = keeping(|| accepted("echo"));
    let mut rig = rig(service);
    rig.read(OFFER);
    let mut other = kept.lock().unwrap().clone().unwrap();
    assert!(taken(&mut rig, &kept).is_ok());
    assert!(matches!(poll(&mut other), Poll::Ready(Err(NotUpgraded))));
}
