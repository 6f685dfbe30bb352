//! Reads of sweeps, trials, artifacts and workers.

use std::sync::Arc;

use futures::Stream;
use futures::future::BoxFuture;
use sweep_proto::v1;
use sweep_scheduler::SweepId;
use sweep_spec::TrialId;
use sweep_store::record::{SweepPage, TrialPage, TrialRecord, TrialRow, TrialState, WorkerRecord};
use tokio::sync::watch;

use super::requests::{page, reference, sweep_page, trial_digits};
use super::watch::{Source, Told};
use super::{Sweeps, sweep_messages as messages};
use crate::convert::{self, Invalid, MAX_TEXT_BYTES, bytes, metrics_message};
use crate::engine::{Error, Outline};

impl Sweeps {
    /// The sweep that a request names.
    pub(crate) async fn find(&self, asked: Option<v1::SweepReference>) -> Result<SweepId, Error> {
        self.engine.find(&reference(asked)?).await
    }

    pub(crate) async fn status(&self, sweep: SweepId) -> Result<v1::SweepStatus, Error> {
        Ok(messages::status(&self.engine.status(sweep).await?))
    }

    /// A page of the sweeps, newest first. Without a page size, all of them: clients of earlier releases send none.
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
                    // The sweep was deleted after the page was read.
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

    pub(crate) fn summary(&self, outline: &Outline, row: &TrialRow) -> Result<v1::TrialSummary, Error> {
        messages::trial(outline, row)
    }

    /// A sweep with its spec and its overrides.
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

    /// A trial, its row in the newest sweep that refers to it (reproductions only if there is no other), and that sweep.
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

    /// The trial whose id starts with `text`.
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

impl Source for Sweeps {
    fn ask(&self, sweep: SweepId) -> BoxFuture<'_, Result<v1::SweepStatus, Error>> {
        Box::pin(self.status(sweep))
    }

    fn changes(&self, sweep: SweepId) -> watch::Receiver<u64> {
        self.engine.changes_of(sweep)
    }
}

impl Sweeps {
    /// The status of a sweep, now and on every change, until it has ended.
    pub(crate) fn watched(&self, sweep: SweepId) -> impl Stream<Item = Told> + Send + use<> {
        self.watching.watch(&Arc::new(self.clone()), sweep, (&self.tasks, &self.shutdown))
    }
}
