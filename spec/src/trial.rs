//! A trial: the question that one training run answers, and its id.

use serde::{Deserialize, Serialize};

use crate::configuration::Configuration;
use crate::dataset::Dataset;
use crate::id::TrialId;
use crate::protocol::Protocol;
use crate::{TRAINER_SEMANTICS, canonical};

/// Configuration × seed × protocol × data reference × trainer semantics. Equal trials of different sweeps are the same
/// trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    pub configuration: Configuration,
    /// Keys every random stream of the trial.
    pub seed: u64,
    pub protocol: Protocol,
    pub dataset: Dataset,
    /// The trainer semantics version that has to compute the answer.
    pub semantics: u32,
}

impl Trial {
    /// A question to this version's trainer.
    pub fn new(configuration: Configuration, seed: u64, protocol: Protocol, dataset: Dataset) -> Self {
        Self { configuration, seed, protocol, dataset, semantics: TRAINER_SEMANTICS }
    }

    /// BLAKE3 of the canonical JSON of the trial.
    ///
    /// # Errors
    /// A number in it is not finite; a checked plan has none.
    pub fn id(&self) -> Result<TrialId, serde_json::Error> {
        Ok(TrialId::of(canonical::to_string(self)?.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::{Cnn, Vgg19};
    use crate::dataset::{Classes, Source};
    use crate::protocol::{Holdout, SplitSeed};
    use crate::settings;

    fn trial() -> Trial {
        let dataset = Dataset {
            source: Source::SyntheticScenes { seed: 1, train_images: 64, test_images: 32 },
            image_size: 32,
            channels: 3,
            classes: Classes::Count(8),
            digest: None,
        };
        Trial::new(Configuration::Cnn(Cnn::default()), 7, Protocol::default(), dataset)
    }

    #[test]
    fn a_trial_survives_the_journey_as_settings() {
        let folder = Source::ImageFolder { path: "scenes".into(), test_split: None };
        let mut other = trial();
        other.configuration = Configuration::Vgg19(Vgg19 { dropout: 0.5, ..Vgg19::default() });
        other.protocol.holdout = Some(Holdout { fraction: 0.1, seed: 3 });
        other.dataset.source = folder;
        other.dataset.classes = Classes::Names(vec!["coast".into(), "forest".into()]);
        for trial in [trial(), other] {
            let settings = settings::flatten(&trial).unwrap();
            let back: Trial = settings::unflatten(&settings).unwrap();
            assert_eq!(back, trial);
            assert_eq!(back.id().unwrap(), trial.id().unwrap());
        }
    }

    #[test]
    fn a_fixed_split_is_no_part_of_the_question_and_one_for_each_seed_is() {
        let mut other = trial();
        other.protocol.holdout = Some(Holdout { fraction: 0.1, seed: 3 });
        assert!(!canonical::to_string(&other).unwrap().contains("split\":"));
        let fixed = other.id().unwrap();
        other.protocol.split = SplitSeed::PerSeed;
        assert_ne!(other.id().unwrap(), fixed);
        let back: Trial = settings::unflatten(&settings::flatten(&other).unwrap()).unwrap();
        assert_eq!(back, other);
    }

    #[test]
    fn every_part_of_the_question_is_in_the_id() {
        let id = trial().id().unwrap();
        let mut ids = vec![id];
        ids.push(Trial { seed: 8, ..trial() }.id().unwrap());
        ids.push(Trial { semantics: 0, ..trial() }.id().unwrap());
        let mut other = trial();
        other.protocol.epochs += 1;
        ids.push(other.id().unwrap());
        let mut other = trial();
        other.dataset.image_size += 1;
        ids.push(other.id().unwrap());
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 5);
    }
}
