//! A loop that dies is started anew, with the listeners it had.
//!
//! A flow's panic does not come this far: see [`Connection::turn`](crate::connection::Connection::turn). What does is a
//! fault of the loop's own. Its connections die with it; the server goes on, unless it happens again and again.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use anabranch_std::host::Host;

use crate::reactor::{Hands, Reactor, Source};

/// At most so many times within [`WITHIN`]; once more, and the server is given up.
const RESTARTS: usize = 5;
const WITHIN: Duration = Duration::from_secs(10);

/// Starts a thread that, once it has called `enter`, runs a loop of what `parts` gives, and another should that die.
///
/// # Errors
/// When the system gives no thread or descriptor to begin with.
pub(super) fn supervise(
    host: &Arc<Host>,
    role: impl std::fmt::Display,
    read_bytes: usize,
    enter: impl FnOnce() + Send + 'static,
    mut parts: impl FnMut() -> (Source, Hands) + Send + 'static,
) -> io::Result<()> {
    let mut make = {
        let host = host.clone();
        move || {
            let (source, hands) = parts();
            Reactor::new(&host, read_bytes, source, hands)
        }
    };
    let mut reactor = make()?;
    let keeper = host.clone();
    host.spawn(role, move || {
        enter();
        let mut deaths = Vec::new();
        while catch_unwind(AssertUnwindSafe(|| reactor.run())).is_err() {
            let now = keeper.clock().now();
            deaths.retain(|death| now - *death < WITHIN);
            deaths.push(now);
            match make() {
                Ok(next) if deaths.len() <= RESTARTS => reactor = next,
                _ => return keeper.accepting_lost(),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acceptors;
    use crate::inlet::Inlet;
    use anabranch_core::app::service_fn;
    use anabranch_core::lifecycle::{AcceptErrorKind, ListenerId};
    use anabranch_std::host::{Admitted, Binding, Placement};
    use anabranch_std::{Blocking, Config, Listener, serve};
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpStream};
    use std::sync::OnceLock;

    /// One loop, which can be made to die.
    #[derive(Default)]
    struct Mortal {
        inlet: Arc<Inlet>,
        host: OnceLock<Arc<Host>>,
    }

    impl Binding for Mortal {
        fn start(&self, host: &Arc<Host>, config: &Config<Self>, listeners: Vec<Listener>) -> io::Result<()> {
            let inlet = self.inlet.clone();
            let _ = self.host.set(host.clone());
            supervise(
                host,
                "loop",
                config.read_bytes,
                || {},
                move || (Source::Mail(inlet.clone()), Hands::Own),
            )?;
            let listeners: Vec<_> = listeners.into_iter().map(Arc::new).collect();
            acceptors::start(host, &listeners, 1, |_| Way(self.inlet.clone()))
        }
    }

    struct Way(Arc<Inlet>);

    impl Placement for Way {
        const BLOCKING: Blocking = Blocking::No;

        fn place(&mut self, admitted: Admitted, _: &mut dyn FnMut()) {
            self.0.put(admitted);
        }
    }

    impl Drop for Way {
        fn drop(&mut self) {
            self.0.close();
        }
    }

    /// What came back over a connection of its own: nothing, where the loop died with it.
    fn ask(address: SocketAddr) -> String {
        let mut client = TcpStream::connect(address).unwrap();
        let _ = client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let mut answer = String::new();
        let _ = client.read_to_string(&mut answer);
        answer
    }

    #[test]
    fn loop_that_dies_is_followed_by_another_and_one_that_dies_again_and_again_stops_the_server() {
        let config = Config::new(Mortal::default());
        let Mortal { inlet, host } = &config.model;
        let listeners = [(); 2].map(|()| Listener::bind("127.0.0.1:0").unwrap());
        let handle = serve(&config, listeners, service_fn(|_, _| "hello")).unwrap();
        let address = handle.local_addrs()[1];
        // Which of the listeners are still open then makes no difference.
        host.get().unwrap().accept_failed_as(ListenerId(0), AcceptErrorKind::Fatal);
        for _ in 0..RESTARTS {
            assert!(ask(address).ends_with("hello"));
            inlet.put_fault();
            while !ask(address).ends_with("hello") {}
        }
        inlet.put_fault();
        let summary = handle.wait_timeout(Duration::from_secs(20)).expect("the server stops");
        assert_eq!(summary.counters.accept_errors.fatal, 2);
    }
}
