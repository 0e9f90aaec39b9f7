//! Every interleaving of the ring's threads: nothing that was pushed is left lying while its takers sleep.
#![cfg(loom)]

use anabranch_std::host::Ring;
use loom::sync::Arc;
use loom::thread;

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
