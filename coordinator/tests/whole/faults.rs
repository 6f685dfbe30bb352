//! Messages that are late, lost or repeated, and restarts.

use std::sync::Arc;

use sweep_coordinator::Args;
use sweep_coordinator::clock::Manual;
use sweep_proto::v1;
use sweep_proto::v1::finish_request::Ending;

use crate::env::{Answer, Env, SPEC, STEP, by_filters, key, metrics, reference, result, short_lease};

fn failure(class: v1::FailureClass) -> Ending {
    Ending::Failure(v1::Failure { class: class.into(), reason: "it is meant to".into() })
}

#[tokio::test]
async fn a_restarted_coordinator_adopts_attempts_and_computes_none_again() {
    let env = Env::new().await;
    let sweep = env.submit(SPEC).await.id;
    let mut worker = env.worker("w1", 2).await;
    worker.until_running().await;
    let (lease, settings, _) = worker.running.values().next().unwrap().clone();
    worker.report(&lease, 1..=2).await;
    let held = worker.running.len();

    let env = env.restart().await;
    worker.client = env.worker("someone else", 0).await.client;
    let refused = worker.poll().await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::NotFound, "sessions do not outlive the coordinator");
    assert!(worker.register().await.is_empty(), "all attempts are adopted");
    assert_eq!(worker.running.len(), held);

    let missing = worker.finish(&lease, 3, by_filters()(&settings)).await;
    assert_eq!((missing.verdict(), missing.stored_sequence), (v1::FinishVerdict::PointsMissing, 2));
    worker.report(&lease, 3..=3).await;
    let accepted = worker.finish(&lease, 3, by_filters()(&settings)).await;
    assert_eq!(accepted.verdict(), v1::FinishVerdict::Accepted);
    worker.running.remove(&key(&lease));
    let ended = worker.work(&env, sweep, &by_filters()).await;
    assert_eq!((ended.state(), ended.counts.unwrap().succeeded), (v1::SweepState::Succeeded, 14));
    let request = v1::ListTrialsRequest { sweep: reference(sweep), ..Default::default() };
    let trials = env.sweeps().await.list_trials(request).await.unwrap().into_inner().trials;
    assert!(trials.iter().all(|trial| trial.attempts == 1), "no trial ran twice");
}

#[tokio::test]
async fn what_is_said_twice_counts_once() {
    let env = Env::new().await;
    let sweep = env.submit(SPEC).await.id;
    let mut worker = env.worker("w1", 1).await;
    worker.until_running().await;
    let (lease, settings, _) = worker.running.values().next().unwrap().clone();
    assert!(worker.report(&lease, 1..=3).await.stop.is_empty());
    assert!(worker.report(&lease, 1..=3).await.stop.is_empty());
    for _ in 0..2 {
        let verdict = worker.finish(&lease, 3, by_filters()(&settings)).await;
        assert_eq!((verdict.verdict(), verdict.stored_sequence), (v1::FinishVerdict::Accepted, 3));
    }
    let other = worker.finish(&lease, 3, failure(v1::FailureClass::Trainer)).await;
    assert_eq!(other.verdict(), v1::FinishVerdict::Stale, "another ending than the accepted one is not taken");
    assert_eq!(worker.report(&lease, 4..=4).await.stop, std::slice::from_ref(&lease));
    let hex: String = lease.trial_id.iter().map(|byte| format!("{byte:02x}")).collect();
    let trial = env.sweeps().await.get_trial(v1::GetTrialRequest { trial: hex }).await.unwrap().into_inner();
    assert_eq!((trial.points.len(), trial.attempts.len()), (3, 1));
    assert_eq!(env.status(sweep).await.counts.unwrap().succeeded, 1);
}

#[tokio::test]
async fn a_silent_worker_loses_its_trials_and_its_late_word_is_stale() {
    let clock = Manual::begin();
    let env = Env::by(&clock, short_lease()).await;
    let sweep = env.submit(SPEC).await.id;
    let mut silent = env.worker("silent", 1).await;
    silent.until_running().await;
    let (lease, settings, _) = silent.running.values().next().unwrap().clone();
    let mut worker = env.worker("w1", 2).await;
    // The lease of the silent worker expires, and the delay before the retry of its trial passes.
    for _ in 0..8 {
        clock.advance(STEP);
        worker.poll().await.unwrap();
    }
    let ended = worker.work(&env, sweep, &by_filters()).await;
    assert_eq!((ended.state(), ended.counts.unwrap().succeeded), (v1::SweepState::Succeeded, 14));
    let request = v1::ReportRequest {
        session: silent.session,
        points: vec![v1::Point { lease: Some(lease.clone()), sequence: 1, metrics: Some(metrics(1, 0.5)) }],
    };
    assert_eq!(silent.client.report(request).await.unwrap_err().code(), tonic::Code::NotFound);
    assert_eq!(silent.register().await, std::slice::from_ref(&lease), "it is told to stop");
    let verdict = silent.finish(&lease, 0, by_filters()(&settings)).await;
    assert_eq!(verdict.verdict(), v1::FinishVerdict::Stale);
    let hex: String = lease.trial_id.iter().map(|byte| format!("{byte:02x}")).collect();
    let trial = env.sweeps().await.get_trial(v1::GetTrialRequest { trial: hex }).await.unwrap().into_inner();
    let outcomes: Vec<_> = trial.attempts.iter().map(|attempt| attempt.outcome.as_str()).collect();
    assert_eq!(outcomes, ["expired", "succeeded"]);
}

#[tokio::test]
async fn a_question_that_is_given_up_ends_no_trial() {
    let env = Env::new().await;
    let sweep = env.submit(SPEC).await.id;
    let mut worker = env.worker("w1", 2).await;
    worker.until_running().await;
    let held = worker.running.len();
    for patience in 0..50 {
        let mut sweeps = env.sweeps().await;
        let request = v1::GetSweepRequest { sweep: reference(sweep) };
        let asked = sweeps.get_sweep(request);
        // Some calls are answered in time, most are not.
        drop(tokio::time::timeout(std::time::Duration::from_micros(20 * patience), asked).await);
        let watch = sweeps.watch_sweep(v1::WatchSweepRequest { sweep: reference(sweep) });
        drop(tokio::time::timeout(std::time::Duration::from_micros(20 * patience), watch).await);
    }
    assert_eq!(env.status(sweep).await.running.len(), held);
    let ended = worker.work(&env, sweep, &by_filters()).await;
    assert_eq!((ended.state(), ended.counts.unwrap().succeeded), (v1::SweepState::Succeeded, 14));
    let request = v1::ListTrialsRequest { sweep: reference(sweep), ..Default::default() };
    let trials = env.sweeps().await.list_trials(request).await.unwrap().into_inner().trials;
    assert!(trials.iter().all(|trial| trial.attempts == 1), "no trial ran twice");
}

#[tokio::test]
async fn a_trial_that_loses_its_workers_is_quarantined_with_the_end_of_its_log() {
    let env = Env::with(Args { max_losses: Some("2".into()), ..Args::default() }).await;
    env.submit(SPEC).await;
    let mut worker = env.worker("w1", 1).await;
    let mut lost = None;
    for _ in 0..2 {
        worker.until_running().await;
        let lease = match &lost {
            // The same trial comes first again.
            Some(trial) => loop {
                let found = worker.running.values().find(|(lease, ..)| lease.trial_id == *trial);
                if let Some((lease, ..)) = found {
                    break lease.clone();
                }
                worker.finish_all(&by_filters()).await;
                worker.poll().await.unwrap();
            },
            None => worker.running.values().next().unwrap().0.clone(),
        };
        let request = v1::FinishRequest {
            session: worker.session,
            lease: Some(lease.clone()),
            ending: Some(Ending::Lost(v1::Lost { reason: "the machine fell over".into() })),
            log_tail: "epoch 1\n\nthe fan stopped\nit is hot\n".into(),
            ..Default::default()
        };
        worker.client.finish(request).await.unwrap();
        worker.running.remove(&key(&lease));
        lost = Some(lease.trial_id.clone());
    }
    let trial: String = lost.unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
    let told = env.sweeps().await.explain_trial(v1::ExplainTrialRequest { trial }).await.unwrap().into_inner();
    let reason = told.trial.unwrap().failure.unwrap().reason;
    assert!(
        reason.contains("quarantined: the trial lost 2 workers") && reason.ends_with("the fan stopped | it is hot"),
        "{reason}"
    );
    assert!(told.events.iter().any(|event| event.action == "quarantined" && event.worker == "w1"), "{:?}", told.events);
}

#[tokio::test]
async fn a_failure_is_retried_by_its_class_and_a_sweep_says_what_failed() {
    let env = Env::new().await;
    let sweep = env.submit(SPEC).await.id;
    let answer: Answer = Arc::new(|settings| match settings["configuration.filters"].as_str() {
        "16" => failure(v1::FailureClass::Spec),
        "32" => failure(v1::FailureClass::Trainer),
        _ => Ending::Result(result(0.5)),
    });
    let ended = env.worker("w1", 2).await.work(&env, sweep, &answer).await;
    assert_eq!(ended.state(), v1::SweepState::Failed);
    assert!(ended.reason.contains("it is meant to"), "{}", ended.reason);
    assert_eq!(ended.counts.as_ref().unwrap().failed, 4);
    let board = env.leaderboard(sweep).await;
    let unranked: Vec<_> = board.rows.iter().filter(|row| row.rank.is_none()).collect();
    assert!(unranked.len() == 2 && unranked.iter().all(|row| row.remark == "2 of 2 failed"));
    let request = v1::ListTrialsRequest {
        sweep: reference(sweep),
        states: vec![v1::TrialState::Failed.into()],
        ..Default::default()
    };
    let trials = env.sweeps().await.list_trials(request).await.unwrap().into_inner().trials;
    let mut attempts: Vec<_> = trials.iter().map(|trial| trial.attempts).collect();
    attempts.sort_unstable();
    assert_eq!(attempts, [1, 1, 3, 3], "a spec's fault is never retried");
}

#[tokio::test]
async fn a_result_from_other_data_is_refused() {
    let env = Env::new().await;
    let sweep = env.submit(SPEC).await.id;
    let mut first = env.worker("w1", 1).await;
    first.until_running().await;
    let mut other = env.worker("w2", 1).await;
    other.data = 9;
    other.poll().await.unwrap();
    assert!(other.running.is_empty(), "a worker with other data gets none of the sweep's trials");
    let (lease, _, _) = first.running.values().next().unwrap().clone();
    let mut wrong = result(0.9);
    wrong.provenance.as_mut().unwrap().data_digest = vec![9; 32].into();
    first.finish(&lease, 0, Ending::Result(wrong)).await;
    let counts = env.status(sweep).await.counts.unwrap();
    assert_eq!(counts.succeeded, 0);
}

#[tokio::test]
async fn nonsense_is_refused_and_harms_nobody() {
    let env = Env::new().await;
    let sweep = env.submit(SPEC).await.id;
    let mut worker = env.worker("w1", 1).await;
    worker.until_running().await;
    let (lease, settings, _) = worker.running.values().next().unwrap().clone();
    let mut bad = metrics(1, 0.5);
    bad.train_loss = f64::NAN;
    let point = |lease: Option<v1::Lease>, metrics| v1::Point { lease, sequence: 1, metrics };
    for point in [
        point(Some(lease.clone()), Some(bad)),
        point(Some(lease.clone()), None),
        point(None, Some(metrics(1, 0.5))),
        point(Some(v1::Lease { trial_id: vec![1; 3].into(), ..lease.clone() }), Some(metrics(1, 0.5))),
        point(Some(lease.clone()), Some(metrics(1, 1.5))),
    ] {
        let request = v1::ReportRequest { session: worker.session, points: vec![point] };
        assert_eq!(worker.client.report(request).await.unwrap_err().code(), tonic::Code::InvalidArgument);
    }
    let strange = v1::Lease { trial_id: vec![7; 32].into(), round: u32::MAX, attempt: u32::MAX };
    assert_eq!(worker.report(&strange, 1..=1).await.stop, std::slice::from_ref(&strange));
    let verdict = worker.finish(&strange, u64::MAX, by_filters()(&settings)).await;
    assert_eq!(verdict.verdict(), v1::FinishVerdict::Stale);
    let mut old = v1::RegisterRequest { worker: "old".into(), trainer_semantics: 0, ..Default::default() };
    assert_eq!(worker.client.register(old.clone()).await.unwrap_err().code(), tonic::Code::PermissionDenied);
    old.trainer_semantics = sweep_spec::TRAINER_SEMANTICS;
    old.worker = String::new();
    assert_eq!(worker.client.register(old).await.unwrap_err().code(), tonic::Code::InvalidArgument);
    let none = v1::GetSweepRequest { sweep: reference(999) };
    assert_eq!(env.sweeps().await.get_sweep(none).await.unwrap_err().code(), tonic::Code::NotFound);
    let ended = worker.work(&env, sweep, &by_filters()).await;
    assert_eq!(ended.state(), v1::SweepState::Succeeded);
}
