//! Generators for property tests with [proptest]: peers that say anything at all, well-formed or not, cut anyhow.
//!
//! ```text
//!   message ─► conversation ─► bytes ──┬──► check_service   cuts()       any service
//!   shred ───► rough ──► mutated ──────┤    check_cuts     cuts()       any flow
//!   lines of your own protocol ────────┘    check_steps    steps(..)    any flow
//! ```
//!
//! | generator | what | shrinks towards |
//! |---|---|---|
//! | [`target`] | origin-form targets, queries and percent-encoding included | `/` |
//! | [`message`] | well-formed requests: every way of framing a body | a plain `GET` |
//! | [`conversation`] | well-formed requests in a row, all but the last of them persistent | one plain `GET` |
//! | [`shred`] | what HTTP is made of, in bits: good, half and bad | the first of the list |
//! | [`rough`] | pieces in a row, then mutated | one piece as it is |
//! | [`mutated`] | bytes with up to three changed, doubled, left out, or the rest cut off | the bytes as they are |
//! | [`cuts`] | sizes of reads and writes, taken at once or late, as slices or owned | all whole |
//! | [`steps`] | what may happen to a connection, in any order | few steps, with few bytes |
//!
//! # Example
//!
//! A service of your own, held to law 9 under well-formed and under broken conversations:
//!
//! ```
//! use anabranch_core::app::{Outcome, Request, Context, Response, service_fn};
//! use anabranch_core::http1::Settings;
//! use anabranch_core::testing::strategies::{conversation, cuts, message, mutated};
//! use anabranch_core::testing::{Ending, check_service};
//! use proptest::prelude::*;
//! use std::sync::Arc;
//!
//! let service = Arc::new(service_fn(|_: &mut Request, _: &mut Context<'_>| {
//!     Outcome::collect(1 << 20, |_, body, _| Response::ok(body))
//! }));
//! let routes = prop_oneof![Just("/"), Just("/upper")].prop_map(String::from);
//! proptest!(ProptestConfig::with_cases(16), |(
//!     input in mutated(conversation(message(routes), 1..4)),
//!     cuts in cuts(),
//! )| {
//!     check_service(&service, &Settings::default(), input, Ending::Eof, &cuts);
//! });
//! ```

mod broken;
mod driving;
mod wellformed;

pub use broken::{ToBytes, mutated, rough, shred};
pub use driving::{cuts, steps};
pub use wellformed::{bytes_of, conversation, field, fields, message, target};
