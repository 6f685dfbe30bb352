//! The sweeps' service: what people and pages ask.

use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use sweep_proto::v1;
use sweep_proto::v1::sweep_service_server::SweepService;
use sweep_scheduler::SweepId;
use sweep_spec::{Digest, TrialId};
use sweep_store::artifacts::Folder;
use sweep_store::record::{SweepPage, TrialPage, TrialRecord, TrialRow, TrialState, WorkerRecord};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status};

use super::chunks::send_report;
use super::sweep_questions::{page, reference, submission, sweep_page, trial_digits};
use super::watching::{Told, Watching};
use super::{status, sweep_messages as messages};
use crate::access::Caller;
use crate::access::grpc::named;
use crate::convert::{self, Invalid, MAX_TEXT_BYTES, bytes, metrics_message};
use crate::engine::{Error, Handle, Outline, Submit};
use crate::streams::{Kind, Permit, Streams};

/// Messages that wait for a slow reader.
const STREAM_QUEUE: usize = 4;

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Answers people.
#[derive(Clone)]
pub struct Sweeps {
    pub(crate) engine: Handle,
    pub(crate) artifacts: Folder,
    watching: Watching,
    streams: Streams,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

impl Sweeps {
    /// On an engine and a folder of artifacts. As many streams as there may be run on `tasks` and end with `shutdown`.
    pub(crate) fn new(
        engine: Handle,
        artifacts: Folder,
        (streams, tasks, shutdown): (Streams, TaskTracker, CancellationToken),
    ) -> Self {
        Self { engine, artifacts, watching: Watching::default(), streams, tasks, shutdown }
    }

    /// The right to an answer that takes long.
    ///
    /// # Errors
    /// There are as many as there may be.
    pub(crate) fn begin(&self, kind: Kind, caller: Option<&Caller>) -> Result<Permit, Error> {
        self.streams.begin(kind, caller.map(|caller| &caller.identity))
    }

    pub(crate) async fn find(&self, asked: Option<v1::SweepReference>) -> Result<SweepId, Error> {
        self.engine.find(&reference(asked)?).await
    }

    pub(crate) async fn status(&self, sweep: SweepId) -> Result<v1::SweepStatus, Error> {
        Ok(messages::status(&self.engine.status(sweep).await?))
    }

    /// A page of the sweeps, newest first; all of them where no size is asked for, as clients of earlier releases do.
    pub(crate) async fn sweeps(&self, request: &v1::ListSweepsRequest) -> Result<v1::ListSweepsResponse, Error> {
        let (mut page, whole) = sweep_page(request)?;
        let mut sweeps = Vec::new();
        loop {
            let records = self.engine.store().sweeps(&SweepPage { limit: page.limit + 1, ..page }).await?;
            let more = records.len() > page.limit as usize;
            for record in records.into_iter().take(page.limit as usize) {
                page.before = Some(record.id);
                match self.status(record.id).await {
                    Ok(status) => sweeps.push(status),
                    // It was deleted since the page was read.
                    Err(Error::NotFound { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            if !more || !whole {
                let next_page_token = page.before.filter(|_| more).map(|last| last.to_string()).unwrap_or_default();
                return Ok(v1::ListSweepsResponse { sweeps, next_page_token });
            }
        }
    }

    /// A trial as a message.
    pub(crate) fn summary(&self, outline: &Outline, row: &TrialRow) -> Result<v1::TrialSummary, Error> {
        messages::trial(outline, row)
    }

    /// A sweep with what was submitted.
    pub(crate) async fn sweep(&self, reference: Option<v1::SweepReference>) -> Result<v1::GetSweepResponse, Error> {
        let id = self.find(reference).await?;
        let found = self.engine.status(id).await?;
        let pair = |(key, value): &(String, String)| v1::Override { key: key.clone(), value: value.clone() };
        Ok(v1::GetSweepResponse {
            sweep: Some(messages::status(&found)),
            spec: self.engine.spec(id).await?.into(),
            overrides: found.record.overrides.iter().map(pair).collect(),
        })
    }

    /// The content of an artifact, piece by piece.
    pub(crate) fn artifact_content(&self, digest: Digest) -> ReceiverStream<Result<v1::GetArtifactResponse, Status>> {
        let (answers, stream) = mpsc::channel(STREAM_QUEUE);
        let service = self.clone();
        self.tasks.spawn(async move {
            let done = tokio::select! {
                () = service.shutdown.cancelled() => Err(Error::Unavailable),
                done = service.send_artifact(digest, &answers) => done,
            };
            if let Err(error) = done {
                let _ = answers.send(Err(status(error))).await;
            }
        });
        ReceiverStream::new(stream)
    }

    /// Where a sweep stands, now and on every change until it has ended.
    pub(crate) fn watched(&self, id: SweepId) -> impl Stream<Item = Told> + Send + use<> {
        self.watching.watch(&Arc::new(self.clone()), id, (&self.tasks, &self.shutdown))
    }

    pub(crate) async fn artifacts_of(
        &self,
        reference: Option<v1::SweepReference>,
    ) -> Result<v1::ListArtifactsResponse, Error> {
        let id = self.find(reference).await?;
        let found = self.engine.store().artifacts(id).await?;
        let notes = self.engine.weights_note(id, &found).await?.into_iter().collect();
        let artifacts = found.into_iter().map(|artifact| v1::Artifact {
            digest: bytes(artifact.digest.as_bytes()),
            kind: convert::artifact_kind_message(artifact.kind).into(),
            size_bytes: artifact.size_bytes,
            trial_id: artifact.owner.map(|(_, trial, _)| bytes(trial.as_bytes())).unwrap_or_default(),
            attempt: artifact.owner.map_or(0, |(.., attempt)| attempt),
        });
        Ok(v1::ListArtifactsResponse { artifacts: artifacts.collect(), notes })
    }

    pub(crate) async fn submit_one(&self, request: v1::SubmitRequest) -> Result<v1::SubmitResponse, Error> {
        let extends = match request.extends.clone() {
            Some(reference) => Some(self.find(Some(reference)).await?),
            None => None,
        };
        let submit = Submit { extends, ..submission(request)? };
        let submitted = self.engine.submit(submit).await?;
        let sweep = self.status(submitted.sweep).await?;
        let outlook = submitted.outlook.map(messages::outlook);
        let warnings = self.engine.warnings().await?;
        Ok(v1::SubmitResponse { sweep: Some(sweep), resumed: submitted.resumed, outlook, warnings })
    }

    pub(crate) async fn trials(&self, request: v1::ListTrialsRequest) -> Result<v1::ListTrialsResponse, Error> {
        let sweep = self.find(request.sweep.clone()).await?;
        let named = convert::name("configuration", request.configuration.clone(), MAX_TEXT_BYTES)?;
        let configuration = if named.is_empty() { None } else { Some(self.engine.position(sweep, &named).await?) };
        let page = TrialPage { sweep, configuration, ..page(request)? };
        let limit = page.limit;
        let outline = self.engine.outline(sweep).await?;
        let rows = self.engine.store().trials(&page).await?;
        let full = rows.len() == limit as usize;
        let last = rows.last().filter(|_| full).map(|row| format!("{}.{}", row.configuration, row.seed));
        let trials = rows.iter().map(|row| messages::trial(&outline, row)).collect::<Result<_, _>>()?;
        Ok(v1::ListTrialsResponse { trials, next_page_token: last.unwrap_or_default() })
    }

    pub(crate) async fn trial(&self, text: &str) -> Result<v1::GetTrialResponse, Error> {
        let (record, row, outline) = self.trial_row(text).await?;
        let (id, sweep) = (row.trial, outline.record.id);
        let store = self.engine.store();
        let attempts = store.attempts(id).await?;
        let accepted = self.engine.accepted(id, attempts.clone()).await?;
        let shown = accepted.as_ref().or(attempts.last());
        let reproductions = self.engine.reproductions(id, &attempts).await?;
        let (points, validation, test_predictions) = match shown.map(|attempt| attempt.key) {
            Some(key) => (store.points(key).await?, store.validation(key).await?, store.test_predictions(key).await?),
            None => (Vec::new(), None, None),
        };
        let result = row.result.as_ref();
        let waiting = if row.state == TrialState::Queued {
            self.engine.status(sweep).await?.waiting_for.join("; ")
        } else {
            String::new()
        };
        Ok(v1::GetTrialResponse {
            trial: Some(messages::trial(&outline, &row)?),
            attempts: attempts.iter().map(messages::attempt).collect(),
            points: points.iter().map(|point| metrics_message(&point.metrics)).collect(),
            validation: validation.map(convert::validation_message),
            best: result.and_then(|result| result.best.as_ref()).map(metrics_message),
            last: result.and_then(|result| result.last.as_ref()).map(metrics_message),
            sweeps: record.sweeps.iter().map(|(sweep, ..)| sweep.0).collect(),
            waiting_for: waiting,
            test_predictions: test_predictions.map(convert::validation_message),
            reproductions: reproductions.iter().map(messages::mark).collect(),
        })
    }

    /// A trial, its row in the newest sweep that refers to it and does not only ask it again, and that sweep.
    pub(crate) async fn trial_row(&self, text: &str) -> Result<(TrialRecord, TrialRow, Outline), Error> {
        let id = self.trial_named(text).await?;
        let store = self.engine.store();
        let unknown = || Error::NotFound { what: format!("trial `{text}`") };
        let record = store.trial(id).await?.ok_or_else(unknown)?;
        let repeats = store.repeats(id).await?;
        let repeats = |sweep: SweepId| repeats.iter().any(|repeat| repeat.sweep == sweep);
        let newest = record.sweeps.iter().rev().find(|(sweep, ..)| !repeats(*sweep)).or(record.sweeps.last());
        let (sweep, configuration, seed) = newest.copied().ok_or_else(unknown)?;
        let before = match (configuration, seed) {
            (0, 0) => None,
            (configuration, 0) => Some((configuration - 1, i64::MAX as u64)),
            (configuration, seed) => Some((configuration, seed.wrapping_sub(1))),
        };
        let page = TrialPage { after: before, ..TrialPage::first(sweep, 1) };
        let row = store.trials(&page).await?.into_iter().find(|row| row.trial == id).ok_or_else(unknown)?;
        let outline = self.engine.outline(sweep).await?;
        Ok((record, row, outline))
    }

    pub(crate) async fn trial_named(&self, text: &str) -> Result<TrialId, Error> {
        trial_digits(text)?;
        match self.engine.store().trials_like(text, 2).await?.as_slice() {
            [] => Err(Error::NotFound { what: format!("trial `{text}`") }),
            [one] => Ok(*one),
            _ => Err(Invalid { field: "trial", problem: format!("several trials start with `{text}`") }.into()),
        }
    }

    pub(crate) async fn workers(&self) -> Result<v1::ListWorkersResponse, Error> {
        let live = self.engine.workers().await?;
        let known = self.engine.store().workers().await?;
        let worker = |worker: WorkerRecord| {
            let view = live.iter().find(|live| live.name == worker.name);
            messages::worker(worker, view)
        };
        Ok(v1::ListWorkersResponse { workers: known.into_iter().map(worker).collect() })
    }
}

#[tonic::async_trait]
impl SweepService for Sweeps {
    type WatchSweepStream = Answers<v1::WatchSweepResponse>;
    type ExportPointsStream = Answers<v1::ExportPointsResponse>;
    type GetReportStream = Answers<v1::GetReportResponse>;
    type GetArtifactStream = Answers<v1::GetArtifactResponse>;

    async fn submit(&self, request: Request<v1::SubmitRequest>) -> Result<Response<v1::SubmitResponse>, Status> {
        self.submit_one(named(request, |request| &mut request.user)).await.map(Response::new).map_err(status)
    }

    async fn list_sweeps(
        &self,
        request: Request<v1::ListSweepsRequest>,
    ) -> Result<Response<v1::ListSweepsResponse>, Status> {
        self.sweeps(&request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn get_sweep(&self, request: Request<v1::GetSweepRequest>) -> Result<Response<v1::GetSweepResponse>, Status> {
        self.sweep(request.into_inner().sweep).await.map(Response::new).map_err(status)
    }

    async fn watch_sweep(
        &self,
        request: Request<v1::WatchSweepRequest>,
    ) -> Result<Response<Self::WatchSweepStream>, Status> {
        let permit = self.begin(Kind::Watch, request.extensions().get()).map_err(status)?;
        let id = self.find(request.into_inner().sweep).await.map_err(status)?;
        let answers = self.watched(id).map(move |told| {
            // The permit ends with the stream.
            let _held = &permit;
            told.map(|seen| v1::WatchSweepResponse { sweep: Some(seen.message.clone()) })
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn get_leaderboard(
        &self,
        request: Request<v1::GetLeaderboardRequest>,
    ) -> Result<Response<v1::GetLeaderboardResponse>, Status> {
        self.leaderboard(request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn get_analysis(
        &self,
        request: Request<v1::GetAnalysisRequest>,
    ) -> Result<Response<v1::GetAnalysisResponse>, Status> {
        self.analysis(request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn compare_configurations(
        &self,
        request: Request<v1::CompareConfigurationsRequest>,
    ) -> Result<Response<v1::CompareConfigurationsResponse>, Status> {
        self.compare(request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn list_trials(
        &self,
        request: Request<v1::ListTrialsRequest>,
    ) -> Result<Response<v1::ListTrialsResponse>, Status> {
        self.trials(request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn get_trial(&self, request: Request<v1::GetTrialRequest>) -> Result<Response<v1::GetTrialResponse>, Status> {
        self.trial(&request.into_inner().trial).await.map(Response::new).map_err(status)
    }

    async fn reproduce_trial(
        &self,
        request: Request<v1::ReproduceTrialRequest>,
    ) -> Result<Response<v1::ReproduceTrialResponse>, Status> {
        self.reproduce(named(request, |request| &mut request.user)).await.map(Response::new).map_err(status)
    }

    async fn get_reproduction(
        &self,
        request: Request<v1::GetReproductionRequest>,
    ) -> Result<Response<v1::GetReproductionResponse>, Status> {
        self.reproduction(request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn cancel_sweep(
        &self,
        request: Request<v1::CancelSweepRequest>,
    ) -> Result<Response<v1::CancelSweepResponse>, Status> {
        self.cancel(named(request, |request| &mut request.user)).await.map(Response::new).map_err(status)
    }

    async fn delete_sweep(
        &self,
        request: Request<v1::DeleteSweepRequest>,
    ) -> Result<Response<v1::DeleteSweepResponse>, Status> {
        let caller = request.extensions().get::<Caller>().cloned();
        let request = named(request, |request| &mut request.user);
        self.delete(request, caller.as_ref()).await.map(Response::new).map_err(status)
    }

    async fn pause_sweep(
        &self,
        request: Request<v1::PauseSweepRequest>,
    ) -> Result<Response<v1::PauseSweepResponse>, Status> {
        self.pause(named(request, |request| &mut request.user)).await.map(Response::new).map_err(status)
    }

    async fn set_priority(
        &self,
        request: Request<v1::SetPriorityRequest>,
    ) -> Result<Response<v1::SetPriorityResponse>, Status> {
        self.prioritise(named(request, |request| &mut request.user)).await.map(Response::new).map_err(status)
    }

    async fn retry_sweep(
        &self,
        request: Request<v1::RetrySweepRequest>,
    ) -> Result<Response<v1::RetrySweepResponse>, Status> {
        self.retry(named(request, |request| &mut request.user)).await.map(Response::new).map_err(status)
    }

    async fn explain_trial(
        &self,
        request: Request<v1::ExplainTrialRequest>,
    ) -> Result<Response<v1::ExplainTrialResponse>, Status> {
        self.explain(&request.into_inner().trial).await.map(Response::new).map_err(status)
    }

    async fn list_audit(
        &self,
        request: Request<v1::ListAuditRequest>,
    ) -> Result<Response<v1::ListAuditResponse>, Status> {
        self.audit(request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn set_worker_service(
        &self,
        request: Request<v1::SetWorkerServiceRequest>,
    ) -> Result<Response<v1::SetWorkerServiceResponse>, Status> {
        self.serve(named(request, |request| &mut request.user)).await.map(Response::new).map_err(status)
    }

    async fn list_workers(
        &self,
        _request: Request<v1::ListWorkersRequest>,
    ) -> Result<Response<v1::ListWorkersResponse>, Status> {
        self.workers().await.map(Response::new).map_err(status)
    }

    async fn export_points(
        &self,
        request: Request<v1::ExportPointsRequest>,
    ) -> Result<Response<Self::ExportPointsStream>, Status> {
        let permit = self.begin(Kind::Export, request.extensions().get()).map_err(status)?;
        let id = self.find(request.into_inner().sweep).await.map_err(status)?;
        let (answers, stream) = mpsc::channel(STREAM_QUEUE);
        let service = self.clone();
        self.tasks.spawn(async move {
            let _held = permit;
            let done = tokio::select! {
                () = service.shutdown.cancelled() => Err(Error::Unavailable),
                done = service.export(id, &answers) => done,
            };
            if let Err(error) = done {
                let _ = answers.send(Err(status(error))).await;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn get_report(
        &self,
        request: Request<v1::GetReportRequest>,
    ) -> Result<Response<Self::GetReportStream>, Status> {
        let permit = self.begin(Kind::Export, request.extensions().get()).map_err(status)?;
        let document = self.report(request.into_inner()).await.map_err(status)?;
        let (answers, stream) = mpsc::channel(STREAM_QUEUE);
        let service = self.clone();
        self.tasks.spawn(async move {
            let _held = permit;
            tokio::select! {
                () = service.shutdown.cancelled() => drop(answers.send(Err(status(Error::Unavailable))).await),
                () = send_report(document, &answers) => {}
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn estimate(&self, request: Request<v1::EstimateRequest>) -> Result<Response<v1::EstimateResponse>, Status> {
        let _permit = self.begin(Kind::Estimate, request.extensions().get()).map_err(status)?;
        self.estimate_one(request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn get_coordinator(
        &self,
        _request: Request<v1::GetCoordinatorRequest>,
    ) -> Result<Response<v1::GetCoordinatorResponse>, Status> {
        // A layer of the server redirects this path before it gets here.
        Err(Status::unimplemented("call sweep.v1.CoordinatorService/GetCoordinator"))
    }

    async fn list_artifacts(
        &self,
        request: Request<v1::ListArtifactsRequest>,
    ) -> Result<Response<v1::ListArtifactsResponse>, Status> {
        self.artifacts_of(request.into_inner().sweep).await.map(Response::new).map_err(status)
    }

    async fn get_artifact(
        &self,
        request: Request<v1::GetArtifactRequest>,
    ) -> Result<Response<Self::GetArtifactStream>, Status> {
        let permit = self.begin(Kind::Export, request.extensions().get()).map_err(status)?;
        let digest = convert::digest("digest", &request.into_inner().digest).map_err(Error::from).map_err(status)?;
        let found = self.engine.store().artifact(digest).await.map_err(Error::from).map_err(status)?;
        if found.is_none() {
            return Err(status(Error::NotFound { what: format!("artifact {}", digest.short()) }));
        }
        let pieces = self.artifact_content(digest).map(move |piece| {
            // The permit ends with the stream.
            let _held = &permit;
            piece
        });
        Ok(Response::new(Box::pin(pieces)))
    }
}
