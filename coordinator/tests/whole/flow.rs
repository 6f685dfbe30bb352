//! Submit, assign, report, finish, leaderboard.

use std::sync::Arc;

use sweep_proto::v1;

use crate::env::{Answer, Env, SPEC, by_filters, reference, result};

#[tokio::test]
async fn a_sweep_runs_from_submit_to_leaderboard() {
    let env = Env::new().await;
    let submitted = env.submit(SPEC).await;
    assert_eq!(submitted.counts.as_ref().unwrap().queued, 14);
    assert_eq!(submitted.waiting_for, ["no worker is connected"]);
    let mut worker = env.worker("w1", 2).await;
    let ended = worker.work(&env, submitted.id, &by_filters()).await;
    assert_eq!(ended.state(), v1::SweepState::Succeeded);
    let counts = ended.counts.unwrap();
    assert_eq!((counts.succeeded, counts.queued, counts.running, counts.failed), (14, 0, 0, 0));
    assert_eq!((ended.epochs_done, ended.epochs_total), (42, 42));

    let board = env.leaderboard(submitted.id).await;
    assert_eq!(board.metric, "val_accuracy");
    assert_eq!(board.rows.len(), 7);
    let best = &board.rows[0];
    assert_eq!((best.rank, best.name.as_str()), (Some(1), "wide"));
    let accuracy = best.val_accuracy.as_ref().unwrap();
    assert!((accuracy.mean - 0.8195).abs() < 1e-12 && accuracy.standard_deviation.unwrap() > 0.0);
    assert!(board.rows.iter().filter(|row| row.baseline).count() == 1);
    let ranks: Vec<_> = board.rows.iter().map(|row| row.rank.unwrap()).collect();
    assert_eq!(ranks, [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(ended.best_configuration, "wide");
}

#[tokio::test]
async fn a_trial_shows_its_attempts_points_and_validation() {
    let env = Env::new().await;
    let sweep = env.submit(SPEC).await.id;
    env.worker("w1", 4).await.work(&env, sweep, &by_filters()).await;
    let mut sweeps = env.sweeps().await;
    let page = |token: String| v1::ListTrialsRequest {
        sweep: reference(sweep),
        page_token: token,
        page_size: 5,
        ..Default::default()
    };
    let (mut token, mut trials) = (String::new(), Vec::new());
    loop {
        let answer = sweeps.list_trials(page(token)).await.unwrap().into_inner();
        trials.extend(answer.trials);
        token = answer.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(trials.len(), 14);
    let hex: String = trials[3].trial_id.iter().map(|byte| format!("{byte:02x}")).collect();
    let request = v1::GetTrialRequest { trial: hex[..10].to_owned() };
    let trial = sweeps.get_trial(request).await.unwrap().into_inner();
    assert_eq!(trial.trial.as_ref().unwrap(), &trials[3]);
    assert_eq!((trial.attempts.len(), trial.points.len()), (1, 3));
    assert_eq!((trial.attempts[0].outcome.as_str(), trial.attempts[0].log_tail.as_str()), ("succeeded", "pretended"));
    assert_eq!(trial.validation.unwrap().confusion, [1, 0, 1, 0]);
    let mut export =
        sweeps.export_points(v1::ExportPointsRequest { sweep: reference(sweep) }).await.unwrap().into_inner();
    let mut points = 0;
    while let Some(part) = export.message().await.unwrap() {
        points += part.points.len();
    }
    assert_eq!(points, 42);
}

#[tokio::test]
async fn a_second_submit_takes_what_is_known_and_runs_nothing() {
    let env = Env::new().await;
    let first = env.submit(SPEC).await.id;
    let mut worker = env.worker("w1", 2).await;
    worker.work(&env, first, &by_filters()).await;
    let second = env.submit(SPEC).await;
    assert_ne!(second.id, first);
    let ended = worker.work(&env, second.id, &by_filters()).await;
    let counts = ended.counts.unwrap();
    assert_eq!((counts.succeeded, counts.reused), (14, 14));
    assert_eq!(env.leaderboard(first).await.rows, env_rows(&env, second.id).await);
}

async fn env_rows(env: &Env, sweep: u64) -> Vec<v1::LeaderboardRow> {
    let mut rows = env.leaderboard(sweep).await.rows;
    rows.iter_mut().for_each(|row| row.counts.as_mut().unwrap().reused = 0);
    rows
}

#[tokio::test]
async fn an_unfinished_sweep_is_resumed_and_a_finished_one_is_not() {
    let env = Env::new().await;
    let submit = |resume| v1::SubmitRequest { spec: SPEC.into(), resume, ..Default::default() };
    let mut sweeps = env.sweeps().await;
    let first = sweeps.submit(submit(true)).await.unwrap().into_inner();
    let again = sweeps.submit(submit(true)).await.unwrap().into_inner();
    assert!(!first.resumed && again.resumed);
    let id = first.sweep.unwrap().id;
    assert_eq!(again.sweep.unwrap().id, id);
    env.worker("w1", 2).await.work(&env, id, &by_filters()).await;
    assert!(!sweeps.submit(submit(true)).await.unwrap().into_inner().resumed);
}

const GREEDY: &str = "
version: 1
name: greedy
dataset: { kind: synthetic_scenes, seed: 1, train_images: 64, test_images: 32, image_size: 32, channels: 3, classes: 8 }
protocol: { epochs: 3 }
seeds: [0, 1]
baseline: { family: cnn, filters: 4, dense_units: 8 }
stages:
  - { name: width, vary: { filters: [4, 8, 16] }, keep: best }
  - { name: head, vary: { dense_layers: [1, 2] }, keep: best }
  - { name: drop, vary: { dropout: [0.0, 0.2] } }
";

#[tokio::test]
async fn keep_best_opens_the_next_stage_from_the_winner() {
    let env = Env::new().await;
    let submitted = env.submit(GREEDY).await;
    assert_eq!(submitted.counts.as_ref().unwrap().to_come_at_most, 8);
    let mut worker = env.worker("w1", 2).await;
    let ended = worker.work(&env, submitted.id, &by_filters()).await;
    assert_eq!(ended.state(), v1::SweepState::Succeeded);
    let choices: Vec<_> = ended.stages.iter().map(|stage| stage.choice.as_str()).collect();
    // Equal accuracy with one dense layer and with two: the one with fewer parameters wins.
    assert_eq!(choices, ["filters=16", "filters=16", ""]);
    let board = env.leaderboard(submitted.id).await;
    let labels: Vec<_> = board.rows.iter().map(|row| row.configuration.as_str()).collect();
    assert!(labels.contains(&"filters=16 dense_layers=2") && labels.contains(&"filters=16 dropout=0.2"));
    assert_eq!(board.rows.len(), 5);
}

/// A root that is listed last, two independent stages that wait for it, a stage that waits for one of these, and a
/// separate stage.
const GRAPH: &str = "
version: 1
name: graph
dataset: { kind: synthetic_scenes, seed: 1, train_images: 64, test_images: 32, image_size: 32, channels: 3, classes: 8 }
protocol: { epochs: 3 }
seeds: [0]
baseline: { family: cnn, filters: 4, dense_units: 8 }
stages:
  - { name: end, from: right, one_at_a_time: { dropout: [0.2] } }
  - { name: left, from: root, one_at_a_time: { kernel_size: [3] } }
  - { name: right, from: root, one_at_a_time: { dense_layers: [2] }, keep: best }
  - { name: root, from: baseline, one_at_a_time: { filters: [8] }, keep: best }
  - { name: alone, from: baseline, list: [ { name: deep, conv_layers: 2 } ] }
";

#[tokio::test]
async fn stages_without_a_dependency_run_side_by_side() {
    let env = Env::new().await;
    let sweep = env.submit(GRAPH).await.id;
    let mut worker = env.worker("w1", 8).await;
    // First the two trials of the root and the one of the separate stage are assigned, then both stages behind the root
    // together.
    for (running, total) in [(3, 3), (2, 5), (1, 6)] {
        while worker.running.len() < running {
            worker.poll().await.unwrap();
        }
        let counts = env.status(sweep).await.counts.unwrap();
        assert_eq!((counts.running, counts.succeeded + counts.running + counts.queued), (running as u64, total));
        worker.finish_all(&by_filters()).await;
    }
    let ended = worker.work(&env, sweep, &by_filters()).await;
    assert_eq!(ended.state(), v1::SweepState::Succeeded);
    let board = env.leaderboard(sweep).await;
    let labels: Vec<_> = board.rows.iter().map(|row| row.configuration.as_str()).collect();
    assert!(labels.contains(&"filters=8 dropout=0.2") && labels.contains(&"filters=8 kernel_size=3"), "{labels:?}");
    assert!(board.rows.iter().any(|row| row.name == "deep"), "{labels:?}");
}

#[tokio::test]
async fn a_stage_without_a_winner_fails_what_is_behind_it() {
    let env = Env::new().await;
    let sweep = env.submit(GREEDY).await.id;
    let diverges: Answer = Arc::new(|_| {
        let diverged = v1::TrialResult { outcome: v1::Outcome::Diverged.into(), last: None, best: None, ..result(0.0) };
        v1::finish_request::Ending::Result(diverged)
    });
    let ended = env.worker("w1", 2).await.work(&env, sweep, &diverges).await;
    assert_eq!(ended.state(), v1::SweepState::Failed);
    assert!(ended.reason.contains("stage `width` found no winner"), "{}", ended.reason);
    assert_eq!(ended.counts.unwrap().diverged, 6);
    let board = env.leaderboard(sweep).await;
    assert!(board.rows.iter().all(|row| row.rank.is_none() && row.remark == "2 of 2 diverged"));
}

#[tokio::test]
async fn a_cancelled_sweep_stops_its_trials() {
    let env = Env::new().await;
    let sweep = env.submit(SPEC).await.id;
    let mut worker = env.worker("w1", 2).await;
    worker.until_running().await;
    let answer = env
        .sweeps()
        .await
        .cancel_sweep(v1::CancelSweepRequest { sweep: reference(sweep), user: String::new() })
        .await
        .unwrap();
    assert_eq!(answer.into_inner().sweep.unwrap().state(), v1::SweepState::Cancelled);
    while !worker.running.is_empty() {
        worker.poll().await.unwrap();
    }
    let counts = env.status(sweep).await.counts.unwrap();
    assert_eq!((counts.cancelled, counts.running, counts.queued), (14, 0, 0));
}

#[tokio::test]
async fn a_wrong_spec_is_refused_with_every_problem() {
    let env = Env::new().await;
    let spec = SPEC.replace("epochs: 3", "epochs: 0, batchsize: 3");
    let request = v1::SubmitRequest { spec: spec.into(), ..Default::default() };
    let refused = env.sweeps().await.submit(request).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    assert_eq!(refused.message().lines().count(), 2, "{}", refused.message());
    assert!(refused.message().contains("did you mean `batch_size`?"));
}
