//! The loops that embed the core without a binding keep the laws.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use anabranch_core::testing::driver_suite::{self, Peer, Subject};
use anabranch_core::testing::{Behaviour, Io, Probe};
use anabranch_core::{ConnectionInfo, Flow, Instant, Protocol};
use anabranch_examples::agenda::Call;
use anabranch_examples::outside::Outside;

#[expect(dead_code, reason = "the example's main")]
#[path = "../examples/06_io_uring.rs"]
mod io_uring_loop;
#[expect(dead_code, reason = "the example's main")]
#[path = "../examples/05_polling.rs"]
mod polling_loop;

/// Where it listens, and how it is told something.
struct Loop<T: Fn(Call)>(SocketAddr, T);

impl<T: Fn(Call) + Send> Subject for Loop<T> {
    fn connect(&self) -> io::Result<Peer> {
        Peer::tcp(TcpStream::connect(self.0)?)
    }
    fn drain(&self) {
        (self.1)(Call::Drain);
    }
    fn abort(&self) {
        (self.1)(Call::Abort);
    }
}

impl<T: Fn(Call)> Drop for Loop<T> {
    fn drop(&mut self) {
        (self.1)(Call::Stop);
    }
}

fn polling(protocol: Arc<dyn Protocol>, threads: usize) -> Loop<impl Fn(Call) + Send> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = polling_loop::Server::new(listener, protocol).unwrap();
    for _ in 0..threads {
        let server = server.clone();
        std::thread::spawn(move || server.serve());
    }
    Loop(address, move |call| server.tell(|agenda| agenda.call_all(call)))
}

#[test]
fn one_thread_on_a_one_shot_poll_keeps_the_laws() {
    driver_suite::run(|protocol| Box::new(polling(protocol, 1))).assert_all();
}

#[test]
fn threads_that_share_a_one_shot_poll_keep_the_laws() {
    driver_suite::run(|protocol| Box::new(polling(protocol, 4))).assert_all();
}

#[cfg(target_os = "linux")]
fn ring(protocol: Arc<dyn Protocol>) -> Loop<impl Fn(Call) + Send> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let outside = Outside::new(listener, protocol).unwrap();
    let served = outside.clone();
    std::thread::spawn(move || io_uring_loop::linux::serve(&served).unwrap());
    Loop(address, move |call| outside.call_all(call))
}

/// Wakes, when it goes, whoever was to be woken for it: as the end of a pipe to another connection does.
#[derive(Default)]
struct WakesAsItGoes(Option<Waker>);

impl Behaviour for WakesAsItGoes {
    fn input(&mut self, io: &mut Io, bytes: &[u8]) {
        self.0 = Some(io.waker().clone());
        io.send(bytes.to_vec());
    }
}

impl Drop for WakesAsItGoes {
    fn drop(&mut self) {
        self.0.take().into_iter().for_each(Waker::wake);
    }
}

struct Waking;

impl Protocol for Waking {
    fn connect(&self, _: ConnectionInfo, now: Instant) -> Box<dyn Flow> {
        Box::new(Probe::new(WakesAsItGoes::default(), Default::default(), now))
    }
}

fn assert_serves_on_after_a_flow_that_wakes_as_it_goes(address: SocketAddr) {
    for _ in 0..3 {
        let mut peer = TcpStream::connect(address).unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        peer.write_all(b"hello").unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        peer.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "hello");
    }
}

#[test]
fn flow_that_wakes_as_it_goes_stops_no_poll() {
    let server = polling(Arc::new(Waking), 1);
    assert_serves_on_after_a_flow_that_wakes_as_it_goes(server.0);
}

#[cfg(target_os = "linux")]
#[test]
fn flow_that_wakes_as_it_goes_stops_no_ring() {
    if has_io_uring() {
        let server = ring(Arc::new(Waking));
        assert_serves_on_after_a_flow_that_wakes_as_it_goes(server.0);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn completion_loop_keeps_the_laws() {
    if has_io_uring() {
        driver_suite::run(|protocol| Box::new(ring(protocol))).assert_all();
    }
}

/// Where the kernel forbids it this says so, loudly.
#[cfg(target_os = "linux")]
fn has_io_uring() -> bool {
    let Err(error) = io_uring::IoUring::new(8) else { return true };
    let forbidden = matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported);
    assert!(forbidden, "io_uring_setup fails: {error}");
    // Past the harness, which keeps to itself what a test says that passes.
    let says = format!("\n!!!! SKIPPED: the io_uring loop: this kernel gives no ring: {error} !!!!\n");
    io::stderr().write_all(says.as_bytes()).unwrap();
    false
}
