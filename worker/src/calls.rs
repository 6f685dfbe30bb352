//! Calls to the coordinator: addresses and failover, classes of failures, and backoff.

use std::time::Duration;

use bytes::Bytes;
use sweep_proto::v1;
use sweep_proto::v1::worker_service_client::WorkerServiceClient;
use sweep_trust::Reason;
use tokio::time::Instant;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::Error;
use crate::artifact::Artifact;
use crate::config::Config;
use crate::credentials::{self, Bearer};
use crate::machine;
use crate::wire::Lease;

/// The largest message from a coordinator, in bytes.
const MAX_MESSAGE_BYTES: usize = 64 << 20;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Timeout of calls that the coordinator answers at once.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Timeout of one file's upload.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(3600);

/// Timeout of a poll beyond the time for which the coordinator may park it.
const POLL_MARGIN: Duration = Duration::from_secs(10);

/// Interval of HTTP/2 pings on an idle connection.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// The delay after the first failure.
const FIRST_RETRY_DELAY: Duration = Duration::from_millis(50);

/// The hint after a rejected token.
const TOKEN_HINT: &str = "a worker reads its token from --token-file, `token_file` or SWEEP_WORKER_TOKEN, and its certificate \
                          from --client-cert and --client-key; `sweepctl token create NAME --role worker` creates a token";

/// The metadata key of a rejection that describes the worker which has this name, as a `NameHeld` message.
const NAME_HELD: &str = "sweep-name-held-bin";

/// A gRPC client of one coordinator.
pub(crate) type Client = WorkerServiceClient<InterceptedService<Channel, Bearer>>;

/// The addresses of the coordinators, and the one in use.
pub(crate) struct Endpoints {
    clients: Vec<(String, Client)>,
    current: usize,
}

impl Endpoints {
    /// Opens no connection yet. The configuration has already rejected invalid addresses.
    pub(crate) fn new(config: &Config) -> Result<Self, Error> {
        let bearer = Bearer::new(config)?;
        let client = |address: &String| {
            let mut endpoint = Endpoint::from_shared(address.clone())?
                .connect_timeout(CONNECT_TIMEOUT)
                .tcp_nodelay(true)
                .http2_keep_alive_interval(KEEP_ALIVE)
                .keep_alive_timeout(KEEP_ALIVE)
                .keep_alive_while_idle(true);
            if endpoint.uri().scheme_str() == Some("https") {
                endpoint =
                    endpoint.tls_config_with_verifier(credentials::tls(config)?, credentials::verifier(config)?)?;
            } else if bearer.has_token() && !endpoint.uri().host().is_some_and(is_this_machine) {
                tracing::warn!(
                    address,
                    "the token is sent in clear text: set the coordinator's `tls_cert` and use an https:// address"
                );
            }
            let client = WorkerServiceClient::with_interceptor(endpoint.connect_lazy(), bearer.clone());
            Ok((address.clone(), client.max_decoding_message_size(MAX_MESSAGE_BYTES)))
        };
        Ok(Self { clients: config.coordinator.iter().map(client).collect::<Result<_, Error>>()?, current: 0 })
    }

    pub(crate) fn client(&self) -> Client {
        self.clients[self.current].1.clone()
    }

    pub(crate) fn address(&self) -> &str {
        &self.clients[self.current].0
    }

    /// Uses the next address from now on.
    pub(crate) fn fail_over(&mut self) {
        self.current = (self.current + 1) % self.clients.len();
    }
}

/// Whether a host name means this machine.
fn is_this_machine(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The class of a failed call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CallError {
    /// The session has ended: the worker has to register again.
    SessionLost,
    /// A retry may succeed.
    Transient(String),
    /// A retry cannot succeed.
    Refused(String),
}

impl CallError {
    /// Classifies a failure of any call except `Register`.
    pub(crate) fn of(status: &Status) -> Self {
        match status.code() {
            // An expired token does not invalidate the reports: registering again shows whether the next token is
            // accepted.
            Code::NotFound | Code::FailedPrecondition | Code::Unauthenticated => Self::SessionLost,
            Code::InvalidArgument
            | Code::OutOfRange
            | Code::PermissionDenied
            | Code::AlreadyExists
            | Code::Unimplemented => Self::Refused(sentence(status)),
            Code::Ok
            | Code::Cancelled
            | Code::Unknown
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::Aborted
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss => Self::Transient(sentence(status)),
        }
    }

    /// Classifies a failure of `Register`, which cannot lose a session.
    pub(crate) fn of_registration(status: &Status) -> Self {
        match Self::of(status) {
            Self::SessionLost if status.code() == Code::Unauthenticated => {
                Self::Refused(format!("{}; {TOKEN_HINT}", sentence(status)))
            }
            Self::SessionLost => Self::Refused(sentence(status)),
            other => other,
        }
    }
}

fn sentence(status: &Status) -> String {
    if let Some(distrust) = sweep_trust::find(status) {
        return match distrust.reason {
            Reason::UnknownIssuer => format!("{distrust}: pass the certificate of its authority with --ca-file"),
            Reason::OtherName(_) => format!("{distrust}: use a host name from the certificate with --coordinator"),
            Reason::Expired(_) | Reason::NotYet(_) | Reason::Other(_) => distrust.to_string(),
        };
    }
    if let Some(refused) = sweep_trust::refused(status) {
        return format!(
            "the coordinator closed the connection: {refused}; pass another certificate with --client-cert and --client-key"
        );
    }
    match status.message() {
        "" => status.code().description().to_owned(),
        message => message.to_owned(),
    }
}

/// The delay before the next call of a kind after failures.
pub(crate) struct Backoff {
    failures: u32,
    until: Option<Instant>,
    longest: Duration,
}

impl Backoff {
    pub(crate) fn new(longest: Duration) -> Self {
        Self { failures: 0, until: None, longest }
    }

    pub(crate) fn fail(&mut self) {
        let doubled = FIRST_RETRY_DELAY.saturating_mul(1 << self.failures.min(20));
        self.failures = self.failures.saturating_add(1);
        self.until = Some(Instant::now() + machine::jittered(doubled.min(self.longest)));
    }

    pub(crate) fn succeed(&mut self) {
        self.failures = 0;
        self.until = None;
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.until.is_none_or(|until| until <= Instant::now())
    }

    /// When the next call is allowed, if not now.
    pub(crate) fn until(&self) -> Option<Instant> {
        self.until.filter(|until| *until > Instant::now())
    }
}

/// The result of a call.
pub(crate) enum Answer {
    Registered {
        result: Result<v1::RegisterResponse, CallError>,
        /// The worker that has this name, if the rejection names one.
        held: Option<Box<v1::NameHeld>>,
    },
    Polled {
        serial: u64,
        session: u64,
        seconds: f64,
        result: Result<v1::PollResponse, CallError>,
    },
    Reported {
        session: u64,
        seconds: f64,
        points: usize,
        result: Result<v1::ReportResponse, CallError>,
    },
    Finished {
        session: u64,
        lease: Lease,
        result: Result<v1::FinishResponse, CallError>,
    },
    Described {
        session: u64,
        key: Bytes,
        result: Result<(), CallError>,
    },
    /// `Ok(false)`: the file cannot be uploaded, whatever the coordinator answers.
    Uploaded {
        session: u64,
        lease: Lease,
        result: Result<bool, CallError>,
    },
}

pub(crate) async fn register(mut client: Client, request: v1::RegisterRequest) -> Answer {
    let result = within(CALL_TIMEOUT, client.register(request)).await;
    let held = result.as_ref().err().and_then(name_held);
    Answer::Registered { result: result.map_err(|status| CallError::of_registration(&status)), held }
}

/// The worker that has this name, if the status describes one.
fn name_held(status: &Status) -> Option<Box<v1::NameHeld>> {
    let bytes = status.metadata().get_bin(NAME_HELD)?.to_bytes().ok()?;
    prost::Message::decode(bytes).ok().map(Box::new)
}

/// `serial` identifies the poll: the answer to a cancelled poll may still arrive.
pub(crate) async fn poll(mut client: Client, request: v1::PollRequest, wait: Duration, serial: u64) -> Answer {
    let (session, begun) = (request.session, Instant::now());
    let result = within(wait + POLL_MARGIN, client.poll(request)).await.map_err(|status| CallError::of(&status));
    Answer::Polled { serial, session, seconds: begun.elapsed().as_secs_f64(), result }
}

pub(crate) async fn report(mut client: Client, request: v1::ReportRequest) -> Answer {
    let (session, points, begun) = (request.session, request.points.len(), Instant::now());
    let result = within(CALL_TIMEOUT, client.report(request)).await.map_err(|status| CallError::of(&status));
    Answer::Reported { session, seconds: begun.elapsed().as_secs_f64(), points, result }
}

pub(crate) async fn finish(mut client: Client, request: v1::FinishRequest, lease: Lease) -> Answer {
    let session = request.session;
    let result = within(CALL_TIMEOUT, client.finish(request)).await.map_err(|status| CallError::of(&status));
    Answer::Finished { session, lease, result }
}

pub(crate) async fn describe(mut client: Client, request: v1::DescribeRequest) -> Answer {
    let (session, key) = (request.session, request.dataset_key.clone());
    let result = within(CALL_TIMEOUT, client.describe(request)).await;
    Answer::Described { session, key, result: result.map(drop).map_err(|status| CallError::of(&status)) }
}

/// `limit`: the largest artifact, in bytes, that the coordinator accepts.
pub(crate) async fn upload(mut client: Client, session: u64, limit: u64, artifact: Artifact) -> Answer {
    let lease = artifact.lease;
    let result = match artifact.messages(session, limit).await {
        Ok(messages) => {
            let stored = within(UPLOAD_TIMEOUT, client.put_artifact(messages)).await;
            stored.map(|_| true).map_err(|status| CallError::of(&status))
        }
        Err(error) => {
            tracing::warn!(path = %artifact.path.display(), error = %error, "cannot upload an artifact");
            Ok(false)
        }
    };
    Answer::Uploaded { session, lease, result }
}

async fn within<T>(
    limit: Duration,
    call: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, Status> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => answer.map(tonic::Response::into_inner),
        Err(_) => Err(Status::deadline_exceeded(format!("no answer within {} s", limit.as_secs()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_go_well_later_is_tried_again() {
        assert_eq!(CallError::of(&Status::not_found("")), CallError::SessionLost);
        assert_eq!(CallError::of(&Status::failed_precondition("")), CallError::SessionLost);
        assert_eq!(CallError::of(&Status::unauthenticated("")), CallError::SessionLost);
        assert!(matches!(CallError::of_registration(&Status::unauthenticated("no")), CallError::Refused(_)));
        assert!(matches!(CallError::of(&Status::unavailable("gone")), CallError::Transient(text) if text == "gone"));
        assert!(matches!(CallError::of(&Status::invalid_argument("no")), CallError::Refused(_)));
        assert!(matches!(CallError::of_registration(&Status::failed_precondition("no")), CallError::Refused(_)));
    }

    #[tokio::test]
    async fn pauses_grow_up_to_the_longest_and_end_with_success() {
        let longest = Duration::from_secs(10);
        let mut backoff = Backoff::new(longest);
        assert!(backoff.is_ready());
        let mut total = Duration::ZERO;
        for _ in 0..40 {
            backoff.fail();
            assert!(!backoff.is_ready());
            let pause = backoff.until().unwrap() - Instant::now();
            assert!(pause <= longest);
            total += pause;
        }
        assert!(total > 20 * longest / 2);
        backoff.succeed();
        assert!(backoff.is_ready());
    }
}
