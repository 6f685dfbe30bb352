//! Deleted sweeps, and data that no sweep refers to.

use sweep_coordinator::Args;
use sweep_proto::v1;
use sweep_proto::v1::store_service_client::StoreServiceClient;
use tonic::{Code, Status};

use crate::env::{Env, SPEC, by_filters, reference};
use crate::http::send;

async fn delete(env: &Env, sweep: u64, dry_run: bool) -> Result<v1::Deletion, Status> {
    Ok(asked(env, sweep, dry_run).await?.deletion.unwrap())
}

async fn asked(env: &Env, sweep: u64, dry_run: bool) -> Result<v1::DeleteSweepResponse, Status> {
    let request = v1::DeleteSweepRequest { sweep: reference(sweep), user: "me".into(), dry_run };
    Ok(env.sweeps().await.delete_sweep(request).await?.into_inner())
}

/// Asks again until the deletion is complete.
async fn deleted(env: &Env, sweep: u64) -> v1::Deletion {
    loop {
        let found = delete(env, sweep, false).await.unwrap();
        if found.finished_unix_ms > 0 {
            return found;
        }
    }
}

/// A sweep whose trials are half of the other sweep's: one seed of two.
fn narrow() -> String {
    SPEC.replace("seeds: [0, 1]", "seeds: [0]")
}

#[tokio::test]
async fn a_deleted_sweep_is_forgotten_and_the_others_keep_what_they_have() {
    let env = Env::new().await;
    let mut worker = env.worker("w1", 2).await;
    let first = env.submit(SPEC).await.id;
    let refused = delete(&env, first, false).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "it runs");
    assert_eq!(asked(&env, first, true).await.unwrap().notes, [refused.message()], "a dry run says so too");
    worker.work(&env, first, &by_filters()).await;
    let second = env.submit(&narrow()).await.id;
    assert_eq!(worker.work(&env, second, &by_filters()).await.counts.unwrap().reused, 7, "all of it was known");
    let before = env.leaderboard(second).await;
    let would = asked(&env, first, true).await.unwrap();
    assert!(would.notes.is_empty(), "{:?}", would.notes);
    let would = would.deletion.unwrap();
    assert_eq!((would.trials, would.kept, would.finished_unix_ms), (7, 7, 0));
    assert_eq!(env.status(first).await.state(), v1::SweepState::Succeeded, "it was only asked for");
    let gone = deleted(&env, first).await;
    assert_eq!((gone.trials, gone.kept, gone.actor.as_str(), gone.name.as_str()), (7, 7, "me", "pretend"));
    let missing = env.sweeps().await.get_sweep(v1::GetSweepRequest { sweep: reference(first) }).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
    assert!(missing.message().contains("deleted by me at"), "{missing:?}");
    let retry = v1::RetrySweepRequest { sweep: reference(first), ..Default::default() };
    assert_eq!(env.sweeps().await.retry_sweep(retry).await.unwrap_err().code(), Code::NotFound);
    let listed = env.sweeps().await.list_sweeps(v1::ListSweepsRequest::default()).await.unwrap().into_inner();
    assert_eq!(listed.sweeps.iter().map(|sweep| sweep.id).collect::<Vec<_>>(), [second]);
    let env = env.restart().await;
    assert_eq!(env.leaderboard(second).await.rows, before.rows);
    assert_eq!(deleted(&env, first).await, gone, "it is remembered");
    let audit = v1::ListAuditRequest { limit: 1000, ..Default::default() };
    let audit = env.sweeps().await.list_audit(audit).await.unwrap().into_inner().entries;
    let of_first = |action: &str| audit.iter().filter(|entry| entry.sweep == first && entry.action == action).count();
    assert_eq!((of_first("submitted"), of_first("deleted")), (1, 1));
}

#[tokio::test]
async fn what_was_deleted_is_run_again_and_gets_a_number_of_its_own() {
    let env = Env::new().await;
    let mut worker = env.worker("w1", 2).await;
    let first = env.submit(SPEC).await.id;
    worker.work(&env, first, &by_filters()).await;
    deleted(&env, first).await;
    let env = env.restart().await;
    let mut worker = env.worker("w1", 2).await;
    let second = env.submit(SPEC).await.id;
    assert_eq!(second, first + 1);
    let ended = worker.work(&env, second, &by_filters()).await;
    let counts = ended.counts.unwrap();
    assert_eq!((ended.state(), counts.reused, counts.succeeded), (v1::SweepState::Succeeded, 0, 14));
}

/// The coordinator has sent the worker a stop, and the worker has not confirmed it.
#[tokio::test]
async fn a_cancelled_sweep_whose_worker_still_runs_is_deleted_when_the_worker_has_stopped() {
    let env = Env::new().await;
    let mut worker = env.worker("w1", 1).await;
    let sweep = env.submit(&narrow()).await.id;
    worker.until_running().await;
    let (lease, ..) = worker.running.values().next().unwrap().clone();
    let cancel = v1::CancelSweepRequest { sweep: reference(sweep), ..Default::default() };
    env.sweeps().await.cancel_sweep(cancel).await.unwrap();
    // The deletion is recorded at once, but its answer would wait for the worker.
    let mut sweeps = env.sweeps().await;
    let request = v1::DeleteSweepRequest { sweep: reference(sweep), ..Default::default() };
    let asked = tokio::spawn(async move { sweeps.delete_sweep(request).await });
    let get = v1::GetSweepRequest { sweep: reference(sweep) };
    while env.sweeps().await.get_sweep(get.clone()).await.is_ok() {
        tokio::task::yield_now().await;
    }
    worker.finish(&lease, 0, v1::finish_request::Ending::Stopped(v1::Stopped::default())).await;
    asked.await.unwrap().unwrap();
    assert_eq!(deleted(&env, sweep).await.trials, 7);
}

#[tokio::test]
async fn garbage_is_counted_and_then_removed() {
    let env = Env::new().await;
    let part = env.artifacts().join("ab");
    std::fs::create_dir_all(&part).unwrap();
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(7200);
    let stray = "ab".repeat(32);
    for (name, age) in [(stray.as_str(), old), ("incoming-x1", old), ("incoming-x2", std::time::SystemTime::now())] {
        let file = std::fs::File::create(part.join(name)).unwrap();
        std::io::Write::write_all(&mut &file, b"12345").unwrap();
        file.set_modified(age).unwrap();
    }
    std::fs::write(part.join("a name that is not ours"), b"1").unwrap();
    let mut client = StoreServiceClient::new(env.channel().await);
    for (dry_run, left) in [(true, 4), (false, 2)] {
        let request = v1::CollectGarbageRequest { dry_run, ..Default::default() };
        let found = client.collect_garbage(request).await.unwrap().into_inner().found;
        let found: Vec<_> = found.iter().map(|row| (row.kind.as_str(), row.count, row.bytes)).collect();
        assert_eq!(
            found,
            [("trials", 0, 0), ("settings", 0, 0), ("thumbnails", 0, 0), ("files", 1, 5), ("uploads", 1, 5)]
        );
        assert_eq!(std::fs::read_dir(&part).unwrap().count(), left, "an upload that is under way stays");
    }
}

#[tokio::test]
async fn a_submit_token_deletes_its_own_sweeps_and_an_admins_all() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        Some(folder.path().join(name).display().to_string())
    };
    let admin = "sweep-admin-of-this-test-alone-0123456789";
    let env = Env::with(Args { admin_token_file: write("admin", admin), ..Args::default() }).await;
    let address = env.handle.http_address();
    let post = async |token: &str, path: &str, body: String| {
        let head =
            format!("POST /api/v1{path} HTTP/1.1\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json");
        send(address, &head, body.as_bytes()).await
    };
    let mut tokens = std::collections::HashMap::new();
    for name in ["ann", "bob"] {
        let mut access = v1::access_service_client::AccessServiceClient::new(env.channel().await);
        let role = v1::TokenRole::Submit.into();
        let message = v1::CreateTokenRequest { name: name.into(), role, ..Default::default() };
        let mut request = tonic::Request::new(message);
        request.metadata_mut().insert("authorization", format!("Bearer {admin}").parse().unwrap());
        tokens.insert(name, access.create_token(request).await.unwrap().into_inner().secret);
    }
    let spec = serde_json::json!({ "spec": SPEC }).to_string();
    for number in 1..=2 {
        assert_eq!(post(&tokens["ann"], "/sweeps", spec.clone()).await.status, 201);
        let cancel = format!("/sweeps/{number}/cancel");
        assert_eq!(post(&tokens["ann"], &cancel, "{}".into()).await.status, 200);
    }
    let refused = post(&tokens["bob"], "/sweeps/1/delete", "{}".into()).await;
    assert!(refused.problem(403).contains("`ann` submitted it"), "{refused:?}");
    assert_eq!(post(&tokens["ann"], "/sweeps/1/delete", "{}".into()).await.status, 200);
    assert_eq!(post(&tokens["bob"], "/sweeps/1/delete", "{}".into()).await.status, 403, "a deleted one too");
    let by_admin = post(admin, "/sweeps/2/delete", r#"{"user":"root"}"#.into()).await;
    assert_eq!((by_admin.status, by_admin.json()["kept"].as_u64()), (200, Some(0)));
    for token in [&tokens["ann"], &tokens["bob"]] {
        assert_eq!(post(token, "/garbage/collect", r#"{"dry_run":true}"#.into()).await.status, 403);
    }
    assert_eq!(post(admin, "/garbage/collect", r#"{"dry_run":true}"#.into()).await.status, 200);
}
