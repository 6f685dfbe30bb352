//! The way to the coordinator.

use std::time::Duration;

use sweep_proto::v1::SweepReference;
use sweep_proto::v1::sweep_service_client::SweepServiceClient;
use tonic::transport::{Channel, Endpoint};

use crate::failure::Failure;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For one answer, or for the first message of a stream.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// A coordinator that vanished without a word is noticed after this and as long again.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// The largest answer: a leaderboard of a hundred thousand configurations.
const MAX_ANSWER_BYTES: usize = 256 * 1024 * 1024;

pub(crate) type Client = SweepServiceClient<Channel>;

/// A connection to the coordinator at `url`; `http://` may be left out.
pub(crate) async fn connect(url: &str) -> Result<Client, Failure> {
    let channel = endpoint(url)?.connect().await.map_err(|error| unreachable(url, error))?;
    Ok(SweepServiceClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES))
}

fn endpoint(url: &str) -> Result<Endpoint, Failure> {
    let wrong = || Failure::usage(format!("`{url}` is not the address of a coordinator"));
    let with_scheme = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    if !with_scheme.starts_with("http://") {
        return Err(wrong().hint("expected http://HOST:PORT"));
    }
    let endpoint = Endpoint::from_shared(with_scheme).map_err(|error| wrong().because(error))?;
    if endpoint.uri().host().is_none() {
        return Err(wrong().hint("expected http://HOST:PORT"));
    }
    let endpoint = endpoint.connect_timeout(CONNECT_TIMEOUT).timeout(ANSWER_TIMEOUT);
    Ok(endpoint.http2_keep_alive_interval(KEEP_ALIVE).keep_alive_timeout(KEEP_ALIVE))
}

fn unreachable(url: &str, error: tonic::transport::Error) -> Failure {
    Failure::failed(format!("cannot reach a coordinator at {url}")).because(error).hint(
        "start one with `sweepctl coordinator`, name another with --coordinator URL or SWEEP_COORDINATOR, \
         or run on this machine alone with `sweepctl submit FILE --local`",
    )
}

/// Who sits here, for the audit log.
pub(crate) fn user() -> String {
    ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok()).unwrap_or_default()
}

/// The sweep that a person named, by number or name.
pub(crate) fn reference(text: &str) -> Option<SweepReference> {
    Some(SweepReference { text: text.to_owned() })
}

/// The part of an answer that the contract promises.
pub(crate) fn expect<T>(part: Option<T>, name: &str) -> Result<T, Failure> {
    part.ok_or_else(|| Failure::ours(format!("the coordinator's answer has no {name}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked_before_anything_is_dialled() {
        assert!(endpoint("127.0.0.1:7733").is_ok());
        assert!(endpoint("http://localhost:7733").is_ok());
        for wrong in ["", "https://a:1", "ftp://a", "http://", "http://a b", "\u{0}"] {
            assert!(endpoint(wrong).is_err(), "{wrong:?}");
        }
    }
}
