//! A loop without a binding: threads share one poll of the `polling` crate by one-shot interest. What the poll reports it
//! forgets until it is told again: so a connection is with one thread at a time, and moves there by value.
//!
//! ```text
//! cargo run -p anabranch-examples --example 05_polling   # and: curl -i http://127.0.0.1:8080/
//!
//! armed ── event, deadline, wake, command ──► wanted ── a thread takes it ──► its turn ── blocked ──► armed
//! ```

use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use anabranch_core::{CloseReason, Protocol, app, drive::Progress};
use anabranch_examples::agenda::{Agenda, Call, Next};
use anabranch_examples::lent::{Clock, Connection, Lent, accept, locked, settle, waker};
use polling::{Event, Events, Poller};

fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:8080")?;
    println!("http://{}", listener.local_addr()?);
    let server = Server::new(listener, Arc::new(app::Http::new(app::service_fn(|_, _| "hello\n"))))?;
    std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(|| server.serve()))));
    Ok(())
}

const LISTENER: usize = usize::MAX - 1;

/// What the threads share.
pub(crate) struct Server {
    poller: Poller,
    listener: TcpListener,
    protocol: Arc<dyn Protocol>,
    clock: Clock,
    agenda: Mutex<Agenda<Connection>>,
    /// With the thread that waits for all of them.
    events: Mutex<Events>,
}

impl Server {
    pub(crate) fn new(listener: TcpListener, protocol: Arc<dyn Protocol>) -> std::io::Result<Arc<Self>> {
        let (clock, poller) = (Clock::start(), Poller::new()?);
        listener.set_nonblocking(true)?;
        // SAFETY: the poll is dropped before the listener, which is declared after it.
        unsafe { poller.add(&listener, Event::readable(LISTENER))? };
        let (agenda, events) = (Mutex::new(Agenda::new(clock.now())), Mutex::new(Events::new()));
        Ok(Arc::new(Self { poller, listener, protocol, clock, agenda, events }))
    }

    /// Tells the agenda something, from wherever this is called.
    pub(crate) fn tell(&self, what: impl FnOnce(&mut Agenda<Connection>)) {
        what(&mut locked(&self.agenda));
        let _ = self.poller.notify();
    }

    /// Serves until all is stopped, in as many threads as call this.
    pub(crate) fn serve(self: &Arc<Self>) {
        let mut lent = Lent::new(self.clock);
        while !locked(&self.agenda).is_over() {
            let next = self.wait(&mut locked(&self.events));
            let Some((key, mut connection, call)) = next else { continue };
            let mut progress = connection.turn(call, &mut lent);
            let (reads, writes) = connection.wants();
            if progress == Progress::Blocked && (reads || writes) {
                let armed = self.poller.modify(&connection.socket, Event::new(key, reads, writes));
                progress = armed.map_or(Progress::Finished(CloseReason::TransportFailed), |()| progress);
            }
            if let Progress::Finished(_) = progress {
                let _ = self.poller.delete(&connection.socket);
            }
            if settle(&self.agenda, key, connection, progress) == Next::Sooner {
                let _ = self.poller.notify();
            }
        }
    }

    /// One thread waits for all of them, until there is something that it can do itself.
    fn wait(self: &Arc<Self>, events: &mut Events) -> Option<(usize, Connection, Call)> {
        let left = locked(&self.agenda).left(self.clock.now());
        events.clear();
        let _ = self.poller.wait(events, left);
        if events.iter().any(|event| event.key == LISTENER) {
            while let Some((socket, info)) = accept(&self.listener) {
                let flow = self.protocol.connect(info, self.clock.now());
                locked(&self.agenda).insert(|key| {
                    let server = self.clone();
                    let waker = waker(move || server.tell(|agenda| agenda.call(key, Call::Turn)));
                    // SAFETY: `serve` deletes it before it closes it. Where it is not added, arming it fails.
                    let _ = unsafe { self.poller.add(&socket, Event::none(key)) };
                    Connection::new(flow, socket, waker)
                });
            }
            let _ = self.poller.modify(&self.listener, Event::readable(LISTENER));
        }
        let mut agenda = locked(&self.agenda);
        events.iter().for_each(|event| agenda.call(event.key, Call::Turn));
        agenda.take(self.clock.now())
    }
}
