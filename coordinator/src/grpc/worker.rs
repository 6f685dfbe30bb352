//! The workers' service.

use sweep_proto::v1;
use sweep_proto::v1::worker_service_server::WorkerService;
use sweep_scheduler::SessionId;
use sweep_scheduler::event::Service;
use sweep_spec::Digest;
use tonic::{Request, Response, Status, Streaming};

use super::status;
use crate::convert::{self, Invalid, MAX_NAME_BYTES};
use crate::engine::{Describe, Error, Finish, FinishEnding, Finished, Handle, Poll, PollReply, Register, Report};
use crate::store::artifacts::{Folder, MAX_ARTIFACT_BYTES, Refused};
use crate::store::record::ArtifactRecord;
use crate::store::write::SlotRow;

/// The most slots of one worker.
pub const MAX_SLOTS: usize = 1024;
/// The most leases of one message.
pub const MAX_LEASES: usize = 4096;
/// The most labels of one worker.
pub const MAX_LABELS: usize = 64;
/// The most points of one report.
pub const MAX_POINTS: usize = 10_000;
/// The longest piece of an artifact, in bytes.
pub const MAX_CHUNK_BYTES: usize = 1024 * 1024;

/// Answers workers.
#[derive(Clone)]
pub struct Workers {
    engine: Handle,
    artifacts: Folder,
}

impl Workers {
    /// On an engine and a folder of artifacts.
    pub fn new(engine: Handle, artifacts: Folder) -> Self {
        Self { engine, artifacts }
    }
}

fn register(request: v1::RegisterRequest) -> Result<Register, Error> {
    if request.trainer_semantics != sweep_spec::TRAINER_SEMANTICS {
        let expected = sweep_spec::TRAINER_SEMANTICS;
        return Err(Error::Semantics { found: request.trainer_semantics, expected });
    }
    let worker = convert::name("worker", request.worker, MAX_NAME_BYTES)?;
    if worker.is_empty() {
        return Err(Invalid { field: "worker", problem: "empty".into() }.into());
    }
    if request.slots.len() > MAX_SLOTS {
        return Err(Invalid { field: "slots", problem: format!("more than {MAX_SLOTS}") }.into());
    }
    if request.labels.len() > MAX_LABELS || request.live_attempts.len() > MAX_LEASES {
        return Err(Invalid { field: "labels", problem: "too many labels or live attempts".into() }.into());
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
        instance: instance(&request.instance)?,
    })
}

/// A process's own number, however long; 0 where it gives none.
fn instance(bytes: &[u8]) -> Result<u64, Invalid> {
    if bytes.len() > MAX_NAME_BYTES {
        return Err(Invalid { field: "instance", problem: format!("longer than {MAX_NAME_BYTES} bytes") });
    }
    if bytes.is_empty() {
        return Ok(0);
    }
    let digest = Digest::of(bytes);
    let number = digest.as_bytes().iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte));
    Ok(number.max(1))
}

fn poll(request: v1::PollRequest) -> Result<Poll, Error> {
    Ok(Poll {
        session: SessionId(request.session),
        held: convert::leases("held", request.held, MAX_LEASES)?,
        draining: request.draining,
        seen: request.seen,
    })
}

/// Why the worker gets nothing; empty for one that does.
pub(super) fn out_of_service(service: &Service) -> String {
    match service {
        Service::Suspended(reason) => reason.clone(),
        Service::Active | Service::Draining | Service::Leaving => String::new(),
    }
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
    }
}

fn describe(request: v1::DescribeRequest) -> Result<Describe, Error> {
    let answer = match request.answer {
        Some(v1::describe_request::Answer::Description(found)) => Ok(convert::description(found)?),
        Some(v1::describe_request::Answer::Failure(failure)) => Err(convert::failure(failure)?),
        None => return Err(Invalid { field: "answer", problem: "absent".into() }.into()),
    };
    let dataset = convert::digest("dataset_key", &request.dataset_key)?;
    Ok(Describe { session: SessionId(request.session), dataset, answer })
}

fn report(request: v1::ReportRequest) -> Result<Report, Error> {
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

fn finish(request: v1::FinishRequest) -> Result<Finish, Error> {
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
    let (start_seconds, run_seconds) = convert::phases(request.phases)?;
    Ok(Finish {
        session: SessionId(request.session),
        lease: convert::lease("lease", request.lease)?,
        last_sequence: request.last_sequence,
        ending,
        start_seconds,
        run_seconds,
        log_tail: convert::log_tail(&request.log_tail),
    })
}

#[tonic::async_trait]
impl WorkerService for Workers {
    async fn register(&self, request: Request<v1::RegisterRequest>) -> Result<Response<v1::RegisterResponse>, Status> {
        let register = register(request.into_inner()).map_err(status)?;
        let registered = self.engine.register(register).await.map_err(status)?;
        Ok(Response::new(v1::RegisterResponse {
            session: registered.session.0,
            lease_ttl_ms: self.engine.lease_ttl_ms(),
            poll_wait_ms: u64::try_from(self.engine.poll_wait().as_millis()).unwrap_or(u64::MAX),
            stop: registered.stop.into_iter().map(convert::lease_message).collect(),
            coordinator_version: env!("CARGO_PKG_VERSION").to_owned(),
            out_of_service: out_of_service(&registered.service),
        }))
    }

    async fn poll(&self, request: Request<v1::PollRequest>) -> Result<Response<v1::PollResponse>, Status> {
        let poll = poll(request.into_inner()).map_err(status)?;
        let reply = self.engine.poll(poll, self.engine.poll_wait()).await.map_err(status)?;
        Ok(Response::new(poll_message(reply)))
    }

    async fn describe(&self, request: Request<v1::DescribeRequest>) -> Result<Response<v1::DescribeResponse>, Status> {
        let describe = describe(request.into_inner()).map_err(status)?;
        self.engine.describe(describe).await.map_err(status)?;
        Ok(Response::new(v1::DescribeResponse {}))
    }

    async fn report(&self, request: Request<v1::ReportRequest>) -> Result<Response<v1::ReportResponse>, Status> {
        let report = report(request.into_inner()).map_err(status)?;
        let stop = self.engine.report(report).await.map_err(status)?;
        Ok(Response::new(v1::ReportResponse { stop: stop.into_iter().map(convert::lease_message).collect() }))
    }

    async fn finish(&self, request: Request<v1::FinishRequest>) -> Result<Response<v1::FinishResponse>, Status> {
        let finish = finish(request.into_inner()).map_err(status)?;
        let (verdict, stored_sequence) = match self.engine.finish(finish).await.map_err(status)? {
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
        let mut parts = request.into_inner();
        let Some(v1::put_artifact_request::Part::Header(header)) = parts.message().await?.and_then(|first| first.part)
        else {
            return Err(Status::invalid_argument("the first message carries the header"));
        };
        let record = self.artifact(header).await.map_err(status)?;
        let refused = |refused: Refused| match refused {
            Refused::Store(error) => status(error.into()),
            Refused::TooLong { .. } | Refused::NotTheContent { .. } => Status::invalid_argument(refused.to_string()),
        };
        let mut incoming =
            self.artifacts.begin(record.digest, record.size_bytes).await.map_err(Error::from).map_err(status)?;
        while let Some(message) = parts.message().await? {
            let Some(v1::put_artifact_request::Part::Chunk(chunk)) = message.part else {
                return Err(Status::invalid_argument("a chunk is expected"));
            };
            if chunk.len() > MAX_CHUNK_BYTES {
                return Err(Status::invalid_argument(format!("a chunk is longer than {MAX_CHUNK_BYTES} bytes")));
            }
            incoming.write(&chunk).await.map_err(refused)?;
        }
        incoming.keep().await.map_err(refused)?;
        self.engine.store().add_artifact(&record).await.map_err(Error::from).map_err(status)?;
        Ok(Response::new(v1::PutArtifactResponse {}))
    }
}

impl Workers {
    async fn artifact(&self, header: v1::ArtifactHeader) -> Result<ArtifactRecord, Error> {
        if header.size_bytes > MAX_ARTIFACT_BYTES {
            return Err(Invalid { field: "size_bytes", problem: format!("more than {MAX_ARTIFACT_BYTES}") }.into());
        }
        let digest = convert::digest("digest", &header.digest)?;
        let kind = v1::ArtifactKind::try_from(header.kind).unwrap_or(v1::ArtifactKind::Unspecified);
        let (owner, data_digest) = match kind {
            v1::ArtifactKind::Thumbnails => (None, Some(convert::digest("data_digest", &header.data_digest)?)),
            v1::ArtifactKind::Log | v1::ArtifactKind::Weights => {
                let lease = convert::lease("lease", header.lease)?;
                let attempt = self.engine.store().attempt(lease).await?;
                let attempt = attempt.ok_or_else(|| Error::NotFound { what: "such attempt".into() })?;
                (Some((attempt.key, lease.trial, lease.attempt)), None)
            }
            v1::ArtifactKind::Unspecified => {
                return Err(Invalid { field: "kind", problem: "unknown".into() }.into());
            }
        };
        Ok(ArtifactRecord { digest, kind, owner, data_digest, size_bytes: header.size_bytes })
    }
}
