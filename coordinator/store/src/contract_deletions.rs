//! What every backend must do when a sweep is deleted, and with what nothing refers to.

use super::super::deletions::{DeletionRow, Deletions, Gone, PIECE, Step, Strays};
use super::super::record::ArtifactRecord;
use super::*;

fn deletes(sweep: SweepId, actor: &str) -> Commit {
    Commit { sweeps_deleted: vec![DeletionRow { sweep, actor: actor.into(), at_ms: 20 }], ..Commit::default() }
}

async fn end(store: &dyn Store, sweep: SweepId) {
    let end = SweepEndRow { sweep, state: SweepState::Succeeded, reason: String::new(), at_ms: 10 };
    store.commit(&Commit { sweeps_ended: vec![end], ..Commit::default() }).await.unwrap();
}

async fn leave(store: &dyn Store, key: i64, seed: u64, content: &[u8]) {
    let record = ArtifactRecord {
        digest: Digest::of(content),
        kind: ArtifactKind::Log,
        owner: Some((AttemptKey(key), lease(seed).trial, 1)),
        data_digest: None,
        size_bytes: content.len() as u64,
    };
    store.add_artifact(&record).await.unwrap();
}

/// Removes all that is left of it, as the engine does.
async fn remove(store: &dyn Store, sweep: SweepId) -> Step {
    loop {
        let trials = store.next_to_go(sweep).await.unwrap();
        match store.delete_piece(sweep, &trials).await.unwrap() {
            Step::More => {}
            step => return step,
        }
    }
}

/// Two sweeps that have ended. The first has seeds 0 and 1, the second 1 and 2; each trial has an answer and an artifact, and
/// the artifacts of seeds 0 and 2 have the same content.
async fn two_that_share(store: &dyn Store) -> SweepId {
    let second = SweepId(2);
    store.prepare(&preparation(SWEEP, 0..2)).await.unwrap();
    store.prepare(&preparation(second, 1..3)).await.unwrap();
    store.commit(&begin(SWEEP)).await.unwrap();
    store.commit(&begin(second)).await.unwrap();
    for (seed, content) in [(0_u64, &b"equal"[..]), (1, b"shared"), (2, b"equal")] {
        let key = seed as i64 + 1;
        let mut start = started(seed, key);
        if seed == 2 {
            start.bound[0].sweep = second;
        }
        store.commit(&start).await.unwrap();
        store.commit(&finished(seed, key)).await.unwrap();
        leave(store, key, seed, content).await;
    }
    leave(store, 1, 0, b"its own").await;
    end(store, SWEEP).await;
    end(store, second).await;
    second
}

pub(super) async fn a_deleted_sweep_is_gone_at_once_and_what_others_have_stays(place: &dyn Place) {
    let store = place.open().await;
    let second = two_that_share(store.as_ref()).await;
    let weighed = store.weigh(SWEEP).await.unwrap();
    assert_eq!(weighed, Gone { trials: 1, kept: 1, artifacts: 1, artifact_bytes: 7 });
    store.commit(&deletes(SWEEP, "me")).await.unwrap();
    // From the first commit on, before anything large is removed.
    assert!(store.sweep(SWEEP).await.unwrap().is_none());
    assert_eq!(
        store.sweeps(&SweepPage::newest(9)).await.unwrap().iter().map(|row| row.id).collect::<Vec<_>>(),
        [second]
    );
    assert_eq!(store.sweep_named("test").await.unwrap(), Some(second));
    assert!(store.ended(SWEEP).await.unwrap().is_none());
    let of_both = store.trial(lease(1).trial).await.unwrap().unwrap();
    assert_eq!(of_both.sweeps.iter().map(|(sweep, ..)| *sweep).collect::<Vec<_>>(), [second]);
    let found = store.deletion(SWEEP).await.unwrap().unwrap();
    assert_eq!((found.name.as_str(), found.submitter.as_str(), found.actor.as_str()), ("test", "somebody", "me"));
    assert_eq!((found.asked_ms, found.finished_ms, found.gone), (20, 0, Gone::default()));
    // A crash before anything was removed: the next one that leads goes on.
    store.close().await;
    drop(store);
    let store = place.open().await;
    assert_eq!(store.load().await.unwrap().last_sweep, 2);
    assert_eq!(store.unfinished_deletions().await.unwrap(), [SWEEP]);
    assert_eq!(remove(store.as_ref(), SWEEP).await, Step::Nothing);
    store.finish_deletion(SWEEP, 30, 4096).await.unwrap();
    let found = store.deletion(SWEEP).await.unwrap().unwrap();
    assert_eq!((found.finished_ms, found.store_bytes, found.gone), (30, 4096, weighed));
    assert!(store.unfinished_deletions().await.unwrap().is_empty());
    assert!(store.trial(lease(0).trial).await.unwrap().is_none());
    assert!(store.attempts(lease(0).trial).await.unwrap().is_empty());
    assert!(
        store.points(AttemptKey(1)).await.unwrap().is_empty() && store.result(AttemptKey(1)).await.unwrap().is_none()
    );
    for seed in [1, 2] {
        let key = AttemptKey(seed as i64 + 1);
        assert_eq!(store.points(key).await.unwrap().len(), 3, "seed {seed}");
        assert!(store.result(key).await.unwrap().is_some() && store.validation(key).await.unwrap().is_some());
    }
    assert_eq!(store.artifacts(second).await.unwrap().len(), 2);
    assert_eq!(store.removals().await.unwrap(), [Digest::of(b"its own")], "the other content is another trial's too");
}

pub(super) async fn a_trial_goes_with_the_last_sweep_that_refers_to_it(place: &dyn Place) {
    let store = place.open().await;
    let second = two_that_share(store.as_ref()).await;
    for sweep in [SWEEP, second] {
        store.commit(&deletes(sweep, "me")).await.unwrap();
    }
    // Both are on their way out: the first to be removed leaves the shared trial to the other.
    for sweep in store.unfinished_deletions().await.unwrap() {
        assert_eq!(remove(store.as_ref(), sweep).await, Step::Nothing);
        store.finish_deletion(sweep, 30, 0).await.unwrap();
    }
    for seed in 0..3 {
        assert!(store.trial(lease(seed).trial).await.unwrap().is_none(), "seed {seed}");
    }
    let mut removals = store.removals().await.unwrap();
    removals.sort_unstable_by_key(|digest| *digest.as_bytes());
    let mut expected = [&b"equal"[..], b"shared", b"its own"].map(Digest::of);
    expected.sort_unstable_by_key(|digest| *digest.as_bytes());
    assert_eq!(removals, expected);
    // Numbers are not given again.
    store.close().await;
    drop(store);
    let loaded = place.open().await.load().await.unwrap();
    assert_eq!((loaded.last_sweep, loaded.last_attempt), (2, 3));
}

pub(super) async fn only_a_sweep_that_has_ended_is_deleted(place: &dyn Place) {
    let store = place.open().await;
    store.prepare(&preparation(SWEEP, 0..1)).await.unwrap();
    store.commit(&deletes(SWEEP, "me")).await.unwrap();
    store.commit(&begin(SWEEP)).await.unwrap();
    store.commit(&deletes(SWEEP, "me")).await.unwrap();
    assert_eq!(store.sweep(SWEEP).await.unwrap().unwrap().state, SweepState::Running);
    assert!(store.deletion(SWEEP).await.unwrap().is_none());
    assert_eq!(store.delete_piece(SWEEP, &[]).await.unwrap(), Step::Nothing);
    assert_eq!(store.replicates(SWEEP).try_collect::<Vec<_>>().await.unwrap().len(), 1);
}

/// A worker was told to stop a trial of a cancelled sweep, and has not said that it did.
pub(super) async fn a_trial_that_a_worker_still_runs_goes_last(place: &dyn Place) {
    let store = place.open().await;
    store.prepare(&preparation(SWEEP, 0..2)).await.unwrap();
    store.commit(&begin(SWEEP)).await.unwrap();
    store.commit(&started(0, 1)).await.unwrap();
    store.commit(&started(1, 2)).await.unwrap();
    store.commit(&finished(1, 2)).await.unwrap();
    let end = SweepEndRow { sweep: SWEEP, state: SweepState::Cancelled, reason: String::new(), at_ms: 10 };
    store.commit(&Commit { sweeps_ended: vec![end], ..Commit::default() }).await.unwrap();
    store.commit(&deletes(SWEEP, "me")).await.unwrap();
    assert_eq!(remove(store.as_ref(), SWEEP).await, Step::Waits);
    assert!(
        store.trial(lease(1).trial).await.unwrap().is_none() && store.trial(lease(0).trial).await.unwrap().is_some()
    );
    let stopped = AttemptEnd { state: AttemptState::Stopped, ..finished(0, 1).attempts_ended.remove(0) };
    store.commit(&Commit { attempts_ended: vec![stopped], ..Commit::default() }).await.unwrap();
    assert_eq!(remove(store.as_ref(), SWEEP).await, Step::Nothing);
    assert!(store.trial(lease(0).trial).await.unwrap().is_none());
    // What its worker hands in now belongs to nothing.
    leave(store.as_ref(), 1, 0, b"late").await;
    assert!(store.artifact(Digest::of(b"late")).await.unwrap().is_none());
}

/// A submit that was under way took up a trial after it was looked up and before the piece was removed.
pub(super) async fn a_trial_that_is_wanted_again_meanwhile_stays(place: &dyn Place) {
    let store = place.open().await;
    two_that_share(store.as_ref()).await;
    store.commit(&deletes(SWEEP, "me")).await.unwrap();
    let looked_up = store.next_to_go(SWEEP).await.unwrap();
    assert_eq!(looked_up, [lease(0).trial]);
    store.prepare(&preparation(SweepId(3), 0..1)).await.unwrap();
    store.delete_piece(SWEEP, &looked_up).await.unwrap();
    assert!(store.result(AttemptKey(1)).await.unwrap().is_some());
    assert_eq!(remove(store.as_ref(), SWEEP).await, Step::Nothing);
    assert!(store.trial(lease(0).trial).await.unwrap().is_some());
    // One of which somebody may still remember what was known is left alone.
    store.commit(&begin(SweepId(3))).await.unwrap();
    let end = SweepEndRow { sweep: SweepId(3), state: SweepState::Succeeded, reason: String::new(), at_ms: 10 };
    store.commit(&Commit { sweeps_ended: vec![end], ..Commit::default() }).await.unwrap();
    store.commit(&deletes(SweepId(3), "me")).await.unwrap();
    assert_eq!(store.delete_piece(SweepId(3), &[]).await.unwrap(), Step::More);
    assert!(store.trial(lease(0).trial).await.unwrap().is_some());
}

/// A copy that is made between two pieces goes on with the deletion.
async fn a_half_deleted_sweep_is_copied(store: &dyn Store, path: &std::path::Path) {
    store.snapshot(path).await.unwrap();
    let report = crate::check::check(path).await.unwrap();
    assert!(report.is_sound(), "{report}");
    let copy = SqliteStore::open(&Options::new(path)).await.unwrap();
    assert_eq!(copy.unfinished_deletions().await.unwrap(), [SWEEP]);
    assert_eq!(remove(&copy, SWEEP).await, Step::Nothing);
    assert_eq!(copy.deletion(SWEEP).await.unwrap().unwrap().gone.trials, u64::from(PIECE) * 2 + 1);
    copy.close().await;
}

pub(super) async fn a_large_sweep_goes_in_pieces(place: &dyn Place) {
    let store = place.open().await;
    let trials = u64::from(PIECE) * 2 + 1;
    store.prepare(&preparation(SWEEP, 0..trials)).await.unwrap();
    store.commit(&begin(SWEEP)).await.unwrap();
    end(store.as_ref(), SWEEP).await;
    store.commit(&deletes(SWEEP, "me")).await.unwrap();
    let mut pieces = 0;
    loop {
        let next = store.next_to_go(SWEEP).await.unwrap();
        assert!(next.len() <= PIECE as usize);
        pieces += usize::from(!next.is_empty());
        if pieces == 2 {
            let folder = tempfile::tempdir().unwrap();
            a_half_deleted_sweep_is_copied(store.as_ref(), &folder.path().join("half.db")).await;
        }
        if store.delete_piece(SWEEP, &next).await.unwrap() == Step::Nothing {
            break;
        }
    }
    assert_eq!(pieces, 3);
    assert_eq!(store.deletion(SWEEP).await.unwrap().unwrap().gone.trials, trials);
    assert!(store.configurations(SWEEP).await.unwrap().is_empty());
    store.shrink().await.unwrap();
}

pub(super) async fn trials_of_no_sweep_are_found_and_removed(place: &dyn Place) {
    let store = place.open().await;
    store.prepare(&preparation(SWEEP, 0..2)).await.unwrap();
    // It never begins, and a start removes it.
    store.load().await.unwrap();
    assert!(store.sweeps(&SweepPage::newest(9)).await.unwrap().is_empty());
    let mut found = store.orphans(i64::MAX, 10).await.unwrap();
    found.sort_unstable();
    let mut expected = [lease(0).trial, lease(1).trial];
    expected.sort_unstable();
    assert_eq!(found, expected);
    store.prepare(&preparation(SweepId(2), 1..2)).await.unwrap();
    let gone = store.delete_orphans(&found).await.unwrap();
    assert_eq!(gone.trials, 1, "one is wanted by now");
    assert!(
        store.trial(lease(1).trial).await.unwrap().is_some() && store.trial(lease(0).trial).await.unwrap().is_none()
    );
}

/// Only a result is kept for a while: a later sweep may reuse it.
pub(super) async fn a_trial_of_no_sweep_stays_as_long_as_its_result_is_young(place: &dyn Place) {
    let store = place.open().await;
    store.prepare(&preparation(SWEEP, 0..2)).await.unwrap();
    let mut tried = started(0, 1);
    tried.bound.clear();
    store.commit(&tried).await.unwrap();
    // The sweep never begins, and a start removes it and its references.
    store.load().await.unwrap();
    let ended = finished(0, 1).attempts_ended;
    let ended_ms = ended[0].at_ms;
    assert_eq!(store.orphans(i64::MAX, 10).await.unwrap(), [lease(1).trial], "a worker runs the other");
    store.commit(&Commit { attempts_ended: ended, ..Commit::default() }).await.unwrap();
    assert_eq!(store.orphans(ended_ms - 1, 10).await.unwrap(), [lease(1).trial], "the other has a young result");
    assert_eq!(store.orphans(ended_ms, 10).await.unwrap().len(), 2);
}

async fn stray_settings(store: &dyn Store) -> u64 {
    store.strays(i64::MIN, 0).await.unwrap().settings
}

pub(super) async fn settings_go_when_no_trial_has_them_and_come_with_the_next_that_does(place: &dyn Place) {
    let store = place.open().await;
    let second = two_that_share(store.as_ref()).await;
    for sweep in [SWEEP, second] {
        assert_eq!((stray_settings(store.as_ref()).await, store.delete_settings().await.unwrap()), (0, 0), "{sweep}");
        store.commit(&deletes(sweep, "me")).await.unwrap();
        assert_eq!(remove(store.as_ref(), sweep).await, Step::Nothing);
    }
    assert_eq!((stray_settings(store.as_ref()).await, store.delete_settings().await.unwrap()), (1, 1));
    assert_eq!((stray_settings(store.as_ref()).await, store.delete_settings().await.unwrap()), (0, 0));
    store.prepare(&preparation(SweepId(3), 0..1)).await.unwrap();
    assert!(store.trial(lease(0).trial).await.unwrap().is_some());
    assert_eq!(store.delete_settings().await.unwrap(), 0);
}

fn thumbnails(data: &[u8], content: &[u8]) -> ArtifactRecord {
    ArtifactRecord {
        digest: Digest::of(content),
        kind: ArtifactKind::Thumbnails,
        owner: None,
        data_digest: Some(Digest::of(data)),
        size_bytes: content.len() as u64,
    }
}

pub(super) async fn thumbnails_go_with_the_last_sweep_that_is_pinned_to_their_data(place: &dyn Place) {
    let store = place.open().await;
    let second = two_that_share(store.as_ref()).await;
    let thumbnails = |data: &[u8]| thumbnails(data, &[data, b" in small"].concat());
    store.add_artifact(&thumbnails(b"data")).await.unwrap();
    store.add_artifact(&thumbnails(b"others")).await.unwrap();
    assert_eq!(store.stray_thumbnails().await.unwrap(), [(thumbnails(b"others").digest, 15)]);
    let both = [thumbnails(b"data").digest, thumbnails(b"others").digest];
    assert_eq!(store.forget_thumbnails(&both).await.unwrap().artifacts, 1, "sweeps are pinned to the other");
    assert_eq!(store.known_contents(&both).await.unwrap().len(), 2, "one of them is to be removed");
    for sweep in [SWEEP, second] {
        assert!(store.artifact(both[0]).await.unwrap().is_some());
        store.commit(&deletes(sweep, "me")).await.unwrap();
        assert_eq!(remove(store.as_ref(), sweep).await, Step::Nothing);
    }
    assert!(store.artifact(both[0]).await.unwrap().is_none());
}

/// A sweep of one trial with these settings, which never begins.
fn with_settings(sweep: SweepId, seed: u64, body: &str) -> Preparation {
    let mut rows = preparation(sweep, seed..seed + 1);
    rows.trials[0].question = Digest::of(body.as_bytes());
    rows.questions = vec![(rows.trials[0].question, body.to_owned())];
    rows
}

/// Every kind of what a collection removes, each beside something that stays.
pub(super) async fn a_dry_run_counts_what_a_collection_removes(place: &dyn Place) {
    let store = place.open().await;
    two_that_share(store.as_ref()).await;
    // Trials whose sweeps never begin: one has the settings of a sweep that stays, two have the same settings, and two more
    // have others, of which one trial stays for its young result.
    store.prepare(&preparation(SweepId(3), 3..4)).await.unwrap();
    for (seed, settings) in [(4, "{}"), (5, "{}"), (6, "[]"), (7, "[]")] {
        store.prepare(&with_settings(SweepId(seed), seed, settings)).await.unwrap();
    }
    for (seed, key, ended_ms) in [(5, 8, 6), (7, 9, 20)] {
        let mut tried = started(seed, key);
        tried.bound.clear();
        store.commit(&tried).await.unwrap();
        let mut ended = finished(seed, key);
        ended.attempts_ended[0].at_ms = ended_ms;
        store.commit(&ended).await.unwrap();
    }
    let without_trials = vec![(Digest::of(b"1"), "1".to_owned())];
    store.prepare(&Preparation { questions: without_trials, ..Preparation::default() }).await.unwrap();
    leave(store.as_ref(), 8, 5, b"of a trial that goes").await;
    for (data, content) in [
        (&b"data"[..], &b"of a sweep"[..]),
        (b"others", b"of no sweep"),
        (b"more", b"shared"),
        (b"much more", b"of a trial that goes"),
    ] {
        store.add_artifact(&thumbnails(data, content)).await.unwrap();
    }
    // A start removes the sweeps that never began.
    store.load().await.unwrap();
    let counted = store.strays(10, 100).await.unwrap();
    assert_eq!(counted, Strays { trials: 4, settings: 2, thumbnails: 2, thumbnail_bytes: 11 + 20 });
    assert_eq!(store.strays(10, 1).await.unwrap().trials, 1, "of more trials than one collection takes");
    let orphans = store.orphans(10, 100).await.unwrap();
    let trials = store.delete_orphans(&orphans).await.unwrap().trials;
    let settings = store.delete_settings().await.unwrap();
    let found: Vec<Digest> = store.stray_thumbnails().await.unwrap().into_iter().map(|(digest, _)| digest).collect();
    let gone = store.forget_thumbnails(&found).await.unwrap();
    let removed = Strays { trials, settings, thumbnails: gone.artifacts, thumbnail_bytes: gone.artifact_bytes };
    assert_eq!(counted, removed);
    assert_eq!(store.strays(10, 100).await.unwrap(), Strays::default());
    assert_eq!(store.artifacts(SweepId(2)).await.unwrap().len(), 3, "what stays has its artifacts and thumbnails");
}
