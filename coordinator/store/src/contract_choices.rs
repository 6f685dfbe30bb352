//! What every backend must remember of choices: what a stage kept, what was prepared for it, and who got more seeds.

use super::*;

pub(super) async fn a_choice_is_never_revised(place: &dyn Place) {
    let store = place.open().await;
    store.prepare(&preparation(SWEEP, 0..1)).await.unwrap();
    store.commit(&begin(SWEEP)).await.unwrap();
    let ended = Commit { stages: vec![stage(SWEEP, Some(StageState::Ended), "")], ..Commit::default() };
    store.commit(&ended).await.unwrap();
    assert_eq!(store.load().await.unwrap().undecided, [(SWEEP, 0)]);
    for choice in ["filters=8", "filters=16"] {
        let commit = Commit { stages: vec![stage(SWEEP, None, choice)], ..Commit::default() };
        store.commit(&commit).await.unwrap();
    }
    let found = store.sweep(SWEEP).await.unwrap().unwrap().stages.remove(0);
    assert_eq!((found.choice.as_str(), found.winner, found.state), ("filters=8", Some(0), StageState::Ended));
    assert!(store.load().await.unwrap().undecided.is_empty());
}

/// A second stage, as another choice would prepare it: its one configuration, under one more seed.
fn chosen(position: u32, seed: u64) -> Preparation {
    let mut rows = preparation(SWEEP, seed..seed + 1);
    (rows.sweep, rows.stages) = (None, Vec::new());
    rows.configurations[0].position = position;
    rows.configurations[0].label = format!("chosen {position}");
    rows.stage_configurations = vec![(SWEEP, 1, position)];
    rows.trials[0].configuration = position;
    rows.afresh = Some(Afresh { sweep: SWEEP, stages: vec![1], seeds: vec![8, 9] });
    rows
}

pub(super) async fn what_an_uncommitted_choice_prepared_goes(place: &dyn Place) {
    let store = place.open().await;
    let mut rows = preparation(SWEEP, 0..2);
    let second = StageRow { position: 1, name: "two".into(), keep_best: false, ..rows.stages[0].clone() };
    rows.stages.push(second);
    store.prepare(&rows).await.unwrap();
    for commit in [begin(SWEEP), started(0, 1)] {
        store.commit(&commit).await.unwrap();
    }
    // Two choices that were never committed, and the one that is.
    store.prepare(&chosen(5, 8)).await.unwrap();
    store.prepare(&chosen(0, 8)).await.unwrap();
    store.prepare(&chosen(0, 9)).await.unwrap();
    let loaded = store.load().await.unwrap();
    let configurations: Vec<u32> = loaded.sweeps[0].configurations.iter().map(|row| row.position).collect();
    assert_eq!(configurations, [0]);
    let mut seeds: Vec<u64> = loaded.sweeps[0].trials.iter().map(|(_, _, seed)| *seed).collect();
    seeds.sort_unstable();
    assert_eq!(seeds, [0, 1, 9], "what is bound or belongs to an open stage stays");
    let open = StageChange { stage: 1, ..stage(SWEEP, Some(StageState::Open), "") };
    store.commit(&Commit { stages: vec![open], ..Commit::default() }).await.unwrap();
    store.prepare(&Preparation { afresh: chosen(0, 9).afresh, ..Preparation::default() }).await.unwrap();
    assert_eq!(store.load().await.unwrap().sweeps[0].trials.len(), 3, "of an open stage nothing goes");
    assert_eq!(store.configurations(SWEEP).await.unwrap()[0].stages, [0, 1]);
}

pub(super) async fn who_got_more_seeds_stays_when_a_stage_is_opened_again(place: &dyn Place) {
    let store = place.open().await;
    let mut rows = preparation(SWEEP, 0..1);
    rows.stages[0].keep_best = false;
    store.prepare(&rows).await.unwrap();
    let ended =
        StageChange { winner: None, ..stage(SWEEP, Some(StageState::Ended), "filters=8 and what it is compared with") };
    for commit in [begin(SWEEP), Commit { stages: vec![ended], ..Commit::default() }] {
        store.commit(&commit).await.unwrap();
    }
    for (state, choice) in [(StageState::Open, "filters=8 and what it is compared with"), (StageState::Waiting, "")] {
        let again = Commit { stages_reopened: vec![(SWEEP, 0, state)], ..Commit::default() };
        store.commit(&again).await.unwrap();
        let found = store.sweep(SWEEP).await.unwrap().unwrap().stages.remove(0);
        assert_eq!((found.state, found.choice.as_str()), (state, choice));
    }
}
