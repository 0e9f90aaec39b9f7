//! Upgrades: a connection in the hands of the service that answered 101 (or a `CONNECT` with 2xx), as a stream of bytes.
//!
//! ```text
//!   request ── on ──► OnUpgrade ─┬─ awaited, wherever ──────────────► Upgraded, there
//!                                └─ run(future): before the answer ─► polled on the connection's thread, under every model
//!   the service answers 101 ──► the peer is told ──► the stream begins with what the peer sent behind its request
//! ```

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anabranch_core::ConnectionInfo;
use anabranch_core::app::{Duplex, DuplexStream, Takeover};
use futures_io::{AsyncRead, AsyncWrite};

use crate::runtime::{Inside, Runtime};

/// Takes the upgrade out of a request that offers one.
///
/// ```
/// use anabranch_tower::{RequestBody, upgrade};
/// use futures_lite::AsyncWriteExt;
/// use http::{Request, Response, StatusCode, header};
///
/// async fn greet(mut request: Request<RequestBody>) -> Response<String> {
///     upgrade::on(&mut request).run(|mut stream| async move {
///         let _ = stream.write_all(b"welcome\n").await;
///     });
///     let answer = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
///     answer.header(header::UPGRADE, "greeting").body(String::new()).unwrap()
/// }
/// # let _ = greet;
/// ```
///
/// Whether the peer offers the protocol that the answer's `Upgrade` names is looked at when the service has answered: where it
/// does not, the peer is answered with 500 and nothing is handed over.
pub fn on<B>(request: &mut http::Request<B>) -> OnUpgrade {
    request.extensions_mut().remove().unwrap_or_else(|| {
        let (promise, on_upgrade) = promise();
        drop(promise);
        on_upgrade
    })
}

/// A connection to come: a future of it, among the extensions of each request that offers an upgrade.
///
/// Clones are the same: whoever asks first has it.
#[derive(Clone)]
#[must_use = "an upgraded connection that nobody takes is ended"]
pub struct OnUpgrade {
    slot: Arc<Slot>,
}

type Slot = Mutex<State>;
type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

enum State {
    /// Not known yet; who waits for it.
    Waiting(Option<Waker>),
    /// Not known yet; what is to be run with it.
    Assigned(Box<dyn FnOnce(Upgraded) -> Task + Send>),
    /// It is here.
    Here(Upgraded),
    /// It never comes, or somebody took it.
    Over,
}

/// Why there is no upgraded connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[error(
    "the connection was not upgraded: its peer did not offer it, the answer was another, or somebody else has it"
)]
pub struct NotUpgraded;

impl OnUpgrade {
    /// Has `work` run with the connection: its future is polled on the connection's thread, so that an upgrade needs no runtime
    /// under any model. To be said before the service answers. It must not block; should it panic, the connection is reset.
    pub fn run<F>(self, work: impl FnOnce(Upgraded) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let before = {
            let mut state = lock(&self.slot);
            if !matches!(*state, State::Waiting(_)) {
                return;
            }
            core::mem::replace(&mut *state, State::Assigned(Box::new(|stream| Box::pin(work(stream)))))
        };
        // Outside the lock: a waker is the application's.
        drop(before);
    }
}

impl Future for OnUpgrade {
    type Output = Result<Upgraded, NotUpgraded>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = lock(&self.slot);
        match core::mem::replace(&mut *state, State::Over) {
            State::Here(stream) => Poll::Ready(Ok(stream)),
            State::Over => Poll::Ready(Err(NotUpgraded)),
            State::Waiting(before) => {
                *state = State::Waiting(Some(context.waker().clone()));
                drop(state);
                drop(before);
                Poll::Pending
            }
            assigned @ State::Assigned(_) => {
                *state = assigned;
                Poll::Ready(Err(NotUpgraded))
            }
        }
    }
}

/// The other end: kept, dropped, or never kept.
pub(crate) struct Promise {
    slot: Arc<Slot>,
}

pub(crate) fn promise() -> (Promise, OnUpgrade) {
    let slot = Arc::new(Mutex::new(State::Waiting(None)));
    (Promise { slot: Arc::clone(&slot) }, OnUpgrade { slot })
}

impl Promise {
    /// How the connection is handed over, now that the service has answered.
    pub(crate) fn keep(self, duplex: Duplex, runtime: &Runtime) -> Takeover {
        let mut state = lock(&self.slot);
        match core::mem::replace(&mut *state, State::Over) {
            State::Assigned(work) => {
                drop(state);
                let runtime = runtime.clone();
                duplex.with_future(move |stream| {
                    let task = {
                        let _entered = runtime.enter();
                        work(Upgraded { stream })
                    };
                    Inside::new(runtime, Box::pin(task))
                })
            }
            other => {
                *state = other;
                drop(state);
                duplex.hand_over(move |stream| self.end(State::Here(Upgraded { stream })))
            }
        }
    }

    fn end(&self, end: State) {
        let before = {
            let mut state = lock(&self.slot);
            // What is here stays here until somebody takes it.
            if matches!(*state, State::Here(_)) {
                return;
            }
            core::mem::replace(&mut *state, end)
        };
        if let State::Waiting(Some(waker)) = before {
            waker.wake();
        }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.end(State::Over);
    }
}

fn lock(slot: &Slot) -> MutexGuard<'_, State> {
    // No code of anyone else's runs under this lock, so a poisoned one still holds a whole state.
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An upgraded connection as a stream of bytes, which begins with what the peer sent behind its request.
///
/// `AsyncRead` and `AsyncWrite` of futures-io, and with the feature `tokio` of tokio's. How it ends, and what it holds:
/// [`Duplex`].
#[derive(Debug)]
pub struct Upgraded {
    stream: DuplexStream,
}

impl Upgraded {
    /// The stream as core has it: a `Read` and a `Write` for a thread that may block, and in two halves.
    #[must_use]
    pub fn into_inner(self) -> DuplexStream {
        self.stream
    }

    /// Who is at the other end.
    #[must_use]
    pub fn connection(&self) -> &ConnectionInfo {
        self.stream.connection()
    }
}

impl AsyncRead for Upgraded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.stream.poll_read(context, into)
    }
}

impl AsyncWrite for Upgraded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream.poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.stream.flush())
    }

    /// Shuts this direction, and waits for nothing: the connection sees to what is on its way.
    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.shutdown();
        Poll::Ready(Ok(()))
    }
}

#[cfg(feature = "tokio")]
impl tokio::io::AsyncRead for Upgraded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if into.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        self.stream.poll_read(context, into.initialize_unfilled()).map_ok(|count| into.advance(count))
    }
}

#[cfg(feature = "tokio")]
impl tokio::io::AsyncWrite for Upgraded {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write(self, context, data)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(self, context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_close(self, context)
    }
}

impl fmt::Debug for OnUpgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnUpgrade")
    }
}

impl fmt::Debug for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Promise")
    }
}
