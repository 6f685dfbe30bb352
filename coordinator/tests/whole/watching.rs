//! Watching, metrics, artifacts, health.

use sweep_proto::v1;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::env::{Env, SPEC, by_filters, reference, timed};

pub(crate) async fn http(env: &Env, path: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(env.handle.http_address()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_watched_sweep_tells_its_end() {
    let env = Env::new().await;
    let sweep = env.submit(SPEC).await.id;
    let request = v1::WatchSweepRequest { sweep: reference(sweep) };
    let mut watch = env.sweeps().await.watch_sweep(request).await.unwrap().into_inner();
    let first = watch.message().await.unwrap().unwrap().sweep.unwrap();
    assert_eq!(first.state(), v1::SweepState::Running);
    env.worker("w1", 4).await.work(&env, sweep, &by_filters()).await;
    let mut last = first;
    while let Some(next) = watch.message().await.unwrap() {
        last = next.sweep.unwrap();
    }
    assert_eq!((last.state(), last.counts.unwrap().succeeded), (v1::SweepState::Succeeded, 14));
    assert!((last.best_value.unwrap() - 0.8195).abs() < 1e-12);
}

#[tokio::test]
async fn metrics_show_running_trials_and_forget_them() {
    let env = Env::new().await;
    let sweep = env.submit(SPEC).await.id;
    let mut worker = env.worker("w\"1\\\n".trim_end(), 2).await;
    worker.until_running().await;
    let lease = worker.held().remove(0);
    worker.report(&lease, 1..=2).await;
    let text = http(&env, "/metrics").await;
    assert!(text.starts_with("HTTP/1.1 200"));
    assert!(text.contains("sweep_running_epoch{") && text.contains(r#"worker="w\"1\\""#), "{text}");
    assert!(text.contains("sweep_points_ingested_total 2"));
    assert!(text.contains(r#"sweep_slots{state="busy"} 2"#));
    worker.work(&env, sweep, &by_filters()).await;
    let text = http(&env, "/metrics").await;
    assert!(!text.contains("sweep_running_epoch{"), "an ended trial has no gauge");
    assert!(text.contains(r#"sweep_leaderboard_value{configuration="wide",rank="1",sweep="1"} 0.8195"#), "{text}");
    assert!(text.contains(r#"sweep_attempts_total{outcome="succeeded"} 14"#));
    assert!(text.contains(r#"sweep_progress_ratio{name="pretend",sweep="1"} 1"#));
}

/// The table of the documentation, a scrape, and the definitions agree.
#[tokio::test]
async fn the_documented_table_is_what_a_scrape_shows() {
    let pools = "[{name: p, slots: 1, device: cpu}]".to_owned();
    let env = Env::with(sweep_coordinator::Args { pools: Some(pools), ..Default::default() }).await;
    let sweep = env.submit(SPEC).await.id;
    let mut worker = env.worker("w1", 2).await;
    let one = worker.work(&env, sweep, &timed()).await;
    assert_eq!(one.state(), v1::SweepState::Succeeded);
    env.submit(&SPEC.replace("epochs: 3", "epochs: 4")).await;
    worker.until_running().await;
    let lease = worker.held().remove(0);
    worker.report(&lease, 1..=1).await;
    let scrape = http(&env, "/metrics").await;
    let documented = include_str!("../../../docs/metrics.md");
    let mut names = Vec::new();
    for metric in sweep_coordinator::metrics::TABLE {
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let row = format!(
            "| `{}` | {} | {} | {} | {} |",
            metric.name,
            metric.kind.name(),
            metric.unit,
            labels.join(", "),
            metric.help
        );
        assert!(documented.contains(&row), "docs/metrics.md lacks this row:\n{row}");
        let kind = format!("# TYPE {} {}\n", metric.name, metric.kind.name());
        assert!(scrape.contains(&kind), "a scrape lacks {kind}{scrape}");
        names.push(metric.name);
    }
    for line in scrape.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = line.split(' ').next().unwrap();
        assert!(names.contains(&name), "{name} is not in the table");
    }
}

#[tokio::test]
async fn health_and_readiness_answer() {
    let env = Env::new().await;
    assert!(http(&env, "/healthz").await.ends_with("ok\n"));
    assert!(http(&env, "/readyz").await.ends_with("ready\n"));
    assert!(http(&env, "/nothing").await.starts_with("HTTP/1.1 404"));
    let mut health = tonic_health::pb::health_client::HealthClient::new(env.channel().await);
    for service in ["", "sweep.v1.SweepService", "sweep.v1.WorkerService", "sweep.v1.CoordinatorService"] {
        let request = tonic_health::pb::HealthCheckRequest { service: service.into() };
        let mut watch = health.watch(request).await.unwrap().into_inner();
        while watch.message().await.unwrap().unwrap().status != 1 {}
    }
}

#[tokio::test]
#[expect(deprecated, reason = "sweepctl of earlier releases calls the former path")]
async fn a_coordinator_answers_about_itself_at_both_paths() {
    let env = Env::new().await;
    let mut client = v1::coordinator_service_client::CoordinatorServiceClient::new(env.channel().await);
    let answer = client.get_coordinator(v1::GetCoordinatorRequest {}).await.unwrap().into_inner();
    let former = env.sweeps().await.get_coordinator(v1::GetCoordinatorRequest {}).await.unwrap().into_inner();
    assert_eq!((answer.state(), former.state()), (v1::CoordinatorState::Leading, v1::CoordinatorState::Leading));
    assert_eq!(answer.started_unix_ms, former.started_unix_ms);
    assert!(answer.counts.is_some() && answer.role.is_none());
}

#[tokio::test]
async fn an_artifact_is_kept_by_its_content_and_a_wrong_one_is_not() {
    let env = Env::new().await;
    let sweep = env.submit(SPEC).await.id;
    let mut worker = env.worker("w1", 1).await;
    worker.until_running().await;
    let lease = worker.held().remove(0);
    let content = vec![42_u8; 100_000];
    let digest = sweep_spec::Digest::of(&content);
    let parts = |content: Vec<u8>, size_bytes: u64| {
        use v1::put_artifact_request::Part;
        let header = v1::ArtifactHeader {
            session: worker.session,
            kind: v1::ArtifactKind::Weights.into(),
            lease: Some(lease.clone()),
            data_digest: Default::default(),
            size_bytes,
            digest: digest.as_bytes().to_vec().into(),
        };
        let chunks: Vec<_> = content.chunks(30_000).map(|chunk| Part::Chunk(chunk.to_vec().into())).collect();
        let parts = std::iter::once(Part::Header(header)).chain(chunks);
        let parts: Vec<_> = parts.map(|part| v1::PutArtifactRequest { part: Some(part) }).collect();
        tokio_stream::iter(parts)
    };
    let mut client = worker.client.clone();
    for (content, size) in [(vec![41; 100_000], 100_000), (content.clone(), 99_999), (vec![42; 10], 100_000)] {
        let refused = client.put_artifact(parts(content, size)).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    }
    let huge = client.put_artifact(parts(Vec::new(), u64::MAX)).await.unwrap_err();
    assert_eq!(huge.code(), tonic::Code::InvalidArgument);
    for _ in 0..2 {
        client.put_artifact(parts(content.clone(), 100_000)).await.unwrap();
    }
    let mut sweeps = env.sweeps().await;
    let request = v1::ListArtifactsRequest { sweep: reference(sweep) };
    let listed = sweeps.list_artifacts(request).await.unwrap().into_inner().artifacts;
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].size_bytes, &listed[0].trial_id), (100_000, &lease.trial_id));
    let request = v1::GetArtifactRequest { digest: listed[0].digest.clone() };
    let mut stream = sweeps.get_artifact(request).await.unwrap().into_inner();
    let mut got = Vec::new();
    while let Some(part) = stream.message().await.unwrap() {
        got.extend_from_slice(&part.chunk);
    }
    assert_eq!(got, content);
}

#[tokio::test]
async fn workers_are_listed_with_what_they_run() {
    let env = Env::new().await;
    env.submit(SPEC).await;
    let mut worker = env.worker("w1", 2).await;
    worker.until_running().await;
    let listed = env.sweeps().await.list_workers(v1::ListWorkersRequest {}).await.unwrap().into_inner().workers;
    assert_eq!((listed.len(), listed[0].state.as_str(), listed[0].slots.len()), (1, "connected", 2));
    assert!(listed[0].slots.iter().all(|slot| !slot.configuration.is_empty() && slot.sweep == 1));
}
