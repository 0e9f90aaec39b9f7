//! A server's life by any sequence of events, held to what it promises its binding.

use std::time::Duration;

use anabranch_core::lifecycle::{
    AcceptErrorKind, Action, Admission, AtLimit, ListenerId, Server, ServerConfig,
};
use anabranch_core::{CloseReason, ConnectionId, Instant};
use arbitrary::{Arbitrary, Unstructured};

#[derive(Arbitrary, Debug)]
enum Event {
    Bound(u8),
    Accepted(u8),
    Closed(u8),
    AcceptError(u8, Fault),
    Pass(u16),
    Timeout,
    Suspend,
    Resume,
    Stop(u8),
    Abort,
}

#[derive(Arbitrary, Debug)]
enum Fault {
    Transient,
    Exhausted,
    Fatal,
}

const LISTENERS: usize = 3;

/// Plays the events; what a binding cannot report is passed over.
pub fn check(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let mut config = ServerConfig::default();
    config.max_connections = usize::from(u8::arbitrary(&mut input).unwrap_or(1) % 4) + 1;
    config.max_refusals = 2;
    config.at_limit =
        if bool::arbitrary(&mut input).unwrap_or_default() { AtLimit::Pause } else { AtLimit::Refuse };
    let limit = config.max_connections;
    let mut server = Server::new(config);
    let mut now = Instant::from_nanos(1);
    let (mut serving, mut refusing) = (Vec::<ConnectionId>::new(), Vec::<ConnectionId>::new());
    let mut bound = [false; LISTENERS];
    let (mut stopping, mut stopped) = (false, false);

    while !input.is_empty()
        && let Ok(event) = Event::arbitrary(&mut input)
    {
        match event {
            Event::Bound(number) => {
                let number = usize::from(number) % LISTENERS;
                if !bound[number] && !stopping {
                    bound[number] = true;
                    server.handle_bound(ListenerId(number), None, now);
                }
            }
            Event::Accepted(number) => {
                let listener = ListenerId(usize::from(number) % LISTENERS);
                if bound[listener.0] {
                    match server.handle_accepted(listener, now) {
                        Admission::Serve(id) => serving.push(id),
                        Admission::Refuse(id) => refusing.push(id),
                        Admission::Wait => assert!(serving.len() >= limit && !stopping),
                        Admission::Drop => {}
                    }
                }
            }
            Event::Closed(which) => {
                let all = serving.len() + refusing.len();
                if all > 0 {
                    let which = usize::from(which) % all;
                    let id = if which < serving.len() {
                        serving.remove(which)
                    } else {
                        refusing.remove(which - serving.len())
                    };
                    server.handle_closed(id, CloseReason::Finished, now);
                }
            }
            Event::AcceptError(number, fault) => {
                let listener = ListenerId(usize::from(number) % LISTENERS);
                let kind = match fault {
                    Fault::Transient => AcceptErrorKind::Transient,
                    Fault::Exhausted => AcceptErrorKind::Exhausted,
                    Fault::Fatal => AcceptErrorKind::Fatal,
                };
                if bound[listener.0] {
                    server.handle_accept_error(listener, kind, now);
                }
            }
            Event::Pass(millis) => now += Duration::from_millis(u64::from(millis)),
            Event::Timeout => server.handle_timeout(now),
            Event::Suspend => server.suspend(now),
            Event::Resume => server.resume(now),
            Event::Stop(seconds) => {
                stopping = true;
                server.stop(Duration::from_secs(u64::from(seconds)), now);
            }
            Event::Abort => {
                stopping = true;
                server.abort(now);
            }
        }
        assert!(serving.len() <= limit, "{} served at once, of {limit}", serving.len());
        assert!(refusing.len() <= 2, "{} refused at once", refusing.len());
        while let Some(action) = server.poll_action() {
            assert!(!stopped, "{action:?} after the end");
            match action {
                Action::StartAccepting(_) => assert!(!stopping, "accepts after it was told to stop"),
                Action::Stopped => {
                    assert!(serving.is_empty() && refusing.is_empty(), "stopped with connections open");
                    stopped = true;
                }
                _ => {}
            }
        }
        while server.poll_event().is_some() {}
        if stopped {
            assert_eq!(server.deadline(), None, "it has stopped and waits for the time");
        }
    }
}
