//! The service of workers.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sweep_proto::v1;
use sweep_proto::v1::worker_service_server::WorkerService;
use sweep_scheduler::event::{Instance, Service};
use sweep_scheduler::{PoolName, SessionId};
use sweep_spec::{Digest, FailureClass};
use sweep_store::artifacts::{Folder, MAX_ARTIFACT_BYTES, Refused};
use sweep_store::codes::ArtifactKind;
use sweep_store::record::ArtifactRecord;
use sweep_store::write::SlotRow;
use tonic::{Request, Response, Status, Streaming};

use super::backpressure::Backpressure;
use super::quota::Quotas;
use super::status;
use super::upload::{Announced, Of, Piece, piece};
use crate::access::Caller;
use crate::access::keyring::Identity;
use crate::access::sessions::Sessions;
use crate::convert::{self, Invalid, MAX_NAME_BYTES};
use crate::engine::{
    Describe, Error, Finish, FinishEnding, Finished, Handle, Poll, PollReply, Register, Registered, Report, Reported,
};
use crate::listen::Peer;
use crate::service::sweep_messages::out_of_service;

/// The most slots of one worker.
pub const MAX_SLOTS: usize = 1024;
/// The most leases of one message.
pub const MAX_LEASES: usize = 4096;
/// The most labels of one worker.
pub const MAX_LABELS: usize = 64;
/// The most points of one report.
pub const MAX_POINTS: usize = 10_000;
/// An empty answer to a poll within this time means that the poll was not parked.
const PARKED: Duration = Duration::from_millis(20);

/// The handlers of the service.
#[derive(Clone)]
pub struct Workers {
    engine: Handle,
    artifacts: Folder,
    backpressure: Backpressure,
    sessions: Sessions,
    quotas: Quotas,
}

impl Workers {
    /// Uploads go to the folder `artifacts`.
    pub fn new(engine: Handle, artifacts: Folder) -> Self {
        let (backpressure, sessions, quotas) = (Backpressure::default(), Sessions::default(), Quotas::default());
        Self { engine, artifacts, backpressure, sessions, quotas }
    }
}

pub(crate) fn register(request: v1::RegisterRequest) -> Result<Register, Error> {
    if request.trainer_semantics != sweep_spec::TRAINER_SEMANTICS {
        let expected = sweep_spec::TRAINER_SEMANTICS;
        return Err(Error::Semantics { found: request.trainer_semantics, expected });
    }
    if !is_compatible(&request.version) {
        let found = convert::name("version", request.version, MAX_NAME_BYTES)?;
        return Err(Error::Version { found, ours: env!("CARGO_PKG_VERSION") });
    }
    let instance = instance(&request)?;
    let worker = convert::name("worker", request.worker, MAX_NAME_BYTES)?;
    if worker.is_empty() {
        return Err(Invalid { field: "worker", problem: "empty".into() }.into());
    }
    if request.slots.len() > MAX_SLOTS {
        return Err(Invalid { field: "slots", problem: format!("more than {MAX_SLOTS}") }.into());
    }
    if request.labels.len() > MAX_LABELS {
        return Err(Invalid { field: "labels", problem: format!("more than {MAX_LABELS}") }.into());
    }
    if request.live_attempts.len() > MAX_LEASES {
        return Err(Invalid { field: "live_attempts", problem: format!("more than {MAX_LEASES}") }.into());
    }
    let mut slots = Vec::with_capacity(request.slots.len());
    for (index, slot) in request.slots.into_iter().enumerate() {
        if slot.index as usize != index {
            return Err(Invalid { field: "slots", problem: "not numbered from 0 in order".into() }.into());
        }
        slots.push(SlotRow {
            device: convert::name("slots.device", slot.device, MAX_NAME_BYTES)?,
            device_name: convert::name("slots.device_name", slot.device_name, MAX_NAME_BYTES)?,
            memory_bytes: slot.memory_bytes,
        });
    }
    let label = |label: v1::Label| {
        let key = convert::name("labels.key", label.key, MAX_NAME_BYTES)?;
        Ok((key, convert::name("labels.value", label.value, MAX_NAME_BYTES)?))
    };
    let live = |live: v1::LiveAttempt| Ok((convert::lease("live_attempts.lease", live.lease)?, live.slot));
    Ok(Register {
        worker,
        host: convert::name("host", request.host, MAX_NAME_BYTES)?,
        version: convert::name("version", request.version, MAX_NAME_BYTES)?,
        slots,
        labels: request.labels.into_iter().map(label).collect::<Result<_, Invalid>>()?,
        live: request.live_attempts.into_iter().map(live).collect::<Result<_, Invalid>>()?,
        instance,
        address: String::new(),
        pool: Some(convert::name("pool", request.pool, MAX_NAME_BYTES)?).filter(|pool| !pool.is_empty()).map(PoolName),
        shares_checkpoints: request.shares_checkpoints,
    })
}

/// Whether this coordinator understands a worker of this version: the major version must match, because the messages of
/// `sweep.v1` only grow. A text that is not a version comes from a test bench and is accepted.
fn is_compatible(version: &str) -> bool {
    let major = |version: &str| version.split('.').next().and_then(|part| part.parse::<u64>().ok());
    major(version).is_none_or(|found| Some(found) == major(env!("CARGO_PKG_VERSION")))
}

/// Tells workers of the same name apart. The host counts with the folder, because people copy folders to other machines. A
/// worker without a key of its folder is another instance in each process.
fn instance(request: &v1::RegisterRequest) -> Result<Instance, Invalid> {
    for (field, bytes) in [("instance", &request.instance), ("state_key", &request.state_key)] {
        if bytes.len() > MAX_NAME_BYTES {
            return Err(Invalid { field, problem: format!("longer than {MAX_NAME_BYTES} bytes") });
        }
    }
    let process = number(&request.instance);
    let folder = match &request.state_key[..] {
        [] => process,
        key => number(&[key, b" ", request.host.as_bytes()].concat()),
    };
    Ok(Instance { folder, process })
}

/// A number for a key of any length; 0 for an empty one.
fn number(bytes: &[u8]) -> u64 {
    if bytes.is_empty() {
        return 0;
    }
    let digest = Digest::of(bytes);
    let number = digest.as_bytes().iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte));
    number.max(1)
}

pub(crate) fn poll(request: v1::PollRequest) -> Result<Poll, Error> {
    Ok(Poll {
        session: SessionId(request.session),
        held: convert::leases("held", request.held, MAX_LEASES)?,
        draining: request.draining,
        seen: request.seen,
    })
}

fn poll_message(reply: PollReply) -> v1::PollResponse {
    let message = |settings: Vec<_>| settings.into_iter().map(convert::setting_message).collect();
    let start = reply.start.into_iter().map(|start| v1::Assignment {
        lease: Some(convert::lease_message(start.lease)),
        slot: start.slot,
        settings: message(start.settings),
        predicted_seconds: start.predicted_seconds,
    });
    let describe = reply.describe.into_iter().map(|(key, settings)| v1::DescribeTask {
        dataset_key: convert::bytes(key.as_bytes()),
        settings: message(settings.to_vec()),
    });
    v1::PollResponse {
        start: start.collect(),
        stop: reply.stop.into_iter().map(convert::lease_message).collect(),
        describe: describe.collect(),
        drain: reply.service == Service::Draining,
        leave: reply.service == Service::Leaving,
        out_of_service: out_of_service(&reply.service),
        number: reply.number,
        left_out: reply.left_out.iter().map(|one| format!("sweep {}: {}", one.sweep, one.reason)).collect(),
    }
}

pub(crate) fn describe(request: v1::DescribeRequest) -> Result<Describe, Error> {
    let answer = match request.answer {
        Some(v1::describe_request::Answer::Description(found)) => Ok(convert::description(found)?),
        Some(v1::describe_request::Answer::Failure(failure)) => Err(convert::failure(failure)?),
        None => return Err(Invalid { field: "answer", problem: "absent".into() }.into()),
    };
    let dataset = convert::digest("dataset_key", &request.dataset_key)?;
    Ok(Describe { session: SessionId(request.session), dataset, answer })
}

pub(crate) fn report(request: v1::ReportRequest) -> Result<Report, Error> {
    if request.points.len() > MAX_POINTS {
        return Err(Invalid { field: "points", problem: format!("more than {MAX_POINTS}") }.into());
    }
    let point = |point: v1::Point| {
        let lease = convert::lease("points.lease", point.lease)?;
        Ok((lease, point.sequence, convert::metrics(point.metrics)?))
    };
    let points = request.points.into_iter().map(point).collect::<Result<_, Invalid>>()?;
    Ok(Report { session: SessionId(request.session), points })
}

pub(crate) fn finish(request: v1::FinishRequest) -> Result<Finish, Error> {
    use v1::finish_request::Ending;
    let ending = match request.ending {
        Some(Ending::Result(result)) => {
            let (result, said) = convert::result(result)?;
            FinishEnding::Result(Box::new(result), said)
        }
        Some(Ending::Failure(failure)) => {
            let (class, reason) = convert::failure(failure)?;
            FinishEnding::Failure(class, reason)
        }
        Some(Ending::Stopped(_)) => FinishEnding::Stopped,
        Some(Ending::Lost(lost)) => {
            let class = v1::FailureClass::Machine.into();
            let (_, reason) = convert::failure(v1::Failure { class, reason: lost.reason })?;
            FinishEnding::Lost(reason)
        }
        None => return Err(Invalid { field: "ending", problem: "absent".into() }.into()),
    };
    let (start_seconds, run_seconds, paused_seconds) = convert::phases(request.phases)?;
    Ok(Finish {
        session: SessionId(request.session),
        lease: convert::lease("lease", request.lease)?,
        last_sequence: request.last_sequence,
        ending,
        start_seconds,
        run_seconds,
        paused_seconds,
        log_tail: convert::log_tail(&request.log_tail),
    })
}

#[tonic::async_trait]
impl WorkerService for Workers {
    async fn register(&self, request: Request<v1::RegisterRequest>) -> Result<Response<v1::RegisterResponse>, Status> {
        let peer = peer(&request);
        let identity = identity(&request);
        let (registered, session) =
            self.with_backpressure(peer, self.open_session(request.into_inner(), (peer, identity)).await).await?;
        Ok(Response::new(v1::RegisterResponse {
            session,
            lease_ttl_ms: self.engine.lease_ttl_ms(),
            poll_wait_ms: u64::try_from(self.engine.poll_wait().as_millis()).unwrap_or(u64::MAX),
            stop: registered.stop.into_iter().map(convert::lease_message).collect(),
            coordinator_version: env!("CARGO_PKG_VERSION").to_owned(),
            out_of_service: out_of_service(&registered.service),
            max_artifact_bytes: MAX_ARTIFACT_BYTES,
        }))
    }

    async fn poll(&self, request: Request<v1::PollRequest>) -> Result<Response<v1::PollResponse>, Status> {
        let (peer, begun) = (peer(&request), Instant::now());
        let identity = identity(&request);
        let answer = async {
            let mut request = request.into_inner();
            request.session = self.sessions.find(request.session, &identity)?.0.0;
            self.engine.poll(poll(request)?, self.engine.poll_wait()).await
        };
        let reply = self.with_backpressure(peer, answer.await).await?;
        if reply.is_empty() && begun.elapsed() < PARKED {
            // Another poll of the same worker replaced it.
            self.backpressure.delay(peer).await;
        }
        Ok(Response::new(poll_message(reply)))
    }

    async fn describe(&self, request: Request<v1::DescribeRequest>) -> Result<Response<v1::DescribeResponse>, Status> {
        let peer = peer(&request);
        let identity = identity(&request);
        let answer = async {
            let mut request = request.into_inner();
            let (session, worker) = self.sessions.find(request.session, &identity)?;
            request.session = session.0;
            let mut described = describe(request)?;
            if let Ok(found) = &described.answer
                && let Err(reason) = self.quotas.describe((&worker, &identity), described.dataset, found.digest)
            {
                described.answer = Err((FailureClass::Data, reason));
            }
            self.engine.describe(described).await
        };
        if !self.with_backpressure(peer, answer.await).await? {
            self.backpressure.delay(peer).await;
        }
        Ok(Response::new(v1::DescribeResponse {}))
    }

    async fn report(&self, request: Request<v1::ReportRequest>) -> Result<Response<v1::ReportResponse>, Status> {
        let peer = peer(&request);
        let identity = identity(&request);
        let answer = async {
            let mut request = request.into_inner();
            request.session = self.sessions.find(request.session, &identity)?.0.0;
            self.engine.report(report(request)?).await
        };
        let Reported { stop, taken } = self.with_backpressure(peer, answer.await).await?;
        if taken == 0 {
            self.backpressure.delay(peer).await;
        }
        Ok(Response::new(v1::ReportResponse { stop: stop.into_iter().map(convert::lease_message).collect() }))
    }

    async fn finish(&self, request: Request<v1::FinishRequest>) -> Result<Response<v1::FinishResponse>, Status> {
        let peer = peer(&request);
        let identity = identity(&request);
        let mut request = request.into_inner();
        // A worker reports a stopped attempt although its lease has expired.
        let stopped = matches!(request.ending, Some(v1::finish_request::Ending::Stopped(_)));
        let answer = async {
            request.session = self.sessions.find(request.session, &identity)?.0.0;
            self.engine.finish(finish(request)?).await
        };
        let finished = self.with_backpressure(peer, answer.await).await?;
        if !stopped && !matches!(finished, Finished::Accepted { .. }) {
            self.backpressure.delay(peer).await;
        }
        let (verdict, stored_sequence) = match finished {
            Finished::Accepted { stored_sequence } => (v1::FinishVerdict::Accepted, stored_sequence),
            Finished::Stale => (v1::FinishVerdict::Stale, 0),
            Finished::PointsMissing { stored_sequence } => (v1::FinishVerdict::PointsMissing, stored_sequence),
        };
        Ok(Response::new(v1::FinishResponse { verdict: verdict.into(), stored_sequence }))
    }

    async fn put_artifact(
        &self,
        request: Request<Streaming<v1::PutArtifactRequest>>,
    ) -> Result<Response<v1::PutArtifactResponse>, Status> {
        let peer = peer(&request);
        let identity = identity(&request);
        let mut parts = request.into_inner();
        let first = parts.message().await?.map(piece).transpose().map_err(status)?;
        let Some(Piece::Announced(announced)) = first else {
            return Err(Status::invalid_argument("the first message must contain the header"));
        };
        let (_, worker) = self.sessions.find(announced.session, &identity).map_err(status)?;
        if let Of::Data(content) = announced.of {
            let sheet = (announced.digest, announced.size_bytes);
            let taken = self.quotas.sheet((&worker, &identity), content, sheet).map_err(Error::from);
            self.with_backpressure(peer, taken).await?;
        }
        let record = self.artifact(announced, &worker).await.map_err(status)?;
        let refused = |refused: Refused| match refused {
            Refused::Store(error) => status(Error::from(error)),
            Refused::TooLong { .. } | Refused::NotTheContent { .. } => Status::invalid_argument(refused.to_string()),
        };
        let mut incoming =
            self.artifacts.begin(record.digest, record.size_bytes).await.map_err(Error::from).map_err(status)?;
        while let Some(message) = parts.message().await? {
            let Piece::Chunk(chunk) = piece(message).map_err(status)? else {
                return Err(Status::invalid_argument("expected a chunk"));
            };
            incoming.write(&chunk).await.map_err(refused)?;
        }
        if !self.wanted(&record).await.map_err(status)? {
            // The sweeps of the trial have ended and keep the weights of another trial. This is not an error of the worker.
            return Ok(Response::new(v1::PutArtifactResponse {}));
        }
        let _adding = self.artifacts.adding().await;
        incoming.keep().await.map_err(refused)?;
        self.engine.store().add_artifact(&record).await.map_err(Error::from).map_err(status)?;
        Ok(Response::new(v1::PutArtifactResponse {}))
    }
}

/// The address of the caller.
fn peer<T>(request: &Request<T>) -> Option<SocketAddr> {
    request.extensions().get::<Peer>().map(|peer| peer.address)
}

/// The token and the certificate of the caller.
fn identity<T>(request: &Request<T>) -> Identity {
    request.extensions().get::<Caller>().map(|caller| caller.identity.clone()).unwrap_or_default()
}

impl Workers {
    /// Maps an error to its status. Errors that are the caller's fault are answered with a growing delay.
    async fn with_backpressure<T>(&self, peer: Option<SocketAddr>, result: Result<T, Error>) -> Result<T, Status> {
        if let Err(error) = &result
            && error.is_callers()
        {
            self.backpressure.delay(peer).await;
        }
        result.map_err(status)
    }

    /// Opens a session in the engine. Returns it with the number for its worker.
    async fn open_session(
        &self,
        request: v1::RegisterRequest,
        (peer, identity): (Option<SocketAddr>, Identity),
    ) -> Result<(Registered, u64), Error> {
        let address = peer.map(|peer| peer.to_string()).unwrap_or_default();
        let request = Register { address, ..register(request)? };
        let worker = request.worker.clone();
        let other = self.sessions.of_another(&worker, &identity);
        if other.is_some() || self.sessions.are_many() {
            let live = self.engine.workers().await?;
            self.sessions.keep(|session| live.iter().any(|worker| worker.session == session));
            let stays = |session| live.iter().any(|worker| worker.session == session && !worker.left);
            if other.is_some_and(stays) {
                return Err(Error::Held { worker });
            }
        }
        let registered = self.engine.register(request).await?;
        let session = self.sessions.open(&worker, registered.session, identity)?;
        Ok((registered, session))
    }

    /// Whether the store keeps this artifact.
    async fn wanted(&self, record: &ArtifactRecord) -> Result<bool, Error> {
        match (record.kind, record.owner) {
            (ArtifactKind::Weights, Some((_, trial, _))) => Ok(self.engine.store().wants_weights(trial).await?),
            _ => Ok(true),
        }
    }

    /// The record of an announced artifact. Only the worker that ran an attempt may upload for it.
    async fn artifact(&self, announced: Announced, worker: &str) -> Result<ArtifactRecord, Error> {
        let Announced { digest, kind, of, size_bytes, .. } = announced;
        let (owner, data_digest) = match of {
            Of::Data(data) => (None, Some(data)),
            Of::Attempt(lease) => {
                let attempt = self.engine.store().attempt(lease).await?;
                let attempt = attempt.filter(|attempt| attempt.worker == worker);
                let attempt = attempt.ok_or_else(|| Error::NotFound { what: "such attempt of this worker".into() })?;
                (Some((attempt.key, lease.trial, lease.attempt)), None)
            }
        };
        Ok(ArtifactRecord { digest, kind, owner, data_digest, size_bytes })
    }
}
