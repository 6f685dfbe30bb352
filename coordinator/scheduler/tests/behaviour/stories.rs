//! How sweeps run, in short stories.

use crate::env::{self, BACKOFF_MS, Env, FAILURES, config, lease, trial};
use sweep_scheduler::effect::{RoundEnd, SweepEnd};
use sweep_scheduler::event::{Ending, History, Known};
use sweep_scheduler::{Config, Effect, Event, SessionId, Timestamp};
use sweep_spec::{FailureClass, Outcome};

#[test]
fn a_worker_that_has_reported_the_end_of_an_attempt_gets_no_stop() {
    let mut env = Env::new(config());
    env.worker(1, "w1", 1).has_data(1);
    env.submit(1, &[&[(10, 9), (11, 5)]]);
    let first = env.only_running(1);
    env.succeed(1, first);
    // The poll that waits was sent before the end was said.
    let answer = env.scheduler.poll_answer(SessionId(1), &[first]).unwrap();
    assert!(answer.stop.is_empty() && answer.start.len() == 1, "{answer:?}");
    assert_eq!(env.only_running(1).trial, env::trial(11));
    // The next poll does not name it, and is overtaken by one that does.
    env.poll(1);
    assert!(env.scheduler.poll_answer(SessionId(1), &[first]).unwrap().stop.is_empty());
}

#[test]
fn a_sweep_runs_to_its_end_longest_trial_first() {
    let mut env = Env::new(config());
    env.worker(1, "w1", 1).has_data(1);
    env.submit(1, &[&[(10, 5), (11, 9)]]);
    let first = env.only_running(1);
    assert_eq!(first, lease(11, 1, 1));
    env.succeed(1, first);
    let second = env.only_running(1);
    assert_eq!(second, lease(10, 1, 1));
    let effects = env.succeed(1, second);
    assert!(effects.contains(&Effect::SweepEnded { sweep: env::sweep(1), end: SweepEnd::Succeeded }));
}

#[test]
fn a_lost_worker_gives_its_trial_to_another_and_its_late_result_is_stale() {
    let mut env = Env::new(config());
    env.worker(1, "w1", 1).has_data(1);
    env.submit(1, &[&[(10, 5)]]);
    let first = env.only_running(1);
    env.worker(2, "w2", 1).has_data(2);
    env.pass(config().lease_ttl_ms / 2);
    env.poll(2);
    env.pass(config().lease_ttl_ms / 2);
    let second = env.only_running(2);
    assert_eq!((first.attempt, second.attempt), (1, 2));
    let late = env.succeed(1, first);
    assert!(matches!(late[0], Effect::Ignored(_)), "{late:?}");
    env.succeed(2, second);
    assert!(env.scheduler.sweep(env::sweep(1)).is_none());
}

#[test]
fn a_worker_that_registers_again_keeps_what_it_still_runs() {
    let mut env = Env::new(config());
    env.worker(1, "w1", 2).has_data(1);
    env.submit(1, &[&[(10, 5), (11, 5)]]);
    let leases = env.running(1);
    let effects = env.register(2, "w1", 2, vec![(leases[0], 0)]);
    assert!(effects.contains(&Effect::AttemptAdopted { lease: leases[0], session: SessionId(2) }));
    assert!(effects.contains(&Effect::AttemptEnded { lease: leases[1], ending: Ending::Lost }));
    assert!(env.scheduler.is_live(SessionId(2), leases[0]));
    assert!(!env.scheduler.is_live(SessionId(1), leases[0]));
}

#[test]
fn a_failure_is_tried_elsewhere_and_a_specs_fault_never() {
    let mut env = Env::new(config());
    env.worker(1, "w1", 1).has_data(1);
    env.worker(2, "w2", 1).has_data(2);
    env.submit(1, &[&[(10, 5)]]);
    let first = env.only_running(1);
    env.fail(1, first, FailureClass::Trainer);
    assert!(env.running(2).is_empty(), "the second try waits");
    env.pass(BACKOFF_MS);
    let second = env.only_running(2);
    let effects = env.fail(2, second, FailureClass::Spec);
    let failed = |effect: &Effect| {
        matches!(effect, Effect::RoundEnded { end: RoundEnd::Failed { class: FailureClass::Spec, .. }, .. })
    };
    assert!(effects.iter().any(failed), "{effects:?}");
}

#[test]
fn failures_are_bounded() {
    let mut env = Env::new(config());
    env.worker(1, "w1", 1).has_data(1);
    env.submit(1, &[&[(10, 5)]]);
    let mut tries = 0;
    while let Some(lease) = env.running(1).first().copied() {
        tries += 1;
        env.fail(1, lease, FailureClass::Trainer);
        env.pass(BACKOFF_MS << tries);
    }
    assert_eq!(tries, FAILURES);
    assert!(env.scheduler.sweep(env::sweep(1)).is_none());
}

#[test]
fn two_sweeps_share_a_round_and_one_may_be_cancelled() {
    let mut env = Env::new(config());
    env.worker(1, "w1", 1).has_data(1);
    env.submit(1, &[&[(10, 5)]]);
    env.submit(2, &[&[(10, 5)]]);
    let shared = env.only_running(1);
    env.apply(Event::CancelSweep { sweep: env::sweep(1) });
    assert_eq!(env.only_running(1), shared);
    let effects = env.succeed(1, shared);
    assert!(effects.contains(&Effect::SweepEnded { sweep: env::sweep(2), end: SweepEnd::Succeeded }));
}

#[test]
fn a_cancelled_attempt_frees_its_slot_only_when_the_worker_has_let_go() {
    let mut env = Env::new(config());
    env.worker(1, "w1", 1).has_data(1);
    env.submit(1, &[&[(10, 5)]]);
    let lease = env.only_running(1);
    env.apply(Event::CancelSweep { sweep: env::sweep(1) });
    env.submit(2, &[&[(11, 5)]]);
    let answer = env.scheduler.poll_answer(SessionId(1), &[lease]).unwrap();
    assert_eq!((answer.stop, answer.start.len()), (vec![lease], 0));
    env.apply(Event::Poll { session: SessionId(1), held: vec![], draining: false });
    assert_eq!(env.running(1).len(), 1);
}

#[test]
fn a_known_result_is_used_only_if_its_data_are_the_pinned_ones() {
    for (digest, reused) in [(env::data(), true), (sweep_spec::Digest::of(b"other"), false)] {
        let mut env = Env::new(config());
        let known = Known { round: 4, data_digest: digest, outcome: Outcome::Diverged };
        let history = History { rounds: 4, attempts: 7, known: Some(known) };
        let mut wanted = env::wanted(10, 5);
        wanted.history = history;
        env.submit_trials(1, vec![vec![wanted]]);
        env.worker(1, "w1", 1);
        let effects = env.has_data(1);
        assert_eq!(
            effects.contains(&Effect::TrialBound { sweep: env::sweep(1), trial: trial(10), round: 4, reused }),
            reused
        );
        assert_eq!(env.scheduler.sweep(env::sweep(1)).is_none(), reused);
        assert_eq!(env.running(1), if reused { vec![] } else { vec![lease(10, 5, 8)] });
    }
}

#[test]
fn data_that_no_worker_has_fail_the_sweep_after_the_grace_with_the_reason() {
    let mut env = Env::new(config());
    env.worker(1, "w1", 1);
    env.submit(1, &[&[(10, 5)]]);
    let answer = Err("no such folder".to_owned());
    env.apply(Event::Described { session: SessionId(1), dataset: env::dataset(), answer });
    assert!(env.scheduler.waiting_for(env::sweep(1))[0].contains("no such folder"));
    let mut effects = Vec::new();
    for _ in 0..=config().unplaceable_grace_ms / 10_000 {
        env.poll(1);
        effects = env.pass(10_000);
    }
    let text = format!("{effects:?}");
    assert!(env.scheduler.sweep(env::sweep(1)).is_none(), "{text}");
}

#[test]
fn who_gets_nothing_of_a_sweep_is_named_from_both_sides() {
    let mut env = Env::new(config());
    for (session, name) in [(1, "w1"), (2, "w2"), (3, "w3")] {
        env.worker(session, name, 1);
    }
    env.submit(1, &[&[(10, 5), (11, 5)]]);
    let says = |session: u64, answer: Result<sweep_spec::Digest, &str>| Event::Described {
        session: SessionId(session),
        dataset: env::dataset(),
        answer: answer.map_err(str::to_owned),
    };
    env.apply(says(3, Err("no such folder")));
    assert_eq!(env.scheduler.unplaceable(env::sweep(1)), None, "two workers have yet to say what they have");
    env.apply(says(1, Ok(env::data())));
    env.apply(says(2, Ok(sweep_spec::Digest::of(b"other"))));
    assert!(env.scheduler.left_out(SessionId(1)).is_empty());
    let of = |session: u64| env.scheduler.left_out(SessionId(session))[0].reason.clone();
    assert!(of(2).contains("pinned to") && of(3).contains("no such folder"));
    let named = |env: &Env| {
        let left_out = env.scheduler.leaves_out(env::sweep(1));
        left_out.into_iter().map(|one| one.worker.0).collect::<Vec<_>>()
    };
    assert_eq!(named(&env), ["w2", "w3"]);
    // A sweep that rests gives nobody anything, and that is no worker's fault.
    env.apply(Event::PauseSweep { sweep: env::sweep(1), paused: true });
    assert!(named(&env).is_empty());
}

#[test]
fn a_trial_that_fits_no_slot_fails_with_the_numbers() {
    let mut env = Env::new(Config { unplaceable_grace_ms: 0, ..config() });
    env.worker(1, "w1", 1).has_data(1);
    let mut wanted = env::wanted(10, 5);
    wanted.memory_bytes = u64::MAX;
    let effects = env.submit_trials(1, vec![vec![wanted]]);
    let failed = |effect: &Effect| match effect {
        Effect::RoundEnded { end: RoundEnd::Failed { class, reason }, .. } => {
            *class == FailureClass::OutOfMemory && reason.contains("largest slot")
        }
        _ => false,
    };
    assert!(effects.iter().any(failed), "{effects:?}");
}

#[test]
fn higher_priority_goes_first_and_equals_share() {
    let mut env = Env::new(config());
    env.submit(1, &[&[(10, 5), (11, 5), (12, 5)]]);
    env.submit(2, &[&[(20, 5), (21, 5), (22, 5)]]);
    env.worker(1, "w1", 4).has_data(1);
    let running = env.running(1);
    let of = |base: u64| running.iter().filter(|lease| (base..base + 3).any(|n| trial(n) == lease.trial)).count();
    assert_eq!((of(10), of(20)), (2, 2));
}

#[test]
fn a_restart_waits_for_the_worker_and_adopts_its_attempt() {
    let mut env = Env::new(config());
    env.worker(1, "w1", 1).has_data(1);
    env.submit(1, &[&[(10, 5), (11, 5)]]);
    let lease = env.only_running(1);
    env.restart();
    env.pass(config().restart_grace_ms / 2);
    assert_eq!(env.scheduler.live_attempt(lease.trial), Some(lease));
    env.register(2, "w1", 1, vec![(lease, 0)]);
    assert!(env.scheduler.is_live(SessionId(2), lease));
    env.has_data(2);
    env.succeed(2, lease);
    assert_eq!(env.running(2).len(), 1);
}

#[test]
fn a_late_or_repeated_tick_does_nothing() {
    let mut env = Env::new(config());
    env.worker(1, "w1", 1).has_data(1);
    env.submit(1, &[&[(10, 5)]]);
    let before = format!("{:?}", env.scheduler);
    assert!(env.apply_at(Timestamp(0), Event::Tick).is_empty());
    assert_eq!(format!("{:?}", env.scheduler), before);
}

#[test]
fn a_delayed_driver_expires_no_worker_that_polled() {
    let mut env = Env::new(config());
    env.worker(1, "w1", 1).has_data(1);
    env.worker(2, "w2", 1).has_data(2);
    env.submit(1, &[&[(10, 5), (11, 5)]]);
    let (polled, silent) = (env.only_running(1), env.only_running(2));
    let held_up = 3 * config().lease_ttl_ms;
    env.scheduler.renew(Timestamp(env.now.0 + held_up), SessionId(1));
    env.pass(held_up);
    assert!(env.scheduler.is_live(SessionId(1), polled));
    assert!(!env.scheduler.is_live(SessionId(2), silent));
}
