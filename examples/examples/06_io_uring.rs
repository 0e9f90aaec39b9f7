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
    let hello = std::sync::Arc::new(Http::new(service_fn(|_, _| "hello\n")));
    linux::serve(&anabranch_examples::outside::Outside::new(listener, hello)?)
}

#[cfg(target_os = "linux")]
pub(crate) mod linux {
    use std::os::fd::{AsRawFd, BorrowedFd};
    use std::{sync::Arc, time::Duration};

    use anabranch_examples::completion::{Connection, Which};
    use anabranch_examples::{lent::Lent, outside::Outside};
    use io_uring::types::{CancelBuilder, Fd, SubmitArgs, Timespec};
    use io_uring::{IoUring, opcode, squeue::Entry};

    /// What completions are of. Those of connections say four times the key, and which operation.
    const LISTENER: u64 = 2;
    const BELL: u64 = 3;
    const CANCEL: u64 = 6;

    /// Serves until all is stopped.
    pub(crate) fn serve(outside: &Arc<Outside>) -> std::io::Result<()> {
        let (mut ring, mut lent) = (IoUring::new(256)?, Lent::new(outside.clock));
        let mut entries = vec![readable(outside.listener(), LISTENER), readable(outside.bell(), BELL)];
        while !outside.agenda().is_over() {
            for entry in entries.drain(..) {
                // SAFETY: the memory of an entry is its connection's, which keeps it in place until the completion.
                while unsafe { ring.submission().push(&entry) }.is_err() {
                    ring.submit()?;
                }
            }
            let left = outside.agenda().left(outside.clock.now()).unwrap_or(Duration::from_secs(60));
            // Out of time, or interrupted: what has completed is there all the same.
            let _ = ring.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&Timespec::from(left)));
            for completion in ring.completion() {
                match completion.user_data() {
                    LISTENER => {
                        outside.accept();
                        entries.push(readable(outside.listener(), LISTENER));
                    }
                    BELL => {
                        outside.hear();
                        entries.push(readable(outside.bell(), BELL));
                    }
                    CANCEL => {}
                    data => {
                        let which = if data % 4 == 0 { Which::Receive } else { Which::Send };
                        outside.agenda().complete((data / 4) as usize, which, completion.result());
                    }
                }
            }
            for _ in 0..64 {
                let next = outside.agenda().take(outside.clock.now());
                let Some((key, mut connection, call)) = next else { break };
                let progress = connection.turn(call, &mut lent);
                begin(4 * key as u64, &mut connection, &mut entries);
                outside.settle(key, connection, progress);
            }
        }
        Ok(())
    }

    fn readable(fd: BorrowedFd<'_>, data: u64) -> Entry {
        const POLLIN: u32 = 1;
        opcode::PollAdd::new(Fd(fd.as_raw_fd()), POLLIN).build().user_data(data)
    }

    /// Begins what the connection wants, or cancels what it has begun.
    fn begin(data: u64, connection: &mut Connection, entries: &mut Vec<Entry>) {
        let fd = Fd(connection.socket.as_raw_fd());
        if let Some(room) = connection.begin_receive() {
            let receive = opcode::Recv::new(fd, room.as_mut_ptr(), room.len() as u32);
            entries.push(receive.build().user_data(data));
        }
        if let Some(bytes) = connection.begin_send() {
            let send = opcode::Send::new(fd, bytes.as_ptr(), bytes.len() as u32);
            entries.push(send.build().user_data(data + 1));
        }
        if connection.is_ending() {
            entries.push(opcode::AsyncCancel2::new(CancelBuilder::fd(fd).all()).build().user_data(CANCEL));
        }
    }
}
