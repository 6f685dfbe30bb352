//! The results of a trial that ran again, compared with those of its first run.

use sweep_scheduler::SweepId;
use sweep_spec::TrialId;
use sweep_spec::trainer::EpochMetrics;
use sweep_store::codes::AttemptState;
use sweep_store::record::{AttemptRecord, Predictions, Repeat, ResultRecord, TrialPage, TrialState};

use crate::convert::Invalid;
use crate::engine::error::Error;
use crate::engine::handle::Handle;
use crate::reproduction::{self, Reproduction, TOLERANCE};

/// The most reproductions of one trial that are compared when it is shown.
const MOST_REPEATS: usize = 8;

/// A result and the attempt that reported it.
#[derive(Debug, Clone)]
pub struct Answered {
    /// The attempt.
    pub attempt: AttemptRecord,
    /// Its metrics.
    pub result: ResultRecord,
    points: Vec<EpochMetrics>,
    said: Predictions,
}

pub(in crate::engine) fn invalid(field: &'static str, problem: impl Into<String>) -> Error {
    Invalid { field, problem: problem.into() }.into()
}

impl Handle {
    /// The attempt whose result counts: the newest accepted one. An attempt of a round that only reproduces a known
    /// result counts only if there is no other.
    ///
    /// # Errors
    /// The store failed.
    pub async fn accepted(&self, id: TrialId, attempts: Vec<AttemptRecord>) -> Result<Option<AttemptRecord>, Error> {
        let repeats = self.store.repeats(id).await?;
        let repeated = |attempt: &AttemptRecord| repeats.iter().any(|repeat| repeat.round == attempt.lease.round);
        let accepted = attempts.into_iter().rev().filter(|attempt| attempt.state == AttemptState::Succeeded);
        let (again, first): (Vec<_>, Vec<_>) = accepted.partition(repeated);
        Ok(first.into_iter().chain(again).next())
    }

    /// The reproductions of a trial: sweep, round, and comparison of the results. At most the newest `MOST_REPEATS`,
    /// oldest first.
    ///
    /// # Errors
    /// The store failed.
    pub async fn reproductions(
        &self,
        id: TrialId,
        attempts: &[AttemptRecord],
    ) -> Result<Vec<(Repeat, Reproduction)>, Error> {
        let mut found = Vec::new();
        for repeat in self.store.repeats(id).await?.into_iter().rev().take(MOST_REPEATS) {
            let answers = |attempt: &&AttemptRecord| {
                attempt.lease.round == repeat.round && attempt.state == AttemptState::Succeeded
            };
            let Some(new) = attempts.iter().find(answers) else { continue };
            let Some(old) = attempts.iter().find(|attempt| attempt.key == repeat.old) else { continue };
            let (old, new) = (self.answered(Some(old)).await?, self.answered(Some(new)).await?);
            found.push((repeat, reproduction::compare(&old.as_answer(), &new.as_answer(), TOLERANCE)));
        }
        found.reverse();
        Ok(found)
    }

    /// The two results of a sweep that reproduces a trial, and their comparison.
    ///
    /// # Errors
    /// The sweep is no reproduction, or has no result yet.
    pub async fn reproduction(
        &self,
        sweep: SweepId,
        tolerance: f64,
    ) -> Result<(Answered, Answered, Reproduction), Error> {
        let record = self.store.sweep(sweep).await?.ok_or_else(|| Error::not_found(format!("sweep {sweep}")))?;
        let Some(old) = record.submission.reproduces else {
            return Err(invalid("sweep", format!("sweep {sweep} is not a reproduction")));
        };
        let page = TrialPage { states: vec![TrialState::Succeeded], ..TrialPage::first(sweep, 1) };
        let row = self.store.trials(&page).await?.into_iter().next();
        let row = row.ok_or_else(|| invalid("sweep", format!("sweep {sweep} has no result yet")))?;
        let attempts = self.store.attempts(row.trial).await?;
        let old = attempts.iter().find(|attempt| attempt.key == old);
        let new = row.newest.and_then(|(_, key)| attempts.iter().find(|attempt| attempt.key == key));
        let (old, new) = (self.answered(old).await?, self.answered(new).await?);
        let found = reproduction::compare(&old.as_answer(), &new.as_answer(), tolerance);
        Ok((old, new, found))
    }

    async fn answered(&self, attempt: Option<&AttemptRecord>) -> Result<Answered, Error> {
        let missing = || Error::not_found("answer of one of the two attempts");
        let attempt = attempt.cloned().ok_or_else(missing)?;
        let result = self.store.result(attempt.key).await?.ok_or_else(missing)?;
        let points = self.store.points(attempt.key).await?.into_iter().map(|point| point.metrics).collect();
        let said = Predictions {
            validation: self.store.validation(attempt.key).await?,
            test: self.store.test_predictions(attempt.key).await?,
        };
        Ok(Answered { attempt, result, points, said })
    }
}

impl Answered {
    fn as_answer(&self) -> reproduction::Answer<'_> {
        reproduction::Answer { result: &self.result, points: &self.points, said: &self.said }
    }
}
