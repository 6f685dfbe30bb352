//! Machines and trials that fail.

use sweep_scheduler::effect::RoundEnd;
use sweep_scheduler::event::{Ending, Instance, NewSweep, Registration, Service, Until};
use sweep_scheduler::{Config, Effect, Event, SessionId, WorkerName};
use sweep_spec::FailureClass;
use sweep_spec::retry::{Change, Retry};

use crate::env::{self, BACKOFF_MS, Env, LARGE, SMALL, config, lease};

#[test]
fn a_disconnected_worker_continues_if_no_other_attempt_has_begun() {
    let mut env = Env::new(config());
    env.worker(1, "w1", 1).has_data(1);
    env.submit(1, &[&[(10, 5)]]);
    let first = env.only_running(1);
    let effects = env.pass(config().lease_ttl_ms);
    assert!(effects.contains(&Effect::AttemptEnded { lease: first, ending: Ending::Lost }));
    let effects = env.register(2, "w1", 1, vec![(first, 0)]);
    assert!(effects.contains(&Effect::AttemptRevived { lease: first, session: SessionId(2) }));
    env.has_data(2);
    env.succeed(2, first);
    assert!(env.scheduler.sweep(env::sweep(1)).is_none());
}

#[test]
fn a_worker_that_was_cut_off_goes_on_after_a_restart_of_the_coordinator_too() {
    let mut env = Env::new(config());
    env.worker(1, "w1", 1).has_data(1);
    env.submit(1, &[&[(10, 5)]]);
    let first = env.only_running(1);
    env.pass(config().lease_ttl_ms);
    env.restart();
    let effects = env.register(2, "w1", 1, vec![(first, 0)]);
    assert!(effects.contains(&Effect::AttemptRevived { lease: first, session: SessionId(2) }));
}

#[test]
fn a_disconnected_worker_stops_once_another_attempt_has_begun() {
    let mut env = Env::new(config());
    env.worker(1, "w1", 1).has_data(1);
    env.submit(1, &[&[(10, 5)]]);
    let first = env.only_running(1);
    env.pass(config().lease_ttl_ms);
    env.worker(2, "w2", 1).has_data(2);
    let second = env.only_running(2);
    env.register(3, "w1", 1, vec![(first, 0)]);
    assert!(!env.scheduler.is_live(SessionId(3), first));
    assert_eq!(env.scheduler.poll_answer(SessionId(3), &[first]).unwrap().stop, [first]);
    assert_eq!(env.only_running(2), second);
}

#[test]
fn an_attempt_that_its_worker_lost_is_not_taken_up_again() {
    let mut env = Env::new(config());
    env.worker(1, "w1", 1).has_data(1);
    env.submit(1, &[&[(10, 5)]]);
    let first = env.only_running(1);
    env.apply(Event::Finish { session: SessionId(1), lease: first, ending: Ending::Lost });
    assert_eq!(env.only_running(1), lease(10, 1, 2), "at once, elsewhere or here");
    env.register(2, "w1", 1, vec![(first, 0)]);
    assert!(!env.scheduler.is_live(SessionId(2), first));
}

#[test]
fn a_trial_under_which_workers_die_is_quarantined() {
    let mut env = Env::new(config());
    env.submit(1, &[&[(10, 5)]]);
    let mut effects = Vec::new();
    for session in 0..u64::from(config().max_losses) {
        env.worker(10 + session, &format!("w{session}"), 1).has_data(10 + session);
        assert_eq!(env.running(10 + session).len(), 1);
        effects = env.pass(config().lease_ttl_ms);
    }
    let quarantined = |effect: &Effect| match effect {
        Effect::RoundEnded { end: RoundEnd::Failed { class: FailureClass::Machine, reason }, .. } => {
            reason.starts_with("quarantined")
        }
        _ => false,
    };
    assert!(effects.iter().any(quarantined), "{effects:?}");
}

#[test]
fn a_trial_that_is_lost_together_with_a_poisonous_one_is_not_quarantined_with_it() {
    let mut env = Env::new(config());
    let (poisonous, innocent) = (env::trial(10), env::trial(20));
    env.submit(1, &[&[(10, 5), (20, 5)]]);
    let (mut quarantined, mut succeeded) = (Vec::new(), Vec::new());
    // Each worker is the only one of its time, with room for both.
    for session in 1..=u64::from(2 * config().max_losses) {
        env.worker(session, &format!("w{session}"), 2).has_data(session);
        let running = env.running(session);
        let mut effects = Vec::new();
        if running.iter().all(|lease| lease.trial != poisonous) {
            running.iter().for_each(|lease| effects.extend(env.succeed(session, *lease)));
        }
        effects.extend(env.pass(config().lease_ttl_ms));
        for effect in effects {
            match effect {
                Effect::RoundEnded { trial, end: RoundEnd::Failed { .. }, .. } => quarantined.push(trial),
                Effect::RoundEnded { trial, end: RoundEnd::Succeeded { .. }, .. } => succeeded.push(trial),
                _ => {}
            }
        }
    }
    assert_eq!((quarantined, succeeded), (vec![poisonous], vec![innocent]));
}

#[test]
fn too_little_memory_is_tried_again_on_a_larger_slot_only() {
    let mut env = Env::new(config());
    let slots = vec![env::slot(SMALL), env::slot(LARGE)];
    let (worker, session) = (WorkerName("w1".to_owned()), SessionId(1));
    env.apply(Event::Register(Registration {
        worker,
        session,
        slots,
        live: Vec::new(),
        instance: Instance::default(),
        pool: None,
    }));
    env.has_data(1);
    env.submit(1, &[&[(10, 5)]]);
    let first = env.only_running(1);
    env.fail(1, first, FailureClass::OutOfMemory);
    env.pass(BACKOFF_MS);
    let answer = env.scheduler.poll_answer(SessionId(1), &[]).unwrap();
    assert_eq!(answer.start.iter().map(|start| start.slot).collect::<Vec<_>>(), [1]);
    env.restart();
    let (worker, session) = (WorkerName("w1".to_owned()), SessionId(2));
    let slots = vec![env::slot(SMALL); 2];
    env.apply(Event::Register(Registration {
        worker,
        session,
        slots,
        live: Vec::new(),
        instance: Instance::default(),
        pool: None,
    }));
    env.has_data(2);
    assert!(env.running(2).is_empty(), "a restart forgets nothing of it");
    assert!(env.scheduler.waiting_for(env::sweep(1))[0].contains("bytes of memory"));
}

#[test]
fn a_spec_may_want_more_tries_or_none() {
    for (change, tries) in [
        (Change { retry: Some(Retry::Never), ..Change::default() }, 1),
        (Change { failures: Some(5), backoff_ms: Some(0), ..Change::default() }, 5),
    ] {
        let mut env = Env::new(config());
        env.worker(1, "w1", 1).has_data(1);
        let retry = [(FailureClass::Trainer, change)].into();
        let (id, dataset) = (env::sweep(1), env::dataset());
        let new = NewSweep {
            id,
            priority: 0,
            weight: 1,
            owner: String::new(),
            paused: false,
            retry,
            dataset,
            pin: None,
            settled: false,
            stages: 1,
            fresh: false,
            reproduces: false,
            allowance: None,
        };
        env.apply(Event::SubmitSweep(new));
        env.apply(Event::OpenStage { sweep: id, stage: 0, trials: vec![env::wanted(10, 5)] });
        let mut count = 0;
        while let Some(lease) = env.running(1).first().copied() {
            count += 1;
            env.fail(1, lease, FailureClass::Trainer);
        }
        assert_eq!(count, tries);
        assert!(env.scheduler.sweep(id).is_none());
    }
}

#[test]
fn a_worker_that_fails_what_others_can_run_is_taken_out_of_service() {
    let mut env = Env::new(Config { suspend_after: 2, ..config() });
    env.worker(1, "bad", 1).has_data(1);
    env.worker(2, "good", 1).has_data(2);
    env.submit(1, &[&[(10, 5), (11, 5), (12, 5), (13, 5), (14, 5), (15, 5)]]);
    for _ in 0..6 {
        env.running(1).first().copied().into_iter().for_each(|lease| drop(env.fail(1, lease, FailureClass::Trainer)));
        env.pass(BACKOFF_MS);
        env.poll(1);
        env.running(2).first().copied().into_iter().for_each(|lease| drop(env.succeed(2, lease)));
    }
    let service = env.scheduler.service(&WorkerName("bad".to_owned()));
    let reason = "2 trials in a row that succeeded on other workers failed here".to_owned();
    assert_eq!(service, Service::Suspended { reason, until: Until::Restart });
    env.submit(2, &[&[(20, 5), (21, 5)]]);
    assert!(env.running(1).is_empty());
    env.restart();
    env.worker(3, "bad", 1).has_data(3);
    assert!(env.running(3).is_empty(), "the coordinator's restart does not put it back");
    let waits = env.scheduler.waiting_for(env::sweep(2));
    assert!(waits[0].starts_with("worker bad is out of service: 2 trials in a row"), "{waits:?}");
    env.serve("bad", Service::Active);
    assert_eq!(env.running(3).len(), 1);
}

#[test]
fn one_trial_that_fails_everywhere_speaks_against_no_worker() {
    let mut env = Env::new(Config { suspend_after: 1, ..config() });
    env.worker(1, "w1", 1).has_data(1);
    env.worker(2, "w2", 1).has_data(2);
    env.submit(1, &[&[(10, 5)]]);
    for _ in 0..3 {
        for session in [1, 2] {
            env.running(session).first().copied().into_iter().for_each(|lease| {
                env.fail(session, lease, FailureClass::Trainer);
            });
            env.pass(4 * BACKOFF_MS);
            [1, 2].iter().for_each(|session| env.poll(*session));
        }
    }
    assert!(env.scheduler.sweep(env::sweep(1)).is_none());
    assert!(env.scheduler.workers().iter().all(|worker| worker.service == Service::Active));
}
