//! A sweep whose first trials all fail with the same error is held back: over gRPC, on the page, in the audit log, and
//! after a restart.

use std::sync::Arc;

use sweep_proto::v1;
use sweep_proto::v1::finish_request::Ending;

use crate::env::{Answer, Env, SPEC, Worker, by_filters, reference};
use crate::http::send;

/// Every trial fails, with a reason that contains numbers.
fn slip() -> Answer {
    Arc::new(|settings| {
        let reason = format!("`epoch` 1 came where {} of 3 was next", settings["configuration.filters"]);
        Ending::Failure(v1::Failure { class: v1::FailureClass::Spec.into(), reason })
    })
}

/// Works until nothing more happens without a user's action.
async fn fail_until_held_back(env: &Env, worker: &mut Worker, sweep: u64) -> v1::SweepStatus {
    loop {
        worker.poll().await.unwrap();
        worker.finish_all(&slip()).await;
        let status = env.status(sweep).await;
        if status.held_back.as_ref().is_some_and(|held| held.tried == 0) {
            return status;
        }
    }
}

async fn get(env: &Env, path: &str) -> String {
    send(env.handle.http_address(), &format!("GET {path} HTTP/1.1"), b"").await.text().to_owned()
}

async fn resume(env: &Env, sweep: u64) -> v1::SweepStatus {
    let request = v1::PauseSweepRequest { sweep: reference(sweep), paused: false, user: "ada".into() };
    env.sweeps().await.pause_sweep(request).await.unwrap().into_inner().sweep.unwrap()
}

#[tokio::test]
async fn a_sweep_whose_first_trials_fail_alike_holds_the_rest_back_and_says_so() {
    let env = Env::new().await;
    let sweep = env.submit(SPEC).await.id;
    let mut worker = env.worker("w1", 1).await;
    let status = fail_until_held_back(&env, &mut worker, sweep).await;
    let counts = status.counts.unwrap();
    let held = status.held_back.unwrap();
    assert_eq!((counts.failed, counts.running, held.trials), (4, 0, counts.queued));
    assert!(
        held.sentence.contains("trials are held back: the first 3 trials failed in the same way: spec: `epoch` 1 came")
    );
    assert_eq!(status.waiting_for, [held.sentence.as_str()]);

    let env = env.restart().await;
    let again = env.status(sweep).await;
    assert_eq!(again.held_back.as_ref(), Some(&held), "a restart does not forget it");
    let page = get(&env, &format!("/sweeps/{sweep}")).await;
    assert!(page.contains("are held back") && page.contains("Resume"), "{page}");
    let gauge = format!("sweep_held_back_trials{{sweep=\"{sweep}\"}} {}", held.trials);
    assert!(get(&env, "/metrics").await.contains(&gauge), "{gauge}");

    let resumed = resume(&env, sweep).await;
    assert_eq!(resumed.held_back, None);
    let mut worker = env.worker("w1", 1).await;
    let ended = worker.work(&env, sweep, &by_filters()).await;
    assert_eq!((ended.state(), ended.counts.unwrap().failed), (v1::SweepState::Failed, 4));
    let request = v1::ListAuditRequest { sweep: reference(sweep), ..Default::default() };
    let entries = env.sweeps().await.list_audit(request).await.unwrap().into_inner().entries;
    let actions: Vec<&str> = entries.iter().map(|entry| entry.action.as_str()).collect();
    for action in ["held_back", "released", "resumed"] {
        assert_eq!(actions.iter().filter(|found| **found == action).count(), 1, "{action}: {actions:?}");
    }
}

#[tokio::test]
async fn who_submits_the_same_spec_again_to_resume_it_lets_it_go_on() {
    let env = Env::new().await;
    let sweep = env.submit(SPEC).await.id;
    let mut worker = env.worker("w1", 1).await;
    fail_until_held_back(&env, &mut worker, sweep).await;
    let request = v1::SubmitRequest { spec: SPEC.into(), resume: true, ..Default::default() };
    let answer = env.sweeps().await.submit(request).await.unwrap().into_inner();
    assert!(answer.resumed);
    let status = answer.sweep.unwrap();
    assert_eq!((status.id, status.held_back), (sweep, None));
}
