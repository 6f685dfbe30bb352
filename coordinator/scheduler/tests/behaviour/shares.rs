//! Who gets the next slot: people share before their sweeps do, and a low priority waits a bounded number of starts.

use std::collections::BTreeMap;

use sweep_scheduler::event::{NewSweep, WantedTrial};
use sweep_scheduler::{Event, SweepId};
use sweep_spec::retry::Changes;

use crate::env::{self, Env, config};

/// A sweep of `trials` trials, numbered from a thousand times its own number.
fn submit(env: &mut Env, id: u64, (owner, priority): (&str, i32), trials: u64) {
    let new = NewSweep {
        id: env::sweep(id),
        priority,
        weight: 1,
        owner: owner.to_owned(),
        paused: false,
        retry: Changes::new(),
        dataset: env::dataset(),
        pin: None,
        settled: false,
        stages: 1,
        fresh: false,
        reproduces: false,
        allowance: None,
    };
    env.apply(Event::SubmitSweep(new));
    let trials: Vec<WantedTrial> = (0..trials).map(|number| env::wanted(id * 1_000 + number, 1)).collect();
    env.apply(Event::OpenStage { sweep: env::sweep(id), stage: 0, trials });
}

/// The slots of each sweep.
fn slots(env: &Env, sweeps: &[u64]) -> BTreeMap<u64, u64> {
    let running = |id: &u64| env.scheduler.sweep(SweepId(*id)).map_or(0, |view| view.counts.running);
    sweeps.iter().map(|id| (*id, running(id))).collect()
}

#[test]
fn people_share_slots_whatever_the_number_of_their_sweeps() {
    let mut env = Env::new(config());
    for id in 1..=3 {
        submit(&mut env, id, ("ann", 0), 20);
    }
    submit(&mut env, 4, ("bob", 0), 20);
    env.worker(1, "w1", 6).has_data(1);
    assert_eq!(slots(&env, &[1, 2, 3, 4]), BTreeMap::from([(1, 1), (2, 1), (3, 1), (4, 3)]));
}

#[test]
fn people_take_turns_on_a_single_slot() {
    let mut env = Env::new(config());
    submit(&mut env, 1, ("ann", 0), 20);
    submit(&mut env, 2, ("bob", 0), 20);
    env.worker(1, "w1", 1).has_data(1);
    let mut turns = Vec::new();
    for _ in 0..6 {
        let lease = env.only_running(1);
        turns.push(slots(&env, &[1, 2])[&1]);
        env.succeed(1, lease);
    }
    assert_eq!(turns, [1, 0, 1, 0, 1, 0]);
}

#[test]
fn a_higher_priority_goes_first_and_a_low_one_gets_a_turn_all_the_same() {
    let mut env = Env::new(config());
    submit(&mut env, 1, ("ann", 1_000), 200);
    submit(&mut env, 2, ("bob", -1_000), 5);
    env.worker(1, "w1", 1).has_data(1);
    // Two people with a sweep each: after twice the limit, the other goes next.
    let limit = 2 * u64::from(config().starvation_limit);
    let mut turns = Vec::new();
    for number in 0..=2 * limit {
        let lease = env.only_running(1);
        if slots(&env, &[2])[&2] == 1 {
            turns.push(number);
        }
        env.succeed(1, lease);
    }
    assert_eq!(turns, [limit]);
}
