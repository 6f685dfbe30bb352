//! Reproduces one trial, in a separate sweep on the same data.

use serde_json::{Value, json};
use sweep_scheduler::SweepId;
use sweep_spec::spec::VERSION;
use sweep_spec::{TRAINER_SEMANTICS, Trial, TrialId};
use sweep_store::record::AttemptRecord;

use crate::engine::error::Error;
use crate::engine::handle::Handle;
use crate::engine::messages::submission::Submit;
use crate::engine::query::reproductions::invalid;

/// A trial that is being reproduced.
#[derive(Debug, Clone)]
pub struct Reproducing {
    /// The sweep that reproduces it.
    pub sweep: SweepId,
    /// The trial.
    pub trial: TrialId,
    /// The attempt whose result the new one will be compared with.
    pub old: AttemptRecord,
}

impl Handle {
    /// Runs a trial with a known result again.
    ///
    /// # Errors
    /// There is no such trial, it has no result, or it needs other trainer semantics.
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
}

/// A spec with only this trial. JSON is valid YAML, and the settings of a trial have the form of a spec.
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
