//! A lying worker: it uses the session of another worker, reports attempts of another worker, and repeats old messages.

use sweep_proto::v1;
use tonic::Code;

use super::env::study;
use super::intruder::{Client, Fleet, registration, runtime};

type Workers = v1::worker_service_client::WorkerServiceClient<Client>;

const THREE_SECOND_LEASES: &[&str] = &["--lease-ttl-ms", "3000"];

async fn register(client: &mut Workers, name: &str) -> u64 {
    client.register(registration(name)).await.unwrap().into_inner().session
}

/// Polls until it gets a trial, and describes data on request.
async fn take(client: &mut Workers, session: u64) -> v1::Lease {
    let mut seen = 0;
    loop {
        let poll = v1::PollRequest { session, seen, ..Default::default() };
        let answer = client.poll(poll).await.unwrap().into_inner();
        seen = seen.max(answer.number);
        for task in answer.describe {
            let description = v1::DataDescription {
                digest: vec![7; 32].into(),
                classes: (0..8).map(|class| format!("class {class}")).collect(),
                channels: 1,
                train_images: 32,
                test_images: 16,
            };
            let answer = Some(v1::describe_request::Answer::Description(description));
            client.describe(v1::DescribeRequest { session, dataset_key: task.dataset_key, answer }).await.unwrap();
        }
        if let Some(start) = answer.start.into_iter().next() {
            return start.lease.unwrap();
        }
    }
}

fn point(lease: &v1::Lease) -> v1::Point {
    let metrics = v1::EpochMetrics { epoch: 1, train_loss: 1.0, val_loss: 1.0, ..Default::default() };
    v1::Point { lease: Some(lease.clone()), sequence: 1, metrics: Some(metrics) }
}

fn failed(session: u64, lease: &v1::Lease) -> v1::FinishRequest {
    let failure = v1::Failure { class: v1::FailureClass::Trainer.into(), reason: "by an intruder".into() };
    v1::FinishRequest {
        session,
        lease: Some(lease.clone()),
        ending: Some(v1::finish_request::Ending::Failure(failure)),
        ..Default::default()
    }
}

async fn submitted(fleet: &Fleet, spec: String) -> String {
    let submit = v1::SubmitRequest { spec: spec.into(), ..Default::default() };
    fleet.sweeps(&fleet.submit).await.submit(submit).await.unwrap().into_inner().sweep.unwrap().id.to_string()
}

#[test]
fn a_stolen_session_is_worth_nothing_with_another_token() {
    let fleet = Fleet::with(THREE_SECOND_LEASES);
    let other = fleet.token(&["other", "--role", "worker"]);
    let spec = study("stolen", 1, &[2], &[1]);
    runtime().block_on(async {
        submitted(&fleet, spec).await;
        let (mut honest, mut thief) = (fleet.workers(&fleet.worker).await, fleet.workers(&other).await);
        let session = register(&mut honest, "w1").await;
        let lease = take(&mut honest, session).await;
        let polled = thief.poll(v1::PollRequest { session, ..Default::default() }).await.unwrap_err();
        assert_eq!(polled.code(), Code::NotFound);
        let report = v1::ReportRequest { session, points: vec![point(&lease)] };
        assert_eq!(thief.report(report.clone()).await.unwrap_err().code(), Code::NotFound);
        assert_eq!(thief.finish(failed(session, &lease)).await.unwrap_err().code(), Code::NotFound);
        let describe = v1::DescribeRequest { session, dataset_key: vec![0; 32].into(), answer: None };
        assert_eq!(thief.describe(describe).await.unwrap_err().code(), Code::NotFound);
        // Whose name it is, is whoever's who is connected under it.
        let taken = thief.register(registration("w1")).await.unwrap_err();
        assert!(taken.code() == Code::Unavailable && taken.message().contains("another token"), "{taken:?}");
        assert!(honest.report(report).await.unwrap().into_inner().stop.is_empty(), "the honest one goes on");
    });
}

#[test]
fn sessions_are_not_numbers_that_somebody_counts_to() {
    let fleet = Fleet::start();
    runtime().block_on(async {
        let mut client = fleet.workers(&fleet.worker).await;
        let mut sessions = Vec::new();
        for name in ["w1", "w2", "w3", "w4"] {
            sessions.push(register(&mut client, name).await);
        }
        let small = sessions.iter().filter(|session| **session < 1 << 32).count();
        let near = sessions.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) < 1 << 32).count();
        assert_eq!((small, near), (0, 0), "{sessions:?}");
        for guess in (0..64).chain([sessions[0] ^ 1, sessions[0].wrapping_add(1)]) {
            let polled = client.poll(v1::PollRequest { session: guess, ..Default::default() }).await.unwrap_err();
            assert_eq!(polled.code(), Code::NotFound, "{guess}");
        }
    });
}

#[test]
fn a_worker_reports_for_attempts_that_it_holds_and_for_no_others() {
    let fleet = Fleet::with(THREE_SECOND_LEASES);
    let spec = study("others", 1, &[2], &[1]);
    runtime().block_on(async {
        let sweep = submitted(&fleet, spec).await;
        let (mut honest, mut liar) = (fleet.workers(&fleet.worker).await, fleet.workers(&fleet.worker).await);
        let session = register(&mut honest, "w1").await;
        let lease = take(&mut honest, session).await;
        // The same token, a session of its own, and the lease of the other.
        let own = register(&mut liar, "w2").await;
        let report = v1::ReportRequest { session: own, points: vec![point(&lease)] };
        let answer = liar.report(report).await.unwrap().into_inner();
        assert_eq!(answer.stop, std::slice::from_ref(&lease), "it is told that this lease is not its own");
        let finished = liar.finish(failed(own, &lease)).await.unwrap().into_inner();
        assert_eq!(finished.verdict, i32::from(v1::FinishVerdict::Stale));
        // Nor does it hand in a file for it.
        let header = |session| v1::ArtifactHeader {
            session,
            kind: v1::ArtifactKind::Log.into(),
            lease: Some(lease.clone()),
            size_bytes: 1,
            digest: blake3_of_x().into(),
            ..Default::default()
        };
        let parts = |session| {
            let header = v1::put_artifact_request::Part::Header(header(session));
            let chunk = v1::put_artifact_request::Part::Chunk(b"x".to_vec().into());
            futures::stream::iter([header, chunk].map(|part| v1::PutArtifactRequest { part: Some(part) }))
        };
        assert_eq!(liar.put_artifact(parts(own)).await.unwrap_err().code(), Code::NotFound);
        assert_eq!(liar.put_artifact(parts(12345)).await.unwrap_err().code(), Code::NotFound);
        honest.put_artifact(parts(session)).await.unwrap();
        // An attempt that nobody was given, and one of a trial that is none.
        let later = v1::Lease { attempt: lease.attempt + 1, ..lease.clone() };
        let nowhere = v1::Lease { trial_id: vec![9; 32].into(), ..lease.clone() };
        for odd in [later, nowhere] {
            let finished = honest.finish(failed(session, &odd)).await.unwrap().into_inner();
            assert_eq!(finished.verdict, i32::from(v1::FinishVerdict::Stale));
        }
        let request = v1::GetSweepRequest { sweep: Some(v1::SweepReference { text: sweep }) };
        let status = fleet.sweeps(&fleet.read).await.get_sweep(request).await.unwrap().into_inner().sweep.unwrap();
        assert_eq!(status.state, i32::from(v1::SweepState::Running), "nothing of it was believed: {status:?}");
    });
}

#[test]
fn words_that_are_said_again_count_once_and_late_ones_not_at_all() {
    let fleet = Fleet::with(&["--lease-ttl-ms", "3000", "--max-failures", "2", "--retry-backoff-ms", "1"]);
    let spec = study("replay", 1, &[2], &[1]);
    runtime().block_on(async {
        submitted(&fleet, spec).await;
        let mut client = fleet.workers(&fleet.worker).await;
        let session = register(&mut client, "w1").await;
        let lease = take(&mut client, session).await;
        let report = v1::ReportRequest { session, points: vec![point(&lease)] };
        for _ in 0..3 {
            assert!(client.report(report.clone()).await.unwrap().into_inner().stop.is_empty());
        }
        let ending = v1::FinishRequest { last_sequence: 1, ..failed(session, &lease) };
        let first = client.finish(ending.clone()).await.unwrap().into_inner();
        assert_eq!(first.verdict, i32::from(v1::FinishVerdict::Accepted));
        let second = take(&mut client, session).await;
        assert_eq!(second.attempt, lease.attempt + 1);
        // The recorded ending, played again against the attempt that runs now, and against its own.
        let again = client.finish(ending).await.unwrap().into_inner();
        assert_ne!(again.verdict, i32::from(v1::FinishVerdict::PointsMissing));
        let trial: String = lease.trial_id.iter().map(|byte| format!("{byte:02x}")).collect();
        let shown =
            fleet.sweeps(&fleet.read).await.get_trial(v1::GetTrialRequest { trial }).await.unwrap().into_inner();
        assert_eq!(shown.attempts.len(), 2, "one failure was counted: {:?}", shown.attempts);
        // And with a session that is over.
        register(&mut client, "w1").await;
        let late = client.finish(failed(session, &second)).await.unwrap_err();
        assert_eq!(late.code(), Code::NotFound);
    });
}

/// BLAKE3 of the letter x.
fn blake3_of_x() -> Vec<u8> {
    sweep_spec::Digest::of(b"x").as_bytes().to_vec()
}
