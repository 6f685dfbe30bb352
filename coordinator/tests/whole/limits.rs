//! Limits: lengths of messages and names, numbers of everything that the coordinator keeps, and workers that send only
//! useless requests. Each refusal names its limit.

use prost::Message;
use sweep_coordinator::Args;
use sweep_coordinator::clock::Manual;
use sweep_proto::v1;
use tonic::Code;

use crate::env::{Env, SPEC, STEP, by_filters, key, metrics, reference, short_lease};
use crate::http::get;

fn args(max_trials: &str, max_sweeps: &str, max_workers: &str) -> Args {
    Args {
        max_trials: Some(max_trials.into()),
        max_sweeps: Some(max_sweeps.into()),
        max_workers: Some(max_workers.into()),
        ..Args::default()
    }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, tonic::Status>, code: Code, words: &str) {
    let status = answer.unwrap_err();
    assert_eq!(status.code(), code, "{status}");
    assert!(status.message().contains(words), "{words:?} is missing in {status}");
}

fn registration() -> v1::RegisterRequest {
    v1::RegisterRequest {
        worker: "w".into(),
        version: "0".into(),
        trainer_semantics: sweep_spec::TRAINER_SEMANTICS,
        ..Default::default()
    }
}

#[tokio::test]
async fn a_message_that_is_too_long_is_not_even_read() {
    // A busy machine is slow with such messages, so the session needs a long lease.
    let env = Env::with(Args { lease_ttl_ms: Some("600000".into()), ..Args::default() }).await;
    let mut worker = env.worker("w1", 1).await;
    // Two bytes each on the wire, and far more in memory.
    let points = vec![v1::Point::default(); 1_100_000];
    let report = v1::ReportRequest { session: worker.session, points };
    assert!(report.encoded_len() > sweep_coordinator::grpc::MAX_REPORT_BYTES);
    refused(worker.client.report(report).await, Code::OutOfRange, "too large");
    let spec = vec![b'#'; sweep_coordinator::service::MAX_REQUEST_BYTES + 1];
    let submit = v1::SubmitRequest { spec: spec.into(), ..Default::default() };
    refused(env.sweeps().await.submit(submit).await, Code::OutOfRange, "too large");
    let spec = vec![b'#'; sweep_coordinator::service::requests::MAX_SPEC_BYTES + 1];
    let submit = v1::SubmitRequest { spec: spec.into(), ..Default::default() };
    refused(env.sweeps().await.submit(submit).await, Code::InvalidArgument, "spec: longer than 1048576 bytes");
    let report = v1::ReportRequest { session: worker.session, points: Vec::new() };
    assert!(worker.client.report(report).await.is_ok(), "the worker goes on");
}

#[tokio::test]
async fn names_lists_and_points_are_bounded_and_logs_are_cut() {
    let env = Env::new().await;
    let sweep = env.submit(SPEC).await.id;
    let mut worker = env.worker("w1", 1).await;
    worker.until_running().await;
    let long = "x".repeat(300);
    let label = v1::Label { key: long.clone(), value: String::new() };
    for (request, words) in [
        (v1::RegisterRequest { worker: long.clone(), ..registration() }, "worker: longer than 256 bytes"),
        (v1::RegisterRequest { host: long.clone(), ..registration() }, "host: longer than 256 bytes"),
        (v1::RegisterRequest { labels: vec![label], ..registration() }, "labels.key: longer than 256 bytes"),
        (v1::RegisterRequest { labels: vec![v1::Label::default(); 65], ..registration() }, "labels: more than 64"),
        (v1::RegisterRequest { slots: vec![v1::Slot::default(); 1025], ..registration() }, "slots: more than 1024"),
        (
            v1::RegisterRequest { live_attempts: vec![v1::LiveAttempt::default(); 4097], ..registration() },
            "live_attempts: more than 4096",
        ),
    ] {
        refused(worker.client.register(request).await, Code::InvalidArgument, words);
    }
    let held = vec![v1::Lease::default(); 4097];
    let poll = v1::PollRequest { session: worker.session, held, ..Default::default() };
    refused(worker.client.poll(poll).await, Code::InvalidArgument, "held: more than 4096");
    let many = v1::ReportRequest { session: worker.session, points: vec![v1::Point::default(); 10_001] };
    refused(worker.client.report(many).await, Code::InvalidArgument, "points: more than 10000");

    let (lease, settings, _) = worker.running.values().next().unwrap().clone();
    worker.report(&lease, 1..=3).await;
    for (sequence, epoch) in [(4, 4), (4, 3), (4, u32::MAX)] {
        let point = v1::Point { lease: Some(lease.clone()), sequence, metrics: Some(metrics(epoch, 0.5)) };
        let report = v1::ReportRequest { session: worker.session, points: vec![point] };
        refused(worker.client.report(report).await, Code::InvalidArgument, "points: more than the 3 epochs of trial");
    }
    let finish = v1::FinishRequest {
        session: worker.session,
        lease: Some(lease.clone()),
        last_sequence: 3,
        ending: Some(by_filters()(&settings)),
        phases: None,
        log_tail: format!("{}the end", "x".repeat(100_000)),
    };
    let verdict = worker.client.finish(finish).await.unwrap().into_inner().verdict();
    assert_eq!(verdict, v1::FinishVerdict::Accepted);
    worker.running.remove(&key(&lease));
    let trial: String = lease.trial_id.iter().map(|byte| format!("{byte:02x}")).collect();
    let trial = env.sweeps().await.get_trial(v1::GetTrialRequest { trial }).await.unwrap().into_inner();
    let log = &trial.attempts[0].log_tail;
    assert!(log.len() == sweep_coordinator::convert::MAX_LOG_BYTES && log.ends_with("the end"), "{}", log.len());
    assert_eq!(trial.points.len(), 3);
    let name = v1::SweepReference { text: long };
    let status = env.sweeps().await.get_sweep(v1::GetSweepRequest { sweep: Some(name) }).await;
    refused(status, Code::InvalidArgument, "sweep: longer than 256 bytes");
    assert_eq!(env.status(sweep).await.counts.unwrap().succeeded, 1);
}

#[tokio::test]
async fn trials_and_sweeps_are_bounded_whatever_their_submitters_allow() {
    let env = Env::with(args("20", "1", "100")).await;
    let mut sweeps = env.sweeps().await;
    let submit = |spec: String, trial_limit| v1::SubmitRequest { spec: spec.into(), trial_limit, ..Default::default() };
    let large = SPEC.replace("seeds: [0, 1]", "seeds: 3");
    refused(sweeps.submit(submit(large.clone(), 0)).await, Code::InvalidArgument, "expected at most 20 trials");
    refused(sweeps.submit(submit(large, 1000)).await, Code::InvalidArgument, "trial_limit: 1000 is more than 20");
    let first = env.submit(SPEC).await.id;
    let second = sweeps.submit(submit(SPEC.to_owned(), 0)).await;
    refused(second, Code::ResourceExhausted, "1 sweeps are unfinished, the maximum of this coordinator");
    let resumed = v1::SubmitRequest { resume: true, ..submit(SPEC.to_owned(), 0) };
    assert!(sweeps.submit(resumed).await.unwrap().into_inner().resumed, "one that is there is taken up");
    let cancel = v1::CancelSweepRequest { sweep: reference(first), user: String::new() };
    sweeps.cancel_sweep(cancel).await.unwrap();
    assert!(sweeps.submit(submit(SPEC.to_owned(), 0)).await.is_ok(), "there is room again");
}

#[tokio::test]
async fn workers_are_bounded_and_the_place_of_a_lost_one_is_free() {
    let clock = Manual::begin();
    let env = Env::by(&clock, Args { lease_ttl_ms: short_lease().lease_ttl_ms, ..args("100", "10", "1") }).await;
    let mut first = env.worker("w1", 1).await;
    let mut client = env.worker("w1", 1).await.client;
    assert!(first.register().await.is_empty(), "one that is connected comes back whenever it likes");
    refused(client.register(registration()).await, Code::ResourceExhausted, "1 workers are connected");
    // The first worker no longer polls.
    clock.advance(2 * STEP);
    refused(client.register(registration()).await, Code::ResourceExhausted, "1 workers are connected");
    clock.advance(2 * STEP);
    // The coordinator notices the new time a moment later.
    while client.register(registration()).await.is_err() {}
}

#[tokio::test]
async fn a_worker_has_one_parked_poll() {
    let env = Env::with(Args { lease_ttl_ms: Some("60000".into()), ..Args::default() }).await;
    let worker = env.worker("w1", 1).await;
    let polls = (0..100).map(|_| {
        let mut client = worker.client.clone();
        let request = v1::PollRequest { session: worker.session, held: Vec::new(), draining: false, seen: 0 };
        tokio::spawn(async move { client.poll(request).await })
    });
    let mut polls: futures::stream::FuturesUnordered<_> = polls.collect();
    for _ in 0..99 {
        // None of them waits for the twenty seconds that a parked poll may take.
        let answered = futures::StreamExt::next(&mut polls).await.unwrap().unwrap().unwrap().into_inner();
        assert_eq!(answered, v1::PollResponse::default());
    }
}

#[tokio::test]
async fn a_worker_that_spams_does_not_keep_another_from_its_work() {
    let env = Env::new().await;
    let sweep = env.submit(SPEC).await.id;
    let spammer = env.worker("spammer", 0).await;
    let lease = v1::Lease { trial_id: vec![7; 32].into(), round: 1, attempt: 1 };
    let point = v1::Point { lease: Some(lease), sequence: 1, metrics: Some(metrics(1, 0.5)) };
    let answered = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let spam: Vec<_> = (0..64)
        .map(|_| {
            let (mut client, answered) = (spammer.client.clone(), std::sync::Arc::clone(&answered));
            let request = v1::ReportRequest { session: spammer.session, points: vec![point.clone(); 100] };
            tokio::spawn(async move {
                while client.report(request.clone()).await.is_ok() {
                    answered.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
            })
        })
        .collect();
    let ended = env.worker("w1", 2).await.work(&env, sweep, &by_filters()).await;
    assert_eq!((ended.state(), ended.counts.unwrap().succeeded), (v1::SweepState::Succeeded, 14));
    assert!(answered.load(std::sync::atomic::Ordering::Relaxed) > 0);
    spam.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn minor_versions_talk_and_major_ones_are_refused_with_a_sentence() {
    let env = Env::new().await;
    let sweep = env.submit(SPEC).await.id;
    let mut worker = env.worker("w1", 2).await;
    let newer = v1::RegisterRequest { version: "0.99.3".into(), worker: "newer".into(), ..registration() };
    let answer = worker.client.register(newer).await.unwrap().into_inner();
    assert_eq!(answer.coordinator_version, env!("CARGO_PKG_VERSION"), "the worker can judge for itself");
    let other = v1::RegisterRequest { version: "7.0.0".into(), ..registration() };
    let words = format!("this coordinator has version {}, the worker 7.0.0", env!("CARGO_PKG_VERSION"));
    refused(worker.client.register(other).await, Code::PermissionDenied, &words);
    // A newer worker sends fields that this coordinator does not know; it still understands the known fields.
    let mut bytes = registration().encode_to_vec();
    bytes.extend([0xfa, 0x3f, 3, b'n', b'e', b'w', 0xf0, 0x3f, 1]);
    assert_eq!(v1::RegisterRequest::decode(bytes.as_slice()).unwrap(), registration());
    let ended = worker.work(&env, sweep, &by_filters()).await;
    assert_eq!(ended.state(), v1::SweepState::Succeeded);
}

#[tokio::test]
async fn streams_and_estimates_are_bounded_and_one_that_ends_makes_room() {
    let limits = Some("{watches: 3, exports: 1}".to_owned());
    let env = Env::with(Args { limits, ..Args::default() }).await;
    let sweep = env.submit(SPEC).await.id;
    let mut sweeps = env.sweeps().await;
    let request = || v1::WatchSweepRequest { sweep: reference(sweep) };
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut stream = sweeps.watch_sweep(request()).await.unwrap().into_inner();
        assert!(stream.message().await.unwrap().is_some());
        open.push(stream);
    }
    let words = "3 streams that watch sweeps are open, the maximum of this coordinator (limits.watches)";
    refused(sweeps.watch_sweep(request()).await.map(drop), Code::ResourceExhausted, words);
    for path in [format!("/api/v1/sweeps/{sweep}/events"), "/events".to_owned()] {
        let answer = crate::watching::http(&env, &path).await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after: 2"), "{path}: {answer}");
    }
    drop(open);
    // The coordinator notices the dropped streams with the next data on the connection.
    while sweeps.watch_sweep(request()).await.is_err() {
        tokio::task::yield_now().await;
    }
}

/// More than both ends of a connection buffer of an unread stream.
const UNREAD_BYTES: usize = 8 * 1024 * 1024;

/// A worker uploads a log of `UNREAD_BYTES`. Returns its digest.
async fn leave_a_log(env: &Env) -> sweep_spec::Digest {
    use v1::put_artifact_request::Part;
    let mut worker = env.worker("w1", 1).await;
    worker.until_running().await;
    let content = vec![b'x'; UNREAD_BYTES];
    let digest = sweep_spec::Digest::of(&content);
    let header = v1::ArtifactHeader {
        session: worker.session,
        kind: v1::ArtifactKind::Log.into(),
        lease: Some(worker.held().remove(0)),
        size_bytes: content.len() as u64,
        digest: digest.as_bytes().to_vec().into(),
        ..Default::default()
    };
    let chunks = content.chunks(64 * 1024).map(|chunk| Part::Chunk(chunk.to_vec().into()));
    let parts: Vec<_> = std::iter::once(Part::Header(header)).chain(chunks).collect();
    let parts = parts.into_iter().map(|part| v1::PutArtifactRequest { part: Some(part) });
    worker.client.put_artifact(tokio_stream::iter(parts)).await.unwrap();
    digest
}

#[tokio::test]
async fn files_are_exports_over_http_as_over_grpc() {
    let limits = Some("{exports: 1}".to_owned());
    let env = Env::with(Args { limits, ..Args::default() }).await;
    let sweep = env.submit(SPEC).await.id;
    let digest = leave_a_log(&env).await;
    let mut sweeps = env.sweeps().await;
    let paths = [
        format!("/sweeps/{sweep}/report?format=html"),
        format!("/sweeps/{sweep}/report?format=parquet"),
        format!("/sweeps/{sweep}/leaderboard?format=csv"),
        format!("/sweeps/{sweep}/analysis?format=csv"),
        format!("/sweeps/{sweep}/trials?format=csv"),
        format!("/sweeps/{sweep}/points?format=csv"),
        format!("/sweeps/{sweep}/artifacts?format=csv"),
        format!("/sweeps/{sweep}/audit?format=csv"),
        format!("/artifacts/{digest}"),
        "/sweeps?format=csv".to_owned(),
        "/workers?format=csv".to_owned(),
        "/audit?format=csv".to_owned(),
    ];
    // The artifact is requested and not read.
    let request = || v1::GetArtifactRequest { digest: digest.as_bytes().to_vec().into() };
    let open = sweeps.get_artifact(request()).await.unwrap().into_inner();
    let words = "1 exports are open, the maximum of this coordinator (limits.exports)";
    refused(sweeps.get_artifact(request()).await.map(drop), Code::ResourceExhausted, words);
    let report = v1::GetReportRequest { sweep: reference(sweep), ..Default::default() };
    refused(sweeps.get_report(report).await.map(drop), Code::ResourceExhausted, words);
    for path in &paths {
        let answer = get(&env, path).await;
        assert!(answer.problem(503).contains(words), "{path}: {answer:?}");
        assert_eq!(answer.header("retry-after"), "2", "{path}");
    }
    assert_eq!(get(&env, &format!("/sweeps/{sweep}/leaderboard")).await.status, 200, "a page of rows is no file");
    drop(open);
    // The coordinator notices this with the next data on the connection.
    while get(&env, &paths[0]).await.status == 503 {
        tokio::task::yield_now().await;
    }
    // Each file releases its permit; otherwise the next one would wait forever.
    for path in &paths {
        let answer = loop {
            let answer = get(&env, path).await;
            if answer.status != 503 {
                break answer;
            }
            tokio::task::yield_now().await;
        };
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
}

/// Two filters under two seeds, then four rates of dropout with the better of them.
const STAGED: &str = "
version: 1
name: staged
dataset: { kind: synthetic_scenes, seed: 1, train_images: 64, test_images: 32, image_size: 32, channels: 3, classes: 8 }
protocol: { epochs: 3 }
seeds: [0, 1]
baseline: { family: cnn, filters: 4, dense_units: 8 }
stages:
  - { name: width, vary: { filters: [4, 8] }, keep: best }
  - { name: rest, from: width, vary: { dropout: [0.0, 0.1, 0.2, 0.3] } }
";

fn submit(spec: &str) -> v1::SubmitRequest {
    v1::SubmitRequest { spec: spec.to_owned().into(), ..Default::default() }
}

#[tokio::test]
async fn trials_that_have_not_ended_are_bounded_over_all_sweeps() {
    let env = Env::with(Args { max_live_trials: Some("20".into()), ..Args::default() }).await;
    let first = env.submit(SPEC).await.id;
    let other = SPEC.replace("seeds: [0, 1]", "seeds: [2, 3]");
    let mut sweeps = env.sweeps().await;
    let words =
        "14 trials without results would join 14 trials that have not ended, but the maximum of this coordinator is 20";
    refused(sweeps.submit(submit(&other)).await, Code::ResourceExhausted, words);
    let mut worker = env.worker("w1", 2).await;
    let ended = worker.work(&env, first, &by_filters()).await;
    assert_eq!(ended.state(), v1::SweepState::Succeeded);
    let second = env.submit(&other).await.id;
    // Trials with a known result need no capacity; with `fresh`, they do.
    env.submit(SPEC).await;
    let fresh = v1::SubmitRequest { fresh: true, ..submit(SPEC) };
    refused(sweeps.submit(fresh).await, Code::ResourceExhausted, "or cancel a sweep");
    let large = SPEC.replace("seeds: [0, 1]", "seeds: [4, 5, 6]");
    refused(sweeps.submit(submit(&large)).await, Code::ResourceExhausted, "submit fewer trials, or split");
    let counts = env.status(second).await.counts.unwrap();
    assert_eq!(counts.queued + counts.running, 14);
}

#[tokio::test]
async fn a_stage_that_results_open_waits_for_room_and_says_so() {
    let env = Env::with(Args { max_live_trials: Some("7".into()), ..Args::default() }).await;
    let staged = env.submit(STAGED).await.id;
    let (plain, _) = STAGED.split_once("stages:").unwrap();
    let plain = plain.replace("seeds: [0, 1]", "seeds: [5]");
    let other =
        env.submit(&format!("{plain}stages: [ {{ name: width, vary: {{ filters: [4, 8, 16] }} }} ]\n")).await.id;
    let mut sweeps = env.sweeps().await;
    let rest = v1::PauseSweepRequest { sweep: reference(other), paused: true, ..Default::default() };
    sweeps.pause_sweep(rest).await.unwrap();
    let mut worker = env.worker("w1", 4).await;
    worker.until_running().await;
    while env.status(staged).await.counts.unwrap().succeeded < 4 {
        worker.finish_all(&by_filters()).await;
    }
    let waits = loop {
        let status = env.status(staged).await;
        if let Some(said) = status.waiting_for.iter().find(|said| said.contains("max_live_trials")) {
            break said.clone();
        }
        tokio::task::yield_now().await;
    };
    let words =
        "its next 8 trials wait for room: 3 trials of other sweeps have not ended. This coordinator keeps at most 7";
    assert!(waits.starts_with(words), "{waits}");
    // The stage is larger than the limit, and opens when no other trial is live.
    sweeps.cancel_sweep(v1::CancelSweepRequest { sweep: reference(other), ..Default::default() }).await.unwrap();
    let ended = worker.work(&env, staged, &by_filters()).await;
    assert_eq!((ended.state(), ended.counts.unwrap().succeeded), (v1::SweepState::Succeeded, 10));
}
