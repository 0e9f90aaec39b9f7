//! The listeners of a reactor.
//!
//! They are the only descriptors that a poll reports as long as somebody waits, and not once: accept(2) makes a socket before it
//! looks whether anybody is there, so that asking in vain costs more than half of what asking does otherwise. Whoever knocks alone
//! is let in alone; where others still wait, round after round, more and more are let in at once.

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use anabranch_core::lifecycle::ListenerId;
use anabranch_std::host::{Admittance, Admitted, Host};
use anabranch_std::{Blocking, Connection, Listener};
use rustix::event::epoll::{self, EventData, EventFlags};

/// A listener that a reactor accepts from. It is owned outside: a loop that dies closes none, and whoever waits in its
/// queue is accepted by the loop that takes its place.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    id: ListenerId,
    listener: Arc<Listener>,
}

impl Door {
    pub(crate) const fn new(id: ListenerId, listener: Arc<Listener>) -> Self {
        Self { id, listener }
    }

    pub(crate) const fn id(&self) -> ListenerId {
        self.id
    }
}

/// All of them.
pub(crate) struct Doors {
    entries: Vec<Entry>,
    close: Close,
    /// The first one's token.
    first: usize,
}

/// Closes the listener that is kept for the loop's successor.
pub(crate) type Close = Box<dyn FnMut(ListenerId) + Send>;

#[derive(Debug)]
struct Entry {
    /// `None` once it is closed.
    door: Option<Door>,
    may_accept: bool,
    knocks: Knocks,
    /// Accepted while another loop took the last place.
    waiting: Option<Connection>,
}

/// Whether somebody waits at a listener, and how many are let in at once.
#[derive(Debug)]
struct Knocks {
    /// The poll said so in this round.
    now: bool,
    /// As many as one, so often doubled.
    doublings: u32,
    /// Rounds one after the other in which somebody knocked, since that changed.
    rounds: u32,
    /// After so many of them it is doubled.
    patience: u32,
}

/// So often at most: 64 are accepted from a listener before others have their turn.
const MOST_DOUBLINGS: u32 = 6;

/// As long as others were there when they were looked for.
const LEAST_PATIENCE: u32 = 4;

/// Where those who come, come alone and again and again.
const MOST_PATIENCE: u32 = 32;

impl Knocks {
    const fn new() -> Self {
        Self { now: false, doublings: 0, rounds: 0, patience: LEAST_PATIENCE }
    }

    /// How many are to be accepted in this round.
    fn take(&mut self) -> usize {
        if !std::mem::take(&mut self.now) {
            (self.doublings, self.rounds) = (0, 0);
            return 0;
        }
        if self.doublings > 0 {
            self.patience = LEAST_PATIENCE;
        }
        if self.rounds >= self.patience && self.doublings < MOST_DOUBLINGS {
            self.doublings += 1;
            self.rounds = 0;
        }
        self.rounds = self.rounds.saturating_add(1);
        1 << self.doublings
    }

    /// There were fewer.
    fn were_in_vain(&mut self) {
        self.rounds = 0;
        if self.doublings == 1 {
            self.patience = (self.patience * 2).min(MOST_PATIENCE);
        }
        self.doublings = self.doublings.saturating_sub(1);
    }
}

/// What an accept gave.
pub(crate) enum Accepted {
    One(Admitted),
    /// Nobody waits, or nobody may be accepted.
    None,
    /// Somebody, for whom there is no place; others may wait.
    Lost,
}

impl Doors {
    /// Known to the poll by tokens from `first` on, and watched as soon as they are [attended to](Self::attend).
    ///
    /// # Errors
    /// When the poll has no room for them.
    pub(crate) fn new(
        doors: Vec<Door>,
        close: Close,
        poll: BorrowedFd<'_>,
        first: usize,
    ) -> io::Result<Self> {
        for (number, door) in doors.iter().enumerate() {
            epoll::add(poll, door.listener.as_fd(), token(first + number), EventFlags::empty())?;
        }
        let entry =
            |door| Entry { door: Some(door), may_accept: false, knocks: Knocks::new(), waiting: None };
        Ok(Self { entries: doors.into_iter().map(entry).collect(), close, first })
    }

    /// None at all.
    pub(crate) fn none() -> Self {
        Self { entries: Vec::new(), close: Box::new(drop), first: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether all are closed.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.iter().all(|entry| entry.door.is_none())
    }

    /// Somebody waits at this listener.
    pub(crate) fn mark(&mut self, number: usize) {
        if let Some(entry) = self.entries.get_mut(number) {
            entry.knocks.now = true;
        }
    }

    /// How many are to be accepted from this listener in this round.
    pub(crate) fn begin(&mut self, number: usize) -> usize {
        self.entries.get_mut(number).map_or(0, |entry| entry.knocks.take())
    }

    /// Does with each listener what the lifecycle wants at the moment.
    pub(crate) fn attend(&mut self, host: &Host, poll: BorrowedFd<'_>) {
        for (number, entry) in self.entries.iter_mut().enumerate() {
            let Some(door) = &entry.door else { continue };
            let (id, listener) = (door.id, door.listener.as_fd());
            let may_accept = host.is_accepting(id);
            if may_accept != entry.may_accept {
                let flags = if may_accept { EventFlags::IN } else { EventFlags::empty() };
                // It is known to the poll: nothing that this needs can be lacking.
                let changed = epoll::modify(poll, listener, token(self.first + number), flags);
                debug_assert!(changed.is_ok(), "{changed:?}");
                entry.may_accept = may_accept;
            }
            if !host.is_listening(id) {
                // Others may have it open still.
                let _ = epoll::delete(poll, listener);
                entry.door = None;
                entry.waiting = None;
                (self.close)(id);
            }
        }
    }

    /// Whether somebody was accepted from this listener before, and has waited for a place since.
    pub(crate) fn has_waiting(&self, number: usize) -> bool {
        self.entries.get(number).is_some_and(|entry| entry.waiting.is_some())
    }

    /// The next connection, who waits before who knocks, if there is one and it may be accepted.
    pub(crate) fn accept(&mut self, number: usize, host: &Arc<Host>) -> Accepted {
        let Some(entry) = self.entries.get_mut(number) else { return Accepted::None };
        let Some(door) = entry.door.as_ref().filter(|_| entry.may_accept) else { return Accepted::None };
        let accepted = entry.waiting.take().map_or_else(|| door.listener.accept(Blocking::No), Ok);
        match accepted {
            Ok(connection) => entry.admit(connection, host),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                entry.knocks.were_in_vain();
                Accepted::None
            }
            Err(error) => {
                host.accept_failed(door.id, &error);
                Accepted::Lost
            }
        }
    }
}

impl Entry {
    fn admit(&mut self, connection: Connection, host: &Arc<Host>) -> Accepted {
        let Some(door) = &self.door else { return Accepted::Lost };
        match host.admit(connection, door.id) {
            Admittance::Granted(admitted) => Accepted::One(admitted),
            Admittance::Wait(connection) => {
                self.waiting = Some(connection);
                Accepted::None
            }
            Admittance::Denied => Accepted::Lost,
        }
    }
}

const fn token(number: usize) -> EventData {
    EventData::new_u64(number as u64)
}

impl std::fmt::Debug for Doors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Doors").field(&self.entries).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;
    use std::sync::mpsc::{Sender, channel};

    use anabranch_core::etx::Ack;
    use anabranch_std::host::Binding;
    use anabranch_std::{Config, serve_protocol};

    /// A model that carries nobody, and lends what it was started with.
    struct Lent(Sender<(Arc<Host>, Arc<Listener>)>);

    impl Binding for Lent {
        fn start(&self, host: &Arc<Host>, _: &Config<Self>, listeners: Vec<Listener>) -> io::Result<()> {
            listeners
                .into_iter()
                .for_each(|listener| self.0.send((host.clone(), Arc::new(listener))).unwrap());
            Ok(())
        }
    }

    #[test]
    fn who_was_accepted_too_early_waits_and_is_let_in_before_others() {
        let (lent, host) = channel();
        let mut config = Config::new(Lent(lent));
        config.server.max_connections = 1;
        let handle =
            serve_protocol(&config, [Listener::bind("127.0.0.1:0").unwrap()], Ack::default()).unwrap();
        let (host, listener) = host.recv().unwrap();
        // Two loops, each of which has seen that there is a place.
        let polls = [(); 2].map(|()| epoll::create(epoll::CreateFlags::CLOEXEC).unwrap());
        let [mut first, mut second] = polls.each_ref().map(|poll| {
            let door = Door::new(ListenerId(0), listener.clone());
            let mut doors = Doors::new(vec![door], Box::new(drop), poll.as_fd(), 0).unwrap();
            doors.attend(&host, poll.as_fd());
            doors
        });
        let clients = [(); 3].map(|()| TcpStream::connect(handle.local_addrs()[0]).unwrap());

        let Accepted::One(admitted) = first.accept(0, &host) else { panic!("there is a place") };
        for _ in 0..2 {
            assert!(matches!(second.accept(0, &host), Accepted::None), "there is none");
            assert!(second.has_waiting(0));
        }
        assert_eq!(handle.counters().accepted, 1);
        drop(admitted);
        second.attend(&host, polls[1].as_fd());
        let Accepted::One(admitted) = second.accept(0, &host) else { panic!("there is a place again") };
        assert!(!second.has_waiting(0));
        let (_, connection, _) = admitted.connect(host.clock().now()).unwrap();
        assert_eq!(connection.peer, Some(clients[1].local_addr().unwrap()), "who waited");
        handle.abort();
    }

    /// Lets in whoever waits, round by round; says how many rounds that took and how often nobody was there.
    fn let_in(knocks: &mut Knocks, mut waiting: usize) -> (usize, usize) {
        let (mut rounds, mut in_vain) = (0, 0);
        while waiting > 0 {
            rounds += 1;
            knocks.now = true;
            for _ in 0..knocks.take() {
                if waiting == 0 {
                    in_vain += 1;
                    knocks.were_in_vain();
                    break;
                }
                waiting -= 1;
            }
        }
        (rounds, in_vain)
    }

    #[test]
    fn who_comes_alone_is_let_in_and_nobody_looked_for() {
        let mut knocks = Knocks::new();
        for _ in 0..100 {
            assert_eq!(let_in(&mut knocks, 1), (1, 0));
            assert_eq!(knocks.take(), 0, "a round without a knock");
        }
    }

    #[test]
    fn others_are_rarely_looked_for_where_each_round_has_one() {
        let mut knocks = Knocks::new();
        let in_vain: usize = (0..1000)
            .map(|_| {
                knocks.now = true;
                let looked_for = knocks.take() - 1;
                (0..looked_for.min(1)).for_each(|_| knocks.were_in_vain());
                looked_for.min(1)
            })
            .sum();
        assert!(in_vain < 40, "{in_vain}");
        let (rounds, in_vain) = let_in(&mut knocks, 10_000);
        assert!(rounds < 250 && in_vain <= 1, "{rounds} rounds, {in_vain} in vain");
    }

    #[test]
    fn where_each_round_has_some_about_as_many_are_let_in() {
        let (mut knocks, mut waiting, mut most, mut in_vain) = (Knocks::new(), 0_usize, 0, 0);
        for _ in 0..1000 {
            waiting += 5;
            most = most.max(waiting);
            knocks.now = true;
            let wanted = knocks.take();
            if wanted > waiting {
                knocks.were_in_vain();
                in_vain += 1;
            }
            waiting -= wanted.min(waiting);
        }
        assert!(most <= 60 && in_vain < 300, "{most} waited, {in_vain} in vain");
    }

    #[test]
    fn burst_is_let_in_by_more_and_more_at_once() {
        let mut knocks = Knocks::new();
        let (rounds, in_vain) = let_in(&mut knocks, 10_000);
        assert!(rounds < 200 && in_vain <= 1, "{rounds} rounds, {in_vain} in vain");
        knocks.now = true;
        assert!(knocks.take() <= 64);
        assert_eq!(knocks.take(), 0);
        knocks.now = true;
        assert_eq!(knocks.take(), 1, "from the beginning");
    }
}
