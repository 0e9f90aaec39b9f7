//! Law 8, counted: whatever a peer sends, ten mebibytes of it, a connection holds no more than its limits say, at any time;
//! and nothing is left of it when it is gone.
//!
//! ```text
//!   stream ──► drive::turn ──► Flow ──► service        live bytes of this thread, at their peak, counted by the allocator
//!   peer   ◄── reads all · nothing · a little a turn    ≤ Limits::connection_bytes + MemoryBudget::limit
//! ```
#![expect(
    clippy::disallowed_macros,
    reason = "tests run on threads of their own, and each counts what is its own"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::pending;
use std::io::{self, ErrorKind, IoSlice};
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Duration;

use anabranch_core::app::{
    Body, BodyError, BodySource, Context, Frame, Http, Limits, MemoryBudget, Outcome, Request, Response,
    Settings, service_fn,
};
use anabranch_core::drive::{self, Budget, Progress, Readiness, Wire};
use anabranch_core::testing::ManualClock;
use anabranch_core::{AbortReason, ConnectionId, ConnectionInfo, Dates, Flow, Pool, Protocol, Turn};
use bytes::{Bytes, BytesMut};

/// Counts what the current thread holds.
struct Counting;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    // A thread that is ending has no counters any more, and nobody asks for them.
    let _ = LIVE.try_with(|live| {
        live.set(live.get() + bytes);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(live.get())));
    });
}

// SAFETY: every call is the system allocator's, passed on as it is; the counters are plain cells of the thread.
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
        // Both are there while the bytes are moved.
        count(size as isize);
        count(-(layout.size() as isize));
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes a read, at most: what a driver's buffer has room for.
const READ_BYTES: usize = 16 * 1024;

/// What a peer sends: some bytes, and then others again and again.
struct Hostile {
    name: &'static str,
    first: Vec<u8>,
    again: Vec<u8>,
}

fn hostile(name: &'static str, first: impl Into<Vec<u8>>, again: impl Into<Vec<u8>>) -> Hostile {
    Hostile { name, first: first.into(), again: again.into() }
}

fn head(line: &str, fields: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

fn streams() -> Vec<Hostile> {
    let chunked = |path: &str| head(&format!("POST {path}"), "Transfer-Encoding: chunked\r\n");
    let sized = |path: &str| head(&format!("POST {path}"), "Content-Length: 20000000\r\n");
    let mut streams = vec![
        hostile("endless method", "", "A"),
        hostile("endless target", "GET /", "a"),
        hostile("endless version", "GET / ", "H"),
        hostile("endless field name", "GET / HTTP/1.1\r\nHost: a\r\n", "a"),
        hostile("endless field value", "GET / HTTP/1.1\r\nHost: a\r\nx: ", "a"),
        hostile("endless blanks before a value", "GET / HTTP/1.1\r\nHost: a\r\nx:", " "),
        hostile("endless small fields", "GET / HTTP/1.1\r\nHost: a\r\n", "a: b\r\n"),
        hostile("endless line ends", "", "\r\n"),
        hostile("endless carriage returns", "", "\r"),
        hostile("zeros", "", "\0"),
        hostile("what TLS begins with", "", "\x16\x03\x01\x02\x00"),
        hostile("refused, and more", "BAD\r\n\r\n", "and more"),
        hostile("pipelined", "", head("GET /", "")),
        hostile("pipelined heads without content", "", head("HEAD /", "")),
        hostile("pipelined for large answers", "", head("GET /large", "")),
        hostile("pipelined for answers without end", "", head("GET /endless", "")),
        hostile("pipelined to an application that never answers", "", head("GET /never", "")),
        hostile("pipelined small bodies", "", head("POST /collect", "Content-Length: 4\r\n") + "abcd"),
        hostile(
            "pipelined bodies that nobody wants",
            "",
            head("POST /", "Content-Length: 1000\r\n") + &"x".repeat(1000),
        ),
        hostile(
            "pipelined expectations",
            "",
            head("POST /echo", "Expect: 100-continue\r\nContent-Length: 1\r\n") + "x",
        ),
        hostile("large heads in a row", "", head("GET /", &format!("x: {}\r\n", "y".repeat(10_000)))),
        hostile("large heads to a job", "", head("GET /defer", &format!("x: {}\r\n", "y".repeat(10_000)))),
        hostile(
            "another protocol's bytes",
            head("GET /", "Connection: upgrade\r\nUpgrade: h2c\r\n"),
            "\0\0\0",
        ),
    ];
    for path in ["/collect", "/collect-all", "/echo", "/unread", "/hoard", "/", "/never"] {
        streams.extend([
            hostile("large body", sized(path), "x"),
            hostile("large chunk", chunked(path) + "fffffff\r\n", "x"),
            hostile("largest chunk", chunked(path) + "7fffffffffffffff\r\n", "x"),
            hostile("one-byte chunks", chunked(path), "1\r\nx\r\n"),
            hostile("chunks with extensions", chunked(path), "1;name=value\r\nx\r\n"),
            hostile("endless chunk extension", chunked(path) + "1;", "a"),
            hostile("endless chunk size", chunked(path), "0"),
            hostile("endless small trailers", chunked(path) + "0\r\n", "a: b\r\n"),
            hostile("endless trailer", chunked(path) + "0\r\nx: ", "a"),
        ]);
    }
    streams
}

/// What the peer takes of the answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reads {
    All,
    Nothing,
    /// Some bytes a turn.
    Slowly,
}

/// The peer's side of the connection.
struct Peer<'a> {
    stream: &'a Hostile,
    at: usize,
    /// Bytes it still sends, and then it closes its half.
    left: usize,
    /// Bytes a read.
    cut: usize,
    reads: Reads,
    /// Bytes of room in this turn, where it reads slowly.
    room: usize,
    /// Bytes it took. It is gone once that is enough.
    took: usize,
    /// The most that was seen of the memory budget.
    held: usize,
    memory: &'a MemoryBudget,
}

impl Peer<'_> {
    fn look(&mut self) {
        let held = self.memory.held();
        assert!(held <= self.memory.limit(), "{}: {held} bytes of the budget", self.stream.name);
        self.held = self.held.max(held);
    }
}

impl Wire for Peer<'_> {
    fn read(&mut self, into: &mut BytesMut) -> io::Result<usize> {
        self.look();
        let room = (into.capacity() - into.len()).min(self.cut).min(self.left);
        let Hostile { first, again, .. } = self.stream;
        let start = into.len();
        while into.len() - start < room {
            let piece = match first.get(self.at..) {
                Some(rest) if !rest.is_empty() => rest,
                _ => &again[(self.at - first.len()) % again.len()..],
            };
            let piece = &piece[..piece.len().min(room - (into.len() - start))];
            into.extend_from_slice(piece);
            self.at += piece.len();
        }
        self.left -= room;
        Ok(room)
    }

    fn reset(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.look();
        if self.took > ENOUGH {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        let taken = match self.reads {
            Reads::All => offered,
            Reads::Nothing => 0,
            Reads::Slowly => offered.min(self.room),
        };
        self.room -= taken.min(self.room);
        self.took += taken;
        if taken == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(taken) }
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An answer of this many bytes in all.
const LARGE: usize = 100_000;

fn service() -> impl anabranch_core::app::Service {
    service_fn(|request: &mut Request, _: &mut Context<'_>| match request.path() {
        "/never" => Outcome::future(pending::<Response>()),
        "/large" => Response::ok(Bytes::from_static(&[b'x'; LARGE])).into(),
        "/endless" => Response::ok(Body::source(Endless)).into(),
        "/collect" => Outcome::collect(20_000, |_, body, _| format!("{}", body.len())),
        "/collect-all" => Outcome::collect(usize::MAX, |_, body, _| format!("{}", body.len())),
        "/echo" => Outcome::stream(|_, incoming, _| Response::ok(incoming)),
        // Asks for the body once, and then never again.
        "/unread" => Outcome::stream(|_, mut incoming, _| {
            Outcome::future(async move {
                let _first = incoming.next().await;
                pending::<Response>().await
            })
        }),
        // Never asks for it, and keeps it.
        "/hoard" => Outcome::stream(|_, incoming, _| {
            Outcome::future(async move {
                let _kept = incoming;
                pending::<Response>().await
            })
        }),
        "/defer" => Outcome::defer(anabranch_core::Lane::DEFAULT, |_| "done"),
        _ => Response::text("hello").into(),
    })
}

/// A body without end.
struct Endless;

impl BodySource for Endless {
    fn poll_frame(&mut self, _: &mut TaskContext<'_>, _: usize) -> Poll<Option<Result<Frame, BodyError>>> {
        Poll::Ready(Some(Ok(Frame::Data(Bytes::from_static(&[b'x'; 1000])))))
    }
}

fn small() -> Limits {
    let mut limits = Limits::default();
    limits.max_request_line_bytes = 256;
    limits.max_header_bytes = 1024;
    limits.max_field_line_bytes = 256;
    limits.max_fields = 10;
    limits.max_body_bytes = 40_000;
    limits.max_chunk_line_bytes = 32;
    limits.max_chunk_extension_bytes = 64;
    limits.max_discard_bytes = 2000;
    limits.max_linger_bytes = 4096;
    limits.max_output_bytes = 1024;
    limits.max_window_bytes = 1024;
    limits
}

/// The most that was held, in bytes.
struct Held {
    /// Beside the driver's own.
    peak: usize,
    /// In the memory budget.
    charged: usize,
}

/// Plays a stream to the connection's end.
fn play(stream: &Hostile, bytes: usize, cut: usize, reads: Reads, limits: &Limits, budget: usize) -> Held {
    let mut settings = Settings::default();
    settings.limits = limits.clone();
    let memory = MemoryBudget::new(budget);
    let http = Http::new(service()).with_settings(settings).with_memory(memory.clone());
    let before = LIVE.get();

    let mut clock = ManualClock::default();
    let mut dates = Dates::anchored(clock.now(), Duration::from_secs(784_111_777));
    let mut pool = Pool::default();
    let mut scratch = BytesMut::with_capacity(READ_BYTES);
    let own = LIVE.get();
    PEAK.set(own);

    let mut flow: Box<dyn Flow> = http.connect(ConnectionInfo::new(ConnectionId(1)), clock.now());
    let mut peer =
        Peer { stream, at: 0, left: bytes, cut, reads, room: 0, took: 0, held: 0, memory: &memory };
    let mut readiness = Readiness::ready();
    for turns in 0.. {
        (readiness.readable, readiness.writable, peer.room) = (true, true, 50);
        let left = peer.left;
        let mut turn = Turn::new(clock.now(), &mut dates, Waker::noop(), &mut pool);
        let mut run = |job: anabranch_core::Job| {
            job.run();
            Ok(())
        };
        let budget = Budget::new(256 * 1024, 64);
        match drive::turn(&mut *flow, &mut peer, &mut readiness, &mut scratch, &mut turn, &mut run, budget) {
            Progress::Finished(_) => break,
            Progress::Again => {}
            Progress::Blocked if peer.left < left => {}
            // Nothing moves but the clock.
            Progress::Blocked => match flow.deadline() {
                Some(deadline) => clock.advance_to(deadline.at.min(clock.now() + Duration::from_secs(1))),
                None => flow.abort(AbortReason::Requested),
            },
        }
        peer.look();
        if turns == MAX_TURNS {
            flow.abort(AbortReason::GraceExpired);
        }
    }
    let held = Held { peak: (PEAK.get() - own).unsigned_abs(), charged: peer.held };
    drop(flow);
    assert_eq!(memory.held(), 0, "{}: what was held was not given back", stream.name);
    drop((scratch, pool, dates));
    assert_eq!(LIVE.get(), before, "{}: something is left of it", stream.name);
    held
}

/// Plays every stream against these limits, and holds each to what they say.
fn hold_all(bytes: usize, cut: usize, limits: &Limits, budget: usize) {
    let own = limits.connection_bytes(READ_BYTES);
    let mut faults = Vec::new();
    for stream in streams() {
        for reads in [Reads::All, Reads::Nothing, Reads::Slowly] {
            let start = stream.first.escape_ascii().to_string();
            let Held { peak, charged } = play(&stream, bytes, cut, reads, limits, budget);
            let charged = if start.contains("/collect") {
                // A body may be collected, answered and given back between two looks at the budget.
                budget
            } else {
                // Whatever room there is, the limits of output and window are kept.
                assert!(charged <= own, "{}: {charged} bytes of the budget, of {own}", stream.name);
                charged
            };
            // A buffer that grows is there twice while it is moved: half as much again.
            let bound = own + charged + charged / 2;
            let told = format!("{peak:>9} of {bound:>9}: {} ({reads:?}, {start})", stream.name);
            if std::env::var_os("PEAKS").is_some() {
                println!("{told}");
            }
            if peak > bound {
                faults.push(told);
            }
        }
    }
    assert!(faults.is_empty(), "more is held than the limits say:\n{}", faults.join("\n"));
}

/// Bytes after which a peer that reads has had enough.
const ENOUGH: usize = 32 * MEBIBYTE;

/// Turns after which a connection is ended.
const MAX_TURNS: usize = 20_000;

const MEBIBYTE: usize = 1 << 20;

#[test]
fn ten_mebibytes_of_anything_stay_within_the_default_limits() {
    hold_all(10 * MEBIBYTE, READ_BYTES, &Limits::default(), MEBIBYTE);
}

#[test]
fn ten_mebibytes_of_anything_stay_within_small_limits() {
    hold_all(10 * MEBIBYTE, READ_BYTES, &small(), 16 * 1024);
}

#[test]
fn anything_that_comes_byte_by_byte_stays_within_the_limits() {
    hold_all(MEBIBYTE / 16, 1, &Limits::default(), MEBIBYTE);
    hold_all(MEBIBYTE / 16, 1, &small(), 16 * 1024);
}

#[test]
fn odd_cuts_stay_within_the_limits() {
    hold_all(MEBIBYTE / 2, 777, &small(), 16 * 1024);
}
