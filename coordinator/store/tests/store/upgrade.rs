//! A store that the first release wrote: `data/store-1.db`, made by `sweepctl submit --local` with two slots and killed
//! when five of seven trials had ended, one ran, and one had yet to be opened.

use std::path::Path;

use futures::TryStreamExt;
use sweep_scheduler::{Scheduler, SweepId, Timestamp};
use sweep_store::Store;
use sweep_store::check::check;
use sweep_store::codes::{AttemptState, RoundState, StageState, SweepState};
use sweep_store::record::{AttemptKey, AuditFilter, SweepPage, TrialPage};
use sweep_store::write::Commit;

use crate::env::{Folder, audit};

fn released() -> Folder {
    let folder = Folder::new();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    std::fs::copy(data.join("store-1.db"), folder.path()).unwrap();
    let from = data.join("store-1.artifacts/94");
    let to = folder.beside(".artifacts").join("94");
    std::fs::create_dir_all(&to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
    folder
}

#[tokio::test]
async fn a_store_of_the_first_release_opens_and_is_whole() {
    let folder = released();
    let before = check(&folder.path()).await.unwrap();
    assert!(before.is_sound() && before.layout == 1 && before.acknowledged.is_none(), "{before}");
    let store = folder.open().await;
    let loaded = store.load().await.unwrap();
    assert_eq!((loaded.last_sweep, loaded.last_attempt, loaded.last_session), (1, 6, 1));
    let sweep = &loaded.sweeps[0];
    assert_eq!((sweep.record.name.as_str(), sweep.record.state), ("old", SweepState::Running));
    let stages: Vec<_> = sweep.record.stages.iter().map(|stage| (stage.state, stage.choice.as_str())).collect();
    assert_eq!(stages, [(StageState::Ended, "filters=3"), (StageState::Open, "")]);
    assert!(sweep.spent_ms > 0 && sweep.record.pin.is_some());
    let live = &loaded.attempts[0];
    assert_eq!((live.key, live.stored_sequence), (AttemptKey(6), 24));
    assert_eq!(loaded.snapshot.open_rounds.len(), 1);
    assert_eq!(loaded.snapshot.open_rounds[0].live.as_ref().unwrap().lease, live.lease);
    let config = sweep_scheduler::Config::default();
    let (scheduler, _) = Scheduler::restore(config, Timestamp(0), loaded.snapshot);
    scheduler.check_invariants().unwrap();

    let replicates: Vec<_> = store.replicates(SweepId(1)).try_collect().await.unwrap();
    let spec = store.spec(SweepId(1)).await.unwrap().unwrap();
    assert!(String::from_utf8(spec).unwrap().contains("name: old"), "its text stays in its own row");
    assert_eq!(store.sweeps(&SweepPage::newest(9)).await.unwrap(), [store.sweep(SweepId(1)).await.unwrap().unwrap()]);
    assert_eq!(replicates.iter().filter(|found| found.state == Some(RoundState::Succeeded)).count(), 5);
    assert_eq!(replicates.iter().filter(|found| found.result.is_some()).count(), 5);
    let configurations = store.configurations(SweepId(1)).await.unwrap();
    assert!(configurations.iter().all(|row| row.params > 0 && !row.stages.is_empty()));
    let page = TrialPage::first(SweepId(1), 100);
    let trials = store.trials(&page).await.unwrap();
    assert_eq!(trials.len(), replicates.len());
    for key in 1..=5 {
        assert_eq!(store.points(AttemptKey(key)).await.unwrap().len(), 150);
        assert!(store.validation(AttemptKey(key)).await.unwrap().is_some());
    }
    let attempts = store.attempts(live.lease.trial).await.unwrap();
    assert_eq!((attempts[0].state, attempts[0].slot_memory_bytes), (AttemptState::Live, None));
    assert!(store.trial(live.lease.trial).await.unwrap().is_some());
    assert_eq!(store.artifacts(SweepId(1)).await.unwrap().len(), 1);
    let told = store.audit(&AuditFilter { limit: 100, ..AuditFilter::default() }).await.unwrap();
    assert_eq!(told.len(), 6 + 6 + 5 + 5, "rounds and attempts tell what happened before there was an audit log");
}

#[tokio::test]
async fn what_the_first_release_wrote_gets_its_checksums_once() {
    let folder = released();
    let store = folder.open().await;
    store.commit(&Commit { audit: vec![audit(1, "now".into())], ..Commit::default() }).await.unwrap();
    store.close().await;
    drop(store);
    let report = check(&folder.path()).await.unwrap();
    let rows = report.problems.iter().filter(|problem| problem.place != "audit");
    assert_eq!((rows.count(), report.layout, report.commits, report.artifacts), (0, 16, 1, 1), "{report}");
    let pool = sqlx::SqlitePool::connect_with(sqlx::sqlite::SqliteConnectOptions::new().filename(folder.path()));
    let pool = pool.await.unwrap();
    sqlx::query("UPDATE points SET sum = NULL WHERE attempt = 1 AND sequence = 7").execute(&pool).await.unwrap();
    pool.close().await;
    let store = folder.open().await;
    let error = store.points(AttemptKey(1)).await.unwrap_err();
    assert!(error.to_string().contains("point 7 of attempt number 1"), "from then on a missing one is damage: {error}");
}
