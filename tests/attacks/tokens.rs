//! No token, and wrong tokens: of another role, expired, revoked.

use std::time::Duration;

use sweep_proto::v1;
use tonic::Code;

use super::env::study;
use super::http::FORM;
use super::intruder::{Fleet, ask, channel, coordinator, made, registration, runtime};
use crate::env::Env;

#[test]
fn whoever_has_no_token_is_told_nothing() {
    let fleet = Fleet::start();
    runtime().block_on(async {
        for token in ["", "sweep_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", &fleet.read[..fleet.read.len() - 1]] {
            let asked = fleet.sweeps(token).await.list_sweeps(v1::ListSweepsRequest::default()).await.unwrap_err();
            assert_eq!(asked.code(), Code::Unauthenticated, "{token:?}");
            let entered = fleet.workers(token).await.register(registration("w1")).await.unwrap_err();
            assert_eq!(entered.code(), Code::Unauthenticated, "{token:?}");
            let made = fleet.access(token).await.list_tokens(v1::ListTokensRequest {}).await.unwrap_err();
            assert_eq!(made.code(), Code::Unauthenticated, "{token:?}");
        }
        // Health is for anybody: it says nothing of any sweep.
        let mut health = tonic_health::pb::health_client::HealthClient::new(channel(&fleet.grpc).await);
        assert!(health.check(tonic_health::pb::HealthCheckRequest::default()).await.is_ok());
    });
    for path in ["/", "/metrics", "/api/v1/sweeps", "/sweeps/1", "/nothing", "/assets/../metrics"] {
        assert_eq!(ask(&fleet.http, &format!("GET {path}"), &[], "").status, 401, "{path}");
    }
    for path in ["/healthz", "/readyz", "/login"] {
        assert_eq!(ask(&fleet.http, &format!("GET {path}"), &[], "").status, 200, "{path}");
    }
}

#[test]
fn a_role_opens_what_it_is_for_and_nothing_else() {
    let fleet = Fleet::start();
    let spec = study("roles", 1, &[2, 3], &[1]);
    runtime().block_on(async {
        let submit = || v1::SubmitRequest { spec: spec.clone().into(), ..Default::default() };
        for token in [&fleet.read, &fleet.worker] {
            let refused = fleet.sweeps(token).await.submit(submit()).await.unwrap_err();
            assert_eq!(refused.code(), Code::PermissionDenied);
        }
        let sweep = fleet.sweeps(&fleet.submit).await.submit(submit()).await.unwrap().into_inner().sweep.unwrap();
        let reference = || Some(v1::SweepReference { text: sweep.id.to_string() });
        let cancel = || v1::CancelSweepRequest { sweep: reference(), user: "somebody else".into() };
        assert_eq!(
            fleet.sweeps(&fleet.read).await.cancel_sweep(cancel()).await.unwrap_err().code(),
            Code::PermissionDenied
        );
        assert!(fleet.sweeps(&fleet.read).await.get_sweep(v1::GetSweepRequest { sweep: reference() }).await.is_ok());
        let drain = || v1::SetWorkerServiceRequest {
            worker: "w1".into(),
            service: v1::WorkerServiceState::Draining.into(),
            ..Default::default()
        };
        let drained = fleet.sweeps(&fleet.submit).await.set_worker_service(drain()).await.unwrap_err();
        assert_eq!(drained.code(), Code::PermissionDenied, "draining is for admins");
        for token in [&fleet.read, &fleet.submit, &fleet.worker] {
            let request = v1::CreateTokenRequest { name: "x".into(), role: 3, ..Default::default() };
            let made = fleet.access(token).await.create_token(request).await.unwrap_err();
            assert_eq!(made.code(), Code::PermissionDenied);
        }
        for token in [&fleet.read, &fleet.submit, &fleet.admin] {
            let entered = fleet.workers(token).await.register(registration("w1")).await.unwrap_err();
            assert_eq!(entered.code(), Code::PermissionDenied, "not even an admin trains");
        }
        // Who did it is what the token says, whatever the request does; a form of a page says it too.
        let bearer = format!("Bearer {}", fleet.submit);
        let form = [FORM, ("authorization", bearer.as_str())];
        assert_eq!(ask(&fleet.http, "POST /sweeps/1/pause", &form, "").status, 303);
        fleet.sweeps(&fleet.submit).await.cancel_sweep(cancel()).await.unwrap();
        let audit = v1::ListAuditRequest { sweep: reference(), ..Default::default() };
        let entries = fleet.sweeps(&fleet.read).await.list_audit(audit).await.unwrap().into_inner().entries;
        for action in ["paused", "cancelled"] {
            let entry = entries.iter().find(|entry| entry.action == action).unwrap();
            assert_eq!(entry.actor, "submit", "{action}");
        }
    });
    let bearer = format!("Bearer {}", fleet.read);
    let read = [("authorization", bearer.as_str())];
    assert_eq!(ask(&fleet.http, "GET /metrics", &read, "").status, 200);
    assert_eq!(ask(&fleet.http, "POST /api/v1/sweeps/1/cancel", &read, "").status, 403);
    let bearer = format!("Bearer {}", fleet.submit);
    assert_eq!(ask(&fleet.http, "POST /api/v1/workers/w1/drain", &[("authorization", &bearer)], "").status, 403);
    let bearer = format!("Bearer {}", fleet.worker);
    assert_eq!(ask(&fleet.http, "GET /metrics", &[("authorization", &bearer)], "").status, 403);
}

#[test]
fn a_token_ends_with_its_time_and_streams_end_with_it() {
    let fleet = Fleet::start();
    let short = fleet.token(&["short", "--role", "read", "--expires", "3s"]);
    let spec = study("expiry", 1, &[2], &[1]);
    runtime().block_on(async {
        let submit = v1::SubmitRequest { spec: spec.into(), ..Default::default() };
        let sweep = fleet.sweeps(&fleet.submit).await.submit(submit).await.unwrap().into_inner().sweep.unwrap();
        let request = v1::WatchSweepRequest { sweep: Some(v1::SweepReference { text: sweep.id.to_string() }) };
        let mut watched = fleet.sweeps(&short).await.watch_sweep(request.clone()).await.unwrap().into_inner();
        // No worker: the sweep would be watched for ever.
        let ended = loop {
            match watched.message().await {
                Ok(Some(_)) => {}
                other => break other,
            }
        };
        assert_eq!(ended.unwrap_err().code(), Code::Unauthenticated);
        let again = fleet.sweeps(&short).await.watch_sweep(request).await.unwrap_err();
        assert!(again.code() == Code::Unauthenticated && again.message().contains("expired"), "{again:?}");
    });
}

#[test]
fn revoking_ends_a_parked_poll_and_a_watched_sweep_at_once() {
    let fleet = Fleet::with(&["--lease-ttl-ms", "600000"]);
    let (reader, worker) = (fleet.token(&["r2", "--role", "read"]), fleet.token(&["w2", "--role", "worker"]));
    let spec = study("revoked", 1, &[2], &[1]);
    let runtime = runtime();
    let (watching, polling) = runtime.block_on(async {
        let submit = v1::SubmitRequest { spec: spec.into(), ..Default::default() };
        let sweep = fleet.sweeps(&fleet.submit).await.submit(submit).await.unwrap().into_inner().sweep.unwrap();
        let request = v1::WatchSweepRequest { sweep: Some(v1::SweepReference { text: sweep.id.to_string() }) };
        let mut watched = fleet.sweeps(&reader).await.watch_sweep(request).await.unwrap().into_inner();
        assert!(watched.message().await.unwrap().is_some());
        let mut client = fleet.workers(&worker).await;
        // Draining, so that it gets nothing and is parked for minutes.
        let session = client.register(registration("w2")).await.unwrap().into_inner().session;
        let poll = move || v1::PollRequest { session, draining: true, ..Default::default() };
        let watching = tokio::spawn(async move {
            loop {
                match watched.message().await {
                    Ok(Some(_)) => {}
                    other => return other.map(|_| ()),
                }
            }
        });
        let polling = tokio::spawn(async move {
            loop {
                if let Err(status) = client.poll(poll()).await {
                    return status;
                }
            }
        });
        (watching, polling)
    });
    runtime.block_on(async {
        // Both are under way before the tokens end.
        tokio::time::sleep(Duration::from_millis(200)).await;
    });
    let begun = std::time::Instant::now();
    fleet.revoke("r2");
    fleet.revoke("w2");
    let (watched, polled) = runtime.block_on(async { (watching.await.unwrap(), polling.await.unwrap()) });
    assert_eq!(watched.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(polled.code(), Code::Unauthenticated);
    eprintln!("both ended within {:?} of the first word", begun.elapsed());
}

#[test]
fn the_last_token_closes_the_door_and_a_store_opens_it_again() {
    let env = Env::new();
    let secret = made(&env, &["only", "--role", "admin", "--store", "sweep.db"]);
    let (process, grpc, http) = coordinator(&env, &[]);
    env.set_address(&format!("http://{grpc}"));
    let output = env.command(["token", "revoke", "only"]).env("SWEEP_TOKEN", &secret).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(ask(&http, "GET /metrics", &[], "").status, 401, "nobody has a token, and everybody needs one");
    let in_use = env.sweepctl(["token", "create", "again", "--role", "admin", "--store", "sweep.db"]).expect_code(1);
    assert!(in_use.stderr.contains("in use"), "{in_use:?}");
    process.kill();
    let again = made(&env, &["again", "--role", "admin", "--store", "sweep.db"]);
    let (_process, _, http) = coordinator(&env, &[]);
    assert_eq!(ask(&http, "GET /metrics", &[("authorization", &format!("Bearer {again}"))], "").status, 200);
    assert_eq!(ask(&http, "GET /metrics", &[("authorization", &format!("Bearer {secret}"))], "").status, 401);
}

#[test]
fn a_token_file_is_enough_to_listen_for_others_and_can_be_replaced() {
    let env = Env::new();
    let open = ["coordinator", "--listen", "0.0.0.0:0", "--listen-http", "127.0.0.1:0", "--store", "sweep.db"];
    let refused = env.sweepctl(open).expect_code(2);
    assert!(refused.stderr.contains("no token exists") && refused.stderr.contains("--insecure"), "{refused:?}");
    let (first, second) = ("first-secret-of-this-test", "second-secret-of-this-test");
    let path = env.file("admin.token", &format!("{first}\n"));
    let flags = ["--listen", "0.0.0.0:0", "--admin-token-file", &path];
    let words = ["coordinator", "--listen-http", "127.0.0.1:0", "--store", "sweep.db"];
    let mut process = env.start("coordinator", &mut env.command(words.iter().chain(&flags)));
    let http = process.until("it was ready", |line| {
        let rest = line.split_once(" http=")?.1;
        rest.split(' ').next().map(str::to_owned)
    });
    assert!(env.log("coordinator").contains("clear text"), "{}", env.log("coordinator"));
    let status =
        |secret: &str| ask(&http, "GET /metrics", &[("authorization", &format!("Bearer {secret}"))], "").status;
    assert_eq!((status(first), status(second)), (200, 401));
    env.file("admin.token", &format!("{second}\n"));
    env.until_log("coordinator", "a token file has changed");
    let begun = std::time::Instant::now();
    while status(second) != 200 {
        assert!(begun.elapsed() < super::intruder::ANSWER_TIMEOUT, "the new token never counts");
    }
    assert_eq!(status(first), 401);
}

#[test]
fn who_shows_no_token_is_told_where_the_program_at_hand_reads_one() {
    let fleet = Fleet::start();
    let address = format!("http://{}", fleet.grpc);
    let state = fleet.env.path("none.state").display().to_string();
    let words = ["worker", "--listen-http", "off", "--slots", "1", "--state-dir", &state, "--coordinator", &address];
    let worker = fleet.env.sweepctl(words).expect_code(1);
    assert!(worker.stderr.contains("SWEEP_WORKER_TOKEN") && worker.stderr.contains("--token-file"), "{worker:?}");
    assert!(!worker.stderr.contains("SWEEP_TOKEN"), "a worker does not read it: {worker:?}");
    let listed = fleet.env.sweepctl(["list", "--coordinator", &address]).expect_code(1);
    assert!(listed.stderr.contains("SWEEP_TOKEN_FILE") && !listed.stderr.contains("SWEEP_WORKER"), "{listed:?}");
}
