//! What every backend must remember of whose weights are kept.

use super::super::record::ArtifactRecord;
use super::super::weights::{Settled, Settlement};
use super::*;

/// Two configurations, each under a seed of its own, both of them answered.
async fn two_answered(store: &dyn Store) {
    let mut rows = preparation(SWEEP, 0..2);
    rows.configurations.push(ConfigurationRow { position: 1, baseline: false, ..rows.configurations[0].clone() });
    rows.stage_configurations.push((SWEEP, 0, 1));
    rows.trials[1].configuration = 1;
    store.prepare(&rows).await.unwrap();
    let mut second = started(1, 2);
    second.bound[0].configuration = 1;
    for commit in [begin(SWEEP), started(0, 1), second, finished(0, 1), finished(1, 2)] {
        store.commit(&commit).await.unwrap();
    }
}

async fn leave(store: &dyn Store, kind: ArtifactKind, seed: u64, content: &[u8]) {
    let owner = Some((AttemptKey(seed as i64 + 1), lease(seed).trial, 1));
    let record = ArtifactRecord {
        digest: Digest::of(content),
        kind,
        owner,
        data_digest: None,
        size_bytes: content.len() as u64,
    };
    store.add_artifact(&record).await.unwrap();
}

async fn end(store: &dyn Store, sweep: SweepId, at_ms: i64) {
    let end = SweepEndRow { sweep, state: SweepState::Succeeded, reason: String::new(), at_ms };
    let commit = Commit { sweeps_ended: vec![end], weights_due: vec![(sweep, at_ms)], ..Commit::default() };
    store.commit(&commit).await.unwrap();
}

async fn settle(store: &dyn Store, sweep: SweepId, ended_ms: i64, kept: Option<Vec<u32>>) -> Settled {
    let audit = AuditRow {
        at_ms: ended_ms,
        actor: "coordinator".into(),
        action: AuditAction::WeightsKept,
        sweep: Some(sweep),
        trial: None,
        attempt: None,
        worker: String::new(),
        detail: "of the winner".into(),
    };
    store.settle_weights(&Settlement { sweep, ended_ms, kept, audit }).await.unwrap()
}

async fn kept(store: &dyn Store) -> Vec<(TrialId, ArtifactKind)> {
    let found = store.artifacts(SWEEP).await.unwrap();
    found.into_iter().map(|artifact| (artifact.owner.unwrap().1, artifact.kind)).collect()
}

pub(super) async fn a_sweep_that_ended_keeps_the_weights_that_it_chose(place: &dyn Place) {
    let store = place.open().await;
    two_answered(store.as_ref()).await;
    leave(store.as_ref(), ArtifactKind::Weights, 0, b"won").await;
    leave(store.as_ref(), ArtifactKind::Weights, 1, b"lost").await;
    leave(store.as_ref(), ArtifactKind::Log, 1, b"words").await;
    assert!(!settle(store.as_ref(), SWEEP, 10, Some(vec![0])).await.done, "it runs");
    end(store.as_ref(), SWEEP, 10).await;
    store.close().await;
    drop(store);
    let store = place.open().await;
    assert_eq!(store.load().await.unwrap().weights_due, [SWEEP], "a crash before the choice");
    assert!(store.wants_weights(lease(1).trial).await.unwrap(), "until it has chosen, all are kept");
    assert!(!settle(store.as_ref(), SWEEP, 9, Some(vec![0])).await.done, "it went on after that end");
    assert_eq!(settle(store.as_ref(), SWEEP, 10, Some(vec![0])).await, Settled { done: true, released: 1 });
    assert!(!settle(store.as_ref(), SWEEP, 10, Some(vec![1])).await.done, "said twice, it counts once");
    let logs = (lease(1).trial, ArtifactKind::Log);
    assert_eq!(kept(store.as_ref()).await, [logs, (lease(0).trial, ArtifactKind::Weights)]);
    assert!(store.wants_weights(lease(0).trial).await.unwrap());
    assert!(!store.wants_weights(lease(1).trial).await.unwrap(), "what comes late is not taken");
    store.close().await;
    drop(store);
    let store = place.open().await;
    assert!(store.load().await.unwrap().weights_due.is_empty());
    assert_eq!(store.removals().await.unwrap(), [Digest::of(b"lost")], "a crash before the file went");
    store.removed(Digest::of(b"lost")).await.unwrap();
    assert!(store.removals().await.unwrap().is_empty());
    let told = store.audit(&AuditFilter { limit: 100, ..AuditFilter::default() }).await.unwrap();
    assert_eq!(told.iter().filter(|row| row.action == AuditAction::WeightsKept).count(), 1);
    let again = Commit { sweeps_reopened: vec![SWEEP], ..Commit::default() };
    store.commit(&again).await.unwrap();
    assert!(store.wants_weights(lease(1).trial).await.unwrap(), "a sweep that goes on keeps all again");
}

pub(super) async fn weights_stay_while_any_sweep_keeps_them(place: &dyn Place) {
    let store = place.open().await;
    two_answered(store.as_ref()).await;
    // The same content for both, and a second sweep that has the trial of seed 1.
    for seed in 0..2 {
        leave(store.as_ref(), ArtifactKind::Weights, seed, b"equal").await;
    }
    let second = SweepId(2);
    store.prepare(&preparation(second, 1..2)).await.unwrap();
    store.commit(&begin(second)).await.unwrap();
    end(store.as_ref(), SWEEP, 10).await;
    assert_eq!(settle(store.as_ref(), SWEEP, 10, Some(vec![0])).await.released, 0, "the second sweep runs");
    assert_eq!(kept(store.as_ref()).await.len(), 2);
    end(store.as_ref(), second, 11).await;
    assert_eq!(settle(store.as_ref(), second, 11, Some(vec![7])).await.released, 1);
    assert_eq!(kept(store.as_ref()).await, [(lease(0).trial, ArtifactKind::Weights)]);
    assert!(store.removals().await.unwrap().is_empty(), "another trial has the same content");
    // Nothing is ranked: everything stays.
    let third = SweepId(3);
    store.prepare(&preparation(third, 1..2)).await.unwrap();
    store.commit(&begin(third)).await.unwrap();
    end(store.as_ref(), third, 12).await;
    assert_eq!(settle(store.as_ref(), third, 12, None).await, Settled { done: true, released: 0 });
    assert!(store.wants_weights(lease(1).trial).await.unwrap());
    assert!(store.load().await.unwrap().weights_due.is_empty());
}
