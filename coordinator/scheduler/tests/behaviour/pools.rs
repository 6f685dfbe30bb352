//! Pools: a trial that fits a declared pool waits for it, each trial asks one pool for a slot, and a worker that leaves
//! loses no work.

use sweep_scheduler::event::{Instance, NewSweep, Registration, WantedTrial};
use sweep_scheduler::{Config, Effect, Event, Lease, Pool, PoolName, PoolView, SessionId, WorkerName};
use sweep_spec::retry::Changes;

use crate::env::{self, Env, LARGE, SMALL, config, trial};

fn name(text: &str) -> PoolName {
    PoolName(text.to_owned())
}

fn pool(text: &str, memory_bytes: u64, max_workers: Option<u32>) -> Pool {
    Pool { name: name(text), slots: 2, device: "cpu".to_owned(), memory_bytes: Some(memory_bytes), max_workers }
}

fn env(pools: Vec<Pool>) -> Env {
    Env::new(Config { pools, ..config() })
}

fn start(env: &mut Env, session: u64, pool: &str, memory_bytes: u64) {
    env.apply(Event::Register(Registration {
        worker: WorkerName(format!("w{session}")),
        session: SessionId(session),
        slots: vec![env::slot(memory_bytes); 2],
        live: Vec::new(),
        instance: Instance { folder: session, process: 1 },
        pool: Some(name(pool)),
    }));
    env.has_data(session);
}

/// Trials as (number, memory).
fn submit(env: &mut Env, id: u64, trials: &[(u64, u64)]) {
    let wanted =
        |(number, memory_bytes): &(u64, u64)| WantedTrial { memory_bytes: *memory_bytes, ..env::wanted(*number, 1) };
    env.submit_trials(id, vec![trials.iter().map(wanted).collect()]);
}

fn queued(env: &Env) -> Vec<u64> {
    env.scheduler.pools().iter().map(|pool| pool.queued_slots).collect()
}

#[test]
fn trials_that_fit_only_a_pool_wait() {
    let mut env = env(vec![pool("large", LARGE, Some(1))]);
    start(&mut env, 1, "small", SMALL);
    submit(&mut env, 1, &[(10, SMALL + 1)]);
    let sweep = env::sweep(1);
    assert_eq!(
        env.scheduler.waiting_for(sweep),
        ["the sweep needs a worker of pool `large`: a trial needs at least 1073741825 bytes of memory, and the \
             largest slot has 1073741824"]
    );
    assert!(env.scheduler.unplaceable(sweep).is_none());
    for _ in 0..10 {
        env.pass(1_000_000);
        env.poll(1);
        start(&mut env, 1, "small", SMALL);
    }
    assert_eq!(env.scheduler.sweep(sweep).unwrap().counts.queued, 1, "it has not failed");
    start(&mut env, 2, "large", LARGE);
    assert_eq!(env.only_running(2).trial, trial(10));
}

#[test]
fn trials_that_fit_no_pool_fail() {
    let mut env = env(vec![pool("small", SMALL, None)]);
    env.worker(1, "w1", 1).has_data(1);
    submit(&mut env, 1, &[(10, LARGE)]);
    assert!(env.scheduler.waiting_for(env::sweep(1))[0].contains("bytes of memory"));
    env.now = env.now.plus(config().unplaceable_grace_ms);
    env.poll(1);
    let failed = env.scheduler.sweep(env::sweep(1)).is_none();
    assert!(failed);
}

#[test]
fn a_pool_starts_from_zero_before_anybody_knows_the_data() {
    let mut env = env(vec![pool("large", LARGE, None)]);
    submit(&mut env, 1, &[(10, 1), (11, 1), (12, 1)]);
    let view = PoolView { name: name("large"), queued_slots: 3, busy_slots: 0, workers: 0 };
    assert_eq!(env.scheduler.pools(), [view]);
    assert_eq!(
        env.scheduler.waiting_for(env::sweep(1)),
        ["the sweep needs a worker of pool `large`: no worker is connected"]
    );
    start(&mut env, 1, "large", LARGE);
    let view = PoolView { name: name("large"), queued_slots: 1, busy_slots: 2, workers: 1 };
    assert_eq!(env.scheduler.pools(), [view]);
}

#[test]
fn each_trial_asks_one_pool_and_the_next_only_when_the_first_is_full() {
    let small = |most| pool("small", SMALL, most);
    let trials: Vec<(u64, u64)> = (10..20).map(|number| (number, if number < 13 { LARGE } else { 1 })).collect();
    for (pools, wanted) in [
        (vec![small(None), pool("large", LARGE, None)], [7, 3]),
        (vec![small(Some(2)), pool("large", LARGE, None)], [4, 6]),
        (vec![pool("large", LARGE, Some(1)), small(Some(1))], [8, 2]),
    ] {
        let mut env = env(pools);
        submit(&mut env, 1, &trials);
        assert_eq!(queued(&env), wanted);
    }
}

#[test]
fn trials_that_may_not_start_request_no_slots() {
    let mut env = env(vec![pool("p", LARGE, None)]);
    submit(&mut env, 1, &[(10, 1), (11, 1), (12, 1), (13, 1)]);
    let sweep = env::sweep(1);
    env.apply(Event::PauseSweep { sweep, paused: true });
    assert_eq!(queued(&env), [0]);
    env.apply(Event::PauseSweep { sweep, paused: false });
    start(&mut env, 1, "p", LARGE);
    assert_eq!(queued(&env), [2]);
    env.apply(Event::SetAllowance { sweep, starts: Some(1) });
    assert_eq!(queued(&env), [1]);
}

#[test]
fn a_budget_that_waits_for_the_data_does_not_keep_a_pool_at_zero() {
    let mut env = env(vec![pool("p", LARGE, None)]);
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
        allowance: Some(0),
    };
    env.apply(Event::SubmitSweep(new));
    env.apply(Event::OpenStage { sweep: env::sweep(1), stage: 0, trials: vec![env::wanted(10, 1)] });
    assert_eq!(queued(&env), [1]);
}

#[test]
fn a_worker_that_leaves_before_it_hears_of_a_trial_loses_nothing() {
    let mut env = Env::new(config());
    env.worker(1, "w1", 1).has_data(1);
    env.submit(1, &[&[(10, 1)]]);
    env.worker(2, "w2", 1).has_data(2);
    let assigned = env.only_running(1);
    // It has not heard of it: it says that it holds nothing and takes nothing new.
    let goodbye = Event::Poll { session: SessionId(1), held: Vec::new(), draining: true };
    let effects = env.apply(goodbye);
    let lost = effects.iter().any(|effect| matches!(effect, Effect::WorkerLost { .. }));
    assert!(!lost, "{effects:?}");
    assert_eq!(env.only_running(2), Lease { attempt: 2, ..assigned }, "another has it at once");
    assert!(env.scheduler.poll_answer(SessionId(1), &[]).unwrap().start.is_empty());
}
