//! Peers that ask and never read: what they make a server hold, and that each is cut off, under every model. Alone in its
//! process, because what is counted is the process's.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicIsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context as TaskContext, Poll};
use std::thread;
use std::time::Duration;

use anabranch_async_std::Model as Async;
use anabranch_core::CloseReason;
use anabranch_core::app::{
    Body, BodyError, BodySource, Context, Frame, Outcome, Request, Response, Service, service_fn,
};
use anabranch_core::flow::DeadlineKind;
use anabranch_core::lifecycle::EventKind;
use anabranch_mio::{Model as Mio, Ownership, Pinning};
use anabranch_std::host::Binding;
use anabranch_std::{Config, Handle, Listener, Model as Std, serve};
use anabranch_tokio::Model as Tokio;
use bytes::Bytes;
use socket2::{Domain, Socket, Type};

macro_rules! models {
    ($($name:ident => $model:expr, $clients:expr;)*) => { $(
        #[test]
        fn $name() {
            holds_little_and_cuts_off($model, $clients);
        }
    )* };
}

models! {
    single => Std::Single, 1;
    threads => Std::Threads, CLIENTS;
    pool => Std::Pool { workers: CLIENTS, queue: CLIENTS }, CLIENTS;
    reactor => Mio::Reactor, CLIENTS;
    multi_reactor => Mio::MultiReactor { loops: TWO, pinning: Pinning::Free }, CLIENTS;
    reactor_pool => Mio::ReactorPool { workers: TWO }, CLIENTS;
    staged => Mio::Staged { acceptors: TWO, network: TWO, ownership: Ownership::Pinned }, CLIENTS;
    staged_shared => Mio::Staged { acceptors: TWO, network: TWO, ownership: Ownership::Shared }, CLIENTS;
    tokio => Tokio::Tokio { workers: TWO }, CLIENTS;
    tokio_local => Tokio::TokioLocal { threads: TWO }, CLIENTS;
    smol => Async::Smol { threads: TWO }, CLIENTS;
    async_std => Async::AsyncStd, CLIENTS;
}

const TWO: NonZeroUsize = NonZeroUsize::new(2).unwrap();

const CLIENTS: usize = 8;

/// What a connection may hold.
const HELD_BYTES: isize = 64 * 1024;

/// Long enough for every client to have sent what is taken of it.
const WRITE_STALL: Duration = Duration::from_secs(2);

/// When nothing was taken of what a client sends for so long, it is held up.
const HELD_UP: Duration = Duration::from_millis(300);

/// What is asked for: a thousand requests again and again, or one whose answer is large.
const ASKED: [&str; 2] = ["/", "/large"];

/// One at a time: the count is of all.
static COUNT: Mutex<()> = Mutex::new(());

fn holds_little_and_cuts_off<M: Binding>(model: M, clients: usize) {
    let _alone = COUNT.lock().unwrap_or_else(PoisonError::into_inner);
    let mut config = Config::new(model);
    config.http.deadlines.write_stall = Some(WRITE_STALL);
    let handle = serve(&config, [Listener::bind("127.0.0.1:0").unwrap()], application()).unwrap();
    for asked in ASKED {
        let requests = format!("GET {asked} HTTP/1.1\r\nHost: a\r\n\r\n").repeat(1000);
        let held = held_by_each(&handle, &requests, clients);
        assert!(held <= HELD_BYTES, "{held} bytes a connection that asked for {asked} and does not read");
        println!("{held} bytes a connection that asked for {asked} and does not read");
    }
    handle.abort();
    handle.wait();
}

/// What each of so many connections holds when all of them are held up, counted by what is given back when they are cut off.
fn held_by_each(handle: &Handle, requests: &str, clients: usize) -> isize {
    let events = handle.events().only(|kind| matches!(kind, EventKind::Closed { .. }));
    let address = handle.local_addrs()[0];
    let stuck: Vec<TcpStream> = thread::scope(|scope| {
        let clients: Vec<_> =
            (0..clients).map(|_| scope.spawn(|| ask_until_held_up(address, requests))).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let live = LIVE.load(Ordering::Relaxed);
    for _ in &stuck {
        let Some(event) = events.next_timeout(Duration::from_secs(20)) else { panic!("one is not cut off") };
        let EventKind::Closed { reason, .. } = event.kind else {
            unreachable!("nothing else is listened to")
        };
        assert_eq!(reason, CloseReason::TimedOut(DeadlineKind::WriteStall));
    }
    (live - LIVE.load(Ordering::Relaxed)) / stuck.len() as isize
}

/// Sends requests and reads nothing, until nothing more is taken.
fn ask_until_held_up(address: SocketAddr, requests: &str) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    // The kernel is full the sooner.
    socket.set_recv_buffer_size(4096).unwrap();
    socket.set_send_buffer_size(4096).unwrap();
    socket.connect(&address.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.set_write_timeout(Some(HELD_UP)).unwrap();
    loop {
        match stream.write_all(requests.as_bytes()) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return stream,
            Err(error) => panic!("cut off before it was held up: {error}"),
        }
    }
}

fn application() -> impl Service {
    service_fn(|request: &mut Request, _: &mut Context<'_>| -> Outcome {
        match request.path() {
            "/large" => Response::ok(Body::source(Large { left: 1 << 20 })).into(),
            _ => "hello".into(),
        }
    })
}

/// A body in pieces as large as there is room for.
struct Large {
    left: usize,
}

impl BodySource for Large {
    fn poll_frame(&mut self, _: &mut TaskContext<'_>, max: usize) -> Poll<Option<Result<Frame, BodyError>>> {
        let piece = max.min(self.left);
        self.left -= piece;
        Poll::Ready((piece > 0).then(|| Ok(Frame::Data(Bytes::from(vec![b'x'; piece])))))
    }
}

/// Counts the bytes that the process has allocated.
struct Counting;

static LIVE: AtomicIsize = AtomicIsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(bytes: isize) {
    LIVE.fetch_add(bytes, Ordering::Relaxed);
}

// SAFETY: every call is the system allocator's, passed on as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
