//! An axum application with something of everything that a router has, and nothing of any runtime's.

pub mod conversation;

use std::convert::Infallible;
use std::task::Poll;

use anabranch_core::ConnectionInfo;
use anabranch_tower::upgrade::{self, Upgraded};
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, Query, Request};
use axum::http::header::{ETAG, SET_COOKIE, UPGRADE};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{AppendHeaders, IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Extension, Json, Router};
use futures_lite::{AsyncReadExt, AsyncWriteExt, StreamExt, stream};
use serde_json::{Value, json};

/// What a body may have that is taken whole.
pub const BODY_LIMIT: usize = 1024;

/// The application. Its routes are made, as they are for each connection of `axum::serve`.
pub fn app() -> Router {
    Router::new()
        .route("/", get(async || "hello\n"))
        .route("/hello/{name}", get(hello).delete(async || StatusCode::NO_CONTENT))
        .route("/sum", post(sum))
        .route("/upper", post(async |body: String| body.to_uppercase()))
        .route("/count", post(count))
        .route("/echo", post(async |body: Body| body))
        .route("/parts", get(parts))
        .route("/broken", get(broken))
        .route("/cookies", get(async || AppendHeaders([(SET_COOKIE, "a=1"), (SET_COOKIE, "b=2")])))
        .route("/not-modified", get(async || (StatusCode::NOT_MODIFIED, [(ETAG, "\"one\"")])))
        .route("/refuse", get(async || Err::<(), _>((StatusCode::CONFLICT, "not twice\n"))))
        .route("/panic", get(panics))
        .route("/late", get(late))
        .route("/fields", get(fields))
        .route("/connection", get(connection))
        .route("/upgrade", any(switch))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(())
}

async fn hello(Path(name): Path<String>, Query(query): Query<Vec<(String, String)>>) -> String {
    format!("hello {name} {query:?}\n")
}

async fn sum(Json(numbers): Json<Vec<i64>>) -> Json<Value> {
    Json(json!({ "sum": numbers.iter().sum::<i64>() }))
}

/// Looks at the body as it comes: its limit is the server's.
async fn count(body: Body) -> Result<String, StatusCode> {
    let mut data = body.into_data_stream();
    let mut bytes = 0;
    while let Some(piece) = data.next().await {
        bytes += piece.map_err(|_| StatusCode::BAD_REQUEST)?.len();
    }
    Ok(format!("{bytes} bytes\n"))
}

async fn parts() -> Body {
    let parts = stream::iter(0..3).then(async |part| {
        pending_once().await;
        Ok::<_, Infallible>(format!("part {part}\n"))
    });
    Body::from_stream(parts)
}

async fn broken() -> Body {
    let parts = stream::iter([Ok("whole\n"), Err("the source dried up")]).then(async |part| {
        pending_once().await;
        part
    });
    Body::from_stream(parts)
}

async fn panics() {
    pending_once().await;
    panic!("{} was asked for", "this");
}

async fn late() -> &'static str {
    pending_once().await;
    "late\n"
}

/// Not ready when it is looked at first, so that its answer is awaited.
async fn pending_once() {
    let mut is_ready = false;
    std::future::poll_fn(move |context| {
        context.waker().wake_by_ref();
        if std::mem::replace(&mut is_ready, true) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

async fn fields(headers: HeaderMap) -> String {
    let own = headers.iter().filter(|(name, _)| name.as_str().starts_with("x-"));
    own.map(|(name, value)| format!("{name}: {value:?}\n")).collect()
}

async fn connection(Extension(connection): Extension<ConnectionInfo>) -> String {
    format!("{}\n", connection.id)
}

async fn switch(mut request: Request) -> Response {
    if request.method() == Method::GET && request.headers().get(UPGRADE).is_some_and(|value| value == "echo")
    {
        upgrade::on(&mut request).run(echo);
        return (StatusCode::SWITCHING_PROTOCOLS, [(UPGRADE, "echo")]).into_response();
    }
    (StatusCode::UPGRADE_REQUIRED, [(UPGRADE, "echo")], Bytes::from_static(b"to what?\n")).into_response()
}

async fn echo(mut stream: Upgraded) {
    let mut buffer = [0; 8192];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        if stream.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
    let _ = stream.close().await;
}
