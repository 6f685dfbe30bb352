//! Cancels a sweep in a store that no coordinator has open.

use sweep_coordinator::engine::{Error, offline};
use sweep_scheduler::SweepId;
use sweep_store::Store;
use sweep_store::codes::{AuditAction, SweepState};
use sweep_store::record::AuditFilter;
use sweep_store::write::{Bound, Commit, SweepEndRow};

use crate::env::{SWEEP, begin, start, trial};
use crate::place::Place;

const OTHER: SweepId = SweepId(2);

/// Two running sweeps that share the trial of seed 1; only the first has seed 0.
async fn two_that_share(store: &dyn Store) {
    begin(store, SWEEP, 0..2).await;
    begin(store, OTHER, 1..3).await;
    let bound = |sweep, seed| Bound { sweep, configuration: 0, seed, trial: trial(seed), round: 1, reused: false };
    let commit = Commit {
        rounds_opened: vec![(trial(0), 1, 5), (trial(1), 1, 5)],
        bound: vec![bound(SWEEP, 0), bound(SWEEP, 1), bound(OTHER, 1)],
        attempts_started: vec![start(0, 1), start(1, 2)],
        ..Commit::default()
    };
    store.commit(&commit).await.unwrap();
}

async fn cancelled_by(store: &dyn Store) -> Vec<String> {
    let filter = AuditFilter { sweep: Some(SWEEP), limit: 100, ..AuditFilter::default() };
    let rows = store.audit(&filter).await.unwrap();
    rows.into_iter().filter(|row| row.action == AuditAction::Cancelled).map(|row| row.actor).collect()
}

#[tokio::test]
async fn trials_that_another_sweep_waits_for_stay() {
    for place in Place::all() {
        let store = place.open().await;
        two_that_share(store.as_ref()).await;
        assert!(matches!(offline::cancel(store.as_ref(), "none", "me").await, Err(Error::NotFound { .. })));
        let cancelled = offline::cancel(store.as_ref(), "1", "me").await.unwrap();
        assert_eq!((cancelled.sweep, cancelled.trials), (1, 1));
        assert_eq!(store.sweep(SWEEP).await.unwrap().unwrap().state, SweepState::Cancelled);
        assert_eq!(cancelled_by(store.as_ref()).await, ["me"]);
        assert!(store.open_rounds(SWEEP).await.unwrap().is_empty());
        assert_eq!(store.open_rounds(OTHER).await.unwrap(), [(trial(1), 1)]);
        let again = offline::cancel(store.as_ref(), "1", "me").await.unwrap_err();
        assert!(matches!(again, Error::Ended { .. }), "{again}");
        store.close().await;
        drop(store);
        let store = place.open().await;
        let loaded = store.load().await.unwrap();
        assert_eq!(loaded.sweeps.iter().map(|live| live.record.id).collect::<Vec<_>>(), [OTHER]);
        assert_eq!(loaded.snapshot.open_rounds.iter().map(|round| round.trial).collect::<Vec<_>>(), [trial(1)]);
    }
}

#[tokio::test]
async fn a_sweep_is_found_by_its_name() {
    for place in Place::all() {
        let store = place.open().await;
        begin(store.as_ref(), SWEEP, 0..2).await;
        assert_eq!(offline::cancel(store.as_ref(), "test", "me").await.unwrap().name, "test");
    }
}

/// The machine stopped after the sweep was cancelled and before its rounds were.
#[tokio::test]
async fn an_interrupted_cancel_goes_on() {
    for place in Place::all() {
        let store = place.open().await;
        two_that_share(store.as_ref()).await;
        let end = SweepEndRow { sweep: SWEEP, state: SweepState::Cancelled, reason: String::new(), at_ms: 9 };
        store.commit(&Commit { sweeps_ended: vec![end], ..Commit::default() }).await.unwrap();
        let cancelled = offline::cancel(store.as_ref(), "1", "me").await.unwrap();
        assert_eq!(cancelled.trials, 1);
        assert!(store.open_rounds(SWEEP).await.unwrap().is_empty());
    }
}
