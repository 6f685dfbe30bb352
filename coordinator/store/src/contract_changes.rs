//! What every backend must remember of what comes afterwards: what people change, what is taken up again, what failed before,
//! where a result comes from, and the audit log.

use futures::TryStreamExt;

use super::*;

fn ended(seed: u64, key: i64, state: AttemptState, failure: Option<(FailureClass, String)>) -> Commit {
    let mut commit = finished(seed, key);
    (commit.results, commit.rounds_ended) = (Vec::new(), Vec::new());
    (commit.attempts_ended[0].state, commit.attempts_ended[0].failure) = (state, failure);
    commit
}

fn sweep_end(state: SweepState) -> Commit {
    let end = SweepEndRow { sweep: SWEEP, state, reason: "a reason".into(), at_ms: 10 };
    Commit { sweeps_ended: vec![end], ..Commit::default() }
}

fn service(worker: &str, service: Service) -> ServiceRow {
    ServiceRow { worker: worker.into(), service, actor: "somebody".into(), at_ms: 1 }
}

pub(super) async fn what_somebody_changes_comes_back(place: &dyn Place) {
    let store = place.open().await;
    store.prepare(&preparation(SWEEP, 0..1)).await.unwrap();
    store.commit(&begin(SWEEP)).await.unwrap();
    let suspended = |until| Service::Suspended { reason: "it fails".into(), until };
    let (away, failing) = (suspended(Until::Return), suspended(Until::Replacement));
    let services = vec![
        service("a", Service::Draining),
        service("b", away.clone()),
        service("c", Service::Leaving),
        service("d", failing.clone()),
    ];
    let (paused, priorities) = (vec![(SWEEP, true)], vec![(SWEEP, i32::MIN)]);
    let commit = Commit { paused, priorities, services, ..Commit::default() };
    assert_eq!(commit.rows(), 6);
    store.commit(&commit).await.unwrap();
    let back = Commit { services: vec![service("a", Service::Active)], ..Commit::default() };
    store.commit(&back).await.unwrap();
    store.close().await;
    drop(store);
    let loaded = place.open().await.load().await.unwrap();
    let sweep = &loaded.snapshot.sweeps[0].sweep;
    assert_eq!((sweep.paused, sweep.priority), (true, i32::MIN));
    assert!(loaded.sweeps[0].record.paused);
    let name = |name: &str| WorkerName(name.into());
    let expected = [(name("b"), away), (name("c"), Service::Leaving), (name("d"), failing)];
    assert_eq!(loaded.snapshot.workers, expected);
}

pub(super) async fn who_holds_a_name_comes_back(place: &dyn Place) {
    let store = place.open().await;
    let row = |worker: &str, process, held| NameRow {
        worker: worker.into(),
        instance: Instance { folder: u64::MAX, process },
        held,
        host: "host".into(),
        address: "[::1]:7".into(),
        since_ms: i64::from(held),
    };
    let names = vec![row("b", 1, true), row("a", u64::MAX, true)];
    let commit = Commit { names, ..Commit::default() };
    assert_eq!(commit.rows(), 2);
    store.commit(&commit).await.unwrap();
    store.commit(&Commit { names: vec![row("b", 2, false)], ..Commit::default() }).await.unwrap();
    store.close().await;
    drop(store);
    let loaded = place.open().await.load().await.unwrap();
    assert_eq!(loaded.names, [row("a", u64::MAX, true), row("b", 2, false)]);
}

pub(super) async fn what_is_held_back_comes_back_until_it_goes_on(place: &dyn Place) {
    let store = place.open().await;
    store.prepare(&preparation(SWEEP, 0..1)).await.unwrap();
    store.commit(&begin(SWEEP)).await.unwrap();
    assert_eq!(store.load().await.unwrap().snapshot.sweeps[0].hold, None);
    let canaries = vec![TrialId::of(b"one"), TrialId::of(b"other")];
    let hold = Hold { failed: 3, class: FailureClass::Trainer, reason: "it said\0 what is not so".into(), canaries };
    let row = |hold: Option<&Hold>| HoldRow { sweep: SWEEP, hold: hold.cloned(), at_ms: 1 };
    let commit = |hold| Commit { holds: vec![row(hold)], ..Commit::default() };
    assert_eq!(commit(Some(&hold)).rows(), 1);
    store.commit(&commit(Some(&hold))).await.unwrap();
    store.close().await;
    drop(store);
    let store = place.open().await;
    let loaded = store.load().await.unwrap().snapshot.sweeps[0].hold.clone().unwrap();
    assert_eq!((loaded.failed, loaded.class, &loaded.canaries), (3, FailureClass::Trainer, &hold.canaries));
    assert!(loaded.reason.starts_with("it said") && loaded.reason.ends_with("what is not so"));
    let none = Hold { canaries: Vec::new(), failed: 1, ..hold.clone() };
    store.commit(&commit(Some(&none))).await.unwrap();
    assert!(store.load().await.unwrap().snapshot.sweeps[0].hold.as_ref().is_some_and(|hold| hold.canaries.is_empty()));
    store.commit(&commit(None)).await.unwrap();
    assert_eq!(store.load().await.unwrap().snapshot.sweeps[0].hold, None);
}

pub(super) async fn a_sweep_that_has_ended_can_go_on(place: &dyn Place) {
    let store = place.open().await;
    store.prepare(&preparation(SWEEP, 0..2)).await.unwrap();
    let ended = Commit { stages: vec![stage(SWEEP, Some(StageState::Ended), "filters=8")], ..Commit::default() };
    for commit in [begin(SWEEP), started(0, 1), finished(0, 1), ended] {
        store.commit(&commit).await.unwrap();
    }
    assert!(store.ended(SWEEP).await.unwrap().is_none(), "it runs");
    store.commit(&sweep_end(SweepState::Failed)).await.unwrap();
    assert!(store.load().await.unwrap().sweeps.is_empty());
    assert!(store.ended(SweepId(9)).await.unwrap().is_none(), "there is none");
    let (live, snapshot) = store.ended(SWEEP).await.unwrap().unwrap();
    assert_eq!((live.record.state, live.record.ended_ms, live.trials.len()), (SweepState::Failed, 10, 2));
    assert_eq!((snapshot.bound.len(), snapshot.stages[0].1.len()), (1, 2));
    assert_eq!(snapshot.stages[0].1[0].history.known.as_ref().map(|known| known.round), Some(1));
    let reopened = vec![(SWEEP, 0, StageState::Open)];
    let again = Commit { sweeps_reopened: vec![SWEEP], stages_reopened: reopened, ..Commit::default() };
    store.commit(&again).await.unwrap();
    let loaded = store.load().await.unwrap();
    let record = &loaded.sweeps[0].record;
    assert_eq!((record.state, record.reason.as_str(), record.ended_ms), (SweepState::Running, "", 0));
    let stage = &record.stages[0];
    assert_eq!((stage.state, stage.choice.as_str()), (StageState::Open, "filters=8"), "a winner is never revised");
    assert!(stage.winner.is_some() && stage.decided.is_some());
}

pub(super) async fn an_expired_attempt_is_remembered_and_can_go_on(place: &dyn Place) {
    let store = place.open().await;
    store.prepare(&preparation(SWEEP, 0..2)).await.unwrap();
    for commit in [begin(SWEEP), started(0, 1), ended(0, 1, AttemptState::Expired, None)] {
        store.commit(&commit).await.unwrap();
    }
    let mut loaded = store.load().await.unwrap();
    assert_eq!((loaded.given_up.len(), loaded.given_up[0].key, loaded.given_up[0].lease), (1, AttemptKey(1), lease(0)));
    let round = loaded.snapshot.open_rounds.remove(0);
    let lost = round.lost.unwrap();
    assert_eq!((lost.lease, lost.worker.0.as_str(), lost.slot), (lease(0), "w", 3));
    assert_eq!((round.losses, round.live), (1, None));
    let revive = Commit { attempts_revived: vec![(AttemptKey(1), lease(0), 9)], ..Commit::default() };
    store.commit(&revive).await.unwrap();
    let attempt = store.attempt(lease(0)).await.unwrap().unwrap();
    assert_eq!((attempt.state, attempt.ended_ms, attempt.log_tail.as_str()), (AttemptState::Live, 0, ""));
    assert_eq!((attempt.slot_memory_bytes, attempt.device.as_str()), (Some(1 << 34), "cpu"));
    let loaded = store.load().await.unwrap();
    assert_eq!((loaded.attempts[0].key, loaded.attempts[0].stored_sequence), (AttemptKey(1), 3));
    let round = &loaded.snapshot.open_rounds[0];
    assert!(round.live.is_some() && round.lost.is_none() && round.losses == 0);
    store.commit(&finished(0, 1)).await.unwrap();
    store.commit(&revive).await.unwrap();
    let attempt = store.attempt(lease(0)).await.unwrap().unwrap();
    assert_eq!((attempt.state, attempt.ended_ms), (AttemptState::Succeeded, 9), "only what has expired comes back");
}

pub(super) async fn what_failed_before_is_remembered(place: &dyn Place) {
    let store = place.open().await;
    store.prepare(&preparation(SWEEP, 0..1)).await.unwrap();
    store.commit(&begin(SWEEP)).await.unwrap();
    let classes = [FailureClass::OutOfMemory, FailureClass::OutOfMemory, FailureClass::Trainer, FailureClass::Machine];
    for (index, class) in (0_u32..).zip(classes) {
        let key = i64::from(index) + 1;
        let mut commit = started(0, key);
        let start = &mut commit.attempts_started[0];
        start.lease.attempt = index + 1;
        (start.worker, start.slot_memory_bytes) = (format!("w{}", index / 2), Some(100 - u64::from(index)));
        store.commit(&commit).await.unwrap();
        let mut end = ended(0, key, AttemptState::Failed, Some((class, "why".into())));
        end.attempts_ended[0].lease.attempt = index + 1;
        store.commit(&end).await.unwrap();
    }
    let round = store.load().await.unwrap().snapshot.open_rounds.remove(0);
    let mut failed_on: Vec<_> = round.failed_on.iter().map(|worker| worker.0.as_str()).collect();
    failed_on.sort_unstable();
    assert_eq!((failed_on, round.too_small, round.failures), (vec!["w0", "w1"], Some(100), 4));
    assert!(round.lost.is_none() && round.live.is_none());
}

pub(super) async fn where_a_result_comes_from_and_what_was_made_of_the_test_part_come_back(place: &dyn Place) {
    let store = place.open().await;
    let mut rows = preparation(SWEEP, 0..2);
    let submitted =
        Submission { reproduces: Some(AttemptKey(i64::MAX)), ..rows.sweep.as_ref().unwrap().submission.clone() };
    rows.sweep.as_mut().unwrap().submission = submitted.clone();
    store.prepare(&rows).await.unwrap();
    let mut commit = finished(0, 1);
    commit.results = commit.results.into_iter().map(tested).collect();
    let expected = commit.results[0].clone();
    let mut bare = finished(1, 2);
    bare.results[0].result.provenance.origin = Origin::default();
    for commit in [begin(SWEEP), started(0, 1), started(1, 2), commit, bare] {
        store.commit(&commit).await.unwrap();
    }
    let rows = store.trials(&page(Vec::new())).await.unwrap();
    assert_eq!(rows[0].result.as_ref(), Some(&expected.result));
    let replicates = store.replicates(SWEEP).try_collect::<Vec<_>>().await.unwrap();
    assert_eq!(replicates[0].result.as_ref(), Some(&expected.result));
    let other = replicates[1].result.as_ref().unwrap();
    assert_eq!((&other.provenance.origin, other.test), (&Origin::default(), None), "an older worker says nothing");
    assert_eq!(store.result(AttemptKey(1)).await.unwrap(), Some(expected.result));
    assert_eq!(store.result(AttemptKey(9)).await.unwrap(), None);
    assert_eq!(store.test_predictions(AttemptKey(1)).await.unwrap(), expected.said.test);
    assert_eq!(store.validation(AttemptKey(1)).await.unwrap(), expected.said.validation);
    assert_eq!(store.test_predictions(AttemptKey(2)).await.unwrap(), None);
    let submission = store.sweep(SWEEP).await.unwrap().unwrap().submission;
    assert_eq!(submission, submitted);
    assert_eq!(store.sweeps(&SweepPage::newest(1)).await.unwrap()[0].submission, submission);
    assert!(store.load().await.unwrap().snapshot.sweeps[0].sweep.fresh);
}

pub(super) async fn the_audit_log_tells_everything_in_order(place: &dyn Place) {
    let store = place.open().await;
    store.prepare(&preparation(SWEEP, 0..2)).await.unwrap();
    store.prepare(&preparation(SweepId(2), 5..6)).await.unwrap();
    let row = |at_ms, action, worker: &str| AuditRow {
        at_ms,
        actor: "somebody".into(),
        action,
        sweep: Some(SWEEP),
        trial: None,
        attempt: None,
        worker: worker.into(),
        detail: "a detail".into(),
    };
    let written = vec![row(1, AuditAction::Submitted, ""), row(20, AuditAction::PriorityChanged, "")];
    let other = AuditRow { sweep: Some(SweepId(2)), ..row(2, AuditAction::Submitted, "x") };
    let commit = Commit { audit: [written.clone(), vec![other.clone()]].concat(), ..Commit::default() };
    for commit in [begin(SWEEP), started(0, 1), finished(0, 1), sweep_end(SweepState::Failed), commit] {
        store.commit(&commit).await.unwrap();
    }
    let all = AuditFilter { limit: 100, ..AuditFilter::default() };
    let of_sweep = store.audit(&AuditFilter { sweep: Some(SWEEP), ..all.clone() }).await.unwrap();
    use AuditAction::*;
    let actions: Vec<_> = of_sweep.iter().map(|entry| entry.action).collect();
    assert_eq!(
        actions,
        [Submitted, RoundOpened, AttemptAssigned, AttemptEnded, RoundEnded, SweepEnded, PriorityChanged]
    );
    assert_eq!((&of_sweep[0], &of_sweep[6]), (&written[0], &written[1]));
    assert_eq!((of_sweep[3].attempt, of_sweep[3].worker.as_str()), (Some(1), "w"));
    assert_eq!(of_sweep[5].detail, "failed: a reason");
    assert_eq!(store.audit(&all).await.unwrap().len(), 8);
    let newest = store.audit(&AuditFilter { limit: 2, since_ms: 9, ..all.clone() }).await.unwrap();
    assert_eq!(newest.iter().map(|entry| entry.action).collect::<Vec<_>>(), [SweepEnded, PriorityChanged]);
    let older = store.audit(&AuditFilter { limit: 3, until_ms: Some(20), skip: 1, ..all.clone() }).await.unwrap();
    let before: Vec<_> = store.audit(&all).await.unwrap().into_iter().filter(|entry| entry.at_ms <= 20).collect();
    assert_eq!(older, before[before.len() - 4..before.len() - 1]);
    let of_trial = store.audit(&AuditFilter { trial: Some(lease(0).trial), ..all.clone() }).await.unwrap();
    assert_eq!(of_trial.len(), 4);
    assert_eq!(store.audit(&AuditFilter { worker: Some("x".into()), ..all }).await.unwrap(), [other]);
}
