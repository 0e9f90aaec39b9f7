//! Each check finds what breaks its law.

use core::time::Duration;

use super::*;
use crate::app::{Context, Outcome, Request, Response, service_fn};
use crate::flow::{DeadlineKind, InputEnd};
use crate::testing::{Behaviour, Io, Pace, Probe, Take};

fn rig<B: Behaviour>(behaviour: B) -> Rig<Probe<B>> {
    Rig::new(Probe::new(behaviour, Default::default(), crate::testing::ManualClock::default().now()))
}

/// Answers each read, and not what was read.
struct CountsReads;

impl Behaviour for CountsReads {
    fn input(&mut self, io: &mut Io, _: &[u8]) {
        io.send("read");
    }
}

#[test]
#[should_panic(expected = "law broken (9, cuts do not matter)")]
fn flow_that_follows_the_cuts_is_caught() {
    check_cuts(|| rig(CountsReads), "abc", Ending::Open, &Cuts::bytewise());
}

#[test]
fn output_may_be_compared_by_what_it_means() {
    let cuts = Cuts { reads: vec![1], writes: vec![Take::Owned(2)], pace: Pace::Late };
    check_cuts_by(|| rig(CountsReads), "abc", Ending::Eof, &cuts, |output| output.is_empty());
}

#[test]
#[should_panic(expected = "law broken (9, cuts do not matter)")]
fn service_that_follows_the_cuts_is_caught() {
    let service = service_fn(|_: &mut Request, _: &mut Context<'_>| {
        Outcome::stream(|_, mut incoming, _| {
            Outcome::future(async move {
                let mut frames = 0;
                while incoming.next().await.is_some() {
                    frames += 1;
                }
                Response::ok(format!("{frames}"))
            })
        })
    });
    let input = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd";
    check_service(&Arc::new(service), &Settings::default(), input, Ending::Open, &Cuts::bytewise());
}

/// Goes on when it was told to drain.
struct Deaf;

impl Behaviour for Deaf {
    fn input(&mut self, io: &mut Io, bytes: &[u8]) {
        io.send(bytes.to_vec());
    }
    fn drain(&mut self, _: &mut Io) {}
}

#[test]
#[should_panic(expected = "law broken (7, drain): what it owed is sent, and it does not end")]
fn flow_that_does_not_drain_is_caught() {
    check_drain(|| rig(Deaf), "before", "");
}

/// Takes one more after it was told to drain.
#[derive(Default)]
struct OneMore {
    draining: bool,
}

impl Behaviour for OneMore {
    fn input(&mut self, io: &mut Io, bytes: &[u8]) {
        io.send(bytes.to_vec());
        if self.draining {
            io.finish(CloseReason::Drained);
        }
    }
    fn timeout(&mut self, io: &mut Io) {
        io.finish(CloseReason::Drained);
    }
    fn drain(&mut self, io: &mut Io) {
        self.draining = true;
        io.set_deadline(Duration::from_secs(1), DeadlineKind::Application);
    }
}

#[test]
#[should_panic(expected = "law broken (7, drain): begun after it: \"beforeafter\"")]
fn flow_that_begins_more_after_a_drain_is_caught() {
    check_drain(|| rig(OneMore::default()), "before", "after");
}

/// Waits for a peer that is gone, again and again.
struct Patient;

impl Behaviour for Patient {
    fn input(&mut self, _: &mut Io, _: &[u8]) {}
    fn end(&mut self, io: &mut Io, _: InputEnd) {
        io.set_deadline(Duration::from_secs(100), DeadlineKind::Idle);
    }
    fn timeout(&mut self, io: &mut Io) {
        io.set_deadline(Duration::from_secs(100), DeadlineKind::Idle);
    }
}

#[test]
#[should_panic(expected = "law broken (5, time and waiting): it does not end")]
fn flow_without_an_end_is_caught() {
    check_end(&mut rig(Patient));
}

/// Ticks without its peer.
struct Ticks;

impl Behaviour for Ticks {
    fn start(&mut self, io: &mut Io) {
        io.set_deadline(Duration::from_secs(1), DeadlineKind::Application);
    }
    fn input(&mut self, _: &mut Io, _: &[u8]) {}
    fn timeout(&mut self, io: &mut Io) {
        io.send("tick");
        io.set_deadline(Duration::from_secs(1), DeadlineKind::Application);
    }
}

#[test]
#[should_panic(expected = "the application's time goes on without the peer")]
fn conversation_that_never_rests_is_given_up() {
    converse(&mut rig(Ticks), "", Ending::Open, &Cuts::default());
}

#[test]
fn steps_that_nobody_could_take_do_nothing() {
    let mut rig = rig(CountsReads);
    let steps = [
        Step::Report(5),
        Step::WriteClosed,
        Step::End(InputEnd::Eof),
        Step::Feed(b"late".to_vec(), 1),
        Step::End(InputEnd::Reset),
        Step::Take(5),
        Step::Write(5),
    ];
    check_steps(&mut rig, &steps);
    check_end(&mut rig);
    assert_eq!(rig.close_reason(), Some(CloseReason::PeerClosed));
}

/// What no client may be sent, each with what [`answers`] says to it.
#[test]
fn answers_that_clients_could_take_differently_are_refused() {
    let date = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    for (output, fault) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned(), "no date"),
        (format!("HTTP/1.1 200 OK\n{date}Content-Length: 0\r\n\r\n"), "a bare line end"),
        (format!("HTTP/1.0 200 OK\r\n{date}Content-Length: 0\r\n\r\n"), "no status line"),
        (format!("HTTP/1.1 200\r\n{date}Content-Length: 0\r\n\r\n"), "a space follows the status"),
        (format!("HTTP/1.1 200 OK\r\n{date}Content-Length: +0\r\n\r\n"), "no length"),
        (format!("HTTP/1.1 200 OK\r\n{date}Content-Length: 0\r\nContent-Length: 0\r\n\r\n"), "two framings"),
        (
            format!("HTTP/1.1 200 OK\r\n{date}Transfer-Encoding: chunked\r\n\r\n+5\r\nabcde\r\n"),
            "no chunk size",
        ),
        (format!("HTTP/1.1 200 OK\r\n{date}\r\nabc"), "until-close without saying close"),
        (format!("HTTP/1.1 204 No Content\r\n{date}Content-Length: 0\r\n\r\n"), "204 has no framing"),
        (format!("HTTP/1.1 200 OK\r\n{date}x y: 1\r\nContent-Length: 0\r\n\r\n"), "no field name"),
    ] {
        let said = std::panic::catch_unwind(|| answers(output.as_bytes(), &[])).unwrap_err();
        let said = said.downcast::<String>().expect("a message with a value in it");
        assert!(said.contains(fault), "{said:?} instead of {fault:?}");
    }
}
