//! Which weights a sweep keeps.

use std::path::PathBuf;

use sweep_proto::v1;
use sweep_spec::Digest;

use crate::env::{Answer, Env, SPEC, Worker, by_filters, key, reference};

fn keeping(whose: &str) -> String {
    SPEC.replace("{ epochs: 3 }", &format!("{{ epochs: 3, keep_weights: {whose} }}"))
}

/// The weights of a trial: content that no other trial has.
fn weights(lease: &v1::Lease) -> Vec<u8> {
    [&lease.trial_id[..], &lease.attempt.to_le_bytes()].concat()
}

async fn upload(worker: &mut Worker, lease: &v1::Lease) -> Result<(), tonic::Status> {
    use v1::put_artifact_request::Part;
    let content = weights(lease);
    let header = v1::ArtifactHeader {
        session: worker.session,
        kind: v1::ArtifactKind::Weights.into(),
        lease: Some(lease.clone()),
        size_bytes: content.len() as u64,
        digest: Digest::of(&content).as_bytes().to_vec().into(),
        ..Default::default()
    };
    let parts = [Part::Header(header), Part::Chunk(content.into())];
    let parts = parts.map(|part| v1::PutArtifactRequest { part: Some(part) });
    worker.client.put_artifact(tokio_stream::iter(parts)).await.map(drop)
}

/// Works until the sweep has ended, and uploads weights with each result.
async fn work(env: &Env, worker: &mut Worker, sweep: u64, answer: &Answer) {
    while env.status(sweep).await.state() == v1::SweepState::Running {
        if worker.running.is_empty() {
            worker.poll().await.unwrap();
        }
        for (lease, settings, _) in worker.running.clone().into_values() {
            worker.report(&lease, 1..=3).await;
            let ending = answer(&settings);
            if matches!(ending, v1::finish_request::Ending::Result(_)) {
                upload(worker, &lease).await.unwrap();
            }
            let verdict = worker.finish(&lease, 3, ending).await;
            assert_eq!(verdict.verdict(), v1::FinishVerdict::Accepted);
            worker.running.remove(&key(&lease));
        }
    }
}

async fn list(env: &Env, sweep: u64) -> v1::ListArtifactsResponse {
    let request = v1::ListArtifactsRequest { sweep: reference(sweep) };
    env.sweeps().await.list_artifacts(request).await.unwrap().into_inner()
}

/// The artifacts after the choice, which follows the end of the sweep.
async fn chosen(env: &Env, sweep: u64) -> v1::ListArtifactsResponse {
    let request = v1::ListAuditRequest { sweep: reference(sweep), limit: 10_000, ..Default::default() };
    loop {
        let audit = env.sweeps().await.list_audit(request.clone()).await.unwrap().into_inner();
        if audit.entries.iter().any(|entry| entry.action == "weights_kept") {
            return list(env, sweep).await;
        }
        tokio::task::yield_now().await;
    }
}

/// The trials of a configuration.
async fn trials(env: &Env, sweep: u64, name: &str) -> Vec<Vec<u8>> {
    let request = v1::ListTrialsRequest { sweep: reference(sweep), configuration: name.into(), ..Default::default() };
    let rows = env.sweeps().await.list_trials(request).await.unwrap().into_inner().trials;
    let mut trials: Vec<Vec<u8>> = rows.into_iter().map(|row| row.trial_id.to_vec()).collect();
    trials.sort();
    trials
}

fn owners(list: &v1::ListArtifactsResponse) -> Vec<Vec<u8>> {
    let mut owners: Vec<Vec<u8>> = list.artifacts.iter().map(|artifact| artifact.trial_id.to_vec()).collect();
    owners.sort();
    owners
}

/// The files in the folder of artifacts.
fn files(env: &Env) -> Vec<PathBuf> {
    let folders = std::fs::read_dir(env.artifacts()).into_iter().flatten().map(|entry| entry.unwrap().path());
    folders.flat_map(|folder| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path())).collect()
}

async fn until_files_are(env: &Env, count: usize) {
    while files(env).len() != count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_sweep_that_keeps_the_winners_weights_keeps_no_others() {
    let env = Env::new().await;
    let sweep = env.submit(&keeping("winner")).await.id;
    let mut worker = env.worker("w1", 3).await;
    worker.until_running().await;
    assert!(list(&env, sweep).await.notes[0].contains("until the sweep ends"));
    work(&env, &mut worker, sweep, &by_filters()).await;
    let left = chosen(&env, sweep).await;
    // The configuration with the most filters wins, under both seeds.
    assert_eq!(owners(&left), trials(&env, sweep, "wide").await);
    assert_eq!(left.notes, ["the coordinator keeps the weights of the winner, wide"]);
    until_files_are(&env, 2).await;
    let env = env.restart().await;
    assert_eq!(owners(&list(&env, sweep).await), trials(&env, sweep, "wide").await);
    assert_eq!(files(&env).len(), 2);
}

#[tokio::test]
async fn all_weights_stay_where_all_were_asked_for() {
    let env = Env::new().await;
    let sweep = env.submit(&keeping("all")).await.id;
    work(&env, &mut env.worker("w1", 3).await, sweep, &by_filters()).await;
    let left = list(&env, sweep).await;
    assert_eq!((left.artifacts.len(), left.notes.len()), (14, 0));
}

#[tokio::test]
async fn what_a_retry_may_still_make_the_winner_keeps_its_weights() {
    let env = Env::new().await;
    let sweep = env.submit(&keeping("winner")).await.id;
    let mut worker = env.worker("w1", 3).await;
    let fails: Answer = std::sync::Arc::new(|settings| {
        if settings["configuration.filters"] == "32" && settings["seed"] == "1" {
            let failure = v1::Failure { class: v1::FailureClass::Spec.into(), reason: "meant".into() };
            return v1::finish_request::Ending::Failure(failure);
        }
        by_filters()(settings)
    });
    work(&env, &mut worker, sweep, &fails).await;
    let left = owners(&chosen(&env, sweep).await);
    let wide = trials(&env, sweep, "wide").await;
    assert_eq!(left.len(), 3, "two of the winner, and the one that the failed configuration has");
    assert_eq!(left.iter().filter(|owner| wide.contains(owner)).count(), 1);
    let retry = v1::RetrySweepRequest { sweep: reference(sweep), ..Default::default() };
    env.sweeps().await.retry_sweep(retry).await.unwrap();
    work(&env, &mut worker, sweep, &by_filters()).await;
    until_files_are(&env, 2).await;
    assert_eq!(owners(&list(&env, sweep).await), wide);
}

#[tokio::test]
async fn a_later_sweep_with_another_winner_says_that_its_weights_are_gone() {
    let env = Env::new().await;
    let first = env.submit(&keeping("winner")).await.id;
    let mut worker = env.worker("w1", 3).await;
    work(&env, &mut worker, first, &by_filters()).await;
    chosen(&env, first).await;
    until_files_are(&env, 2).await;
    // Without the wide one, the first sweep's second best wins. Its weights were removed with the first sweep.
    let narrow: String =
        keeping("winner").lines().filter(|line| !line.starts_with("extra")).collect::<Vec<_>>().join("\n");
    let second = env.submit(&narrow).await.id;
    let left = chosen(&env, second).await;
    assert!(left.artifacts.is_empty());
    assert!(left.notes[0].contains("2 of the 2 trials") && left.notes[0].contains("reproduce"), "{:?}", left.notes);
    // Late uploads are kept only for a winner.
    for (name, kept) in [("filters=8", 0), ("filters=16", 1)] {
        let trial_id = trials(&env, first, name).await.remove(0).into();
        upload(&mut worker, &v1::Lease { trial_id, round: 1, attempt: 1 }).await.unwrap();
        assert_eq!((list(&env, second).await.artifacts.len(), files(&env).len()), (kept, 2 + kept), "{name}");
    }
}
