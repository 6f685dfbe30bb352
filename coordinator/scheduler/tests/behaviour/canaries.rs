//! If the first trials of a sweep all fail in the same way, the rest is held back and reported.

use sweep_scheduler::effect::SweepEnd;
use sweep_scheduler::event::WantedTrial;
use sweep_scheduler::{Config, Effect, Event, Hold};
use sweep_spec::FailureClass;

use crate::env::{self, Env, config, trial, wanted};

/// Trials of decreasing length: 100 is the longest, and goes first.
fn study(trials: u64) -> Vec<(u64, u64)> {
    (100..100 + trials).map(|number| (number, 1_000 - number)).collect()
}

/// A worker with `slots` slots, and a sweep of `trials` trials.
fn begun(slots: usize, trials: u64) -> Env {
    let mut env = Env::new(config());
    env.worker(1, "w1", slots).has_data(1);
    env.submit(1, &[&study(trials)]);
    env
}

fn fail_next(env: &mut Env, class: FailureClass) -> Vec<Effect> {
    let lease = env.running(1)[0];
    let reason = format!("epoch {} of 9 was said twice", lease.attempt);
    env.fail_with(1, lease, class, &reason)
}

fn hold_of(effects: &[Effect]) -> Option<Option<Hold>> {
    effects.iter().find_map(|effect| match effect {
        Effect::HoldChanged { hold, .. } => Some(hold.clone()),
        _ => None,
    })
}

fn resume(env: &mut Env) -> Vec<Effect> {
    env.apply(Event::PauseSweep { sweep: env::sweep(1), paused: false })
}

/// Lets everything fail until nothing runs and nothing will. How many attempts there were in all.
fn fail_all(env: &mut Env, class: FailureClass) -> u64 {
    while env.scheduler.sweep(env::sweep(1)).is_some() {
        while !env.running(1).is_empty() {
            fail_next(env, class);
        }
        env.pass(10_000);
        env.poll(1);
        if env.running(1).is_empty() && env.scheduler.held_back(env::sweep(1)).is_some_and(|held| held.tried == 0) {
            break;
        }
    }
    env.store.attempts_started
}

#[test]
fn trials_that_fail_alike_hold_back_the_rest_until_one_succeeds() {
    let mut env = begun(1, 10);
    assert_eq!(hold_of(&fail_next(&mut env, FailureClass::Spec)), None);
    assert_eq!(hold_of(&fail_next(&mut env, FailureClass::Spec)), None);
    let hold = hold_of(&fail_next(&mut env, FailureClass::Spec)).flatten().unwrap();
    assert_eq!((hold.failed, hold.reason.as_str()), (3, "epoch 1 of 9 was said twice"));
    let canary = env.only_running(1);
    assert_eq!(canary.trial, trial(109), "the one that is most unlike those that failed");
    let held = env.scheduler.held_back(env::sweep(1)).unwrap();
    assert_eq!((held.trials, held.tried), (6, 1));
    assert!(env.scheduler.is_held_back(trial(103)) && !env.scheduler.is_held_back(trial(109)));
    let effects = env.succeed(1, canary);
    assert_eq!(hold_of(&effects), Some(None));
    assert_eq!(env.only_running(1).trial, trial(103), "the others go on where they were");
    for _ in 0..6 {
        assert_eq!(hold_of(&fail_next(&mut env, FailureClass::Spec)), None, "one has succeeded: not all fail");
    }
    assert!(env.scheduler.sweep(env::sweep(1)).is_none(), "and the sweep ends");
}

#[test]
fn held_back_trials_are_reported_survive_a_restart_and_are_released_by_a_user() {
    let mut env = begun(1, 10);
    (0..4).for_each(|_| drop(fail_next(&mut env, FailureClass::Spec)));
    let said = "6 trials are held back: the first 3 trials failed in the same way: spec: epoch 1 of 9 was said twice";
    for _ in 0..2 {
        assert!(env.running(1).is_empty() && env.running(2).is_empty());
        let view = env.scheduler.sweep(env::sweep(1)).unwrap();
        assert!(view.rests && view.held.is_some_and(|held| held.tried == 0 && held.trials == 6));
        assert_eq!(env.scheduler.waiting_for(env::sweep(1)), [said]);
        assert_eq!(env.scheduler.explain(trial(104))[0], format!("sweep 1: {said}"));
        env.restart();
        env.worker(2, "w1", 1).has_data(2);
    }
    env.pass(10 * config().unplaceable_grace_ms);
    env.worker(1, "w1", 1).has_data(1);
    assert!(env.running(1).is_empty(), "it does not fail for waiting, and is not forgotten");
    assert_eq!(hold_of(&resume(&mut env)), Some(None));
    assert_eq!(env.only_running(1).trial, trial(103));
    env.restart();
    assert!(env.scheduler.held_back(env::sweep(1)).is_none(), "what a person said outlives a restart too");
}

#[test]
fn a_cause_that_was_not_mended_holds_the_rest_back_again() {
    let mut env = begun(1, 20);
    (0..4).for_each(|_| drop(fail_next(&mut env, FailureClass::Spec)));
    resume(&mut env);
    (0..4).for_each(|_| drop(fail_next(&mut env, FailureClass::Spec)));
    let held = env.scheduler.held_back(env::sweep(1)).unwrap();
    assert_eq!((held.trials, held.tried), (12, 0));
}

#[test]
fn retry_tries_what_failed_again_and_lets_the_rest_go_on() {
    let mut env = begun(1, 10);
    (0..4).for_each(|_| drop(fail_next(&mut env, FailureClass::Spec)));
    let effects = env.retry(1);
    assert_eq!(hold_of(&effects), Some(None));
    for _ in 0..10 {
        let lease = env.only_running(1);
        env.succeed(1, lease);
    }
    assert!(env.scheduler.sweep(env::sweep(1)).is_none());
}

#[test]
fn retry_releases_what_is_held_back_though_nothing_has_failed_for_good() {
    let mut env = begun(1, 10);
    (0..3).for_each(|_| drop(fail_next(&mut env, FailureClass::Trainer)));
    assert_eq!(hold_of(&env.retry(1)), Some(None));
}

#[test]
fn one_mistake_costs_few_attempts_however_many_trials_and_slots_there_are() {
    let few = fail_all(&mut begun(2, 81), FailureClass::Trainer);
    assert!(few <= 3 * 5, "{few} attempts of 243 on two slots");
    let many = fail_all(&mut begun(200, 81), FailureClass::Trainer);
    assert!(many <= 81 + 3 * 2, "{many} attempts of 243 where all begin at once");
    let never = Config { hold_back_after: 0, ..config() };
    let mut env = Env::new(never);
    env.worker(1, "w1", 2).has_data(1);
    env.submit(1, &[&study(81)]);
    assert_eq!(fail_all(&mut env, FailureClass::Trainer), 243, "where it is switched off");
}

#[test]
fn the_canary_is_tried_where_no_other_trial_failed() {
    let mut env = begun(1, 10);
    env.worker(2, "w2", 1).has_data(2);
    assert_eq!(env.only_running(2).trial, trial(101));
    (0..3).for_each(|_| drop(fail_next(&mut env, FailureClass::Trainer)));
    assert!(env.running(1).is_empty(), "it waits for the worker on which nothing failed");
    let good = env.only_running(2);
    let effects = env.succeed(2, good);
    assert_eq!(hold_of(&effects), Some(None), "a success there releases the rest");
    assert_eq!((env.running(1).len(), env.running(2).len()), (1, 1));
}

#[test]
fn one_machine_at_fault_holds_nothing_back_while_another_can_run_the_sweep() {
    for class in [FailureClass::Machine, FailureClass::DeviceLost, FailureClass::Data] {
        let mut env = begun(1, 10);
        env.worker(2, "w2", 1).has_data(2);
        for _ in 0..5 {
            assert_eq!(hold_of(&fail_next(&mut env, class)), None, "{class:?}");
        }
        let elsewhere = env.only_running(2);
        let effects = env.fail_with(2, elsewhere, class, "epoch 1 of 9 was said twice");
        assert!(hold_of(&effects).flatten().is_some(), "two machines fail alike: {class:?}");
    }
    let mut env = begun(1, 10);
    (0..3).for_each(|_| drop(fail_next(&mut env, FailureClass::Machine)));
    assert!(env.scheduler.held_back(env::sweep(1)).is_some(), "and so does the only machine");
}

#[test]
fn reasons_and_classes_that_differ_hold_nothing_back() {
    let mut env = begun(1, 10);
    for reason in ["no module torch", "no module numpy", "no module pandas", "no module scipy"] {
        let lease = env.only_running(1);
        assert_eq!(hold_of(&env.fail_with(1, lease, FailureClass::Spec, reason)), None);
    }
    let mut env = begun(1, 10);
    for class in [FailureClass::Spec, FailureClass::Trainer, FailureClass::OutOfMemory, FailureClass::Spec] {
        assert_eq!(hold_of(&fail_next(&mut env, class)), None);
    }
}

#[test]
fn if_only_large_trials_fail_the_smallest_releases_the_rest() {
    let mut env = begun(1, 10);
    (0..3).for_each(|_| drop(fail_next(&mut env, FailureClass::OutOfMemory)));
    let small = env.only_running(1);
    assert_eq!(small.trial, trial(109));
    assert_eq!(hold_of(&env.succeed(1, small)), Some(None));
}

#[test]
fn a_sweep_with_nothing_left_to_hold_back_ends() {
    let mut env = begun(1, 4);
    assert_eq!(fail_all(&mut env, FailureClass::Trainer), 12, "three of each trial");
    assert!(env.scheduler.sweep(env::sweep(1)).is_none());
}

#[test]
fn a_canary_that_no_worker_can_run_fails_and_does_not_wait_for_ever() {
    let mut env = Env::new(config());
    env.worker(1, "w1", 1).has_data(1);
    let trials = study(10).into_iter().map(|(number, cost)| wanted(number, cost));
    env.submit_trials(1, vec![trials.collect()]);
    // The trials that ran out of memory need larger slots than there are; the last does too.
    (0..4).for_each(|_| drop(fail_next(&mut env, FailureClass::OutOfMemory)));
    env.pass(5_000);
    env.poll(1);
    assert!(env.running(1).is_empty());
    let held = env.scheduler.held_back(env::sweep(1)).unwrap();
    assert_eq!((held.trials, held.tried), (6, 4));
    for _ in 0..config().unplaceable_grace_ms.div_ceil(20_000) {
        env.pass(20_000);
        env.poll(1);
    }
    let held = env.scheduler.held_back(env::sweep(1)).unwrap();
    assert_eq!((held.trials, held.tried), (6, 0), "what is held back is not failed with them");
}

#[test]
fn a_sweep_that_is_held_back_can_be_cancelled_and_paused() {
    let mut env = begun(1, 10);
    (0..4).for_each(|_| drop(fail_next(&mut env, FailureClass::Spec)));
    env.apply(Event::PauseSweep { sweep: env::sweep(1), paused: true });
    assert_eq!(env.scheduler.waiting_for(env::sweep(1)), ["the sweep is paused"]);
    assert!(env.scheduler.held_back(env::sweep(1)).is_some());
    let effects = resume(&mut env);
    assert!(effects.contains(&Effect::SweepPaused { sweep: env::sweep(1), paused: false }));
    assert_eq!(hold_of(&effects), Some(None), "one word resumes all of it");
    (0..4).for_each(|_| drop(fail_next(&mut env, FailureClass::Spec)));
    let effects = env.apply(Event::CancelSweep { sweep: env::sweep(1) });
    assert!(effects.contains(&Effect::SweepEnded { sweep: env::sweep(1), end: SweepEnd::Cancelled }));
}

#[test]
fn a_trial_that_another_sweep_wants_too_runs_for_it_and_may_release_both() {
    let mut env = begun(1, 10);
    (0..4).for_each(|_| drop(fail_next(&mut env, FailureClass::Spec)));
    env.submit(2, &[&[(105, 895)]]);
    let shared = env.only_running(1);
    assert_eq!(shared.trial, trial(105));
    assert_eq!(hold_of(&env.succeed(1, shared)), Some(None));
}

#[test]
fn results_that_were_known_before_prove_nothing() {
    let mut env = Env::new(config());
    env.worker(1, "w1", 1).has_data(1);
    env.submit(1, &[&study(2)]);
    for _ in 0..2 {
        let lease = env.only_running(1);
        env.succeed(1, lease);
    }
    env.submit(2, &[&study(10)]);
    (0..3).for_each(|_| drop(fail_next(&mut env, FailureClass::Spec)));
    assert!(env.scheduler.held_back(env::sweep(2)).is_some());
}

#[test]
fn the_canary_is_of_the_rank_that_goes_first() {
    let mut env = Env::new(config());
    env.worker(1, "w1", 1).has_data(1);
    let ranked = |number: u64| WantedTrial { rank: u32::from(number >= 105), ..wanted(number, 1_000 - number) };
    env.submit_trials(1, vec![(100..110).map(ranked).collect()]);
    (0..3).for_each(|_| drop(fail_next(&mut env, FailureClass::Spec)));
    assert_eq!(env.only_running(1).trial, trial(104), "not of the second seed");
}
