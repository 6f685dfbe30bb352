//! Processes that are killed while they work.

use rustix::process::Signal;

use super::env::{Env, study};

/// Epochs that take one slot seconds, so that a fault falls into the middle.
const LONG: u32 = 4000;

#[test]
fn the_trial_of_a_killed_worker_is_done_by_another() {
    let env = Env::new();
    let _coordinator = env.coordinator().with("--lease-ttl-ms", "500").start();
    let first = env.worker("w1").start();
    let spec = env.file("long.yaml", &study("long", LONG, &[2], &[0]));
    let sweep = env.submit(&spec);
    let mut watch = env.watch(sweep);
    let running = watch.until_sweep("it ran", |sweep| sweep["running"][0]["newest"].is_object());
    assert_eq!(running["running"][0]["worker"], "w1");
    first.kill();
    let _second = env.worker("w2").start();
    watch.until_sweep("it was done", |sweep| sweep["state"] == "succeeded");
    let id = running["running"][0]["trial_id"].as_str().unwrap();
    let trial = env.sweepctl(["trial", id, "--output", "json"]).expect_code(0).json();
    let attempts: Vec<(&str, &str)> = trial["attempt_records"]
        .as_array()
        .unwrap()
        .iter()
        .map(|attempt| (attempt["worker"].as_str().unwrap(), attempt["outcome"].as_str().unwrap()))
        .collect();
    assert_eq!(attempts, [("w1", "expired"), ("w2", "succeeded")]);
    assert_eq!(trial["points"].as_array().unwrap().len(), LONG as usize, "none is missing, none is double");
}

#[test]
fn a_killed_coordinator_comes_back_and_runs_nothing_twice() {
    let env = Env::new();
    let coordinator = env.coordinator().start();
    let _worker = env.worker("w1").start();
    let spec = env.file("long.yaml", &study("long", LONG, &[2], &[0]));
    let sweep = env.submit(&spec);
    let mut watch = env.watch(sweep);
    watch.until_sweep("it ran", |sweep| sweep["running"][0]["newest"].is_object());
    let address = env.address().trim_start_matches("http://").to_owned();
    coordinator.kill();
    let _coordinator = env.coordinator().with("--listen", &address).start();
    // The watch waits for the coordinator too.
    watch.until_sweep("it was done", |sweep| sweep["state"] == "succeeded");
    let trials = env.sweepctl(["export", "long", "--format", "json"]).expect_code(0).json();
    assert_eq!(trials[0]["attempts"], 1, "the attempt was adopted: {trials}");
}

#[test]
fn a_second_signal_ends_a_worker_at_once_and_its_trainers_with_it() {
    let env = Env::new();
    let _coordinator = env.coordinator().start();
    let worker = env.worker("w1").start();
    let spec = env.file("long.yaml", &study("long", 100_000, &[2], &[0]));
    let mut watch = env.watch(env.submit(&spec));
    watch.until_sweep("it ran", |sweep| sweep["running"][0]["newest"].is_object());
    // A trainer that is frozen cannot leave, so the worker waits for it until the second signal.
    env.freeze("trainer");
    worker.signal(Signal::TERM);
    env.until_log("w1", "shutting down attempts=1");
    worker.signal(Signal::TERM);
    assert_eq!(worker.wait().code(), Some(1), "{}", env.log("w1"));
    assert!(!env.living().iter().any(|line| line.contains("trainer")), "{:?}", env.living());
}

#[test]
fn a_worker_that_a_signal_drains_ends_its_trial_and_takes_no_other() {
    let env = Env::new();
    let _coordinator = env.coordinator().start();
    let first = env.worker("w1").start();
    let spec = env.file("two.yaml", &study("two", 400, &[2, 3], &[0]));
    let sweep = env.submit(&spec);
    let mut watch = env.watch(sweep);
    watch.until_sweep("it ran", |sweep| sweep["running"][0]["newest"].is_object());
    first.signal(Signal::USR1);
    assert_eq!(first.wait().code(), Some(0), "{}", env.log("w1"));
    assert!(env.log("w1").contains("Drained"), "{}", env.log("w1"));
    let status = env.sweepctl(["status", "two", "--output", "json"]).expect_code(0).json();
    let counts = &status["counts"];
    assert_eq!((&counts["succeeded"], &counts["queued"]), (&1.into(), &1.into()), "{status}");
    let _second = env.worker("w2").start();
    watch.until_sweep("it was done", |sweep| sweep["state"] == "succeeded");
    let trials = env.sweepctl(["export", "two", "--format", "json"]).expect_code(0).json();
    assert!(trials.as_array().unwrap().iter().all(|trial| trial["attempts"] == 1), "{trials}");
}

#[test]
fn a_drained_worker_hands_back_what_it_has_and_another_goes_on() {
    let env = Env::new();
    let _coordinator = env.coordinator().start();
    let first = env.worker("w1").start();
    let spec = env.file("long.yaml", &study("long", LONG, &[2], &[0]));
    let sweep = env.submit(&spec);
    let mut watch = env.watch(sweep);
    watch.until_sweep("it ran", |sweep| sweep["running"][0]["newest"].is_object());
    env.sweepctl(["workers", "drain", "w1", "--now"]).expect_code(0);
    assert_eq!(first.wait().code(), Some(0), "{}", env.log("w1"));
    let _second = env.worker("w2").start();
    watch.until_sweep("it was done", |sweep| sweep["state"] == "succeeded");
    let trials = env.sweepctl(["export", "long", "--format", "json"]).expect_code(0).json();
    assert_eq!((&trials[0]["attempts"], &trials[0]["state"]), (&2.into(), &"succeeded".into()), "{trials}");
}

#[test]
fn a_worker_that_is_told_to_leave_takes_its_trainers_with_it() {
    let env = Env::new();
    let _coordinator = env.coordinator().start();
    let worker = env.worker("w1").start();
    let spec = env.file("long.yaml", &study("long", 100_000, &[2], &[0]));
    let mut watch = env.watch(env.submit(&spec));
    watch.until_sweep("it ran", |sweep| sweep["running"][0]["newest"].is_object());
    assert!(env.living().iter().any(|line| line.contains("trainer")), "{:?}", env.living());
    worker.signal(Signal::TERM);
    assert_eq!(worker.wait().code(), Some(0));
    assert!(!env.living().iter().any(|line| line.contains("trainer")), "{:?}", env.living());
    // Nobody is blamed: it waits for the next worker.
    watch.until_sweep("it waits again", |sweep| sweep["counts"]["queued"] == 1);
}
