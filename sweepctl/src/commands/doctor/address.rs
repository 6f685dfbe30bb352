//! Checks the address of a coordinator: the host name, the port, and which program answers there.

use std::time::{Duration, Instant};

use sweep_proto::v1::coordinator_service_client::CoordinatorServiceClient;
use sweep_proto::v1::{GetCoordinatorRequest, GetCoordinatorResponse};
use sweep_shapes::Coordinator;
use sweep_shapes::text::now_unix_ms;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tonic::{Code, Status};

use super::Check;
use crate::client::{self, Client};
use crate::coordinator::Coordinator as Named;
use crate::failover::FailoverChannel;
use crate::failure::Failure;
use crate::probe::{self, Listener, host_and_port};

/// Timeout of each step: resolve the name, connect, and get an answer.
const STEP_TIMEOUT: Duration = Duration::from_secs(5);

/// A coordinator that answered.
pub(super) struct Found {
    pub(super) client: Client,
    pub(super) coordinator: Coordinator,
    /// Its clock minus the local clock, in milliseconds; the error is at most half of the time that the answer took.
    pub(super) ahead_ms: i64,
}

/// Checks each step on the way to the coordinator at an address, and adds what it finds to `checks`.
pub(super) async fn reach(named: &Named, checks: &mut Vec<Check>) -> Option<Found> {
    let url = named.as_str();
    let Some((host, port)) = host_and_port(url) else {
        let found = format!("`{url}` is not the address of a coordinator");
        checks.push(Check::wrong("address", found, "expected http://HOST:PORT, such as http://127.0.0.1:7733"));
        return None;
    };
    if let Err(check) = connects(url, &host, port).await {
        checks.push(check);
        return None;
    }
    let begun = Instant::now();
    match timeout(STEP_TIMEOUT, answered(named)).await {
        Ok(Ok((client, answer, sent_ms, came_ms))) => {
            let coordinator = Coordinator::from(answer);
            let took = begun.elapsed().as_millis();
            checks.push(Check::ok("address", format!("{url} answers in {took} ms")));
            let ahead_ms = coordinator.now_unix_ms - (sent_ms + came_ms) / 2;
            Some(Found { client, coordinator, ahead_ms })
        }
        Ok(Err(refusal)) => {
            checks.push(no_answer(url, refusal).await);
            None
        }
        Err(_) => {
            checks.push(no_answer(url, Refusal::Silent).await);
            None
        }
    }
}

/// Resolves the host name and connects to the port.
async fn connects(url: &str, host: &str, port: u16) -> Result<(), Check> {
    let addresses = match timeout(STEP_TIMEOUT, lookup_host((host, port))).await {
        Ok(Ok(addresses)) => addresses.collect::<Vec<_>>(),
        Ok(Err(error)) => {
            let found = format!("cannot resolve the host name `{host}`: {error}");
            return Err(Check::wrong("address", found, "check the spelling, or use the IP address"));
        }
        Err(_) => {
            let found = format!("resolving the host name `{host}` takes longer than {} s", STEP_TIMEOUT.as_secs());
            return Err(Check::wrong("address", found, "check this machine's DNS server"));
        }
    };
    let found = match timeout(STEP_TIMEOUT, TcpStream::connect(addresses.as_slice())).await {
        Ok(Ok(_)) => return Ok(()),
        Ok(Err(error)) => format!("cannot connect to {url}: {error}"),
        Err(_) => format!("cannot connect to {url}: no answer in {} s", STEP_TIMEOUT.as_secs()),
    };
    let advice = "start a coordinator with `sweepctl coordinator`, name another one with --coordinator URL or \
        SWEEP_COORDINATOR, or check the firewall; `submit --local` needs no coordinator";
    Err(Check::wrong("address", found, advice))
}

enum Refusal {
    Failed(Failure),
    Status(Status),
    Silent,
}

type Answer = (Client, GetCoordinatorResponse, i64, i64);

async fn answered(named: &Named) -> Result<Answer, Refusal> {
    let (mut client, mut about) = client::connect_both(named).await.map_err(Refusal::Failed)?;
    let sent_ms = now_unix_ms();
    match get_coordinator(&mut about).await {
        Err(status) if is_unknown_method(status.code()) => {}
        answer => return Ok((client, answer.map_err(Refusal::Status)?, sent_ms, now_unix_ms())),
    }
    // The clocks are compared by the call that is answered.
    let sent_ms = now_unix_ms();
    let answer = get_coordinator_of_earlier_release(&mut client).await.map_err(Refusal::Status)?;
    Ok((client, answer, sent_ms, now_unix_ms()))
}

async fn get_coordinator(
    about: &mut CoordinatorServiceClient<FailoverChannel>,
) -> Result<GetCoordinatorResponse, Status> {
    about.get_coordinator(GetCoordinatorRequest {}).await.map(tonic::Response::into_inner)
}

/// A coordinator without the service answers UNIMPLEMENTED, or refuses a token that is not an admin's: only admins may call
/// a method that it does not know.
fn is_unknown_method(code: Code) -> bool {
    matches!(code, Code::Unimplemented | Code::PermissionDenied)
}

#[expect(deprecated, reason = "coordinators of earlier releases have no other method")]
async fn get_coordinator_of_earlier_release(client: &mut Client) -> Result<GetCoordinatorResponse, Status> {
    client.get_coordinator(GetCoordinatorRequest {}).await.map(tonic::Response::into_inner)
}

/// The port is open, but no coordinator answered.
async fn no_answer(url: &str, refusal: Refusal) -> Check {
    // A status can carry a TLS failure too, because a connection may be made only for the first call.
    let refusal = match refusal {
        Refusal::Status(status) if sweep_trust::find(&status).is_some() => Refusal::Failed(status.into()),
        other => other,
    };
    if let Refusal::Failed(failure) = &refusal
        && failure.is_of_distrust()
    {
        let advice = failure.advice().unwrap_or_default().to_owned();
        return Check::wrong("tls", failure.causes().join(": "), advice);
    }
    if let Refusal::Status(status) = &refusal {
        match status.code() {
            Code::Unauthenticated | Code::PermissionDenied => {
                let advice = "pass a token with --token-file FILE or SWEEP_TOKEN; create one with `sweepctl token \
                    create`";
                return Check::wrong(
                    "token",
                    format!("the coordinator refused the request: {}", status.message()),
                    advice,
                );
            }
            Code::Unimplemented => {
                let advice = "use a coordinator and a sweepctl of the same version (`--version`)";
                return Check::wrong("version", "the coordinator is too old for this check", advice);
            }
            _ => {}
        }
    }
    let listener = probe::listener(url).await;
    if let Some((found, advice)) = listener.advice(url) {
        return Check::wrong("address", found, advice);
    }
    let why = match refusal {
        Refusal::Failed(failure) => failure.to_string().lines().take(2).collect::<Vec<_>>().join(" "),
        Refusal::Status(status) => status.message().to_owned(),
        Refusal::Silent => format!("no answer in {} s", STEP_TIMEOUT.as_secs()),
    };
    if listener == Listener::Tls {
        let advice = "pass the certificate authority with --ca-file, and use a host name from the certificate; \
            `sweepctl certs init` creates both for development";
        return Check::wrong("tls", format!("the TLS connection to {url} failed: {why}"), advice);
    }
    let advice = "check that the address belongs to a coordinator, and see its log";
    Check::wrong("address", format!("{url} accepts connections, but no coordinator answers: {why}"), advice)
}
