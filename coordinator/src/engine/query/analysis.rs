//! Analyses of sweeps, computed from the store outside the owner task, and cached until the sweep changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use sweep_analysis::analyse::{self, Compared, Request};
use sweep_analysis::leaderboard::{Leaderboard, leaderboard};
use sweep_analysis::resolve::{self, resolve};
use sweep_analysis::study::{State, Study};
use sweep_analysis::tables::tables;
use sweep_analysis::title::Title;
use sweep_scheduler::SweepId;
use sweep_spec::TrialId;
use sweep_spec::trainer::Validation;
use sweep_store::codes::{AttemptState, SweepState};
use sweep_store::record::{ConfigurationTitle, SweepRecord, TrialPage, TrialState};

use crate::engine::blocking::blocking;
use crate::engine::cache::analyses::{Analysed, AnalysisKey, CachedAnalysis, Lookup};
use crate::engine::error::Error;
use crate::engine::handle::Handle;
use crate::engine::query::plans::Outline;
use crate::unix_ms;

/// The most trials of a sweep whose single images are analysed.
const MOST_VALIDATIONS: usize = 2_000;
/// The most trials that are looked up for the first digits of an id.
const MOST_LIKE: u32 = 16;
/// The most failed trials whose reasons are read.
const MOST_REASONS: u32 = 1_000;

/// Two configurations of a sweep.
#[derive(Debug)]
pub struct Pairwise {
    /// The sweep as submitted.
    pub record: SweepRecord,
    /// Its results.
    pub study: Study,
    /// The ranking by the requested metric.
    pub board: Leaderboard,
    /// The result of the comparison.
    pub compared: Compared,
}

impl Handle {
    /// The analysis of a sweep; with `images`, also of the predictions for single images.
    ///
    /// # Errors
    /// There is no such sweep, or the store failed.
    pub async fn analysed(&self, id: SweepId, request: Request, images: bool) -> Result<Arc<Analysed>, Error> {
        let (key, asked) = ((id, request, images), Instant::now());
        if let Lookup::Current(analysed) = self.lookup(&key) {
            return Ok(analysed);
        }
        let handle = self.clone();
        // The caller may disconnect: a separate task finishes the analysis for later callers.
        let made = tokio::spawn(async move {
            let _flight = handle.analysing.enter(key).await;
            // Callers that waited take the new analysis, unless the sweep has changed since.
            if let Lookup::Current(analysed) = handle.lookup(&key) {
                return Ok(analysed);
            }
            let since = handle.analyses.lock().ok().and_then(|cache| cache.begun_since(&key, asked));
            if let Some(analysed) = since {
                return Ok(analysed);
            }
            handle.analyse(id, request, images).await
        });
        made.await.unwrap_or_else(|error| Err(Error::Internal(error.to_string())))
    }

    /// Like `analysed`; for a large running sweep it returns the cached analysis and refreshes it in the background.
    ///
    /// # Errors
    /// There is no such sweep, or the store failed.
    pub async fn analysed_soon(&self, id: SweepId, request: Request, images: bool) -> Result<Arc<Analysed>, Error> {
        match self.lookup(&(id, request, images)) {
            Lookup::Current(analysed) | Lookup::Stale { analysed, refresh: false } => Ok(analysed),
            Lookup::Stale { analysed, refresh: true } => {
                let made = self.analysing.is_in_flight(&(id, request, images));
                let handle = self.clone();
                if !made {
                    tokio::spawn(async move {
                        if let Err(error) = handle.analysed(id, request, images).await {
                            tracing::warn!(sweep_id = %id, error = %crate::chain(&error), "cannot analyse a sweep");
                        }
                    });
                }
                Ok(analysed)
            }
            Lookup::Missing => self.analysed(id, request, images).await,
        }
    }

    fn lookup(&self, key: &AnalysisKey) -> Lookup {
        let change = *self.changes.borrow();
        self.analyses.lock().map_or(Lookup::Missing, |cache| cache.lookup(key, change))
    }

    async fn analyse(&self, id: SweepId, request: Request, images: bool) -> Result<Arc<Analysed>, Error> {
        let (change, began, read_ms) = (*self.changes.borrow(), Instant::now(), unix_ms());
        let invalidations = self.analyses.lock().map(|cache| cache.invalidations()).unwrap_or_default();
        let _one = self.computing().await?;
        let (record, mut study) = self.study(id).await?;
        let spec = self.spec(id).await?;
        let mut note = None;
        if images {
            let answered: Vec<TrialId> = answered(&study, None);
            if answered.len() > MOST_VALIDATIONS {
                let count = answered.len();
                note = Some(format!(
                    "{count} trials: predictions of single images are left out above {MOST_VALIDATIONS} trials"
                ));
            } else {
                study.validations = self.validations(answered).await?;
            }
        }
        let analysed = blocking(move || {
            let mut analysis = analyse::analyse(&study, &request);
            analysis.notes.extend(note);
            let board = leaderboard(&study, request.metric);
            let tables = tables(&study);
            let trials = study.subjects.iter().map(|subject| subject.replicates.len()).sum();
            Ok(Arc::new(Analysed { record, spec, study, board, analysis, tables, read_ms, trials }))
        })
        .await?;
        let entry = CachedAnalysis {
            key: (id, request, images),
            analysed: Arc::clone(&analysed),
            change,
            began,
            took: began.elapsed(),
        };
        if let Ok(mut cache) = self.analyses.lock() {
            cache.insert(entry, invalidations);
        }
        Ok(analysed)
    }

    /// The position in the plan of the configuration that `text` names.
    ///
    /// # Errors
    /// There is no such sweep, no such configuration, or the store failed.
    pub async fn position(&self, id: SweepId, text: &str) -> Result<u32, Error> {
        let request = Request::default();
        let is_cached = matches!(self.lookup(&(id, request, false)), Lookup::Current(_) | Lookup::Stale { .. });
        // A rank needs an analysis; for a name, the labels are enough.
        if is_cached || text.trim().starts_with('#') {
            let analysed = self.analysed_soon(id, request, false).await?;
            return Ok(resolve(&analysed.study, &analysed.board, text)?);
        }
        let titles = self.store.configuration_titles(id).await?;
        let titles: Vec<Title<'_>> = titles.iter().map(ConfigurationTitle::as_title).collect();
        if let Some(found) = resolve::by_title(&titles, text) {
            return Ok(found?);
        }
        let mut with_trial = BTreeSet::new();
        if let Some(digits) = resolve::trial_digits(text) {
            for trial in self.store.trials_like(&digits, MOST_LIKE).await? {
                let sweeps = self.store.trial(trial).await?.map(|trial| trial.sweeps).unwrap_or_default();
                with_trial.extend(sweeps.iter().filter(|(sweep, ..)| *sweep == id).map(|(_, position, _)| *position));
            }
        }
        let meant: Vec<Title<'_>> =
            titles.iter().filter(|title| with_trial.contains(&title.position)).copied().collect();
        let unknown = || Err(resolve::unknown(&titles, text));
        Ok(resolve::one(&meant, text.trim()).unwrap_or_else(unknown)?)
    }

    /// Compares two configurations of a sweep.
    ///
    /// # Errors
    /// There is no such sweep, no such configuration, they were not trained in the same way, or the store failed.
    pub async fn compared(&self, id: SweepId, request: Request, sides: [&str; 2]) -> Result<Pairwise, Error> {
        let _one = self.computing().await?;
        let (record, mut study) = self.study(id).await?;
        let board = leaderboard(&study, request.metric);
        let [position, reference] = sides;
        let (position, reference) = (resolve(&study, &board, position)?, resolve(&study, &board, reference)?);
        let answered = answered(&study, Some([position, reference]));
        if answered.len() <= MOST_VALIDATIONS {
            study.validations = self.validations(answered).await?;
        }
        blocking(move || {
            let compared = analyse::compare(&study, &request, position, reference)?;
            Ok(Pairwise { record, study, board, compared })
        })
        .await
    }

    /// The results of a sweep with the reasons of failures and the names of the classes, but without single images.
    ///
    /// # Errors
    /// There is no such sweep, or the store failed.
    pub async fn study(&self, id: SweepId) -> Result<(SweepRecord, Study), Error> {
        let Outline { record, plan } = self.outline(id).await?;
        let mut study = self.results(&plan, &record).await?;
        study.classes = match record.pin {
            Some(pin) => self.store.classes(record.dataset_key, pin).await?,
            None => Vec::new(),
        };
        let reasons = if record.state == SweepState::Succeeded { BTreeMap::new() } else { self.reasons(id).await? };
        for replicate in study.subjects.iter_mut().flat_map(|subject| &mut subject.replicates) {
            if let (State::Failed(reason), Some(found)) = (&mut replicate.state, reasons.get(&replicate.trial)) {
                reason.clone_from(found);
            }
        }
        Ok((record, study))
    }

    async fn reasons(&self, sweep: SweepId) -> Result<BTreeMap<TrialId, String>, Error> {
        let page = TrialPage { states: vec![TrialState::Failed], ..TrialPage::first(sweep, MOST_REASONS) };
        let rows = self.store.trials(&page).await?;
        let reason = |row: sweep_store::record::TrialRow| {
            let (class, reason) = row.failure?;
            Some((row.trial, format!("{} ({})", reason, class.name())))
        };
        Ok(rows.into_iter().filter_map(reason).collect())
    }

    /// The predictions for the validation images, of those of these trials that have some.
    ///
    /// # Errors
    /// The store failed.
    pub async fn validations(&self, trials: Vec<TrialId>) -> Result<BTreeMap<TrialId, Validation>, Error> {
        let _one = self.reading().await?;
        let mut found = BTreeMap::new();
        for trial in trials {
            let attempts = self.store.attempts(trial).await?;
            let accepted = attempts.iter().rev().find(|attempt| attempt.state == AttemptState::Succeeded);
            let Some(accepted) = accepted else { continue };
            if let Some(said) = self.store.validation(accepted.key).await? {
                found.insert(trial, said);
            }
        }
        Ok(found)
    }
}

/// The trials with a result: of all configurations, or of two.
fn answered(study: &Study, only: Option<[u32; 2]>) -> Vec<TrialId> {
    let wanted = |position: u32| only.is_none_or(|only| only.contains(&position));
    let subjects = study.subjects.iter().filter(|subject| wanted(subject.position));
    let replicates = subjects.flat_map(|subject| subject.own()).filter(|replicate| replicate.answer.is_some());
    replicates.map(|replicate| replicate.trial).collect()
}
