//! Every interleaving of the ring's threads: nothing that was pushed is left lying while its takers sleep.
#![cfg(loom)]

use anabranch_std::host::Ring;
use loom::sync::Arc;
use loom::thread::{self, JoinHandle};
use std::time::Duration;

fn explore(scene: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(scene);
}

#[test]
fn item_reaches_a_taker_that_goes_to_sleep() {
    explore(|| {
        let ring = Arc::new(Ring::new(2));
        let taker = thread::spawn({
            let ring = ring.clone();
            move || {
                let mut taker = ring.taker();
                (taker.take(), taker.take())
            }
        });
        ring.push(1).unwrap();
        ring.push(2).unwrap();
        assert_eq!(taker.join().unwrap(), (Some(1), Some(2)));
    });
}

#[test]
fn items_of_two_pushers_reach_two_takers() {
    explore(|| {
        let ring = Arc::new(Ring::new(2));
        let take = |ring: &Arc<Ring<u32>>| {
            let ring = ring.clone();
            thread::spawn(move || ring.taker().take().unwrap())
        };
        let takers = [take(&ring), take(&ring)];
        let pusher = thread::spawn({
            let ring = ring.clone();
            move || ring.push(1).unwrap()
        });
        ring.push(2).unwrap();
        pusher.join().unwrap();
        let sum: u32 = takers.into_iter().map(|taker| taker.join().unwrap()).sum();
        assert_eq!(sum, 3);
    });
}

#[test]
fn close_reaches_a_taker_that_goes_to_sleep() {
    explore(|| {
        let ring = Arc::new(Ring::<u32>::new(1));
        let taker = thread::spawn({
            let ring = ring.clone();
            move || ring.taker().take()
        });
        ring.close();
        assert_eq!(taker.join().unwrap(), None);
    });
}

/// Quick items: they are left to whoever is awake, and the sleeper on watch steps in where that is nobody any more.
#[test]
fn items_left_on_trust_are_taken_by_those_who_are_awake_or_by_the_watch() {
    let none_is_called_for = Duration::ZERO;
    explore(move || {
        let ring = Arc::new(Ring::of_items_taking(none_is_called_for, 3));
        let takers = [taker_of(2, &ring), taker_of(1, &ring)];
        for item in 1..=3 {
            ring.push(item).unwrap();
        }
        assert_eq!(sum_of(takers), 6);
    });
}

/// One item is left to whoever is awake, and two are called for: by a wake that comes while the sleeper on watch looks.
#[test]
fn wake_that_comes_while_the_watch_looks_is_not_lost() {
    let two_are_called_for = Duration::from_micros(30);
    explore(move || {
        let ring = Arc::new(Ring::of_items_taking(two_are_called_for, 3));
        let takers = [taker_of(2, &ring), taker_of(1, &ring)];
        ring.push_all(&mut vec![1, 2]);
        ring.push(3).unwrap();
        assert_eq!(sum_of(takers), 6);
    });
}

#[test]
fn close_reaches_the_watch_while_it_looks() {
    let none_is_called_for = Duration::ZERO;
    explore(move || {
        let ring = Arc::new(Ring::<u32>::of_items_taking(none_is_called_for, 1));
        let takers = [(); 2].map(|()| {
            let ring = ring.clone();
            thread::spawn(move || ring.taker().take())
        });
        ring.close();
        assert_eq!(takers.map(|taker| taker.join().unwrap()), [None, None]);
    });
}

/// Takes so many, and leaves.
fn taker_of(count: usize, ring: &Arc<Ring<u32>>) -> JoinHandle<u32> {
    let ring = ring.clone();
    thread::spawn(move || {
        let mut taker = ring.taker();
        (0..count).map(|_| taker.take().unwrap()).sum()
    })
}

fn sum_of(takers: [JoinHandle<u32>; 2]) -> u32 {
    takers.into_iter().map(|taker| taker.join().unwrap()).sum()
}
