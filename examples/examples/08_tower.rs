//! One axum `Router` under every model, chosen by an argument: nothing in it knows which, and none needs a runtime.
//!
//! ```text
//! cargo run -p anabranch-examples --example 08_tower -- reactor
//! curl -i http://127.0.0.1:8080/hello/world
//! curl -T Cargo.lock -X POST http://127.0.0.1:8080/shout
//! ```

use anabranch_mio::{Model as Mio, Ownership};
use anabranch_std::core::ConnectionInfo;
use anabranch_std::{Config, Handle, ListenOptions, Listener, Model, Reuse};
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
    format!("hello {name}, by connection {} from {:?}\n", connection.id, connection.peer)
}

/// Sends what comes back in capitals while it comes: no faster than the peer reads.
async fn shout(body: Body) -> Body {
    let pieces = body.into_data_stream();
    Body::from_stream(pieces.map(|piece| piece.map(|data| Bytes::from(data.to_ascii_uppercase()))))
}

fn serve(model: &str, router: Tower<Router>) -> std::io::Result<Handle> {
    match model {
        "single" => blocking(Model::Single, router),
        "threads" => blocking(Model::Threads, router),
        "pool" => blocking(Model::pool(), router),
        "reactor" => events(Mio::Reactor, router),
        "multi-reactor" => events(Mio::multi_reactor(), router),
        "reactor-pool" => events(Mio::reactor_pool(), router),
        "staged" => events(Mio::staged(), router),
        "staged-shared" => match Mio::staged() {
            Mio::Staged { acceptors, network, .. } => {
                events(Mio::Staged { acceptors, network, ownership: Ownership::Shared }, router)
            }
            other => events(other, router),
        },
        other => Err(std::io::Error::other(format!("there is no model `{other}`"))),
    }
}

fn blocking(model: Model, router: Tower<Router>) -> std::io::Result<Handle> {
    anabranch_std::serve(&Config::new(model), [Listener::bind("127.0.0.1:8080")?], router)
}

fn events(model: Mio, router: Tower<Router>) -> std::io::Result<Handle> {
    let mut options = ListenOptions::default();
    options.reuse_port = Reuse::Allowed;
    let listener = Listener::bind_with("127.0.0.1:8080", &options)?;
    anabranch_mio::serve(&anabranch_mio::Config::new(model), [listener], router)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = std::env::args().nth(1).unwrap_or_else(|| "threads".into());
    let handle = serve(&model, anabranch_tower::service(app()))?;
    println!("http://{} under {model}", handle.local_addrs()[0]);
    handle.wait();
    Ok(())
}
