//! What is wrong with a set of routes, told when a router is built.

use core::fmt;

use http::Method;

use super::pattern::PatternFault;

/// A route, as errors speak of it: `POST /commit (application/json)`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteName {
    /// The method.
    pub method: Method,
    /// The pattern of its paths.
    pub pattern: &'static str,
    /// The media type it takes, where it takes one alone.
    pub media_type: Option<&'static str>,
}

impl fmt::Display for RouteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.pattern)?;
        match self.media_type {
            Some(media_type) => write!(f, " ({media_type})"),
            None => Ok(()),
        }
    }
}

/// Why a router cannot be built.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RouteError {
    /// A pattern that can never be matched, or is not understood.
    #[error("{route}: {fault}")]
    Pattern {
        /// The route.
        route: RouteName,
        /// What is wrong with its pattern.
        fault: PatternFault,
    },
    /// Two routes for the same requests.
    #[error("{second} conflicts with {first}: {overlap}")]
    Conflict {
        /// The route that was added first.
        first: RouteName,
        /// The route that was added to it.
        second: RouteName,
        /// What both of them match.
        overlap: Overlap,
    },
    /// A media type that no request can state.
    #[error("{route}: a media type is TYPE/SUBTYPE, without parameters")]
    MediaType {
        /// The route.
        route: RouteName,
    },
    /// `CONNECT` has no path: it comes to [`Service::connect`](crate::app::Service::connect).
    #[error("{route}: CONNECT has no path to be routed by; it comes to Service::connect")]
    Connect {
        /// The route.
        route: RouteName,
    },
}

/// What two routes have in common.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Overlap {
    /// Method and paths; what parameters are called makes no difference.
    #[error("both match the same method and paths, whatever their parameters are called")]
    Paths,
    /// Method, paths and media type.
    #[error("both take the same media type at the same method and paths")]
    MediaType,
}
