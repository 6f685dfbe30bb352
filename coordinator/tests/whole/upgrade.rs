//! A sweep that an earlier release left unfinished, when the trainers' semantics have changed since.

use std::path::Path;

use sweep_coordinator::Args;
use sweep_coordinator::store::check::check;
use sweep_proto::v1;
use sweep_proto::v1::store_service_client::StoreServiceClient;

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

/// A copy of the store of the first release: one sweep, with results of five of seven trials.
fn released() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let store = Path::new(env!("CARGO_MANIFEST_DIR")).join("store/tests/data/store-1.db");
    std::fs::copy(store, folder.path().join("sweep.db")).unwrap();
    folder
}

/// A coordinator on such a copy.
async fn upgraded() -> Env {
    Env::on(released(), Args::default()).await
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

/// Rows that no release accepts from a user, but that a store may contain.
const ODD: [&str; 5] = [
    "UPDATE sweeps SET name = '', submitter = 'some' || char(0) || 'body'",
    "UPDATE configurations SET name = char(0), label = ''",
    "UPDATE attempts SET worker = '', reason = 'a' || char(0) || 'b', log_tail = char(0)",
    "UPDATE rounds SET reason = char(0) || 'why'",
    "UPDATE workers SET host = char(0)",
];

#[tokio::test]
async fn a_store_of_the_first_release_with_odd_texts_is_read_backed_up_and_emptied() {
    let folder = released();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.path().join("sweep.db"));
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    for statement in ODD {
        assert!(sqlx::query(statement).execute(&pool).await.unwrap().rows_affected() > 0, "{statement}");
    }
    pool.close().await;
    let env = Env::on(folder, Args::default()).await;
    let old = env.status(1).await;
    assert_eq!((old.state(), old.name.as_str()), (v1::SweepState::Cancelled, ""));
    assert_eq!(env.leaderboard(1).await.rows.len(), 6);
    let copies = tempfile::tempdir().unwrap();
    let mut client = StoreServiceClient::new(env.channel().await);
    let begin = v1::BeginBackupRequest { backup: "odd".into(), user: "me".into() };
    let open = client.begin_backup(begin).await.unwrap().into_inner();
    assert!(open.ready);
    let request = v1::ReadBackupRequest { backup: open.backup, ..Default::default() };
    let mut pieces = client.read_backup(request).await.unwrap().into_inner();
    let mut copy = Vec::new();
    while let Some(piece) = pieces.message().await.unwrap() {
        copy.extend_from_slice(&piece.chunk);
    }
    client.end_backup(v1::EndBackupRequest { backup: "odd".into() }).await.unwrap();
    std::fs::write(copies.path().join("copy.db"), copy).unwrap();
    // Its only artifact was not copied with it.
    let report = check(&copies.path().join("copy.db")).await.unwrap();
    assert!(report.problems.iter().all(|problem| problem.place == "artifacts"), "{report}");
    let delete = v1::DeleteSweepRequest { sweep: reference(1), ..Default::default() };
    let deleted = env.sweeps().await.delete_sweep(delete).await.unwrap().into_inner().deletion.unwrap();
    assert_eq!((deleted.trials, deleted.finished_unix_ms > 0), (6, true));
    let found = client.collect_garbage(v1::CollectGarbageRequest::default()).await.unwrap().into_inner().found;
    let settings = found.iter().find(|row| row.kind == "settings").unwrap();
    assert_eq!(settings.count, 1, "its trials had them alone");
}
