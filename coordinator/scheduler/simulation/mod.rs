//! A complete system in one thread, driven by one seed: the real scheduler, a store of a few maps, workers that crash
//! and restart, a network that loses, delays, repeats and reorders, users who change their minds, a clock that jumps.
//! It does not repeat the scheduler's rules; it checks properties that have to be true for any rules.

#![allow(dead_code, reason = "each of the targets that include it uses a part of it")]
#![allow(clippy::wildcard_enum_match_arm, reason = "what is counted is a few effects among all")]

pub(crate) mod coordinator;
pub(crate) mod counts;
mod fairness;
pub(crate) mod holders;
pub(crate) mod network;
pub(crate) mod random;
pub(crate) mod store;
pub(crate) mod study;
pub(crate) mod worker;
pub(crate) mod world;

use sweep_scheduler::bug::Bug;

use counts::Counts;
use world::World;

/// Steps of one schedule before the faults end and everything has to finish.
const STEPS: u32 = 400;

/// One schedule in this many continues with users who share slots.
const FAIRNESS: u64 = 40;

/// Runs one schedule. Returns its counts, and what was wrong.
pub(crate) fn schedule(seed: u64, bug: Option<Bug>) -> (Counts, Result<(), String>) {
    let mut world = World::new(seed, bug);
    let result = (0..STEPS).try_for_each(|_| world.step()).and_then(|()| world.settle());
    let mut counts = world.counts();
    if !seed.is_multiple_of(FAIRNESS) {
        return (counts, result);
    }
    let (shared, fair) = fairness::run(seed, bug);
    counts.add(&shared);
    (counts, result.and(fair))
}

/// Runs schedules on every core. Returns the sum of their counts, and the first failing seeds with their reasons.
pub(crate) fn schedules(seeds: std::ops::Range<u64>) -> (Counts, Vec<(u64, String)>) {
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let run = |thread: u64| {
        let mut counts = Counts::default();
        let mut failures = Vec::new();
        for seed in seeds.clone().filter(|seed| seed % threads == thread) {
            let (seen, result) = schedule(seed, None);
            counts.add(&seen);
            failures.extend(result.err().map(|reason| (seed, reason)));
        }
        (counts, failures)
    };
    let mut counts = Counts::default();
    let mut failures = Vec::new();
    std::thread::scope(|scope| {
        let run = &run;
        let threads: Vec<_> = (0..threads).map(|thread| scope.spawn(move || run(thread))).collect();
        for thread in threads {
            match thread.join() {
                Ok((seen, failed)) => {
                    counts.add(&seen);
                    failures.extend(failed);
                }
                Err(_) => failures.push((0, "a thread of the simulation panicked".to_owned())),
            }
        }
    });
    failures.sort();
    (counts, failures)
}
