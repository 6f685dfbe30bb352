//! A coordinator with fixed answers: two sweeps, one of them with control characters in its names. So snapshots can pin
//! how commands show the answers. Other tests use the answers of the real coordinator.

mod findings;
mod parts;
mod upkeep;

use std::net::SocketAddr;
use std::path::PathBuf;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use sweep_proto::v1::coordinator_service_server::{CoordinatorService, CoordinatorServiceServer};
use sweep_proto::v1::store_service_server::StoreServiceServer;
use sweep_proto::v1::sweep_service_server::{SweepService, SweepServiceServer};
use sweep_proto::v1::*;
use sweep_spec::Digest;
use tonic::{Request, Response, Status};

use findings::noise;
use parts::*;
use upkeep::CannedStore;

/// A name that would turn a terminal red, ring its bell and start a formula.
pub(crate) const HOSTILE: &str = "=evil\u{1b}[31m\u{7}\u{9b}2J\u{202e}";

/// The reference of differences.
pub(crate) const AGAINST: &str = "baseline (conv_layers=1 dropout=0)";

/// The content of the only artifact.
pub(crate) const ARTIFACT: &[u8] = b"weights";

/// Serves until the process ends; answers where.
pub(crate) fn serve() -> SocketAddr {
    until_the_end(serve_at("127.0.0.1:0"))
}

/// Serves until the process ends as a coordinator of an earlier release, which has no service about itself.
pub(crate) fn serve_as_earlier_release() -> SocketAddr {
    until_the_end(serve_services("127.0.0.1:0", None, CannedStore::default()))
}

/// Serves until the process ends, and closes a backup only while this file has its name.
pub(crate) fn serve_backups_named_in(name: PathBuf) -> SocketAddr {
    let store = CannedStore { name: Some(name) };
    until_the_end(serve_services("127.0.0.1:0", Some(CoordinatorServiceServer::new(Canned)), store))
}

fn until_the_end(serving: Serving) -> SocketAddr {
    let address = serving.address;
    // Dropping it would end it.
    std::mem::forget(serving);
    address
}

/// A canned coordinator that is gone when this is dropped, with its connections.
pub(crate) struct Serving {
    pub(crate) address: SocketAddr,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// Serves at an address.
pub(crate) fn serve_at(address: &str) -> Serving {
    serve_services(address, Some(CoordinatorServiceServer::new(Canned)), CannedStore::default())
}

fn serve_services(address: &str, about: Option<CoordinatorServiceServer<Canned>>, store: CannedStore) -> Serving {
    let (sender, receiver) = std::sync::mpsc::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let address = address.to_owned();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind(address).await.expect("the port is free");
            sender.send(listener.local_addr().expect("an address")).expect("the test waits");
            let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
            let mut server = tonic::transport::Server::builder();
            let server = server.add_service(SweepServiceServer::new(Canned));
            let server = server.add_service(StoreServiceServer::new(store));
            let server = server.add_optional_service(about);
            tokio::select! {
                served = server.serve_with_incoming(incoming) => served.expect("it serves"),
                _ = stopped => {}
            }
        });
    });
    let address = receiver.recv().expect("it listens");
    Serving { address, stop: Some(stop), thread: Some(thread) }
}

struct Canned;

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl CoordinatorService for Canned {
    async fn get_coordinator(&self, _: Request<GetCoordinatorRequest>) -> Answer<GetCoordinatorResponse> {
        Ok(Response::new(coordinator()))
    }
}

#[tonic::async_trait]
impl SweepService for Canned {
    type WatchSweepStream = BoxStream<'static, Result<WatchSweepResponse, Status>>;
    type ExportPointsStream = BoxStream<'static, Result<ExportPointsResponse, Status>>;
    type GetReportStream = BoxStream<'static, Result<GetReportResponse, Status>>;
    type GetArtifactStream = BoxStream<'static, Result<GetArtifactResponse, Status>>;

    async fn submit(&self, request: Request<SubmitRequest>) -> Answer<SubmitResponse> {
        let request = request.into_inner();
        let name = if request.name.is_empty() { "tiny".into() } else { request.name };
        let sweep = SweepStatus { name, ..sweep(Some(SweepReference { text: "3".into() }))? };
        // One that is wanted fresh knows nothing.
        let known = if request.fresh { 0 } else { 14 };
        let outlook = Outlook { known, shared: 1, to_run: 19 - known, at_most: !request.fresh };
        Ok(Response::new(SubmitResponse {
            sweep: Some(sweep),
            resumed: false,
            outlook: Some(outlook),
            ..Default::default()
        }))
    }

    async fn list_sweeps(&self, _: Request<ListSweepsRequest>) -> Answer<ListSweepsResponse> {
        let sweeps = ["4", "3"].into_iter().map(|text| sweep(Some(SweepReference { text: text.into() })));
        Ok(Response::new(ListSweepsResponse { sweeps: sweeps.collect::<Result<_, _>>()?, ..Default::default() }))
    }

    async fn get_sweep(&self, request: Request<GetSweepRequest>) -> Answer<GetSweepResponse> {
        let spec = std::fs::read(super::root().join("tests/specs/tiny.yaml"))?.into();
        let sweep = Some(sweep(request.into_inner().sweep)?);
        Ok(Response::new(GetSweepResponse { sweep, spec, overrides: Vec::new() }))
    }

    /// Sweep 3 never ends; the stream of sweep 4 breaks once, then the sweep has failed.
    async fn watch_sweep(&self, request: Request<WatchSweepRequest>) -> Answer<Self::WatchSweepStream> {
        let sweep = sweep(request.into_inner().sweep)?;
        let runs = sweep.state() == SweepState::Running;
        let answers = stream::iter([Ok(WatchSweepResponse { sweep: Some(sweep) })]);
        Ok(Response::new(if runs { answers.chain(stream::pending()).boxed() } else { answers.boxed() }))
    }

    async fn get_leaderboard(&self, request: Request<GetLeaderboardRequest>) -> Answer<GetLeaderboardResponse> {
        let request = request.into_inner();
        Ok(Response::new(GetLeaderboardResponse {
            sweep: Some(sweep(request.sweep)?),
            metric: "val_accuracy".into(),
            maximize: true,
            rows: rows(),
            notes: vec!["epoch chosen on the test set".into()],
            alpha: 0.05,
            noise: noise(),
            against: AGAINST.into(),
        }))
    }

    async fn get_analysis(&self, request: Request<GetAnalysisRequest>) -> Answer<GetAnalysisResponse> {
        findings::analysis(request.into_inner()).map(Response::new)
    }

    async fn compare_configurations(
        &self,
        request: Request<CompareConfigurationsRequest>,
    ) -> Answer<CompareConfigurationsResponse> {
        findings::compared(request.into_inner()).map(Response::new)
    }

    async fn get_coordinator(&self, _: Request<GetCoordinatorRequest>) -> Answer<GetCoordinatorResponse> {
        Ok(Response::new(coordinator()))
    }

    /// One trial a page: the first has succeeded, the second failed.
    async fn list_trials(&self, request: Request<ListTrialsRequest>) -> Answer<ListTrialsResponse> {
        let request = request.into_inner();
        sweep(request.sweep.clone())?;
        let wanted = |trial: &TrialSummary| {
            let state = request.states.is_empty() || request.states.contains(&trial.state);
            let configuration = request.configuration.is_empty() || request.configuration == trial.configuration;
            state && configuration && request.seed.is_none_or(|seed| seed == trial.seed)
        };
        let all = [TrialState::Succeeded, TrialState::Failed].map(trial);
        let rest = all.into_iter().filter(wanted).skip(usize::from(!request.page_token.is_empty()));
        let mut rest: Vec<TrialSummary> = rest.collect();
        let next_page_token = if rest.len() > 1 { "0.7".to_owned() } else { String::new() };
        rest.truncate(1);
        Ok(Response::new(ListTrialsResponse { trials: rest, next_page_token }))
    }

    async fn get_trial(&self, request: Request<GetTrialRequest>) -> Answer<GetTrialResponse> {
        let digits = request.into_inner().trial;
        let failed = "cd".repeat(32) == digits;
        if !failed && !"ab".repeat(32).starts_with(&digits) {
            return Err(missing("trial", "there is no such trial"));
        }
        let attempt = AttemptRecord {
            attempt: 1,
            worker: "w1".into(),
            device: "cuda:0".into(),
            outcome: "failed".into(),
            failure: Some(failure()),
            ended_unix_ms: 1,
            log_tail: format!("first line\n{HOSTILE}\n"),
            ..Default::default()
        };
        let phases = AttemptPhases { start_seconds: 0.5, run_seconds: 305.0, paused_seconds: 0.0 };
        let second = AttemptRecord {
            attempt: 2,
            device: "cpu".into(),
            outcome: "succeeded".into(),
            failure: None,
            phases: Some(phases),
            log_tail: "all is well".into(),
            ..attempt.clone()
        };
        Ok(Response::new(GetTrialResponse {
            trial: Some(trial(if failed { TrialState::Failed } else { TrialState::Succeeded })),
            attempts: vec![attempt, second],
            points: (1..=12).map(metrics).collect(),
            best: Some(metrics(7)),
            last: Some(metrics(12)),
            validation: Some(Validation {
                labels: vec![0, 1],
                predicted: vec![0, 0],
                confidence: vec![0.75, 0.5],
                confusion: vec![1, 0, 1, 0],
            }),
            sweeps: vec![3, 4],
            ..Default::default()
        }))
    }

    async fn reproduce_trial(&self, request: Request<ReproduceTrialRequest>) -> Answer<ReproduceTrialResponse> {
        let digits = request.into_inner().trial;
        // Of the second trial the new answer is another.
        let (trial, number) = match digits.as_str() {
            "ababab" => (0xab, 5),
            "cdcdcd" => (0xcd, 6),
            _ => return Err(missing("trial", "there is no such trial")),
        };
        let sweep = Some(SweepStatus { id: number, ..sweep(Some(SweepReference { text: "3".into() }))? });
        Ok(Response::new(ReproduceTrialResponse { sweep, trial_id: id(trial), round: 1, attempt: 2 }))
    }

    async fn get_reproduction(&self, request: Request<GetReproductionRequest>) -> Answer<GetReproductionResponse> {
        let request = request.into_inner();
        let same = request.sweep.unwrap_or_default().text == "5";
        let provenance = trial(TrialState::Succeeded).provenance;
        let answer = |round, attempt| sweep_proto::v1::Answer {
            round,
            attempt,
            outcome: Outcome::Converged.into(),
            reported: Some(metrics(10)),
            provenance: provenance.clone(),
        };
        Ok(Response::new(GetReproductionResponse {
            trial_id: id(0xab),
            same,
            exactly: same,
            tolerance: if request.tolerance == 0.0 { 0.01 } else { request.tolerance },
            reason: if same { "both on CPUs with avx2".into() } else { format!("on {HOSTILE} and on a CPU") },
            largest_difference: if same { 0.0 } else { 0.0625 },
            largest_at: if same { String::new() } else { "epoch 3, train loss".into() },
            predictions_changed: if same { 0 } else { 7 },
            predictions: 807,
            numbers: 1_234,
            numbers_changed: if same { 0 } else { 56 },
            mismatches: if same { Vec::new() } else { vec!["the splits differ".into()] },
            old: Some(answer(1, 2)),
            new: Some(answer(2, 3)),
        }))
    }

    async fn delete_sweep(&self, request: Request<DeleteSweepRequest>) -> Answer<DeleteSweepResponse> {
        let request = request.into_inner();
        let found = sweep(request.sweep)?;
        let asked = Deletion {
            sweep: found.id,
            name: found.name,
            trials: 1_200,
            kept: 34,
            artifacts: 5,
            artifact_bytes: 5 << 20,
            ..Deletion::default()
        };
        let deletion = match request.dry_run {
            true => asked,
            false => {
                Deletion { actor: "me".into(), asked_unix_ms: 1, finished_unix_ms: 2, store_bytes: 3 << 20, ..asked }
            }
        };
        Ok(Response::new(DeleteSweepResponse { deletion: Some(deletion), notes: vec!["a word about room".into()] }))
    }

    async fn cancel_sweep(&self, request: Request<CancelSweepRequest>) -> Answer<CancelSweepResponse> {
        let sweep = SweepStatus { state: SweepState::Cancelled.into(), ..sweep(request.into_inner().sweep)? };
        Ok(Response::new(CancelSweepResponse { sweep: Some(sweep) }))
    }

    async fn pause_sweep(&self, request: Request<PauseSweepRequest>) -> Answer<PauseSweepResponse> {
        let request = request.into_inner();
        let sweep = SweepStatus { paused: request.paused, ..sweep(request.sweep)? };
        Ok(Response::new(PauseSweepResponse { sweep: Some(sweep) }))
    }

    async fn set_priority(&self, request: Request<SetPriorityRequest>) -> Answer<SetPriorityResponse> {
        let request = request.into_inner();
        let sweep = SweepStatus { priority: request.priority, ..sweep(request.sweep)? };
        Ok(Response::new(SetPriorityResponse { sweep: Some(sweep) }))
    }

    async fn retry_sweep(&self, request: Request<RetrySweepRequest>) -> Answer<RetrySweepResponse> {
        let sweep = sweep(request.into_inner().sweep)?;
        let trials = u64::from(sweep.id == 3);
        Ok(Response::new(RetrySweepResponse { sweep: Some(sweep), trials }))
    }

    async fn explain_trial(&self, request: Request<ExplainTrialRequest>) -> Answer<ExplainTrialResponse> {
        let trial = self.get_trial(Request::new(GetTrialRequest { trial: request.into_inner().trial })).await?;
        let GetTrialResponse { trial, attempts, .. } = trial.into_inner();
        let now = vec!["sweep 3: 4 trials are ahead of it".into(), format!("worker {HOSTILE}: every slot is busy")];
        Ok(Response::new(ExplainTrialResponse { trial, attempts, now, events: entries() }))
    }

    async fn list_audit(&self, request: Request<ListAuditRequest>) -> Answer<ListAuditResponse> {
        let entries = if request.into_inner().worker == "nobody" { Vec::new() } else { entries() };
        Ok(Response::new(ListAuditResponse { entries }))
    }

    async fn set_worker_service(&self, request: Request<SetWorkerServiceRequest>) -> Answer<SetWorkerServiceResponse> {
        let request = request.into_inner();
        let worker = WorkerStatus {
            name: request.worker,
            state: "suspended".into(),
            out_of_service: request.reason,
            ..Default::default()
        };
        Ok(Response::new(SetWorkerServiceResponse { worker: Some(worker) }))
    }

    async fn list_workers(&self, _: Request<ListWorkersRequest>) -> Answer<ListWorkersResponse> {
        let free = WorkerSlot { device: "cpu".into(), ..Default::default() };
        let busy = WorkerSlot {
            index: 1,
            device: "cuda:0".into(),
            memory_bytes: 8 << 30,
            trial_id: id(0xab),
            configuration: "filters=64".into(),
            sweep: 3,
            ..Default::default()
        };
        let worker = WorkerStatus {
            name: "w1".into(),
            host: "example".into(),
            version: "0.1.0".into(),
            state: "connected".into(),
            slots: vec![free, busy],
            last_seen_unix_ms: 0,
            out_of_service: String::new(),
            left_out: Vec::new(),
            remedy: String::new(),
            labels: Vec::new(),
        };
        let lost = WorkerStatus { name: HOSTILE.into(), state: "lost".into(), slots: Vec::new(), ..worker.clone() };
        Ok(Response::new(ListWorkersResponse { workers: vec![worker, lost] }))
    }

    async fn export_points(&self, request: Request<ExportPointsRequest>) -> Answer<Self::ExportPointsStream> {
        sweep(request.into_inner().sweep)?;
        let point = |epoch| TrialPoint { trial_id: id(0xab), attempt: 2, metrics: Some(metrics(epoch)) };
        let answers = (1..=2).map(move |epoch| Ok(ExportPointsResponse { points: vec![point(epoch)] }));
        Ok(Response::new(stream::iter(answers).boxed()))
    }

    async fn estimate(&self, _: Request<EstimateRequest>) -> Answer<EstimateResponse> {
        let device = "a processor (avx2), 1 thread".to_owned();
        let about = |expected: f64| Some(Prediction { expected, low: expected * 0.8, high: expected * 1.3 });
        let seconds =
            ConfigurationEstimate { configuration: "baseline".into(), seconds: about(90.0), memory_bytes: 1 << 28 };
        Ok(Response::new(EstimateResponse {
            slot_seconds: about(5400.0),
            end_seconds: about(2800.0),
            slots: 2,
            connected: true,
            trials: 8,
            known: 2,
            left_out_seeds: vec![1],
            configurations: vec![seconds],
            measured: vec![Measured { device: device.clone(), trials: 18 }],
            accuracy: vec![accuracy()],
            noise: Some(Noise { of_runs: 0.0123, runs: 48, of_differences: Some(0.0101), differences: 40, sweeps: 3 }),
            ..Default::default()
        }))
    }

    async fn list_artifacts(&self, request: Request<ListArtifactsRequest>) -> Answer<ListArtifactsResponse> {
        sweep(request.into_inner().sweep)?;
        let artifact = Artifact {
            digest: Digest::of(ARTIFACT).as_bytes().to_vec().into(),
            kind: ArtifactKind::Weights.into(),
            size_bytes: ARTIFACT.len() as u64,
            trial_id: id(0xab),
            attempt: 2,
        };
        // Said to be there, and another when it is fetched.
        let broken = Artifact { digest: id(0xbb), kind: ArtifactKind::Log.into(), ..artifact.clone() };
        Ok(Response::new(ListArtifactsResponse {
            artifacts: vec![artifact, broken],
            notes: vec!["the coordinator keeps the weights of the winner, filters=16".into()],
        }))
    }

    async fn get_report(&self, request: Request<GetReportRequest>) -> Answer<Self::GetReportStream> {
        let request = request.into_inner();
        sweep(request.sweep.clone())?;
        let text = format!(
            "report as {}, metric `{}`, baseline {}, correction {}\n",
            request.format().as_str_name(),
            request.metric,
            request.against_baseline,
            request.correction().as_str_name()
        );
        let answers = text.as_bytes().chunks(7).map(|chunk| Ok(GetReportResponse { chunk: chunk.to_vec().into() }));
        Ok(Response::new(stream::iter(answers.collect::<Vec<_>>()).boxed()))
    }

    async fn get_artifact(&self, _: Request<GetArtifactRequest>) -> Answer<Self::GetArtifactStream> {
        let answers = ARTIFACT.chunks(3).map(|chunk| Ok(GetArtifactResponse { chunk: chunk.to_vec().into() }));
        Ok(Response::new(stream::iter(answers.collect::<Vec<_>>()).boxed()))
    }
}
