//! A whole system in one thread, driven by one seed: the real scheduler, a store that is a few maps, workers that crash
//! and come back, a network that loses, delays, repeats and reorders, people who change their minds, a clock that jumps.
//! Nothing of the scheduler's rules is told again here; what is checked is what must hold whatever they are.

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

/// Steps of one schedule before the faults end and everything has to come to its end.
const STEPS: u32 = 400;

/// Every so manyth schedule goes on with people who share slots.
const FAIRNESS: u64 = 40;

/// Runs one schedule. What happened, and what was wrong if anything was.
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

/// Runs schedules on every core. What happened in all, and the first seeds that failed, with the reasons.
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
