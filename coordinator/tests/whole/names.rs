//! Workers with the same name, and workers that keep their suspension under their name.

use sweep_coordinator::Args;
use sweep_proto::v1;
use sweep_proto::v1::finish_request::Ending;
use sweep_proto::v1::worker_service_client::WorkerServiceClient;
use tonic::{Code, Status};

use crate::env::{Env, LEASE_MS, SPEC, Worker, by_filters};

/// A worker called `w1`.
#[derive(Clone, Copy)]
struct Newcomer {
    host: &'static str,
    folder: u8,
    process: u8,
}

const FIRST: Newcomer = Newcomer { host: "node7", folder: 1, process: 1 };

async fn register(env: &Env, newcomer: Newcomer) -> Result<v1::RegisterResponse, Status> {
    let request = v1::RegisterRequest {
        worker: "w1".into(),
        host: newcomer.host.into(),
        trainer_semantics: sweep_spec::TRAINER_SEMANTICS,
        instance: vec![newcomer.process; 8].into(),
        state_key: vec![newcomer.folder; 32].into(),
        ..Default::default()
    };
    let mut client = WorkerServiceClient::new(env.channel().await);
    client.register(request).await.map(tonic::Response::into_inner)
}

/// The worker with the name, from the metadata of the refusal.
fn held(refused: &Status) -> v1::NameHeld {
    assert_eq!(refused.code(), Code::AlreadyExists, "{refused:?}");
    let bytes = refused.metadata().get_bin("sweep-name-held-bin").unwrap().to_bytes().unwrap();
    prost::Message::decode(bytes).unwrap()
}

#[tokio::test]
async fn a_worker_keeps_its_name_and_another_is_told_who_has_it_and_what_to_do() {
    let env = Env::new().await;
    register(&env, FIRST).await.unwrap();
    let refused = register(&env, Newcomer { host: "node8", folder: 2, process: 2 }).await.unwrap_err();
    let found = held(&refused);
    assert_eq!((found.worker.as_str(), found.host.as_str()), ("w1", "node7"));
    assert!(found.address.starts_with("127.0.0.1:") && found.since_unix_ms > 0, "{found:?}");
    assert!(found.last_heard_unix_ms >= found.since_unix_ms && found.free_in_ms <= LEASE_MS, "{found:?}");
    let said = refused.message();
    for part in ["another worker has the name `w1`", "node7", "127.0.0.1:", "last polled", "--name", "stop the other"] {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
    register(&env, FIRST).await.expect("its connection broke");
    register(&env, Newcomer { process: 3, ..FIRST }).await.expect("it was started again");
    held(&register(&env, FIRST).await.expect_err("its folder was copied, and both are alive"));
    held(
        &register(&env, Newcomer { host: "node8", process: 4, ..FIRST }).await.expect_err("copied to another machine"),
    );
}

#[tokio::test]
async fn a_worker_that_leaves_or_falls_silent_frees_its_name_and_a_restart_of_the_coordinator_does_not() {
    let env = Env::with(Args { lease_ttl_ms: Some("600000".into()), ..Args::default() }).await;
    let other = Newcomer { folder: 2, process: 2, ..FIRST };
    register(&env, FIRST).await.unwrap();
    let env = env.restart().await;
    let refused = register(&env, other).await.unwrap_err();
    assert_eq!((held(&refused).host.as_str(), held(&refused).last_heard_unix_ms), ("node7", 0));
    assert!(refused.message().contains("has not reconnected since this coordinator started"), "{refused:?}");
    let session = register(&env, FIRST).await.unwrap().session;
    held(&register(&env, other).await.unwrap_err());
    // It leaves without leases, and is answered at once.
    let mut client = WorkerServiceClient::new(env.channel().await);
    let goodbye = v1::PollRequest { session, draining: true, ..Default::default() };
    client.poll(goodbye).await.unwrap();
    while register(&env, other).await.is_err() {
        tokio::task::yield_now().await;
    }
    let env = env.restart().await;
    held(&register(&env, FIRST).await.expect_err("now the name is the other one's"));
    register(&env, other).await.unwrap();
}

/// `bad` fails every trial it runs, and `good` succeeds with all of its trials.
async fn fail_on(env: &Env, sweep: u64, (bad, good): (&mut Worker, &mut Worker)) {
    bad.until_running().await;
    for (lease, ..) in bad.running.clone().into_values() {
        let failure = v1::Failure { class: v1::FailureClass::Trainer.into(), reason: "its driver is broken".into() };
        bad.finish(&lease, 0, Ending::Failure(failure)).await;
    }
    bad.running.clear();
    while env.status(sweep).await.out_of_service.is_empty() {
        good.until_running().await;
        good.finish_all(&by_filters()).await;
    }
}

#[tokio::test]
async fn a_suspended_worker_is_named_with_the_reason_and_starts_clean_when_it_is_started_again() {
    let (suspend_after, lease_ttl_ms) = (Some("1".into()), Some("60000".into()));
    let env = Env::with(Args { suspend_after, lease_ttl_ms, ..Args::default() }).await;
    let sweep = env.submit(SPEC).await.id;
    let mut bad = env.worker("bad", 1).await;
    let mut good = env.worker("good", 1).await;
    fail_on(&env, sweep, (&mut bad, &mut good)).await;
    let status = env.status(sweep).await;
    let absent = &status.out_of_service[0];
    assert_eq!((absent.worker.as_str(), status.out_of_service.len()), ("bad", 1));
    assert_eq!(absent.reason, "1 trial that succeeded on another worker failed here");
    assert!(absent.remedy.contains("restart the worker") && absent.remedy.contains("sweepctl workers return bad"));
    let submitted = env.submit(SPEC).await;
    assert_eq!(submitted.out_of_service, status.out_of_service, "who submits hears of it");
    // A restart of the coordinator is not a restart of the worker.
    let env = env.restart().await;
    for worker in [&mut bad, &mut good] {
        worker.client = WorkerServiceClient::new(env.channel().await);
        worker.register().await;
    }
    assert_eq!(env.status(sweep).await.out_of_service, status.out_of_service);
    bad.process += 1;
    bad.register().await;
    assert!(env.status(sweep).await.out_of_service.is_empty());
    bad.until_running().await;
}

#[tokio::test]
async fn what_a_person_said_of_a_worker_outlasts_its_process() {
    let env = Env::new().await;
    let sweep = env.submit(SPEC).await.id;
    let mut worker = env.worker("w1", 1).await;
    let serve = async |service: v1::WorkerServiceState| {
        let (worker, user) = ("w1".into(), "ann".into());
        let request = v1::SetWorkerServiceRequest { worker, service: service.into(), reason: String::new(), user };
        env.sweeps().await.set_worker_service(request).await.unwrap();
    };
    serve(v1::WorkerServiceState::Suspended).await;
    worker.process += 1;
    worker.register().await;
    let absent = env.status(sweep).await.out_of_service.remove(0);
    assert_eq!((absent.reason.as_str(), absent.worker.as_str()), ("suspended by ann", "w1"));
    assert_eq!(absent.remedy, "run `sweepctl workers return w1` to return it to service");
    serve(v1::WorkerServiceState::Active).await;
    assert!(env.status(sweep).await.out_of_service.is_empty());
}
