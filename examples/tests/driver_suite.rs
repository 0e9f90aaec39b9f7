//! The loops that embed the core without a binding keep the laws.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use anabranch_core::testing::driver_suite::{self, Peer, Subject};
use anabranch_examples::agenda::Call;

#[expect(dead_code, reason = "the example's main")]
#[path = "../examples/05_polling.rs"]
mod polling_loop;

struct Polling(SocketAddr, Arc<polling_loop::Server>);

impl Subject for Polling {
    fn connect(&self) -> io::Result<Peer> {
        Peer::tcp(TcpStream::connect(self.0)?)
    }
    fn drain(&self) {
        self.1.tell(|agenda| agenda.call_all(Call::Drain));
    }
    fn abort(&self) {
        self.1.tell(|agenda| agenda.call_all(Call::Abort));
    }
}

impl Drop for Polling {
    fn drop(&mut self) {
        self.1.tell(|agenda| agenda.call_all(Call::Stop));
    }
}

#[test]
fn threads_that_share_a_poll_keep_the_laws() {
    for threads in [1, 3] {
        let start = move |protocol| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let server = polling_loop::Server::new(listener, protocol).unwrap();
            for _ in 0..threads {
                let server = server.clone();
                std::thread::spawn(move || server.serve());
            }
            Box::new(Polling(address, server)) as Box<dyn Subject>
        };
        driver_suite::run(start).assert_all();
    }
}
