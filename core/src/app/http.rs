//! A service as a protocol: what a server is started with.

use core::fmt;
use std::sync::Arc;

use super::memory::MemoryBudget;
use super::observer::Observer;
use super::serve::{Opening, Serve};
use super::service::Service;
use crate::flow::{Flow, Protocol};
use crate::http1::Settings;
use crate::info::ConnectionInfo;
use crate::layers::Switch;
use crate::time::Instant;

/// HTTP with an application behind it: makes the flow of each connection.
///
/// ```
/// use anabranch_core::app::{Http, service_fn};
/// use anabranch_core::{ConnectionId, ConnectionInfo, Flow, Instant, Protocol, ReadOperation};
///
/// let http = Http::new(service_fn(|_, _| "hello"));
/// let flow = http.connect(ConnectionInfo::new(ConnectionId(1)), Instant::ORIGIN);
/// assert_eq!(flow.next_read_operation(), ReadOperation::Read);
/// ```
pub struct Http<S> {
    shared: Arc<Shared<S>>,
}

/// What the connections of one server share.
pub(crate) struct Shared<S> {
    pub(crate) service: S,
    pub(crate) settings: Arc<Settings>,
    pub(crate) memory: MemoryBudget,
    pub(crate) observer: Option<Arc<dyn Observer>>,
}

impl<S: Service> Http<S> {
    /// Serves `service` with the default settings.
    #[must_use]
    pub fn new(service: S) -> Self {
        let shared =
            Shared { service, settings: Arc::default(), memory: MemoryBudget::default(), observer: None };
        Self { shared: Arc::new(shared) }
    }

    /// With these limits and deadlines.
    #[must_use]
    pub fn with_settings(self, settings: Settings) -> Self {
        self.changed(|shared| shared.settings = Arc::new(settings))
    }

    /// With this cap on the bytes that all connections hold together for bodies, output and jobs. Up to 16 KiB of output a
    /// connection is not counted before its peer has had a chance to take it.
    #[must_use]
    pub fn with_memory(self, memory: MemoryBudget) -> Self {
        self.changed(|shared| shared.memory = memory)
    }

    /// With somebody to be told of every request.
    #[must_use]
    pub fn with_observer(self, observer: Arc<dyn Observer>) -> Self {
        self.changed(|shared| shared.observer = Some(observer))
    }

    fn changed(mut self, change: impl FnOnce(&mut Shared<S>)) -> Self {
        // Nothing was connected yet: a builder is the only owner of what it builds.
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            change(shared);
        }
        self
    }
}

impl<S: Service> Protocol for Http<S> {
    fn connect(&self, info: ConnectionInfo, now: Instant) -> Box<dyn Flow> {
        Box::new(Switch::new(Serve::new(Arc::clone(&self.shared), info, Opening::Open, now)))
    }

    fn refuse(&self, info: ConnectionInfo, now: Instant) -> Option<Box<dyn Flow>> {
        Some(Box::new(Serve::new(Arc::clone(&self.shared), info, Opening::Overloaded, now)))
    }
}

impl<S> fmt::Debug for Http<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}
