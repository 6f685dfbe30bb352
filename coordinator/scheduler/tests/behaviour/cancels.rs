//! Large sweeps are cancelled in batches: they start no more trials, other sweeps continue, and a restart loses
//! nothing.

use sweep_scheduler::effect::{RoundEnd, SweepEnd};
use sweep_scheduler::{Config, Effect, Event, Ignored};

use crate::env::{self, Env, config, trial};

/// By number and cost.
const TRIALS: [(u64, u64); 5] = [(10, 5), (11, 4), (12, 3), (13, 2), (14, 1)];

fn env() -> Env {
    let mut env = Env::new(Config { release_batch: 2, ..config() });
    env.worker(1, "w1", 1).has_data(1);
    env.submit(1, &[&TRIALS]);
    env
}

/// The numbers of the trials in the order in which a cancellation releases them.
fn release_order() -> Vec<u64> {
    let mut numbers: Vec<u64> = TRIALS.iter().map(|(number, _)| *number).collect();
    numbers.sort_by_key(|number| trial(*number));
    numbers
}

/// Begins to cancel the first sweep, in batches of two trials. How many rounds the first batch cancels.
fn cancel(env: &mut Env) -> usize {
    cancelled(&env.apply(Event::CancelSweep { sweep: env::sweep(1) }))
}

/// The coordinator is killed after the first batch, and the restarted one finishes the cancellation.
fn assert_a_restart_finishes(env: &mut Env) {
    assert!(env.scheduler.is_stopping(env::sweep(1)), "more than one batch is needed");
    env.restart();
    assert!(env.scheduler.is_stopping(env::sweep(1)), "the restart has forgotten the cancellation");
    let (_, ends) = release_all(env);
    assert!(matches!(ends.as_slice(), [SweepEnd::Stopped { .. }]), "{ends:?}");
}

fn cancelled(effects: &[Effect]) -> usize {
    let ends = |effect: &&Effect| matches!(effect, Effect::RoundEnded { end: RoundEnd::Cancelled, .. });
    effects.iter().filter(ends).count()
}

/// Lets more go until nothing is left; how many rounds each event cancelled, and how the sweep ended.
fn release_all(env: &mut Env) -> (Vec<usize>, Vec<SweepEnd>) {
    let (mut counts, mut ends) = (Vec::new(), Vec::new());
    while env.scheduler.has_more_to_release() {
        let effects = env.apply(Event::ReleaseMore);
        counts.push(cancelled(&effects));
        ends.extend(effects.into_iter().filter_map(|effect| match effect {
            Effect::SweepEnded { end, .. } => Some(end),
            _ => None,
        }));
    }
    (counts, ends)
}

#[test]
fn a_large_sweep_is_cancelled_in_parts_and_starts_nothing_meanwhile() {
    let mut env = env();
    let effects = env.apply(Event::CancelSweep { sweep: env::sweep(1) });
    assert_eq!(cancelled(&effects), 2);
    assert!(env.scheduler.is_stopping(env::sweep(1)));
    assert_eq!(env.scheduler.waiting_for(env::sweep(1)), ["the sweep is being cancelled"]);
    let counts = env.scheduler.sweep(env::sweep(1)).unwrap().counts;
    assert_eq!((counts.cancelled, counts.queued + counts.running), (2, 3));
    // Other events come between, and let nothing go and start nothing.
    let starts = |effects: &[Effect]| effects.iter().any(|effect| matches!(effect, Effect::AttemptStarted { .. }));
    let effects = env.pass(1_000);
    assert!(!starts(&effects) && cancelled(&effects) == 0, "{effects:?}");
    let ignored = |effects: Vec<Effect>, why| effects.contains(&Effect::Ignored(why));
    let sweep = env::sweep(1);
    assert!(ignored(env.apply(Event::CancelSweep { sweep }), Ignored::Repeated));
    assert!(ignored(env.apply(Event::PauseSweep { sweep, paused: true }), Ignored::UnknownSweep));
    assert_eq!(release_all(&mut env), (vec![2, 1], vec![SweepEnd::Cancelled]));
    assert!(env.scheduler.sweep(sweep).is_none());
}

#[test]
fn trials_that_another_sweep_needs_continue() {
    let mut env = env();
    env.submit(2, &[&[(14, 1)]]);
    env.apply(Event::CancelSweep { sweep: env::sweep(1) });
    let (counts, _) = release_all(&mut env);
    assert!(counts.iter().sum::<usize>() >= 2);
    env.poll(1);
    assert_eq!(env.only_running(1).trial, trial(14));
}

#[test]
fn a_restart_goes_on_with_a_cancellation() {
    let mut env = env();
    env.apply(Event::CancelSweep { sweep: env::sweep(1) });
    env.restart();
    assert!(env.scheduler.is_stopping(env::sweep(1)));
    env.worker(2, "w1", 1).has_data(2);
    assert!(env.running(2).is_empty(), "nothing of it starts again");
    let (counts, ends) = release_all(&mut env);
    assert_eq!(counts.iter().sum::<usize>(), 3, "what was cancelled before stays so");
    assert!(matches!(ends.as_slice(), [SweepEnd::Stopped { .. }]), "{ends:?}");
}

#[test]
fn a_restart_goes_on_with_a_cancellation_whose_first_trials_had_ended() {
    let mut env = Env::new(Config { release_batch: 2, ..config() });
    env.worker(1, "w1", 1).has_data(1);
    // The longest run first.
    let trials: Vec<(u64, u64)> = release_order().into_iter().zip([9, 8, 3, 2, 1]).collect();
    env.submit(1, &[&trials]);
    for (number, _) in &trials[..2] {
        let lease = env.only_running(1);
        assert_eq!(lease.trial, trial(*number));
        env.succeed(1, lease);
        env.poll(1);
    }
    assert_eq!(cancel(&mut env), 1, "the batch goes on up to the first round that it cancels");
    assert_a_restart_finishes(&mut env);
}

#[test]
fn a_restart_goes_on_with_a_cancellation_whose_first_trials_another_sweep_wants() {
    let mut env = env();
    let shared: Vec<(u64, u64)> = release_order()[..2].iter().map(|number| (*number, 1)).collect();
    env.submit(2, &[&shared]);
    assert_eq!(cancel(&mut env), 1);
    assert_a_restart_finishes(&mut env);
    let counts = env.scheduler.sweep(env::sweep(2)).unwrap().counts;
    assert_eq!((counts.cancelled, counts.queued + counts.running), (0, 2), "the other sweep goes on");
}

#[test]
fn a_sweep_without_rounds_is_cancelled_in_one_batch() {
    let mut env = Env::new(Config { release_batch: 2, ..config() });
    env.submit(1, &[&TRIALS]);
    let effects = env.apply(Event::CancelSweep { sweep: env::sweep(1) });
    let ended = Effect::SweepEnded { sweep: env::sweep(1), end: SweepEnd::Cancelled };
    assert!(effects.contains(&ended), "a restart would forget it otherwise: {effects:?}");
    assert!(!env.scheduler.has_more_to_release());
    env.restart();
    assert!(env.scheduler.sweep(env::sweep(1)).is_none());
}
