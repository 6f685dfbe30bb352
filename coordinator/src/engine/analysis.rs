//! What a sweep's results say, computed from the store outside the owner task, and kept while nothing changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sweep_analysis::analyse::{self, Compared, Request};
use sweep_analysis::leaderboard::{Leaderboard, leaderboard};
use sweep_analysis::resolve::{self, resolve};
use sweep_analysis::result::Analysis;
use sweep_analysis::study::{State, Study};
use sweep_analysis::tables::{Table, tables};
use sweep_analysis::title::Title;
use sweep_scheduler::SweepId;
use sweep_spec::TrialId;
use sweep_spec::trainer::Validation;
use sweep_store::codes::{AttemptState, SweepState};
use sweep_store::record::{ConfigurationTitle, SweepRecord, TrialPage, TrialState};

use super::submit::blocking;
use super::{Error, Handle, Outline};
use crate::unix_ms;

/// Analyses that are kept.
const KEPT: usize = 16;
/// Trials of all of them together; the newest is kept, however many it has.
pub(crate) const KEPT_TRIALS: usize = 1_000_000;
/// An analysis that took longer than this is not waited for a second time by whoever can do with an older one.
const SLOW: Duration = Duration::from_millis(200);
/// And a newer one is made only when this many times what making it took has passed, so that a page that is open does not
/// keep a processor busy.
const PATIENCE: u32 = 10;
/// Single images are looked at in sweeps of at most so many trials.
const MOST_VALIDATIONS: usize = 2_000;
/// Trials whose ids begin with the same digits that are looked at.
const MOST_LIKE: u32 = 16;
/// Failed trials whose reasons are told.
const MOST_REASONS: u32 = 1_000;

/// A sweep, its results, and what they say.
#[derive(Debug)]
pub struct Analysed {
    /// What was submitted.
    pub record: SweepRecord,
    /// Its spec, as text.
    pub spec: Vec<u8>,
    /// Its results.
    pub study: Study,
    /// The ranking by the metric that was asked for.
    pub board: Leaderboard,
    /// What they say.
    pub analysis: Analysis,
    /// The results along each factor.
    pub tables: Vec<Table>,
    /// When the store was read, in milliseconds since 1970.
    pub read_ms: i64,
    /// How many trials are in it, for what may be kept.
    trials: usize,
}

/// Two configurations of a sweep.
#[derive(Debug)]
pub struct Pairwise {
    /// What was submitted.
    pub record: SweepRecord,
    /// Its results.
    pub study: Study,
    /// The ranking by the metric that was asked for.
    pub board: Leaderboard,
    /// What was found.
    pub compared: Compared,
}

impl Analysed {
    /// How many trials are in it, for what may be kept. It was counted when the analysis was made, because many of these are
    /// added up under a lock.
    pub(crate) const fn weight(&self) -> usize {
        self.trials
    }
}

/// What is kept of an analysis.
pub(crate) struct Kept {
    key: Key,
    analysed: Arc<Analysed>,
    change: u64,
    began: Instant,
    took: Duration,
}

/// Of what, by what, and with or without single images.
pub(crate) type Key = (SweepId, Request, bool);

impl Kept {
    /// Nothing changes a sweep that has ended but a retry, which forgets what is kept of it.
    fn holds(&self, change: u64) -> bool {
        self.change == change || self.analysed.record.state != SweepState::Running
    }
}

/// The analyses that are kept.
#[derive(Default)]
pub(crate) struct Shelf {
    kept: Vec<Kept>,
    /// How often something was forgotten: what was read before that is not kept after it.
    forgotten: u64,
}

/// What is at hand of an analysis.
enum AtHand {
    Current(Arc<Analysed>),
    /// Of some moments ago; the flag says that it is time for a newer one.
    Older(Arc<Analysed>, bool),
    Nothing,
}

impl Handle {
    /// What the results of a sweep say; with `images`, also what single images say.
    ///
    /// # Errors
    /// There is no such sweep, or the store failed.
    pub async fn analysed(&self, id: SweepId, request: Request, images: bool) -> Result<Arc<Analysed>, Error> {
        let (key, asked) = ((id, request, images), Instant::now());
        if let AtHand::Current(analysed) = self.at_hand(&key) {
            return Ok(analysed);
        }
        let handle = self.clone();
        // Who asks may go away meanwhile: what was begun is finished, for those who ask next.
        let made = tokio::spawn(async move {
            let _flight = handle.analysing.board(key).await;
            // Nothing has changed since the one before it was made: those who waited take what it made.
            if let AtHand::Current(analysed) = handle.at_hand(&key) {
                return Ok(analysed);
            }
            if let Some(analysed) = handle.analysed_since(&key, asked) {
                return Ok(analysed);
            }
            handle.analyse(id, request, images).await
        });
        made.await.unwrap_or_else(|error| Err(Error::Internal(error.to_string())))
    }

    /// Like `analysed`; of a large sweep that goes on, what is at hand is taken, and a newer one is made meanwhile.
    ///
    /// # Errors
    /// There is no such sweep, or the store failed.
    pub async fn analysed_soon(&self, id: SweepId, request: Request, images: bool) -> Result<Arc<Analysed>, Error> {
        match self.at_hand(&(id, request, images)) {
            AtHand::Current(analysed) | AtHand::Older(analysed, false) => Ok(analysed),
            AtHand::Older(analysed, true) => {
                let made = self.analysing.is_under_way(&(id, request, images));
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
            AtHand::Nothing => self.analysed(id, request, images).await,
        }
    }

    /// An analysis that was begun after this moment: it knows all that there was to know then.
    fn analysed_since(&self, key: &Key, moment: Instant) -> Option<Arc<Analysed>> {
        let shelf = self.analyses.lock().ok()?;
        let found = shelf.kept.iter().find(|kept| kept.key == *key && kept.began >= moment)?;
        Some(Arc::clone(&found.analysed))
    }

    fn at_hand(&self, key: &Key) -> AtHand {
        let change = *self.changes.borrow();
        let Ok(shelf) = self.analyses.lock() else { return AtHand::Nothing };
        let Some(found) = shelf.kept.iter().find(|kept| kept.key == *key) else { return AtHand::Nothing };
        let analysed = Arc::clone(&found.analysed);
        if found.holds(change) {
            return AtHand::Current(analysed);
        }
        if found.took < SLOW {
            AtHand::Nothing
        } else {
            AtHand::Older(analysed, found.began.elapsed() > found.took * PATIENCE)
        }
    }

    async fn analyse(&self, id: SweepId, request: Request, images: bool) -> Result<Arc<Analysed>, Error> {
        let (change, began, read_ms) = (*self.changes.borrow(), Instant::now(), unix_ms());
        let forgotten = self.analyses.lock().map(|shelf| shelf.forgotten).unwrap_or_default();
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
        if let Ok(mut shelf) = self.analyses.lock()
            && shelf.forgotten == forgotten
        {
            let (key, kept) = ((id, request, images), &mut shelf.kept);
            kept.retain(|kept| kept.key != key);
            // The oldest goes first.
            let weight = |kept: &[Kept]| kept.iter().map(|kept| kept.analysed.weight()).sum::<usize>();
            while kept.len() >= KEPT || !kept.is_empty() && weight(kept) + analysed.weight() > KEPT_TRIALS {
                kept.remove(0);
            }
            kept.push(Kept { key, analysed: Arc::clone(&analysed), change, began, took: began.elapsed() });
        }
        Ok(analysed)
    }

    /// The place in the plan of the configuration that `text` names.
    ///
    /// # Errors
    /// There is no such sweep, no such configuration, or the store failed.
    pub async fn position(&self, id: SweepId, text: &str) -> Result<u32, Error> {
        let request = Request::default();
        let at_hand = matches!(self.at_hand(&(id, request, false)), AtHand::Current(_) | AtHand::Older(..));
        // A place on the leaderboard needs one; for what is called something, the names are enough.
        if at_hand || text.trim().starts_with('#') {
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

    /// Two configurations of a sweep, held against each other.
    ///
    /// # Errors
    /// There is no such sweep, no such configuration, they were not trained alike, or the store failed.
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

    /// The results of a sweep, with why trials failed and the names of the classes; without single images.
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

    /// What networks said of every validation image, of those of these trials that have it.
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

    /// What was kept of a sweep that goes on is no longer so.
    pub(super) fn forget(&self, sweep: SweepId) {
        if let Ok(mut summaries) = self.summaries.lock() {
            summaries.remove(&sweep);
        }
        if let Ok(mut shelf) = self.analyses.lock() {
            shelf.forgotten += 1;
            shelf.kept.retain(|kept| kept.key.0 != sweep);
        }
    }
}

/// The trials with an answer: of all configurations, or of two.
fn answered(study: &Study, only: Option<[u32; 2]>) -> Vec<TrialId> {
    let wanted = |position: u32| only.is_none_or(|only| only.contains(&position));
    let subjects = study.subjects.iter().filter(|subject| wanted(subject.position));
    let replicates = subjects.flat_map(|subject| subject.own()).filter(|replicate| replicate.answer.is_some());
    replicates.map(|replicate| replicate.trial).collect()
}
