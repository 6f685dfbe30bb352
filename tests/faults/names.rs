//! Workers of one name: the first keeps training, whatever other workers come; and a killed worker gets its name back.

use std::time::Duration;

use serde_json::Value;
use sweep_tests::scripted::Script;

use super::env::{EVENT_TIMEOUT, Env};

const TRIALS: u32 = 24;

/// How often a restart policy starts the second worker again.
const STARTS: u32 = 4;

/// A coordinator whose leases outlast the test: only messages of workers free a name.
fn long_leases() -> Env {
    let script = Script { epoch_ms: 20, ..Script::default() };
    Env::with(&script, |fleet| fleet.coordinator_key("lease_ttl_ms", Value::from(600_000)))
}

#[tokio::test]
async fn a_second_worker_of_a_name_is_refused_and_the_first_trains_on() {
    let env = long_leases();
    let _first = env.worker("w1");
    let sweep = env.submit(TRIALS).await;
    env.running(sweep).await;
    for start in 1..=STARTS {
        let second = env.fleet.worker_named("second", "w1", env.address).unwrap();
        let status = second.wait(EVENT_TIMEOUT).unwrap();
        assert_eq!(status.code(), Some(1), "{}", env.fleet.log("second"));
        let log = env.fleet.log("second");
        let refusals = log.lines().filter(|line| line.starts_with("error: the coordinator at "));
        assert_eq!(refusals.count(), start as usize, "{log}");
        for part in ["another worker has the name `w1`", "connected from 127.0.0.1:", "last polled", "--name"] {
            assert!(log.contains(part), "{part} is missing in {log}");
        }
    }
    env.ended(sweep).await;
    let count = env.exactly_once(sweep, TRIALS.into()).await;
    assert_eq!(count.attempts_max, 1, "the first worker lost nothing: {count:?}");
    let log = env.fleet.log("w1");
    assert_eq!(log.matches(" registered ").count(), 1, "it kept its session: {log}");
}

#[tokio::test]
async fn a_worker_that_was_killed_takes_its_name_over_at_once_on_its_own_folder() {
    let env = long_leases();
    let mut first = env.worker("w1");
    let sweep = env.submit(TRIALS).await;
    env.running(sweep).await;
    first.kill();
    let _again = env.worker("w1");
    env.ended(sweep).await;
    env.exactly_once(sweep, TRIALS.into()).await;
    assert!(!env.fleet.log("coordinator").contains("a worker was refused"), "it waited for nothing");
}

#[tokio::test]
async fn a_worker_that_left_gives_its_name_to_another_machine_at_once() {
    let env = long_leases();
    let first = env.worker("w1");
    let sweep = env.submit(TRIALS).await;
    env.running(sweep).await;
    first.signal(rustix::process::Signal::TERM);
    first.wait(EVENT_TIMEOUT).unwrap();
    env.logged("coordinator", "a worker's name is free").await;
    let _second = env.fleet.worker_named("second", "w1", env.address).unwrap();
    env.ended(sweep).await;
    env.exactly_once(sweep, TRIALS.into()).await;
    assert!(!env.fleet.log("coordinator").contains("a worker was refused"), "it waited for nothing");
}

#[tokio::test]
async fn another_machine_has_the_name_of_a_dead_one_when_the_lease_has_run_out() {
    let env = Env::new(&Script { epoch_ms: 20, ..Script::default() });
    let mut first = env.worker("w1");
    let sweep = env.submit(TRIALS).await;
    env.running(sweep).await;
    first.kill();
    // As a restart policy does. A worker that is refused says so with its status.
    let restarts = tokio::task::spawn_blocking({
        let (fleet, address) = (env.fleet.clone(), env.address);
        move || {
            loop {
                let mut second = fleet.worker_named("second", "w1", address).unwrap();
                while second.ended().is_none() {
                    if fleet.log("second").contains(" registered ") {
                        return second;
                    }
                    std::thread::sleep(Duration::from_millis(10));
                }
                assert!(fleet.log("second").contains("its name becomes free in"), "{}", fleet.log("second"));
            }
        }
    });
    let _second = tokio::time::timeout(EVENT_TIMEOUT, restarts).await.expect("it never had the name").unwrap();
    env.ended(sweep).await;
    env.exactly_once(sweep, TRIALS.into()).await;
}
