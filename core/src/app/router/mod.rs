//! Routes: which handler a request's path, method and `Content-Type` lead to.
//!
//! ```text
//!   path ──► method ──► Content-Type ──► Endpoint: handler, lane
//!    │ none   │ none      │ none takes it
//!   404      405, Allow  415, Accept
//!             └─ HEAD: GET's; OPTIONS: 204, Allow
//! ```

mod endpoint;
mod error;
mod media;
mod missed;
mod pattern;
mod percent;
mod tree;

use core::fmt;
use std::collections::BTreeSet;

use http::Method;
use http::header::HeaderValue;

pub use self::endpoint::Endpoint;
pub use self::error::{Overlap, RouteError, RouteName};
pub use self::missed::Missed;
use self::missed::Shape;
pub use self::pattern::PatternFault;
pub(crate) use self::pattern::parameter;
pub use self::percent::percent_decoded;
use self::tree::Tree;
use super::outcome::Outcome;
use super::request::Request;
use super::response::Response;
use super::service::{Context, Service};
use crate::job::Lane;

/// A service made of routes.
///
/// ```
/// use anabranch_core::Lane;
/// use anabranch_core::app::{Endpoint, Outcome, Request, Response, Router};
/// use http::Method;
///
/// let router = Router::builder()
///     .get("/", |_, _| "hello")
///     .get("/users/{id}", |request, _| format!("user {}", request.parameter("id").unwrap_or_default()))
///     .get("/users/me", |_, _| "you")
///     .get("/files/{*path}", |request, _| format!("file {}", request.parameter("path").unwrap_or_default()))
///     .post("/upper", |_, _| Outcome::collect(1 << 20, |_, body, _| Response::ok(body.to_ascii_uppercase())))
///     // What blocks runs on the threads of a lane.
///     .route(Method::GET, "/report", Endpoint::on_lane(Lane("reports"), |_: &mut Request| "a long report"))
///     .build()?;
/// # #[cfg(feature = "testing")] {
/// # use anabranch_core::testing::oneshot;
/// let answer = oneshot(router, "GET /users/7 HTTP/1.1\r\nHost: example.org\r\n\r\n");
/// assert!(answer.ends_with(b"\r\n\r\nuser 7"));
/// # }
/// # Ok::<(), anabranch_core::app::RouteError>(())
/// ```
///
/// # Patterns
/// `{name}` stands for one segment, `{*name}` for all that is left, at the end; neither for nothing. All else stands for
/// itself, case, trailing slash and percent-encoding included: `/plain%74ext` is not `/plaintext`. Segments are compared
/// as the peer sent them; [`Request::parameter`] gives them so, and [`percent_decoded`] decodes.
///
/// The path decides first. From the left, segment by segment, a static one goes before a parameter, and that before a
/// tail, as far as the rest of the path has a route at all. Then the method, then the body's media type.
///
/// # Answered by the router
/// 404 where no pattern matches; 405 with `Allow` where the path has no route for the method, before any of the body is
/// read; 415 with `Accept` where no endpoint [takes](Endpoint::consumes) the body's type. `HEAD` is served where `GET` is,
/// unless it has a route of its own, and `OPTIONS` of a known path is answered with 204 and `Allow`, unless
/// [told otherwise](RouterBuilder::options).
///
/// Matching allocates nothing, and looks at each node of the tree of patterns once at most.
pub struct Router {
    tree: Tree<Resource>,
    lanes: Vec<Lane>,
    options: OptionsRequests,
    shape: Shape,
}

/// Makes a [`Router`].
pub struct RouterBuilder {
    routes: Vec<(Method, &'static str, Endpoint)>,
    options: OptionsRequests,
    shape: Shape,
}

/// What becomes of `OPTIONS` requests for a path that has no route for them.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum OptionsRequests {
    /// 204 with `Allow`, which names `OPTIONS` too.
    #[default]
    Answered,
    /// 405, as any other method without a route.
    Refused,
}

/// All that a path leads to.
#[derive(Debug)]
struct Resource {
    methods: Vec<(Method, Endpoints)>,
    /// What a 405 says.
    allow: HeaderValue,
}

/// Where a path and a method lead to: endpoints with their patterns, whose parameters may be called differently.
#[derive(Debug)]
enum Endpoints {
    /// Whatever the body's type is.
    One(&'static str, Endpoint),
    /// By the body's type; `accept` is what a 415 says.
    ByType { endpoints: Vec<(&'static str, Endpoint)>, accept: HeaderValue },
}

impl Router {
    /// A router without routes, to add them to.
    #[must_use]
    pub fn builder() -> RouterBuilder {
        RouterBuilder { routes: Vec::new(), options: OptionsRequests::default(), shape: missed::plain() }
    }

    /// The lanes that its endpoints [run on](Endpoint::on_lane), each once, in the order of their names: what is to be
    /// configured for it. Where else a handler [defers](Outcome::defer) to does not show before it is called.
    #[must_use]
    pub fn lanes(&self) -> &[Lane] {
        &self.lanes
    }

    fn missed(&self, missed: Missed<'_>) -> Outcome {
        missed.answer(&self.shape)
    }
}

impl Service for Router {
    fn call(&self, request: &mut Request, context: &mut Context<'_>) -> Outcome {
        let Some(resource) = self.tree.find(request.path()) else { return self.missed(Missed::NotFound) };
        let allow = &resource.allow;
        let Some(endpoints) = resource.endpoints_of(request.method()) else {
            return match self.options {
                OptionsRequests::Answered if *request.method() == Method::OPTIONS => {
                    missed::options(allow).into()
                }
                _ => self.missed(Missed::MethodNotAllowed { allow }),
            };
        };
        match endpoints.for_body_of(request) {
            Ok((pattern, endpoint)) => {
                request.set_route(pattern);
                (endpoint.handler)(request, context)
            }
            Err(missed) => self.missed(missed),
        }
    }
}

impl Default for Resource {
    fn default() -> Self {
        Self { methods: Vec::new(), allow: HeaderValue::from_static("") }
    }
}

impl Resource {
    fn endpoints_of(&self, method: &Method) -> Option<&Endpoints> {
        let named = |method| self.methods.iter().find(|entry| entry.0 == method).map(|entry| &entry.1);
        named(method).or_else(|| if *method == Method::HEAD { named(&Method::GET) } else { None })
    }

    /// Adds a route, unless it is in the way of another.
    fn add(&mut self, method: Method, pattern: &'static str, endpoint: Endpoint) -> Result<(), RouteError> {
        let Some((_, endpoints)) = self.methods.iter_mut().find(|entry| entry.0 == method) else {
            self.methods.push((method, Endpoints::new(pattern, endpoint)));
            return Ok(());
        };
        let second = RouteName { method, pattern, media_type: endpoint.media_type };
        match endpoints.add(pattern, endpoint) {
            Ok(()) => Ok(()),
            Err((pattern, media_type, overlap)) => {
                let first = RouteName { method: second.method.clone(), pattern, media_type };
                Err(RouteError::Conflict { first, second, overlap })
            }
        }
    }

    /// Once all routes are known: the methods, as `Allow` lists them.
    fn list_methods(&mut self, options: OptionsRequests) {
        let mut allow: Vec<_> = self.methods.iter().map(|(method, _)| method.as_str()).collect();
        if allow.contains(&"GET") {
            allow.push("HEAD");
        }
        if options == OptionsRequests::Answered {
            allow.push("OPTIONS");
        }
        allow.sort_unstable();
        allow.dedup();
        self.allow = media::list_value(allow.into_iter());
    }
}

impl Endpoints {
    fn new(pattern: &'static str, endpoint: Endpoint) -> Self {
        match endpoint.media_type {
            None => Self::One(pattern, endpoint),
            Some(media_type) => Self::ByType {
                endpoints: vec![(pattern, endpoint)],
                accept: media::list_value([media_type].into_iter()),
            },
        }
    }

    /// Adds an endpoint, or tells of the one it is in the way of.
    fn add(
        &mut self,
        pattern: &'static str,
        endpoint: Endpoint,
    ) -> Result<(), (&'static str, Option<&'static str>, Overlap)> {
        let (endpoints, accept) = match self {
            Self::One(other, first) => return Err((*other, first.media_type, Overlap::Paths)),
            Self::ByType { endpoints, accept } => (endpoints, accept),
        };
        for (other, first) in &*endpoints {
            match (first.media_type, endpoint.media_type) {
                (Some(one), Some(two)) if one.eq_ignore_ascii_case(two) => {
                    return Err((*other, first.media_type, Overlap::MediaType));
                }
                (_, None) => return Err((*other, first.media_type, Overlap::Paths)),
                _ => {}
            }
        }
        endpoints.push((pattern, endpoint));
        *accept = media::list_value(endpoints.iter().filter_map(|(_, endpoint)| endpoint.media_type));
        Ok(())
    }

    fn for_body_of(&self, request: &Request) -> Result<(&'static str, &Endpoint), Missed<'_>> {
        let (endpoints, accept) = match self {
            Self::One(pattern, endpoint) => return Ok((pattern, endpoint)),
            Self::ByType { endpoints, accept } => (endpoints, accept),
        };
        if media::is_encoded(request) {
            return Err(Missed::EncodedBody { accept });
        }
        let stated = media::media_type(request);
        let takes = |endpoint: &Endpoint| {
            endpoint
                .media_type
                .zip(stated)
                .is_some_and(|(taken, stated)| taken.as_bytes().eq_ignore_ascii_case(stated))
        };
        match endpoints.iter().find(|(_, endpoint)| takes(endpoint)) {
            Some((pattern, endpoint)) => Ok((pattern, endpoint)),
            None => Err(Missed::UnsupportedMediaType { accept }),
        }
    }
}

impl RouterBuilder {
    /// Adds a `GET` route, which serves `HEAD` too. See [`Endpoint::new`].
    #[must_use]
    pub fn get<O: Into<Outcome>>(
        self,
        pattern: &'static str,
        handler: impl Fn(&mut Request, &mut Context<'_>) -> O + Send + Sync + 'static,
    ) -> Self {
        self.route(Method::GET, pattern, Endpoint::new(handler))
    }

    /// Adds a `POST` route. See [`Endpoint::new`].
    #[must_use]
    pub fn post<O: Into<Outcome>>(
        self,
        pattern: &'static str,
        handler: impl Fn(&mut Request, &mut Context<'_>) -> O + Send + Sync + 'static,
    ) -> Self {
        self.route(Method::POST, pattern, Endpoint::new(handler))
    }

    /// Adds a route. The order of routes makes no difference.
    #[must_use]
    pub fn route(mut self, method: Method, pattern: &'static str, endpoint: Endpoint) -> Self {
        self.routes.push((method, pattern, endpoint));
        self
    }

    /// What becomes of `OPTIONS` requests; [answered](OptionsRequests::Answered) by default.
    #[must_use]
    pub const fn options(mut self, options: OptionsRequests) -> Self {
        self.options = options;
        self
    }

    /// Shapes the answers to requests without a route: their body, its type, further fields. The status and the field that
    /// belongs to it are the router's. Plain text by default.
    #[must_use]
    pub fn missed(mut self, shape: impl Fn(&Missed<'_>) -> Response + Send + Sync + 'static) -> Self {
        self.shape = Box::new(shape);
        self
    }

    /// The router.
    ///
    /// # Errors
    /// A route that could never be reached, or two that are in each other's way.
    pub fn build(self) -> Result<Router, RouteError> {
        let mut tree = Tree::<Resource>::new();
        let mut lanes = BTreeSet::new();
        for (method, pattern, endpoint) in self.routes {
            let route = || RouteName { method: method.clone(), pattern, media_type: endpoint.media_type };
            let segments =
                pattern::parse(pattern).map_err(|fault| RouteError::Pattern { route: route(), fault })?;
            if method == Method::CONNECT {
                return Err(RouteError::Connect { route: route() });
            }
            if !endpoint.media_type.is_none_or(media::is_media_type) {
                return Err(RouteError::MediaType { route: route() });
            }
            lanes.extend(endpoint.lane);
            tree.leaf_of(&segments).add(method, pattern, endpoint)?;
        }
        for resource in tree.leaves_mut() {
            resource.list_methods(self.options);
        }
        Ok(Router { tree, lanes: lanes.into_iter().collect(), options: self.options, shape: self.shape })
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router").field("tree", &self.tree).finish_non_exhaustive()
    }
}

impl fmt::Debug for RouterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouterBuilder").field("routes", &self.routes).finish_non_exhaustive()
    }
}
