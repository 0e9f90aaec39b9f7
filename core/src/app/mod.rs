//! The application's side: a [`Service`] is called with a [`Request`] and says with an [`Outcome`] what is to be done.
//!
//! ```text
//!   Service: &mut Request ──► Outcome          written once, run under every model
//!   Router: Service              one made of routes: path, method, Content-Type
//!   BodyParser: bytes ──► value   what a body is made into while it comes
//!   Http: Protocol ──► Serve: Flow             the service behind http1::Connection, one a connection
//!   Body ◄── BodySource, Sender                answers made while they are sent
//!   Incoming ──► handler, future, lane         requests read while they come
//! ```

mod answer;
mod body;
mod clock;
mod dispatch;
mod duplex;
mod exchange;
mod failure;
mod http;
#[cfg(feature = "json")]
pub mod json;
mod memory;
mod observer;
mod outcome;
mod parse;
mod pipe;
mod progress;
mod queue;
mod request;
mod response;
mod router;
mod serve;
mod service;
mod track;
mod upgrade;

pub use self::http::Http;
pub use body::{Body, BodyError, BodySource, Frame};
pub use clock::{Clock, Sleep};
pub use duplex::{
    Duplex, DuplexReader, DuplexStream, DuplexWriter, NonblockingStream, Takeover, WhenDrained,
};
pub use failure::Failure;
pub use memory::{Charge, MemoryBudget};
pub use observer::{Observer, RequestEnd, RequestLine, RequestRecord};
pub use outcome::{
    After, AfterHandler, Collect, CollectHandler, Defer, Deferred, DeferredWork, MakeFlow, Outcome,
    OutcomeFuture, Reply, StreamHandler, Upgrade,
};
pub use parse::{BodyParser, Parse, ParseError};
pub use pipe::{Incoming, Sender, TrySendError};
pub use request::Request;
pub use response::Response;
pub use router::{
    Endpoint, Missed, OptionsRequests, Overlap, PatternFault, RouteError, RouteName, Router, RouterBuilder,
    percent_decoded,
};
pub use service::{Context, Service, ServiceFn, service_fn};

// What a server is configured with: bindings and programs need no other part of the protocol.
pub use crate::http1::{Deadlines, Limits, Settings};
