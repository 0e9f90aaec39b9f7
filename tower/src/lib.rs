//! Tower services under Anabranch.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod body;
mod call;
mod request;
mod response;
mod runtime;
mod service;
pub mod upgrade;

pub use anabranch_core as core;
pub use body::RequestBody;
pub use service::{BoxError, HttpService, Tower, service};
