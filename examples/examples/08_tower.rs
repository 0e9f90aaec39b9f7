//! One axum `Router` under every model, chosen by an argument: nothing in it knows which, and none needs a runtime.
//!
//! ```text
//! cargo run -p anabranch-examples --example 08_tower -- reactor
//! curl -i http://127.0.0.1:8080/hello/world
//! curl -T Cargo.lock -X POST http://127.0.0.1:8080/shout
//! ```

use std::io;

use anabranch_async_std::Model as Async;
use anabranch_mio::Model as Mio;
use anabranch_std::core::ConnectionInfo;
use anabranch_std::host::Binding;
use anabranch_std::{Config, Handle, ListenOptions, Listener, Model as Std, Reuse};
use anabranch_tokio::Model as Tokio;
use anabranch_tower::Tower;
use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Extension, Router};
use futures_lite::StreamExt;

fn app() -> Router {
    Router::new()
        .route("/", get(async || "hello\n"))
        .route("/hello/{name}", get(hello))
        .route("/shout", post(shout))
        .fallback(async || (StatusCode::NOT_FOUND, "there are /, /hello/{name} and /shout\n"))
        // As `axum::serve` does for each connection: routes are made once, and not for each request.
        .with_state(())
}

async fn hello(Path(name): Path<String>, Extension(connection): Extension<ConnectionInfo>) -> String {
    let peer = connection.peer.map_or_else(|| "nowhere".to_owned(), |peer| peer.to_string());
    format!("hello {name}, by connection {} from {peer}\n", connection.id)
}

/// Sends what comes back in capitals while it comes: no faster than the peer reads.
async fn shout(body: Body) -> Body {
    let pieces = body.into_data_stream();
    Body::from_stream(pieces.map(|piece| piece.map(|data| Bytes::from(data.to_ascii_uppercase()))))
}

fn serve(model: &str, router: Tower<Router>) -> io::Result<Handle> {
    match model {
        "single" => on(Std::Single, router),
        "threads" => on(Std::Threads, router),
        "pool" => on(Std::pool(), router),
        "reactor" => on(Mio::Reactor, router),
        "multi-reactor" => on(Mio::multi_reactor(), router),
        "reactor-pool" => on(Mio::reactor_pool(), router),
        "staged" => on(Mio::staged(), router),
        "tokio" => on(Tokio::tokio(), router),
        "tokio-local" => on(Tokio::tokio_local(), router),
        "smol" => on(Async::smol(), router),
        "async-std" => on(Async::AsyncStd, router),
        other => Err(io::Error::other(format!("there is no model `{other}`"))),
    }
}

fn on(model: impl Binding, router: Tower<Router>) -> io::Result<Handle> {
    let mut options = ListenOptions::default();
    options.reuse_port = Reuse::Allowed;
    let listener = Listener::bind_with("127.0.0.1:8080", &options)?;
    anabranch_std::serve(&Config::new(model), [listener], router)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = std::env::args().nth(1).unwrap_or_else(|| "threads".into());
    let handle = serve(&model, anabranch_tower::service(app()))?;
    println!("http://{} under {model}", handle.local_addrs()[0]);
    handle.wait();
    Ok(())
}
