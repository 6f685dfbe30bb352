//! Operator actions during and after a sweep, and their answers.

use std::sync::Arc;

use sweep_coordinator::Args;
use sweep_coordinator::clock::Manual;
use sweep_proto::v1;
use sweep_proto::v1::finish_request::Ending;

use crate::env::{Answer, Env, SPEC, STEP, by_filters, key, reference, result, short_lease};

/// A failure that the spec causes, for one configuration in one of its seeds.
pub(crate) fn one_fails() -> Answer {
    Arc::new(|settings| match (settings["configuration.filters"].as_str(), settings["seed"].as_str()) {
        ("16", "0") => Ending::Failure(v1::Failure { class: v1::FailureClass::Spec.into(), reason: "meant".into() }),
        _ => by_filters()(settings),
    })
}

async fn retry(env: &Env, sweep: u64) -> Result<v1::RetrySweepResponse, tonic::Status> {
    let request = v1::RetrySweepRequest { sweep: reference(sweep), user: "ann".into() };
    env.sweeps().await.retry_sweep(request).await.map(tonic::Response::into_inner)
}

async fn pause(env: &Env, sweep: u64, paused: bool) -> Result<v1::SweepStatus, tonic::Status> {
    let request = v1::PauseSweepRequest { sweep: reference(sweep), paused, user: "ann".into() };
    let answer = env.sweeps().await.pause_sweep(request).await?;
    Ok(answer.into_inner().sweep.unwrap())
}

async fn actions(env: &Env, sweep: u64) -> Vec<String> {
    let request = v1::ListAuditRequest { sweep: reference(sweep), limit: 1000, ..Default::default() };
    let answer = env.sweeps().await.list_audit(request).await.unwrap().into_inner();
    answer.entries.into_iter().map(|entry| format!("{} {}", entry.actor, entry.action)).collect()
}

#[tokio::test]
async fn retry_takes_up_an_ended_sweep_and_runs_what_failed_and_nothing_else() {
    let env = Env::new().await;
    let sweep = env.submit(SPEC).await.id;
    let mut worker = env.worker("w1", 2).await;
    let ended = worker.work(&env, sweep, &one_fails()).await;
    assert_eq!((ended.state(), ended.counts.unwrap().failed), (v1::SweepState::Failed, 1));
    let env = env.restart().await;
    let mut worker = env.worker("w1", 2).await;
    let retried = retry(&env, sweep).await.unwrap();
    assert_eq!(retried.trials, 1);
    let counts = retried.sweep.unwrap().counts.unwrap();
    assert_eq!((counts.succeeded, counts.failed, counts.queued + counts.running), (13, 0, 1));
    let ended = worker.work(&env, sweep, &by_filters()).await;
    assert_eq!((ended.state(), ended.counts.unwrap().succeeded), (v1::SweepState::Succeeded, 14));
    assert!(ended.reason.is_empty());
    assert!(env.leaderboard(sweep).await.rows.iter().all(|row| row.rank.is_some()));
    assert_eq!(retry(&env, sweep).await.unwrap().trials, 0, "nothing has failed any more");
    let request = v1::ListTrialsRequest { sweep: reference(sweep), ..Default::default() };
    let trials = env.sweeps().await.list_trials(request).await.unwrap().into_inner().trials;
    let mut attempts: Vec<_> = trials.iter().map(|trial| trial.attempts).collect();
    attempts.sort_unstable();
    assert_eq!((attempts[12], attempts[13]), (1, 2), "one trial ran twice, the others once");
    assert!(actions(&env, sweep).await.contains(&"ann retried".to_owned()));
}

#[tokio::test]
async fn retry_opens_stages_that_had_no_winner_to_start_from() {
    let spec = SPEC.replace("keep: { filters: 8 }", "keep: best");
    // All trials of a stage fail with the same error, and the sweep must not be held back.
    let env = Env::with(Args { hold_back_after: Some("0".into()), ..Args::default() }).await;
    let sweep = env.submit(&spec).await.id;
    let mut worker = env.worker("w1", 2).await;
    let all_fail: Answer =
        Arc::new(|_| Ending::Failure(v1::Failure { class: v1::FailureClass::Spec.into(), reason: "meant".into() }));
    let ended = worker.work(&env, sweep, &all_fail).await;
    assert_eq!(ended.state(), v1::SweepState::Failed);
    assert!(ended.stages[0].choice.contains("no winner"), "{}", ended.stages[0].choice);
    retry(&env, sweep).await.unwrap();
    let ended = worker.work(&env, sweep, &by_filters()).await;
    assert_eq!(ended.state(), v1::SweepState::Succeeded, "{}", ended.reason);
    assert_eq!(ended.stages[0].choice, "filters=16");
    assert_eq!(ended.stages[1].counts.unwrap().succeeded, 8);
}

#[tokio::test]
async fn a_cancelled_sweep_is_not_retried_and_an_ended_one_not_changed() {
    let env = Env::new().await;
    let sweep = env.submit(SPEC).await.id;
    let request = v1::CancelSweepRequest { sweep: reference(sweep), user: "ann".into() };
    env.sweeps().await.cancel_sweep(request).await.unwrap();
    let request = v1::CancelSweepRequest { sweep: reference(sweep), user: "bob".into() };
    let again = env.sweeps().await.cancel_sweep(request).await.map(drop);
    let request = v1::SetPriorityRequest { sweep: reference(sweep), priority: 3, user: "bob".into() };
    let priority = env.sweeps().await.set_priority(request).await.map(drop);
    for refused in [again, priority, pause(&env, sweep, true).await.map(drop)] {
        let refused = refused.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
        let said = format!("sweep {sweep} has ended: it was cancelled at ");
        assert!(refused.message().starts_with(&said) && refused.message().ends_with(" UTC"), "{}", refused.message());
    }
    assert_eq!(retry(&env, sweep).await.map(drop).unwrap_err().code(), tonic::Code::FailedPrecondition);
    let said = actions(&env, sweep).await;
    assert_eq!(said.iter().filter(|said| said.as_str() == "ann cancelled").count(), 1, "{said:?}");
}

#[tokio::test]
async fn a_paused_sweep_stays_paused_over_a_restart_and_says_so() {
    let env = Env::new().await;
    let sweep = env.submit(SPEC).await.id;
    assert!(pause(&env, sweep, true).await.unwrap().paused);
    let env = env.restart().await;
    let mut worker = env.worker("w1", 2).await;
    worker.poll().await.unwrap();
    let status = env.status(sweep).await;
    assert!(status.paused && status.waiting_for == ["the sweep is paused"], "{:?}", status.waiting_for);
    assert!(worker.running.is_empty());
    pause(&env, sweep, false).await.unwrap();
    assert_eq!(worker.work(&env, sweep, &by_filters()).await.state(), v1::SweepState::Succeeded);
}

#[tokio::test]
async fn explain_says_why_a_trial_waits_and_what_happened_to_it() {
    let env = Env::new().await;
    let sweep = env.submit(SPEC).await.id;
    let mut worker = env.worker("w1", 1).await;
    worker.until_running().await;
    let (lease, settings, _) = worker.running.values().next().unwrap().clone();
    let explain = |id: &[u8]| {
        let trial: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        async {
            let answer = env.sweeps().await.explain_trial(v1::ExplainTrialRequest { trial }).await;
            answer.unwrap().into_inner()
        }
    };
    let now = explain(&lease.trial_id).await.now;
    assert_eq!(now, ["attempt 1 runs on worker w1, slot 0"]);
    let request = v1::ListTrialsRequest { sweep: reference(sweep), ..Default::default() };
    let trials = env.sweeps().await.list_trials(request).await.unwrap().into_inner().trials;
    let waiting = trials.iter().find(|trial| trial.state() == v1::TrialState::Queued).unwrap();
    let now = explain(&waiting.trial_id).await.now;
    assert!(now.iter().any(|said| said.contains("trials are ahead of it")), "{now:?}");
    assert!(now.iter().any(|said| said == "worker w1: every slot is busy"), "{now:?}");
    worker.report(&lease, 1..=3).await;
    worker.finish(&lease, 3, by_filters()(&settings)).await;
    let answer = explain(&lease.trial_id).await;
    assert!(answer.now.is_empty() && answer.attempts.len() == 1);
    let events: Vec<_> = answer.events.iter().map(|event| event.action.as_str()).collect();
    assert_eq!(events, ["round_opened", "attempt_assigned", "attempt_ended", "round_ended"]);
}

#[tokio::test]
async fn a_worker_is_told_that_it_is_out_of_service_and_when_it_is_back() {
    let env = Env::new().await;
    env.submit(SPEC).await;
    let mut worker = env.worker("w1", 1).await;
    let serve = |service: v1::WorkerServiceState| {
        let reason = "its fan is loud".to_owned();
        let request =
            v1::SetWorkerServiceRequest { worker: "w1".into(), service: service.into(), reason, user: "ann".into() };
        async { env.sweeps().await.set_worker_service(request).await.unwrap().into_inner().worker.unwrap() }
    };
    let told = serve(v1::WorkerServiceState::Suspended).await;
    assert_eq!((told.state.as_str(), told.out_of_service.as_str()), ("suspended", "its fan is loud"));
    assert_eq!(worker.poll().await.unwrap().out_of_service, "its fan is loud");
    worker.poll().await.unwrap();
    assert!(worker.running.is_empty());
    serve(v1::WorkerServiceState::Active).await;
    worker.until_running().await;
    serve(v1::WorkerServiceState::Draining).await;
    assert!(worker.poll().await.unwrap().drain);
    serve(v1::WorkerServiceState::Leaving).await;
    assert!(worker.poll().await.unwrap().leave);
    let nobody = v1::SetWorkerServiceRequest {
        worker: "nobody".into(),
        service: v1::WorkerServiceState::Draining.into(),
        ..Default::default()
    };
    let refused = env.sweeps().await.set_worker_service(nobody).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::NotFound);
}

#[tokio::test]
async fn a_worker_that_was_cut_off_goes_on_where_it_was_even_over_a_restart() {
    let clock = Manual::begin();
    let env = Env::by(&clock, short_lease()).await;
    let sweep = env.submit(SPEC).await.id;
    let mut worker = env.worker("w1", 1).await;
    worker.until_running().await;
    let (lease, settings, _) = worker.running.values().next().unwrap().clone();
    worker.report(&lease, 1..=2).await;
    // Its lease expires. The coordinator notices this with the next poll of another worker.
    let mut other = env.worker("w2", 0).await;
    while env.status(sweep).await.counts.unwrap().running > 0 {
        clock.advance(STEP);
        other.poll().await.unwrap();
    }
    let env = env.restart().await;
    worker.client = env.worker("someone else", 0).await.client;
    assert!(worker.register().await.is_empty(), "nobody has begun again: it goes on");
    let missing = worker.finish(&lease, 3, Ending::Result(result(0.5))).await;
    assert_eq!((missing.verdict(), missing.stored_sequence), (v1::FinishVerdict::PointsMissing, 2));
    worker.report(&lease, 3..=3).await;
    let accepted = worker.finish(&lease, 3, by_filters()(&settings)).await;
    assert_eq!(accepted.verdict(), v1::FinishVerdict::Accepted);
    worker.running.remove(&key(&lease));
    let ended = worker.work(&env, sweep, &by_filters()).await;
    assert_eq!((ended.state(), ended.counts.unwrap().succeeded), (v1::SweepState::Succeeded, 14));
    let said = actions(&env, sweep).await;
    assert!(said.contains(&"coordinator attempt_revived".to_owned()), "{said:?}");
}

#[tokio::test]
async fn a_priority_outside_of_the_range_is_refused_wherever_it_is_said() {
    let env = Env::new().await;
    let sweep = env.submit(SPEC).await.id;
    let mut sweeps = env.sweeps().await;
    for priority in [1_001, -1_001, i32::MAX, i32::MIN] {
        let request = v1::SetPriorityRequest { sweep: reference(sweep), priority, user: "ann".into() };
        let changed = sweeps.set_priority(request).await.map(drop);
        let request = v1::SubmitRequest { spec: SPEC.to_owned().into(), priority, ..Default::default() };
        let submitted = sweeps.submit(request).await.map(drop);
        for refused in [changed, submitted] {
            let refused = refused.unwrap_err();
            assert_eq!(refused.code(), tonic::Code::InvalidArgument);
            let said = format!("priority: expected a whole number from -1000 to 1000, found {priority}");
            assert!(refused.message().contains(&said), "{}", refused.message());
        }
    }
    let request = v1::SetPriorityRequest { sweep: reference(sweep), priority: -1_000, user: "ann".into() };
    sweeps.set_priority(request).await.unwrap();
    assert_eq!(env.status(sweep).await.priority, -1_000);
}
