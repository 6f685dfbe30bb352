//! The application service in the shapes that `sweepctl --output json` prints. It converts requests and answers, as gRPC does
//! with messages; it computes and decides nothing.

use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use sweep_proto::v1;
use sweep_shapes as shapes;
use sweep_spec::Digest;
use sweep_store::codes::ArtifactKind;
use sweep_store::record::{AuditFilter, TrialPage};
use sweep_store::write::AuditRow;

use crate::access::Caller;
use crate::convert::{self, Invalid, MAX_NAME_BYTES};
use crate::engine::Error;
use crate::service::analysis::OrderedBoard;
use crate::service::leaderboard_page::Part;
use crate::service::streams::{Kind, Permit};
use crate::service::watch::Seen;
use crate::service::{Sweeps, operations, requests};
use crate::web::problem::Problem;

/// The service of one term of leadership.
#[derive(Clone)]
pub(super) struct ApiService {
    service: Sweeps,
}

/// A filter of the audit log; an empty string matches everything.
#[derive(Debug, Clone, Default)]
pub(super) struct AuditQuery {
    pub(super) sweep: String,
    pub(super) trial: String,
    pub(super) worker: String,
    pub(super) since_unix_ms: i64,
    /// `next` of the previous page.
    pub(super) after: Option<String>,
    pub(super) limit: u32,
}

/// A filter of the trials of a sweep; the default matches all.
#[derive(Debug, Clone, Default)]
pub(super) struct TrialsQuery {
    pub(super) states: Vec<v1::TrialState>,
    /// A rank as `#3`, a name, or a difference from the baseline; empty for every configuration.
    pub(super) configuration: String,
    pub(super) seed: Option<u64>,
}

fn named(text: &str) -> Option<v1::SweepReference> {
    Some(v1::SweepReference { text: text.to_owned() })
}

impl ApiService {
    pub(super) fn new(service: Sweeps) -> Self {
        Self { service }
    }

    /// Sweeps with numbers below `before`, the newest first.
    pub(super) async fn sweeps(&self, before: Option<u64>, limit: u32) -> Result<shapes::SweepPage, Problem> {
        let request = v1::ListSweepsRequest {
            page_size: limit,
            page_token: before.map(|before| before.to_string()).unwrap_or_default(),
        };
        let found = self.service.sweeps(&request).await?;
        let next = Some(found.next_page_token).filter(|token| !token.is_empty());
        Ok(shapes::SweepPage { sweeps: found.sweeps.into_iter().map(shapes::Sweep::from).collect(), next })
    }

    /// A sweep by its number, or the newest of a name.
    pub(super) async fn sweep(&self, sweep: &str) -> Result<shapes::Sweep, Problem> {
        let id = self.service.find(named(sweep)).await?;
        Ok(self.service.status(id).await?.into())
    }

    /// The spec of a sweep as it was submitted.
    pub(super) async fn specification(&self, sweep: &str) -> Result<shapes::Specification, Problem> {
        Ok(self.service.sweep(named(sweep)).await?.try_into()?)
    }

    /// A page of the leaderboard by a metric; an empty metric means the sweep's objective.
    pub(super) async fn leaderboard(
        &self,
        sweep: &str,
        metric: &str,
        part: &Part,
    ) -> Result<shapes::LeaderboardPage, Problem> {
        let request = v1::GetLeaderboardRequest { sweep: named(sweep), metric: metric.to_owned(), limit: 0 };
        let found = self.service.leaderboard_part(request, part).await?;
        Ok(shapes::LeaderboardPage {
            leaderboard: found.board.try_into()?,
            total: found.total as u64,
            next: found.next.map(|position| position.to_string()),
            read_unix_ms: found.read_ms,
        })
    }

    /// The whole leaderboard, to be read in pages, and a name for its file.
    pub(super) async fn ordered_board(
        &self,
        sweep: &str,
        metric: &str,
        part: &Part,
    ) -> Result<(String, OrderedBoard), Problem> {
        let request = v1::GetLeaderboardRequest { sweep: named(sweep), metric: metric.to_owned(), limit: 0 };
        let board = self.service.ordered_board(request, part).await?;
        Ok((board.name(), board))
    }

    /// The analysis of a sweep. `request.sweep` is overwritten.
    pub(super) async fn analysis(
        &self,
        sweep: &str,
        request: v1::GetAnalysisRequest,
    ) -> Result<shapes::Analysis, Problem> {
        let request = v1::GetAnalysisRequest { sweep: named(sweep), ..request };
        Ok(self.service.analysis_soon(request).await?.try_into()?)
    }

    /// Compares two configurations.
    pub(super) async fn comparison(
        &self,
        sweep: &str,
        request: v1::CompareConfigurationsRequest,
    ) -> Result<shapes::Compared, Problem> {
        let request = v1::CompareConfigurationsRequest { sweep: named(sweep), ..request };
        Ok(self.service.compare(request).await?.try_into()?)
    }

    /// The trials of a sweep that match, in the order of the spec.
    pub(super) async fn trials(
        &self,
        sweep: &str,
        asked: &TrialsQuery,
        (after, limit): (&str, u32),
    ) -> Result<shapes::TrialPage, Problem> {
        let request = v1::ListTrialsRequest {
            sweep: named(sweep),
            page_size: limit,
            page_token: after.to_owned(),
            states: asked.states.iter().map(|state| (*state).into()).collect(),
            configuration: asked.configuration.clone(),
            seed: asked.seed,
        };
        let found = self.service.trials(request).await?;
        let next = Some(found.next_page_token).filter(|token| !token.is_empty());
        Ok(shapes::TrialPage { trials: found.trials.into_iter().map(shapes::Summary::from).collect(), next })
    }

    /// A trial, by the first digits of its id.
    pub(super) async fn trial(&self, trial: &str) -> Result<shapes::Detail, Problem> {
        Ok(self.service.trial(trial).await?.into())
    }

    /// A trial's epochs.
    pub(super) async fn curve(&self, trial: &str) -> Result<shapes::Curve, Problem> {
        let (_, row, outline) = self.service.trial_row(trial).await?;
        let points = match row.newest {
            Some((_, key)) => self.service.engine.store().points(key).await?,
            None => Vec::new(),
        };
        let summary: shapes::Summary = self.service.summary(&outline, &row)?.into();
        let metrics = |point: sweep_store::record::Point| convert::metrics_message(&point.metrics).into();
        Ok(shapes::Curve {
            trial_id: summary.trial_id,
            configuration: summary.configuration,
            seed: summary.seed,
            state: summary.state,
            attempt: row.newest.map_or(0, |(attempt, _)| attempt),
            points: points.into_iter().map(metrics).collect(),
        })
    }

    /// The epochs of some trials of a sweep, in the order of the spec.
    pub(super) async fn epochs(&self, sweep: &str, (after, limit): (&str, u32)) -> Result<shapes::EpochPage, Problem> {
        let id = self.service.find(named(sweep)).await?;
        let request = v1::ListTrialsRequest {
            page_size: limit,
            page_token: after.to_owned(),
            ..v1::ListTrialsRequest::default()
        };
        let page = TrialPage { sweep: id, ..requests::page(request)? };
        let store = self.service.engine.store();
        let rows = store.trials(&page).await?;
        let mut points = Vec::new();
        for row in &rows {
            let Some((attempt, key)) = row.newest else { continue };
            points.extend(store.points(key).await?.into_iter().map(|point| shapes::Epoch {
                trial_id: row.trial.to_string(),
                configuration: row.label.clone(),
                seed: row.seed,
                attempt,
                metrics: convert::metrics_message(&point.metrics).into(),
            }));
        }
        let full = rows.len() == limit as usize;
        let next = rows.last().filter(|_| full).map(|row| format!("{}.{}", row.configuration, row.seed));
        Ok(shapes::EpochPage { points, next })
    }

    /// The end of a trial's log. Without a number: the accepted attempt, or else the newest.
    pub(super) async fn log(&self, trial: &str, attempt: Option<u32>) -> Result<shapes::Log, Problem> {
        let found = self.service.explain(trial).await?;
        let trial_id = found.trial.map(|trial| trial.trial_id).unwrap_or_default();
        let mut attempts = found.attempts;
        let chosen = match attempt {
            Some(number) => attempts.iter().position(|one| one.attempt == number),
            None => attempts.iter().rposition(|one| one.outcome == "succeeded").or(attempts.len().checked_sub(1)),
        };
        let chosen = chosen.ok_or_else(|| Error::not_found("such attempt"))?;
        Ok(shapes::Log::new(&trial_id, attempts.swap_remove(chosen)))
    }

    /// Explains the state of a trial.
    pub(super) async fn explanation(&self, trial: &str) -> Result<shapes::Explanation, Problem> {
        Ok(self.service.explain(trial).await?.try_into()?)
    }

    /// All known workers.
    pub(super) async fn workers(&self) -> Result<shapes::WorkerList, Problem> {
        let found = self.service.workers().await?.workers;
        Ok(shapes::WorkerList { workers: found.into_iter().map(shapes::Worker::from).collect() })
    }

    /// The artifacts of a sweep.
    pub(super) async fn artifacts(&self, sweep: &str) -> Result<shapes::ArtifactList, Problem> {
        let v1::ListArtifactsResponse { artifacts, notes } = self.service.artifacts_of(named(sweep)).await?;
        Ok(shapes::ArtifactList { artifacts: artifacts.into_iter().map(shapes::Artifact::from).collect(), notes })
    }

    /// The report of a sweep. `request.sweep` is overwritten.
    pub(super) async fn report(&self, sweep: &str, request: v1::GetReportRequest) -> Result<Bytes, Problem> {
        let request = v1::GetReportRequest { sweep: named(sweep), ..request };
        Ok(self.service.report(request).await?)
    }

    /// The kind and the size of an artifact, if it is known.
    pub(super) async fn artifact(&self, digest: Digest) -> Result<Option<(ArtifactKind, u64)>, Problem> {
        Ok(self.service.engine.store().artifact(digest).await?)
    }

    /// The content of an artifact, piece by piece. It ends with a problem if it is not what its name says.
    pub(super) fn artifact_content(&self, digest: Digest) -> impl Stream<Item = Result<Bytes, Problem>> + Send + use<> {
        self.service.artifact_content(digest).map(|chunk| chunk.map_err(Problem::from))
    }

    /// The confusion matrices of configurations by their positions, or of the best one.
    pub(super) async fn confusions(&self, sweep: &str, positions: Vec<u32>) -> Result<shapes::Confusions, Problem> {
        let id = self.service.find(named(sweep)).await?;
        let found = self.service.engine.confusions(id, positions).await?;
        let matrix = |(position, configuration, matrix): (u32, String, sweep_report::single::Matrix)| {
            let networks = matrix.networks as u64;
            shapes::ConfusionMatrix { position, configuration, networks, counts: matrix.counts }
        };
        Ok(shapes::Confusions { classes: found.classes, matrices: found.matrices.into_iter().map(matrix).collect() })
    }

    /// The validation images that most configurations misclassify, with or without pictures.
    pub(super) async fn missed(
        &self,
        sweep: &str,
        most: usize,
        pictures: bool,
    ) -> Result<shapes::MissedImages, Problem> {
        let id = self.service.find(named(sweep)).await?;
        let folder = pictures.then_some(&self.service.artifacts);
        let found = self.service.engine.hardest(id, most, folder).await?;
        let class = |class: usize| u32::try_from(class).unwrap_or(u32::MAX);
        let image = |image: sweep_report::single::MissedImage| shapes::MissedImage {
            index: image.index as u64,
            label: class(image.label),
            taken_for: class(image.taken_for),
            wrong: image.wrong as u64,
            networks: image.networks as u64,
            configurations: image.configurations as u64,
            picture: image.picture,
        };
        let (missed, all, configurations) =
            found.missed.as_ref().map_or((0, 0, 0), |missed| (missed.missed, missed.all, missed.configurations));
        Ok(shapes::MissedImages {
            classes: found.classes,
            images: found.missed.into_iter().flat_map(|missed| missed.images).map(image).collect(),
            missed: missed as u64,
            all: all as u64,
            configurations: configurations as u64,
            notes: found.notes,
        })
    }

    /// A page of the audit log, newest first.
    pub(super) async fn audit(&self, parameters: &AuditQuery) -> Result<shapes::AuditPage, Problem> {
        let sweep = match parameters.sweep.as_str() {
            "" => None,
            text => Some(self.service.find(named(text)).await?),
        };
        let trial = match parameters.trial.as_str() {
            "" => None,
            text => Some(self.service.trial_named(text).await?),
        };
        let worker = convert::name("worker", parameters.worker.clone(), MAX_NAME_BYTES)?;
        let (until_ms, skip) = parameters.after.as_deref().map(audit_place).transpose()?.unzip();
        let filter = AuditFilter {
            sweep,
            trial,
            worker: (!worker.is_empty()).then_some(worker),
            since_ms: parameters.since_unix_ms,
            until_ms,
            skip: skip.unwrap_or_default(),
            limit: parameters.limit,
        };
        let rows = self.service.engine.store().audit(&filter).await?;
        let full = rows.len() == parameters.limit as usize;
        let next = rows.first().filter(|_| full).map(|oldest| next_audit_place(&rows, oldest, &filter));
        let entries = rows.into_iter().rev().map(|row| operations::entry(row).into());
        Ok(shapes::AuditPage { entries: entries.collect(), next })
    }

    /// The status of a sweep, now and after every change, until it ends.
    pub(super) async fn watched(
        &self,
        sweep: &str,
    ) -> Result<impl Stream<Item = Result<Arc<Seen>, Problem>> + Send + use<>, Problem> {
        let id = self.service.find(named(sweep)).await?;
        Ok(self.service.watched(id).map(|told| told.map_err(Problem::from)))
    }

    /// The right to an answer that takes long.
    pub(super) fn begin(&self, kind: Kind, caller: Option<&Caller>) -> Result<Permit, Problem> {
        Ok(self.service.begin(kind, caller)?)
    }

    /// Submits a spec.
    pub(super) async fn submit(&self, request: v1::SubmitRequest) -> Result<shapes::Submitted, Problem> {
        Ok(self.service.submit(request).await?.try_into()?)
    }

    /// Cancels a sweep.
    pub(super) async fn cancel(&self, sweep: &str, user: String) -> Result<shapes::Sweep, Problem> {
        let answer = self.service.cancel(v1::CancelSweepRequest { sweep: named(sweep), user }).await?;
        Ok(shapes::expect(answer.sweep, "sweep")?.into())
    }

    /// Deletes a sweep, or returns what would be deleted. `request.sweep` is overwritten.
    pub(super) async fn delete(
        &self,
        sweep: &str,
        request: v1::DeleteSweepRequest,
        caller: Option<&Caller>,
    ) -> Result<shapes::Deletion, Problem> {
        let request = v1::DeleteSweepRequest { sweep: named(sweep), ..request };
        Ok(self.service.delete(request, caller).await?.try_into()?)
    }

    /// Deletes data that no sweep refers to.
    pub(super) async fn collect(&self, request: v1::CollectGarbageRequest) -> Result<shapes::GarbageList, Problem> {
        Ok(self.service.collect(request).await?.into())
    }

    /// Pauses or resumes a sweep.
    pub(super) async fn pause(&self, sweep: &str, paused: bool, user: String) -> Result<shapes::Sweep, Problem> {
        let answer = self.service.pause(v1::PauseSweepRequest { sweep: named(sweep), paused, user }).await?;
        Ok(shapes::expect(answer.sweep, "sweep")?.into())
    }

    /// Retries the failed trials of a sweep.
    pub(super) async fn retry(&self, sweep: &str, user: String) -> Result<shapes::Retried, Problem> {
        Ok(self.service.retry(v1::RetrySweepRequest { sweep: named(sweep), user }).await?.try_into()?)
    }

    /// Changes the priority of a sweep.
    pub(super) async fn prioritise(&self, sweep: &str, priority: i32, user: String) -> Result<shapes::Sweep, Problem> {
        let answer = self.service.prioritise(v1::SetPriorityRequest { sweep: named(sweep), priority, user }).await?;
        Ok(shapes::expect(answer.sweep, "sweep")?.into())
    }

    /// Takes a worker out of service, or puts it back.
    pub(super) async fn serve(
        &self,
        worker: &str,
        service: v1::WorkerServiceState,
        (reason, user): (String, String),
    ) -> Result<shapes::Worker, Problem> {
        let request = v1::SetWorkerServiceRequest { worker: worker.to_owned(), service: service.into(), reason, user };
        let answer = self.service.serve(request).await?;
        Ok(shapes::expect(answer.worker, "worker")?.into())
    }
}

/// Parses the position of a page of the audit log: the newest time, and the entries of that time to skip.
fn audit_place(text: &str) -> Result<(i64, u32), Invalid> {
    let parts = text.split_once('.').and_then(|(at_ms, skip)| Some((at_ms.parse().ok()?, skip.parse().ok()?)));
    parts.ok_or(Invalid { field: "after", problem: "expected the value of a previous page".into() })
}

fn next_audit_place(rows: &[AuditRow], oldest: &AuditRow, filter: &AuditFilter) -> String {
    let same = rows.iter().take_while(|row| row.at_ms == oldest.at_ms).count() as u32;
    // If the whole page has one time, the entries of the previous page are skipped too.
    let before = if filter.until_ms == Some(oldest.at_ms) { filter.skip } else { 0 };
    format!("{}.{}", oldest.at_ms, same.saturating_add(before))
}
