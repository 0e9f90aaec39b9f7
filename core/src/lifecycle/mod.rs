//! A server's life as a pure machine: listening, admitting connections within a limit, draining, stopping.
//!
//! ```text
//!       ┌─────────┐ ── suspend ──► ┌───────────┐
//!   ──► │ Running │                │ Suspended │
//!       └────┬────┘ ◄── resume ─── └─────┬─────┘
//!            └─────────────┬─────────────┘
//!     stop(grace), or no   │   abort
//!     listener is left     ├──────────────────────────────┐
//!                          ▼                              ▼
//!                    ┌──────────┐  grace over, abort ┌──────────┐
//!                    │ Draining │ ─────────────────► │ Aborting │
//!                    └─────┬────┘                    └─────┬────┘
//!                          │    last connection closed     │
//!                          └──────────────┬────────────────┘
//!                                         ▼
//!                                    ┌─────────┐
//!                                    │ Stopped │
//!                                    └─────────┘
//!
//!  within Running, a listener is told to     start  ◄──  below the limit · back-off over · resumed
//!                                            pause  ◄──  at the limit (AtLimit::Pause) · out of descriptors · suspended
//!                                            close  ◄──  its socket failed · accepting lost · stop · abort
//! ```
//!
//! [`Server`] owns no socket and no connection. A binding tells it what happened (`handle_*`), forwards what its owner
//! wants ([`suspend`](Server::suspend), [`resume`](Server::resume), [`stop`](Server::stop), [`abort`](Server::abort)),
//! and does what [`poll_action`](Server::poll_action) says, until that gives [`Action::Stopped`]. The order of a stop
//! is here and nowhere else: listeners are closed, connections are drained, at the end of the grace they are aborted,
//! and the server has stopped when none is open.
//!
//! # From one thread, and from many
//!
//! A reactor thread owns the machine and calls it directly. Threads share it in a `Mutex`: every call is short, blocks
//! on nothing, and allocates at most the record of a connection. Whoever made a call then polls the actions, under the
//! same lock, and carries them out: they come in the right order whoever takes them. An acceptor asks
//! [`is_accepting`](Server::is_accepting) before each `accept` and sleeps on a condition variable while it is not; a
//! thread that waits for time waits until [`deadline`](Server::deadline), and asks again after each call.
//!
//! A connection that is admitted by one thread while another carries out [`Action::Drain`] must not be missed: enter it
//! where the drain will find it, *then* ask [`phase`](Server::phase), and drain it when that is not
//! [`Phase::Running`] or [`Phase::Suspended`].
//!
//! # Many acceptors
//!
//! Two that accept at the same time may both have found a place free, and there was one. Whom the other brings is not turned
//! away while the server is to [pause](AtLimit::Pause) at its limit: it waits with whoever accepted it ([`Admission::Wait`]),
//! as others do in the kernel's queue, so that there is one at most for each acceptor and listener.
//!
//! One lock a connection costs little beside `accept` itself. Where acceptors are many and share nothing, permits will
//! be leased: an acceptor takes a batch of *n* permits in one call, admits from it without asking, and gives back what
//! it does not use. Served connections and permits on lease together stay within the limit, so it stays hard; what it
//! costs is that up to (acceptors × batch) permits lie idle with one acceptor while another is at the limit. Such a
//! lease would be one more input of [`Server`] and count as open connections do; nothing else changes.
//!
//! # Example
//!
//! ```
//! use core::time::Duration;
//! use anabranch_core::lifecycle::{Action, Admission, ListenerId, Server, ServerConfig};
//! use anabranch_core::{CloseReason, Instant};
//!
//! let mut config = ServerConfig::default();
//! config.max_connections = 1;
//! let mut server = Server::new(config);
//! let (listener, now) = (ListenerId(0), Instant::ORIGIN);
//!
//! server.handle_bound(listener, None, now);
//! assert_eq!(server.poll_action(), Some(Action::StartAccepting(listener)));
//!
//! let Admission::Serve(connection) = server.handle_accepted(listener, now) else { panic!("there is room") };
//! assert_eq!(server.poll_action(), Some(Action::PauseAccepting(listener)));
//!
//! server.stop(Duration::from_secs(15), now);
//! assert_eq!(server.poll_action(), Some(Action::CloseListener(listener)));
//! assert_eq!(server.poll_action(), Some(Action::Drain));
//! assert_eq!(server.deadline(), Some(now + Duration::from_secs(15)));
//!
//! server.handle_closed(connection, CloseReason::Drained, now);
//! assert_eq!(server.poll_action(), Some(Action::Stopped));
//! assert_eq!(server.deadline(), None);
//! ```

mod accept;
mod config;
mod event;
mod phase;
mod roster;
mod server;

pub use accept::AcceptErrorKind;
pub use config::{AtLimit, Backoff, ServerConfig};
pub use event::{AcceptErrors, Alarm, Counters, DropCause, Event, EventKind};
pub use phase::Phase;
pub use server::{Action, Admission, ListenerId, Server};

#[cfg(test)]
mod tests;
