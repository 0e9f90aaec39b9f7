//! A running server, as its owner holds it.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anabranch_core::Protocol;
use anabranch_core::app::{Http, Service};
use anabranch_core::lifecycle::{Counters, ListenerId, Phase};

use crate::config::Config;
use crate::events::Events;
use crate::host::{Binding, Host, Summary};
use crate::listener::Listener;

/// Serves HTTP on `listeners`, answered by `service`, as `config` says, until the handle is told to stop.
///
/// A cap on memory or an observer of requests is given to an [`Http`], and that to [`serve_protocol`].
///
/// # Errors
/// When there is no listener, or the system gives no descriptor or thread to begin with.
pub fn serve<M: Binding>(
    config: &Config<M>,
    listeners: impl IntoIterator<Item = Listener>,
    service: impl Service,
) -> io::Result<Handle> {
    serve_protocol(config, listeners, Http::new(service).with_settings(config.http.clone()))
}

/// Serves any protocol on `listeners`, as `config` says, until the handle is told to stop.
///
/// # Errors
/// When there is no listener, or the system gives no descriptor or thread to begin with.
pub fn serve_protocol<M: Binding>(
    config: &Config<M>,
    listeners: impl IntoIterator<Item = Listener>,
    protocol: impl Protocol,
) -> io::Result<Handle> {
    let listeners: Vec<Listener> = listeners.into_iter().collect();
    if listeners.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a server without a listener serves nobody"));
    }
    let addresses: Vec<_> = listeners.iter().map(Listener::local_addr).collect();
    let host = Arc::new(Host::new(config, Box::new(protocol)));
    host.with_server(|server, now| {
        for (number, address) in addresses.iter().enumerate() {
            server.handle_bound(ListenerId(number), *address, now);
        }
    });
    let keeper =
        thread::Builder::new().name(host.thread_name("keep")).stack_size(KEEPER_STACK_BYTES).spawn({
            let host = host.clone();
            move || host.keep()
        })?;
    let handle = Handle {
        host: host.clone(),
        addresses: addresses.into_iter().flatten().collect(),
        keeper: Arc::new(Mutex::new(Some(keeper))),
    };
    if let Err(error) = config.model.start(&host, config, listeners) {
        handle.abort();
        handle.wait();
        return Err(error);
    }
    Ok(handle)
}

/// The keeper runs no code but this crate's.
const KEEPER_STACK_BYTES: usize = 128 * 1024;

/// A running server. Clones are handles on the same server.
///
/// Fits under a supervisor: [`wait`](Self::wait) blocks until the server stopped, whoever told it to, and the other
/// methods may be called from any thread meanwhile.
///
/// Dropping a handle, the last one too, stops nothing: a handle is a way to speak to the server and not the server. A
/// program that started one and forgets the handle serves until it ends.
///
/// ```text
///   suspend ⇄ resume      drain(grace) ──► connections finish ──► wait returns
///                              └─ grace over, or abort ──► connections end ──┘
/// ```
#[derive(Clone, Debug)]
pub struct Handle {
    host: Arc<Host>,
    addresses: Arc<[SocketAddr]>,
    keeper: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Handle {
    /// Where the server listens, or listened, in the order of the listeners: with the port that the kernel chose where
    /// port 0 was asked for. Listeners without such an address are left out.
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Accepts nobody until [`resume`](Self::resume), and goes on serving. Newcomers wait in the kernel's queue.
    pub fn suspend(&self) {
        self.host.with_server(|server, now| server.suspend(now));
    }

    /// Accepts again.
    pub fn resume(&self) {
        self.host.with_server(|server, now| server.resume(now));
    }

    /// Stops: closes the listeners, lets what has begun finish within `grace`, aborts what is open then. Returns at once;
    /// [`wait`](Self::wait) says when it is done. Every connection learns of it within half a second, unless its thread
    /// is busy in a handler. Given again, it may shorten the grace and never lengthens it.
    pub fn drain(&self, grace: Duration) {
        self.host.with_server(|server, now| server.stop(grace, now));
    }

    /// Stops at once: ends every connection where it is. Returns at once too.
    pub fn abort(&self) {
        self.host.with_server(|server, now| server.abort(now));
    }

    /// Waits until the server stopped and its threads ended, and says how that went. It does not stop the server.
    ///
    /// Once the server was aborted, or its connections are done, it waits for threads that are held by a handler or a job
    /// no longer than [`Config::patience`].
    pub fn wait(&self) -> Summary {
        loop {
            if let Some(summary) = self.wait_for(None) {
                return summary;
            }
        }
    }

    /// As [`wait`](Self::wait), `at_most` so long; `None` when the server still runs then.
    #[must_use]
    pub fn wait_timeout(&self, at_most: Duration) -> Option<Summary> {
        self.wait_for(Some(at_most))
    }

    /// As [`wait`](Self::wait), for tasks: under any runtime.
    pub async fn stopped(&self) -> Summary {
        let summary = poll_fn(|context| self.host.poll_summary(context)).await;
        self.join_keeper();
        summary
    }

    /// Serves until `signal` is ready, then [drains](Self::drain) with `grace`; ready once the server stopped, whoever told
    /// it to. Dropped before, it leaves the server as it is.
    pub async fn until(&self, signal: impl Future<Output = ()>, grace: Duration) -> Summary {
        let mut signal = pin!(signal);
        let mut stopped = pin!(self.stopped());
        let mut told = false;
        poll_fn(|context| {
            if !told && signal.as_mut().poll(context).is_ready() {
                told = true;
                self.drain(grace);
            }
            stopped.as_mut().poll(context)
        })
        .await
    }

    fn wait_for(&self, at_most: Option<Duration>) -> Option<Summary> {
        let summary = self.host.wait(at_most)?;
        self.join_keeper();
        Some(summary)
    }

    /// The keeper gave its summary as the last thing it did.
    fn join_keeper(&self) {
        if let Some(keeper) = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = keeper.join();
        }
    }

    /// What happens in the server from here on, and for the first who asks, since it began. See [`Events`].
    #[must_use]
    pub fn events(&self) -> Events {
        self.host.subscribe()
    }

    /// The server's sums so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.host.ask_server(|server| *server.counters())
    }

    /// Where the server is in its life.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.host.ask_server(anabranch_core::lifecycle::Server::phase)
    }
}
