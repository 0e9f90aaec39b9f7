//! A tower service through the rig: what it is called with, what becomes of its answers, how a connection is handed over.
//!
//! No socket and no clock that runs: the rig plays the peer, and holds the flow to its laws at every call.

mod calls;
mod requests;
mod responses;
#[cfg(feature = "tokio")]
mod runtime;
mod upgrades;

use std::convert::Infallible;
use std::future::Future;

use anabranch_core::Flow;
use anabranch_core::app::Http;
use anabranch_core::testing::Rig;
use anabranch_tower::{HttpService, RequestBody, service};
use http::{Request, Response};

/// A tower service of an async function.
fn tower_fn<F, B>(
    function: impl Fn(Request<RequestBody>) -> F + Clone + Send + 'static,
) -> impl HttpService<Body = B>
where
    F: Future<Output = Response<B>> + Send + 'static,
    B: http_body::Body<Error: Into<anabranch_tower::BoxError>> + Send + 'static,
{
    tower::service_fn(move |request| {
        let answer = function(request);
        async { Ok::<_, Infallible>(answer.await) }
    })
}

/// A connection to `service` on a rig.
fn rig(tower_service: impl HttpService) -> Rig<Box<dyn Flow>> {
    Rig::connect(&Http::new(service(tower_service)))
}

/// What comes back for `request`, but for `Date` and `Server`.
fn ask(tower_service: impl HttpService, request: &str) -> String {
    let mut rig = rig(tower_service);
    rig.read(request);
    written(&mut rig)
}

/// What was written since, without `Date` and `Server`.
fn written(rig: &mut Rig<Box<dyn Flow>>) -> String {
    let written = String::from_utf8(rig.written()).unwrap();
    let own = |line: &&str| line.starts_with("date: ") || line.starts_with("server: ");
    written.split_inclusive("\r\n").filter(|line| !own(line)).collect()
}
