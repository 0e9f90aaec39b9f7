//! The event loop: one thread, one poll, every connection by turns.
//!
//! ```text
//!            ┌────────────────────────────────────────────────────────────────────────────┐
//!            ▼                                                                            │
//!   attend (stop, listeners) ─► sleep ─► events ─► mail ─► timers ─► those queued again ──┘
//!                                 │        │         │        │             │
//!                         poll: sockets,   │         │        │             │
//!                         listeners, mail  └────┬────┴────────┴─────────────┘
//!                                               ▼
//!                             a turn: here, or by a worker ─► Blocked: its deadline is set
//!                                                             Again: queued again, behind all others
//!                                                             Finished: closed
//! ```
//!
//! Sockets are registered once, edge-triggered: a connection costs one epoll_ctl(2) in its life, and another if ever its peer
//! does not take what it is sent; none at all if it was accepted with its first bytes and is over in its first turn. What an edge
//! said is kept in its [`Readiness`] until a turn has used it up; a flow that yields is not read, and its peer is held up by its
//! own window. Nothing on the way of a request takes a lock. What there is for other threads is handed over in batches: see
//! [`gathering`](crate::gathering).
//!
//! [`Readiness`]: anabranch_core::drive::Readiness

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Waker;
use std::thread;
use std::time::Duration;

use anabranch_core::drive::Readiness;
use anabranch_core::lifecycle::AcceptErrorKind;
use anabranch_core::timer::Timers;
use anabranch_core::{AbortReason, CloseReason, Instant, Outlook};
use anabranch_std::host::{Admitted, Host, Stop, Workspace};
use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use crate::connection::{Connection, TURNS_IN_A_ROW, Turned};
use crate::doors::{Accepted, Close, Door, Doors};
use crate::gathering::Gathering;
use crate::heard::{merge, note};
use crate::inlet::Inlet;
use crate::mailbox::Mailbox;
use crate::outbox::Outbox;
use crate::slot::{Mark, Slot, State, Watched};
use crate::table::{Place, RESERVED, Table};
use crate::wakers::{Common, Own};
use crate::workers::{Done, Work};

/// What other threads have for a reactor.
#[derive(Debug)]
pub(crate) enum Mail {
    /// The application has something for this connection.
    Woken(Place),
    /// A connection to be served here.
    Arrived(Admitted),
    /// No more of them arrive.
    NoMoreArrivals,
    /// A worker took turns with this connection.
    Returned(Done),
    /// The loop is to die.
    #[cfg(test)]
    Fault,
}

/// Who takes the turns.
#[derive(Debug)]
pub(crate) enum Hands {
    /// The loop itself: handlers run in it.
    Own,
    /// A pool of workers: the loop waits for none of them.
    Workers(Outbox),
}

/// Where connections come from.
pub(crate) enum Source {
    /// The loop accepts them.
    Doors { doors: Vec<Door>, close: Close },
    /// They arrive by mail, until that says that no more do.
    Mail(Arc<Inlet>),
}

/// One loop.
pub(crate) struct Reactor {
    host: Arc<Host>,
    poll: Poll,
    mailbox: Arc<Mailbox<Mail>>,
    hands: Hands,
    doors: Doors,
    arrivals: Arrivals,
    slots: Table<Slot, Mark>,
    timers: Timers,
    /// Those that are to have a turn though no event came for them.
    queue: VecDeque<Place>,
    workspace: Workspace,
    common: Common,
    now: Instant,
    /// No turn was taken since the clock was read.
    looked: bool,
    /// What the connections were last told.
    stop: Stop,
    gathering: Gathering,
}

/// Whether connections may still arrive by mail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Arrivals {
    Open,
    Over,
}

const MAIL: Token = Token(RESERVED);
const FIRST_DOOR: usize = RESERVED + 1;

/// Events taken from the kernel at once.
const EVENTS: usize = 1024;

impl Reactor {
    /// # Errors
    /// When the system gives no descriptor.
    pub(crate) fn new(host: &Arc<Host>, read_bytes: usize, source: Source, hands: Hands) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mailbox = Arc::new(Mailbox::new(mio::Waker::new(poll.registry(), MAIL)?));
        let (doors, arrivals) = match source {
            Source::Doors { doors, close } => {
                (Doors::new(doors, close, poll.registry().as_fd(), FIRST_DOOR)?, Arrivals::Over)
            }
            Source::Mail(inlet) => {
                let arrivals = if inlet.lead_to(&mailbox) { Arrivals::Open } else { Arrivals::Over };
                (Doors::none(), arrivals)
            }
        };
        host.hang(mailbox.clone());
        let now = host.clock().now();
        Ok(Self {
            host: host.clone(),
            poll,
            hands,
            doors,
            arrivals,
            slots: Table::new(),
            timers: Timers::new(now),
            queue: VecDeque::new(),
            workspace: Workspace::new(read_bytes),
            common: Common::new(),
            mailbox,
            now,
            looked: false,
            stop: Stop::Running,
            gathering: Gathering::new(now),
        })
    }

    /// Serves until its listeners are closed and its connections done.
    pub(crate) fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS);
        loop {
            if self.mailbox.give_attention() {
                self.attend();
            }
            if self.doors.is_empty() && self.arrivals == Arrivals::Over && self.slots.len() == 0 {
                self.call();
                return;
            }
            self.wait(&mut events);
            self.look_at_the_clock();
            self.workspace.anchor_dates(self.now);
            for event in &events {
                self.handle_event(event);
            }
            while let Some(mail) = self.mailbox.take() {
                self.handle_mail(mail);
            }
            self.accept();
            while let Some(key) = self.timers.pop(self.now) {
                self.handle_due(Place::of_key(key));
            }
            self.handle_queue();
        }
    }

    /// Does with the listeners and the connections what the server wants now.
    fn attend(&mut self) {
        self.doors.attend(&self.host, self.poll.registry().as_fd());
        for number in 0..self.doors.len() {
            if self.doors.has_waiting(number)
                && let Accepted::One(admitted) = self.doors.accept(number, &self.host)
            {
                self.welcome(admitted);
            }
        }
        let stop = self.host.stop();
        if stop != self.stop {
            self.stop = stop;
            let places: Vec<Place> = self.slots.places().collect();
            places.into_iter().for_each(|place| self.enqueue(place));
        }
    }

    /// Until there is something to be done. Before it sleeps, others are called for what there is for them.
    fn wait(&mut self, events: &mut Events) {
        let gathers = self.gathering.goes_on(self.now);
        if gathers && self.look(events) {
            return;
        }
        if self.call()
            && self.is_idle()
            && let Some(pause) = self.gathering.pause(self.now)
        {
            if !gathers && self.look(events) {
                return;
            }
            thread::sleep(pause);
        }
        self.sleep(events);
    }

    /// Whether there is nothing to be done before an event comes. Where the workers are behind, what is queued waits for them.
    fn is_idle(&self) -> bool {
        self.queue.is_empty() || self.is_stalled()
    }

    fn is_stalled(&self) -> bool {
        matches!(&self.hands, Hands::Workers(outbox) if outbox.is_stalled())
    }

    /// Whether there are events at the moment.
    fn look(&mut self, events: &mut Events) -> bool {
        self.poll.poll(events, Some(Duration::ZERO)).is_ok() && !events.is_empty()
    }

    /// Calls those who are to do what was gathered for them, all of it at once. Says whether there was anything.
    fn call(&mut self) -> bool {
        let calls = self.gathering.end(self.now);
        if calls {
            self.send();
            self.host.call_lanes();
        }
        calls
    }

    fn sleep(&mut self, events: &mut Events) {
        let until =
            if self.is_idle() { self.timers.next().unwrap_or(Instant::NEVER) } else { Instant::ORIGIN };
        if until != Instant::NEVER {
            self.look_again();
        }
        let mut timeout = (until != Instant::NEVER).then(|| until - self.now);
        // Where the workers are behind, any that comes back is waited for.
        let until = if self.is_stalled() { Instant::NEVER } else { until };
        if timeout != Some(Duration::ZERO) && !self.mailbox.prepare(until) {
            timeout = Some(Duration::ZERO);
        }
        if self.poll.poll(events, timeout).is_err() {
            // Interrupted, or out of memory, where trying again is all there is.
            events.clear();
        }
        self.mailbox.begin();
    }

    fn look_at_the_clock(&mut self) {
        self.now = self.host.clock().now();
        self.looked = true;
    }

    /// However long the handlers before it took: what comes next counts from now.
    fn look_again(&mut self) {
        if !self.looked {
            self.look_at_the_clock();
        }
    }

    fn handle_event(&mut self, event: &Event) {
        let token = event.token();
        if token.0 >= FIRST_DOOR {
            return self.doors.mark(token.0 - FIRST_DOOR);
        }
        // Not where the token is that of the mail, which is looked into in any case, or of a connection that is closed.
        let Some(place) = self.slots.place(token) else { return };
        let Some(slot) = self.slots.get_mut(place) else { return };
        match &mut slot.state {
            State::Here(connection) => {
                note(&mut connection.driven.readiness, event);
                self.serve(place);
            }
            State::Away { events, wanted } => {
                note(events, event);
                *wanted = true;
                if let Some(own) = &slot.own {
                    own.note();
                }
            }
        }
    }

    fn handle_mail(&mut self, mail: Mail) {
        match mail {
            Mail::Arrived(admitted) => self.welcome(admitted),
            Mail::NoMoreArrivals => self.arrivals = Arrivals::Over,
            #[cfg(test)]
            Mail::Fault => panic!("the loop dies, as it is meant to"),
            Mail::Woken(place) => {
                // Whoever had the place may be gone: then this is for nothing, and harmless.
                let Some(slot) = self.slots.get_mut(place) else { return };
                if let Some(own) = &slot.own {
                    own.heard();
                    own.note();
                }
                match &mut slot.state {
                    State::Here(_) => self.enqueue(place),
                    State::Away { wanted, .. } => *wanted = true,
                }
            }
            Mail::Returned(Done { place, mut connection, turned }) => {
                if let Hands::Workers(outbox) = &mut self.hands {
                    outbox.hear_back();
                }
                let Some(slot) = self.slots.get_mut(place) else { return };
                let mut wanted = false;
                if let State::Away { events, wanted: meanwhile } = &slot.state {
                    merge(&mut connection.driven.readiness, *events);
                    wanted = *meanwhile;
                }
                // It may have gone before the server said that it stops.
                let is_told = match self.host.stop() {
                    Stop::Running => true,
                    Stop::Draining => connection.driven.is_draining(),
                    Stop::Aborting(_) => false,
                };
                slot.state = State::Here(connection);
                self.settle(place, turned);
                if wanted || !is_told {
                    self.enqueue(place);
                }
            }
        }
    }

    /// Accepts from the listeners that have somebody, each within its budget.
    fn accept(&mut self) {
        for number in 0..self.doors.len() {
            for _ in 0..self.doors.begin(number) {
                if self.mailbox.wants_attention() {
                    // The limit may be reached, or the listener to be closed.
                    return;
                }
                match self.doors.accept(number, &self.host) {
                    Accepted::One(admitted) => self.welcome(admitted),
                    Accepted::None => break,
                    Accepted::Lost => {}
                }
            }
        }
    }

    /// Takes a connection up. It has a first turn at once, unless all that its flow waits for is a peer that has not spoken.
    fn welcome(&mut self, admitted: Admitted) {
        self.look_again();
        let (host, now, listener) = (self.host.clone(), self.now, admitted.listener());
        // A protocol that panics costs this connection only.
        let connected = catch_unwind(AssertUnwindSafe(|| admitted.connect(now)));
        let Ok(Some((flow, connection, permit))) = connected else { return };
        let has_input = connection.has_input;
        let connection = Connection::new(flow, connection, permit);
        let outlook = connection.driven.outlook();
        let rests = !has_input && self.stop == Stop::Running && outlook.rests;
        let fd = connection.socket().as_raw_fd();
        let place = self.slots.insert(Slot { state: State::Here(connection), own: None });
        // What has come in full may be answered, and the connection closed, without the poll ever knowing of it.
        let turned =
            if has_input && matches!(self.hands, Hands::Own) { self.take_turns(place) } else { None };
        if let Some(Turned::Finished(reason)) = turned {
            return self.close(place, reason);
        }
        let token = self.slots.token(place);
        if self.poll.registry().register(&mut SourceFd(&fd), token, Interest::READABLE).is_err() {
            // Out of something, like accept(2) may be.
            drop(self.slots.remove(place));
            return host.accept_failed_as(listener, AcceptErrorKind::Exhausted);
        }
        match turned {
            Some(turned) => self.settle(place, turned),
            None if rests => self.watch_over(place, outlook),
            None => self.serve(place),
        }
    }

    fn handle_due(&mut self, place: Place) {
        let now = self.now;
        let Some(slot) = self.slots.get_mut(place) else { return };
        // With a worker: its deadline is set when it is back.
        let State::Here(connection) = &slot.state else { return };
        match connection.driven.outlook().due {
            Instant::NEVER => {}
            due if due <= now => self.serve(place),
            due => self.timers.set(place.key(), due),
        }
    }

    /// Those that are queued by now have a turn each; those that they queue wait for the next round.
    fn handle_queue(&mut self) {
        for _ in 0..self.queue.len() {
            if let Hands::Workers(outbox) = &mut self.hands
                && !outbox.has_room()
            {
                return;
            }
            let Some(place) = self.queue.pop_front() else { return };
            if let Some(mark) = self.slots.mark_mut(place) {
                mark.queued = false;
                self.serve(place);
            }
        }
    }

    fn enqueue(&mut self, place: Place) {
        if let Some(mark) = self.slots.mark_mut(place)
            && !mark.queued
        {
            mark.queued = true;
            self.queue.push_back(place);
        }
    }

    /// A turn: here and now, or by a worker.
    fn serve(&mut self, place: Place) {
        match &self.hands {
            Hands::Own => self.turn(place),
            Hands::Workers(_) => self.hand_over(place),
        }
    }

    fn turn(&mut self, place: Place) {
        if let Some(turned) = self.take_turns(place) {
            self.settle(place, turned);
        }
    }

    /// A turn, and others if the application has more for it in mid-turn. Says how the last one ended.
    fn take_turns(&mut self, place: Place) -> Option<Turned> {
        self.look_again();
        self.looked = false;
        if self.gathering.is_overdue(self.now) {
            self.call();
        }
        let Self { host, workspace, slots, common, now, gathering, .. } = self;
        let slot = slots.get_mut(place)?;
        let State::Here(connection) = &mut slot.state else { return None };
        let mut puts = false;
        let mut put = |job| {
            puts = true;
            host.put(job)
        };
        let own = slot.own.as_ref();
        let waker = own.map(|own| Waker::from(own.clone()));
        let waker = waker.as_ref().unwrap_or_else(|| common.waker());
        let mut turned = Turned::Again;
        for _ in 0..TURNS_IN_A_ROW {
            if let Some(own) = own {
                own.begin();
            }
            turned = connection.turn(host, workspace, *now, waker, &mut put);
            let is_woken = own.map_or_else(|| common.was_woken(), |own| own.end());
            if !matches!(turned, Turned::Blocked(_)) || !is_woken {
                break;
            }
            turned = Turned::Again;
        }
        if puts && let Some(mark) = slots.mark_mut(place) {
            gathering.add(*now, &mut mark.counted);
        }
        Some(turned)
    }

    fn hand_over(&mut self, place: Place) {
        let Hands::Workers(outbox) = &mut self.hands else { return };
        let Some(slot) = self.slots.get_mut(place) else { return };
        if let State::Away { wanted, .. } = &mut slot.state {
            // A turn is under way: another follows it, with what came meanwhile.
            *wanted = true;
            if let Some(own) = &slot.own {
                own.note();
            }
            return;
        }
        if !outbox.has_room() {
            return self.enqueue(place);
        }
        let away = State::Away { events: Readiness::default(), wanted: false };
        let State::Here(connection) = std::mem::replace(&mut slot.state, away) else { return };
        let own = slot.own.get_or_insert_with(|| Arc::new(Own::new(self.mailbox.clone(), place)));
        own.leave();
        outbox.put(Work { place, connection, own: own.clone() });
        if let Some(mark) = self.slots.mark_mut(place) {
            self.gathering.add(self.now, &mut mark.counted);
        }
    }

    /// Hands over what is to be done by workers.
    fn send(&mut self) {
        let Hands::Workers(outbox) = &mut self.hands else { return };
        for Work { place, connection, .. } in outbox.send() {
            if let Some(slot) = self.slots.get_mut(place) {
                slot.state = State::Here(connection);
            }
            self.enqueue(place);
        }
    }

    /// What follows from how a turn ended.
    fn settle(&mut self, place: Place, turned: Turned) {
        match turned {
            Turned::Finished(reason) => self.close(place, reason),
            Turned::Again => self.enqueue(place),
            Turned::Blocked(outlook) => self.watch_over(place, outlook),
        }
    }

    /// Sees to it that whatever moves the connection next is heard of.
    fn watch_over(&mut self, place: Place, outlook: Outlook) {
        // Only to earlier: what moves to later is found out when the earlier comes due.
        if outlook.due != Instant::NEVER && self.timers.get(place.key()).is_none_or(|set| outlook.due < set) {
            self.timers.set(place.key(), outlook.due);
        }
        if outlook.waits_for_application() {
            self.introduce(place);
        }
        if outlook.writes() {
            self.watch_output(place);
        }
    }

    /// Has the application know whom to wake, by one more turn.
    #[cold]
    fn introduce(&mut self, place: Place) {
        if let Some(slot) = self.slots.get_mut(place)
            && slot.own.is_none()
        {
            slot.own = Some(Arc::new(Own::new(self.mailbox.clone(), place)));
            self.enqueue(place);
        }
    }

    /// Has the poll say when there is room for output, once there is none: most connections never need it.
    #[cold]
    fn watch_output(&mut self, place: Place) {
        let Some(mark) = self.slots.mark_mut(place) else { return };
        if std::mem::replace(&mut mark.watched, Watched::Both) == Watched::Both {
            return;
        }
        let token = self.slots.token(place);
        let Some(Slot { state: State::Here(connection), .. }) = self.slots.get_mut(place) else { return };
        let fd = connection.socket().as_raw_fd();
        let both = Interest::READABLE | Interest::WRITABLE;
        if self.poll.registry().reregister(&mut SourceFd(&fd), token, both).is_err() {
            // Out of memory: nobody would hear when its peer reads again.
            self.close(place, CloseReason::Aborted(AbortReason::Driver));
        }
    }

    /// The descriptor is closed with it, and leaves the poll by that.
    fn close(&mut self, place: Place, reason: CloseReason) {
        self.timers.clear(place.key());
        if let Some(Slot { state: State::Here(connection), .. }) = self.slots.remove(place) {
            connection.close(reason);
        }
    }
}

impl Drop for Reactor {
    fn drop(&mut self) {
        self.mailbox.close();
    }
}
