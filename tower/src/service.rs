//! A tower service as a service of core's.

use core::error::Error;
use core::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use anabranch_core::ConnectionInfo;
use anabranch_core::app::{Context, Duplex, Outcome, Request, Service};
use anabranch_core::http1::BodyLength;
use http::Extensions;

use crate::body::RequestBody;
use crate::call::Call;
use crate::runtime::{Inside, Runtime};

/// Whatever went wrong in a service.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// A tower service of HTTP: a name for these bounds, which nobody implements by hand.
///
/// Its bodies, futures and clones move between threads, as connections do under some models.
pub trait HttpService:
    tower_service::Service<
        http::Request<RequestBody>,
        Response = http::Response<Self::Body>,
        Error: Into<BoxError>,
        Future: Send + 'static,
    > + Clone
    + Send
    + 'static
{
    /// The body of its answers.
    type Body: http_body::Body<Error: Into<BoxError>> + Send + 'static;
}

impl<S, B> HttpService for S
where
    S: tower_service::Service<
            http::Request<RequestBody>,
            Response = http::Response<B>,
            Error: Into<BoxError>,
            Future: Send + 'static,
        > + Clone
        + Send
        + 'static,
    B: http_body::Body<Error: Into<BoxError>> + Send + 'static,
{
    type Body = B;
}

/// Makes a service of core's of a tower service: an axum `Router`, a hand-written one, either behind layers.
///
/// ```
/// use anabranch_core::testing::oneshot;
/// use axum::{Router, extract::Path, routing::get};
///
/// let app: Router = Router::new().route("/hello/{name}", get(async |Path(name): Path<String>| format!("hello {name}\n")));
///
/// let service = anabranch_tower::service(app.with_state(()));
/// let answer = oneshot(service, "GET /hello/world HTTP/1.1\r\nHost: example.org\r\n\r\n");
/// assert!(answer.ends_with(b"\r\n\r\nhello world\n"));
/// ```
pub fn service<S: HttpService>(service: S) -> Tower<S> {
    Tower { shared: Arc::new(Shared::new(service)) }
}

/// A tower service as a [`Service`], to be served by any binding: see [`service`]. Clones are the same.
pub struct Tower<S> {
    shared: Arc<Shared<S>>,
}

/// What the requests of one service share.
pub(crate) struct Shared<S> {
    /// What the clones are made of, one a thread that drives connections: a service need not be `Sync`.
    prototype: Mutex<Inside<S>>,
    pub(crate) runtime: Runtime,
    pub(crate) duplex: Duplex,
    pub(crate) attach: Box<Attach>,
    pub(crate) on_error: Option<Arc<OnError>>,
}

pub(crate) type Attach = dyn Fn(&ConnectionInfo, &mut Extensions) + Send + Sync;
pub(crate) type OnError = dyn Fn(&(dyn Error + Send + Sync + 'static)) + Send + Sync;

impl<S: HttpService> Tower<S> {
    /// Puts what `attach` likes among the extensions of each request, and not the [`ConnectionInfo`], which is there
    /// otherwise.
    ///
    /// ```
    /// use std::net::SocketAddr;
    ///
    /// use axum::{Router, extract::ConnectInfo, routing::get};
    ///
    /// let app: Router = Router::new().route("/", get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.to_string()));
    /// let service = anabranch_tower::service(app).with_extensions(|connection, extensions| {
    ///     if let Some(peer) = connection.peer {
    ///         extensions.insert(ConnectInfo(peer));
    ///     }
    /// });
    /// # let _ = service;
    /// ```
    #[must_use]
    pub fn with_extensions(
        self,
        attach: impl Fn(&ConnectionInfo, &mut Extensions) + Send + Sync + 'static,
    ) -> Self {
        self.changed(|shared| shared.attach = Box::new(attach))
    }

    /// Tells `on_error` of each error of the service, whose peer is answered with 500, and of each error of an answer's body,
    /// which cuts the answer off. It is called on the connection's thread, and must not block.
    #[must_use]
    pub fn on_error(
        self,
        on_error: impl Fn(&(dyn Error + Send + Sync + 'static)) + Send + Sync + 'static,
    ) -> Self {
        self.changed(|shared| shared.on_error = Some(Arc::new(on_error)))
    }

    /// How connections are handed over to those who [upgrade](crate::upgrade) them: 64 KiB each way by default.
    #[must_use]
    pub fn with_duplex(self, duplex: Duplex) -> Self {
        self.changed(|shared| shared.duplex = duplex)
    }

    /// Enters this runtime around every call, poll and drop of the service, its futures and its bodies: they find tokio's
    /// timers, sockets and `spawn`. The runtime has to be driven by threads of its own: a multi-thread one always is.
    #[cfg(feature = "tokio")]
    #[must_use]
    pub fn with_tokio(self, handle: tokio::runtime::Handle) -> Self {
        self.changed(|shared| {
            shared.runtime = Runtime::tokio(handle);
            let prototype = shared.prototype.get_mut().unwrap_or_else(PoisonError::into_inner);
            prototype.move_to(shared.runtime.clone());
        })
    }

    fn changed(mut self, change: impl FnOnce(&mut Shared<S>)) -> Self {
        // A builder is the only owner of what it builds; of clones none was made yet.
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            change(shared);
        }
        self
    }
}

impl<S: HttpService> Shared<S> {
    fn new(service: S) -> Self {
        Self {
            prototype: Mutex::new(Inside::new(Runtime::default(), service)),
            runtime: Runtime::default(),
            duplex: Duplex::new(64 * 1024),
            attach: Box::new(|connection, extensions| {
                extensions.insert(connection.clone());
            }),
            on_error: None,
        }
    }

    /// A clone of the service: for one call after another.
    pub(crate) fn service(&self) -> S {
        // A clone that panicked left the prototype as it was.
        self.prototype.lock().unwrap_or_else(PoisonError::into_inner).with(|service| service.clone())
    }
}

impl<S: HttpService> Service for Tower<S> {
    fn call(&self, request: &mut Request, context: &mut Context<'_>) -> Outcome {
        if request.body_length() == BodyLength::Empty {
            return Call::begin(&self.shared, request, RequestBody::empty(), context)
                .map_or_else(Outcome::from, |call| call.at_once(context));
        }
        let shared = Arc::clone(&self.shared);
        Outcome::stream(move |request, incoming, context| {
            let mut body = RequestBody::from(incoming);
            if !request.expects_continue() {
                body.ask(context.waker());
            }
            Call::begin(&shared, request, body, context).map_or_else(Outcome::from, |call| call.later())
        })
    }

    fn connect(&self, request: &mut Request, context: &mut Context<'_>) -> Outcome {
        self.call(request, context)
    }
}

impl<S> Clone for Tower<S> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<S> fmt::Debug for Tower<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tower").field("runtime", &self.shared.runtime).finish_non_exhaustive()
    }
}
