//! What every backend must do. A backend gives a `Place` that can be opened again and again.

use std::sync::Arc;

use async_trait::async_trait;
use futures::TryStreamExt;
use sweep_scheduler::event::{Instance, Service, Until};
use sweep_scheduler::{Hold, Lease, SweepId, WorkerName};
use sweep_spec::trainer::{EpochMetrics, Origin, Provenance, Validation};
use sweep_spec::{Digest, FailureClass, Outcome, TrialId};

#[path = "contract_backups.rs"]
mod backups;
#[path = "contract_changes.rs"]
mod changes;
#[path = "contract_choices.rs"]
mod choices;
#[path = "contract_cost.rs"]
mod cost;
#[path = "contract_deletions.rs"]
mod deletions;
#[path = "contract_files.rs"]
mod files;
#[path = "../tests/store/fixture.rs"]
mod fixture;
#[path = "postgres/tests.rs"]
mod postgres_tests;
#[path = "contract_sweeps.rs"]
mod sweeps;
#[path = "contract_tokens.rs"]
mod tokens;
#[path = "contract_trials.rs"]
mod trials;
#[path = "contract_weights.rs"]
mod weights;

use backups::a_snapshot_is_a_store_of_its_own;
use changes::{
    a_sweep_that_has_ended_can_go_on, an_expired_attempt_is_remembered_and_can_go_on,
    the_audit_log_tells_everything_in_order, what_failed_before_is_remembered,
    what_is_held_back_comes_back_until_it_goes_on, what_somebody_changes_comes_back,
    where_a_result_comes_from_and_what_was_made_of_the_test_part_come_back, who_holds_a_name_comes_back,
};
use choices::{
    a_choice_is_never_revised, what_an_uncommitted_choice_prepared_goes,
    who_got_more_seeds_stays_when_a_stage_is_opened_again,
};
use cost::{a_store_takes_room_and_more_of_it_with_more_in_it, what_trials_took_is_found_with_what_was_expected};
use deletions::{
    a_deleted_sweep_is_gone_at_once_and_what_others_have_stays, a_dry_run_counts_what_a_collection_removes,
    a_large_sweep_goes_in_pieces, a_trial_goes_with_the_last_sweep_that_refers_to_it,
    a_trial_of_no_sweep_stays_as_long_as_its_result_is_young, a_trial_that_a_worker_still_runs_goes_last,
    a_trial_that_is_wanted_again_meanwhile_stays, only_a_sweep_that_has_ended_is_deleted,
    settings_go_when_no_trial_has_them_and_come_with_the_next_that_does,
    thumbnails_go_with_the_last_sweep_that_is_pinned_to_their_data, trials_of_no_sweep_are_found_and_removed,
};
use fixture::{preparation, trial};
use sweeps::{
    a_list_of_sweeps_comes_page_by_page_and_newest_first, configurations_are_found_without_their_trials,
    the_text_of_a_spec_comes_back_and_goes_with_what_never_began, what_a_sweep_came_to_is_kept_until_it_goes_on,
    whether_it_answers_is_said_while_every_reader_is_busy,
};
use tokens::{the_first_session_key_stays, tokens_come_back_and_stay_when_they_are_revoked};
use trials::{extreme_numbers_survive, large_batches_are_whole};
use weights::{a_sweep_that_ended_keeps_the_weights_that_it_chose, weights_stay_while_any_sweep_keeps_them};

use super::Store;
use super::codes::{ArtifactKind, AttemptState, AuditAction, RoundState, StageState, SweepState};
use super::record::{
    AttemptKey, AuditFilter, Predictions, ResultRecord, Submission, SweepPage, TestScore, TrialPage, TrialState,
};
use super::sqlite::{Options, SqliteStore};
use super::write::*;
use fixture::{epoch, points};

#[async_trait]
trait Place: Sync {
    async fn open(&self) -> Arc<dyn Store>;
}

struct SqliteFile(tempfile::TempDir);

#[async_trait]
impl Place for SqliteFile {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(&Options::new(self.0.path().join("store.db"))).await.unwrap())
    }
}

struct PostgresDatabase(String);

#[async_trait]
impl Place for PostgresDatabase {
    async fn open(&self) -> Arc<dyn Store> {
        postgres_tests::lead(&self.0, "here").await.store
    }
}

macro_rules! on_every_backend {
    ($($test:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $test() {
                super::$test(&super::SqliteFile(tempfile::tempdir().unwrap())).await;
            })+
        }

        mod postgres {
            $(#[tokio::test]
            async fn $test() {
                let Some(server) = sweep_require::postgres::shared() else { return };
                super::$test(&super::PostgresDatabase(server.database())).await;
            })+
        }
    };
}

on_every_backend!(
    a_sweep_lives_through_a_reopening,
    what_was_prepared_and_never_begun_is_removed,
    a_batch_counts_once_however_often_it_is_said,
    a_result_is_found_by_the_next_sweep,
    a_live_attempt_comes_back_with_its_points,
    large_batches_are_whole,
    a_choice_is_never_revised,
    what_an_uncommitted_choice_prepared_goes,
    who_got_more_seeds_stays_when_a_stage_is_opened_again,
    extreme_numbers_survive,
    what_somebody_changes_comes_back,
    who_holds_a_name_comes_back,
    what_is_held_back_comes_back_until_it_goes_on,
    a_sweep_that_has_ended_can_go_on,
    an_expired_attempt_is_remembered_and_can_go_on,
    what_failed_before_is_remembered,
    the_audit_log_tells_everything_in_order,
    where_a_result_comes_from_and_what_was_made_of_the_test_part_come_back,
    what_trials_took_is_found_with_what_was_expected,
    tokens_come_back_and_stay_when_they_are_revoked,
    the_first_session_key_stays,
    a_store_takes_room_and_more_of_it_with_more_in_it,
    a_sweep_that_ended_keeps_the_weights_that_it_chose,
    weights_stay_while_any_sweep_keeps_them,
    a_snapshot_is_a_store_of_its_own,
    a_deleted_sweep_is_gone_at_once_and_what_others_have_stays,
    a_trial_goes_with_the_last_sweep_that_refers_to_it,
    only_a_sweep_that_has_ended_is_deleted,
    a_trial_that_a_worker_still_runs_goes_last,
    a_trial_that_is_wanted_again_meanwhile_stays,
    a_large_sweep_goes_in_pieces,
    trials_of_no_sweep_are_found_and_removed,
    a_trial_of_no_sweep_stays_as_long_as_its_result_is_young,
    settings_go_when_no_trial_has_them_and_come_with_the_next_that_does,
    thumbnails_go_with_the_last_sweep_that_is_pinned_to_their_data,
    a_dry_run_counts_what_a_collection_removes,
    a_list_of_sweeps_comes_page_by_page_and_newest_first,
    the_text_of_a_spec_comes_back_and_goes_with_what_never_began,
    what_a_sweep_came_to_is_kept_until_it_goes_on,
    configurations_are_found_without_their_trials,
    whether_it_answers_is_said_while_every_reader_is_busy,
);

const SWEEP: SweepId = SweepId(1);

fn stage(sweep: SweepId, state: Option<StageState>, choice: &str) -> StageChange {
    StageChange { sweep, stage: 0, state, choice: choice.into(), winner: Some(0), decided: Some(1) }
}

fn begin(sweep: SweepId) -> Commit {
    let stages = vec![stage(sweep, Some(StageState::Open), "")];
    Commit { sweeps_begun: vec![sweep], stages, pins: vec![(sweep, Digest::of(b"data"))], ..Commit::default() }
}

fn lease(seed: u64) -> Lease {
    Lease { trial: trial(seed).id().unwrap(), round: 1, attempt: 1 }
}

fn started(seed: u64, key: i64) -> Commit {
    let lease = lease(seed);
    Commit {
        rounds_opened: vec![(lease.trial, 1, 5)],
        bound: vec![Bound { sweep: SWEEP, configuration: 0, seed, trial: lease.trial, round: 1, reused: false }],
        attempts_started: vec![AttemptStart {
            key: AttemptKey(key),
            lease,
            worker: "w".into(),
            session: u64::MAX,
            slot: 3,
            device: "cpu".into(),
            slot_memory_bytes: Some(1 << 34),
            at_ms: 6,
        }],
        ..Commit::default()
    }
}

fn result() -> ResultRecord {
    ResultRecord {
        outcome: Outcome::Converged,
        last: Some(epoch(3)),
        best: None,
        provenance: Provenance {
            params: u64::MAX,
            peak_memory_bytes: 1 << 63,
            origin: Origin {
                driver: "a driver 1.2".into(),
                kernel_cache: "/cache, empty".into(),
                worker: "w".into(),
                worker_version: "1 (abc)".into(),
                host: "a host".into(),
                coordinator_version: "2".into(),
                sweep: Some(u64::MAX),
                spec_digest: Some(Digest::of(b"spec")),
                revision: "0123-dirty".into(),
                protocol_digest: Some(Digest::of(b"protocol")),
            },
            ..fixture::provenance()
        },
        test: None,
    }
}

fn tested(mut row: ResultRow) -> ResultRow {
    row.result.test = Some(TestScore { epoch: 3, loss: f64::MIN_POSITIVE, accuracy: 1.0 });
    row.said.test = row.said.validation.clone().map(|said| Validation { predicted: vec![1], ..said });
    row
}

fn finished(seed: u64, key: i64) -> Commit {
    let validation = Validation { labels: vec![1], predicted: vec![0], confidence: vec![0.5], confusion: vec![0; 4] };
    Commit {
        points: points(key, 1..=3),
        results: vec![ResultRow {
            attempt: AttemptKey(key),
            result: result(),
            said: Predictions { validation: Some(validation), test: None },
        }],
        attempts_ended: vec![AttemptEnd {
            key: AttemptKey(key),
            lease: lease(seed),
            state: AttemptState::Succeeded,
            failure: None,
            at_ms: 9,
            start_seconds: 0.1,
            run_seconds: 0.2,
            log_tail: "log".into(),
        }],
        rounds_ended: vec![RoundEndRow {
            trial: lease(seed).trial,
            round: 1,
            state: RoundState::Succeeded,
            accepted: Some((1, Outcome::Converged)),
            failure: None,
            at_ms: 9,
        }],
        ..Commit::default()
    }
}

fn page(states: Vec<TrialState>) -> TrialPage {
    TrialPage { states, ..TrialPage::first(SWEEP, 100) }
}

async fn a_sweep_lives_through_a_reopening(place: &dyn Place) {
    let store = place.open().await;
    store.prepare(&preparation(SWEEP, 0..2)).await.unwrap();
    assert!(store.sweeps(&SweepPage::newest(9)).await.unwrap().is_empty(), "nobody is told before it has begun");
    let session = Commit { last_session: Some(41), ..begin(SWEEP) };
    store.commit(&session).await.unwrap();
    let before = store.sweep(SWEEP).await.unwrap().unwrap();
    store.close().await;
    drop(store);
    let store = place.open().await;
    let record = store.sweep(SWEEP).await.unwrap().unwrap();
    assert_eq!(record, before);
    assert_eq!((record.state, record.priority, record.trial_limit), (SweepState::Running, -2, u64::MAX));
    assert_eq!(store.sweep_named("test").await.unwrap(), Some(SWEEP));
    assert_eq!(store.unfinished(Digest::of(b"spec")).await.unwrap(), Some(SWEEP));
    let loaded = store.load().await.unwrap();
    assert_eq!((loaded.last_sweep, loaded.last_session, loaded.last_attempt), (1, 41, 0));
    let snapshot = &loaded.snapshot.sweeps[0];
    assert_eq!((snapshot.sweep.weight, snapshot.sweep.pin), (3, Some(Digest::of(b"data"))));
    assert_eq!(snapshot.stages[0].1.len(), 2);
    assert_eq!(loaded.sweeps[0].trials.len(), 2);
    let question = store.trial(trial(1).id().unwrap()).await.unwrap().unwrap();
    assert_eq!((question.trial, question.sweeps), (trial(1), vec![(SWEEP, 0, 1)]));
}

async fn what_was_prepared_and_never_begun_is_removed(place: &dyn Place) {
    let store = place.open().await;
    store.prepare(&preparation(SWEEP, 0..2)).await.unwrap();
    let loaded = store.load().await.unwrap();
    assert!(loaded.sweeps.is_empty());
    store.commit(&begin(SWEEP)).await.unwrap();
    assert!(store.sweep(SWEEP).await.unwrap().is_none(), "its rows are gone");
    assert!(store.trials(&page(Vec::new())).await.unwrap().is_empty());
}

async fn a_batch_counts_once_however_often_it_is_said(place: &dyn Place) {
    let store = place.open().await;
    for _ in 0..2 {
        store.prepare(&preparation(SWEEP, 0..2)).await.unwrap();
        store.commit(&begin(SWEEP)).await.unwrap();
    }
    store.commit(&started(0, 1)).await.unwrap();
    for _ in 0..2 {
        store.commit(&finished(0, 1)).await.unwrap();
    }
    // What comes late changes nothing.
    let mut late = finished(0, 1);
    late.points[0].metrics.val_loss = 99.0;
    late.attempts_ended[0].state = AttemptState::Failed;
    late.attempts_ended[0].failure = Some((FailureClass::Trainer, "late".into()));
    late.rounds_ended[0].state = RoundState::Failed;
    store.commit(&late).await.unwrap();
    let found = store.points(AttemptKey(1)).await.unwrap();
    assert_eq!((found.len(), found[0].metrics), (3, epoch(1)));
    let attempts = store.attempts(lease(0).trial).await.unwrap();
    assert_eq!((attempts.len(), attempts[0].state, &attempts[0].failure), (1, AttemptState::Succeeded, &None));
    let rows = store.trials(&page(Vec::new())).await.unwrap();
    assert_eq!((rows[0].state, rows[0].result.as_ref()), (TrialState::Succeeded, Some(&result())));
    assert_eq!((rows[1].state, rows[1].attempts), (TrialState::Queued, 0));
    assert_eq!(store.validation(AttemptKey(1)).await.unwrap().unwrap().confidence, [0.5]);
}

async fn a_result_is_found_by_the_next_sweep(place: &dyn Place) {
    let store = place.open().await;
    store.prepare(&preparation(SWEEP, 0..2)).await.unwrap();
    for commit in [begin(SWEEP), started(0, 1), finished(0, 1)] {
        store.commit(&commit).await.unwrap();
    }
    let second = SweepId(2);
    store.prepare(&preparation(second, 0..3)).await.unwrap();
    let histories = store.histories(second, &[0]).await.unwrap();
    assert_eq!(histories.len(), 1, "nothing is known of the others");
    let history = &histories[&lease(0).trial];
    let known = history.known.as_ref().unwrap();
    assert_eq!((history.rounds, history.attempts, known.round), (1, 1, 1));
    assert_eq!((known.data_digest, known.outcome), (Digest::of(b"data"), Outcome::Converged));
    assert!(store.histories(second, &[1]).await.unwrap().is_empty());
    let hex = lease(0).trial.to_string();
    assert_eq!(store.trials_like(&hex[..8], 2).await.unwrap(), [lease(0).trial]);
}

async fn a_live_attempt_comes_back_with_its_points(place: &dyn Place) {
    let store = place.open().await;
    store.prepare(&preparation(SWEEP, 0..2)).await.unwrap();
    store.commit(&begin(SWEEP)).await.unwrap();
    let mut commit = started(1, 5);
    commit.points = points(5, 1..=2);
    store.commit(&commit).await.unwrap();
    store.commit(&Commit { attempts_adopted: vec![(AttemptKey(5), 77)], ..Commit::default() }).await.unwrap();
    let loaded = store.load().await.unwrap();
    let live = &loaded.attempts[0];
    assert_eq!((live.key, live.lease, live.stored_sequence), (AttemptKey(5), lease(1), 2));
    assert_eq!((live.newest, live.slot, loaded.last_attempt), (Some(epoch(2)), 3, 5));
    let round = &loaded.snapshot.open_rounds[0];
    assert_eq!((round.trial, round.pin, round.failures, round.losses), (lease(1).trial, Digest::of(b"data"), 0, 0));
    assert_eq!(round.live.as_ref().unwrap().lease, lease(1));
    let running = store.trials(&page(vec![TrialState::Running])).await.unwrap();
    assert_eq!(running.iter().map(|row| row.seed).collect::<Vec<_>>(), [1]);
    assert!(store.replicates(SWEEP).try_collect::<Vec<_>>().await.unwrap()[1].running);
}
