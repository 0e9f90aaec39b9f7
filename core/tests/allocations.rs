//! What a connection costs in memory: counted, not timed.
#![expect(
    clippy::disallowed_macros,
    reason = "tests run on threads of their own, and each counts what is its own"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex};
use std::task::{self, Poll, Waker};
use std::time::Duration;

use anabranch_core::app::{Context, Endpoint, Frame, Http, Outcome, Request, Response, Router, service_fn};
use anabranch_core::drive::{self, Budget, Progress, Readiness, Wire};
use anabranch_core::job::{Lane, job};
use anabranch_core::testing::ManualClock;
use anabranch_core::{
    ConnectionId, ConnectionInfo, Dates, Flow, Pool, Protocol, ReadOperation, Turn, WriteOperation,
    WriteResult,
};
use bytes::{Bytes, BytesMut};

/// Counts what the current thread allocates.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    static LIVE: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize, allocations: usize) {
    // A thread that is ending has no counters any more, and nobody asks for them.
    let _ = LIVE.try_with(|live| live.set(live.get() + bytes));
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + allocations));
}

// SAFETY: every call is the system allocator's, passed on as it is; the counters are plain cells of the thread.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize, 1);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize), 0);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize, 1);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const READ_SIZE: usize = 16 * 1024;

/// What a driver thread owns.
struct Driver {
    scratch: BytesMut,
    dates: Dates,
    pool: Pool,
}

impl Driver {
    fn new() -> Self {
        let now = ManualClock::default().now();
        Self {
            scratch: BytesMut::with_capacity(READ_SIZE),
            dates: Dates::anchored(now, Duration::from_secs(784_111_777)),
            pool: Pool::default(),
        }
    }

    /// One turn: the input in one read, jobs here and now, the output in as few writes as it takes, of which `take` at most is
    /// taken. Says how many bytes went out.
    fn turn(&mut self, flow: &mut dyn Flow, input: &[u8], mut take: usize) -> usize {
        self.scratch.reserve(READ_SIZE);
        let Self { scratch, dates, pool } = self;
        let mut turn = Turn::new(ManualClock::default().now(), dates, Waker::noop(), pool);
        assert_eq!(flow.next_read_operation(), ReadOperation::Read);
        scratch.extend_from_slice(input);
        flow.read(scratch, &mut turn);
        let mut written = 0;
        loop {
            flow.run(&mut turn);
            if let Some(job) = flow.poll_job() {
                job.run();
                continue;
            }
            if flow.next_write_operation() != WriteOperation::Write || take == 0 {
                return written;
            }
            let mut slices = [IoSlice::new(&[]); 32];
            let count = flow.write_slices(&mut slices);
            let offered: usize = slices[..count].iter().map(|slice| slice.len()).sum();
            let taken = offered.min(take);
            flow.report_write_result(WriteResult::Wrote(taken), &mut turn);
            take -= taken;
            written += taken;
        }
    }
}

impl Driver {
    /// A turn as drivers take it.
    fn drive(&mut self, flow: &mut dyn Flow, wire: &mut Once) -> Progress {
        self.scratch.reserve(READ_SIZE);
        let Self { scratch, dates, pool } = self;
        let mut turn = Turn::new(ManualClock::default().now(), dates, Waker::noop(), pool);
        drive::turn(flow, wire, &mut Readiness::ready(), scratch, &mut turn, &mut Err, Budget::default())
    }
}

fn http() -> impl Protocol {
    Http::new(service_fn(|request: &mut Request, _: &mut Context<'_>| match request.path() {
        "/collect" => Outcome::collect(1 << 20, |_, body, _| Response::ok(body)),
        "/echo" => Outcome::stream(|_, incoming, _| Response::ok(incoming)),
        "/defer" => Outcome::defer(Lane::DEFAULT, |_| "done"),
        _ => Response::typed("text/plain", "Hello, World!").into(),
    }))
}

fn connect(http: &impl Protocol) -> Box<dyn Flow> {
    http.connect(ConnectionInfo::new(ConnectionId(1)), ManualClock::default().now())
}

/// Allocations of a request on a connection that has had some, at most, over a hundred of them.
fn allocations_of(pieces: &[&[u8]]) -> usize {
    allocations_in(&http(), pieces)
}

fn allocations_in(http: &impl Protocol, pieces: &[&[u8]]) -> usize {
    let mut flow = connect(http);
    let mut driver = Driver::new();
    let mut ask = || {
        let before = ALLOCATIONS.get();
        let written: usize = pieces.iter().map(|piece| driver.turn(&mut *flow, piece, usize::MAX)).sum();
        assert!(written > 100);
        ALLOCATIONS.get() - before
    };
    (0..10).for_each(|_| {
        ask();
    });
    (0..100).map(|_| ask()).max().unwrap_or_default()
}

fn post(target: &str, len: usize) -> Vec<u8> {
    let head = format!("POST {target} HTTP/1.1\r\nHost: example.org\r\nContent-Length: {len}\r\n\r\n");
    [head.as_bytes(), &vec![b'x'; len]].concat()
}

const BROWSER: &[u8] =
    b"GET /plaintext HTTP/1.1\r\nHost: example.org\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n\
    Accept: text/html,application/xhtml+xml\r\nAccept-Language: en\r\nAccept-Encoding: gzip, deflate, br\r\n\
    Connection: keep-alive\r\nCookie: session=0123456789\r\nUpgrade-Insecure-Requests: 1\r\n\r\n";

#[test]
fn keep_alive_get_allocates_nothing() {
    assert_eq!(allocations_of(&[b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"]), 0);
    assert_eq!(allocations_of(&[BROWSER]), 0);
    assert_eq!(allocations_of(&[&BROWSER.repeat(8)]), 0);
}

#[test]
fn route_is_matched_without_an_allocation() {
    fn hello(request: &Request, name: &str) -> Response {
        assert!(request.parameter(name).is_some_and(|text| !text.is_empty()));
        Response::typed("text/plain", "Hello, World!")
    }
    let typed = |media_type| {
        Endpoint::new(|_, _| Response::typed("text/plain", "Hello, World!")).consumes(media_type)
    };
    let router = Router::builder()
        .get("/users/{id}", |request, _| hello(request, "id"))
        .get("/users/{id}/posts/{post}", |request, _| hello(request, "post"))
        .get("/users/{user}/{*rest}", |request, _| hello(request, "rest"))
        .get("/users/me", |_, _| Response::new(http::StatusCode::NOT_FOUND))
        .route(http::Method::GET, "/typed", typed("application/json"))
        .route(http::Method::GET, "/typed", typed("text/plain"))
        .build()
        .unwrap();
    let http = Http::new(router);
    for target in ["/users/7", "/users/7/posts/a%20b", "/users/7/posts/1/2/3", "/users/me/posts"] {
        let request = format!("GET {target}?a=b HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(allocations_in(&http, &[request.as_bytes()]), 0, "{target}");
    }
    let typed = b"GET /typed HTTP/1.1\r\nHost: a\r\nContent-Type: Text/Plain; charset=utf-8\r\n\r\n";
    assert_eq!(allocations_in(&http, &[typed]), 0);
}

#[test]
fn collected_kibibyte_allocates_nothing() {
    assert_eq!(allocations_of(&[&post("/collect", 1024)]), 0);
    let head = b"POST /collect HTTP/1.1\r\nHost: example.org\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n";
    let chunked = [&head[..], &[b'x'; 1024], b"\r\n0\r\n\r\n"].concat();
    assert_eq!(allocations_of(&[&chunked]), 0);
}

#[test]
fn echoed_kibibyte_allocates_nothing() {
    assert_eq!(allocations_of(&[&post("/echo", 1024)]), 0);
}

#[test]
fn deferred_request_allocates_its_job_and_nothing_else() {
    let browser = String::from_utf8_lossy(BROWSER).replace("/plaintext", "/defer");
    assert_eq!(allocations_of(&[browser.as_bytes()]), 1);
}

#[test]
fn job_and_the_place_of_its_result_are_one_allocation() {
    let captured = [7; 8];
    let before = ALLOCATIONS.get();
    let (job, mut pending) = job(Lane::DEFAULT, move |_| captured.iter().sum::<u64>());
    job.run();
    assert_eq!(pending.poll(Waker::noop()), Poll::Ready(Ok(56)));
    assert_eq!(ALLOCATIONS.get() - before, 1);
}

#[test]
fn idle_connection_costs_at_most_288_bytes_whatever_it_did_before() {
    let http = http();
    let mut driver = Driver::new();
    let mut serve = |flow: &mut dyn Flow| {
        driver.turn(flow, BROWSER, usize::MAX);
        driver.turn(flow, &post("/collect", 2000), usize::MAX);
        driver.turn(flow, &post("/echo", 2000), usize::MAX);
    };
    serve(&mut *connect(&http));
    // As much as an allocator that rounds to 16 bytes, with 8 of its own, makes 256 of.
    assert!(size_of_val(&*connect(&http)) <= 248, "{} bytes", size_of_val(&*connect(&http)));
    let before = LIVE.get();
    let mut flows: Vec<Box<dyn Flow>> = Vec::with_capacity(1000);
    let table = LIVE.get() - before;
    for _ in 0..1000 {
        let mut flow = connect(&http);
        serve(&mut *flow);
        flows.push(flow);
    }
    let each = (LIVE.get() - before - table) / 1000;
    assert!(each <= 288, "{each} bytes");
}

#[test]
fn peer_that_does_not_read_its_echo_holds_no_read_buffer() {
    let http = http();
    let mut driver = Driver::new();
    driver.turn(&mut *connect(&http), &post("/echo", 8000), usize::MAX);
    let before = LIVE.get();
    let mut flows: Vec<Box<dyn Flow>> = Vec::with_capacity(100);
    for _ in 0..100 {
        let mut flow = connect(&http);
        driver.turn(&mut *flow, &post("/echo", 8000), 10);
        flows.push(flow);
    }
    let each = (LIVE.get() - before) / 100;
    assert!(each < 8000 + 2000, "{each} bytes for an answer of 8,000");
}

/// Gives its bytes in one read.
struct Once {
    gives: Vec<u8>,
    takes_answers: bool,
}

impl Wire for Once {
    fn read(&mut self, into: &mut BytesMut, _: usize) -> io::Result<usize> {
        if self.gives.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        into.extend_from_slice(&self.gives);
        Ok(std::mem::take(&mut self.gives).len())
    }
    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.takes_answers {
            true => Ok(slices.iter().map(|slice| slice.len()).sum()),
            false => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
    fn shutdown_write(&mut self) -> io::Result<()> {
        Ok(())
    }
    fn reset(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn peer_that_never_reads_holds_no_read_buffer_once_its_turn_is_over() {
    for (target, len) in
        [("/collect", 1000), ("/collect", 5000), ("/echo", 1000), ("/echo", 4000), ("/echo", 5000)]
    {
        let http = http();
        let mut driver = Driver::new();
        driver.turn(&mut *connect(&http), &post(target, len), usize::MAX);
        let before = LIVE.get();
        let mut flows: Vec<Box<dyn Flow>> = Vec::with_capacity(100);
        for _ in 0..100 {
            let mut flow = connect(&http);
            let progress =
                driver.drive(&mut *flow, &mut Once { gives: post(target, len), takes_answers: false });
            assert_eq!((progress, flow.next_write_operation()), (Progress::Blocked, WriteOperation::Write));
            flows.push(flow);
        }
        let each = (LIVE.get() - before) / 100;
        assert!(each < len as isize + 2000, "{target}: {each} bytes for an answer of {len}");
    }
}

#[test]
fn bodies_that_a_handler_keeps_hold_little_more_than_themselves() {
    const BODIES: usize = 650;
    for path in ["/collect", "/stream"] {
        let kept = Arc::new(Mutex::new(Vec::with_capacity(BODIES + 1)));
        let keep = |kept: &Arc<Mutex<Vec<Bytes>>>, body| {
            kept.lock().unwrap().push(body);
            Response::text("kept")
        };
        let shelf = kept.clone();
        let http = Http::new(service_fn(move |request: &mut Request, _: &mut Context<'_>| {
            let kept = shelf.clone();
            if request.path() == "/collect" {
                return Outcome::collect(1 << 20, move |_, body, _| keep(&kept, body));
            }
            Outcome::stream(move |_, mut incoming, context| {
                let mut context = task::Context::from_waker(context.waker());
                let Poll::Ready(Some(Ok(Frame::Data(body)))) = incoming.poll_frame(&mut context) else {
                    panic!("it is there")
                };
                keep(&kept, body)
            })
        }));
        let mut driver = Driver::new();
        let mut flow = connect(&http);
        let mut ask = || {
            let mut wire = Once { gives: post(path, 100), takes_answers: true };
            assert_eq!(driver.drive(&mut *flow, &mut wire), Progress::Blocked);
        };
        ask();
        let before = LIVE.get();
        (0..BODIES).for_each(|_| ask());
        assert_eq!(kept.lock().unwrap().len(), BODIES + 1);
        let each = (LIVE.get() - before) / BODIES as isize;
        assert!(each <= 100 + READ_SIZE as isize / 65 + 50, "{path}: {each} bytes for a body of 100");
    }
}

#[test]
fn half_a_head_is_kept_in_its_own_size() {
    let http = http();
    let mut driver = Driver::new();
    driver.turn(&mut *connect(&http), &BROWSER[..100], usize::MAX);
    let before = LIVE.get();
    let mut flows: Vec<Box<dyn Flow>> = Vec::with_capacity(100);
    for _ in 0..100 {
        let mut flow = connect(&http);
        driver.turn(&mut *flow, &BROWSER[..100], usize::MAX);
        flows.push(flow);
    }
    let each = (LIVE.get() - before) / 100;
    assert!(each < 1500, "{each} bytes for half a head of 100");
}
