//! A server in a runtime of somebody else's: it stops with a future, and ends with the runtime.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anabranch_core::app::{Context, Outcome, Request, Response, service_fn};
use anabranch_tokio::{Config, Handle, Listener, Model, serve};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};

const PATIENCE: Duration = Duration::from_secs(20);

fn runtimes() -> [Runtime; 2] {
    let current = Builder::new_current_thread().enable_all().build().unwrap();
    let multi = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    [current, multi]
}

/// Says on `asked` that `/slow` was asked for, and answers it once something comes from `answer`.
fn start(asked: mpsc::UnboundedSender<oneshot::Sender<()>>) -> Handle {
    let service = service_fn(move |request: &mut Request, _: &mut Context<'_>| -> Outcome {
        if request.path() == "/quick" {
            return Response::text("quick").into();
        }
        let (answer, answered) = oneshot::channel();
        asked.send(answer).unwrap();
        Outcome::future(async move {
            let _ = answered.await;
            // tokio's timer is there for whoever is polled in its runtime.
            tokio::time::sleep(Duration::from_millis(1)).await;
            Response::text("slow")
        })
    });
    serve(&Config::new(Model::Current), [Listener::bind("127.0.0.1:0").unwrap()], service).unwrap()
}

fn ask(handle: &Handle, path: &str) -> TcpStream {
    let mut client = TcpStream::connect(handle.local_addrs()[0]).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).unwrap();
    client
}

fn answer(mut client: TcpStream) -> String {
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn signal_drains_what_has_begun_and_ends() {
    for runtime in runtimes() {
        let summary = runtime.block_on(async {
            let (asked, mut hear) = mpsc::unbounded_channel();
            let (signal, told) = oneshot::channel::<()>();
            let handle = start(asked);
            let clients = std::thread::spawn({
                let handle = handle.clone();
                move || {
                    let slow = ask(&handle, "/slow");
                    let answers = hear.blocking_recv().unwrap();
                    signal.send(()).unwrap();
                    // The listener is closed before anything else.
                    while TcpStream::connect(handle.local_addrs()[0]).is_ok() {}
                    answers.send(()).unwrap();
                    answer(slow)
                }
            });
            let summary = handle.until(async { told.await.unwrap() }, PATIENCE).await;
            let answer = clients.join().unwrap();
            assert!(answer.contains("\r\nconnection: close\r\n") && answer.ends_with("slow"), "{answer}");
            summary
        });
        assert_eq!((summary.aborted, summary.left_behind), (None, 0));
        assert!(summary.counters.served >= 1);
    }
}

#[test]
fn server_that_was_stopped_otherwise_ends_the_wait_too() {
    for runtime in runtimes() {
        runtime.block_on(async {
            let handle = start(mpsc::unbounded_channel().0);
            handle.abort();
            let summary = handle.until(std::future::pending(), PATIENCE).await;
            assert!(summary.aborted.is_some());
            // It stays said.
            assert_eq!(handle.stopped().await, summary);
        });
    }
}

#[test]
fn runtime_that_shuts_down_closes_its_connections_wherever_they_are() {
    for runtime in runtimes() {
        let (asked, mut hear) = mpsc::unbounded_channel();
        let handle = {
            let _inside = runtime.enter();
            start(asked)
        };
        let (mut slow, mut idle) = (ask(&handle, "/slow"), ask(&handle, "/quick"));
        let held = runtime.block_on(async { hear.recv().await.unwrap() });
        let mut first = [0; 1];
        runtime.block_on(async {
            // Until the quick one has its answer.
            while !matches!(idle.set_nonblocking(true).and_then(|()| idle.read(&mut first)), Ok(1)) {
                tokio::task::yield_now().await;
            }
        });
        idle.set_nonblocking(false).unwrap();
        drop(runtime);
        // Neither hangs, and the server knows that they are gone.
        let mut rest = Vec::new();
        let _ = slow.read_to_end(&mut rest);
        assert!(rest.is_empty());
        let _ = idle.read_to_end(&mut rest);
        assert_eq!(handle.counters().open, 0);
        assert!(held.is_closed(), "what the application awaited is dropped");
        handle.abort();
        assert_eq!(handle.wait_timeout(PATIENCE).expect("it ends").left_behind, 0);
    }
}

#[test]
fn model_current_says_what_is_missing_outside_of_a_runtime() {
    let service = service_fn(|_: &mut Request, _: &mut Context<'_>| "hello");
    let error =
        serve(&Config::new(Model::Current), [Listener::bind("127.0.0.1:0").unwrap()], service).unwrap_err();
    assert!(error.to_string().contains("Model::tokio()"), "{error}");
}
