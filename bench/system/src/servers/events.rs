//! Peers that wait for events: each as its own examples set it up, with as many threads as it is told.

use std::convert::Infallible;
use std::io::{self, Read};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http::header::{CONTENT_TYPE, HeaderValue, SERVER};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use super::Place;
use crate::load::HELLO;

pub(super) fn hyper(place: &Place) -> io::Result<()> {
    tokio_threads(place)?.block_on(async {
        let listener = tokio::net::TcpListener::from_std(place.listen()?)?;
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(hyper_connection(stream));
        }
    })
}

pub(super) fn hyper_local(place: &Place) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let listener = tokio::net::TcpListener::from_std(place.listen()?)?;
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::task::spawn_local(hyper_connection(stream));
        }
    })
}

pub(super) fn tokio_threads(place: &Place) -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(place.threads).enable_io().build()
}

async fn hyper_connection(stream: tokio::net::TcpStream) {
    // What a batch is answered with goes out together, which it does not of itself.
    let _ = hyper::server::conn::http1::Builder::new()
        .pipeline_flush(true)
        .serve_connection(TokioIo::new(stream), service_fn(answer))
        .await;
}

async fn answer(
    request: http::Request<Incoming>,
) -> Result<http::Response<UnsyncBoxBody<Bytes, hyper::Error>>, Infallible> {
    let body = match request.uri().path() {
        "/plaintext" => hello(),
        "/deferred" => tokio::task::spawn_blocking(hello).await.unwrap_or_default(),
        _ => request.into_body().boxed_unsync(),
    };
    let mut response = http::Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response.headers_mut().insert(SERVER, HeaderValue::from_static("hyper"));
    Ok(response)
}

fn hello() -> UnsyncBoxBody<Bytes, hyper::Error> {
    Full::new(Bytes::from_static(HELLO.as_bytes())).map_err(|never| match never {}).boxed_unsync()
}

pub(super) fn actix(place: &Place) -> io::Result<()> {
    use actix_http::header::{CONTENT_TYPE, HeaderValue, SERVER};
    use actix_http::{Error, HttpService, Request, Response, StatusCode};

    async fn answer(mut request: Request) -> Result<Response<Bytes>, Error> {
        let body = match request.path() {
            "/plaintext" => Bytes::from_static(HELLO.as_bytes()),
            "/deferred" => actix_rt::task::spawn_blocking(|| HELLO).await.unwrap_or_default().into(),
            _ => {
                // Whole, as in its own example: if it answers before a body has come, it ends the connection.
                let mut body = BytesMut::new();
                while let Some(piece) = request.payload().next().await {
                    body.extend_from_slice(&piece?);
                }
                body.freeze()
            }
        };
        let mut response = Response::with_body(StatusCode::OK, body);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        response.headers_mut().insert(SERVER, HeaderValue::from_static("actix"));
        Ok(response)
    }

    let listener = place.listen()?;
    actix_rt::System::new().block_on(
        actix_server::Server::build()
            .workers(place.threads)
            .backlog(4096)
            .listen("bench", listener, || HttpService::build().keep_alive(IDLE).finish(answer).tcp())?
            .run(),
    )
}

/// Nobody is to be ended while others are still being opened; the rest of its deadlines stay.
const IDLE: Duration = Duration::from_secs(600);

pub(super) fn may(place: &Place) -> io::Result<()> {
    use may_minihttp::{HttpServer, HttpService, Request, Response};

    #[derive(Clone)]
    struct Answer;

    impl HttpService for Answer {
        fn call(&mut self, request: Request<'_, '_, '_>, response: &mut Response<'_>) -> io::Result<()> {
            if request.path() == "/plaintext" {
                response.header("Content-Type: text/plain").body(HELLO);
            } else {
                let mut body = Vec::new();
                request.body().read_to_end(&mut body)?;
                response.header("Content-Type: application/octet-stream").body_vec(body);
            }
            Ok(())
        }
    }

    may::config().set_workers(place.threads);
    HttpServer(Answer).start(place.address())?.join().map_err(|_| io::Error::other("may gave up"))
}
