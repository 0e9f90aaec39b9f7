//! A loop without a binding and without readiness: on the `io-uring` crate, which says what was done and not what can be.
//! So flows give their output as owned chunks; `examples/src/completion.rs` makes the calls of a flow.
//!
//! ```text
//! cargo run -p anabranch-examples --example 06_io_uring   # Linux only; and: curl -i http://127.0.0.1:8080/
//!
//! flow ── take_output, Read ──► entries ──► the kernel ──► completions ── report_write_result, read ──► flow
//! ```

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
fn main() -> std::io::Result<()> {
    use anabranch_core::app::{Http, service_fn};
    let listener = std::net::TcpListener::bind("127.0.0.1:8080")?;
    println!("http://{}", listener.local_addr()?);
    linux::Server::new(listener, std::sync::Arc::new(Http::new(service_fn(|_, _| "hello\n"))))?.serve()
}

#[cfg(target_os = "linux")]
pub(crate) mod linux {
    use std::io::{Read, Result, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::{AsRawFd, FromRawFd};
    use std::os::unix::net::UnixStream;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use anabranch_core::{ConnectionInfo, Protocol};
    use anabranch_examples::agenda::{Agenda, Call};
    use anabranch_examples::completion::{Connection, Which};
    use anabranch_examples::lent::{Clock, Lent, locked, waker};
    use io_uring::types::{CancelBuilder, Fd, SubmitArgs, Timespec};
    use io_uring::{IoUring, opcode, squeue::Entry};

    pub(crate) struct Server {
        listener: TcpListener,
        protocol: Arc<dyn Protocol>,
        clock: Clock,
        agenda: Mutex<Agenda<Connection>>,
        bell: (UnixStream, UnixStream),
    }

    /// What completions say they are of; those of connections say `4 * key` and which.
    const ACCEPT: u64 = 3;
    const HEARD: u64 = 7;
    const CANCELLED: u64 = 11;

    impl Server {
        pub(crate) fn new(listener: TcpListener, protocol: Arc<dyn Protocol>) -> Result<Arc<Self>> {
            let (clock, bell) = (Clock::start(), UnixStream::pair()?);
            bell.0.set_nonblocking(true)?;
            bell.1.set_nonblocking(true)?;
            let agenda = Mutex::new(Agenda::new(clock.now()));
            Ok(Arc::new(Self { listener, protocol, clock, agenda, bell }))
        }

        /// Tells the agenda something, from wherever this is called.
        pub(crate) fn tell(&self, what: impl FnOnce(&mut Agenda<Connection>)) {
            what(&mut locked(&self.agenda));
            // A bell that is full was rung.
            let _ = (&self.bell.0).write(&[0]);
        }

        /// Serves until all is stopped.
        pub(crate) fn serve(self: &Arc<Self>) -> Result<()> {
            let (mut ring, mut lent) = (IoUring::new(256)?, Lent::new(self.clock));
            let mut entries = vec![self.accept(), self.hear()];
            while !locked(&self.agenda).is_over() {
                for entry in entries.drain(..) {
                    // SAFETY: the memory of an entry is its connection's, which keeps it until the completion.
                    while unsafe { ring.submission().push(&entry) }.is_err() {
                        ring.submit()?;
                    }
                }
                let left = locked(&self.agenda).left(self.clock.now()).unwrap_or(Duration::from_secs(60));
                let left = Timespec::from(left);
                // Late or interrupted: what has completed is there all the same.
                let _ = ring.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&left));
                for completion in ring.completion() {
                    self.complete(completion.user_data(), completion.result(), &mut entries);
                }
                for _ in 0..64 {
                    let next = locked(&self.agenda).take(self.clock.now());
                    let Some((key, mut connection, call)) = next else { break };
                    let progress = connection.turn(call, &mut lent);
                    begin(key as u64, &mut connection, &mut entries);
                    let _ = locked(&self.agenda).settle_completion(key, connection, progress);
                }
            }
            Ok(())
        }

        fn accept(&self) -> Entry {
            let (fd, none) = (Fd(self.listener.as_raw_fd()), std::ptr::null_mut());
            opcode::Accept::new(fd, none, std::ptr::null_mut()).build().user_data(ACCEPT)
        }

        fn hear(&self) -> Entry {
            const READABLE: u32 = 1;
            opcode::PollAdd::new(Fd(self.bell.1.as_raw_fd()), READABLE).build().user_data(HEARD)
        }

        fn complete(self: &Arc<Self>, data: u64, result: i32, entries: &mut Vec<Entry>) {
            match data {
                HEARD => {
                    while matches!((&self.bell.1).read(&mut [0; 64]), Ok(64)) {}
                    entries.push(self.hear());
                }
                ACCEPT if result < 0 => {
                    // Out of descriptors, say
                    std::thread::sleep(Duration::from_millis(10));
                    entries.push(self.accept());
                }
                ACCEPT => {
                    // SAFETY: the completion gives the descriptor to whoever takes it.
                    let socket = unsafe { TcpStream::from_raw_fd(result) };
                    let _ = socket.set_nodelay(true);
                    let flow = self.protocol.connect(ConnectionInfo::default(), self.clock.now());
                    locked(&self.agenda).insert(|key| {
                        let server = self.clone();
                        let waker = waker(move || server.tell(|agenda| agenda.call(key, Call::Turn)));
                        Connection::new(flow, socket, waker)
                    });
                    entries.push(self.accept());
                }
                CANCELLED => {}
                _ => {
                    let (key, mut agenda) = ((data / 4) as usize, locked(&self.agenda));
                    if let Some(connection) = agenda.get_mut(key) {
                        connection.complete(if data % 4 == 0 { Which::Receive } else { Which::Send }, result);
                    }
                    agenda.call(key, Call::Turn);
                }
            }
        }
    }

    fn begin(key: u64, connection: &mut Connection, entries: &mut Vec<Entry>) {
        let fd = Fd(connection.socket.as_raw_fd());
        if let Some(room) = connection.begin_receive() {
            let receive = opcode::Recv::new(fd, room.as_mut_ptr(), room.len() as u32).build();
            entries.push(receive.user_data(4 * key));
        }
        if let Some(bytes) = connection.begin_send() {
            let send = opcode::Send::new(fd, bytes.as_ptr(), bytes.len() as u32).build();
            entries.push(send.user_data(4 * key + 1));
        }
        if connection.is_ending() {
            let cancel = opcode::AsyncCancel2::new(CancelBuilder::fd(fd).all()).build();
            entries.push(cancel.user_data(CANCELLED));
        }
    }
}
