//! One axum `Router`: on ours, and on hyper as `axum::serve` puts it there.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use hyper_util::service::TowerToHyperService;

use anabranch_core::Protocol;
use anabranch_core::app::Http;

use super::hyper::Hyper;
use super::ours::ByHand;
use crate::scenario::HELLO;

pub fn on_ours() -> ByHand {
    ByHand::with(&protocol())
}

pub fn protocol() -> impl Protocol {
    Http::new(anabranch_tower::service(router()))
}

pub fn on_hyper() -> Hyper {
    Hyper::serving(TowerToHyperService::new(router()))
}

/// As both are to have it: routes are made once, and not for each request.
fn router() -> Router {
    let router = Router::new()
        .route("/plaintext", get(async || HELLO))
        .route("/collect", post(async |body: Bytes| body))
        .route("/stream", post(async |body: Body| ([("content-type", "application/octet-stream")], body)))
        .layer(DefaultBodyLimit::disable());
    router.with_state(())
}
