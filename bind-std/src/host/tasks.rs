//! Connections carried by tasks, under whatever runtime: what the bindings of tasks have in common.
//!
//! ```text
//!   Accepting ── accept ──► lifecycle ──► spawn ──► Carried ── a turn a poll ──► closed
//!       │                                              │
//!       └──────────── Tasks: whom the server wakes ────┘──► over, once the last of them is
//! ```
//!
//! A binding gives these futures to its runtime, a [`PollWire`] for each socket, an [`Alarm`] for each connection, and
//! keeps the runtime until the server is [over](Tasks::over).

use std::cell::Cell;
use std::fmt;
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use anabranch_core::drive::{Alarm, Budget, PollWire, Polled, Stop};
use anabranch_core::lifecycle::ListenerId;
use anabranch_core::{AbortReason, CloseReason, Instant, Turn};

use super::{Admittance, Admitted, Bell, Clock, Host, Permit, Workspace};
use crate::listener::Connection;

/// The tasks of a server.
pub struct Tasks {
    host: Arc<Host>,
    read_bytes: usize,
    known: Mutex<Known>,
}

/// Whom the server wakes.
#[derive(Default)]
struct Known {
    acceptors: Wakers,
    connections: Wakers,
    /// Tasks that were made and have not ended, whether they were ever polled or not.
    alive: usize,
    /// Whoever waits for that.
    over: Vec<Waker>,
}

/// Wakers by their places.
#[derive(Default)]
struct Wakers {
    places: Vec<Option<Waker>>,
    free: Vec<usize>,
}

impl Wakers {
    fn put(&mut self, place: Option<usize>, waker: &Waker) -> usize {
        let place = place.or_else(|| self.free.pop()).unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        });
        let known = &mut self.places[place];
        if known.as_ref().is_none_or(|known| !known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
        place
    }

    fn remove(&mut self, place: usize) {
        self.places[place] = None;
        self.free.push(place);
    }

    fn wake(&self) {
        self.places.iter().flatten().for_each(Waker::wake_by_ref);
    }
}

impl Tasks {
    /// No tasks yet. Hangs a bell with `host`; reads are of `read_bytes`.
    #[must_use]
    pub fn new(host: &Arc<Host>, read_bytes: usize) -> Arc<Self> {
        let tasks = Arc::new(Self { host: host.clone(), read_bytes, known: Mutex::default() });
        host.hang(tasks.clone());
        tasks
    }

    /// A task that accepts from `listener` until the server closes that, and gives `spawn` what has a place.
    pub fn accept<L, S>(self: &Arc<Self>, id: ListenerId, listener: L, spawn: S) -> Accepting<L, S>
    where
        L: PollAccept,
        S: FnMut(Admitted),
    {
        let member = Member::new(self, Role::Acceptor);
        Accepting { member, id, listener: Some(listener), waiting: None, spawn }
    }

    /// A task that carries a connection over what `wire` makes of it, from its first byte to its last.
    pub fn carry<W, A, M>(self: &Arc<Self>, admitted: Admitted, wire: M, alarm: A) -> Carried<W, A, M>
    where
        W: PollWire,
        A: Alarm,
        M: FnOnce(Connection) -> io::Result<W>,
    {
        Carried { state: State::New(admitted, wire, alarm), member: Member::new(self, Role::Connection) }
    }

    /// Ready once all tasks made so far have ended, and those that they made.
    pub fn over(self: &Arc<Self>) -> impl Future<Output = ()> + Send + use<> {
        let tasks = self.clone();
        std::future::poll_fn(move |context| {
            let mut known = tasks.lock();
            if known.alive == 0 {
                return Poll::Ready(());
            }
            if !known.over.iter().any(|waker| waker.will_wake(context.waker())) {
                known.over.push(context.waker().clone());
            }
            Poll::Pending
        })
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // Nothing under this lock can panic half-way.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bell for Tasks {
    fn ring(&self, stop: Stop) {
        let known = self.lock();
        known.acceptors.wake();
        if stop != Stop::Running {
            known.connections.wake();
        }
    }
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tasks").field("alive", &self.lock().alive).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy)]
enum Role {
    Acceptor,
    Connection,
}

/// A task, as the server knows it: until this is dropped.
struct Member {
    tasks: Arc<Tasks>,
    role: Role,
    /// Where its waker is.
    place: Option<usize>,
}

impl Member {
    fn new(tasks: &Arc<Tasks>, role: Role) -> Self {
        tasks.lock().alive += 1;
        Self { tasks: tasks.clone(), role, place: None }
    }

    /// Whom to wake from here on. Look up what the server wants after this.
    fn is_woken_by(&mut self, waker: &Waker) {
        let mut known = self.tasks.lock();
        self.place = Some(known.of(self.role).put(self.place, waker));
    }
}

impl Known {
    const fn of(&mut self, role: Role) -> &mut Wakers {
        match role {
            Role::Acceptor => &mut self.acceptors,
            Role::Connection => &mut self.connections,
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut known = self.tasks.lock();
        if let Some(place) = self.place {
            known.of(self.role).remove(place);
        }
        known.alive -= 1;
        let over = if known.alive == 0 { std::mem::take(&mut known.over) } else { Vec::new() };
        drop(known);
        over.into_iter().for_each(Waker::wake);
    }
}

/// A listener that is polled.
pub trait PollAccept {
    /// The next connection, if one waits; wakes the task when the next one comes.
    fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Connection>>;
}

/// A task that accepts. See [`Tasks::accept`].
pub struct Accepting<L, S> {
    member: Member,
    id: ListenerId,
    /// `None` once it is closed.
    listener: Option<L>,
    /// Accepted while another took the last place.
    waiting: Option<Connection>,
    spawn: S,
}

/// So many are accepted in a row before others have their turn.
const ACCEPTED_IN_A_ROW: usize = 16;

impl<L, S> Future for Accepting<L, S>
where
    L: PollAccept + Unpin,
    S: FnMut(Admitted) + Unpin,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Self { member, id, listener, waiting, spawn } = self.get_mut();
        member.is_woken_by(context.waker());
        let host = &member.tasks.host;
        for _ in 0..ACCEPTED_IN_A_ROW {
            let (is_open, may_accept) =
                host.ask_server(|server| (server.is_listening(*id), server.is_accepting(*id)));
            let Some(open) = listener.as_mut().filter(|_| is_open) else {
                *listener = None;
                return Poll::Ready(());
            };
            if !may_accept {
                return Poll::Pending;
            }
            let accepted =
                waiting.take().map_or_else(|| open.poll_accept(context), |kept| Poll::Ready(Ok(kept)));
            match accepted {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(connection)) => match host.admit(connection, *id) {
                    Admittance::Granted(admitted) => spawn(admitted),
                    Admittance::Wait(connection) => *waiting = Some(connection),
                    Admittance::Denied => {}
                },
                Poll::Ready(Err(error)) if error.kind() == ErrorKind::WouldBlock => {}
                Poll::Ready(Err(error)) => host.accept_failed(*id, &error),
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<L, S> fmt::Debug for Accepting<L, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accepting").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A task that carries a connection. See [`Tasks::carry`].
///
/// Dropped before its end, as by a runtime that shuts down, it closes the connection where it is.
pub struct Carried<W, A, M> {
    state: State<W, A, M>,
    member: Member,
}

enum State<W, A, M> {
    New(Admitted, M, A),
    Open(Polled<W, A>, Permit),
    Closed,
}

impl<W, A, M> Future for Carried<W, A, M>
where
    W: PollWire + Unpin,
    A: Alarm + Unpin,
    M: FnOnce(Connection) -> io::Result<W> + Unpin,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Self { state, member } = self.get_mut();
        let reason = match catch_unwind(AssertUnwindSafe(|| state.poll(member, context))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(reason)) => reason,
            // A flow that panics breaks a law; that costs its own connection and nobody else's. What it was lent is dropped
            // with it.
            Err(_) => CloseReason::Aborted(AbortReason::Driver),
        };
        std::mem::replace(state, State::Closed).close(reason);
        Poll::Ready(())
    }
}

impl<W, A, M> State<W, A, M> {
    /// Closes the connection, for that reason.
    fn close(self, reason: CloseReason) {
        let Self::Open(polled, permit) = self else { return };
        let (driven, wire, alarm) = polled.into_parts();
        drop(wire);
        // What the application left with it may panic too. It is gone before its place is given to another.
        let _ = catch_unwind(AssertUnwindSafe(|| drop((driven, alarm))));
        permit.end(reason);
    }
}

impl<W, A, M> State<W, A, M>
where
    W: PollWire,
    A: Alarm,
    M: FnOnce(Connection) -> io::Result<W>,
{
    fn poll(&mut self, member: &mut Member, context: &mut Context<'_>) -> Poll<CloseReason> {
        let clock = member.tasks.host.clock();
        let now = clock.now();
        self.open(now);
        // One that could not be opened is closed by now, and its permit has said so.
        let Self::Open(polled, _) = self else {
            return Poll::Ready(CloseReason::Aborted(AbortReason::Driver));
        };
        if !polled.is_woken_by(context.waker()) {
            member.is_woken_by(context.waker());
        }
        let Tasks { host, read_bytes, .. } = &*member.tasks;
        with_workspace(clock, *read_bytes, |workspace| {
            workspace.anchor_dates(now);
            let Workspace { scratch, pool, dates, .. } = workspace;
            let mut turn = Turn::new(now, dates, context.waker(), pool);
            let mut exec = |job| host.exec(job);
            polled.poll(context, host.stop(), scratch, &mut turn, &mut exec, Budget::default())
        })
    }

    /// Makes the flow and the wire, at the first poll: on the thread, and under the runtime, of the task.
    fn open(&mut self, now: Instant) {
        if !matches!(self, Self::New(..)) {
            return;
        }
        let Self::New(admitted, wire, alarm) = std::mem::replace(self, Self::Closed) else { return };
        if let Some((flow, connection, permit)) = admitted.connect(now)
            && let Ok(wire) = wire(connection)
        {
            *self = Self::Open(Polled::new(flow, wire, alarm), permit);
        }
    }
}

impl<W, A, M> fmt::Debug for Carried<W, A, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Carried").finish_non_exhaustive()
    }
}

/// A thread's workspace, as the tasks that it polls share it.
struct Spare {
    clock: Clock,
    read_bytes: usize,
    workspace: Workspace,
}

thread_local! {
    /// Empty during a turn: should that poll another server's task, this has one of its own.
    static SPARE: Cell<Option<Box<Spare>>> = const { Cell::new(None) };
}

/// Lends this thread's workspace. Where servers share a runtime, so do they share threads; dates go by the server's clock.
fn with_workspace<R>(clock: Clock, read_bytes: usize, with: impl FnOnce(&mut Workspace) -> R) -> R {
    let spare = SPARE.take().filter(|spare| spare.clock == clock && spare.read_bytes == read_bytes);
    let mut spare =
        spare.unwrap_or_else(|| Box::new(Spare { clock, read_bytes, workspace: Workspace::new(read_bytes) }));
    let result = with(&mut spare.workspace);
    SPARE.set(Some(spare));
    result
}
