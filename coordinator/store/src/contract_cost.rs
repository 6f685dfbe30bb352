//! What every backend must remember of costs: what trials took, what was expected of them, and what a sweep has spent.

use super::*;

fn expected(key: i64) -> PredictionRow {
    PredictionRow { attempt: AttemptKey(key), seconds: 3.0, low: 2.0, high: 4.5, memory_bytes: 1 << 63 }
}

pub(super) async fn what_trials_took_is_found_with_what_was_expected(place: &dyn Place) {
    let store = place.open().await;
    store.prepare(&preparation(SWEEP, 0..3)).await.unwrap();
    store.commit(&begin(SWEEP)).await.unwrap();
    assert_eq!(store.spent_ms(SWEEP).await.unwrap(), 0);
    assert!(store.observed(10).await.unwrap().trials.is_empty());
    let first = Commit { predictions: vec![expected(1)], ..started(0, 1) };
    for commit in [first, started(1, 2), finished(0, 1)] {
        store.commit(&commit).await.unwrap();
    }
    assert_eq!(store.spent_ms(SWEEP).await.unwrap(), 3, "from 6 to 9, and what runs is not counted");
    let mut failed = finished(1, 2);
    failed.results.clear();
    failed.rounds_ended.clear();
    failed.attempts_ended[0].state = AttemptState::Failed;
    failed.attempts_ended[0].failure = Some((FailureClass::Trainer, "meant".into()));
    failed.attempts_ended[0].at_ms = 26;
    let found = sweep_spec::trainer::Described {
        digest: Digest::of(b"data"),
        classes: vec!["a".into()],
        channels: 3,
        train_images: 64,
        test_images: 32,
    };
    failed.descriptions.push((Digest::of(b"dataset"), found));
    // Of its 20 ms it did not run for 7.
    failed.pauses = vec![(AttemptKey(2), 7)];
    store.commit(&failed).await.unwrap();
    store.close().await;
    drop(store);
    let store = place.open().await;
    assert_eq!(store.spent_ms(SWEEP).await.unwrap(), 16, "a failed attempt is paid, but for what did not run");
    let loaded = store.load().await.unwrap();
    assert_eq!(loaded.sweeps[0].spent_ms, 16);
    let observed = store.observed(10).await.unwrap();
    assert_eq!(observed.sizes[&Digest::of(b"dataset")], (64, 32));
    let one = &observed.trials[0];
    assert_eq!((observed.trials.len(), one.predicted), (1, Some((3.0, 2.0, 4.5))));
    assert_eq!((one.seconds, one.run_seconds, one.slot_seconds), (2.5, 0.2, 0.003));
    assert_eq!((&one.configuration, &one.question.protocol), (&trial(0).configuration, &trial(0).protocol));
    assert_eq!((one.device_name.as_str(), one.threads, one.peak_memory_bytes), ("a name", 2, 1 << 63));
    let mut paused = Commit { pauses: vec![(AttemptKey(1), 1)], ..Commit::default() };
    store.commit(&paused).await.unwrap();
    paused.pauses[0].1 = u64::from(u32::MAX);
    store.commit(&paused).await.unwrap();
    assert_eq!(store.observed(10).await.unwrap().trials[0].slot_seconds, 0.002, "said twice, it counts once");
    let asked: Vec<TrialId> = (0..1_200).map(|seed| trial(seed).id().unwrap()).collect();
    assert_eq!(store.answered(&asked).await.unwrap(), [lease(0).trial].into());
    // A sweep that finds the result known has not paid for it.
    let second = SweepId(2);
    store.prepare(&preparation(second, 0..1)).await.unwrap();
    let bound = Bound { sweep: second, configuration: 0, seed: 0, trial: lease(0).trial, round: 1, reused: true };
    store.commit(&Commit { bound: vec![bound], ..begin(second) }).await.unwrap();
    assert_eq!(store.spent_ms(second).await.unwrap(), 0);
}

pub(super) async fn a_store_takes_room_and_more_of_it_with_more_in_it(place: &dyn Place) {
    let store = place.open().await;
    let empty = store.size_bytes().await.unwrap();
    store.prepare(&preparation(SWEEP, 0..5_000)).await.unwrap();
    let full = store.size_bytes().await.unwrap();
    assert!(0 < empty && empty < full, "{empty} bytes, then {full}");
}
