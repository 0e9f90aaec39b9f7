//! Out of descriptors: alone in its process, because the limit is the process's.

use std::io::IoSlice;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anabranch_core::lifecycle::{Alarm, EventKind};
use anabranch_core::{
    AbortReason, CloseKind, CloseReason, ConnectionInfo, Deadline, Flow, InputEnd, Job, Protocol,
    ReadOperation, Turn, Waiting, WriteOperation, WriteResult,
};
use anabranch_mio::{Config, Listener, Model, serve_protocol};
use bytes::{Bytes, BytesMut};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Says nothing and waits for the peer to leave.
struct Silent;
struct SilentFlow(Option<CloseReason>);

impl Protocol for Silent {
    fn connect(&self, _: ConnectionInfo, _: anabranch_core::Instant) -> Box<dyn Flow> {
        Box::new(SilentFlow(None))
    }
}

impl Flow for SilentFlow {
    fn next_read_operation(&self) -> ReadOperation {
        if self.0.is_some() { ReadOperation::Close } else { ReadOperation::Read }
    }
    fn next_write_operation(&self) -> WriteOperation {
        match self.0 {
            Some(_) => WriteOperation::Close(CloseKind::Immediate),
            None => WriteOperation::Yield,
        }
    }
    fn waiting_on(&self) -> Waiting {
        if self.0.is_some() { Waiting::NOTHING } else { Waiting::PEER_READ }
    }
    fn deadline(&self) -> Option<Deadline> {
        None
    }
    fn write_slices<'a>(&'a self, _: &mut [IoSlice<'a>]) -> usize {
        0
    }
    fn close_reason(&self) -> Option<CloseReason> {
        self.0
    }
    fn read(&mut self, input: &mut BytesMut, _: &mut Turn<'_>) {
        input.clear();
    }
    fn close_input(&mut self, _: InputEnd, _: &mut Turn<'_>) {
        self.0 = Some(CloseReason::PeerClosed);
    }
    fn report_write_result(&mut self, _: WriteResult, _: &mut Turn<'_>) {}
    fn handle_timeout(&mut self, _: &mut Turn<'_>) {}
    fn run(&mut self, _: &mut Turn<'_>) {}
    fn drain(&mut self, _: &mut Turn<'_>) {
        self.0.get_or_insert(CloseReason::Drained);
    }
    fn abort(&mut self, reason: AbortReason) {
        self.0.get_or_insert(CloseReason::Aborted(reason));
    }
    fn poll_job(&mut self) -> Option<Job> {
        None
    }
    fn take_output(&mut self, _: usize, _: &mut Vec<Bytes>) {}
}

#[test]
fn server_without_descriptors_leaves_off_and_goes_on_when_there_are_some() {
    for model in [Model::Reactor, Model::reactor_pool(), Model::multi_reactor(), Model::staged()] {
        leaves_off_and_goes_on(model);
    }
}

fn leaves_off_and_goes_on(model: Model) {
    let listener = Listener::bind("127.0.0.1:0").unwrap();
    let handle = serve_protocol(&Config::new(model), [listener], Silent).unwrap();
    let events = handle.events();
    let until = Instant::now() + Duration::from_secs(20);
    let wait_for = |what: fn(&EventKind) -> bool| {
        while !what(&events.next_timeout(until.saturating_duration_since(Instant::now())).unwrap().kind) {}
    };

    handle.suspend();
    let mut clients: Vec<_> = (0..6).map(|_| TcpStream::connect(handle.local_addrs()[0]).unwrap()).collect();
    let open = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64 - 1;
    let before = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(open + 2), maximum: before.maximum }).unwrap();
    handle.resume();
    wait_for(|kind| matches!(kind, EventKind::Alarm(Alarm::Exhausted { .. })));
    assert!(handle.counters().served < 6);
    // It leaves off, and does not ask the kernel in a loop: 50 ms, then 100 ms, and so on; each loop once.
    std::thread::sleep(Duration::from_millis(300));
    assert!(handle.counters().accept_errors.exhausted <= 12, "{model}: {:?}", handle.counters());

    clients.drain(..2);
    wait_for(|kind| matches!(kind, EventKind::AcceptRecovered));
    setrlimit(Resource::Nofile, before).unwrap();
    while handle.counters().served < 6 {
        assert!(Instant::now() < until, "{:?}", handle.counters());
        std::thread::sleep(Duration::from_millis(5));
    }
    handle.drain(Duration::from_secs(5));
    assert_eq!(handle.wait().left_behind, 0);
}
