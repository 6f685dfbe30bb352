//! The whole system under random faults: see `simulation/`. A failing seed is printed and replays with `SWEEP_SEED`.

#[path = "../simulation/mod.rs"]
mod simulation;

use simulation::{schedule, schedules};
use sweep_scheduler::bug::Bug;

const SCHEDULES: u64 = 20_000;
/// Schedules within which a planted mistake has to be found.
const FOUND_WITHIN: u64 = 20_000;

#[test]
fn whatever_happens_every_trial_is_answered_once_and_every_sweep_ends() {
    if let Some(seed) = std::env::var("SWEEP_SEED").ok().and_then(|seed| seed.parse().ok()) {
        return schedule(seed, None).1.unwrap();
    }
    let (counts, failures) = schedules(0..SCHEDULES);
    let first: Vec<_> = failures.iter().take(5).collect();
    assert!(
        failures.is_empty(),
        "{} schedules failed; replay with SWEEP_SEED=<the number>: {first:#?}",
        failures.len()
    );
    for (name, count) in counts.rows() {
        assert!(count > 0, "{name} never happened: the simulation does not try what it promises");
    }
}

#[test]
fn a_planted_mistake_is_found() {
    for bug in Bug::ALL {
        let found = (0..FOUND_WITHIN).find_map(|seed| schedule(seed, Some(bug)).1.err());
        assert!(found.is_some(), "{bug:?} was not found in {FOUND_WITHIN} schedules");
    }
}
