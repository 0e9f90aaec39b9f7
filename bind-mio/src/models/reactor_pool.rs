//! One loop that owns all connections, and workers that take their turns.

use std::io;
use std::sync::Arc;

use anabranch_std::Listener;
use anabranch_std::host::{Host, Ring};

use super::Doorway;
use super::supervise::supervise;
use crate::config::Config;
use crate::outbox::Outbox;
use crate::reactor::Hands;
use crate::workers::{Work, work};

pub(super) fn start(
    host: &Arc<Host>,
    config: &Config,
    listeners: Vec<Arc<Listener>>,
    workers: usize,
) -> io::Result<()> {
    let ring = Outbox::ring();
    let read_bytes = config.read_bytes;
    // Gone with the loop's thread: the workers then find the end of the ring.
    let closing = Closing(ring.clone());
    let doors = Doorway::new(listeners);
    let parts = move || (doors.source(), Hands::Workers(Outbox::new(closing.0.clone())));
    supervise(host, "loop", read_bytes, || {}, parts)?;
    for number in 1..=workers {
        let (ring, host) = (ring.clone(), host.clone());
        host.clone().spawn(format_args!("w{number}"), move || work(&host, &ring, read_bytes))?;
    }
    Ok(())
}

struct Closing(Arc<Ring<Work>>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::num::NonZeroUsize;
    use std::sync::Mutex;
    use std::sync::mpsc::channel;
    use std::thread;
    use std::time::Duration;

    use anabranch_core::app::{Outcome, Request, service_fn};
    use anabranch_std::{Config, Listener, serve};

    use crate::Model;
    use crate::outbox::WAITING;

    #[test]
    fn more_connections_than_may_wait_for_a_worker_are_served_all_the_same() {
        let (held, is_held) = channel();
        let (release, released) = channel::<()>();
        let released = Mutex::new(released);
        let service = service_fn(move |request: &mut Request, _: &mut _| -> Outcome {
            if request.path() == "/held" {
                held.send(()).unwrap();
                let _ = released.lock().unwrap().recv();
            }
            "hello".into()
        });
        let config = Config::new(Model::ReactorPool { workers: NonZeroUsize::MIN });
        let handle = serve(&config, [Listener::bind("127.0.0.1:0").unwrap()], service).unwrap();
        let ask = |path: &str| {
            let mut client = TcpStream::connect(handle.local_addrs()[0]).unwrap();
            client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            write!(client, "GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
            client
        };
        let answered = |client: &mut TcpStream| {
            let mut answer = Vec::new();
            while !answer.ends_with(b"hello") {
                let mut some = [0; 512];
                let count = client.read(&mut some).expect("it is answered");
                answer.extend_from_slice(&some[..count]);
            }
        };
        let mut first = ask("/held");
        is_held.recv().unwrap();
        // The only worker is busy, and some of these find no room to wait for it.
        let mut others: Vec<_> = (0..10 * WAITING).map(|_| ask("/")).collect();
        thread::scope(|threads| {
            // Some come while those before them wait.
            threads.spawn(|| others.extend((0..WAITING).map(|_| ask("/"))));
            release.send(()).unwrap();
        });
        answered(&mut first);
        others.iter_mut().for_each(answered);
        // And again, on connections that were back in the meantime.
        others.iter_mut().for_each(|client| client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap());
        others.iter_mut().for_each(answered);
        handle.drain(Duration::from_secs(5));
        handle.wait();
    }
}
