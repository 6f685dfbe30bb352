//! Tests of correct trials and data sets, and of invalid assignments.

use std::collections::BTreeMap;

use sweep_proto::v1::describe_request::Answer;
use sweep_proto::v1::finish_request::Ending;
use sweep_proto::v1::{ArtifactKind, DescribeTask, FailureClass, FinishVerdict, Outcome, PollResponse};
use sweep_spec::protocol::KeepWeights;

use crate::coordinator::failure;
use crate::env::{Env, assignment, assignment_of, settings, trial};

#[tokio::test]
async fn a_trial_goes_from_its_assignment_to_its_result() {
    let mut env = Env::new("echo training >&2; whole");
    env.config.labels = BTreeMap::from([("zone".to_owned(), "a".to_owned())]);
    let worker = env.start().await;
    let lease = env.assign(1);
    let finish = env.coordinator.finish(&lease).await;
    assert_eq!(finish.last_sequence, 3);
    let Some(Ending::Result(result)) = &finish.ending else { panic!("{:?}", finish.ending) };
    assert_eq!(result.outcome(), Outcome::Converged);
    assert_eq!(result.last.unwrap().epoch, 3);
    assert_eq!(result.validation.as_ref().unwrap().confusion, [1, 0, 1, 0]);
    assert_eq!(result.provenance.as_ref().unwrap().params, 73_474);
    assert!(finish.log_tail.contains("training"));
    let phases = finish.phases.unwrap();
    assert!(phases.start_seconds > 0.0 && phases.run_seconds > 0.0);
    assert_eq!(env.coordinator.state().sequences(&lease), [1, 2, 3]);
    {
        let state = env.coordinator.state();
        let registration = &state.registrations[0];
        let expected = ("w1", sweep_spec::TRAINER_SEMANTICS);
        assert_eq!((registration.worker.as_str(), registration.trainer_semantics), expected);
        assert_eq!(registration.slots[0].device, "cpu");
        assert_eq!(registration.labels[0].key, "zone");
    }
    worker.stop().await.unwrap();
    assert!(std::fs::read_dir(env.folder.path().join("state/artifacts")).unwrap().next().is_none());
}

#[tokio::test]
async fn one_trainer_answers_trial_after_trial() {
    let env = Env::new("whole");
    let worker = env.start().await;
    for seed in 0..5 {
        let lease = env.assign(seed);
        env.coordinator.finish(&lease).await;
    }
    // One that listed the devices, one for the slot.
    assert_eq!(env.pids("starts").len(), 2);
    worker.stop().await.unwrap();
}

#[tokio::test]
async fn a_trainer_is_let_go_after_its_number_of_trials() {
    let mut env = Env::new("whole");
    env.config.trials_per_trainer = 2;
    let worker = env.start().await;
    for seed in 0..5 {
        let lease = env.assign(seed);
        env.coordinator.finish(&lease).await;
    }
    assert_eq!(env.pids("starts").len(), 1 + 3);
    worker.stop().await.unwrap();
}

#[tokio::test]
async fn an_assignment_that_comes_twice_is_run_once() {
    let env = Env::new("echo x >> $DIR/runs; started; epoch 1; wait_here gate; epoch 2; epoch 3; finished");
    let (worker, gate, lease) = env.start_and_train_to_the_gate().await;
    env.assign(1);
    let heard = env.coordinator.state().polls.len();
    env.coordinator.until("another poll", |state| (state.polls.len() > heard + 1).then_some(())).await;
    gate.open().await;
    env.coordinator.finish(&lease).await;
    let next = env.assign(2);
    env.coordinator.points(&next, 1).await;
    assert_eq!(std::fs::read_to_string(env.folder.path().join("runs")).unwrap(), "x\nx\n");
    worker.stop().await.unwrap();
}

#[tokio::test]
async fn settings_that_are_not_the_leases_trial_are_not_trained() {
    let env = Env::new("echo x >> $DIR/runs; whole");
    let worker = env.start().await;
    let (lease, mut wrong_id) = assignment(1);
    wrong_id.settings = settings(&trial(2));
    let (no_trial_lease, mut no_trial) = assignment(3);
    no_trial.settings.truncate(2);
    let (no_slot_lease, mut no_slot) = assignment(4);
    no_slot.slot = 7;
    let start = vec![wrong_id, no_trial, no_slot];
    env.coordinator.say(PollResponse { start, ..PollResponse::default() });
    for (lease, part) in [
        (lease, "the lease is for"),
        (no_trial_lease, "the settings do not describe a trial"),
        (no_slot_lease, "no slot 7"),
    ] {
        let finish = env.coordinator.finish(&lease).await;
        let (class, reason) = failure(&finish);
        assert_eq!(class, FailureClass::Coordinator);
        assert!(reason.contains(part), "{reason}");
    }
    assert!(!env.folder.path().join("runs").exists());
    worker.stop().await.unwrap();
}

#[tokio::test]
async fn data_sets_are_described_while_the_slot_trains() {
    let env = Env::new("started; wait_here gate; epoch 1; epoch 2; epoch 3; finished");
    let gate = env.gate("gate");
    let worker = env.start().await;
    let lease = env.assign(1);
    let describe = DescribeTask { dataset_key: vec![7; 32].into(), settings: settings(&trial(1).dataset) };
    env.coordinator.say(PollResponse { describe: vec![describe], number: 5, ..PollResponse::default() });
    let described = env.coordinator.until("a description", |state| state.described.first().cloned()).await;
    assert_eq!(&described.dataset_key[..], [7; 32]);
    let Some(Answer::Description(description)) = described.answer else { panic!("{:?}", described.answer) };
    assert_eq!((description.classes.len(), description.train_images), (2, 64));
    env.coordinator.until("the number of the answer", |state| (state.polls.last()?.seen == 5).then_some(())).await;
    gate.open().await;
    env.coordinator.finish(&lease).await;
    worker.stop().await.unwrap();
}

#[tokio::test]
async fn a_data_set_that_cannot_be_described_has_its_reason() {
    let env = Env::describing("failed data 'scenes: no such folder'");
    let worker = env.start().await;
    let good = DescribeTask { dataset_key: vec![1; 32].into(), settings: settings(&trial(1).dataset) };
    let none = DescribeTask { dataset_key: vec![2; 32].into(), settings: Vec::new() };
    env.coordinator.say(PollResponse { describe: vec![good, none], ..PollResponse::default() });
    let two = |state: &crate::coordinator::State| (state.described.len() == 2).then(|| state.described.clone());
    for described in env.coordinator.until("two descriptions", two).await {
        let Some(Answer::Failure(failure)) = &described.answer else { panic!("{:?}", described.answer) };
        match described.dataset_key[0] {
            1 => assert_eq!((failure.class(), failure.reason.as_str()), (FailureClass::Data, "scenes: no such folder")),
            _ => assert_eq!(failure.class(), FailureClass::Coordinator),
        }
    }
    worker.stop().await.unwrap();
}

#[tokio::test]
async fn a_description_that_does_not_fit_the_data_set_is_the_trainers_fault() {
    let one_class = r#""digest":"'$D'","classes":["a"],"channels":3,"train_images":64,"test_images":2"#;
    let env = Env::describing(&format!("say '{{\"event\":\"described\",{one_class}}}'"));
    let worker = env.start().await;
    let task = DescribeTask { dataset_key: vec![1; 32].into(), settings: settings(&trial(1).dataset) };
    env.coordinator.say(PollResponse { describe: vec![task], ..PollResponse::default() });
    let first = |state: &crate::coordinator::State| state.described.first().cloned();
    let described = env.coordinator.until("a description", first).await;
    let Some(Answer::Failure(failure)) = &described.answer else { panic!("{:?}", described.answer) };
    assert_eq!(failure.class(), FailureClass::Trainer);
    assert!(failure.reason.contains("the data have 1 classes; the spec declares 2"), "{}", failure.reason);
    worker.stop().await.unwrap();
}

#[tokio::test]
async fn a_result_that_contradicts_itself_is_the_trainers_fault() {
    let env = Env::new(
        "started; epoch 1; epoch 2; numbers() { N='\"epoch\":'$1',\"train_loss\":1.5,\"train_accuracy\":0.5,\"val_loss\":1.25,\"val_accuracy\":0.99,\"learning_rate\":0.001,\"seconds\":0.5,\"images_per_second\":128.0'; }; epoch 3; finished",
    );
    let worker = env.start().await;
    let lease = env.assign(1);
    let finish = env.coordinator.finish(&lease).await;
    let Some(Ending::Failure(failure)) = &finish.ending else { panic!("{:?}", finish.ending) };
    assert_eq!(failure.class(), FailureClass::Trainer);
    let both = "val_accuracy 0.99 of epoch 3, but its confusion matrix has 1 of 2 images correct";
    assert!(failure.reason.contains(both), "{}", failure.reason);
    worker.stop().await.unwrap();
}

#[tokio::test]
async fn weights_and_thumbnails_are_handed_in_before_the_ending() {
    let env = Env::new(
        "started; printf weights > $folder/weights.safetensors; printf png > $folder/thumbnails.png; epoch 1; epoch 2; epoch 3; finished",
    );
    let worker = env.start().await;
    for seed in [1, 2] {
        let mut trial = trial(seed);
        trial.protocol.keep_weights = if seed == 1 { KeepWeights::All } else { KeepWeights::None };
        let (lease, start) = assignment_of(&trial);
        env.coordinator.say(PollResponse { start: vec![start], ..PollResponse::default() });
        env.coordinator.finish(&lease).await;
        let state = env.coordinator.state();
        let artifacts: Vec<_> =
            state.artifacts.iter().map(|(header, content)| (header.kind(), content.clone())).collect();
        let weights = (ArtifactKind::Weights, b"weights".to_vec());
        // The second trial keeps no weights, and its data set's thumbnails are known.
        assert_eq!(artifacts, [weights, (ArtifactKind::Thumbnails, b"png".to_vec())]);
        let digest = sweep_spec::Digest::of(b"weights");
        assert_eq!(&state.artifacts[0].0.digest[..], digest.as_bytes());
    }
    worker.stop().await.unwrap();
}

#[tokio::test]
async fn a_stale_attempt_is_forgotten() {
    let env = Env::new("whole");
    let worker = env.start().await;
    let stale = sweep_proto::v1::FinishResponse { verdict: FinishVerdict::Stale.into(), stored_sequence: 0 };
    env.coordinator.state().verdicts.push_back(stale);
    env.assign(1);
    let empty = |state: &crate::coordinator::State| {
        (state.verdicts.is_empty() && state.polls.last()?.held.is_empty()).then_some(())
    };
    env.coordinator.until("a poll without it", empty).await;
    let next = env.assign(2);
    env.coordinator.finish(&next).await;
    assert_eq!(env.coordinator.state().finishes.len(), 1);
    worker.stop().await.unwrap();
}
