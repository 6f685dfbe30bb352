//! gRPC clients for the coordinator.

use std::time::Duration;

use sweep_proto::v1::access_service_client::AccessServiceClient;
use sweep_proto::v1::coordinator_service_client::CoordinatorServiceClient;
use sweep_proto::v1::store_service_client::StoreServiceClient;
use sweep_proto::v1::sweep_service_client::SweepServiceClient;
use sweep_proto::v1::{GetSweepRequest, ListSweepsRequest, SweepReference, SweepStatus};
use tonic::Code;
use tonic::codegen::http::HeaderValue;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};

use crate::coordinator::Coordinator;
use crate::failover::FailoverChannel;
use crate::failure::Failure;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Timeout of one answer, or of the first message of a stream.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// A coordinator that vanished is detected within twice this time.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// The largest answer: a leaderboard of a hundred thousand configurations.
const MAX_ANSWER_BYTES: usize = 256 * 1024 * 1024;

/// Time limit for finding the leader among several coordinators; longer than a standby needs to take over.
const LEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Delay between two rounds of the search.
const LEADER_RETRY_DELAY: Duration = Duration::from_millis(250);

pub(crate) type Client = SweepServiceClient<FailoverChannel>;

/// Every sweep, newest first, fetched page by page. Coordinators of earlier releases return all at once.
pub(crate) async fn sweeps(client: &mut Client) -> Result<Vec<SweepStatus>, Failure> {
    const PAGE: u32 = 100;
    let mut sweeps = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListSweepsRequest { page_size: PAGE, page_token: page_token.clone() };
        let answer = client.list_sweeps(request).await?.into_inner();
        sweeps.extend(answer.sweeps);
        if answer.next_page_token.is_empty() {
            return Ok(sweeps);
        }
        if answer.next_page_token == page_token {
            return Err(Failure::internal("the coordinator returned the same page of sweeps twice"));
        }
        page_token = answer.next_page_token;
    }
}

/// Connects to the coordinator, or to the leader of several.
pub(crate) async fn connect(coordinator: &Coordinator) -> Result<Client, Failure> {
    Ok(sweeps_over(channel(coordinator).await?))
}

fn sweeps_over(channel: FailoverChannel) -> Client {
    SweepServiceClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES)
}

/// A connection to the coordinator, for calls about its sweeps and about itself.
pub(crate) async fn connect_both(
    coordinator: &Coordinator,
) -> Result<(Client, CoordinatorServiceClient<FailoverChannel>), Failure> {
    let channel = channel(coordinator).await?;
    Ok((sweeps_over(channel.clone()), CoordinatorServiceClient::new(channel)))
}

/// The same for the access service of admins.
pub(crate) async fn access(coordinator: &Coordinator) -> Result<AccessServiceClient<FailoverChannel>, Failure> {
    Ok(AccessServiceClient::new(channel(coordinator).await?))
}

/// The same for the store service of admins.
pub(crate) async fn store(coordinator: &Coordinator) -> Result<StoreServiceClient<FailoverChannel>, Failure> {
    Ok(StoreServiceClient::new(channel(coordinator).await?))
}

async fn channel(coordinator: &Coordinator) -> Result<FailoverChannel, Failure> {
    let urls: Vec<&str> = coordinator.urls.split(',').map(str::trim).collect();
    let header = coordinator.header()?;
    let endpoint = |url: &&str| endpoint(url, coordinator);
    let endpoints = urls.iter().map(endpoint).collect::<Result<Vec<_>, _>>()?;
    let (channels, current) = match (urls.as_slice(), endpoints.as_slice()) {
        ([url], [endpoint]) => (vec![dial(url, endpoint).await?], 0),
        _ => {
            let current = leader(&urls, &endpoints, header.as_ref()).await?;
            (endpoints.iter().map(Endpoint::connect_lazy).collect(), current)
        }
    };
    Ok(FailoverChannel::new(channels, current, header))
}

async fn dial(url: &str, endpoint: &Endpoint) -> Result<Channel, Failure> {
    endpoint.connect().await.map_err(|error| unreachable(url, error))
}

/// Finds the leader. If there is none, waits for a standby that takes over.
async fn leader(urls: &[&str], endpoints: &[Endpoint], header: Option<&HeaderValue>) -> Result<usize, Failure> {
    let begun = std::time::Instant::now();
    loop {
        let mut last = None;
        for (number, (url, endpoint)) in urls.iter().zip(endpoints).enumerate() {
            match check_leader(url, endpoint, header).await {
                Ok(()) => return Ok(number),
                Err(failure) => last = Some(failure),
            }
        }
        match last {
            Some(failure) if begun.elapsed() > LEADER_TIMEOUT => return Err(failure),
            _ => tokio::time::sleep(LEADER_RETRY_DELAY).await,
        }
    }
}

/// Sends a request without a sweep: a leader rejects it as invalid, a standby without reading it.
async fn check_leader(url: &str, endpoint: &Endpoint, header: Option<&HeaderValue>) -> Result<(), Failure> {
    let channel = FailoverChannel::new(vec![dial(url, endpoint).await?], 0, header.cloned());
    let mut client = SweepServiceClient::new(channel);
    match client.get_sweep(GetSweepRequest::default()).await {
        Err(status) if status.code() == Code::Unavailable => Err(status.into()),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// `http://` may be omitted.
fn endpoint(url: &str, coordinator: &Coordinator) -> Result<Endpoint, Failure> {
    let wrong = || Failure::usage(format!("`{url}` is not the address of a coordinator"));
    let expected = "expected http://HOST:PORT or https://HOST:PORT";
    let with_scheme = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    let secret = with_scheme.starts_with("https://");
    if !secret && !with_scheme.starts_with("http://") {
        return Err(wrong().hint(expected));
    }
    let endpoint = Endpoint::from_shared(with_scheme).map_err(|error| wrong().because(error))?;
    if endpoint.uri().host().is_none() {
        return Err(wrong().hint(expected));
    }
    let endpoint = endpoint.connect_timeout(CONNECT_TIMEOUT).timeout(ANSWER_TIMEOUT);
    let endpoint = endpoint.http2_keep_alive_interval(KEEP_ALIVE).keep_alive_timeout(KEEP_ALIVE);
    if !secret {
        return Ok(endpoint);
    }
    let tls = endpoint.tls_config_with_verifier(ClientTlsConfig::new(), coordinator.verifier()?);
    tls.map_err(|error| Failure::usage("cannot set up TLS").because(error))
}

fn unreachable(url: &str, error: tonic::transport::Error) -> Failure {
    if let Some(distrust) = sweep_trust::find(&error) {
        return Failure::of_distrust(distrust);
    }
    Failure::failed(format!("cannot reach a coordinator at {url}"))
        .because(error)
        .hint(
            "start a coordinator with `sweepctl coordinator`, name another one with --coordinator URL or \
            SWEEP_COORDINATOR, or run on this machine with `sweepctl submit FILE --local`; `sweepctl doctor` helps to \
            find the cause",
        )
        .of_the_connection()
}

/// The user for the audit log.
pub(crate) fn user() -> String {
    ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok()).unwrap_or_default()
}

/// The reference to a sweep by number or name.
pub(crate) fn reference(text: &str) -> Option<SweepReference> {
    Some(SweepReference { text: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked_before_anything_is_dialled() {
        let none = Coordinator::default();
        for right in ["127.0.0.1:7733", "http://localhost:7733"] {
            assert!(endpoint(right, &none).is_ok(), "{right}");
        }
        for wrong in ["", "ftp://a", "http://", "http://a b", "\u{0}"] {
            assert!(endpoint(wrong, &none).is_err(), "{wrong:?}");
        }
    }
}
