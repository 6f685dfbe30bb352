//! Pools over gRPC: trials that wait for a pool, the slots that a pool needs, and warnings for submitters.

use sweep_coordinator::Args;
use sweep_proto::v1;
use sweep_proto::v1::worker_service_client::WorkerServiceClient;

use crate::env::{Env, SPEC};
use crate::watching::http;

fn args() -> Args {
    let pools =
        "[{name: small, slots: 2, device: cpu, memory: 1MiB, max_workers: 2}, {name: large, slots: 1, device: cuda}]";
    Args { pools: Some(pools.into()), ..Args::default() }
}

/// Registers a worker of a pool, with one slot of `memory_bytes`. Returns its session.
async fn register(env: &Env, pool: &str, memory_bytes: u64, shares_checkpoints: bool) -> u64 {
    let slot = v1::Slot { index: 0, device: "cpu".into(), device_name: "pretend".into(), memory_bytes };
    let request = v1::RegisterRequest {
        worker: format!("{pool}-1"),
        version: "0".into(),
        trainer_semantics: sweep_spec::TRAINER_SEMANTICS,
        slots: vec![slot],
        pool: pool.into(),
        shares_checkpoints,
        ..Default::default()
    };
    let mut client = WorkerServiceClient::new(env.channel().await);
    client.register(request).await.unwrap().into_inner().session
}

async fn submit(env: &Env) -> v1::SubmitResponse {
    let request = v1::SubmitRequest { spec: SPEC.to_owned().into(), ..Default::default() };
    env.sweeps().await.submit(request).await.unwrap().into_inner()
}

#[tokio::test]
async fn a_sweep_without_any_worker_waits_for_the_first_pool_that_fits() {
    let env = Env::with(args()).await;
    let submitted = submit(&env).await;
    assert!(submitted.warnings.is_empty(), "{:?}", submitted.warnings);
    let status = env.status(submitted.sweep.unwrap().id).await;
    assert_eq!(status.waiting_for, ["the sweep needs a worker of pool `large`: no worker is connected"]);
    let scrape = http(&env, "/metrics").await;
    for line in [
        r#"sweep_pool_queued_slots{pool="large"} 14"#,
        r#"sweep_pool_queued_slots{pool="small"} 0"#,
        r#"sweep_pool_busy_slots{pool="large"} 0"#,
        r#"sweep_pool_workers{pool="large"} 0"#,
    ] {
        assert!(scrape.contains(line), "{line} is missing in\n{scrape}");
    }
}

#[tokio::test]
async fn workers_of_a_pool_are_counted_and_a_submitter_is_warned_of_lost_work() {
    let env = Env::with(args()).await;
    register(&env, "large", 0, false).await;
    register(&env, "small", 1 << 20, true).await;
    let scrape = http(&env, "/metrics").await;
    assert!(scrape.contains(r#"sweep_pool_workers{pool="large"} 1"#), "{scrape}");
    let warnings = submit(&env).await.warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].starts_with("workers of pool `large` can leave at any time, and 1 of its 1 connected workers"));
    let request = v1::EstimateRequest { spec: SPEC.to_owned().into(), ..Default::default() };
    assert_eq!(env.sweeps().await.estimate(request).await.unwrap().into_inner().warnings, warnings);
}
