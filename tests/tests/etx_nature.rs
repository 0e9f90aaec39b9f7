//! What a model is like, told by ETX-ack over real sockets: N clients, 5 messages each, every answer delayed by d.
//!
//! The lower bounds are exact: nothing can be answered before its delay, nor under `single` while another is served. The
//! upper bounds leave room for a busy machine, and still tell one nature from another.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anabranch_core::etx::Ack;
use anabranch_std::host::Binding;
use anabranch_std::{Config, Listener, Model, serve_protocol};
use anabranch_tests::poll_server::PollServer;
use anabranch_tests::task_server::TaskServer;

const DELAY: Duration = Duration::from_millis(40);
const MESSAGES: u32 = 5;

/// How long so many clients take at `address`, from the first connection to the last answer.
fn time_at(address: SocketAddr, clients: usize) -> Duration {
    let started = Instant::now();
    let clients: Vec<_> = (0..clients).map(|_| thread::spawn(move || talk(address))).collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    started.elapsed()
}

fn time_under(model: impl Binding, clients: usize) -> Duration {
    let listener = Listener::bind("127.0.0.1:0").unwrap();
    let handle = serve_protocol(&Config::new(model), [listener], Ack::with_delay(DELAY)).unwrap();
    let lasted = time_at(handle.local_addrs()[0], clients);
    handle.drain(Duration::from_secs(5));
    handle.wait();
    lasted
}

fn talk(address: SocketAddr) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    for message in 1..=MESSAGES {
        stream.write_all(if message == MESSAGES { b"goodbye\x03" } else { b"message\x03" }).unwrap();
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"ack\x03");
    }
}

/// Whether clients take as long as `rounds` of them one after another, and no round more. A machine that is busy with
/// other things may make it late twice.
fn takes_rounds(rounds: u32, mut time: impl FnMut() -> Duration) {
    let least = DELAY * MESSAGES * rounds;
    let most = least + DELAY * MESSAGES;
    let mut late = Vec::new();
    for _attempt in 0..3 {
        let lasted = time();
        assert!(lasted >= least, "{lasted:?} is less than {least:?}");
        if lasted < most {
            return;
        }
        late.push(lasted);
    }
    panic!("{late:?} are each a round more than {least:?}");
}

#[test]
fn single_serves_one_client_after_another() {
    takes_rounds(4, || time_under(Model::Single, 4));
}

#[test]
fn pool_serves_as_many_at_once_as_it_has_workers() {
    takes_rounds(3, || time_under(Model::Pool { workers: 5, queue: 5 }, 12));
}

#[test]
fn threads_serve_everybody_at_once() {
    takes_rounds(1, || time_under(Model::Threads, 20));
}

#[test]
fn readiness_loop_serves_everybody_at_once_on_one_thread() {
    let server = PollServer::start(Arc::new(Ack::with_delay(DELAY))).unwrap();
    takes_rounds(1, || time_at(server.address(), 20));
}

#[test]
fn tasks_serve_everybody_at_once() {
    let server = TaskServer::start(Arc::new(Ack::with_delay(DELAY)));
    let address = server.listen().unwrap();
    takes_rounds(1, || time_at(address, 20));
}

#[test]
fn messages_sent_at_once_are_answered_one_delay_after_another() {
    let listener = Listener::bind("127.0.0.1:0").unwrap();
    let handle = serve_protocol(&Config::new(Model::Threads), [listener], Ack::with_delay(DELAY)).unwrap();
    let mut stream = TcpStream::connect(handle.local_addrs()[0]).unwrap();
    let started = Instant::now();
    stream.write_all(b"1\x032\x033\x034\x03goodbye\x03").unwrap();
    let mut answers = Vec::new();
    stream.read_to_end(&mut answers).unwrap();
    assert_eq!(answers, b"ack\x03".repeat(5));
    assert!(started.elapsed() >= DELAY * MESSAGES);
    drop(stream);
    handle.drain(Duration::from_secs(5));
    handle.wait();
}

#[test]
fn reactors_serve_all_clients_at_once() {
    use anabranch_mio::Model;
    for model in [Model::Reactor, Model::multi_reactor(), Model::reactor_pool(), Model::staged()] {
        takes_rounds(1, || time_under(model, 12));
    }
}
