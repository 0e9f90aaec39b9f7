//! Tower services in the runtime that is there.

use std::io;

use anabranch_std::{Handle, Listener, serve};
use anabranch_tower::HttpService;

use crate::config::{Config, Model};

/// Serves a tower service, an axum `Router` for one, in the runtime that this is called in, until the handle is told to
/// stop: as `axum::serve` does, with the deadlines, limits and drain of every server here.
///
/// For other settings or another model give [`serve`] what [`anabranch_tower::service`] makes of the service; for a listener
/// of tokio's see [`Listener::from_std`].
///
/// ```
/// use std::time::Duration;
///
/// use anabranch_tokio::{Listener, serve_tower};
/// use axum::{Router, routing::get};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// use tokio::net::TcpStream;
/// use tokio::time::sleep;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// // Whatever needs tokio finds it.
/// let late = get(async || {
///     sleep(Duration::from_millis(1)).await;
///     "late\n"
/// });
/// let app: Router = Router::new().route("/", late);
/// let handle = serve_tower(Listener::bind("127.0.0.1:0")?, app.with_state(()))?;
///
/// let mut client = TcpStream::connect(handle.local_addrs()[0]).await?;
/// client.write_all(b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").await?;
/// let mut answer = String::new();
/// client.read_to_string(&mut answer).await?;
/// assert!(answer.ends_with("\r\n\r\nlate\n"));
///
/// // Graceful shutdown: when the future is ready.
/// handle.until(async {}, Duration::from_secs(15)).await;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Outside of a runtime, or when its reactor has no place for the listener.
pub fn serve_tower(listener: Listener, service: impl HttpService) -> io::Result<Handle> {
    serve(&Config::new(Model::Current), [listener], anabranch_tower::service(service))
}
