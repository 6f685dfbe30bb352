//! Known results are not computed again unless a sweep is fresh, and a submit can show the counts beforehand.

use sweep_scheduler::effect::SweepEnd;
use sweep_scheduler::{Effect, Outlook};

use crate::env::{self, Env, config, lease, sweep, trial};

fn outlook(known: u64, shared: u64, to_run: u64, at_most: bool) -> Option<Outlook> {
    Some(Outlook { known, shared, to_run, at_most })
}

/// Trials 10 and 11 have been answered by sweep 1.
fn answered() -> Env {
    let mut env = Env::new(config());
    env.worker(1, "w1", 1).has_data(1);
    env.submit(1, &[&[(10, 9), (11, 5)]]);
    for number in [10, 11] {
        let lease = env.only_running(1);
        assert_eq!(lease.trial, trial(number));
        env.succeed(1, lease);
    }
    env
}

#[test]
fn a_sweep_counts_known_shared_and_remaining_trials() {
    let mut env = answered();
    env.submit(2, &[&[(12, 9)]]);
    env.submit(3, &[&[(10, 9), (11, 5), (12, 4), (13, 3)]]);
    assert_eq!(env.scheduler.outlook(sweep(3)), outlook(2, 1, 1, false));
    assert_eq!(env.scheduler.outlook(sweep(2)), outlook(0, 1, 0, false), "now it shares its own");
    assert_eq!(env.scheduler.outlook(sweep(9)), None);
}

#[test]
fn before_the_data_are_pinned_what_is_known_is_a_bound() {
    let mut env = Env::new(config());
    let known =
        sweep_scheduler::event::Known { round: 1, data_digest: env::data(), outcome: sweep_spec::Outcome::Converged };
    let mut wanted = env::wanted(10, 5);
    wanted.history = sweep_scheduler::event::History { rounds: 1, attempts: 1, known: Some(known) };
    env.submit_trials(1, vec![vec![wanted, env::wanted(11, 5)]]);
    assert_eq!(env.scheduler.outlook(sweep(1)), outlook(1, 0, 1, true));
    env.worker(1, "w1", 1).has_data(1);
    assert_eq!(env.scheduler.outlook(sweep(1)), outlook(1, 0, 1, false));
}

#[test]
fn a_fresh_sweep_runs_what_is_known_in_a_new_round_and_the_old_answer_stays() {
    let mut env = answered();
    env.submit_fresh(2, &[(10, 9), (11, 5)]);
    assert_eq!(env.scheduler.outlook(sweep(2)), outlook(0, 0, 2, false));
    let first = env.only_running(1);
    assert_eq!(first, lease(10, 2, 2));
    // Somebody else takes the old answer meanwhile.
    let effects = env.submit(3, &[&[(10, 9)]]);
    assert!(effects.contains(&Effect::TrialBound { sweep: sweep(3), trial: trial(10), round: 1, reused: true }));
    env.succeed(1, first);
    let second = env.only_running(1);
    assert_eq!(second, lease(11, 2, 2));
    let effects = env.succeed(1, second);
    assert!(effects.contains(&Effect::SweepEnded { sweep: sweep(2), end: SweepEnd::Succeeded }));
}

#[test]
fn fresh_sweeps_share_a_round_that_is_open_and_stay_fresh_over_a_restart() {
    let mut env = answered();
    env.submit_fresh(2, &[(10, 9)]);
    env.submit_fresh(3, &[(10, 9), (11, 5)]);
    assert_eq!(env.scheduler.outlook(sweep(3)), outlook(0, 1, 1, false));
    env.restart();
    env.worker(2, "w1", 1).has_data(2);
    let first = env.only_running(2);
    assert_eq!((first.trial, first.round), (trial(10), 2));
    env.succeed(2, first);
    assert_eq!((env.only_running(2).trial, env.only_running(2).round), (trial(11), 2));
}

#[test]
fn an_answer_that_was_asked_again_stays_the_known_one() {
    let mut env = answered();
    env.reproduce(2, 10);
    let again = env.only_running(1);
    assert_eq!(again, lease(10, 2, 2));
    env.succeed(1, again);
    for (id, restart) in [(3, false), (4, true)] {
        if restart {
            env.restart();
            env.worker(2, "w1", 1).has_data(2);
        }
        let effects = env.submit(id, &[&[(10, 9)]]);
        let bound = Effect::TrialBound { sweep: sweep(id), trial: trial(10), round: 1, reused: true };
        assert!(effects.contains(&bound), "{effects:?}");
    }
}
