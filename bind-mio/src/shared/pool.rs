//! What the network threads share: the places, the poll, the queue of those that are wanted, and the deadlines.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

use anabranch_core::lifecycle::AcceptErrorKind;
use anabranch_core::timer::Timers;
use anabranch_core::{Instant, Outlook};
use anabranch_std::host::{Admitted, Bell, Host, Stop, Workspace};
use crossbeam_queue::SegQueue;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};
use socket2::Socket;

use super::entry::{Armed, Entries, Entry, Inside, Note};
use crate::connection::{Connection, Turned};

/// One a server.
pub(super) struct Pool {
    pub(super) host: Arc<Host>,
    entries: Entries,
    /// Numbers that were used and are free, and the first that never was.
    free: SegQueue<u32>,
    fresh: AtomicU32,
    taken: AtomicUsize,
    /// Numbers of places that are wanted though no event came for them.
    wanted: SegQueue<u32>,
    poll: OwnedFd,
    /// Rung for one thread that sleeps in the poll.
    bell: OwnedFd,
    /// Raised once and for all when everything is over.
    end: OwnedFd,
    sleepers: AtomicUsize,
    ringing: AtomicBool,
    attention: AtomicBool,
    closed: AtomicBool,
    over: AtomicBool,
    clock: Mutex<Clock>,
    earlier: Condvar,
}

struct Clock {
    timers: Timers,
    /// When the clock's thread looks next.
    looks_at: Instant,
}

/// What the poll says instead of a connection.
pub(super) const BELL: u64 = u64::MAX;
pub(super) const END: u64 = u64::MAX - 1;

impl Pool {
    /// For at most so many connections.
    pub(super) fn new(host: Arc<Host>, most: usize) -> io::Result<Self> {
        let poll = epoll::create(CreateFlags::CLOEXEC)?;
        let event = || eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let (bell, end) = (event()?, event()?);
        // Of an edge one thread hears; of a level all do.
        epoll::add(&poll, &bell, EventData::new_u64(BELL), EventFlags::IN | EventFlags::ET)?;
        epoll::add(&poll, &end, EventData::new_u64(END), EventFlags::IN)?;
        let timers = Timers::new(host.clock().now());
        Ok(Self {
            host,
            entries: Entries::new(most),
            free: SegQueue::new(),
            fresh: AtomicU32::new(0),
            taken: AtomicUsize::new(0),
            wanted: SegQueue::new(),
            poll,
            bell,
            end,
            sleepers: AtomicUsize::new(0),
            ringing: AtomicBool::new(false),
            attention: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            over: AtomicBool::new(false),
            clock: Mutex::new(Clock { timers, looks_at: Instant::NEVER }),
            earlier: Condvar::new(),
        })
    }

    // ---- from acceptors ----

    /// Takes a connection up: its first turn is a network thread's, for it may be the one to speak first.
    pub(super) fn put(self: &Arc<Self>, admitted: Admitted) {
        let (listener, now) = (admitted.listener(), self.host.clock().now());
        // A protocol that panics costs this connection only.
        let connected = catch_unwind(AssertUnwindSafe(|| admitted.connect(now)));
        let Ok(Some((flow, connection, permit))) = connected else { return };
        let number = self.free.pop().unwrap_or_else(|| self.fresh.fetch_add(1, Ordering::Relaxed));
        let Some(entry) = self.entries.get(number) else {
            // More than the lifecycle ever admits.
            return self.host.accept_failed_as(listener, AcceptErrorKind::Exhausted);
        };
        self.taken.fetch_add(1, Ordering::AcqRel);
        {
            let mut inside = entry.open();
            inside.connection = Some(Connection::new(flow, connection, permit));
            inside.armed = Armed::Never;
        }
        self.want(number);
    }

    /// No more connections come.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.end_if_nothing_is_left();
    }

    // ---- from network threads ----

    /// Sleeps until something is to be done, unless something is; gives what the poll said.
    pub(super) fn sleep(&self, events: &mut Vec<epoll::Event>) {
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let is_wanted = !self.wanted.is_empty() || self.attention.load(Ordering::SeqCst);
        let at_once = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        events.clear();
        let result =
            epoll::wait(&self.poll, rustix::buffer::spare_capacity(events), is_wanted.then_some(&at_once));
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
        if result.is_err() {
            // Interrupted, or out of memory, where trying again is all there is.
            events.clear();
        }
    }

    /// The bell was heard: before the queue is looked into.
    pub(super) fn heard(&self) {
        let _ = rustix::io::read(&self.bell, &mut [0_u8; 8]);
        self.ringing.store(false, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// The bell was heard by a thread that has other things to do first: another is called for what it was rung for.
    pub(super) fn pass_on(&self) {
        self.heard();
        if !self.wanted.is_empty() || self.attention.load(Ordering::SeqCst) {
            self.call();
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// The next that is wanted though no event came for it. Others are woken for those behind it.
    pub(super) fn next_wanted(&self) -> Option<u32> {
        if self.attention.swap(false, Ordering::SeqCst) {
            // The server wants something of every connection.
            for number in 0..self.fresh.load(Ordering::Acquire) {
                self.enqueue(number);
            }
        }
        let number = self.wanted.pop()?;
        self.entries.get(number)?.dequeue();
        if !self.wanted.is_empty() {
            self.call();
        }
        Some(number)
    }

    /// Something came for the connection that `token` speaks of.
    pub(super) fn handle_event(self: &Arc<Self>, token: u64, flags: EventFlags, workspace: &mut Workspace) {
        let (number, generation) = (token as u32, (token >> 32) as u32);
        let Some(entry) = self.entries.get(number) else { return };
        if entry.note(generation, note_of(flags)) {
            self.serve(number, workspace);
        }
    }

    /// Takes the turns that are owed to a place.
    pub(super) fn serve(self: &Arc<Self>, number: u32, workspace: &mut Workspace) {
        let Some(entry) = self.entries.get(number) else { return };
        if !entry.claim() {
            return;
        }
        loop {
            self.turn(number, entry, workspace);
            if entry.release() {
                return;
            }
        }
    }

    fn turn(self: &Arc<Self>, number: u32, entry: &Entry, workspace: &mut Workspace) {
        let mut inside = entry.open();
        let Inside { connection: place, waker, armed } = &mut *inside;
        let Some(connection) = place else { return };
        entry.take_notes().tell(connection);
        let waker = waker.get_or_insert_with(|| Waker::from(Arc::new(Wanted { number, pool: self.clone() })));
        let now = self.host.clock().now();
        workspace.anchor_dates(now);
        let mut exec = |job| self.host.exec(job);
        match connection.turn(&self.host, workspace, now, waker, &mut exec) {
            Turned::Again => self.want(number),
            Turned::Blocked(outlook) => {
                self.set_timer(number, entry, outlook.due);
                if self.arm(number, entry, connection, outlook, *armed).is_ok() {
                    *armed = Armed::Once;
                    return;
                }
                // Out of what the poll needs: without it nobody would hear of this connection again.
                self.remove(number, entry, place.take(), None);
            }
            Turned::Finished(reason) => self.remove(number, entry, place.take(), Some(reason)),
        }
    }

    fn remove(
        &self,
        number: u32,
        entry: &Entry,
        connection: Option<Connection>,
        reason: Option<anabranch_core::CloseReason>,
    ) {
        entry.end_generation();
        match (connection, reason) {
            (Some(connection), Some(reason)) => connection.close(reason),
            (connection, _) => drop(connection),
        }
        self.free.push(number);
        self.taken.fetch_sub(1, Ordering::SeqCst);
        self.end_if_nothing_is_left();
    }

    /// Asks for the next event: of what the flow waits for, and of the peer's end in any case.
    fn arm(
        &self,
        number: u32,
        entry: &Entry,
        connection: &Connection,
        outlook: Outlook,
        armed: Armed,
    ) -> io::Result<()> {
        if armed == Armed::Once && connection.driven.readiness.gone && !outlook.reads() && !outlook.writes() {
            // Known to have hung up, which the poll reports whatever it is asked for, and again at once. What is waited for is
            // none of its.
            return Ok(());
        }
        let mut flags = EventFlags::ONESHOT;
        flags.set(EventFlags::IN | EventFlags::RDHUP, outlook.reads());
        flags.set(EventFlags::OUT, outlook.writes());
        let token = EventData::new_u64(u64::from(entry.generation()) << 32 | u64::from(number));
        let socket: &Socket = connection.socket();
        match armed {
            Armed::Never => epoll::add(&self.poll, socket, token, flags)?,
            Armed::Once => epoll::modify(&self.poll, socket, token, flags)?,
        }
        Ok(())
    }

    // ---- deadlines ----

    /// Only to earlier: what moves to later is found out when the earlier comes due.
    fn set_timer(&self, number: u32, entry: &Entry, due: Instant) {
        if due.as_nanos() >= entry.timer.load(Ordering::Acquire) {
            return;
        }
        let mut clock = self.clock();
        entry.timer.store(due.as_nanos(), Ordering::Release);
        clock.timers.set(number as usize, due);
        if due < clock.looks_at {
            self.earlier.notify_one();
        }
    }

    /// The clock's thread: has those served whose time has come.
    pub(super) fn keep_time(&self) {
        let mut due = VecDeque::new();
        let mut clock = self.clock();
        while !self.is_over() {
            let now = self.host.clock().now();
            while let Some(number) = clock.timers.pop(now) {
                // Numbers come from `set_timer` and nowhere else.
                due.push_back(number as u32);
            }
            if !due.is_empty() {
                drop(clock);
                for number in due.drain(..) {
                    if let Some(entry) = self.entries.get(number) {
                        entry.timer.store(u64::MAX, Ordering::Release);
                    }
                    self.want(number);
                }
                clock = self.clock();
                continue;
            }
            clock.looks_at = clock.timers.next().unwrap_or(Instant::NEVER);
            clock = if clock.looks_at == Instant::NEVER {
                self.earlier.wait(clock).unwrap_or_else(PoisonError::into_inner)
            } else {
                let left = clock.looks_at - now;
                self.earlier.wait_timeout(clock, left).unwrap_or_else(PoisonError::into_inner).0
            };
        }
    }

    fn clock(&self) -> MutexGuard<'_, Clock> {
        // Nothing under this lock can panic half-way.
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // ---- waking ----

    /// A place is wanted: somebody is to serve it.
    fn want(&self, number: u32) {
        if self.enqueue(number) {
            self.call();
        }
    }

    fn enqueue(&self, number: u32) -> bool {
        let is_new = self.entries.get(number).is_some_and(Entry::enqueue);
        if is_new {
            self.wanted.push(number);
        }
        is_new
    }

    /// Wakes a thread that sleeps in the poll, if none is being woken already. Those that are awake look into the queue
    /// before they sleep.
    fn call(&self) {
        fence(Ordering::SeqCst);
        if self.sleepers.load(Ordering::SeqCst) > 0 && !self.ringing.swap(true, Ordering::SeqCst) {
            ring(&self.bell);
        }
    }

    fn end_if_nothing_is_left(&self) {
        if self.closed.load(Ordering::SeqCst) && self.taken.load(Ordering::SeqCst) == 0 {
            self.over.store(true, Ordering::Release);
            ring(&self.end);
            // Within the lock: the clock's thread has either seen it or sleeps by now.
            let _clock = self.clock();
            self.earlier.notify_one();
        }
    }
}

impl Bell for Pool {
    fn ring(&self, stop: Stop) {
        if stop != Stop::Running {
            self.attention.store(true, Ordering::SeqCst);
            self.call();
        }
    }
}

/// Whom the application of a connection wakes.
struct Wanted {
    number: u32,
    pool: Arc<Pool>,
}

impl Wake for Wanted {
    fn wake(self: Arc<Self>) {
        self.pool.want(self.number);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.pool.want(self.number);
    }
}

fn note_of(flags: EventFlags) -> Note {
    let mut note = Note::NOTHING;
    let broken = flags.intersects(EventFlags::ERR | EventFlags::HUP);
    if broken || flags.intersects(EventFlags::IN | EventFlags::RDHUP) {
        note = note.and(Note::READABLE);
    }
    if broken || flags.contains(EventFlags::OUT) {
        note = note.and(Note::WRITABLE);
    }
    if broken || flags.contains(EventFlags::RDHUP) {
        note = note.and(Note::HANGUP);
    }
    if broken {
        note = note.and(Note::GONE);
    }
    note
}

fn ring(event: &OwnedFd) {
    // It fails only when it was rung already.
    let _ = rustix::io::write(event, &1_u64.to_ne_bytes());
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("most", &self.entries.most()).finish_non_exhaustive()
    }
}
