//! Many trials, and numbers at their extremes.

use super::*;

pub(super) async fn large_batches_are_whole(place: &dyn Place) {
    let store = place.open().await;
    let many = 1_237;
    store.prepare(&preparation(SWEEP, 0..many)).await.unwrap();
    store.commit(&begin(SWEEP)).await.unwrap();
    let mut commit = Commit::default();
    for seed in 0..many {
        let key = seed as i64 + 1;
        let (one, end) = (started(seed, key), finished(seed, key));
        commit.rounds_opened.extend(one.rounds_opened);
        commit.bound.extend(one.bound);
        commit.attempts_started.extend(one.attempts_started);
        commit.points.extend(end.points);
        commit.results.extend(end.results);
        commit.attempts_ended.extend(end.attempts_ended);
        commit.rounds_ended.extend(end.rounds_ended);
    }
    store.commit(&commit).await.unwrap();
    let replicates: Vec<_> = store.replicates(SWEEP).try_collect().await.unwrap();
    assert_eq!(replicates.len(), many as usize);
    assert!(replicates.iter().all(|replicate| replicate.result.as_ref() == Some(&result())));
    for seed in [0, 511, 512, many - 1] {
        assert_eq!(store.points(AttemptKey(seed as i64 + 1)).await.unwrap().len(), 3);
    }
    let mut next = page(Vec::new());
    (next.limit, next.after) = (10, Some((0, many - 3)));
    let rows = store.trials(&next).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.seed).collect::<Vec<_>>(), [many - 2, many - 1]);
    only_what_is_asked_for(&*store, many).await;
}

/// A page of one configuration or of one seed, also where states are asked for.
async fn only_what_is_asked_for(store: &dyn Store, many: u64) {
    let seeds = async |configuration, seed, states| {
        let page = TrialPage { configuration, seed, ..page(states) };
        store.trials(&page).await.unwrap().iter().map(|row| row.seed).collect::<Vec<_>>()
    };
    assert_eq!(seeds(Some(0), Some(many - 1), Vec::new()).await, [many - 1]);
    assert_eq!(seeds(None, Some(7), vec![TrialState::Succeeded]).await, [7]);
    assert!(seeds(None, Some(7), vec![TrialState::Failed]).await.is_empty());
    assert!(seeds(Some(1), None, Vec::new()).await.is_empty(), "there is only the configuration 0");
    assert!(seeds(None, Some(u64::MAX), Vec::new()).await.is_empty());
    assert_eq!(seeds(Some(0), None, Vec::new()).await.len(), 100, "the limit holds");
}

pub(super) async fn extreme_numbers_survive(place: &dyn Place) {
    let store = place.open().await;
    let seed = u64::MAX - 1;
    store.prepare(&preparation(SWEEP, seed..seed + 1)).await.unwrap();
    store.commit(&begin(SWEEP)).await.unwrap();
    store.commit(&started(seed, i64::MAX)).await.unwrap();
    let mut end = finished(seed, i64::MAX);
    let extreme =
        EpochMetrics { train_loss: f64::MAX, val_loss: f64::MIN_POSITIVE, seconds: 5e-324, ..epoch(u32::MAX) };
    end.results[0].result.last = Some(extreme);
    store.commit(&end).await.unwrap();
    let rows = store.trials(&page(Vec::new())).await.unwrap();
    assert_eq!((rows[0].seed, rows[0].result.as_ref().unwrap().last), (seed, Some(extreme)));
    assert_eq!(rows[0].trial, TrialId::from_bytes(*trial(seed).id().unwrap().as_bytes()));
}
