//! Lists of sweeps, the texts of their specs, and what is kept of those that have ended, on every backend.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use sweep_spec::spec::Limits;
use sweep_spec::{Spec, TrialCounts};

use super::*;
use crate::packed;
use crate::record::SweepTitle;
use crate::summary::{Asked, Placed, Summary};

async fn begun(store: &dyn Store, id: u64, name: &str) {
    let mut rows = preparation(SweepId(id), 0..2);
    if let Some(row) = &mut rows.sweep {
        name.clone_into(&mut row.name);
        row.spec = format!("version: {id}").into_bytes();
    }
    store.prepare(&rows).await.unwrap();
    store.commit(&begin(SweepId(id))).await.unwrap();
}

async fn ended(store: &dyn Store, id: u64, at_ms: i64) {
    let row = SweepEndRow { sweep: SweepId(id), state: SweepState::Succeeded, reason: String::new(), at_ms };
    store.commit(&Commit { sweeps_ended: vec![row], ..Commit::default() }).await.unwrap();
}

fn summary(value: f64) -> Summary {
    let text = b"version: 1\nname: a\ndataset: { kind: synthetic_scenes, image_size: 8, channels: 1, classes: 8 }\n\
        baseline: { family: cnn }\nextra: [ { name: one, family: cnn } ]\n";
    let asked = Asked::of(&Spec::parse(text, &[], &Limits::default()).unwrap(), vec![3]);
    let counts = TrialCounts { succeeded: 2, ..TrialCounts::default() };
    let mut summary = Summary::new(counts, &[counts], asked);
    summary.best.push(Placed { rank: 1, position: 0, label: "baseline".into(), value, params: u64::MAX });
    summary.spent_ms = 7;
    summary
}

pub(super) async fn a_list_of_sweeps_comes_page_by_page_and_newest_first(place: &dyn Place) {
    let store = place.open().await;
    for id in 1..=5 {
        begun(store.as_ref(), id, &format!("sweep {id}")).await;
    }
    store.prepare(&preparation(SweepId(6), 0..2)).await.unwrap();
    ended(store.as_ref(), 2, 9).await;
    ended(store.as_ref(), 4, 9).await;
    let listed = async |page: SweepPage| {
        let records = store.sweeps(&page).await.unwrap();
        for record in &records {
            assert_eq!(Some(record), store.sweep(record.id).await.unwrap().as_ref());
            assert_eq!((record.stages.len(), record.submission.fresh), (1, true));
        }
        records.iter().map(|record| record.id.0).collect::<Vec<_>>()
    };
    assert_eq!(listed(SweepPage::newest(3)).await, [5, 4, 3]);
    assert_eq!(listed(SweepPage { before: Some(SweepId(3)), ..SweepPage::newest(3) }).await, [2, 1]);
    assert_eq!(listed(SweepPage { running: Some(true), ..SweepPage::newest(2) }).await, [5, 3]);
    assert_eq!(listed(SweepPage { running: Some(false), ..SweepPage::newest(9) }).await, [4, 2]);
    assert_eq!(listed(SweepPage { before: Some(SweepId(1)), ..SweepPage::newest(9) }).await, [0; 0]);
    let titles = store.sweep_titles().await.unwrap();
    assert_eq!(
        titles.iter().map(|title| title.id.0).collect::<Vec<_>>(),
        [5, 4, 3, 2, 1],
        "what never began is not there"
    );
    let (id, state) = (SweepId(4), SweepState::Succeeded);
    assert_eq!(titles[1], SweepTitle { id, state, name: "sweep 4".into(), submitter: "somebody".into() });
}

pub(super) async fn the_text_of_a_spec_comes_back_and_goes_with_what_never_began(place: &dyn Place) {
    let store = place.open().await;
    let mut rows = preparation(SWEEP, 0..2);
    let text = "# a comment of a person who writes much\n".repeat(20_000).into_bytes();
    if let Some(row) = &mut rows.sweep {
        row.spec.clone_from(&text);
    }
    store.prepare(&rows).await.unwrap();
    assert_eq!(store.spec(SWEEP).await.unwrap(), None, "it has not begun");
    store.commit(&begin(SWEEP)).await.unwrap();
    assert_eq!(store.spec(SWEEP).await.unwrap().as_ref(), Some(&text));
    assert_eq!(store.load().await.unwrap().sweeps[0].spec, text);
    assert!(packed::pack(&text).unwrap().len() * 20 < text.len());
    store.prepare(&preparation(SweepId(2), 0..2)).await.unwrap();
    store.load().await.unwrap();
    // The number is free again, and its first text is forgotten.
    begun(store.as_ref(), 2, "again").await;
    assert_eq!(store.spec(SweepId(2)).await.unwrap(), Some(b"version: 2".to_vec()));
}

pub(super) async fn what_a_sweep_came_to_is_kept_until_it_goes_on(place: &dyn Place) {
    let store = place.open().await;
    begun(store.as_ref(), 1, "one").await;
    let record = async || store.sweep(SWEEP).await.unwrap().unwrap();
    let running = record().await;
    store.keep_summary(&running, &summary(0.5)).await.unwrap();
    assert_eq!(store.summary(&running).await.unwrap(), None, "nothing is kept of one that runs");
    ended(store.as_ref(), 1, 9).await;
    let first = record().await;
    assert_eq!(store.summary(&first).await.unwrap(), None);
    store.keep_summary(&first, &summary(0.1 + 0.2)).await.unwrap();
    assert_eq!(store.summary(&first).await.unwrap(), Some(summary(0.1 + 0.2)));
    store.commit(&Commit { sweeps_reopened: vec![SWEEP], ..Commit::default() }).await.unwrap();
    assert_eq!(store.summary(&record().await).await.unwrap(), None);
    // What was counted of its first end comes late.
    store.keep_summary(&first, &summary(0.9)).await.unwrap();
    ended(store.as_ref(), 1, 10).await;
    let second = record().await;
    assert_eq!(store.summary(&second).await.unwrap(), None);
    store.keep_summary(&second, &summary(0.7)).await.unwrap();
    store.close().await;
    drop(store);
    assert_eq!(place.open().await.summary(&second).await.unwrap(), Some(summary(0.7)));
}

pub(super) async fn configurations_are_found_without_their_trials(place: &dyn Place) {
    let store = place.open().await;
    begun(store.as_ref(), 1, "one").await;
    let all = store.configurations(SWEEP).await.unwrap();
    assert_eq!(store.configuration(SWEEP, 0).await.unwrap().as_ref(), all.first());
    assert_eq!(store.configuration(SWEEP, 1).await.unwrap(), None);
    let titles = store.configuration_titles(SWEEP).await.unwrap();
    assert_eq!((titles.len(), titles[0].position, titles[0].label.as_str()), (1, 0, "baseline"));
    assert!(titles[0].baseline && titles[0].name.is_empty());
    assert_eq!(store.memberships(SWEEP).await.unwrap(), [(0, 0)]);
}

pub(super) async fn whether_it_answers_is_said_while_every_reader_is_busy(place: &dyn Place) {
    const MORE_THAN_READERS: u64 = 12;
    /// Far longer than an answer takes, and far shorter than a busy connection is waited for.
    const PATIENCE: Duration = Duration::from_secs(2);
    let store = place.open().await;
    // More rows than are read ahead: who has taken only one keeps the connection.
    let many = 6_000;
    store.prepare(&preparation(SWEEP, 0..many)).await.unwrap();
    store.commit(&begin(SWEEP)).await.unwrap();
    let mut busy = Vec::new();
    for _ in 0..MORE_THAN_READERS {
        let mut rows = store.replicates(SWEEP);
        if let Ok(first) = tokio::time::timeout(PATIENCE / 10, rows.next()).await {
            assert!(first.is_some_and(|first| first.is_ok()));
            busy.push(rows);
        }
    }
    assert!(!busy.is_empty() && busy.len() < MORE_THAN_READERS as usize, "{} connections", busy.len());
    tokio::time::timeout(PATIENCE, store.check()).await.unwrap().unwrap();
    let first = busy.pop().unwrap();
    assert_eq!(first.try_collect::<Vec<_>>().await.unwrap().len() as u64, many - 1);
}
