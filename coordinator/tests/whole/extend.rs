//! A sweep extended by a new sweep: known results are reused, running trials are shared, and no trial may be lost.

use sweep_proto::v1;

use crate::env::{Env, SPEC, by_filters, reference};

async fn extend(env: &Env, sweep: u64, overrides: &[(&str, &str)]) -> Result<v1::SweepStatus, tonic::Status> {
    let one = |(key, value): &(&str, &str)| v1::Override { key: (*key).into(), value: (*value).into() };
    let overrides = overrides.iter().map(one).collect();
    let request = v1::SubmitRequest { extends: reference(sweep), overrides, user: "ann".into(), ..Default::default() };
    Ok(env.sweeps().await.submit(request).await?.into_inner().sweep.unwrap())
}

#[tokio::test]
async fn more_seeds_and_levels_take_what_is_known_and_run_the_rest() {
    let env = Env::new().await;
    let first = env.submit(SPEC).await;
    let mut worker = env.worker("w1", 4).await;
    worker.work(&env, first.id, &by_filters()).await;
    let longer = extend(&env, first.id, &[("seeds", "3"), ("stages[0].vary.filters", "[4, 8, 16, 12]")]).await.unwrap();
    assert_eq!((longer.name.as_str(), longer.id), ("pretend", first.id + 1));
    let counts = longer.counts.unwrap();
    // Seven configurations had two seeds; now eight have three.
    assert_eq!((counts.reused, counts.succeeded, counts.queued + counts.running), (14, 14, 24 - 14));
    let ended = worker.work(&env, longer.id, &by_filters()).await;
    assert_eq!((ended.state(), ended.counts.unwrap().succeeded), (v1::SweepState::Succeeded, 24));
    let board = env.leaderboard(longer.id).await;
    assert!(board.rows.iter().all(|row| row.val_accuracy.as_ref().unwrap().count == 3));
    // Then the extension is itself extended.
    let again = extend(&env, longer.id, &[("noise", "{ seeds: 2 }")]).await.unwrap();
    let counts = again.counts.unwrap();
    assert_eq!((counts.reused, counts.queued + counts.running), (24, 2));
    let request = v1::ListAuditRequest { sweep: reference(longer.id), limit: 1000, ..Default::default() };
    let entries = env.sweeps().await.list_audit(request).await.unwrap().into_inner().entries;
    let submitted = entries.iter().find(|entry| entry.action == "submitted").unwrap();
    assert_eq!((submitted.actor.as_str(), submitted.detail.as_str()), ("ann", "pretend, extends sweep 1"));
}

#[tokio::test]
async fn what_runs_is_shared_and_runs_once() {
    let env = Env::new().await;
    let first = env.submit(SPEC).await.id;
    let mut worker = env.worker("w1", 3).await;
    worker.until_running().await;
    worker.finish_all(&by_filters()).await;
    while worker.running.len() < 3 {
        worker.poll().await.unwrap();
    }
    let second = extend(&env, first, &[("seeds", "[1, 0, 7]")]).await.unwrap();
    let counts = second.counts.unwrap();
    assert_eq!((counts.reused, counts.running, counts.queued), (3, 3, 21 - 6));
    let ended = worker.work(&env, second.id, &by_filters()).await;
    assert_eq!(ended.counts.unwrap().succeeded, 21);
    assert_eq!(env.status(first).await.state(), v1::SweepState::Succeeded, "its trials are among them");
    let request = v1::ListTrialsRequest { sweep: reference(second.id), page_size: 100, ..Default::default() };
    let trials = env.sweeps().await.list_trials(request).await.unwrap().into_inner().trials;
    assert!(trials.len() == 21 && trials.iter().all(|trial| trial.attempts == 1));
}

#[tokio::test]
async fn what_would_be_lost_is_named_and_refused() {
    let env = Env::new().await;
    let sweep = env.submit(SPEC).await.id;
    for (change, lost) in [
        (("seeds", "[0, 5]"), "7 of its 14 trials would be lost: baseline under seed 1, filters=8 under seed 1"),
        (("stages[0].vary.filters", "[4, 8, 32]"), "2 of its 14 trials would be lost: filters=16 under seed 0"),
        (("protocol.epochs", "4"), "14 of its 14 trials would be lost"),
        (("dataset.seed", "2"), "`dataset` differs, so no trial is the same"),
        (("baseline.dense_units", "9"), "12 of its 14 trials would be lost"),
    ] {
        let refused = extend(&env, sweep, &[change]).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::InvalidArgument);
        assert!(refused.message().contains(lost), "{change:?}: {}", refused.message());
    }
    let wrong = extend(&env, sweep, &[("seeds", "0")]).await.unwrap_err();
    assert!(wrong.message().contains("seeds: expected"), "{}", wrong.message());
    assert_eq!(extend(&env, 9, &[("seeds", "3")]).await.unwrap_err().code(), tonic::Code::NotFound);
    let listed = env.sweeps().await.list_sweeps(v1::ListSweepsRequest::default()).await.unwrap().into_inner();
    assert_eq!(listed.sweeps.len(), 1, "nothing was made");
}

#[tokio::test]
async fn a_study_that_chose_is_extended_as_if_it_chose_the_same_again() {
    const GREEDY: &str = "
version: 1
name: greedy
dataset: { kind: synthetic_scenes, seed: 1, train_images: 64, test_images: 32, image_size: 32, channels: 3, classes: 8 }
protocol: { epochs: 3 }
seeds: 2
baseline: { family: cnn, filters: 4, dense_units: 8 }
stages:
  - { name: width, vary: { filters: [4, 8, 16] }, keep: best }
  - { name: drop, vary: { dropout: [0.0, 0.2] } }
";
    let env = Env::new().await;
    let sweep = env.submit(GREEDY).await.id;
    let mut worker = env.worker("w1", 4).await;
    worker.work(&env, sweep, &by_filters()).await;
    let longer = extend(&env, sweep, &[("seeds", "4")]).await.unwrap();
    assert_eq!(longer.counts.unwrap().reused, 6, "behind the choice nothing is known yet");
    let ended = worker.work(&env, longer.id, &by_filters()).await;
    assert_eq!((ended.counts.unwrap().succeeded, ended.counts.unwrap().reused), (16, 8));
    let renamed = GREEDY.replace("name: drop, vary: { dropout: [0.0, 0.2] }", "name: drop, vary: { dropout: [0.0] }");
    let request = v1::SubmitRequest { spec: renamed.into(), extends: reference(sweep), ..Default::default() };
    let refused = env.sweeps().await.submit(request).await.unwrap_err();
    assert!(refused.message().contains("filters=16 dropout=0.2 under seed 0"), "{}", refused.message());
}
