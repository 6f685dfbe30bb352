//! Allowances: a sweep starts as many attempts as it may, in the order of ranks, and is ended by a rule.

use sweep_scheduler::effect::{RoundEnd, SweepEnd};
use sweep_scheduler::event::{NewSweep, WantedTrial};
use sweep_scheduler::{Effect, Event};
use sweep_spec::FailureClass;
use sweep_spec::retry::Changes;

use crate::env::{self, Env, config, trial};

fn submit(env: &mut Env, allowance: Option<u64>, trials: &[(u64, u64, u32)]) {
    let new = NewSweep {
        id: env::sweep(1),
        priority: 0,
        weight: 1,
        owner: String::new(),
        paused: false,
        retry: Changes::new(),
        dataset: env::dataset(),
        pin: None,
        settled: false,
        stages: 1,
        fresh: false,
        reproduces: false,
        allowance,
    };
    env.apply(Event::SubmitSweep(new));
    let one = |(number, cost, rank): &(u64, u64, u32)| WantedTrial { rank: *rank, ..env::wanted(*number, *cost) };
    let trials = trials.iter().map(one).collect();
    env.apply(Event::OpenStage { sweep: env::sweep(1), stage: 0, trials });
}

fn allow(env: &mut Env, starts: Option<u64>) {
    env.apply(Event::SetAllowance { sweep: env::sweep(1), starts });
}

#[test]
fn ranks_go_before_costs() {
    let mut env = Env::new(config());
    env.worker(1, "w1", 1).has_data(1);
    submit(&mut env, None, &[(10, 9, 2), (11, 1, 0), (12, 5, 1), (13, 7, 1)]);
    let mut order = Vec::new();
    while let Some(lease) = env.running(1).first().copied() {
        order.push(lease.trial);
        env.succeed(1, lease);
    }
    assert_eq!(order, [11, 13, 12, 10].map(trial));
}

#[test]
fn no_more_is_started_than_is_allowed_and_a_failed_try_counts() {
    let mut env = Env::new(config());
    env.worker(1, "w1", 4).has_data(1);
    submit(&mut env, Some(0), &[(10, 9, 0), (11, 8, 0), (12, 7, 0)]);
    assert!(env.running(1).is_empty());
    assert_eq!(env.scheduler.waiting_for(env::sweep(1)), ["the sweep's budget allows no more trials to start"]);
    assert_eq!(env.scheduler.waiting(env::sweep(1)).collect::<Vec<_>>(), [10, 11, 12].map(trial));
    allow(&mut env, Some(2));
    assert_eq!((env.running(1).len(), env.scheduler.allowance(env::sweep(1))), (2, Some(0)));
    let first = env.running(1)[0];
    env.fail(1, first, FailureClass::Trainer);
    env.pass(env::BACKOFF_MS);
    assert_eq!(env.running(1).len(), 1, "its next try was not allowed");
    env.pass(3_600_000);
    env.worker(2, "w2", 1).has_data(2);
    assert!(
        env.running(2).is_empty() && env.scheduler.sweep(env::sweep(1)).is_some(),
        "and nobody gives it up for that"
    );
    allow(&mut env, None);
    assert!(!env.running(2).is_empty());
}

#[test]
fn a_start_for_another_sweep_counts_for_this_one_too() {
    let mut env = Env::new(config());
    submit(&mut env, Some(1), &[(10, 9, 0), (11, 5, 0)]);
    env.submit(2, &[&[(10, 9)]]);
    env.apply(Event::SetPriority { sweep: env::sweep(2), priority: 1 });
    env.worker(1, "w1", 2).has_data(1);
    assert_eq!(env.only_running(1).trial, trial(10));
    assert_eq!(env.scheduler.allowance(env::sweep(1)), Some(0));
}

#[test]
fn a_sweep_that_is_stopped_ends_with_its_reason_and_its_rest_is_cancelled() {
    let mut env = Env::new(config());
    env.worker(1, "w1", 1).has_data(1);
    submit(&mut env, Some(1), &[(10, 9, 0), (11, 5, 0)]);
    let first = env.only_running(1);
    env.succeed(1, first);
    let reason = "budget spent".to_owned();
    let effects = env.apply(Event::StopSweep { sweep: env::sweep(1), reason: reason.clone() });
    assert!(effects.contains(&Effect::RoundEnded { trial: trial(11), round: 1, end: RoundEnd::Cancelled }));
    assert!(effects.contains(&Effect::SweepEnded { sweep: env::sweep(1), end: SweepEnd::Stopped { reason } }));
    assert!(env.scheduler.sweep(env::sweep(1)).is_none());
}
