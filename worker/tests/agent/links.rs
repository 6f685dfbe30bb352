//! Tests with coordinators that lose answers, forget sessions, reject calls, or restart.

use sweep_proto::v1::finish_request::Ending;
use sweep_proto::v1::{FailureClass, FinishResponse, FinishVerdict, NameHeld};
use sweep_worker::Error;
use tonic::Status;

use crate::coordinator::{Coordinator, Server, failure, name};
use crate::env::{Env, GATED, runs};

#[tokio::test]
async fn points_whose_acknowledgement_is_lost_are_sent_again_and_count_once() {
    let env = Env::new("whole");
    env.coordinator.state().lost_report_answers.extend([Status::unavailable("cut"), Status::unknown("cut")]);
    let worker = env.start().await;
    let lease = env.assign(1);
    let finish = env.coordinator.finish(&lease).await;
    assert_eq!(finish.last_sequence, 3);
    {
        let state = env.coordinator.state();
        assert_eq!(state.sequences(&lease), [1, 2, 3]);
        assert!(state.duplicates > 0, "nothing was sent again");
    }
    worker.stop().await.unwrap();
}

#[tokio::test]
async fn points_that_are_missing_at_the_finish_are_sent_again() {
    let env = Env::new("whole");
    let missing = FinishResponse { verdict: FinishVerdict::PointsMissing.into(), stored_sequence: 1 };
    env.coordinator.state().verdicts.push_back(missing);
    let worker = env.start().await;
    let lease = env.assign(1);
    env.coordinator.finish(&lease).await;
    assert_eq!(env.coordinator.state().duplicates, 2);
    worker.stop().await.unwrap();
}

#[tokio::test]
async fn a_finish_that_fails_is_sent_again() {
    let env = Env::new("whole");
    env.coordinator.state().finish_errors.extend([Status::unavailable("busy"), Status::deadline_exceeded("slow")]);
    let worker = env.start().await;
    let lease = env.assign(1);
    assert!(matches!(env.coordinator.finish(&lease).await.ending, Some(Ending::Result(_))));
    worker.stop().await.unwrap();
}

#[tokio::test]
async fn a_coordinator_that_was_away_finds_the_attempt_still_running() {
    let mut env = Env::new(GATED);
    let (worker, gate, lease) = env.start_and_train_to_the_gate().await;
    let trainer = env.pids("starts")[1];
    let port = env.kill_coordinator();
    // The trial ends while the coordinator is down.
    gate.open().await;
    assert!(runs(trainer));
    env.restart_coordinator(port);
    let finish = env.coordinator.finish(&lease).await;
    assert!(matches!(finish.ending, Some(Ending::Result(_))));
    {
        let state = env.coordinator.state();
        assert_eq!(state.sequences(&lease), [1, 2, 3]);
        assert_eq!(state.registrations.len(), 2);
        assert_eq!(state.registrations[1].live_attempts[0].lease.as_ref(), Some(&lease));
    }
    assert_eq!(env.pids("starts").len(), 2, "the trial was trained once");
    let metrics = worker.metrics().render().unwrap();
    assert!(metrics.contains("sweep_worker_sessions_total{worker=\"w1\"} 2"), "{metrics}");
    worker.stop().await.unwrap();
}

#[tokio::test]
async fn a_forgotten_session_is_opened_again_with_what_runs() {
    let env = Env::new(GATED);
    let (worker, gate, lease) = env.start_and_train_to_the_gate().await;
    env.coordinator.forget_session();
    let again = |state: &crate::coordinator::State| state.registrations.get(1).cloned();
    let registration = env.coordinator.until("another registration", again).await;
    assert_eq!(registration.live_attempts.len(), 1);
    assert_eq!(registration.live_attempts[0].lease.as_ref(), Some(&lease));
    gate.open().await;
    env.coordinator.finish(&lease).await;
    worker.stop().await.unwrap();
}

#[tokio::test]
async fn an_attempt_that_is_not_adopted_is_stopped_and_never_handed_in() {
    let env = Env::new(GATED);
    let (worker, _gate, lease) = env.start_and_train_to_the_gate().await;
    let trainer = env.pids("starts")[1];
    env.coordinator.state().not_adopted = vec![lease.clone()];
    env.coordinator.forget_session();
    let forgotten = |state: &crate::coordinator::State| {
        (state.registrations.len() == 2 && state.polls.last()?.held.is_empty()).then_some(())
    };
    env.coordinator.until("a poll without it", forgotten).await;
    worker.stop().await.unwrap();
    assert!(!runs(trainer));
    assert!(env.coordinator.state().finishes.is_empty());
}

#[tokio::test]
async fn a_refused_worker_ends_with_the_coordinators_words() {
    let env = Env::new("whole");
    let words = "trainer semantics 1 are not ours, 2: upgrade the worker";
    env.coordinator.state().refusal = Some(Status::failed_precondition(words));
    let worker = sweep_worker::start(env.config.clone(), Vec::new(), &env.shutdown).await.unwrap();
    assert!(!worker.registered().await);
    let error = worker.join().await.unwrap_err();
    assert!(matches!(&error, Error::Refused { reason, .. } if reason == words), "{error}");
}

#[tokio::test]
async fn a_worker_whose_name_another_holds_asks_once_and_ends_with_when_it_is_free() {
    let env = Env::new("whole");
    let mut refusal = Status::already_exists("another worker has the name `w1`");
    let held = NameHeld { free_in_ms: 1500, ..NameHeld::default() };
    let bytes = prost::Message::encode_to_vec(&held);
    refusal.metadata_mut().insert_bin("sweep-name-held-bin", tonic::metadata::MetadataValue::from_bytes(&bytes));
    env.coordinator.state().refusal = Some(refusal);
    let worker = sweep_worker::start(env.config.clone(), Vec::new(), &env.shutdown).await.unwrap();
    let error = worker.join().await.unwrap_err();
    let told = matches!(&error, Error::NameHeld { reason, free_in, .. }
        if reason == "another worker has the name `w1`" && free_in.as_millis() == 1500);
    assert!(told && !error.is_usage(), "{error}: a restart policy tries again");
}

#[tokio::test]
async fn a_worker_shows_the_key_of_its_state_folder_in_every_process() {
    let mut env = Env::new("whole");
    let (first, second) = (env.config.state_dir.clone(), Some(env.folder.path().join("other")));
    for folder in [first.clone(), first, second] {
        env.config.state_dir = folder;
        let worker = sweep_worker::start(env.config.clone(), Vec::new(), &env.shutdown).await.unwrap();
        assert!(worker.registered().await);
        worker.stop().await.unwrap();
    }
    let state = env.coordinator.state();
    let keys: Vec<_> = state.registrations.iter().map(|request| &request.state_key).collect();
    assert!(keys[0] == keys[1] && keys[1] != keys[2] && keys.iter().all(|key| key.len() == 32), "{keys:?}");
    assert_ne!(state.registrations[0].instance, state.registrations[1].instance);
}

#[tokio::test]
async fn a_coordinator_of_another_minor_version_is_worked_for_and_one_of_another_major_version_is_not() {
    let env = Env::new("whole");
    env.coordinator.state().version = Some("0.99.0");
    let worker = env.start().await;
    let lease = env.assign(1);
    env.coordinator.finish(&lease).await;
    env.shutdown.cancel();
    worker.join().await.unwrap();
    let env = Env::new("whole");
    env.coordinator.state().version = Some("7.0.0");
    let worker = sweep_worker::start(env.config.clone(), Vec::new(), &env.shutdown).await.unwrap();
    assert!(!worker.registered().await);
    let error = worker.join().await.unwrap_err();
    let told = matches!(&error, Error::Refused { reason, .. } if reason.contains("the coordinator has version 7.0.0"));
    assert!(told, "{error}");
}

#[tokio::test]
async fn refused_points_end_their_attempt_and_no_other() {
    let mut env = Env::new(GATED);
    env.config.slots = sweep_worker::config::Slots::Count(2);
    let gate = env.gate("gate");
    let worker = env.start().await;
    let (bad, bad_start) = crate::env::assignment(1);
    let (good, mut good_start) = crate::env::assignment(2);
    good_start.slot = 1;
    env.coordinator.state().refused_points = Some(name(&bad));
    let start = vec![bad_start, good_start];
    env.coordinator.say(sweep_proto::v1::PollResponse { start, ..Default::default() });
    let finish = env.coordinator.finish(&bad).await;
    let (class, reason) = failure(&finish);
    assert_eq!(class, FailureClass::Coordinator);
    assert!(reason.contains("such points are not taken"), "{reason}");
    env.coordinator.points(&good, 1).await;
    gate.open().await;
    assert!(matches!(env.coordinator.finish(&good).await.ending, Some(Ending::Result(_))));
    worker.stop().await.unwrap();
}

#[tokio::test]
async fn a_refused_result_is_handed_in_as_a_failure() {
    let env = Env::new("whole");
    env.coordinator.state().finish_errors.push_back(Status::invalid_argument("confusion does not add up"));
    let worker = env.start().await;
    let lease = env.assign(1);
    let finish = env.coordinator.finish(&lease).await;
    let (class, reason) = failure(&finish);
    assert_eq!(class, FailureClass::Coordinator);
    assert!(reason.contains("confusion does not add up"), "{reason}");
    worker.stop().await.unwrap();
}

#[tokio::test]
async fn the_next_address_is_tried_when_one_does_not_answer() {
    let mut env = Env::new("whole");
    // A port that was free a moment ago, without a listener.
    let nobody = Server::start(&Coordinator::new(), 0).address;
    env.config.coordinator.insert(0, format!("http://{nobody}"));
    let worker = env.start().await;
    let lease = env.assign(1);
    env.coordinator.finish(&lease).await;
    worker.stop().await.unwrap();
}
