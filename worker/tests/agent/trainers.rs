//! Tests of trainers that misbehave: each trial ends in a failure that names the cause, and the slot continues.

use std::time::Duration;

use sweep_proto::v1::finish_request::Ending;
use sweep_proto::v1::{FailureClass, Lease, PollResponse};
use sweep_worker::Error;

use crate::coordinator::{TEST_TIMEOUT, failure};
use crate::env::{Env, runs};

/// The grace period of a trainer that ignores its interrupt.
const SHORT_GRACE: Duration = Duration::from_millis(300);

/// Runs a trial whose trainer does `on_train`, then a correct one; returns the first one's failure.
async fn failing(on_train: &str) -> (FailureClass, String, String) {
    failing_within(on_train, Duration::ZERO).await
}

/// The same, with a limit on the trainer's silence.
async fn failing_within(on_train: &str, silence: Duration) -> (FailureClass, String, String) {
    fails(on_train, silence, TEST_TIMEOUT).await
}

async fn fails(on_train: &str, silence: Duration, grace: Duration) -> (FailureClass, String, String) {
    let mut env = Env::new(&format!("if [ -e $DIR/second ]; then whole; else :> $DIR/second\n{on_train}\nfi"));
    (env.config.trainer_silence, env.config.trainer_grace) = (silence, grace);
    let worker = env.start().await;
    let lease = env.assign(1);
    let finish = env.coordinator.finish(&lease).await;
    let next = env.assign(2);
    let well = env.coordinator.finish(&next).await;
    assert!(matches!(well.ending, Some(Ending::Result(_))), "{:?}", well.ending);
    for pid in &env.pids("starts")[1..2] {
        assert!(!runs(*pid), "the failed trainer still runs");
    }
    worker.stop().await.unwrap();
    let (class, reason) = failure(&finish);
    (class, reason.to_owned(), finish.log_tail)
}

fn assert_trainer_failed(found: &(FailureClass, String, String), parts: &[&str]) {
    assert_eq!(found.0, FailureClass::Trainer);
    for part in parts {
        assert!(found.1.contains(part), "{part:?} is missing in {:?}", found.1);
    }
}

#[tokio::test]
async fn one_that_crashes_before_started_leaves_status_and_log() {
    let found = failing("echo 'cannot find libfoo' >&2; exit 3").await;
    assert_trainer_failed(&found, &["exit status: 3", "cannot find libfoo"]);
    assert!(found.2.contains("cannot find libfoo"));
}

#[tokio::test]
async fn one_that_is_killed_says_by_what() {
    let found = failing("started; epoch 1; kill -9 $$").await;
    assert_trainer_failed(&found, &["signal: 9"]);
}

#[tokio::test]
async fn half_a_line_at_the_end_is_shown() {
    let found = failing(r#"started; printf '{"event":"epo'; exit 1"#).await;
    assert_trainer_failed(&found, &["in the middle of the line", "epo", "exit status: 1"]);
}

#[tokio::test]
async fn spam_on_stdout_is_shown_with_its_line() {
    let found = failing("started; say 'Epoch 1/100 [=====>....]'; sleep 1000").await;
    assert_trainer_failed(&found, &["line 3 of its stdout", "Epoch 1/100", "stderr"]);
    let found = failing("started; head -c 20000000 /dev/zero | tr '\\0' x; sleep 1000").await;
    assert_trainer_failed(&found, &["line 3 is longer than"]);
}

#[tokio::test]
async fn epochs_out_of_order_break_the_protocol() {
    let found = failing("started; epoch 1; epoch 3; finished").await;
    assert_trainer_failed(&found, &["`epoch` 3 was sent, but 2 of 3 was expected"]);
    let found = failing("epoch 1").await;
    assert_trainer_failed(&found, &["before `started`"]);
    let found = failing("attempt=9; ECHO='\"trial_id\":\"'$id'\",\"attempt\":9'; whole").await;
    assert_trainer_failed(&found, &["which was not requested"]);
}

#[tokio::test]
async fn silence_is_not_for_ever() {
    let found = failing_within("started; sleep 1000", Duration::from_secs(3)).await;
    assert_trainer_failed(&found, &["sent nothing for 3 seconds"]);
}

#[tokio::test]
async fn one_that_hangs_is_asked_and_then_killed_though_it_talks_on_stderr() {
    let spam = "started; trap '' TERM; epoch 1; yes 'still here' >&2";
    let found = fails(spam, Duration::from_secs(3), SHORT_GRACE).await;
    assert_trainer_failed(&found, &["sent nothing for 3 seconds", "its log ends: still here"]);
    assert!(found.2.len() <= 16 * 1024, "the log is short");
    // Single bytes without a line end are not events.
    let trickle = "started; while :; do printf x; sleep 0.1; done";
    assert_trainer_failed(&failing_within(trickle, Duration::from_secs(3)).await, &["sent nothing for 3 seconds"]);
}

#[tokio::test]
async fn valid_events_without_end_are_ended() {
    let checkpoint = r#"say '{"event":"checkpoint",'"$ECHO"',"epoch":1,"path":"/x"}'"#;
    let found = failing(&format!("started; while :; do {checkpoint}; done")).await;
    assert_trainer_failed(&found, &["`checkpoint` was sent more than 64 times"]);
    let found = failing("started; epoch 1; epoch 2; epoch 3; while :; do epoch 4; done").await;
    assert_trainer_failed(&found, &["`epoch` 4 was sent, but 4 of 3 was expected"]);
    let found = failing("while :; do hello; done").await;
    assert_trainer_failed(&found, &["`hello` is not an answer to `train`"]);
    let found = failing("started; epoch 1; finished").await;
    assert_trainer_failed(&found, &["as converged, but epoch 2 of 3 was expected"]);
    // Near the beginning of the line, because the reason quotes only that part.
    let found = failing(r#"started; epoch 1 | sed 's/"epoch":1/"epoch":NaN/'; sleep 1000"#).await;
    assert_trainer_failed(&found, &["is not an event", "NaN"]);
}

#[tokio::test]
async fn a_failure_in_its_own_words_keeps_its_class() {
    let found = failing("started; failed out_of_memory 'no room for the network'").await;
    assert_eq!(found.0, FailureClass::OutOfMemory);
    assert_eq!(found.1, "no room for the network");
}

async fn stopped(env: &Env, lease: &Lease) {
    env.coordinator.say(PollResponse { stop: vec![lease.clone()], ..PollResponse::default() });
    let finish = env.coordinator.finish(lease).await;
    assert!(matches!(finish.ending, Some(Ending::Stopped(_))), "{:?}", finish.ending);
}

#[tokio::test]
async fn one_that_is_stopped_leaves_by_itself() {
    let env = Env::new("started; trap 'echo left > $DIR/left; exit 75' TERM; epoch 1; while :; do sleep 0.05; done");
    let worker = env.start().await;
    let lease = env.assign(1);
    env.coordinator.points(&lease, 1).await;
    stopped(&env, &lease).await;
    assert_eq!(std::fs::read_to_string(env.folder.path().join("left")).unwrap(), "left\n");
    worker.stop().await.unwrap();
}

#[tokio::test]
async fn one_that_ignores_its_interrupt_is_killed_with_all_it_started() {
    let mut env =
        Env::new("started; trap '' TERM; sleep 1000 & echo $! > $DIR/grandchild; epoch 1; while :; do sleep 1; done");
    env.config.trainer_grace = SHORT_GRACE;
    let worker = env.start().await;
    let lease = env.assign(1);
    env.coordinator.points(&lease, 1).await;
    let trainer = env.pids("starts")[1];
    let grandchild = env.pids("grandchild")[0];
    assert!(runs(trainer) && runs(grandchild));
    stopped(&env, &lease).await;
    assert!(!runs(trainer), "the slot is free only when the trainer is gone");
    // The signal was sent before the trainer counted as gone; the kernel may need a moment to deliver it.
    tokio::time::timeout(TEST_TIMEOUT, async {
        while runs(grandchild) {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("what the trainer started still runs");
    worker.stop().await.unwrap();
}

#[tokio::test]
async fn a_stop_for_an_attempt_that_was_handed_in_or_never_came_is_not_answered() {
    let env = Env::new("whole");
    let worker = env.start().await;
    let lease = env.assign(1);
    env.coordinator.finish(&lease).await;
    let (other, _) = crate::env::assignment(2);
    let polls = env.coordinator.state().polls.len();
    env.coordinator.say(PollResponse { stop: vec![lease.clone(), other], ..PollResponse::default() });
    let next = |state: &crate::coordinator::State| {
        let poll = state.polls.last()?;
        (state.polls.len() > polls && poll.held.is_empty() && state.poll_answers.is_empty()).then_some(())
    };
    env.coordinator.until("a poll that names neither", next).await;
    worker.stop().await.unwrap();
    let state = env.coordinator.state();
    let finished: Vec<_> = state.finishes.iter().map(|finish| finish.lease.clone().unwrap()).collect();
    assert_eq!(finished, [lease], "one attempt, one end");
}

#[tokio::test]
async fn a_trainer_that_does_not_work_keeps_the_worker_from_starting() {
    let start = async |env: &Env| match sweep_worker::start(env.config.clone(), Vec::new(), &env.shutdown).await {
        Ok(_) => panic!("started"),
        Err(Error::Trainer(error)) => error.to_string(),
        Err(other) => panic!("{other}"),
    };
    let mut env = Env::new("whole");
    env.config.trainer_command = vec!["/no/such/trainer".to_owned()];
    assert!(start(&env).await.contains("/no/such/trainer"));
    let env = Env::with_script("echo 'no libcuda' >&2; exit 4");
    let reason = start(&env).await;
    assert!(reason.contains("exit status: 4") && reason.contains("no libcuda"), "{reason}");
    let env = Env::with_script(r#"echo '{"event":"hello","protocol":2,"semantics":1,"trainer":"t"}'; sleep 1000"#);
    assert!(start(&env).await.contains("trainer protocol 2"));
}
