//! The loops that embed the core without a binding keep the laws.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use anabranch_core::Protocol;
use anabranch_core::testing::driver_suite::{self, Peer, Subject};
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

fn polling(protocol: Arc<dyn Protocol>, threads: usize) -> Box<dyn Subject> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = polling_loop::Server::new(listener, protocol).unwrap();
    for _ in 0..threads {
        let server = server.clone();
        std::thread::spawn(move || server.serve());
    }
    Box::new(Loop(address, move |call| server.tell(|agenda| agenda.call_all(call))))
}

#[test]
fn one_thread_on_a_one_shot_poll_keeps_the_laws() {
    driver_suite::run(|protocol| polling(protocol, 1)).assert_all();
}

#[test]
fn threads_that_share_a_one_shot_poll_keep_the_laws() {
    driver_suite::run(|protocol| polling(protocol, 4)).assert_all();
}

#[cfg(target_os = "linux")]
fn ring(protocol: Arc<dyn Protocol>) -> Box<dyn Subject> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let outside = Outside::new(listener, protocol).unwrap();
    let served = outside.clone();
    std::thread::spawn(move || io_uring_loop::linux::serve(&served).unwrap());
    Box::new(Loop(address, move |call| outside.call_all(call)))
}

#[cfg(target_os = "linux")]
#[test]
fn completion_loop_keeps_the_laws() {
    if let Err(error) = io_uring::IoUring::new(8) {
        let forbidden = matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported);
        assert!(forbidden, "io_uring_setup fails: {error}");
        // Past the harness, which keeps to itself what a test says that passes.
        let says =
            format!("\n!!!! SKIPPED: completion_loop_keeps_the_laws: no io_uring here: {error} !!!!\n");
        return io::stderr().write_all(says.as_bytes()).unwrap();
    }
    driver_suite::run(ring).assert_all();
}
