//! The wheel against a plain map of instants.

use core::time::Duration;
use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const TICK: Duration = Duration::from_nanos(1 << TICK_BITS);

#[derive(Clone, Debug)]
enum Step {
    Set { key: usize, after: Duration },
    Clear { key: usize },
    Pass { time: Duration },
}

fn durations() -> impl Strategy<Value = Duration> {
    prop_oneof![
        4 => (0..200_000_000_u64).prop_map(Duration::from_nanos),
        4 => (0..120_000_u64).prop_map(Duration::from_millis),
        1 => (0..20_000_000_u64).prop_map(Duration::from_secs),
        // Beyond the last level: five years.
        1 => (0..5_000_000_000_u64).prop_map(Duration::from_millis).prop_map(|time| time * 32),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    let key = 0..24_usize;
    prop_oneof![
        3 => (key.clone(), durations()).prop_map(|(key, after)| Step::Set { key, after }),
        1 => key.prop_map(|key| Step::Clear { key }),
        3 => durations().prop_map(|time| Step::Pass { time }),
    ]
}

proptest! {
    #[test]
    fn every_key_comes_due_once_not_early_and_at_most_a_tick_late(
        start in 0..u64::MAX / 4,
        steps in prop::collection::vec(steps(), 1..120),
    ) {
        let mut now = Instant::from_nanos(start);
        let mut timers = Timers::new(now);
        let mut model = BTreeMap::<usize, Instant>::new();
        for step in steps {
            match step {
                Step::Set { key, after } => {
                    timers.set(key, now + after);
                    model.insert(key, now + after);
                }
                Step::Clear { key } => {
                    timers.clear(key);
                    model.remove(&key);
                }
                Step::Pass { time } => {
                    now += time;
                    let mut last = 0;
                    while let Some(key) = timers.pop(now) {
                        let at = model.remove(&key);
                        prop_assert!(at.is_some_and(|at| at <= now), "{key} at {now:?}, due {at:?}");
                        prop_assert!(last <= at.map_or(0, tick_of).max(last), "in the order of ticks");
                        last = at.map_or(0, tick_of);
                    }
                    let late = model.iter().find(|(_, at)| **at + TICK <= now);
                    prop_assert_eq!(late, None, "at {:?}", now);
                }
            }
            prop_assert_eq!(timers.len(), model.len());
            prop_assert_eq!(timers.is_empty(), model.is_empty());
            for key in 0..24 {
                prop_assert_eq!(timers.get(key), model.get(&key).copied());
            }
            let first = model.values().min().copied();
            prop_assert_eq!(timers.next().is_some(), first.is_some());
            if let (Some(next), Some(first)) = (timers.next(), first) {
                prop_assert!(next <= first + TICK, "{next:?} is too late for {first:?}");
            }
        }
    }

    /// A loop that does nothing but sleep until `next` gives every key out in time, with few wakes for nothing.
    #[test]
    fn loop_that_sleeps_until_next_misses_nothing(delays in prop::collection::vec(durations(), 1..40)) {
        let mut now = Instant::from_nanos(1);
        let start = now;
        let mut timers = Timers::new(now);
        for (key, delay) in delays.iter().enumerate() {
            timers.set(key, start + *delay);
        }
        let (mut given, mut wakes) = (0, 0);
        while let Some(next) = timers.next() {
            prop_assert!(next > now || wakes == 0 || given > 0);
            now = now.max(next);
            wakes += 1;
            while let Some(key) = timers.pop(now) {
                let due = start + delays[key];
                prop_assert!(due <= now && now <= due + TICK, "{due:?} at {now:?}");
                given += 1;
            }
            prop_assert!(wakes <= delays.len() * (2 * LEVELS + 4), "{wakes} wakes for {}", delays.len());
        }
        prop_assert_eq!(given, delays.len());
    }
}

#[test]
fn key_that_is_due_already_comes_at_once_and_never_is_not_set() {
    let now = Instant::from_nanos(1 << 40);
    let mut timers = Timers::new(now);
    timers.set(3, Instant::ORIGIN);
    timers.set(4, Instant::NEVER);
    assert!(timers.next().unwrap() <= now);
    assert_eq!((timers.pop(now), timers.pop(now), timers.next()), (Some(3), None, None));
}

#[test]
fn keys_cost_sixteen_bytes() {
    assert_eq!(size_of::<Node>(), 16);
}
