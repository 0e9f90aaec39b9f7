//! Every interleaving of a reactor and those who have mail for it: nothing is left lying while it sleeps.
#![cfg(loom)]

use anabranch_core::Instant;
use anabranch_mio::mailbox::{Alarm, Mailbox};
use anabranch_std::host::{Bell, Stop};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

/// A poll that can be slept in, and an alarm that is kept until it was heard.
#[derive(Clone)]
struct Poll(Arc<(Mutex<bool>, Condvar)>);

impl Poll {
    fn new() -> Self {
        Self(Arc::new((Mutex::new(false), Condvar::new())))
    }

    /// Sleeps for as long as nobody sounds the alarm: a reactor that is left to sleep stands still for ever.
    fn sleep(&self) {
        let mut heard = self.0.0.lock().unwrap();
        while !*heard {
            heard = self.0.1.wait(heard).unwrap();
        }
        *heard = false;
    }
}

impl Alarm for Poll {
    fn sound(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }
}

type Box = Arc<Mailbox<u32, Poll>>;

fn mailbox() -> (Poll, Box) {
    let poll = Poll::new();
    (poll.clone(), Arc::new(Mailbox::new(poll)))
}

/// A reactor that sleeps until `until` and takes mail, until it has `count` pieces of it.
fn take(poll: &Poll, mailbox: &Box, until: Instant, count: u32) {
    let mut taken = 0;
    loop {
        while mailbox.take().is_some() {
            taken += 1;
        }
        if taken == count {
            return;
        }
        if mailbox.prepare(until) {
            poll.sleep();
        }
        mailbox.begin();
    }
}

#[test]
fn mail_of_two_reaches_a_reactor_that_goes_to_sleep() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(|| {
        let (poll, mailbox) = mailbox();
        let posters: Vec<_> = (0..2)
            .map(|mail| {
                let mailbox = mailbox.clone();
                thread::spawn(move || mailbox.post(mail))
            })
            .collect();
        take(&poll, &mailbox, Instant::NEVER, 2);
        posters.into_iter().for_each(|poster| poster.join().unwrap());
    });
}

#[test]
fn mail_that_is_due_before_the_sleep_ends_wakes() {
    loom::model(|| {
        let (poll, mailbox) = mailbox();
        let poster = thread::spawn({
            let mailbox = mailbox.clone();
            move || mailbox.leave(1, Instant::from_nanos(5))
        });
        take(&poll, &mailbox, Instant::from_nanos(10), 1);
        poster.join().unwrap();
    });
}

#[test]
fn mail_that_is_due_later_is_there_when_the_sleep_ends() {
    loom::model(|| {
        let (_, mailbox) = mailbox();
        let poster = thread::spawn({
            let mailbox = mailbox.clone();
            move || mailbox.leave(1, Instant::from_nanos(20))
        });
        // Whatever comes of it: this sleep ends by itself.
        let _ = mailbox.prepare(Instant::from_nanos(10));
        poster.join().unwrap();
        mailbox.begin();
        assert_eq!(mailbox.take(), Some(1));
    });
}

#[test]
fn bell_reaches_a_reactor_that_goes_to_sleep() {
    loom::model(|| {
        let (poll, mailbox) = mailbox();
        assert!(mailbox.give_attention(), "a reactor looks everything up once");
        let ringer = thread::spawn({
            let mailbox = mailbox.clone();
            move || mailbox.ring(Stop::Draining)
        });
        while !mailbox.give_attention() {
            if mailbox.prepare(Instant::NEVER) {
                poll.sleep();
            }
            mailbox.begin();
        }
        ringer.join().unwrap();
    });
}
