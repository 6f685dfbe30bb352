//! Actions of users on sweeps and workers, while they run and afterwards.

use sweep_scheduler::effect::SweepEnd;
use sweep_scheduler::event::Service;
use sweep_scheduler::{Effect, Event, Ignored, SessionId};
use sweep_spec::FailureClass;

use crate::env::{self, Env, config, lease, trial};

fn pause(env: &mut Env, sweep: u64, paused: bool) -> Vec<Effect> {
    env.apply(Event::PauseSweep { sweep: env::sweep(sweep), paused })
}

#[test]
fn a_paused_sweep_finishes_what_runs_and_starts_nothing_even_after_a_restart() {
    let mut env = Env::new(config());
    env.worker(1, "w1", 1).has_data(1);
    env.submit(1, &[&[(10, 9), (11, 5)]]);
    pause(&mut env, 1, true);
    let first = env.only_running(1);
    env.succeed(1, first);
    assert!(env.running(1).is_empty());
    assert_eq!(env.scheduler.waiting_for(env::sweep(1)), ["the sweep is paused"]);
    env.restart();
    env.worker(2, "w1", 1).has_data(2);
    assert!(env.running(2).is_empty());
    pause(&mut env, 1, false);
    assert_eq!(env.only_running(2), lease(11, 1, 1));
}

#[test]
fn a_trial_that_a_paused_sweep_shares_with_another_runs_for_the_other() {
    let mut env = Env::new(config());
    env.submit(1, &[&[(10, 5)]]);
    env.submit(2, &[&[(10, 5)]]);
    pause(&mut env, 1, true);
    env.worker(1, "w1", 1).has_data(1);
    let shared = env.only_running(1);
    let effects = env.succeed(1, shared);
    for number in [1, 2] {
        assert!(effects.contains(&Effect::SweepEnded { sweep: env::sweep(number), end: SweepEnd::Succeeded }));
    }
}

#[test]
fn a_sweep_that_gets_a_higher_priority_goes_first() {
    let mut env = Env::new(config());
    env.submit(1, &[&[(10, 5)]]);
    env.submit(2, &[&[(20, 5)]]);
    env.apply(Event::SetPriority { sweep: env::sweep(2), priority: 1 });
    env.worker(1, "w1", 1).has_data(1);
    assert_eq!(env.only_running(1).trial, trial(20));
}

#[test]
fn retry_runs_what_failed_and_nothing_else() {
    let mut env = Env::new(config());
    env.worker(1, "w1", 1).has_data(1);
    env.submit(1, &[&[(10, 9), (11, 5)], &[(12, 3)], &[]]);
    let first = env.only_running(1);
    env.succeed(1, first);
    let second = env.only_running(1);
    env.fail(1, second, FailureClass::Spec);
    let third = env.only_running(1);
    env.succeed(1, third);
    assert!(env.scheduler.sweep(env::sweep(1)).is_none(), "it has ended");
    env.restart();
    env.worker(2, "w1", 1).has_data(2);
    let effects = env.retry(1);
    assert!(effects.contains(&Effect::SweepReopened { sweep: env::sweep(1) }));
    let again = env.only_running(2);
    assert_eq!(again, lease(11, 2, 2), "a new round, and a number that was never used");
    let counts = env.scheduler.sweep(env::sweep(1)).unwrap().counts;
    assert_eq!((counts.succeeded, counts.running, counts.failed), (2, 1, 0));
    let effects = env.succeed(2, again);
    assert!(effects.contains(&Effect::SweepEnded { sweep: env::sweep(1), end: SweepEnd::Succeeded }));
    assert!(env.retry(1).contains(&Effect::Ignored(Ignored::NothingFailed)));
    assert!(env.scheduler.sweep(env::sweep(1)).is_none(), "and nothing has come to life");
}

#[test]
fn retry_of_a_sweep_that_runs_takes_up_what_has_failed_so_far() {
    let mut env = Env::new(config());
    env.worker(1, "w1", 1).has_data(1);
    env.submit(1, &[&[(10, 9), (11, 5)]]);
    let first = env.only_running(1);
    env.fail(1, first, FailureClass::Spec);
    env.retry(1);
    let second = env.only_running(1);
    env.succeed(1, second);
    let third = env.only_running(1);
    assert_eq!(third, lease(10, 2, 2));
    let effects = env.succeed(1, third);
    assert!(effects.contains(&Effect::SweepEnded { sweep: env::sweep(1), end: SweepEnd::Succeeded }));
}

#[test]
fn a_drained_worker_gets_nothing_new_and_its_next_process_does() {
    let mut env = Env::new(config());
    env.worker(1, "w1", 1).has_data(1);
    env.submit(1, &[&[(10, 9), (11, 5)]]);
    let first = env.only_running(1);
    env.serve("w1", Service::Draining);
    let answer = env.scheduler.poll_answer(SessionId(1), &[first]).unwrap();
    assert_eq!((answer.stop.len(), answer.service), (0, Service::Draining));
    env.succeed(1, first);
    assert!(env.running(1).is_empty());
    env.arrive(2, "w1", (1, 2));
    env.has_data(2);
    assert_eq!(env.only_running(2), lease(11, 1, 1));
    assert!(env.serve("nobody", Service::Draining).contains(&Effect::Ignored(Ignored::UnknownWorker)));
}
