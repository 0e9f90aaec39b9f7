//! A peer that is gone while the application computes costs no processor time. By itself in its process, whose time is taken.
#![cfg(target_os = "linux")]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anabranch::carrier::Carrier;
use anabranch_async_std::Model as Async;
use anabranch_core::Lane;
use anabranch_core::app::{Context, Duplex, Outcome, Request, Response, service_fn};
use anabranch_mio::{Model as Mio, Ownership};
use anabranch_std::{Config, Listener, Model as Std, serve};
use anabranch_tokio::Model as Tokio;
use rustix::time::{ClockId, clock_gettime};
use socket2::SockRef;

const ONE: NonZeroUsize = NonZeroUsize::MIN;

const MODELS: &[Carrier] = &[
    Carrier::Std(Std::Threads),
    Carrier::Mio(Mio::Reactor),
    Carrier::Mio(Mio::ReactorPool { workers: ONE }),
    Carrier::Mio(Mio::Staged { acceptors: ONE, network: ONE, ownership: Ownership::Pinned }),
    Carrier::Mio(Mio::Staged { acceptors: ONE, network: ONE, ownership: Ownership::Shared }),
    Carrier::Tokio(Tokio::Tokio { workers: ONE }),
    Carrier::Async(Async::Smol { threads: ONE }),
];

fn processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap()
}

#[test]
fn stream_whose_peer_is_gone_is_waited_for_asleep() {
    for model in MODELS {
        let computes = Arc::new(AtomicBool::new(true));
        let service = service_fn({
            let computes = computes.clone();
            move |_: &mut Request, _: &mut Context<'_>| {
                let computes = computes.clone();
                Outcome::duplex(
                    Response::switching_to("echo"),
                    Duplex::new(1024).on_lane(Lane::DEFAULT, move |mut stream| {
                        let _ = stream.read_to_end(&mut Vec::new());
                        while computes.load(Ordering::Acquire) {
                            thread::sleep(Duration::from_millis(10));
                        }
                    }),
                )
            }
        });
        let config = Config::new(*model);
        let handle = serve(&config, [Listener::bind("127.0.0.1:0").unwrap()], service).unwrap();
        let mut peer = TcpStream::connect(handle.local_addrs()[0]).unwrap();
        peer.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n").unwrap();
        assert!(peer.read(&mut [0; 1024]).unwrap() > 0);
        peer.shutdown(Shutdown::Write).unwrap();
        thread::sleep(Duration::from_millis(200));
        SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
        drop(peer);
        thread::sleep(Duration::from_millis(100));
        let before = processor_time();
        thread::sleep(Duration::from_millis(500));
        let spent = processor_time() - before;
        computes.store(false, Ordering::Release);
        handle.abort();
        handle.wait();
        assert!(spent < Duration::from_millis(150), "{model:?}: {spent:?} in half a second");
    }
}
