//! What a request allocates on its way through an axum `Router`: counted, not timed.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::IoSlice;
use std::task::Waker;
use std::time::Duration;

use anabranch_core::app::Http;
use anabranch_core::testing::ManualClock;
use anabranch_core::{
    ConnectionId, ConnectionInfo, Dates, Flow, Pool, Protocol, Turn, WriteOperation, WriteResult,
};
use anabranch_tower::{RequestBody, service};
use axum::routing::get;
use bytes::{Bytes, BytesMut};
use http_body_util::Full;

/// Counts what the current thread allocates.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    // A thread that is ending has no counter any more, and nobody asks for it.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every call is the system allocator's, passed on as it is; the counter is a plain cell of the thread.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as the caller promises.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What a driver thread owns.
struct Driver {
    scratch: BytesMut,
    dates: Dates,
    pool: Pool,
}

impl Driver {
    fn turn(&mut self, flow: &mut dyn Flow, input: &[u8]) -> usize {
        self.scratch.reserve(16 * 1024);
        let Self { scratch, dates, pool } = self;
        let mut turn = Turn::new(ManualClock::default().now(), dates, Waker::noop(), pool);
        scratch.extend_from_slice(input);
        flow.read(scratch, &mut turn);
        let mut written = 0;
        loop {
            flow.run(&mut turn);
            if flow.next_write_operation() != WriteOperation::Write {
                return written;
            }
            let mut slices = [IoSlice::new(&[]); 32];
            let count = flow.write_slices(&mut slices);
            let offered: usize = slices[..count].iter().map(|slice| slice.len()).sum();
            flow.report_write_result(WriteResult::Wrote(offered), &mut turn);
            written += offered;
        }
    }
}

/// Allocations of a request on a connection that has had some, at most, over a hundred of them.
fn allocations_of(http: &impl Protocol, request: &[u8]) -> usize {
    let now = ManualClock::default().now();
    let mut flow = http.connect(ConnectionInfo::new(ConnectionId(1)), now);
    let mut driver = Driver {
        scratch: BytesMut::with_capacity(16 * 1024),
        dates: Dates::anchored(now, Duration::from_secs(784_111_777)),
        pool: Pool::default(),
    };
    let mut ask = || {
        let before = ALLOCATIONS.get();
        assert!(driver.turn(&mut *flow, request) > 100);
        ALLOCATIONS.get() - before
    };
    (0..10).for_each(|_| {
        ask();
    });
    (0..100).map(|_| ask()).max().unwrap_or_default()
}

const BROWSER: &[u8] =
    b"GET /plaintext HTTP/1.1\r\nHost: example.org\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n\
    Accept: text/html,application/xhtml+xml\r\nAccept-Language: en\r\nAccept-Encoding: gzip, deflate, br\r\n\
    Connection: keep-alive\r\nCookie: session=0123456789\r\nUpgrade-Insecure-Requests: 1\r\n\r\n";

/// A request that an axum handler answers at once. Three of these are ours: two for the head that target and values share, one
/// for the connection's information. The rest is what the router allocates for its routes, its bodies and its answer.
const GET_CEILING: usize = 13;

#[test]
fn get_allocates_little_besides_what_the_router_does() {
    let app: axum::Router = axum::Router::new().route("/plaintext", get(async || "Hello, World!"));
    let http = Http::new(service(app.with_state(())));
    let small = allocations_of(&http, b"GET /plaintext HTTP/1.1\r\nHost: example.org\r\n\r\n");
    assert!(small <= GET_CEILING, "{small}");
    // A map that held one answer's fields has not room enough for all of these.
    let browser = allocations_of(&http, BROWSER);
    assert!(browser <= GET_CEILING + 2, "{browser}");
    let pipelined = allocations_of(&http, &BROWSER.repeat(8));
    assert!(pipelined <= 8 * (GET_CEILING + 2), "{pipelined}");
}

#[test]
fn service_that_allocates_nothing_costs_what_its_request_is_made_of() {
    let http = Http::new(service(tower::service_fn(|_: http::Request<RequestBody>| {
        std::future::ready(Ok::<_, std::convert::Infallible>(http::Response::new(Full::<Bytes>::from(
            "Hello, World!",
        ))))
    })));
    // Two for the head, three for the extensions and what is in them, two for the map of fields, which no answer left behind.
    let small = allocations_of(&http, b"GET /plaintext HTTP/1.1\r\nHost: example.org\r\n\r\n");
    assert_eq!(small, 7);
}
