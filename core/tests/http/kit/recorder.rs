//! What the server tells of each request, kept.

use std::sync::{Arc, Mutex};

use anabranch_core::app::{Failure, Observer, RequestEnd, RequestRecord};

/// One exchange, as it was told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Seen {
    /// Method, target and version, where the head was not refused.
    pub(crate) line: Option<String>,
    pub(crate) exchange: u64,
    pub(crate) status: Option<u16>,
    pub(crate) end: RequestEnd,
    pub(crate) failure: Option<Failure>,
    pub(crate) request_body_bytes: u64,
    pub(crate) response_body_bytes: u64,
    pub(crate) took_millis: u128,
}

impl Seen {
    pub(crate) fn method(&self) -> &str {
        self.line.as_deref().and_then(|line| line.split(' ').next()).unwrap_or("GET")
    }
}

/// Keeps every record. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Recorder(Arc<Mutex<Vec<Seen>>>);

impl Recorder {
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn observer(&self) -> Arc<dyn Observer> {
        Arc::new(self.clone())
    }
}

impl Observer for Recorder {
    fn request(&self, record: &RequestRecord<'_>) {
        let line =
            record.request.as_ref().map(|line| format!("{} {} {:?}", line.method, line.target, line.version));
        self.0.lock().unwrap().push(Seen {
            line,
            exchange: record.exchange.0,
            status: record.status.map(|status| status.as_u16()),
            end: record.end,
            failure: record.failure,
            request_body_bytes: record.request_body_bytes,
            response_body_bytes: record.response_body_bytes,
            took_millis: record.took.as_millis(),
        });
    }
}
