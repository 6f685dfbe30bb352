//! What becomes of a sweep that an earlier release left unfinished, once trainers give other numbers.

use std::path::Path;

use sweep_coordinator::Args;
use sweep_proto::v1;

use crate::env::{Env, by_filters, reference};

/// The spec of that sweep.
const OLD: &str = "version: 1
name: old
dataset: { kind: synthetic_scenes, seed: 1, train_images: 256, test_images: 16, image_size: 8, channels: 1, classes: 8 }
protocol: { epochs: 150, batch_size: 16 }
seeds: [0]
baseline: { family: cnn, conv_layers: 1, filters: 2, kernel_size: 3, dense_layers: 1, dense_units: 4 }
stages:
  - { name: width, vary: { filters: [2, 3, 4] }, keep: best }
  - { name: regularization, grid: { max_pool: [false, true], dropout: [0.0, 0.2] } }
";

/// A coordinator on a copy of the store that the first release left behind: one sweep, five of seven trials answered.
async fn upgraded() -> Env {
    let folder = tempfile::tempdir().unwrap();
    let store = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/store-1.db");
    std::fs::copy(store, folder.path().join("sweep.db")).unwrap();
    Env::on(folder, Args::default()).await
}

#[tokio::test]
async fn an_unfinished_sweep_of_another_trainer_semantics_stops_with_a_reason() {
    let env = upgraded().await;
    let mut worker = env.worker("w1", 2).await;
    worker.poll().await.unwrap();
    assert!(worker.running.is_empty(), "no worker is asked what its trainer would refuse");
    let old = env.status(1).await;
    assert_eq!(old.state(), v1::SweepState::Cancelled);
    assert!(
        old.reason.contains("trainer semantics") && old.reason.contains("submit the sweep again"),
        "{}",
        old.reason
    );
    assert_eq!(old.counts.unwrap().succeeded, 5, "its answers stay");
    assert!(!env.leaderboard(1).await.rows.is_empty());
    let env = env.restart().await;
    assert_eq!(env.status(1).await.reason, old.reason);
    let request = v1::ListAuditRequest { sweep: reference(1), limit: 1000, ..Default::default() };
    let audit = env.sweeps().await.list_audit(request).await.unwrap().into_inner();
    assert_eq!(audit.entries.iter().filter(|entry| entry.action == "cancelled").count(), 1, "it stops once");
}

#[tokio::test]
async fn a_sweep_of_another_trainer_semantics_is_submitted_again_and_shares_no_answer() {
    let env = upgraded().await;
    let request = v1::SubmitRequest { spec: OLD.to_owned().into(), ..Default::default() };
    let submitted = env.sweeps().await.submit(request).await.unwrap().into_inner();
    assert_eq!(submitted.outlook.unwrap().known, 0);
    let mut worker = env.worker("w1", 2).await;
    let ended = worker.work(&env, submitted.sweep.unwrap().id, &by_filters()).await;
    assert_eq!(ended.state(), v1::SweepState::Succeeded);
    let overrides = vec![v1::Override { key: "seeds".into(), value: "2".into() }];
    let extension = v1::SubmitRequest { extends: reference(1), overrides, ..Default::default() };
    let refusal = env.sweeps().await.submit(extension).await.unwrap_err();
    assert!(refusal.message().contains("trainer semantics"), "{refusal}");
}
