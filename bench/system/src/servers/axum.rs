//! One axum `Router`, as it comes and on a model of ours.

use std::io;

use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, Request};
use axum::routing::{get, post};
use axum::{Router, serve};

use super::events::tokio_threads;
use super::{Place, ours};
use crate::load::HELLO;

/// On tokio's multi-thread runtime, which is what `axum::serve` is made for.
pub(super) fn axum(place: &Place) -> io::Result<()> {
    async fn deferred() -> &'static str {
        tokio::task::spawn_blocking(|| HELLO).await.unwrap_or_default()
    }

    let app = router().route("/deferred", get(deferred));
    tokio_threads(place)?.block_on(async {
        let listener = tokio::net::TcpListener::from_std(place.listen()?)?;
        serve(listener, app).await
    })
}

/// On reactors that share nothing, with no runtime anywhere.
pub(super) fn tower(place: &Place) -> io::Result<()> {
    // As `axum::serve` does for each connection: routes are made once, and not for each request.
    let app: Router = router().with_state(());
    ours::multi_reactor_of(place, anabranch_tower::service(app))
}

/// On tokio's multi-thread runtime, as `axum` itself.
pub(super) fn tokio_tower(place: &Place) -> io::Result<()> {
    let app: Router = router().with_state(());
    ours::tokio_of(place, anabranch_tower::service(app))
}

fn router() -> Router {
    async fn echo(request: Request<Body>) -> (HeaderMap, Body) {
        let mut headers = HeaderMap::new();
        if let Some(length) = request.headers().get(CONTENT_LENGTH) {
            headers.insert(CONTENT_LENGTH, length.clone());
        }
        (headers, request.into_body())
    }

    Router::new()
        .route("/plaintext", get(|| async { HELLO }))
        .route("/echo", post(echo))
        .layer(DefaultBodyLimit::disable())
}
