//! Out of descriptors: a server leaves off for a while and goes on when there are some, under every model. Alone in its
//! process, because the limit is the process's.

use std::net::TcpStream;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use anabranch_async_std::Model as Async;
use anabranch_core::lifecycle::{Alarm, EventKind};
use anabranch_core::testing::{Behaviour, Io, Probe};
use anabranch_core::{ConnectionInfo, Flow, Protocol};
use anabranch_mio::{Model as Mio, Ownership, Pinning};
use anabranch_std::host::Binding;
use anabranch_std::{Config, Handle, Listener, Model as Std, serve_protocol};
use anabranch_tokio::Model as Tokio;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

macro_rules! models {
    ($($name:ident => $subject:expr;)*) => { $(
        #[test]
        fn $name() {
            leaves_off_and_goes_on($subject);
        }
    )* };
}

models! {
    single => of(Std::Single).carrying(1);
    threads => of(Std::Threads);
    pool => of(Std::Pool { workers: 4, queue: 4 });
    reactor => of(Mio::Reactor);
    multi_reactor => of(Mio::MultiReactor { loops: TWO, pinning: Pinning::Free }).accepting_in(2);
    reactor_pool => of(Mio::reactor_pool());
    staged => of(Mio::staged());
    staged_shared => of(Mio::Staged { acceptors: TWO, network: TWO, ownership: Ownership::Shared }).accepting_in(2);
    tokio => of(Tokio::Tokio { workers: TWO });
    tokio_local => of(Tokio::TokioLocal { threads: TWO }).accepting_in(2);
    smol => of(Async::Smol { threads: TWO });
    async_std => of(Async::AsyncStd);
}

const TWO: NonZeroUsize = NonZeroUsize::new(2).unwrap();

/// A model under test: how it is started, and what its nature is.
struct Subject {
    start: Box<dyn FnOnce(Listener) -> io::Result<Handle>>,
    /// How many connections are carried at a time, at least.
    carried: usize,
    /// How many threads accept.
    accepting: u64,
}

impl Subject {
    fn new(start: impl FnOnce(Listener) -> io::Result<Handle> + 'static) -> Self {
        Self { start: Box::new(start), carried: CLIENTS, accepting: 1 }
    }

    fn carrying(self, carried: usize) -> Self {
        Self { carried, ..self }
    }

    fn accepting_in(self, accepting: u64) -> Self {
        Self { accepting, ..self }
    }
}

fn of<M: Binding + 'static>(model: M) -> Subject {
    Subject::new(move |listener| serve_protocol(&Config::new(model), [listener], Silent))
}

/// Says nothing and waits for the peer to leave.
struct Silent;

impl Protocol for Silent {
    fn connect(&self, _: ConnectionInfo, now: anabranch_core::Instant) -> Box<dyn Flow> {
        Box::new(Probe::new(Self, Default::default(), now))
    }
}

impl Behaviour for Silent {
    fn input(&mut self, _: &mut Io, _: &[u8]) {}
}

const CLIENTS: usize = 6;

/// How often a thread may accept in vain within 300 ms: again after 50 ms, then after 100 ms, and so on.
const MAX_TRIES: u64 = 5;

/// One at a time: the limit is for all.
static LIMIT: Mutex<()> = Mutex::new(());

fn leaves_off_and_goes_on(Subject { start, carried, accepting }: Subject) {
    let _alone = LIMIT.lock().unwrap_or_else(PoisonError::into_inner);
    let handle = start(Listener::bind("127.0.0.1:0").unwrap()).unwrap();
    let events = handle.events();
    let until = Instant::now() + Duration::from_secs(20);
    let wait_for = |what: fn(&EventKind) -> bool| {
        while !what(&events.next_timeout(until.saturating_duration_since(Instant::now())).unwrap().kind) {}
    };

    handle.suspend();
    let address = handle.local_addrs()[0];
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| TcpStream::connect(address).unwrap()).collect();
    let before = getrlimit(Resource::Nofile);
    // Room for fewer than would be carried at once.
    let current = Some(limit_leaving(carried.min(3) - 1));
    setrlimit(Resource::Nofile, Rlimit { current, maximum: before.maximum }).unwrap();
    handle.resume();
    wait_for(|kind| matches!(kind, EventKind::Alarm(Alarm::Exhausted { .. })));
    assert!(handle.counters().served < CLIENTS as u64);
    // It leaves off, and does not ask the kernel in a loop.
    let used = cpu_time();
    thread::sleep(Duration::from_millis(300));
    let used = cpu_time() - used;
    assert!(used < Duration::from_millis(100), "it used {used:?} to wait for 300 ms");
    assert!(handle.counters().accept_errors.exhausted <= MAX_TRIES * accepting, "{:?}", handle.counters());

    clients.drain(..2);
    wait_for(|kind| matches!(kind, EventKind::AcceptRecovered));
    setrlimit(Resource::Nofile, before).unwrap();
    if carried < CLIENTS {
        clients.clear();
    }
    while handle.counters().served < CLIENTS as u64 {
        assert!(Instant::now() < until, "{:?}", handle.counters());
        thread::sleep(Duration::from_millis(5));
    }
    handle.drain(Duration::from_secs(5));
    assert_eq!(handle.wait().left_behind, 0);
}

/// Of this process, in which nothing else runs.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The limit under which just so many descriptors more can be opened: it bounds their numbers, so that gaps are room too.
fn limit_leaving(room: usize) -> u64 {
    let is_open = |number: &u64| fs::symlink_metadata(format!("/proc/self/fd/{number}")).is_ok();
    (0..).filter(|number| !is_open(number)).nth(room).unwrap()
}
