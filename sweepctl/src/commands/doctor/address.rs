//! Whether somebody listens where the coordinator is said to be, and who.

use std::time::{Duration, Instant};

use sweep_proto::v1::GetCoordinatorRequest;
use sweep_shapes::Coordinator;
use sweep_shapes::text::now_unix_ms;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tonic::Code;

use super::Check;
use crate::client::{self, Client};
use crate::coordinator::Coordinator as Named;
use crate::failure::Failure;
use crate::probe::{self, Listener, host_and_port};

/// For a name to be looked up, a connection to be made, and a question to be answered.
const PATIENCE: Duration = Duration::from_secs(5);

/// A coordinator that answered.
pub(super) struct Found {
    pub(super) client: Client,
    pub(super) coordinator: Coordinator,
    /// Its clock minus ours, in milliseconds; off by no more than half of `took`.
    pub(super) ahead_ms: i64,
}

/// Goes step by step to the coordinator at an address. What is found on the way is told.
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
    match timeout(PATIENCE, answered(named)).await {
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

/// Whether the name is known and the port open.
async fn connects(url: &str, host: &str, port: u16) -> Result<(), Check> {
    let addresses = match timeout(PATIENCE, lookup_host((host, port))).await {
        Ok(Ok(addresses)) => addresses.collect::<Vec<_>>(),
        Ok(Err(error)) => {
            let found = format!("the name `{host}` cannot be looked up: {error}");
            return Err(Check::wrong("address", found, "look for a slip in the name, or use the number"));
        }
        Err(_) => {
            let found = format!("looking up `{host}` takes longer than {} s", PATIENCE.as_secs());
            return Err(Check::wrong("address", found, "look at this machine's name server"));
        }
    };
    let found = match timeout(PATIENCE, TcpStream::connect(addresses.as_slice())).await {
        Ok(Ok(_)) => return Ok(()),
        Ok(Err(error)) => format!("nobody listens at {url}: {error}"),
        Err(_) => format!("{url} does not let anybody connect: no answer in {} s", PATIENCE.as_secs()),
    };
    let advice = "start one with `sweepctl coordinator`, name another with --coordinator URL or SWEEP_COORDINATOR, or look at \
                  the firewall between here and there; `submit --local` needs none";
    Err(Check::wrong("address", found, advice))
}

enum Refusal {
    Failed(Failure),
    Status(tonic::Status),
    Silent,
}

type Answer = (Client, sweep_proto::v1::GetCoordinatorResponse, i64, i64);

async fn answered(named: &Named) -> Result<Answer, Refusal> {
    let mut client = client::connect(named).await.map_err(Refusal::Failed)?;
    let sent_ms = now_unix_ms();
    let answer = client.get_coordinator(GetCoordinatorRequest {}).await.map_err(Refusal::Status)?;
    Ok((client, answer.into_inner(), sent_ms, now_unix_ms()))
}

/// The port is open, and no coordinator answered.
async fn no_answer(url: &str, refusal: Refusal) -> Check {
    // A status may carry the same: the first answer on a connection that is made late.
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
                let advice = "--token-file FILE or SWEEP_TOKEN gives one; `sweepctl token create` makes one";
                return Check::wrong("token", format!("the coordinator refuses: {}", status.message()), advice);
            }
            Code::Unimplemented => {
                let advice = "use a coordinator and a sweepctl of one version (`--version`)";
                return Check::wrong("version", "the coordinator is older than this question", advice);
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
        Refusal::Silent => format!("no answer in {} s", PATIENCE.as_secs()),
    };
    if listener == Listener::Tls {
        let advice = "name the authority that signed the certificate with --ca-file, and use a name that stands in it; `sweepctl \
                      certs init` makes both for a first try";
        return Check::wrong("tls", format!("{url} speaks TLS, and is not trusted or not understood: {why}"), advice);
    }
    let advice = "look at the coordinator's log, and whether it is a coordinator at all";
    Check::wrong("address", format!("{url} is open, but no coordinator answers there: {why}"), advice)
}
