//! Names: workers that share one, workers that come back to theirs, and the failures that do not count against a new
//! process.

use sweep_scheduler::event::{Instance, Service, Until};
use sweep_scheduler::{Config, Effect, Event, Ignored, SessionId, WorkerName};
use sweep_spec::FailureClass;

use crate::env::{self, BACKOFF_MS, Env, config};

const HELD: Effect = Effect::Ignored(Ignored::NameHeld);

fn w1() -> WorkerName {
    WorkerName("w1".to_owned())
}

fn leave(env: &mut Env, session: u64) -> Vec<Effect> {
    env.apply(Event::Poll { session: SessionId(session), held: Vec::new(), draining: true })
}

#[test]
fn a_worker_that_is_alive_keeps_its_name_from_every_other() {
    let mut env = Env::new(config());
    env.arrive(1, "w1", (1, 1));
    env.has_data(1);
    env.submit(1, &[&[(10, 5)]]);
    let first = env.only_running(1);
    for round in 0..5 {
        assert!(env.arrive(100 + round, "w1", (2, round)).contains(&HELD));
        env.pass(config().lease_ttl_ms - 1);
        env.poll(1);
    }
    assert_eq!(env.only_running(1), first, "the one that was there trains on");
    let holder = env.scheduler.holder(env.now, &w1(), Instance { folder: 2, process: 9 }).unwrap();
    assert_eq!((holder.session, holder.until), (Some(SessionId(1)), env.now.plus(config().lease_ttl_ms)));
    env.succeed(1, first);
    assert!(env.scheduler.sweep(env::sweep(1)).is_none());
}

#[test]
fn a_worker_that_was_started_again_on_its_folder_takes_over_at_once() {
    let mut env = Env::new(config());
    env.arrive(1, "w1", (1, 1));
    env.has_data(1);
    env.submit(1, &[&[(10, 5)]]);
    let first = env.only_running(1);
    let effects = env.arrive(2, "w1", (1, 2));
    let instance = Instance { folder: 1, process: 2 };
    assert!(effects.contains(&Effect::NameTaken { worker: w1(), instance }), "{effects:?}");
    env.has_data(2);
    assert_eq!(env.only_running(2).attempt, first.attempt + 1, "what the earlier process ran is lost");
    // The earlier process is alive after all: a person copied its folder. The newer one keeps the name.
    assert!(env.arrive(3, "w1", (1, 1)).contains(&HELD));
    assert!(!env.arrive(4, "w1", (1, 2)).contains(&HELD), "its connection broke");
}

#[test]
fn a_name_is_free_once_its_holder_has_left_or_was_silent_for_a_lease() {
    let mut env = Env::new(config());
    env.arrive(1, "w1", (1, 1));
    assert!(leave(&mut env, 1).contains(&Effect::NameFreed { worker: w1() }));
    assert!(!env.arrive(2, "w1", (2, 1)).contains(&HELD), "at once, because the other one said that it leaves");
    assert!(env.arrive(3, "w1", (1, 1)).contains(&HELD), "and now it belongs to the second");
    let effects = env.pass(config().lease_ttl_ms);
    assert!(effects.contains(&Effect::NameFreed { worker: w1() }), "{effects:?}");
    assert!(!env.arrive(4, "w1", (3, 1)).contains(&HELD));
    // A tick that comes late makes no difference.
    env.now = env.now.plus(config().lease_ttl_ms);
    assert!(!env.arrive(5, "w1", (4, 1)).contains(&HELD));
}

#[test]
fn a_coordinator_that_restarts_keeps_names_for_their_holders() {
    let mut env = Env::new(config());
    env.arrive(1, "w1", (1, 1));
    env.arrive(2, "gone", (1, 1));
    leave(&mut env, 2);
    env.restart();
    assert!(env.arrive(3, "w1", (2, 1)).contains(&HELD), "the holder has not had the time to come back");
    assert!(!env.arrive(4, "gone", (2, 1)).contains(&HELD), "one that had left is not waited for");
    assert!(!env.arrive(5, "w1", (1, 1)).contains(&HELD));
    assert!(env.arrive(6, "w1", (2, 1)).contains(&HELD));
    env.restart();
    let deadline = env.scheduler.next_deadline().unwrap();
    assert_eq!(deadline, env.now.plus(config().name_grace_ms), "it is looked at");
    env.pass(config().name_grace_ms);
    assert!(!env.arrive(7, "w1", (2, 1)).contains(&HELD), "it never came back");
}

/// `bad` fails a trial that `good` then answers, on as many trials as that.
fn fail_for_another(env: &mut Env, (bad, good): (u64, u64), trials: std::ops::Range<u64>) {
    for number in trials {
        env.submit(number, &[&[(number, 5)]]);
        // Sessions are served in the order of their numbers.
        let lease = env.only_running(bad);
        env.fail(bad, lease, FailureClass::Trainer);
        env.pass(BACKOFF_MS);
        [bad, good].iter().for_each(|session| env.poll(*session));
        let lease = env.only_running(good);
        env.succeed(good, lease);
    }
}

fn suspended_until(env: &Env) -> Option<Until> {
    match env.scheduler.service(&w1()) {
        Service::Suspended { until, .. } => Some(until),
        Service::Active | Service::Draining | Service::Leaving => None,
    }
}

#[test]
fn a_new_process_is_not_suspended_for_what_an_earlier_one_did() {
    let mut env = Env::new(Config { suspend_after: 2, ..config() });
    env.arrive(1, "w1", (1, 1));
    env.has_data(1);
    env.worker(2, "w2", 1).has_data(2);
    fail_for_another(&mut env, (1, 2), 10..12);
    assert_eq!(suspended_until(&env), Some(Until::Restart));
    env.arrive(3, "w1", (1, 1));
    assert_eq!(suspended_until(&env), Some(Until::Restart), "its connection broke, and nothing was mended");
    env.restart();
    env.arrive(4, "w1", (1, 1));
    assert_eq!(suspended_until(&env), Some(Until::Restart), "nor by the coordinator's restart");
    let effects = env.arrive(5, "w1", (1, 2));
    assert!(effects.contains(&Effect::ServiceChanged { worker: w1(), service: Service::Active }), "{effects:?}");
    env.has_data(5);
    env.worker(6, "w2", 1).has_data(6);
    fail_for_another(&mut env, (5, 6), 20..21);
    assert_eq!(suspended_until(&env), None, "one failure of its own is not two");
}

#[test]
fn a_worker_that_fails_on_every_start_is_not_put_back_by_another_one() {
    let mut env = Env::new(Config { suspend_after: 2, ..config() });
    env.worker(100, "w2", 1).has_data(100);
    for start in 1..=3 {
        assert_eq!(suspended_until(&env), None, "start {start}");
        env.arrive(start, "w1", (1, start));
        env.has_data(start);
        // One failure is less than it takes, and the process ends before there is a second.
        fail_for_another(&mut env, (start, 100), 10 * start..10 * start + 1);
    }
    assert_eq!(suspended_until(&env), Some(Until::Replacement));
    env.arrive(4, "w1", (1, 4));
    assert_eq!(suspended_until(&env), Some(Until::Replacement), "a restart is no remedy any more");
    env.pass(config().lease_ttl_ms);
    env.arrive(5, "w1", (2, 1));
    assert_eq!(suspended_until(&env), None, "another machine under this name starts clean");
}

#[test]
fn a_users_command_applies_to_every_process_and_machine_of_the_name() {
    let mut env = Env::new(config());
    env.arrive(1, "w1", (1, 1));
    let suspended = Service::Suspended { reason: "its fan is loud".to_owned(), until: Until::Return };
    env.serve("w1", suspended.clone());
    env.arrive(2, "w1", (1, 2));
    env.restart();
    env.pass(config().name_grace_ms);
    env.arrive(3, "w1", (2, 1));
    assert_eq!(env.scheduler.service(&w1()), suspended);
    env.serve("w1", Service::Active);
    assert_eq!(env.scheduler.service(&w1()), Service::Active);
}
