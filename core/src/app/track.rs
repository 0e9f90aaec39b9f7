//! What is kept of a request while somebody observes: only then.

use core::hint::cold_path;
use std::panic::{AssertUnwindSafe, catch_unwind};

use http::{Method, StatusCode, Version};

use super::failure::Failure;
use super::observer::{Observer, RequestEnd, RequestLine, RequestRecord};
use crate::http1::RequestHead;
use crate::info::{ConnectionInfo, ExchangeId};
use crate::time::Instant;

/// A request's record in the making.
#[derive(Debug)]
pub(crate) struct Track {
    line: Option<(Method, Box<str>, Version)>,
    begun: Instant,
    /// When the exchange was last seen to move.
    pub(crate) latest: Instant,
    pub(crate) status: Option<StatusCode>,
    pub(crate) failure: Option<Failure>,
    pub(crate) request_body_bytes: u64,
    pub(crate) response_body_bytes: u64,
}

impl Track {
    /// A record, if anybody is there to be told.
    #[inline]
    pub(crate) fn begin(
        observer: Option<&dyn Observer>,
        head: Option<&RequestHead>,
        begun: Instant,
    ) -> Option<Box<Self>> {
        observer.map(|_| {
            cold_path();
            Self::of(head, begun)
        })
    }

    #[inline(never)]
    fn of(head: Option<&RequestHead>, begun: Instant) -> Box<Self> {
        Box::new(Self {
            line: head.map(|head| (head.method().clone(), head.target().into(), head.version())),
            begun,
            latest: begun,
            status: None,
            failure: None,
            request_body_bytes: 0,
            response_body_bytes: 0,
        })
    }

    pub(crate) fn tell(
        &self,
        observer: &dyn Observer,
        info: &ConnectionInfo,
        exchange: ExchangeId,
        end: RequestEnd,
        now: Instant,
    ) {
        let record = RequestRecord {
            connection: info.id,
            exchange,
            peer: info.peer,
            request: self
                .line
                .as_ref()
                .map(|(method, target, version)| RequestLine::new(method, target, *version)),
            status: self.status,
            request_body_bytes: self.request_body_bytes,
            response_body_bytes: self.response_body_bytes,
            begun: self.begun,
            took: now - self.begun,
            failure: self.failure,
            end,
        };
        // The answer is out already: whatever the observer does, the connection stands.
        let _ = catch_unwind(AssertUnwindSafe(|| observer.request(&record)));
    }
}
