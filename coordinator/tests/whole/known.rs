//! Reuse of known results: they are predicted before the submission, reused, counted, ignored on request, and
//! reproduced.

use sweep_proto::v1;

use crate::env::{Answer, Env, SPEC, Worker, by_filters, metrics, reference, result};
use crate::watching::http;

async fn submit(env: &Env, change: impl FnOnce(&mut v1::SubmitRequest)) -> v1::SubmitResponse {
    let mut request = v1::SubmitRequest { spec: SPEC.to_owned().into(), ..Default::default() };
    change(&mut request);
    env.sweeps().await.submit(request).await.unwrap().into_inner()
}

fn outlook(known: u64, shared: u64, to_run: u64, at_most: bool) -> Option<v1::Outlook> {
    Some(v1::Outlook { known, shared, to_run, at_most })
}

/// The sweep of `SPEC`, with results of a worker that is still connected.
async fn answered(env: &Env) -> (Worker, v1::SweepStatus) {
    let sweep = submit(env, |request| request.user = "ann".into()).await;
    assert_eq!(sweep.outlook, outlook(0, 0, 14, false));
    let mut worker = env.worker("w1", 2).await;
    let ended = worker.work(env, sweep.sweep.unwrap().id, &by_filters()).await;
    (worker, ended)
}

async fn scrape(env: &Env, name: &str) -> f64 {
    let text = http(env, "/metrics").await;
    let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap_or_else(|| panic!("no {name}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

async fn trials(env: &Env, sweep: u64) -> Vec<v1::TrialSummary> {
    let request = v1::ListTrialsRequest { sweep: reference(sweep), page_size: 100, ..Default::default() };
    env.sweeps().await.list_trials(request).await.unwrap().into_inner().trials
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_submit_says_what_is_known_whoever_asked_first_and_under_which_name() {
    let env = Env::new().await;
    let (mut worker, first) = answered(&env).await;
    let other = SPEC.replace("[0, 1]", "[0, 1, 2]").replace("name: pretend", "name: other");
    let second = submit(&env, |request| (request.spec, request.user) = (other.clone().into(), "bob".into())).await;
    assert_eq!(second.outlook, outlook(14, 0, 7, false));
    let third = submit(&env, |request| request.spec = other.into()).await;
    assert_eq!(third.outlook, outlook(14, 7, 0, false), "what runs for the second is shared");
    assert_eq!(scrape(&env, "sweep_trials_reused_total").await, 28.0);
    let third = third.sweep.unwrap().id;
    worker.work(&env, third, &by_filters()).await;
    let counts = env.status(third).await.counts.unwrap();
    assert_eq!((counts.succeeded, counts.reused), (21, 14));
    let whole = submit(&env, |_| ()).await;
    assert_eq!(whole.outlook, outlook(14, 0, 0, false), "a sweep that ends at once says so too");
    assert_eq!(whole.sweep.unwrap().state(), v1::SweepState::Succeeded);
    assert_eq!(env.leaderboard(first.id).await.rows.len(), 7);
}

#[tokio::test]
async fn before_a_worker_has_looked_at_the_data_what_is_known_is_an_upper_bound() {
    let env = Env::new().await;
    let (worker, _) = answered(&env).await;
    drop(worker);
    let env = env.restart().await;
    let second = submit(&env, |_| ()).await;
    assert_eq!(second.outlook, outlook(14, 0, 0, true));
    // The worker has other data, so no result is reused.
    let mut worker = env.worker("w2", 2).await;
    worker.data = 9;
    worker.until_running().await;
    let counts = env.status(second.sweep.unwrap().id).await.counts.unwrap();
    assert_eq!((counts.reused, counts.succeeded), (0, 0));
}

#[tokio::test]
async fn a_fresh_sweep_has_rounds_of_its_own_and_old_results_are_kept() {
    let env = Env::new().await;
    let (mut worker, first) = answered(&env).await;
    let fresh = submit(&env, |request| request.fresh = true).await;
    assert_eq!(fresh.outlook, outlook(0, 0, 14, false));
    let better: Answer = std::sync::Arc::new(|_| v1::finish_request::Ending::Result(result(0.99)));
    let ended = worker.work(&env, fresh.sweep.unwrap().id, &better).await;
    assert_eq!((ended.counts.unwrap().reused, ended.counts.unwrap().succeeded), (0, 14));
    let accuracies = |board: v1::GetLeaderboardResponse| {
        board.rows.iter().map(|row| row.val_accuracy.as_ref().unwrap().mean).collect::<Vec<_>>()
    };
    assert!(accuracies(env.leaderboard(ended.id).await).iter().all(|mean| (mean - 0.99).abs() < 1e-9));
    assert!(accuracies(env.leaderboard(first.id).await).iter().all(|mean| *mean < 0.9), "its own rounds");
    let third = submit(&env, |_| ()).await.sweep.unwrap();
    assert!(accuracies(env.leaderboard(third.id).await).iter().all(|mean| (mean - 0.99).abs() < 1e-9), "the newest");
}

#[tokio::test]
async fn where_a_result_comes_from_is_told_with_it() {
    let env = Env::new().await;
    let sweep = submit(&env, |request| request.revision = "0123-dirty".into()).await.sweep.unwrap();
    let mut worker = env.worker("w1", 2).await;
    let answer: Answer = std::sync::Arc::new(|_| {
        let mut said = result(0.5);
        let origin = v1::Origin {
            driver: "a driver 1.2".into(),
            kernel_cache: "/cache, 3 files, digest 00".into(),
            worker: "w1".into(),
            worker_version: "0.1.0".into(),
            host: "a-host".into(),
            // The worker must not decide this.
            sweep: 77,
            revision: "forged".into(),
            ..Default::default()
        };
        said.provenance.as_mut().unwrap().origin = Some(origin);
        v1::finish_request::Ending::Result(said)
    });
    worker.work(&env, sweep.id, &answer).await;
    let other = submit(&env, |request| request.revision = "4567".into()).await.sweep.unwrap();
    for trials in [trials(&env, sweep.id).await, trials(&env, other.id).await] {
        for trial in trials {
            let origin = trial.provenance.unwrap().origin.unwrap();
            assert_eq!((origin.driver.as_str(), origin.host.as_str()), ("a driver 1.2", "a-host"));
            assert_eq!((origin.sweep, origin.revision.as_str()), (sweep.id, "0123-dirty"), "who asked first");
            assert_eq!(origin.spec_digest, sweep.spec_digest);
            assert_eq!(origin.protocol_digest.len(), 32);
            assert!(!origin.coordinator_version.is_empty());
        }
    }
}

#[tokio::test]
async fn a_trial_that_runs_again_is_held_against_its_old_answer() {
    let env = Env::new().await;
    let (mut worker, first) = answered(&env).await;
    let trial = trials(&env, first.id).await.remove(3);
    let mut sweeps = env.sweeps().await;
    let again = v1::ReproduceTrialRequest { trial: hex(&trial.trial_id), ..Default::default() };
    let mut rounds = Vec::new();
    for (change, same) in [(0.0, true), (1e-9, false)] {
        let begun = sweeps.reproduce_trial(again.clone()).await.unwrap().into_inner();
        let sweep = begun.sweep.unwrap();
        let counts = sweep.counts.unwrap();
        assert_eq!((begun.trial_id, counts.queued + counts.running), (trial.trial_id.clone(), 1));
        assert!(sweep.name.starts_with("reproduce-"), "{}", sweep.name);
        let early = v1::GetReproductionRequest { sweep: reference(sweep.id), tolerance: 0.0 };
        assert!(sweeps.get_reproduction(early.clone()).await.is_err(), "there is nothing to compare yet");
        let ask = by_filters();
        let answer: Answer = std::sync::Arc::new(move |settings| {
            let v1::finish_request::Ending::Result(mut said) = ask(settings) else { panic!() };
            said.last = said.last.map(|last| v1::EpochMetrics { val_loss: last.val_loss + change, ..last });
            v1::finish_request::Ending::Result(said)
        });
        worker.work(&env, sweep.id, &answer).await;
        let found = sweeps.get_reproduction(early).await.unwrap().into_inner();
        assert_eq!((found.same, found.exactly, found.numbers_changed), (same, true, u64::from(!same)), "{found:?}");
        assert_eq!(found.largest_at.as_str(), if same { "" } else { "last, validation loss" });
        let (old, new) = (found.old.unwrap(), found.new.unwrap());
        rounds.push((old.round, new.round));
        assert_eq!(old.reported.unwrap().epoch, metrics(3, 0.0).epoch);
    }
    assert_eq!(rounds, [(1, 2), (1, 3)], "each is compared with the first answer");
    assert_eq!(env.status(first.id).await.counts.unwrap().succeeded, 14);
    stays_known(&env, &trial, "w2").await;
    stays_known(&env.restart().await, &trial, "w3").await;
}

/// The next sweep reuses the first result of a trial that was reproduced, and the trial shows the comparison.
async fn stays_known(env: &Env, trial: &v1::TrialSummary, worker: &str) {
    let next = submit(env, |_| ()).await.sweep.unwrap();
    let ended = env.worker(worker, 1).await.work(env, next.id, &by_filters()).await;
    assert_eq!(ended.counts.unwrap().reused, 14, "all of it is known");
    let taken = trials(env, next.id).await.into_iter().find(|found| found.trial_id == trial.trial_id).unwrap();
    assert_eq!(taken.reported, trial.reported, "the first answer, and not the newest");
    let request = v1::GetTrialRequest { trial: hex(&trial.trial_id) };
    let shown = env.sweeps().await.get_trial(request).await.unwrap().into_inner();
    assert_eq!(shown.last.map(|last| last.val_loss), Some(1.0));
    let marks: Vec<(u32, bool)> = shown.reproductions.iter().map(|mark| (mark.round, mark.same)).collect();
    assert_eq!(marks, [(2, true), (3, false)]);
    assert_eq!(shown.reproductions[0].sentence, "the same, bit for bit");
    let differs = &shown.reproductions[1].sentence;
    assert!(differs.starts_with("not the same, bit for bit: 1 of ") && differs.contains("last, validation loss"));
}

#[tokio::test]
async fn what_cannot_be_reproduced_is_refused_with_a_reason() {
    let env = Env::new().await;
    let sweep = submit(&env, |_| ()).await.sweep.unwrap();
    let waiting = trials(&env, sweep.id).await.remove(0);
    let mut sweeps = env.sweeps().await;
    let again = |trial: String| v1::ReproduceTrialRequest { trial, ..Default::default() };
    let refused = sweeps.reproduce_trial(again(hex(&waiting.trial_id))).await.unwrap_err();
    assert!(refused.message().contains("no result yet"), "{refused}");
    assert_eq!(sweeps.reproduce_trial(again("0".repeat(64))).await.unwrap_err().code(), tonic::Code::NotFound);
    let request = v1::GetReproductionRequest { sweep: reference(sweep.id), tolerance: 0.0 };
    let refused = sweeps.get_reproduction(request).await.unwrap_err();
    assert!(refused.message().contains("is not a reproduction"), "{refused}");
    let request = v1::GetReproductionRequest { sweep: reference(sweep.id), tolerance: f64::NAN };
    assert_eq!(sweeps.get_reproduction(request).await.unwrap_err().code(), tonic::Code::InvalidArgument);
}

#[tokio::test]
async fn the_test_part_beside_a_holdout_is_reported_and_ranks_nothing() {
    let env = Env::new().await;
    let protocol = "protocol: { epochs: 3, report: best, holdout: { fraction: 0.25, seed: 1 } }";
    let spec = SPEC.replace("protocol: { epochs: 3 }", protocol);
    let sweep = submit(&env, |request| request.spec = spec.into()).await.sweep.unwrap();
    let ask = by_filters();
    let answer: Answer = std::sync::Arc::new(move |settings| {
        let v1::finish_request::Ending::Result(mut said) = ask(settings) else { panic!() };
        // The configuration that is best on the holdout is worst on the test part.
        let accuracy = 1.0 - said.best.as_ref().unwrap().val_accuracy;
        said.test = Some(v1::Tested { epoch: 2, loss: 0.5, accuracy });
        said.test_predictions = said.validation.clone();
        v1::finish_request::Ending::Result(said)
    });
    env.worker("w1", 2).await.work(&env, sweep.id, &answer).await;
    let board = env.leaderboard(sweep.id).await;
    assert_eq!(board.notes[0], "epoch chosen on the holdout; the test set was used for reporting only");
    assert!(board.notes.len() == 2 && board.notes[1].contains("can be significant"), "{:?}", board.notes);
    assert_eq!((board.rows[0].name.as_str(), board.rows[0].rank), ("wide", Some(1)));
    let tested: Vec<f64> = board.rows.iter().map(|row| row.test_accuracy.as_ref().unwrap().mean).collect();
    assert!(tested[0] < tested[1], "{tested:?}");
    let trial = trials(&env, sweep.id).await.remove(0);
    assert_eq!(trial.test.as_ref().unwrap().epoch, 2);
    let request = v1::GetTrialRequest { trial: hex(&trial.trial_id) };
    let shown = env.sweeps().await.get_trial(request).await.unwrap().into_inner();
    assert_eq!((shown.trial.unwrap().test, shown.test_predictions), (trial.test, shown.validation));
}
