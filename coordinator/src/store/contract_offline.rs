//! What is done to sweeps without an engine, on every backend.

use super::*;
use crate::engine::{Error, offline};

/// Two sweeps that run and share the trial of seed 1; the first also has seed 0, which nobody else waits for.
async fn two_that_share(store: &dyn Store) {
    store.prepare(&preparation(SWEEP, 0..2)).await.unwrap();
    let second = preparation(SweepId(2), 1..3);
    let row = second.sweep.clone().unwrap();
    store.prepare(&Preparation { sweep: Some(SweepRow { name: "other".into(), ..row }), ..second }).await.unwrap();
    store.commit(&begin(SWEEP)).await.unwrap();
    store.commit(&begin(SweepId(2))).await.unwrap();
    store.commit(&started(0, 1)).await.unwrap();
    let mut shared = started(1, 2);
    shared.bound.push(Bound { sweep: SweepId(2), ..shared.bound[0].clone() });
    store.commit(&shared).await.unwrap();
}

async fn audited(store: &dyn Store) -> Vec<AuditRow> {
    let filter = AuditFilter { sweep: Some(SWEEP), limit: 100, ..AuditFilter::default() };
    let rows = store.audit(&filter).await.unwrap();
    rows.into_iter().filter(|row| row.action == AuditAction::Cancelled).collect()
}

pub(super) async fn a_sweep_is_cancelled_without_an_engine(place: &dyn Place) {
    let store = place.open().await;
    two_that_share(store.as_ref()).await;
    assert!(matches!(offline::cancel(store.as_ref(), "none", "me").await, Err(Error::NotFound { .. })));
    let cancelled = offline::cancel(store.as_ref(), "test", "me").await.unwrap();
    assert_eq!((cancelled.sweep, cancelled.trials), (1, 1), "another sweep waits for the shared trial");
    assert_eq!(store.sweep(SWEEP).await.unwrap().unwrap().state, SweepState::Cancelled);
    assert_eq!(audited(store.as_ref()).await.iter().map(|row| row.actor.as_str()).collect::<Vec<_>>(), ["me"]);
    assert!(store.open_rounds(SWEEP).await.unwrap().is_empty());
    assert_eq!(store.open_rounds(SweepId(2)).await.unwrap(), [(lease(1).trial, 1)]);
    let again = offline::cancel(store.as_ref(), "1", "me").await.unwrap_err();
    assert!(matches!(again, Error::Ended { .. }), "{again}");
    store.close().await;
    drop(store);
    let store = place.open().await;
    let loaded = store.load().await.unwrap();
    assert_eq!(loaded.sweeps.iter().map(|live| live.record.id).collect::<Vec<_>>(), [SweepId(2)]);
    assert_eq!(loaded.snapshot.open_rounds.iter().map(|round| round.trial).collect::<Vec<_>>(), [lease(1).trial]);
}

/// The sweep was cancelled, and its rounds were not: the machine stopped in between.
pub(super) async fn a_cancel_that_was_interrupted_goes_on(place: &dyn Place) {
    let store = place.open().await;
    two_that_share(store.as_ref()).await;
    let end = SweepEndRow { sweep: SWEEP, state: SweepState::Cancelled, reason: String::new(), at_ms: 9 };
    store.commit(&Commit { sweeps_ended: vec![end], ..Commit::default() }).await.unwrap();
    let cancelled = offline::cancel(store.as_ref(), "1", "me").await.unwrap();
    assert_eq!(cancelled.trials, 1);
    assert!(store.open_rounds(SWEEP).await.unwrap().is_empty());
}
