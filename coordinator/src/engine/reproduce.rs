//! One trial again: a sweep of its own that asks the same question afresh on the same data, and the two answers side by
//! side once it has ended.

use serde_json::{Value, json};
use sweep_scheduler::SweepId;
use sweep_spec::spec::VERSION;
use sweep_spec::trainer::EpochMetrics;
use sweep_spec::{TRAINER_SEMANTICS, Trial, TrialId};
use sweep_store::codes::AttemptState;
use sweep_store::record::{AttemptRecord, Predictions, Repeat, ResultRecord, TrialPage, TrialState};

use super::submit::Submit;
use super::{Error, Handle};
use crate::convert::Invalid;
use crate::reproduction::{self, Reproduction, TOLERANCE};

/// Repetitions of one trial that are compared when it is shown.
const MOST_REPEATS: usize = 8;

/// A trial that runs again.
#[derive(Debug, Clone)]
pub struct Reproducing {
    /// In this sweep.
    pub sweep: SweepId,
    /// Which.
    pub trial: TrialId,
    /// The attempt whose answer it will be held against.
    pub old: AttemptRecord,
}

/// An answer and the attempt that gave it.
#[derive(Debug, Clone)]
pub struct Answered {
    /// The attempt.
    pub attempt: AttemptRecord,
    /// Its numbers.
    pub result: ResultRecord,
    points: Vec<EpochMetrics>,
    said: Predictions,
}

fn invalid(field: &'static str, problem: impl Into<String>) -> Error {
    Invalid { field, problem: problem.into() }.into()
}

impl Handle {
    /// Runs a trial that has an answer again.
    ///
    /// # Errors
    /// There is no such trial, it has no answer, or it was asked of a trainer that gives other ones.
    pub async fn reproduce(&self, id: TrialId, user: String, priority: i32) -> Result<Reproducing, Error> {
        let record = self.store.trial(id).await?.ok_or_else(|| Error::not_found(format!("trial {id}")))?;
        let semantics = record.trial.semantics;
        if semantics != TRAINER_SEMANTICS {
            let problem = format!("it has trainer semantics {semantics}, but trainers now have {TRAINER_SEMANTICS}");
            return Err(invalid("trial", problem));
        }
        let attempts = self.store.attempts(id).await?;
        let old = self.accepted(id, attempts).await?;
        let old = old.ok_or_else(|| invalid("trial", "it has no result yet"))?;
        let answer = self.store.result(old.key).await?;
        let answer = answer.ok_or_else(|| Error::Internal(format!("attempt {} has no result", old.lease.attempt)))?;
        let spec = spec_of(&record.trial, id)?;
        let request = Submit {
            spec,
            user,
            priority,
            fresh: true,
            reproduces: Some((old.key, answer.provenance.data_digest)),
            ..Submit::default()
        };
        Ok(Reproducing { sweep: self.submit(request).await?.sweep, trial: id, old })
    }

    /// The attempt whose answer counts: the newest that was accepted in a round that did not only ask again what had an answer.
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

    /// What came of asking a trial again: the sweep, the round, and how the answers compare; the newest so many, oldest first.
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

    /// The two answers of a sweep that reproduces, and what they come to.
    ///
    /// # Errors
    /// The sweep reproduces nothing, or has no result yet.
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

/// A spec that asks this one question. JSON is YAML, and what a trial says of itself is what a spec says.
fn spec_of(trial: &Trial, id: TrialId) -> Result<Vec<u8>, Error> {
    let internal = |error: serde_json::Error| Error::Internal(error.to_string());
    let configuration = serde_json::to_value(&trial.configuration).map_err(internal)?;
    let mut again = configuration.clone();
    if let Value::Object(levels) = &mut again {
        levels.insert("name".to_owned(), "again".into());
    }
    let spec = json!({
        "version": VERSION,
        "name": format!("reproduce-{}", id.short()),
        "dataset": trial.dataset,
        "protocol": trial.protocol,
        "seeds": [trial.seed],
        "baseline": configuration,
        "extra": [again],
    });
    serde_json::to_vec_pretty(&spec).map_err(internal)
}

#[cfg(test)]
mod tests {
    use sweep_spec::dataset::{Source, TestSplit};
    use sweep_spec::protocol::{Holdout, Protocol, Report, Schedule};
    use sweep_spec::spec::Limits;
    use sweep_spec::{Classes, Cnn, Configuration, Dataset, Plan, Spec, Vgg19};

    use super::*;

    #[test]
    fn the_spec_of_a_trial_asks_that_trial_and_nothing_else() {
        let folder = Source::ImageFolder { path: "a b".into(), test_split: Some(TestSplit { fraction: 0.1, seed: 3 }) };
        let drawn = Source::SyntheticScenes { seed: 1, train_images: 64, test_images: 32 };
        let dataset = |source, classes| Dataset { source, image_size: 32, channels: 3, classes, digest: None };
        let protocol = Protocol {
            epochs: 7,
            schedule: Schedule::Constant,
            report: Report::Best,
            holdout: Some(Holdout { fraction: 0.125, seed: 2 }),
            ..Protocol::default()
        };
        let cnn = Cnn { conv_layers: 2, filters: 5, dropout: 0.1, ..Cnn::default() };
        let names = Classes::Names(vec!["coast".into(), "forest".into()]);
        for trial in [
            Trial::new(Configuration::Cnn(cnn), 9, Protocol::default(), dataset(drawn.clone(), Classes::Count(8))),
            Trial::new(Configuration::Vgg19(Vgg19::default()), u64::from(u32::MAX), protocol, dataset(folder, names)),
        ] {
            let id = trial.id().unwrap();
            let text = spec_of(&trial, id).unwrap();
            let spec = Spec::parse(&text, &[], &Limits::default())
                .unwrap_or_else(|problems| panic!("{problems} in {}", String::from_utf8_lossy(&text)));
            let plan = Plan::new(&spec);
            assert_eq!(plan.summary(&[]).trials, 1);
            assert_eq!(plan.trial(&trial.configuration, trial.seed).id().unwrap(), id);
        }
    }
}
