//! Two coordinators on one PostgreSQL database: the standby asks for tokens too, and both learn of tokens that were
//! created or revoked in the database.

use std::time::Instant;

use sweep_proto::v1;
use sweep_proto::v1::coordinator_service_client::CoordinatorServiceClient;
use sweep_proto::v1::sweep_service_client::SweepServiceClient;
use sweep_require::postgres::shared;
use tonic::Code;

use super::env::{Env, Process};
use super::intruder::{ANSWER_TIMEOUT, Shown, ask, channel, made, runtime};

/// A coordinator on the database: where it speaks gRPC and HTTP.
fn coordinator(env: &Env, name: &str, url: &str) -> (Process, String, String) {
    let words = ["coordinator", "--listen", "127.0.0.1:0", "--listen-http", "127.0.0.1:0", "--store", url];
    let mut process = env.start(name, env.command(words).args(["--artifacts", "artifacts"]));
    let (grpc, http) = process.until("it said where it listens", |line| {
        let rest = line.strip_prefix("ready grpc=").or_else(|| line.strip_prefix("standby grpc="))?;
        let mut parts = rest.split(' ');
        Some((parts.next()?.to_owned(), parts.next()?.strip_prefix("http=")?.to_owned()))
    });
    (process, grpc, http)
}

fn listed(grpc: &str, token: &str) -> Result<(), Code> {
    runtime().block_on(async {
        let mut client = SweepServiceClient::with_interceptor(channel(grpc).await, Shown::new(token));
        client.list_sweeps(v1::ListSweepsRequest::default()).await.map(drop).map_err(|status| status.code())
    })
}

/// The state of the coordinator itself, by the present path and by the former one.
#[expect(deprecated, reason = "sweepctl of earlier releases calls the former path")]
fn states(grpc: &str, token: &str) -> [Result<i32, Code>; 2] {
    runtime().block_on(async {
        let request = v1::GetCoordinatorRequest {};
        let mut present = CoordinatorServiceClient::with_interceptor(channel(grpc).await, Shown::new(token));
        let mut former = SweepServiceClient::with_interceptor(channel(grpc).await, Shown::new(token));
        [present.get_coordinator(request).await, former.get_coordinator(request).await]
            .map(|answer| answer.map(|answer| answer.into_inner().state).map_err(|status| status.code()))
    })
}

#[test]
fn a_standby_asks_for_tokens_and_both_hear_of_what_is_done_beside_them() {
    let Some(server) = shared() else { return };
    let (env, url) = (Env::new(), server.database());
    let token = made(&env, &["reader", "--role", "read", "--store", &url]);
    let (_leader, leads, leads_http) = coordinator(&env, "leader", &url);
    let (_standby, waits, waits_http) = coordinator(&env, "standby", &url);
    assert_eq!((listed(&leads, &token), listed(&leads, "")), (Ok(()), Err(Code::Unauthenticated)));
    assert_eq!(listed(&waits, &token), Err(Code::Unavailable), "whoever has a token is told who leads");
    assert_eq!(listed(&waits, ""), Err(Code::Unauthenticated));
    assert_eq!(states(&leads, &token), [Ok(v1::CoordinatorState::Leading.into()); 2]);
    assert_eq!(states(&waits, &token), [Ok(v1::CoordinatorState::Standby.into()); 2]);
    assert_eq!(states(&waits, ""), [Err(Code::Unauthenticated); 2]);
    for http in [&leads_http, &waits_http] {
        assert_eq!(ask(http, "GET /metrics", &[], "").status, 401);
        assert_eq!(ask(http, "GET /metrics", &[("authorization", &format!("Bearer {token}"))], "").status, 200);
    }
    let other = made(&env, &["other", "--role", "read", "--store", &url]);
    env.sweepctl(["token", "revoke", "reader", "--store", &url]).expect_code(0);
    let begun = Instant::now();
    for http in [&leads_http, &waits_http] {
        let status =
            |token: &str| ask(http, "GET /metrics", &[("authorization", &format!("Bearer {token}"))], "").status;
        while (status(&token), status(&other)) != (401, 200) {
            assert!(begun.elapsed() < ANSWER_TIMEOUT, "a coordinator never hears of it");
        }
    }
    eprintln!("both had heard of it after {:?}", begun.elapsed());
}
