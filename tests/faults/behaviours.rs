//! Misbehaving trainers in a complete system: the attempt fails with a reason, the trial is retried, and it has exactly
//! one result. The agent's tests cover what it does with each.

use rustix::process::Signal;
use sweep_spec::FailureClass;
use sweep_tests::scripted::{Behaviour, Script};

use super::env::{EVENT_TIMEOUT, Env};

/// Trials of each sweep here.
const TRIALS: u32 = 3;

fn misbehaving(ways: &[Behaviour]) -> Script {
    Script { faults: 1.0, ways: ways.to_vec(), epoch_ms: 2, ..Script::default() }
}

/// Leases long enough that a busy machine loses none.
fn env(script: &Script) -> Env {
    Env::with(script, |fleet| fleet.coordinator_key("lease_ttl_ms", 60_000.into()))
}

/// Every first attempt goes wrong in this way, and its reason has these parts.
async fn ends_well_after(way: Behaviour, parts: &[&str]) {
    let env = env(&misbehaving(&[way]));
    let _worker = env.worker("w1");
    let sweep = env.submit(TRIALS).await;
    env.ended(sweep).await;
    let count = env.exactly_once(sweep, TRIALS.into()).await;
    assert!(count.attempts_max <= 4, "{count:?}");
    let class = sweep_coordinator::store::codes::class_code(FailureClass::Trainer);
    let first = format!(
        "SELECT a.reason FROM sweep_trials t JOIN attempts a ON a.trial = t.trial
         WHERE t.sweep = ?1 AND a.attempt = 1 AND a.state = 2 AND a.class = {class}"
    );
    let reasons = env.witness().await.texts(sweep, &first).await.unwrap();
    assert_eq!(reasons.len(), TRIALS as usize, "{reasons:?}");
    for (reason, part) in reasons.iter().flat_map(|reason| parts.iter().map(move |part| (reason, part))) {
        assert!(reason.contains(part), "{part:?} is missing in {reason:?}");
    }
}

#[tokio::test]
async fn a_crash_is_tried_again() {
    ends_well_after(Behaviour::Crash, &["exit status: 3", "segmentation fault"]).await;
}

#[tokio::test]
async fn a_trainer_that_is_killed_is_tried_again() {
    ends_well_after(Behaviour::Killed, &["signal: 9"]).await;
}

#[tokio::test]
async fn an_end_before_the_start_is_tried_again() {
    ends_well_after(Behaviour::Early, &["exit status: 4", "cannot find libnothing"]).await;
}

#[tokio::test]
async fn a_trainer_that_hangs_is_found_and_asked_to_leave() {
    ends_well_after(Behaviour::Hang, &["sent nothing for 3 seconds"]).await;
}

#[tokio::test]
async fn a_trainer_that_hangs_and_is_deaf_is_killed() {
    ends_well_after(Behaviour::DeafHang, &["sent nothing for 3 seconds"]).await;
}

#[tokio::test]
async fn a_number_that_is_none_is_refused_and_tried_again() {
    ends_well_after(Behaviour::NotANumber, &["is not an event", "epoch"]).await;
}

#[tokio::test]
async fn spam_on_stdout_is_refused_and_tried_again() {
    ends_well_after(Behaviour::Spam, &["is not an event", "Epoch "]).await;
}

#[tokio::test]
async fn half_a_line_is_no_line() {
    ends_well_after(Behaviour::HalfLine, &["in the middle of the line"]).await;
}

#[tokio::test]
async fn a_failure_in_its_own_words_is_tried_again() {
    ends_well_after(Behaviour::Failed, &["gave up after epoch"]).await;
}

#[tokio::test]
async fn what_is_merely_odd_fails_nothing() {
    let env = env(&misbehaving(&Behaviour::HARMLESS));
    let _worker = env.worker("w1");
    let sweep = env.submit(4 * TRIALS).await;
    env.ended(sweep).await;
    let count = env.exactly_once(sweep, i64::from(4 * TRIALS)).await;
    assert_eq!(count.attempts_max, 1, "{count:?}");
}

#[tokio::test]
async fn a_deaf_trainer_does_not_keep_its_worker_from_leaving() {
    let script = Script { epoch_ms: 20, ..misbehaving(&[Behaviour::DeafHang]) };
    let env = Env::with(&script, |fleet| {
        fleet.coordinator_key("lease_ttl_ms", 60_000.into()).worker_key("trainer_silence_seconds", 600.into())
    });
    let worker = env.worker("w1");
    let sweep = env.submit(1).await;
    // What hangs has told of an epoch, so the worker has the trial.
    env.stored(sweep, "SELECT COUNT(*) FROM points WHERE ?1 > 0").await;
    worker.signal(Signal::TERM);
    assert_eq!(worker.wait(EVENT_TIMEOUT).unwrap().code(), Some(0));
    env.stored(sweep, "SELECT COUNT(*) FROM attempts WHERE attempt = 1 AND state = 3 AND ?1 > 0").await;
    let left = env.fleet.living();
    assert_eq!(left, 1, "only the coordinator lives");
}
